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
SCENES = 20


@pytest.fixture
def victim(tmp_path):
    """A slow run over scenes that is worth killing: 10 commits, 40 ms from one to the next."""
    toyworld.write(tmp_path / "scenes", 1, SCENES)
    counting_backends(tmp_path)
    command = [
        *(MASKLET, "run", "demo", "--out", "killed", "source.path=scenes/images", f"run.batch={BATCH}"),
        *(
            'detect={backend: "counting:Detector", sleep_s: 0.01}',
            'segment={backend: "counting:Segmenter", sleep_s: 0.01}',
        ),
    ]
    return Victim(command, tmp_path, tmp_path / "killed", tmp_path / LOG, SCENES, pause_s=0.04)


def uninterrupted(victim):
    """The dataset of the same command, left alone, in another folder."""
    words = [*victim.command[1:], "--out", "whole"]
    result = masklet(*words, cwd=victim.desk)
    assert result.returncode == 0, result.stderr
    return dataset(victim.desk / "whole")


def test_three_kills(victim):
    whole = uninterrupted(victim)
    done = rounds(victim, 3, seed=1)
    starts = [start for a_round in done for start in a_round.starts]
    kills = [start for start in starts if start.killed]
    assert len(kills) == 3
    assert sum(map(victim.inside, kills)) >= 2
    assert all(a_round.dataset == whole for a_round in done)
    assert [start.again for start in starts if start.again] == []
    assert 0 < max(len(kill.lost) for kill in kills) <= BATCH  # kills hit work, and cost a batch at most


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_twenty_kills_on_photos(tmp_path, shared_data, monkeypatch):
    assert shared_data.is_dir()
    monkeypatch.syspath_prepend(BENCHMARKS)
    import kills

    assert kills.main(results=tmp_path) == 0


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
