"""Masks to polygons on the edges of pixels: what they enclose is the mask, and no pixel more.

Pixels that touch at a corner only are apart, so that what lies between them is outside and no hole.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pipeline import masks

Ring = NDArray[np.int64]
"""Corners (x, y) of a closed outline, each once: (N, 2)."""

RIGHT, DOWN, LEFT, UP = range(4)
"""Ways along an edge, each a turn to the right from the one before; the object is always to the right of the way."""


def outlines(code: bytes, size_hw: masks.Size) -> tuple[list[Ring], list[Ring]]:
    """The outlines around the parts of a mask, clockwise, and those around its holes, the other way round.

    >>> outer, holes = outlines(masks.encode(np.array([[0, 1], [0, 1]], bool)), (2, 2))
    >>> outer[0].tolist(), holes
    ([[1, 0], [2, 0], [2, 2], [1, 2]], [])
    """
    crop, corner_xy = masks.decode_crop(code, size_hw)
    outer: list[Ring] = []
    holes: list[Ring] = []
    for ring in _rings(crop):
        (outer if area_px(ring) > 0 else holes).append(ring + np.array(corner_xy))
    return outer, holes


def area_px(ring: Ring) -> float:
    """What a ring encloses: above 0 where it goes clockwise (the shoelace formula)."""
    (x, y), (next_x, next_y) = ring.T, np.roll(ring, -1, axis=0).T
    return float((x * next_y - next_x * y).sum()) / 2


def _rings(mask: masks.Bits) -> Iterator[Ring]:
    """All closed outlines: (H, W) -> (N, 2) each, those that begin topmost first."""
    ways = _ways(mask)
    while ways[RIGHT]:
        turn, at = RIGHT, next(iter(ways[RIGHT]))
        corners = []
        while at in ways[turn]:
            corners.append(at)
            at = ways[turn].pop(at)
            right, left = (turn + 1) % 4, (turn - 1) % 4
            turn = right if at in ways[right] else left
        yield np.array(corners, np.int64)


def _ways(mask: masks.Bits) -> list[dict[tuple[int, int], tuple[int, int]]]:
    """The straight parts of all outlines, from corner to corner, by way."""
    padded = np.pad(mask, 1)
    over, under = padded[:-1, 1:-1], padded[1:, 1:-1]  # of each edge between rows
    before, behind = padded[1:-1, :-1].T, padded[1:-1, 1:].T  # of each edge between columns
    tops, bottoms = _runs(under & ~over), _runs(over & ~under)
    lefts, rights = _runs(behind & ~before), _runs(before & ~behind)
    return [
        {(x0, y): (x1, y) for y, x0, x1 in tops},
        {(x, y0): (x, y1) for x, y0, y1 in rights},
        {(x1, y): (x0, y) for y, x0, x1 in bottoms},
        {(x, y1): (x, y0) for x, y0, y1 in lefts},
    ]


def _runs(edges: masks.Bits) -> Iterator[tuple[int, int, int]]:
    """The unbroken edges of each row: (M, N) -> row, begin, end."""
    change = np.diff(np.pad(edges, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    (row, begin), (_, end) = np.nonzero(change == 1), np.nonzero(change == -1)
    return zip(row.tolist(), begin.tolist(), end.tolist(), strict=True)
