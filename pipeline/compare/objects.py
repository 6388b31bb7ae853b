"""The objects of a picture or film, and which of them is which in another run.

An object of a picture is a row, one of a film is a track. Objects are told by where they are, never by their number: a
number shifts when an object is added before it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline import masks
from pipeline.labelled import Labelled
from pipeline.records import Clip, Instances, uids
from pipeline.segmenters.fake import box_mask
from pipeline.store import Store

SAME_CLASS_IOU = 0.3
"""Objects of one class that overlap so much may be one object: iou_threshold of SORT's own sort.py."""
OTHER_CLASS_IOU = 0.5
"""Of two classes, they have to overlap more: COCO's lowest threshold of a hit."""

QUALITY = ("iou", "stability", "agreement")
"""The columns of `Instances.quality`."""

Code = tuple[bytes, tuple[int, int]]
"""A mask and the size of its frame."""


@dataclass(slots=True)
class Object:
    """An object of a clip: what it is called, how sure its model was, and its mask in each frame where it is in sight.

    `uid` is `records.uids` in a picture, and clip, class and track number in a film. `score` and `quality` are means
    over frames, None where nobody said.
    """

    uid: str
    name: str
    seen: dict[int, Code] = field(default_factory=dict)
    score: float | None = None
    quality: tuple[float | None, ...] = (None,) * len(QUALITY)


def objects_of(one: Labelled | None, store: Store) -> list[Object]:
    """The objects of a picture or film of a run; of none, none."""
    return [] if one is None else objects(one.replayed(store))


def objects(clip: Clip) -> list[Object]:
    """The objects of a clip that are in sight anywhere in it, in the order of rows, or of tracks."""
    rows: dict[int, list[tuple[int, Instances, int]]] = {}
    for frame, found in zip(clip.frames, clip.found, strict=True):
        tracks = found.track_ids if clip.is_film else None
        for row in range(len(found)):
            if found.visible is None or found.visible[row]:
                rows.setdefault(row if tracks is None else int(tracks[row]), []).append((frame.index, found, row))
    own = [] if clip.is_film or not clip.found else uids(clip.id, clip.found[0])
    return [
        _object(own[number] if own else f"{clip.id}/{at[0][1].names[at[0][2]]}/{number}", at)
        for number, at in sorted(rows.items())
    ]


def _object(uid: str, rows: Sequence[tuple[int, Instances, int]]) -> Object:
    _, first, row = rows[0]
    out = Object(uid, first.names[row], {index: _mask(found, at) for index, found, at in rows})
    scores = [float(found.scores[at]) for _, found, at in rows if found.scores is not None]
    if scores:
        out.score = round(sum(scores) / len(scores), 4)
    quality = np.array([found.quality[at] for _, found, at in rows if found.quality is not None]).reshape(-1, 3)
    known = [column[~np.isnan(column)] for column in quality.T]
    out.quality = tuple(round(float(column.mean()), 4) if len(column) else None for column in known)
    return out


def _mask(found: Instances, row: int) -> Code:
    """The mask of a row; of one that has none, its box."""
    code = None if found.masks is None else found.masks[row]
    return code or box_mask(found.boxes_xyxy[row], found.size_hw), found.size_hw


def matched(was: Sequence[Object], now: Sequence[Object]) -> list[tuple[int, int, float]]:
    """Which object is which, one with one, and how much they overlap: places in `was` and in `now`, IoU.

    Those of one class first, then the others; of each, those that overlap most together.
    """
    iou = overlap(was, now)
    same = np.array([[a.name == b.name for b in now] for a in was], np.bool_).reshape(iou.shape)
    first = _assigned(np.where(same & (iou >= SAME_CLASS_IOU), iou, 0))
    rest = np.where(iou >= OTHER_CLASS_IOU, iou, 0)
    rest[list(first), :] = 0
    rest[:, list(first.values())] = 0
    both = first | _assigned(rest)
    return [(i, both[i], float(iou[i, both[i]])) for i in sorted(both)]


def _assigned(weights: NDArray[np.float64]) -> dict[int, int]:
    """Rows to columns of positive weight, one with one, of the greatest sum."""
    from scipy.optimize import linear_sum_assignment

    chosen = zip(*linear_sum_assignment(weights, maximize=True), strict=True)
    return {int(i): int(j) for i, j in chosen if weights[i, j] > 0}


def overlap(was: Sequence[Object], now: Sequence[Object]) -> NDArray[np.float64]:
    """Overlap of every object with every other, over all frames together: N, M objects -> (N, M)."""
    shared = np.zeros((len(was), len(now)))
    area_was, area_now = np.zeros(len(was)), np.zeros(len(now))
    for index in sorted({index for one in (*was, *now) for index in one.seen}):
        rows, mine = _in_frame(was, index)
        columns, theirs = _in_frame(now, index)
        a, b = _areas(mine), _areas(theirs)
        area_was[rows] += a
        area_now[columns] += b
        if mine and theirs and mine[0][1] == theirs[0][1]:  # else one of them was decoded otherwise
            iou = masks.iou([code for code, _ in mine], [code for code, _ in theirs], mine[0][1])
            shared[np.ix_(rows, columns)] += np.rint(iou / (1 + iou) * (a[:, None] + b[None, :]))  # pixels
    union = area_was[:, None] + area_now[None, :] - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))


def _in_frame(objects: Sequence[Object], index: int) -> tuple[list[int], list[Code]]:
    rows = [row for row, one in enumerate(objects) if index in one.seen]
    return rows, [objects[row].seen[index] for row in rows]


def _areas(codes: Sequence[Code]) -> NDArray[np.float64]:
    return np.array(masks.areas([code for code, _ in codes]) if codes else [], np.float64)
