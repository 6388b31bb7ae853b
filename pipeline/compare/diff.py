"""What differs between two runs: pictures, objects, classes, what was dropped, settings.

Objects are compared in pictures and films that both runs have looked at. Nothing is opened of what is alike.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from pipeline import yamls
from pipeline.compare.objects import Object, matched, objects_of
from pipeline.compare.pairs import Pair, Run, pairs
from pipeline.formats.fidelity import GOOD
from pipeline.store import Store

MOVED_IOU = GOOD
"""An object whose masks overlap less than this has moved: what counts as poor when a dataset is read back."""

LISTED = 10
"""Differences of each kind that are kept as examples, the worst first."""

PICTURES = ("added", "removed", "renamed", "changed")
OBJECTS = ("added object", "removed object", "reclassified", "moved", "reshaped", "rescored")
OTHERWISE = "otherwise"
"""Records differ, and objects do not: in words, boxes or order."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that differs: a whole picture or film (`uid_was` and `uid` are then ''), or an object.

    An object is told once, under the first of `OBJECTS` that holds; `iou` and both scores tell the rest. `picture` is
    the name in the second run; `was` the one before, where it was another. `classes_was` and `classes` count the
    objects of a picture that the other run does not have.
    """

    what: str
    picture: str
    was: str = ""
    uid_was: str = ""
    uid: str = ""
    class_was: str = ""
    class_: str = ""
    iou: float | None = None
    score_was: float | None = None
    score: float | None = None
    classes_was: Mapping[str, int] = field(default_factory=dict)
    classes: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain values, without what does not apply."""
        return {key.rstrip("_"): value for key, value in asdict(self).items() if value not in ("", None, {})}

    @property
    def badness(self) -> tuple[float, str, str]:
        """What orders examples: the lowest overlap, the greatest move of a score, the name."""
        move = 0.0 if self.score is None or self.score_was is None else abs(self.score - self.score_was)
        return (-move if self.what == "rescored" else self.iou or 0.0, self.picture, self.uid or self.uid_was)


@dataclass(slots=True)
class Diff:
    """What differs between the runs in two folders.

    pictures, films   how many are in both, relabelled (of those in both), and so on as `PICTURES` says
    objects           in pictures and films of both: how many of each of `OBJECTS`
    classes           by class: the columns of `CLASS_COLUMNS`; `was` and `is` are what the datasets have
    drops, aside      by stage and reason, by reason: of the first run, of the second
    settings          keys of config.yaml that differ: of the first run, of the second; None is not there
    examples          some of each kind
    """

    was: str
    now: str
    pictures: Counter[str] = field(default_factory=Counter)
    films: Counter[str] = field(default_factory=Counter)
    objects: Counter[str] = field(default_factory=Counter)
    classes: dict[str, Counter[str]] = field(default_factory=dict)
    drops: dict[str, tuple[int, int]] = field(default_factory=dict)
    aside: dict[str, tuple[int, int]] = field(default_factory=dict)
    settings: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    examples: dict[str, list[Difference]] = field(default_factory=dict)

    @property
    def nothing(self) -> bool:
        """Whether nothing differs."""
        return not (self.examples or self.settings or any(a != b for a, b in (self.drops | self.aside).values()))

    def to_json(self) -> dict[str, Any]:
        """Plain values, versioned."""
        plain = {one.name: getattr(self, one.name) for one in fields(self)}  # asdict breaks a Counter
        examples = {what: [one.to_json() for one in some] for what, some in self.examples.items()}
        return {"version": 1, "nothing": self.nothing, **plain, "examples": examples}

    def add(self, one: Difference) -> None:
        """Count a difference, and keep it if it is among the worst of its kind."""
        self.examples[one.what] = sorted([*self.examples.get(one.what, ()), one], key=lambda d: d.badness)[:LISTED]
        if one.what in OBJECTS:
            self.objects[one.what] += 1
        for name, column in _columns(one):
            self._of(name)[column] += 1
        for column, counts in (("pictures gone", one.classes_was), ("new pictures", one.classes)):
            for name, n in counts.items():
                self._of(name)[column] += n

    def _of(self, name: str) -> Counter[str]:
        return self.classes.setdefault(name, Counter())


CLASS_COLUMNS = ("was", "removed", "to other", "pictures gone", "added", "from other", "new pictures", "is", "moved")


def _columns(one: Difference) -> list[tuple[str, str]]:
    """In which columns of which classes an object is counted."""
    return {
        "added object": [(one.class_, "added")],
        "removed object": [(one.class_was, "removed")],
        "reclassified": [(one.class_was, "to other"), (one.class_, "from other")],
        "moved": [(one.class_, "moved")],
    }.get(one.what, [])


