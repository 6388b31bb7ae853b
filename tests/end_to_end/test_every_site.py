"""Killed at every commit and every rename, and at random: nothing is lost, and the dataset has the same bytes.

Each run is a fork that dies as by `kill -9`; then the same command is given again.
"""

import random
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import all_stages
import pytest
from counting import LOG
from driving import handed
from forking import Ended, Fault, Nursery

from pipeline.formats import publish

COMMITS_AND_RENAMES = {"script", "PRAGMA", "COMMIT", "close", "rename", "replace", "link", "fsync"}
"""After a `BEGIN` is before its `COMMIT`: nothing is on the disk in between."""
ONE_MORE = "ontology={dog: [a dog], cow: [a cow], cat: [a cat, a kitten], bird: [a bird]}"
PAST_THE_END = 1.1
"""Kills are drawn from so many times the length of a run: some come too late, and none is sure to hit."""


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    all_stages.set_up()
    with Nursery() as one:
        yield one


@dataclass(slots=True)
class Attempts:
    """Starts of one command, until it is done: what was kept when each ended, and what was done twice."""

    nursery: Nursery
    words: tuple[str, ...]
    known: dict[str, str] = field(default_factory=dict)
    kept: set[tuple[str, int]] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)

    def start(self, fault: Fault | None = None) -> Ended:
        """Start it once more."""
        Path(LOG).unlink(missing_ok=True)
        before = set(self.known)
        ended = self.nursery.run(*self.words, fault=fault)
        lines = [line for line in handed() if "id" in line]
        self.wrong += [f"{line['what']} {line['name']} again" for line in lines if self.kept & set(frames(line))]
        self.known = self.nursery.known("run")
        self.wrong += [f"{key} is lost" for key in before - self.known.keys()]
        new = {clip for key, clip in self.known.items() if key not in before}
        self.kept |= {one for line in lines if line["id"] in new for one in frames(line)}
        return ended


def frames(line):
    """The pictures and frames that a line of the log is about."""
    return [(line["name"], number) for number in line["frames"]]


def begin(before):
    """The folder of the run: as yesterday's run has left it, or none."""
    shutil.rmtree("run", ignore_errors=True)
    if before:
        shutil.copytree(before, "run")


def attempts(nursery, words, before):
    begin(before)
    return Attempts(nursery, words, nursery.known("run") if before else {})


def undisturbed(nursery, words, before):
    """How the command ends when it is left alone, and all that it leaves in `dataset`."""
    begin(before)
    ended = nursery.run(*words)
    assert ended.code == 0, ended.err
    return ended, nursery.files("run/dataset")


def killed_at_each(nursery, words, before, named):
    """Kill it at each site of these names, before and after the call, and start it again; what went wrong."""
    ended, whole = undisturbed(nursery, words, before)
    wrong, kills = [], 0
    for number, name in enumerate(ended.sites, 1):
        for when in ("before", "after") if name in named else ():
            tries = attempts(nursery, words, before)
            killed = tries.start(Fault(number, when))
            assert killed.killed
            assert killed.sites == ended.sites[:number]
            tries.wrong += [f"{name} is not whole" for name in ("coco", "yolo_seg") if before and not is_whole(name)]
            again = tries.start()
            told = [*tries.wrong, f"ended with {again.code}: {again.err}"] if again.code else tries.wrong
            told += ["another dataset"] if nursery.files("run/dataset") != whole else []
            wrong += [f"{when} {number}, {name}: {one}" for one in told]
            kills += 1
    return kills, wrong


def is_whole(name):
    """Whether yesterday's dataset, or today's, is there with all its files; moved away at worst."""
    place, old = Path("run/dataset", name), Path("run/dataset", f"{name}.old")
    there = place if place.exists() else old
    return publish.made_from(there) is not None and not publish.changed(there)


WAYS = pytest.mark.parametrize(
    ("before", "words", "renames"),
    [
        pytest.param("", (), 2 + 2, id="from nothing"),  # two files are put in place, and two datasets
        pytest.param("yesterday", (ONE_MORE,), 2 + 2 * 2, id="over yesterday's"),  # which move away first
    ],
)


def every(nursery, before, words, renames, named):
    if before:
        assert nursery.run(*all_stages.RUN[:-1], before).code == 0
    words = (*all_stages.RUN, *words)
    ended, _ = undisturbed(nursery, words, before)
    counts = Counter(ended.sites)
    assert counts["rename"] + counts["replace"] == renames
    assert counts["COMMIT"] >= 6
    kills, wrong = killed_at_each(nursery, words, before, named or counts.keys())
    print(f"killed {kills} times at {dict(counts)}")
    assert wrong == []
    assert kills == 2 * sum(count for name, count in counts.items() if name in (named or counts))


@pytest.mark.slow
@pytest.mark.timeout(1200)
@WAYS
def test_killed_at_every_commit_and_rename(nursery, before, words, renames):
    every(nursery, before, words, renames, COMMITS_AND_RENAMES)


@pytest.mark.hours
@pytest.mark.timeout(7200)
@WAYS
def test_killed_wherever_something_is_written_or_removed(nursery, before, words, renames):
    every(nursery, before, words, renames, ())


# At random


def in_the_midst_of(known, whole):
    """What a run that was killed was at."""
    for name in ("yolo_seg", "coco"):
        if Path(f"run/dataset/{name}.new").exists():
            return f"writing {name}"
    if not known:
        return "looking"
    return "labelling" if len(known) < whole else "between"


SLOWLY = tuple(f"{stage}.sleep_s=0.01" for stage in ("detect", "segment", "track"))
"""So that labelling takes most of the time, as it does with models."""


def at_random(nursery, wanted, seed):
    """Kill it so many times, from nothing to its end and over again; what went wrong, and in the midst of what."""
    words, dice = (*all_stages.RUN, *SLOWLY), random.Random(seed)
    undisturbed(nursery, words, "")  # the first one is slower
    ended, whole = undisturbed(nursery, words, "")
    results = len(nursery.known("run"))
    midst, wrong, rounds = Counter(), [], 0
    while midst.total() < wanted:
        tries = attempts(nursery, words, "")
        rounds += 1
        while True:
            late = midst.total() == wanted
            this = tries.start(None if late else Fault(after_s=dice.uniform(0, PAST_THE_END * ended.seconds)))
            if not this.killed:
                break
            midst[in_the_midst_of(tries.known, results)] += 1
        told = [*tries.wrong, f"ended with {this.code}: {this.err}"] if this.code else tries.wrong
        told += ["another dataset"] if nursery.files("run/dataset") != whole else []
        wrong += [f"round {rounds}: {one}" for one in told]
    print(f"{midst.total()} kills in {rounds} rounds: {dict(midst)}")
    return midst, wrong


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_twenty_kills_at_random(nursery):
    midst, wrong = at_random(nursery, 20, seed=1)
    assert wrong == []
    assert midst["labelling"] >= 3


@pytest.mark.hours
@pytest.mark.timeout(3600)
def test_a_hundred_kills_at_random(nursery):
    midst, wrong = at_random(nursery, 100, seed=2)
    assert wrong == []
    assert midst.keys() >= {"looking", "labelling", "writing coco", "writing yolo_seg"}
