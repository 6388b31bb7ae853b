"""`kill -9`, and the same command again: nothing that was committed is computed again, and the dataset is the same."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from counting import LOG
from driving import MASKLET, counting_backends, dataset, masklet
from killing import Victim, has_committed, rounds

from pipeline import toyworld

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
BATCH = 2
SCENES = 16


@pytest.fixture
def victim(tmp_path):
    """A slow run over scenes that is worth killing: 8 commits, 40 ms from one to the next."""
    toyworld.write(tmp_path / "scenes", 1, SCENES)
    counting_backends(tmp_path)
    command = [
        *(MASKLET, "run", "demo", "--out", "killed", "source.path=scenes/images", f"run.batch={BATCH}"),
        *(
            'detect={backend: "counting:Detector", sleep_s: 0.01}',
            'segment={backend: "counting:Segmenter", sleep_s: 0.01}',
        ),
    ]
    return Victim(command, tmp_path, tmp_path / "killed", tmp_path / LOG, SCENES)


def uninterrupted(victim):
    """The dataset of the same command, left alone, in another folder."""
    words = [*victim.command[1:], "--out", "whole"]
    result = masklet(*words, cwd=victim.desk)
    assert result.returncode == 0, result.stderr
    return dataset(victim.desk / "whole")


def check(victim, done, whole, a_batch):
    """What a kill may cost, and what it may not."""
    for a_round in done:
        assert a_round.dataset == whole
        assert [name for start in a_round.starts for name in start.again] == []
        assert [len(start.lost) for start in a_round.starts if len(start.lost) > a_batch] == []
        assert len(a_round.starts[-1].after) == victim.pictures


def test_three_kills(victim):
    whole = uninterrupted(victim)
    done = rounds(victim, 3, seed=1)
    check(victim, done, whole, BATCH)
    kills = [kill for a_round in done for kill in a_round.kills]
    assert [kill.killed for kill in kills] == ["labelling", "labelling", "writing"]
    assert sum(victim.inside(kill) for kill in kills) >= 2
    assert sum(len(kill.lost) for kill in kills) > 0  # the kills hit work, not sleep


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_twenty_kills_on_photos(tmp_path, shared_data, monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import kills

    victim = kills.photos(tmp_path, shared_data)
    whole = uninterrupted(victim)
    done = rounds(victim, 20, seed=1)
    print(kills.table(victim, done))
    check(victim, done, whole, kills.BATCH)
    assert sum(victim.inside(kill) for a_round in done for kill in a_round.kills) >= 15


def test_workers_die_with_the_command(victim):
    process = subprocess.Popen(
        [*victim.command, "--workers", "2"], cwd=victim.desk, start_new_session=True, stderr=subprocess.DEVNULL
    )
    while not has_committed(victim.out, 1) and process.poll() is None:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)  # the parent alone
    process.wait()
    deadline = time.monotonic() + 5
    while _alive(process.pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _alive(process.pid)


def _alive(group):
    """Whether a process of the group lives; one that is dead and not yet buried does not."""
    states = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        states += [fields[0]] if int(fields[2]) == group else []
    return any(state not in "ZX" for state in states)
