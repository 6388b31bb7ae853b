"""What the page shows of a run: bounded lists, filled while the run goes by once. Memory does not grow with it."""

import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np

from pipeline import geometry
from pipeline.dedupe import TWINS
from pipeline.records import Clip, Instances, uids
from pipeline.report.page import doubts

SHARES = {"check": 0.25, "worst": 0.25, "random": 0.15, "classes": 0.15, "duplicates": 0.1, "dropped": 0.1}
"""How the pictures of the page are shared among its galleries."""
POOL = 4
"""So many times as many doubtful objects of a class are kept as are shown: the most different of them are."""
SIDE_BY_SIDE = (*TWINS, "part_of_another", "around_others", "negative")
"""Drops that are shown beside what stayed in their place."""
NEARLY = "below_threshold"
"""Of drops for this reason the page shows those of highest score; of others, any."""


class Spot(NamedTuple):
    """A row of a run: in which picture or film, at which place of its frames. Row -1 stands for the whole picture."""

    name: str
    at: int
    row: int


class Lost(NamedTuple):
    """An object that went: in which part of its clip, after how many results there, which of the drops; and why."""

    name: str
    part: int
    step: int
    drop: int
    stage: str
    reason: str


class Seen(NamedTuple):
    """An object of a picture, or of a film: by measure how doubtful it is, and where that is seen best."""

    label: str
    doubts: Mapping[str, tuple[float, Spot]]
    features: tuple[float, ...]


