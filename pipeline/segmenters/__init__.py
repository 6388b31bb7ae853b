"""Pictures and boxes to masks: the seam, and the table of backends."""

from collections.abc import Sequence
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.media import Picture
from pipeline.records import Instances
from pipeline.seams import Device, Options

SEGMENTERS = {
    "fake": "pipeline.segmenters.fake:Fake",
    "grabcut": "pipeline.segmenters.grabcut:Grabcut",
    "sam2": "pipeline.segmenters.sam2:Sam2",
}


class Segmenter(Protocol):
    """Finds the pixels of what a box or points mark."""

    def segment(self, pictures: Sequence[Picture], found: Sequence[Instances]) -> list[Instances]:
        """Masks for the rows that have none: same pictures, same rows, same order.

        A row's mask may come out empty; the stage drops the row and says so. `quality` may be filled: its third column,
        the agreement of box and mask, is the stage's.
        """
        ...


class Mender(Protocol):
    """A segmenter that can be asked again with clicks, as its options say with `mends`."""

    def mend(self, pictures: Sequence[Picture], found: Sequence[Instances]) -> list[Instances]:
        """Another mask for every row, from its `points` and the mask that it has, if it has one.

        Same pictures, same rows, same order. A box of the whole picture stands where nobody knows the box.
        """
        ...


class SegmenterOptions(Options):
    """A segmenter's options."""

    mends: ClassVar[bool] = False
    """Whether what it opens is a `Mender`, too."""

    def open(self, device: Device) -> Segmenter:
        """Load what is heavy."""
        raise NotImplementedError


def bare(found: Instances) -> list[int]:
    """The rows that want a mask: in sight, and without one."""
    codes = found.masks or (None,) * len(found)
    visible = np.ones(len(found), np.bool_) if found.visible is None else found.visible
    return [row for row, code in enumerate(codes) if code is None and visible[row]]


def is_anywhere(box_xyxy: NDArray[np.float32], size_hw: tuple[int, int]) -> bool:
    """Whether a box is the whole picture, which stands where nobody knows the box."""
    return bool(np.array_equal(box_xyxy, (0, 0, size_hw[1], size_hw[0])))