def diff(was: Run, now: Run, moved_iou: float = MOVED_IOU) -> Diff:
    """Compare two runs; memory grows with the runs' lists of pictures alone."""
    out = Diff(str(was.folder), str(now.folder))
    for pair in pairs(was.store, now.store):
        found = list(differences(pair, was.store, now.store, moved_iou))
        count = out.films if pair.is_film else out.pictures
        count[pair.what] += 1
        if pair.comparable and not pair.alike:
            count["relabelled"] += 1
        for one in found:
            out.add(one)
    _add_totals(out, was.summary, now.summary)
    out.drops = _both(_flat(was.summary.get("drops", {})), _flat(now.summary.get("drops", {})))
    out.aside = _both(was.summary.get("aside", {}), now.summary.get("aside", {}))
    out.settings = settings(was.folder, now.folder)
    return out


def all_differences(was: Run, now: Run, moved_iou: float = MOVED_IOU) -> Iterator[Difference]:
    """Every difference of pictures and objects, one at a time."""
    for pair in pairs(was.store, now.store):
        yield from differences(pair, was.store, now.store, moved_iou)


def differences(pair: Pair, was: Store, now: Store, moved_iou: float) -> Iterator[Difference]:
    """What differs in one picture or film of two runs."""
    before = pair.was.whole.name if pair.was else ""
    mine, theirs = ([], []) if pair.alike else (objects_of(pair.was, was), objects_of(pair.now, now))
    if pair.what in PICTURES:
        counts = [{}, {}] if pair.comparable else [_counts(mine), _counts(theirs)]
        yield Difference(
            pair.what, pair.name, before if pair.what == "renamed" else "", classes_was=counts[0], classes=counts[1]
        )
    if pair.comparable and not pair.alike:
        of_objects = list(object_differences(pair.name, mine, theirs, moved_iou))
        yield from of_objects or [Difference(OTHERWISE, pair.name)]


def object_differences(
    picture: str, was: list[Object], now: list[Object], moved_iou: float = MOVED_IOU
) -> Iterator[Difference]:
    """What became of the objects of a picture or film that both runs have looked at."""
    twins = matched(was, now)
    for i, j, iou in twins:
        a, b = was[i], now[j]
        what = _what(a, b, iou, moved_iou)
        if what:
            yield Difference(what, picture, "", a.uid, b.uid, a.name, b.name, round(iou, 4), a.score, b.score)
    there = {i for i, _, _ in twins}, {j for _, j, _ in twins}
    for i, a in enumerate(was):
        if i not in there[0]:
            yield Difference("removed object", picture, "", a.uid, "", a.name, "", None, a.score, None)
    for j, b in enumerate(now):
        if j not in there[1]:
            yield Difference("added object", picture, "", "", b.uid, "", b.name, None, None, b.score)


def _what(a: Object, b: Object, iou: float, moved_iou: float) -> str:
    """The first word that holds for an object of both runs, or none."""
    if a.name != b.name:
        return "reclassified"
    if iou < moved_iou:
        return "moved"
    if iou < 1:
        return "reshaped"
    return "rescored" if a.score != b.score else ""


def _counts(found: list[Object]) -> dict[str, int]:
    return dict(sorted(Counter(one.name for one in found).items()))


def _add_totals(out: Diff, was: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Objects by class of both datasets, in the first format that both have; they count an object in every frame."""
    sides = was.get("datasets", {}), now.get("datasets", {})
    for name in [name for name in sides[0] if name in sides[1]][:1]:
        for column, side in zip(("was", "is"), sides, strict=True):
            for class_, n in side[name]["by_class"].items():
                out._of(class_)[column] = n
    out.classes = dict(sorted(out.classes.items()))


def _flat(drops: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    return {f"{stage}: {reason}": n for stage, reasons in drops.items() for reason, n in reasons.items()}


def _both(was: Mapping[str, int], now: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    return {key: (was.get(key, 0), now.get(key, 0)) for key in sorted(was.keys() | now.keys())}


def settings(was: Path, now: Path) -> dict[str, tuple[Any, Any]]:
    """The keys of two runs' config.yaml that differ, dotted, with their values; raises `ConfigError`."""
    a, b = (dict(_leaves(yamls.read(folder / "config.yaml").data, "")) for folder in (was, now))
    return {key: (a.get(key), b.get(key)) for key in sorted(a.keys() | b.keys()) if a.get(key) != b.get(key)}


def _leaves(data: Any, place: str) -> Iterator[tuple[str, Any]]:
    """Every value below mappings, with its dotted place; an empty mapping is a value."""
    if not isinstance(data, dict) or (place and not data):
        yield place, data
        return
    for key, value in data.items():
        yield from _leaves(value, f"{place}.{key}" if place else key)
