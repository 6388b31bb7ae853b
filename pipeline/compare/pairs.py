"""A run as others look at it, and which pictures and films of two runs belong together.

A picture is its content: under another name it is renamed, and other bytes under its name are another picture.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from heapq import merge
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

from pipeline.errors import ConfigError
from pipeline.labelled import Labelled, labelled
from pipeline.outcome import read_summary
from pipeline.store import Store

Same = Literal["both", "renamed", "changed", "added", "removed"]


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run, open for reading: its folder, its store, its summary.json."""

    folder: Path
    store: Store
    summary: dict[str, Any]


@contextmanager
def opened(folder: Path) -> Iterator[Run]:
    """Open a run and change nothing of it; raises `ConfigError` where there is none, or it is not finished."""
    summary = read_summary(folder)
    with Store(folder / "run.db", read_only=True) as store:
        if not summary:
            raise ConfigError(f"{folder}: no summary.json there; the run is not finished, run it again")
        yield Run(folder, store, summary)


@dataclass(frozen=True, slots=True)
class Pair:
    """A picture or film of two runs; `was` is None where the first run has none, `now` where the second has none.

    'changed' has other bytes under the same name on both sides; in all else with two sides the content is the same.
    """

    what: Same
    was: Labelled | None
    now: Labelled | None

    @property
    def name(self) -> str:
        """The name in the second run, or in the first where the second has none."""
        one = self.now or self.was
        assert one
        return one.whole.name

    @property
    def is_film(self) -> bool:
        """Whether it is a film."""
        one = self.now or self.was
        assert one
        return one.whole.is_film

    @property
    def comparable(self) -> bool:
        """Whether both runs have looked at the same content."""
        return self.what in ("both", "renamed")

    @property
    def alike(self) -> bool:
        """Whether both runs have found the same in the same content; no result is opened to know it."""
        return self.was is not None and self.now is not None and self.was.digest == self.now.digest


def pairs(was: Store, now: Store) -> Iterator[Pair]:
    """Every picture and film of two runs, in the order of names; last come those that have no twin of their name.

    What is held in memory are the runs' lists, and what waits for a twin of its content.
    """
    gone: dict[str, Labelled] = {}
    new: dict[str, Labelled] = {}
    sides = merge(((0, one) for one in labelled(was)), ((1, one) for one in labelled(now)), key=_name)
    for _, same_name in groupby(sides, key=_name):
        here = dict(same_name)
        if len(here) == 2 and here[0].whole.id == here[1].whole.id:
            yield Pair("both", here[0], here[1])
            continue
        gone.update({one.whole.id: one for side, one in here.items() if side == 0})
        new.update({one.whole.id: one for side, one in here.items() if side == 1})
    yield from _late(gone, new)


def _name(side: tuple[int, Labelled]) -> str:
    return side[1].whole.name


def _late(gone: dict[str, Labelled], new: dict[str, Labelled]) -> Iterator[Pair]:
    """Those that have no twin of their name and content: by content, then by name, then alone."""
    for id_ in [id_ for id_ in new if id_ in gone]:
        yield Pair("renamed", gone.pop(id_), new.pop(id_))
    names = {one.whole.name: one for one in gone.values()}
    for one in new.values():
        before = names.pop(one.whole.name, None)
        yield Pair("changed" if before else "added", before, one)
    yield from (Pair("removed", one, None) for one in names.values())
