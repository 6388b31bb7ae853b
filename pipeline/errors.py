"""What can go wrong and be put right by the user: a tree of errors, each with the exit code it ends in.

MaskletError            1   (never raised itself)
+-- ConfigError         2   a configuration cannot mean anything; lists every problem
|   +-- UnknownName     2   no such backend, format, config or class; names the nearest
+-- BadRecord           1   a record breaks its own rules
+-- BadMedia            1   a file that is no usable picture; costs that picture only
+-- BadDataset          2   a dataset cannot be read at all
+-- BackendError        1   a model library failed; the cause is attached; costs the pictures it failed on
+-- TooManyQuarantined  3   the run is finished, but more was set aside than allowed
+-- NothingToDo         4   no picture to work on, and `--fail-on-empty`
+-- CheckFailed         5   the run is finished, but what was written is not what was meant
+-- Locked             10   another live process is at work in the same folder
+-- ModelMissing       11   a model cannot be had
+-- DiskFull           12   no space left; what was computed is kept
+-- Interrupted  130, 143   stopped by a signal; what was computed is kept

Exit code 0 is a complete run, 1 an error of ours.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches


class MaskletError(Exception):
    """Anything the user can put right: says what, where and what to do."""

    exit_code: int = 1


class ConfigError(MaskletError):
    """A configuration cannot mean anything; `problems` has one line each."""

    exit_code = 2

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems))


class UnknownName(ConfigError):
    """No such backend, format, config or class."""


class BadRecord(MaskletError):
    """A record breaks its own rules."""


class BadMedia(MaskletError):
    """A file that is no usable picture; `reason` is a row of `reasons.PICTURES`."""

    def __init__(self, reason: str, detail: str = "") -> None:
        self.reason, self.detail = reason, detail
        super().__init__(reason, detail)

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}" if self.detail else self.reason


class BadDataset(MaskletError):
    """A dataset cannot be read at all."""

    exit_code = 2


class BackendError(MaskletError):
    """A model library failed inside a backend."""


class TooManyQuarantined(MaskletError):
    """The run is finished, but more pictures were set aside than `--max-quarantined` allows."""

    exit_code = 3


class NothingToDo(MaskletError):
    """There was no picture to work on, and the user asked to be told."""

    exit_code = 4


class CheckFailed(MaskletError):
    """The run is finished, but what was written is not what was meant."""

    exit_code = 5


class Locked(MaskletError):
    """Another live process is at work in the same folder."""

    exit_code = 10


class ModelMissing(MaskletError):
    """A model cannot be had: missing, damaged or refused."""

    exit_code = 11


class DiskFull(MaskletError):
    """No space left on the disk; what was computed is kept."""

    exit_code = 12


class Interrupted(MaskletError):
    """Stopped by a signal after the work in hand was committed."""

    def __init__(self, message: str, signal: int) -> None:
        super().__init__(message, signal)
        self.exit_code = 128 + signal

    def __str__(self) -> str:
        return str(self.args[0])


@contextmanager
def blame(backend: str) -> Iterator[None]:
    """Name the backend when a library fails inside the block; our own errors and lack of memory pass through."""
    try:
        yield
    except (MaskletError, MemoryError):
        raise
    except Exception as error:
        if out_of_memory(error):
            raise
        raise BackendError(f"{backend}: {type(error).__name__}: {error}") from error


def out_of_memory(error: BaseException) -> bool:
    """Whether a library ran out of memory, told by type or by the words torch, onnxruntime and OpenCV use.

    >>> out_of_memory(RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"))
    True
    """
    words = str(error).lower()
    return isinstance(error, MemoryError) or any(
        sign in words
        for sign in (
            *("out of memory", "can't allocate memory", "failed to allocate memory", "not enough memory"),
            "insufficient memory",
        )
    )


def first_line(error: BaseException) -> str:
    """What a library says of a failure, in one line; the kind of error, where it says nothing.

    >>> first_line(OSError("no route")), first_line(KeyError())
    ('no route', 'KeyError')
    """
    return str(error).strip().partition("\n")[0] or type(error).__name__


def nearest(name: str, known: Iterable[str]) -> str:
    """'; did you mean X?' for a mistyped name, or nothing.

    >>> nearest("detct", ["detect", "segment"])
    '; did you mean detect?'
    """
    close = get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""
