"""Whose a part of a frame is, where several objects claim it: SAM 2 follows each by itself, and look-alikes take both.

Objects share no pixel, and what is not theirs is not remembered, as with SAM 2's `_apply_non_overlapping_constraints`
(sam2_base.py) and in SAM 3 (`_tracker_update_memories`, modeling_sam3_video.py). Those go by the higher logit, which
says nothing of two that look the same; this goes by place. Knows cells of a model's map; knows no model and no film.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from pipeline import pixels

Cells = NDArray[np.bool_]
"""Some cells of a map: (h, w)."""
Distance = NDArray[np.float32]
"""How far each cell of a map is from something: (h, w)."""


def within(shape_hw: tuple[int, int], box_xyxy: Sequence[float], size_hw: tuple[int, int], spill: float) -> Cells:
    """The cells of a picture of `size_hw` that a box lies in which is `spill` of its sides wider, on each side."""
    x0, y0, x1, y1 = box_xyxy
    (h, w), (cell_h, cell_w) = shape_hw, np.divide(size_hw, shape_hw)
    more_x, more_y = spill * (x1 - x0) + cell_w / 2, spill * (y1 - y0) + cell_h / 2
    y, x = (np.arange(h) + 0.5) * cell_h, (np.arange(w) + 0.5) * cell_w
    rows, columns = (y > y0 - more_y) & (y < y1 + more_y), (x > x0 - more_x) & (x < x1 + more_x)
    return np.asarray(rows[:, None] & columns[None])


def from_middle(shape_hw: tuple[int, int], box_xyxy: Sequence[float], size_hw: tuple[int, int]) -> Distance:
    """Distance from the middle of a box, in sides of the box."""
    x0, y0, x1, y1 = box_xyxy
    y, x = ((np.arange(n) + 0.5) * size / n for n, size in zip(shape_hw, size_hw, strict=True))
    rows, columns = np.abs(y - (y0 + y1) / 2) / (y1 - y0), np.abs(x - (x0 + x1) / 2) / (x1 - x0)
    return np.maximum(rows[:, None], columns[None]).astype(np.float32)


def from_place(place: Cells) -> Distance:
    """Distance in cells from the place where an object was; infinite where it was out of sight."""
    if not place.any():
        return np.full(place.shape, np.inf, np.float32)
    cv2 = pixels.opencv()
    away: Distance = cv2.distanceTransform((~place).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return away


def near(cells: Cells, place: Cells, reach: float) -> Cells:
    """What of a claim lies near the box of the place it had, within `reach` of its sides; all, where nothing does."""
    kept = cells.copy()
    for axis in (0, 1):
        there = np.flatnonzero(place.any(axis=1 - axis))
        if not there.size:
            return cells
        more = reach * (there[-1] + 1 - there[0])
        at = np.arange(cells.shape[axis])
        outside = (at < there[0] - more) | (at > there[-1] + more)
        kept[outside if axis == 0 else (slice(None), outside)] = False
    return kept if kept.any() else cells


def shared(
    claims: Mapping[int, Cells], far: Callable[[int], Distance], rivals: Callable[[int, int], bool], rest: float
) -> dict[int, Cells]:
    """Give what rivals claim to the one that it is nearer to, or to both if neither; objects are known by numbers.

    A piece that is less than `rest` of its owner, in a part that is the other's, goes to the other: it is what the
    border between them has cut off. Of several others the nearest gets it. The order of objects changes nothing.
    """
    pairs = [(a, b, claims[a] & claims[b]) for a, b in combinations(sorted(claims), 2)]
    pairs = [(a, b, both) for a, b, both in pairs if both.any() and rivals(a, b)]
    away = {number: far(number) for number in {number for a, b, _ in pairs for number in (a, b)}}
    own = dict(claims)
    for a, b, both in pairs:
        own[a] = own[a] & ~(both & (away[a] > away[b]))
        own[b] = own[b] & ~(both & (away[b] > away[a]))
    moved = [
        (one, other, part & own[one])
        for a, b, both in pairs
        for part in _parts(both)
        for one, other in ((a, b), (b, a))
        if _share(part, own[one]) < rest <= _share(part, own[other])
    ]
    out = dict(own)
    for one, _, piece in moved:
        out[one] = out[one] & ~piece
    for one, other, piece in moved:
        nearer = [also & (away[third] < away[other]) for giver, third, also in moved if giver == one]
        out[other] = out[other] | (piece & ~np.logical_or.reduce(nearer))
    return out


def cells_iou(some: Sequence[Cells]) -> NDArray[np.float64]:
    """Overlap of claims with each other: N times (h, w) -> (N, N)."""
    flat = np.array([cells.reshape(-1) for cells in some] or np.zeros((0, 1)), np.float32)
    both, px = flat @ flat.T, flat.sum(axis=1)
    return np.asarray(both / np.maximum(px[:, None] + px - both, 1), np.float64)


def _share(part: Cells, whole: Cells) -> float:
    return float((part & whole).sum() / max(1, whole.sum()))


def _parts(cells: Cells) -> Iterator[Cells]:
    """The parts that hang together, where there are several."""
    count, labels = pixels.opencv().connectedComponents(cells.astype(np.uint8), connectivity=4)
    return (labels == number for number in range(1, count) if count > 2)
