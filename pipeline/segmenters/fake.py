"""Masks out of nothing, for tests and dry runs: the box itself, pixels are not looked at."""

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline import masks
from pipeline.media import Picture
from pipeline.records import Instances
from pipeline.seams import Device
from pipeline.segmenters import SegmenterOptions, is_anywhere


class Fake(SegmenterOptions):
    """A mask is every pixel whose centre lies in the box."""

    looks: ClassVar[bool] = False
    mends: ClassVar[bool] = True

    def open(self, device: Device) -> "_Fake":
        """Nothing to load."""
        return _Fake()


class _Fake:
    def segment(self, pictures: Sequence[Picture], found: Sequence[Instances]) -> list[Instances]:
        """Fill the boxes; masks that are there stay."""
        return [_filled(picture.size_hw, rows) for picture, rows in zip(pictures, found, strict=True)]

    def mend(self, pictures: Sequence[Picture], found: Sequence[Instances]) -> list[Instances]:
        """Move an edge of the box to each click that is on its wrong side: the nearest one."""
        return [_mended(picture.size_hw, rows) for picture, rows in zip(pictures, found, strict=True)]


def _filled(size_hw: tuple[int, int], rows: Instances) -> Instances:
    before = rows.masks or (None,) * len(rows)
    codes = (mask or box_mask(box, size_hw) for mask, box in zip(before, rows.boxes_xyxy, strict=True))
    return replace(rows, masks=tuple(codes))


def _mended(size_hw: tuple[int, int], rows: Instances) -> Instances:
    codes = []
    before = rows.masks or (None,) * len(rows)
    for code, box, points in zip(before, rows.boxes_xyxy, rows.points or (), strict=True):
        edges = np.array(masks.box(code, size_hw) if code else box, np.float64)
        if not code and is_anywhere(box, size_hw) and points is not None:
            edges = np.concatenate([points[0, :2] - 1, points[0, :2] + 1])
        for x, y, sign in () if points is None else points:
            edges = _with(edges, x, y) if sign > 0 else _without(edges, x, y)
        edges = edges.clip(0, [size_hw[1], size_hw[0]] * 2)
        codes.append(box_mask(edges, size_hw) if (edges[2:] > edges[:2]).all() else masks.NOTHING)
    return replace(rows, masks=tuple(codes))


def _with(edges: NDArray[np.float64], x: float, y: float) -> NDArray[np.float64]:
    """The box, grown as far as a point: (4,) -> (4,)."""
    return np.concatenate([np.minimum(edges[:2], np.floor([x, y])), np.maximum(edges[2:], np.ceil([x, y]))])


def _without(edges: NDArray[np.float64], x: float, y: float) -> NDArray[np.float64]:
    """The box, cut off at a point by the edge that is nearest to it: (4,) -> (4,)."""
    inner = np.array([np.ceil(x), np.ceil(y), np.floor(x), np.floor(y)])
    depth = (inner - edges) * [1, 1, -1, -1]
    if (depth < 0).any():  # the point is not inside
        return edges
    out = edges.copy()
    out[depth.argmin()] = inner[depth.argmin()]
    return out


def box_mask(box_xyxy: ArrayLike, size_hw: tuple[int, int]) -> bytes:
    """Encode the pixels whose centre lies in a box: (4,) -> code.

    >>> masks.box(box_mask([1.5, 0.6, 4.4, 3], (5, 5)), (5, 5))
    (1, 1, 4, 3)
    """
    x0, y0, x1, y1 = (int(edge) for edge in np.ceil(np.asarray(box_xyxy, np.float64) - 0.5))
    return masks.encode_crop(np.ones((y1 - y0, x1 - x0), np.bool_), (x0, y0), size_hw)
