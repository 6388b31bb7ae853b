"""How things look: colours, light, texture and noise.

No sine, no logarithm and no matrix product: they differ from machine to machine in the last bit.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipeline.toyworld.shapes import COLORS
from pipeline.toyworld.things import Owner, Size, Thing

Plane = NDArray[np.float32]
Index = NDArray[np.int64]

NOISE = 0.6
"""Grey levels a step of the grain: sums of two numbers from 0 to 15 spread by 3.9 levels."""


def paint(rng: np.random.Generator, things: Sequence[Thing], owner: Owner) -> NDArray[np.uint8]:
    """Give every pixel its thing's colour, lit unevenly, and noise: N things, (H, W) -> (H, W, 3)."""
    size_hw = (owner.shape[0], owner.shape[1])
    picture = background(rng, size_hw)
    light = texture(rng, size_hw, {64: 8.0, 8: 5.0})
    cover(picture, things, owner, tints(rng, things), light)
    return developed(rng, picture)


def tints(rng: np.random.Generator, things: Sequence[Thing]) -> Plane:
    """Mix each thing's own colour, a little off the name's: N things -> (N, 3)."""
    own = np.array([COLORS[thing.color] for thing in things], np.float32).reshape(-1, 3)
    return own + rng.uniform(-12, 12, own.shape).astype(np.float32)


def cover(picture: Plane, things: Sequence[Thing], owner: Owner, tint: Plane, light: Plane) -> None:
    """Paint things over a background, in place: (H, W, 3), N things, (H, W), (N, 3), (H, W)."""
    for depth, thing in enumerate(things):
        window = thing.window((owner.shape[0], owner.shape[1]))
        own = owner[window] == depth
        picture[window][own] = light[window][own][:, None] + tint[depth]


def developed(rng: np.random.Generator, picture: Plane) -> NDArray[np.uint8]:
    """Add grain and round: (H, W, 3) -> (H, W, 3)."""
    grain = rng.integers(0, 256, picture.shape, np.uint8)
    noisy = picture + ((grain & 15) + (grain >> 4)) * np.float32(NOISE)
    noisy += np.float32(0.5 - 15 * NOISE)  # 15 is the mean of the grain; casting cuts off
    return np.clip(noisy, 0, 255, out=noisy).astype(np.uint8)


def background(rng: np.random.Generator, size_hw: Size) -> Plane:
    """Paint one muted tone that turns into another, with patches and grain: (h, w) -> (H, W, 3)."""
    one, other = ((rng.uniform(80, 170) + rng.uniform(-22, 22, 3)).astype(np.float32) for _ in range(2))
    y, x = (np.linspace(-1, 1, side, dtype=np.float32) for side in size_hw)
    down, right = rng.uniform(-1, 1, 2).astype(np.float32)
    slope = 0.5 + 0.25 * (down * y[:, None] + right * x)
    shade = texture(rng, size_hw, {56: 16.0, 20: 9.0, 7: 6.0, 3: 4.0})
    return np.asarray(one + slope[..., None] * (other - one) + shade[..., None])


def texture(rng: np.random.Generator, size_hw: Size, amplitude_of_cell_px: dict[int, float]) -> Plane:
    """Add up smooth noise of several scales: (h, w) -> (H, W), within the sum of the amplitudes of 0."""
    total = np.zeros(size_hw, np.float32)
    for cell_px, amplitude in amplitude_of_cell_px.items():
        count = (size_hw[0] // cell_px + 2, size_hw[1] // cell_px + 2)
        knots = rng.uniform(-amplitude, amplitude, count).astype(np.float32)
        (top, down), (left, right) = (blend(side, cell_px) for side in size_hw)
        rows = knots[top] * (1 - down[:, None]) + knots[top + 1] * down[:, None]
        total += rows[:, left] * (1 - right) + rows[:, left + 1] * right
    return total


@lru_cache(maxsize=32)  # the sides of two sizes of picture, at all scales
def blend(pixels: int, cell_px: int) -> tuple[Index, Plane]:
    """Place pixels between knots: the knot before each, and how far on its smooth way to the next, 0 to 1."""
    place = np.arange(pixels) / cell_px
    knot = place.astype(np.int64)
    way = place - knot
    return knot, (way * way * (3 - 2 * way)).astype(np.float32)
