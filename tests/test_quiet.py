"""What C libraries print goes to a log; what we say reaches the terminal."""

import io
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.quiet import library_noise_to

HEAD = "import os, sys, warnings\nfrom pathlib import Path\nfrom pipeline.quiet import library_noise_to\n"
NOISE = "os.write(2, b'Corrupt JPEG data\\n')"


def shown(code):
    """What a process of its own shows on its standard error, and what is in the log (None: there is none)."""
    said = subprocess.run([sys.executable, "-c", HEAD + code], stderr=subprocess.PIPE, timeout=60)
    log = Path("run/libraries.log")
    return said.stderr.decode(), log.read_text() if log.exists() else None


INSIDE = "with library_noise_to(Path('run/libraries.log')):\n    "


@pytest.mark.parametrize(
    ("code", "terminal", "log"),
    [
        (INSIDE + NOISE, "", "Corrupt JPEG data\n"),
        (INSIDE + "print('3 of 9', file=sys.stderr)", "3 of 9\n", None),  # an empty log is removed
        (INSIDE + f"{NOISE}; print('3 of 9', file=sys.stderr)", "3 of 9\n", "Corrupt JPEG data\n"),
        (INSIDE + "Path('run/libraries.log').unlink()", "", None),  # by another start of the same run, which had none
        (INSIDE + "os.system('echo child >&2')", "", "child\n"),  # a program that is started
        (INSIDE + "warnings.warn('old')", "", None),
        (INSIDE + "print('\\udce9', file=sys.stderr)", "\\udce9\n", None),  # no crash over a name
        (INSIDE + f"pass\n{NOISE}", "Corrupt JPEG data\n", None),  # afterwards all is as before
        (INSIDE + "pass\nprint('done', file=sys.stderr)", "done\n", None),
        (2 * (INSIDE + NOISE + "\n"), "", 2 * "Corrupt JPEG data\n"),  # a log grows
        (f"try:\n  {INSIDE[:-5]}\n    raise OSError\nexcept OSError: {NOISE}", "Corrupt JPEG data\n", None),  # an error
    ],
)
def test_who_sees_what(code, terminal, log):
    assert shown(code) == (terminal, log)


@pytest.mark.parametrize("stderr", [io.StringIO(), None])
def test_without_a_real_standard_error_nothing_is_done(monkeypatch, tmp_path, stderr):
    monkeypatch.setattr(sys, "stderr", stderr)
    with library_noise_to(tmp_path / "run/libraries.log"):
        assert sys.stderr is stderr
    assert not (tmp_path / "run").exists()


def test_no_descriptor_is_left_open(tmp_path):
    before = len(list(Path("/dev/fd").iterdir()))
    with library_noise_to(tmp_path / "libraries.log"):
        pass
    assert len(list(Path("/dev/fd").iterdir())) == before
