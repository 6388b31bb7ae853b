"""Open, probe and decode pictures: RGB, upright, bounded."""

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.records import Clip, Frame

Rgb = NDArray[np.uint8]

VERSION = 1
"""Raised when decoding may give other pixels: part of the key of every stage that looks at pixels."""


class Picture:
    """One frame of a clip, decoded when somebody first looks at it, and once."""

    def __init__(self, clip: Clip, frame: Frame | None = None) -> None:
        self.clip = clip
        self.frame = frame or clip.frames[0]

    @classmethod
    def of(cls, rgb: Rgb, name: str = "") -> "Picture":
        """A picture that is in memory already: (H, W, 3) RGB."""
        frame = Frame(0, 0.0, (rgb.shape[0], rgb.shape[1]))
        picture = cls(Clip("", name, "", (frame,)))
        picture.__dict__["rgb"] = rgb
        return picture

    @property
    def size_hw(self) -> tuple[int, int]:
        """Upright height and width, known without decoding."""
        return self.frame.size_hw

    @cached_property
    def rgb(self) -> Rgb:
        """The pixels: (H, W, 3) uint8 RGB, upright. Raises `BadMedia`."""
        raise NotImplementedError
