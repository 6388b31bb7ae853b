"""Pictures and boxes to masks: the seam, and the table of backends."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

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


class SegmenterOptions(Options):
    """A segmenter's options."""

    def open(self, device: Device) -> Segmenter:
        """Load what is heavy."""
        raise NotImplementedError


def bare(found: Instances) -> list[int]:
    """The rows that want a mask: in sight, and without one."""
    codes = found.masks or (None,) * len(found)
    visible = np.ones(len(found), np.bool_) if found.visible is None else found.visible
    return [row for row, code in enumerate(codes) if code is None and visible[row]]
