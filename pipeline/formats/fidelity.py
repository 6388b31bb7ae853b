"""Are pictures, objects, classes, identities and pixels in a dataset, read back, those that were meant.

Knows no format: it compares the clips that were meant with the clips that a format's `read` gives.
"""

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import zip_longest
from operator import attrgetter
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from pipeline import geometry, masks
from pipeline.formats import Masks, Reading
from pipeline.formats.naming import named
from pipeline.formats.sides import told
from pipeline.records import Clip, Instances, empty, uids

WORST = 10  # rows listed
GOOD = 0.9
"""Where an outline overlaps its mask less than this, the object has suffered."""
SMALL_PX = 64
"""Objects with fewer pixels are not counted as poor: an outline of six pixels is a matter of taste."""
POOR_SHARE = 0.01
"""Of the objects that are not small so many may be poor, where masks become outlines."""
BOX_IOU = 0.98
"""Boxes are written with so many digits that they overlap at least so much."""


class There(NamedTuple):
    """An object that came back: its uid, the name of its picture, its overlap, and the pixels that were meant."""

    uid: str
    picture: str
    iou: float
    area_px: int


@dataclass(frozen=True, slots=True)
class Fidelity:
    """How a dataset differs from what was meant.

    masks               what the format promises of masks
    pictures, objects   how many were meant; an object in several frames counts in each
    lost                names of pictures and uids of objects that are not there
    extra               pictures and rows that nobody meant
    wrong_class         objects that came back as another class: uid and that class
    wrong_side          pictures of a split dataset that came back on another side, or on none
    min_iou, median_iou, mean_iou   overlap of each mask (or box) with itself, over the objects that are there
    worst               the objects of lowest overlap, below 1
    poor                every object below 0.9
    large               objects of 64 pixels or more
    problems            what the reader stumbled over
    """

    masks: Masks
    pictures: int
    objects: int
    lost: tuple[str, ...]
    extra: tuple[str, ...]
    wrong_class: tuple[tuple[str, str], ...]
    min_iou: float
    median_iou: float
    mean_iou: float
    worst: tuple[There, ...]
    poor: tuple[There, ...]
    large: int
    problems: tuple[str, ...]
    wrong_side: tuple[str, ...] = ()

    @property
    def kept(self) -> bool:
        """Whether overlaps are as the format promises."""
        if self.masks == Masks.OUTLINES:
            return sum(one.area_px >= SMALL_PX for one in self.poor) <= POOR_SHARE * self.large
        return self.min_iou >= (1.0 if self.masks == Masks.EXACT else BOX_IOU)

    @property
    def ok(self) -> bool:
        """Whether what was read is what was meant."""
        return self.kept and not (self.lost or self.extra or self.wrong_class or self.wrong_side or self.problems)

    def to_json(self) -> dict[str, Any]:
        """Plain values for summary.json and export_fidelity.json."""
        return {"ok": self.ok} | asdict(self)

    def __str__(self) -> str:
        lists = (self.lost, self.extra, self.wrong_class, self.wrong_side, self.problems)
        words = ("lost", "extra", "of another class", "on another side", "not read")
        said = [f"{len(rows)} {word} (first: {rows[0]})" for word, rows in zip(words, lists, strict=True) if rows]
        if not self.kept:
            poor = sum(one.area_px >= SMALL_PX for one in self.poor)
            many = f"{poor} of {self.large} below {GOOD}, " if self.masks == Masks.OUTLINES else ""
            said.append(f"{many}lowest IoU {self.min_iou:.4f} ({self.worst[0].uid} in {self.worst[0].picture})")
        return ", ".join(said) or f"{self.objects} objects in {self.pictures} pictures are as meant"


class _Picture(NamedTuple):
    """What became of the objects of one picture."""

    lost: list[str]
    extra: list[str]
    wrong_class: list[tuple[str, str]]
    there: list[There]


def compare(meant: Iterable[Clip], reading: Reading, promise: Masks = Masks.EXACT, stems: bool = False) -> Fidelity:
    """Compare clip by clip: pictures by name and size, objects by their order, objects of a film by identity.

    Both come in nearly the same order; only what waits for its twin is kept. Where a picture came back with more
    or fewer objects, those belong together that overlap most. `stems` as in `naming.named`.
    """
    pictures = objects = large = 0
    lost: list[str] = []
    extra: list[str] = []
    wrong_class: list[tuple[str, str]] = []
    wrong_side: list[str] = []
    sides: set[str] = set()
    worst: list[There] = []
    poor: list[There] = []
    ious = array("d")
    for name, wanted, got in _same_pictures(named(meant, stems), reading.clips):
        picture = _compared(name, wanted, got, boxes=promise == Masks.BOXES)
        pictures += wanted is not None
        sides |= {wanted.side} if wanted else set()
        wrong_side += [name] if wanted and got and wanted.side != got.side else []
        objects += sum(len(found.in_sight()) for found in _found(wanted))
        lost += picture.lost
        extra += picture.extra
        wrong_class += picture.wrong_class
        worst = sorted([*worst, *(one for one in picture.there if one.iou < 1)], key=attrgetter("iou"))[:WORST]
        poor += [one for one in picture.there if one.iou < GOOD]
        large += sum(one.area_px >= SMALL_PX for one in picture.there)
        ious.extend(one.iou for one in picture.there)
    return Fidelity(
        promise,
        pictures,
        objects,
        tuple(lost),
        tuple(extra),
        tuple(wrong_class),
        min_iou=min(ious, default=1.0),
        median_iou=median(ious) if ious else 1.0,
        mean_iou=sum(ious) / len(ious) if ious else 1.0,
        worst=tuple(worst),
        poor=tuple(sorted(poor, key=attrgetter("iou"))),
        large=large,
        problems=tuple(map(str, reading.problems)),
        wrong_side=tuple(wrong_side) if told(sides) else (),
    )


