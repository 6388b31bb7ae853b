"""Are pictures, objects, classes and pixels in a dataset, read back, those that were meant.

Knows no format: it compares the clips that were meant with the clips that a format's `read` gives.
"""

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import zip_longest
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np

from pipeline import masks
from pipeline.formats import Reading
from pipeline.formats.naming import named
from pipeline.records import Clip, Instances, empty, uids

WORST = 10  # rows listed


@dataclass(frozen=True, slots=True)
class Fidelity:
    """How a dataset differs from what was meant.

    pictures, objects   how many were meant
    lost                names of pictures and uids of objects that are not there
    extra               pictures and rows that nobody meant
    wrong_class         objects that came back as another class: uid and that class
    min_iou, mean_iou   overlap of each mask with itself, over the objects that are there
    worst               the objects of lowest overlap, below 1: uid and overlap
    problems            what the reader stumbled over
    least_iou           what the format promises for every object: 1 where masks are run lengths
    """

    pictures: int
    objects: int
    lost: tuple[str, ...]
    extra: tuple[str, ...]
    wrong_class: tuple[tuple[str, str], ...]
    min_iou: float
    mean_iou: float
    worst: tuple[tuple[str, float], ...]
    problems: tuple[str, ...]
    least_iou: float

    @property
    def ok(self) -> bool:
        """Whether what was read is what was meant."""
        return not (self.lost or self.extra or self.wrong_class or self.problems) and self.min_iou >= self.least_iou

    def to_json(self) -> dict[str, Any]:
        """Plain values for summary.json."""
        return {"ok": self.ok} | asdict(self)

    def __str__(self) -> str:
        lists = (self.lost, self.extra, self.wrong_class, self.problems)
        words = ("lost", "extra", "of another class", "not read")
        said = [f"{len(rows)} {word} (first: {rows[0]})" for word, rows in zip(words, lists, strict=True) if rows]
        if self.min_iou < self.least_iou:
            said.append(f"lowest IoU {self.min_iou:.4f} ({self.worst[0][0]})")
        return ", ".join(said) or f"{self.objects} objects in {self.pictures} pictures are as meant"


class _Picture(NamedTuple):
    """What became of the objects of one picture; `there` are those that came back, each with its overlap."""

    lost: list[str]
    extra: list[str]
    wrong_class: list[tuple[str, str]]
    there: list[tuple[str, float]]


def compare(meant: Iterable[Clip], reading: Reading, least_iou: float = 1.0) -> Fidelity:
    """Compare clip by clip: pictures by name and size, objects by their order.

    Both come in nearly the same order; only what waits for its twin is kept. Where a picture came back with more
    or fewer objects, those belong together that overlap most.
    """
    pictures = objects = 0
    lost: list[str] = []
    extra: list[str] = []
    wrong_class: list[tuple[str, str]] = []
    worst: list[tuple[str, float]] = []
    ious = array("d")
    for name, wanted, got in _same_pictures(meant, reading.clips):
        picture = _compared(name, wanted, got)
        pictures += wanted is not None
        objects += len(_found(wanted))
        lost += picture.lost
        extra += picture.extra
        wrong_class += picture.wrong_class
        worst += [(uid, iou) for uid, iou in picture.there if iou < 1]
        worst = sorted(worst, key=itemgetter(1))[:WORST]
        ious.extend(iou for _, iou in picture.there)
    return Fidelity(
        pictures,
        objects,
        tuple(lost),
        tuple(extra),
        tuple(wrong_class),
        min_iou=min(ious, default=1.0),
        mean_iou=sum(ious) / len(ious) if ious else 1.0,
        worst=tuple(worst),
        problems=tuple(map(str, reading.problems)),
        least_iou=least_iou,
    )


def _same_pictures(meant: Iterable[Clip], read: Iterable[Clip]) -> Iterator[tuple[str, Clip | None, Clip | None]]:
    """Each picture that was meant, read or both; a picture of another size is another picture."""
    ours: dict[tuple[str, tuple[int, int]], Clip] = {}
    theirs: dict[tuple[str, tuple[int, int]], Clip] = {}
    for step in zip_longest(named(meant), ((clip.name, clip) for clip in read)):
        for side, arrived in zip((ours, theirs), step, strict=True):
            if arrived:
                key = arrived[0], arrived[1].frames[0].size_hw
                side[key] = arrived[1]
                if key in ours and key in theirs:
                    yield key[0], ours.pop(key), theirs.pop(key)
    yield from ((name, clip, None) for (name, _), clip in ours.items())
    yield from ((name, None, clip) for (name, _), clip in theirs.items())


def _compared(name: str, wanted: Clip | None, got: Clip | None) -> _Picture:
    before, after = _found(wanted), _found(got)
    names = uids(wanted.id if wanted else "", before)
    out = _Picture([] if got else [name], [] if wanted else [name], [], [])
    for row, other in _same_rows(before, after):
        if row is None:
            out.extra.append(f"{name} row {other}")
        elif other is None:
            out.lost.append(names[row])
        else:
            out.there.append((names[row], _overlap(_codes(before)[row], _codes(after)[other], before.size_hw)))
            if before.names[row] != after.names[other]:
                out.wrong_class.append((names[row], after.names[other]))
    return out


def _found(clip: Clip | None) -> Instances:
    return clip.found[0] if clip and clip.found else empty((1, 1))


def _codes(found: Instances) -> tuple[bytes | None, ...]:
    return found.masks if found.masks is not None else (None,) * len(found)


def _overlap(a: bytes | None, b: bytes | None, size_hw: tuple[int, int]) -> float:
    if a == b and a is not None:
        return 1.0
    return float(masks.iou([a], [b], size_hw)[0, 0]) if a and b else 0.0


def _same_rows(before: Instances, after: Instances) -> Iterator[tuple[int | None, int | None]]:
    """Which row came back as which; None stands for a row that did not, or that nobody meant."""
    if len(before) == len(after):
        yield from ((row, row) for row in range(len(before)))
        return
    from scipy.optimize import linear_sum_assignment

    overlap = np.array([[_overlap(a, b, before.size_hw) for b in _codes(after)] for a in _codes(before)])
    overlap = overlap.reshape(len(before), len(after))
    alike = [[a == b for b in after.names] for a in before.names]
    rows, others = linear_sum_assignment(overlap + 0.001 * np.reshape(alike, overlap.shape), maximize=True)
    there = {int(i): int(j) for i, j in zip(rows, others, strict=True) if overlap[i, j] > 0}
    yield from ((row, there.get(row)) for row in range(len(before)))
    yield from ((None, other) for other in range(len(after)) if other not in there.values())