class Best:
    """The few things of highest value; ties go by what they are, so that the order of arrival changes nothing."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._heap: list[tuple[float, Any]] = []

    def add(self, value: float, what: Any) -> None:
        """Keep it, if it is among the best so far."""
        if len(self._heap) < self.most:
            heapq.heappush(self._heap, (value, what))
        elif self._heap and value >= self._heap[0][0]:
            heapq.heappushpop(self._heap, (value, what))

    def ranked(self) -> list[Any]:
        """The best first."""
        return [what for _, what in sorted(self._heap, reverse=True)]


def luck(seed: int, *what: object) -> float:
    """A number from 0 to 1 that looks random, and is the same every time."""
    digest = blake2b(repr((seed, *what)).encode("utf-8", "backslashreplace"), digest_size=6).digest()
    return int.from_bytes(digest, "big") / 2**48


@dataclass(slots=True)
class Picks:
    """The lists of a run; `most` pictures are shown altogether."""

    most: int
    seed: int
    worst: dict[str, Best] = field(default_factory=dict)
    unsure: dict[str, Best] = field(default_factory=dict)
    of_class: dict[str, Best] = field(default_factory=dict)
    lost: dict[str, Best] = field(default_factory=dict)
    chance: Best = field(init=False)

    def __post_init__(self) -> None:
        self.chance = Best(self.room("random"))

    def room(self, gallery: str) -> int:
        """How many pictures a gallery has at most."""
        return max(1, int(self.most * SHARES[gallery]))

    def add(self, clip: Clip, objects: Iterable[Seen]) -> None:
        """Take down a picture or film, and its objects."""
        at = int(luck(self.seed, clip.id, "frame") * len(clip.frames))
        self.chance.add(luck(self.seed, clip.id), Spot(clip.name, at, -1))
        for one in objects:
            for measure, (value, spot) in one.doubts.items():
                if measure != "together":
                    self.worst.setdefault(measure, Best(self.room("worst"))).add(value, spot)
            value, spot = one.doubts["together"]
            unsure = self.unsure.setdefault(one.label, Best(POOL * self.room("check")))
            unsure.add(value, (spot, one.features))
            of_class = self.of_class.setdefault(one.label, Best(self.room("classes")))
            of_class.add(luck(self.seed, *spot), spot)

    def add_lost(self, lost: Lost, score: float | None) -> None:
        """Take down an object that went."""
        value = score if lost.reason == NEARLY and score is not None else luck(self.seed, *lost)
        self.lost.setdefault(lost.reason, Best(self.room("dropped"))).add(value, lost)

    def worst_first(self) -> Iterator[tuple[Spot, list[str]]]:
        """The worst of each measure, then the second worst...; each object once, with every measure it is bad by."""
        ranked = {measure: best.ranked() for measure, best in sorted(self.worst.items())}
        why: dict[Spot, list[str]] = {}
        for measure, spots in ranked.items():
            for spot in spots:
                why.setdefault(spot, []).append(measure)
        yield from [(spot, why[spot]) for spot in in_turn(ranked.values())][: self.room("worst")]

    def to_check(self) -> Iterator[Spot]:
        """Doubtful objects, unlike each other, of all classes in turn."""
        room = self.room("check")
        each = max(1, room // max(1, len(self.unsure)))
        names = sorted(self.unsure, key=lambda name: (-max(self.unsure[name]._heap)[0], name))
        yield from in_turn([unlike(self.unsure[name].ranked()[: POOL * each], room) for name in names])[:room]

    def a_few_of_each(self) -> Iterator[tuple[str, Spot]]:
        """Some objects of each class, as chance has it."""
        names = sorted(self.of_class)
        chosen = in_turn([[(name, spot) for spot in self.of_class[name].ranked()] for name in names])
        yield from sorted(chosen[: self.room("classes")], key=lambda pair: pair[0])


def in_turn(lists: Iterable[list[Any]]) -> list[Any]:
    """The first of each list, then the second of each; what comes again is left out.

    >>> in_turn([[1, 2, 3], [4], [2, 5]])
    [1, 4, 2, 5, 3]
    """
    lists = [*lists]
    longest = max(map(len, lists), default=0)
    return [*dict.fromkeys(one[place] for place in range(longest) for one in lists if place < len(one))]


def unlike(ranked: list[tuple[Spot, tuple[float, ...]]], most: int) -> list[Spot]:
    """The most doubtful object, then each time the one that is least like those before it (size, form, place, score).

    Objects of a picture that is there already come last.
    """
    table = np.array([features for _, features in ranked], np.float64).reshape(len(ranked), -1)
    spread = table.std(axis=0)
    table = table / np.where(spread > 0, spread, 1)
    chosen: list[int] = []
    far = np.full(len(ranked), np.inf)
    while len(chosen) < min(most, len(ranked)):
        place = int(np.argmax(far))
        chosen.append(place)
        far = np.minimum(far, np.linalg.norm(table - table[place], axis=1))
        same = [spot.name == ranked[place][0].name for spot, _ in ranked]
        far[same] = np.minimum(far[same], 0)
        far[chosen] = -1
    return [ranked[place][0] for place in chosen]


def objects_of(
    clip: Clip,
    lowest: Mapping[str, float],
    outlines: Mapping[str, float],
    flips: Mapping[int, tuple[int, int]],
) -> list[Seen]:
    """The objects of a clip with their doubts.

    `lowest` are thresholds by class; `outlines` what polygons lost, by uid; `flips` how often the class of a track
    changes, and at which place of the frames first.
    """
    objects: dict[int, Seen] = {}
    for at, found in enumerate(clip.found):
        measured = doubts.of(found, lowest)
        measured["together"] = doubts.together(measured, len(found))
        if outlines:
            where = f" in frame {at}" if clip.is_film else ""
            measured["outline"] = np.array([outlines.get(uid + where, np.nan) for uid in uids(clip.id, found)])
        features = _features(found)
        for row in range(len(found)):
            if found.visible is not None and not found.visible[row]:
                continue
            spot = Spot(clip.name, at, row)
            number = row if found.track_ids is None else int(found.track_ids[row])
            known = {m: (float(v[row]), spot) for m, v in measured.items() if not np.isnan(v[row])}
            if number in flips and flips[number][1] == at:
                known["flips"] = float(flips[number][0]), spot
            before = objects.get(number)
            if before is None or known["together"] > before.doubts["together"]:
                whole = Seen(found.names[row], {}, features[row])
            else:
                whole = before
            older = before.doubts if before else {}
            objects[number] = whole._replace(doubts={**older, **{m: max(v, older.get(m, v)) for m, v in known.items()}})
    return list(objects.values())


def _features(found: Instances) -> list[tuple[float, ...]]:
    """Size, form, place and score of each row, each about from 0 to 1."""
    h, w = found.size_hw
    boxes = found.boxes_xyxy.astype(np.float64)
    sides = (boxes[:, 2:] - boxes[:, :2]).clip(1e-3)
    scores = np.zeros(len(found)) if found.scores is None else found.scores
    size = np.log(geometry.areas(found.boxes_xyxy).clip(1e-3) / (h * w))
    table = [size, np.log(sides[:, 0] / sides[:, 1]), boxes[:, ::2].mean(1) / w, boxes[:, 1::2].mean(1) / h, scores]
    return [tuple(map(float, line)) for line in np.transpose(table).round(6)]