def _same_pictures(
    meant: Iterable[tuple[str, Clip]], read: Iterable[Clip]
) -> Iterator[tuple[str, Clip | None, Clip | None]]:
    """Each picture that was meant, read or both; a picture of another size or length is another picture."""
    ours: dict[tuple[object, ...], tuple[str, Clip]] = {}
    theirs: dict[tuple[object, ...], tuple[str, Clip]] = {}
    for step in zip_longest(meant, ((clip.name, clip) for clip in read)):
        for side, arrived in zip((ours, theirs), step, strict=True):
            if arrived:
                name, clip = arrived
                key = name, clip.frames[0].size_hw, len(clip.frames)
                side[key] = arrived
                if key in ours and key in theirs:
                    yield name, ours.pop(key)[1], theirs.pop(key)[1]
    yield from ((name, clip, None) for name, clip in ours.values())
    yield from ((name, None, clip) for name, clip in theirs.values())


def _compared(name: str, wanted: Clip | None, got: Clip | None, boxes: bool) -> _Picture:
    out = _Picture([] if got else [name], [] if wanted else [name], [], [])
    before, after = _found(wanted), _found(got)
    nothing = empty((1, 1))
    for index, (mine, other) in enumerate(zip_longest(before, after, fillvalue=nothing)):
        at = f" in frame {index}" if max(len(before), len(after)) > 1 else ""
        _compare_frame(out, f"{name}{at}", wanted.id if wanted else "", at, mine.in_sight(), other.in_sight(), boxes)
    return out


def _compare_frame(
    out: _Picture, name: str, clip_id: str, at: str, before: Instances, after: Instances, boxes: bool
) -> None:
    names = [f"{uid}{at}" for uid in uids(clip_id, before)]
    for row, other in _same_rows(before, after, boxes):
        if row is None:
            out.extra.append(f"{name} row {other}")
        elif other is None:
            out.lost.append(names[row])
        else:
            out.there.append(
                There(
                    names[row], name.removesuffix(at), _overlap(before, row, after, other, boxes), _area_px(before, row)
                )
            )
            if before.names[row] != after.names[other]:
                out.wrong_class.append((names[row], after.names[other]))


def _found(clip: Clip | None) -> tuple[Instances, ...]:
    return clip.found if clip else ()


def _code(found: Instances, row: int) -> bytes | None:
    return None if found.masks is None else found.masks[row]


def _box(found: Instances, row: int) -> geometry.Boxes:
    """The box that a dataset has: around the mask, if there is one."""
    code = _code(found, row)
    return found.boxes_xyxy[row] if code is None else np.array(masks.box(code, found.size_hw), np.float32)


def _area_px(found: Instances, row: int) -> int:
    code = _code(found, row)
    return int(geometry.areas(found.boxes_xyxy[row : row + 1])[0]) if code is None else masks.area(code)


def _overlap(before: Instances, row: int, after: Instances, other: int, boxes: bool) -> float:
    if boxes:
        return float(geometry.paired_iou(_box(before, row)[None], _box(after, other)[None])[0])
    a, b = _code(before, row), _code(after, other)
    if a == b and a is not None:
        return 1.0
    return float(masks.iou([a], [b], before.size_hw)[0, 0]) if a and b else 0.0


def _same_rows(before: Instances, after: Instances, boxes: bool) -> Iterator[tuple[int | None, int | None]]:
    """Which row came back as which; None stands for a row that did not, or that nobody meant."""
    if before.track_ids is not None and after.track_ids is not None:
        rows = {int(number): row for row, number in enumerate(before.track_ids)}
        others = {int(number): row for row, number in enumerate(after.track_ids)}
        yield from ((rows.get(number), others.get(number)) for number in sorted(rows.keys() | others.keys()))
    elif len(before) == len(after):
        yield from ((row, row) for row in range(len(before)))
    else:
        there = _alike(before, after, boxes)
        yield from ((row, there.get(row)) for row in range(len(before)))
        yield from ((None, other) for other in range(len(after)) if other not in there.values())


def _alike(before: Instances, after: Instances, boxes: bool) -> dict[int, int]:
    """The rows that overlap most, one with one."""
    from scipy.optimize import linear_sum_assignment

    overlap = np.array(
        [[_overlap(before, row, after, other, boxes) for other in range(len(after))] for row in range(len(before))]
    ).reshape(len(before), len(after))
    same = [[a == b for b in after.names] for a in before.names]
    rows, others = linear_sum_assignment(overlap + 0.001 * np.reshape(same, overlap.shape), maximize=True)
    return {int(i): int(j) for i, j in zip(rows, others, strict=True) if overlap[i, j] > 0}
