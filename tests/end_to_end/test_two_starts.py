"""Two starts on one run: one works, the other is told so at once; a lock that a dead process leaves is nobody's."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import patient
import pytest
from driving import MASKLET, dataset, masklet, save_pictures

LOCKED = "masklet: run: another masklet is at work here; wait for it, or choose another --out\n"
WITHIN_S = 2.0
"""In which who comes second must have ended: CPU time, so that nothing else on the machine counts."""
COMMAND = [
    *(MASKLET, "run", "photos_yolox", "--ontology", "dog, cat", "--source", "pictures", "--out", "run"),
    *("detect={backend: patient:Patient}", "segment={backend: fake}", "run.batch=2"),
]


@pytest.fixture(autouse=True)
def desk():
    shutil.copy(str(patient.__file__), Path())
    save_pictures(Path("pictures"), [f"{number}.png" for number in range(4)])


def started(*words):
    return subprocess.Popen([*COMMAND, *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def until(happens, what):
    deadline = time.monotonic() + 60
    while not happens():
        assert time.monotonic() < deadline, f"never {what}"
        time.sleep(0.005)


def waiting():
    """Processes that wait in the midst of their work."""
    return list(Path().glob("here-*"))


def ended(process):
    """How a process ended: its exit code, what it said on stderr, and its CPU time."""
    with process.stderr as stderr:
        words = stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, words, used.ru_utime + used.ru_stime


@pytest.fixture
def whole():
    """The dataset of the same command, left alone."""
    Path("go").touch()
    assert masklet(*COMMAND[1:], "--out", "whole").returncode == 0
    Path("go").unlink()
    for sign in waiting():
        sign.unlink()
    return dataset("whole")


def in_the_same_moment(whole):
    """Two processes begin together: one is locked out, the other finishes; how much CPU time the loser took."""
    both = [started(), started()]
    until(lambda: any(exited(one) for one in both), "locked out")
    (loser,) = [one for one in both if exited(one)]
    (winner,) = [one for one in both if one is not loser]
    code, words, seconds = ended(loser)
    assert (code, words) == (10, LOCKED)
    until(waiting, "at work")
    Path("go").touch()
    assert ended(winner)[:2] == (0, "")
    assert dataset("run") == whole
    assert seconds < WITHIN_S
    for left in (Path("go"), *waiting()):
        left.unlink()
    shutil.rmtree("run")
    return seconds


def exited(process):
    return bool(os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT))


def test_two_starts_in_the_same_moment(whole):
    in_the_same_moment(whole)


@pytest.mark.slow
def test_ten_times_two_starts_in_the_same_moment(whole):
    took = [in_the_same_moment(whole) for _ in range(10)]
    print(f"locked out ten times, after {max(took):.2f} s of CPU at most")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_lock_that_a_killed_process_leaves_is_nobodys(whole, workers):
    process = started("--workers", str(workers))
    until(waiting, "at work")
    second = started()
    assert ended(second)[:2] == (10, LOCKED)
    process.send_signal(signal.SIGKILL)  # the parent alone: its workers die with it
    process.communicate()
    assert Path("run/run.lock").exists()
    Path("go").touch()
    assert ended(started())[0] == 0
    assert dataset("run") == whole
