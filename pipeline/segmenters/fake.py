"""Masks out of nothing, for tests and dry runs: the box itself, pixels are not looked at."""

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from pipeline import masks
from pipeline.media import Picture
from pipeline.records import Instances
from pipeline.seams import Device
from pipeline.segmenters import SegmenterOptions


class Fake(SegmenterOptions):
    """A mask is every pixel whose centre lies in the box."""

    looks: ClassVar[bool] = False

    def open(self, device: Device) -> "_Fake":
        """Nothing to load."""
        return _Fake()


class _Fake:
    def segment(self, pictures: Sequence[Picture], found: Sequence[Instances]) -> list[Instances]:
        """Fill the boxes; masks that are there stay."""
        return [_filled(picture.size_hw, rows) for picture, rows in zip(pictures, found, strict=True)]


def _filled(size_hw: tuple[int, int], rows: Instances) -> Instances:
    before = rows.masks or (None,) * len(rows)
    codes = (mask or box_mask(box, size_hw) for mask, box in zip(before, rows.boxes_xyxy, strict=True))
    return replace(rows, masks=tuple(codes))


def box_mask(box_xyxy: ArrayLike, size_hw: tuple[int, int]) -> bytes:
    """Encode the pixels whose centre lies in a box: (4,) -> code.

    >>> masks.box(box_mask([1.5, 0.6, 4.4, 3], (5, 5)), (5, 5))
    (1, 1, 4, 3)
    """
    x0, y0, x1, y1 = (int(edge) for edge in np.ceil(np.asarray(box_xyxy, np.float64) - 0.5))
    return masks.encode_crop(np.ones((y1 - y0, x1 - x0), np.bool_), (x0, y0), size_hw)
