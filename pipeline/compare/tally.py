"""The figures of a run and of its baseline that rules are about, from one walk over both.

What both runs have found alike is opened once. Memory grows with classes, not with pictures.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.compare.diff import object_differences
from pipeline.compare.objects import QUALITY, Object, objects_of
from pipeline.compare.pairs import Pair, pairs
from pipeline.store import Store

CHANGES = ("added object", "removed object", "reclassified", "moved")
"""What counts as a changed object: an outline that is a little different, or a score, does not."""


@dataclass(slots=True)
class Mean:
    """A mean, as it grows."""

    total: float = 0.0
    count: int = 0

    def add(self, value: float | None) -> None:
        """One value more; None is none."""
        if value is not None:
            self.total += value
            self.count += 1

    @property
    def value(self) -> float | None:
        """The mean, of something."""
        return self.total / self.count if self.count else None


@dataclass(slots=True)
class OfClass:
    """The objects of a class, and the means of what models said of them."""

    objects: int = 0
    score: Mean = field(default_factory=Mean)
    quality: tuple[Mean, ...] = field(default_factory=lambda: tuple(Mean() for _ in QUALITY))


@dataclass(slots=True)
class Tally:
    """A run: its pictures and films, how many of them have no object, and its classes."""

    pictures: int = 0
    empty: int = 0
    classes: dict[str, OfClass] = field(default_factory=dict)

    def add(self, found: Sequence[Object]) -> None:
        """One picture or film more."""
        self.pictures += 1
        self.empty += not found
        for one in found:
            of_class = self.classes.setdefault(one.name, OfClass())
            of_class.objects += 1
            of_class.score.add(one.score)
            for mean, value in zip(of_class.quality, one.quality, strict=True):
                mean.add(value)

    def objects(self, name: str) -> int:
        """How many objects of a class there are."""
        return self.classes[name].objects if name in self.classes else 0

    @property
    def empty_rate(self) -> float:
        """The share of pictures and films without an object; of none, 0."""
        return self.empty / self.pictures if self.pictures else 0.0


@dataclass(slots=True)
class Worst:
    """The picture or film in which something is greatest, the first of equals, and words on it."""

    amount: float = 0.0
    picture: str = ""
    words: str = ""

    def see(self, amount: float, picture: str, words: str) -> None:
        """Take it if it is greater."""
        if amount > self.amount:
            self.amount, self.picture, self.words = amount, picture, words

    def __str__(self) -> str:
        return f"{self.picture} ({self.words})" if self.picture else ""


@dataclass(slots=True)
class Figures:
    """A run beside its baseline.

    gone            pictures and films of the baseline whose content the run does not have
    compared        objects in pictures and films of both, what is one object counted once
    changes         of those: how many of each of `CHANGES`
    emptied, most_changed, fewer, more   where it is worst: no object any more; by class
    """

    now: Tally = field(default_factory=Tally)
    was: Tally = field(default_factory=Tally)
    gone: int = 0
    first_gone: str = ""
    compared: int = 0
    changes: Counter[str] = field(default_factory=Counter)
    emptied: Worst = field(default_factory=Worst)
    most_changed: Worst = field(default_factory=Worst)
    fewer: dict[str, Worst] = field(default_factory=dict)
    more: dict[str, Worst] = field(default_factory=dict)

    def add(self, pair: Pair, before: Sequence[Object], after: Sequence[Object], moved_iou: float) -> None:
        """One picture or film of the run, of its baseline or of both."""
        if pair.was:
            self.was.add(before)
        if pair.now:
            self.now.add(after)
        self._add_counts(pair, before, after)
        if pair.comparable:
            changes = [] if pair.alike else object_differences(pair.name, [*before], [*after], moved_iou)
            counts = Counter(one.what for one in changes if one.what in CHANGES)
            objects = len(before) + counts["added object"]  # a twin stands on both sides, and is one
            self.compared += objects
            self.changes += counts
            self.most_changed.see(counts.total(), pair.name, f"{counts.total()} of {objects}")

    def _add_counts(self, pair: Pair, before: Sequence[Object], after: Sequence[Object]) -> None:
        if pair.was and not pair.comparable:
            self.gone += 1
            self.first_gone = self.first_gone or pair.was.whole.name
        if pair.now and not after:
            self.emptied.see(len(before) + 0.5, pair.name, f"{len(before)} -> 0" if pair.was else "no object")
        was, now = (Counter(one.name for one in found) for found in (before, after))
        for name in was.keys() | now.keys():
            words = f"{was[name]} -> {now[name]}"
            self.fewer.setdefault(name, Worst()).see(was[name] - now[name], pair.name, words)
            self.more.setdefault(name, Worst()).see(now[name] - was[name], pair.name, words)


def figures(now: Store, was: Store | None, moved_iou: float) -> Figures:
    """The figures of a run, and of its baseline if there is one."""
    out = Figures()
    before = was or Store(None)
    for pair in pairs(before, now):
        found = objects_of(pair.was, before)
        out.add(pair, found, found if pair.alike else objects_of(pair.now, now), moved_iou)
    return out


def mean_of(tally: Tally, name: str, what: str) -> float | None:
    """The mean score, or one of `QUALITY`, of a class; None where nobody said."""
    of_class = tally.classes.get(name)
    if of_class is None:
        return None
    means: Mapping[str, Mean] = {"score": of_class.score, **dict(zip(QUALITY, of_class.quality, strict=True))}
    return means[what].value
