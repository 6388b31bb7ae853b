"""The tree of errors: what each ends in, and who is blamed."""

import pickle
import re

import pytest

from pipeline import errors
from pipeline.errors import (
    BackendError,
    BadMedia,
    ConfigError,
    Interrupted,
    MaskletError,
    UnknownName,
    blame,
    nearest,
    out_of_memory,
)

CODES = {
    "MaskletError": 1,
    "ConfigError": 2,
    "UnknownName": 2,
    "BadRecord": 1,
    "BadMedia": 1,
    "BadDataset": 2,
    "BackendError": 1,
    "TooManyQuarantined": 3,
    "NothingToDo": 4,
    "CheckFailed": 5,
    "Locked": 10,
    "ModelMissing": 11,
    "DiskFull": 12,
}
"""Scripts depend on these numbers: they are never changed."""

TREE = {name: one for name, one in vars(errors).items() if isinstance(one, type) and issubclass(one, MaskletError)}


def test_every_error_ends_in_its_code():
    assert {name: one.exit_code for name, one in TREE.items() if name != "Interrupted"} == CODES


@pytest.mark.parametrize(("signal", "code"), [(2, 130), (15, 143)])
def test_a_signal_ends_in_128_and_its_number(signal, code):
    assert Interrupted("stopped", signal).exit_code == code


def test_the_module_says_the_same():
    said = re.findall(r"^[|+\- ]*([A-Z]\w+) +(\d+)  ", errors.__doc__, re.MULTILINE)
    assert {name: int(code) for name, code in said} == CODES


def test_configuration_errors_keep_every_problem():
    assert ConfigError("one").problems == ["one"]
    assert str(ConfigError(["one", "two"])) == "one\ntwo"
    assert issubclass(UnknownName, ConfigError)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (BadMedia("empty_file"), "empty_file"),  # the reason alone
        (BadMedia("film", "a.mp4"), "film: a.mp4"),  # with its detail
    ],
)
def test_bad_media_says_its_reason(error, text):
    assert str(error) == text
    assert error.reason == error.args[0]


def test_errors_cross_a_process_border():
    back = pickle.loads(pickle.dumps(BadMedia("film", "a.mp4")))
    assert (back.reason, back.detail, str(back)) == ("film", "a.mp4", "film: a.mp4")
    assert pickle.loads(pickle.dumps(ConfigError(["one", "two"]))).problems == ["one", "two"]


def test_a_librarys_error_is_blamed_on_the_backend_and_keeps_its_cause():
    cause = RuntimeError("bad shape")
    with pytest.raises(BackendError, match=r"^sam2: RuntimeError: bad shape$") as caught, blame("sam2"):
        raise cause
    assert caught.value.__cause__ is cause


@pytest.mark.parametrize(
    "error",
    [
        BadMedia("film"),  # ours already
        MemoryError(),  # the engine makes the batch smaller
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),  # torch says it so
        KeyboardInterrupt(),  # nobody's fault
    ],
)
def test_what_is_no_backends_fault_passes(error):
    with pytest.raises(type(error)) as caught, blame("sam2"):
        raise error
    assert caught.value is error


def test_blame_lets_success_pass():
    with blame("sam2"):
        pass


@pytest.mark.parametrize(
    ("error", "is_memory"),
    [
        (MemoryError(), True),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
            True,
        ),
        (RuntimeError("BFCArena: Failed to allocate memory for requested buffer"), True),  # onnxruntime
        (RuntimeError("shape mismatch"), False),
        (OSError("No space left on device"), False),  # disk, not memory
    ],
)
def test_lack_of_memory_is_told_by_type_or_words(error, is_memory):
    assert out_of_memory(error) == is_memory


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("detct", "; did you mean detect?"),  # a letter missing
        ("zzz", ""),  # nothing like it
    ],
)
def test_nearest(name, hint):
    assert nearest(name, ["detect", "segment"]) == hint
