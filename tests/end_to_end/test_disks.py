"""Disks that are full in the midst of a run, and such that can only be read; real ones, of a few megabytes of memory.

At a call that changes the disk, drawn at random, a file takes all that is left of it. So SQLite meets the full disk as
well as Python does: exit code 12, one line, nothing lost; with room again the same command goes on.
"""

import random
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import all_stages
import pytest
from counting import LOG
from driving import handed
from forking import UNSHARED, Fault, Nursery

RUN = ("run", "all.yaml", "--out", "small/run")
BALLOON = "small/balloon"
ENDS = "the disk is full; make room and run the same command again"
TIMES = 20


@pytest.fixture
def nursery():
    """One that may mount disks, which nobody else sees."""
    if not shutil.which("unshare") or subprocess.run([*UNSHARED, "true"], capture_output=True).returncode:
        pytest.skip("needs `unshare --user --mount`, to mount disks of its own")
    all_stages.set_up()
    with Nursery(UNSHARED) as one:
        yield one


def mount(nursery, *words):
    """Mount a disk, or skip the test."""
    if said := nursery.ask("mount", *words):
        pytest.skip(f"cannot be mounted here: {said}")


def run(nursery, fault=None):
    """The command, and the ids of what it handed to a model."""
    Path(LOG).unlink(missing_ok=True)
    return nursery.run(*RUN, fault=fault), {line["id"] for line in handed() if "id" in line}


def known(nursery):
    return nursery.known("small/run") if "run.db" in nursery.files("small/run") else {}


def ill_said(full):
    """What is wrong with how a run ended on a full disk."""
    said = [line for line in full.err.splitlines() if "masklet: warning" not in line and line.strip()]
    clean = len(said) == 1 and said[0].startswith("masklet: ") and said[0].endswith(ENDS)
    return [] if clean and full.code == 12 else [f"exit code {full.code}, {full.err!r}"]


def ill_mended(nursery, whole):
    """What is wrong with the same command when there is room again."""
    kept = known(nursery)
    ended, handed_over = run(nursery)
    told = [f"exit code {ended.code}, {ended.err!r}"] if ended.code else []
    told += ["another dataset"] if nursery.files("small/run/dataset") != whole else []
    told += ["a result is lost"] if kept.keys() - known(nursery).keys() else []
    return told + [f"{clip} is computed again" for clip in handed_over & set(kept.values())]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_full_at_twenty_moments(nursery):
    Path("small").mkdir()
    mount(nursery, "-t", "tmpfs", "-o", "size=8m", "masklet", "small")
    dice, wrong, at = random.Random(1), [], Counter()
    ended, _ = run(nursery)
    whole = nursery.files("small/run/dataset")
    commits = [number for number, name in enumerate(ended.sites, 1) if name == "COMMIT"]
    while at.total() < TIMES:
        site = dice.choice(commits) if at.total() % 3 == 0 else dice.randint(1, len(ended.sites))
        nursery.ask("remove", "small/run")
        full, _ = run(nursery, Fault(site, balloon=BALLOON))
        nursery.ask("remove", BALLOON)
        if full.code == 0:  # nothing was left to be written
            continue
        at[ended.sites[site - 1]] += 1
        wrong += [f"{site}, {ended.sites[site - 1]}: {one}" for one in ill_said(full) + ill_mended(nursery, whole)]
    print(f"full {TIMES} times, at {dict(at)}")
    assert wrong == []


@pytest.mark.slow
def test_what_can_only_be_read(nursery):
    """A source is only read; so is a run by all that only tells of it, and by one that reuses it."""
    for place in ("source", "shelf", "closed"):
        Path(place).mkdir(exist_ok=True)
    assert nursery.run(*all_stages.RUN[:-1], "shelf/run").code == 0
    for place in ("source", "shelf", "closed"):
        mount(nursery, "--bind", place, place)
        mount(nursery, "-o", "remount,ro,bind", place)
    began = nursery.run(*all_stages.RUN)
    assert began.code == 0, began.err
    assert nursery.files("run/dataset") == nursery.files("shelf/run/dataset")
    for place in ("closed", "shelf"):
        refused = nursery.run(*all_stages.RUN[:-1], f"{place}/run")
        assert refused.code == 2
        said = f"masklet: {place}/run: cannot be written: Read-only file system; choose another --out"
        assert refused.err.splitlines()[-1] == said
    Path(LOG).unlink(missing_ok=True)
    for words in (
        ("status", "shelf/run", "--ledger"),
        ("plan", "all.yaml", "--out", "shelf/run"),
        ("diff", "shelf/run", "run"),
        ("evaluate", "shelf/run", "--truth", "run/dataset/coco"),
        (*all_stages.RUN[:-1], "other", "--reuse", "shelf/run"),
    ):
        ended = nursery.run(*words)
        assert ended.code == 0, (words, ended.err)
    assert handed() == []
