"""Where things are, which of them can be seen, and the record of it.

A pixel belongs to the nearest thing that its centre lies in, and truth is what can be seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor

import numpy as np
from numpy.typing import NDArray

from pipeline import masks
from pipeline.records import Instances
from pipeline.toyworld.shapes import REACH, SHAPES

Owner = NDArray[np.int8]
Size = tuple[int, int]

MIN_VISIBLE_PX = 24
MIN_VISIBLE_SHARE = 0.55
"""A thing of which less can be seen is not in the picture at all: one part of a pair is no pair."""


@dataclass(frozen=True, slots=True)
class Thing:
    """One thing of a scene: what, which colour, where, how large, which way it is turned (cosine, sine)."""

    name: str
    color: str
    center_xy: tuple[float, float]
    radius_px: float
    turn: tuple[float, float]

    def window(self, size_hw: Size) -> tuple[slice, slice]:
        """Cut out the rows and columns of a picture outside of which none of it is."""
        reach_px = self.radius_px * REACH
        (x, y), (h, w) = self.center_xy, size_hw
        spans = (
            (min(max(floor(at - reach_px), 0), side), min(max(ceil(at + reach_px), 0), side))
            for at, side in ((y, h), (x, w))
        )
        rows, columns = (slice(*span) for span in spans)
        return rows, columns

    def inside(self, rows: slice, columns: slice) -> NDArray[np.bool_]:
        """Tell which pixel centres of a window of h rows and w columns lie in it: (h, w)."""
        y = np.arange(rows.start, rows.stop)[:, None] + 0.5
        x = np.arange(columns.start, columns.stop)[None] + 0.5
        dx, dy = (x - self.center_xy[0]) / self.radius_px, (y - self.center_xy[1]) / self.radius_px
        cos, sin = self.turn
        return SHAPES[self.name](cos * dx + sin * dy, cos * dy - sin * dx)

    def area_px(self) -> int:
        """Count the pixels that it would have if nothing were before it and no picture ended."""
        (x, y), reach_px = self.center_xy, self.radius_px * REACH
        rows, columns = (slice(floor(at - reach_px), ceil(at + reach_px)) for at in (y, x))
        return int(self.inside(rows, columns).sum())

    def covers(self, size_hw: Size) -> NDArray[np.bool_]:
        """Tell which pixel centres lie in it: (h, w) -> (H, W)."""
        covered = np.zeros(size_hw, np.bool_)
        window = self.window(size_hw)
        covered[window] = self.inside(*window)
        return covered


def nearest(things: Sequence[Thing], size_hw: Size) -> Owner:
    """Tell whose each pixel is: the last thing's that covers it; -1 is background: N things -> (H, W)."""
    owner = np.full(size_hw, -1, np.int8)
    for depth, thing in enumerate(things):
        window = thing.window(size_hw)
        owner[window][thing.inside(*window)] = depth
    return owner


def visible_px(things: Sequence[Thing], owner: Owner) -> NDArray[np.int64]:
    """Count the pixels of each thing that can be seen: N things, (H, W) -> (N,)."""
    return np.bincount(owner.reshape(-1) + 1, minlength=len(things) + 1)[1:]


def in_sight(things: list[Thing], size_hw: Size) -> list[Thing]:
    """Leave out what is hidden; what lies behind it can only be seen better then."""
    seen_px = visible_px(things, nearest(things, size_hw))
    return [
        thing
        for thing, px in zip(things, seen_px, strict=True)
        if px >= max(MIN_VISIBLE_PX, MIN_VISIBLE_SHARE * thing.area_px())
    ]


def truth(things: Sequence[Thing], owner: Owner, least_px: int = 0) -> Instances:
    """Record what can be seen of each thing, the farthest first: N things, (H, W) -> N rows.

    With a limit, rows say whether they are visible: a thing of which fewer pixels can be seen is not.
    """
    size_hw = (owner.shape[0], owner.shape[1])
    visible = visible_px(things, owner) >= least_px
    codes = [_code(thing, owner, depth) for depth, thing in enumerate(things)]
    boxes = [masks.box(code, size_hw) if shown else (0, 0, 0, 0) for code, shown in zip(codes, visible, strict=True)]
    return Instances(
        size_hw,
        np.array(boxes, np.float32).reshape(-1, 4),
        tuple(thing.name for thing in things),
        masks=tuple(code if shown else None for code, shown in zip(codes, visible, strict=True)),
        visible=visible if least_px else None,
        source=("toyworld",) * len(things),
        extra=tuple({"color": thing.color, "depth": depth} for depth, thing in enumerate(things)),
    )


def _code(thing: Thing, owner: Owner, depth: int) -> bytes:
    """Encode what can be seen of a thing."""
    rows, columns = thing.window((owner.shape[0], owner.shape[1]))
    crop = owner[rows, columns] == depth
    return masks.encode_crop(crop, (columns.start, rows.start), (owner.shape[0], owner.shape[1]))
