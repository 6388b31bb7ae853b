"""Who moves through a film, and how: paths of things, one a frame. No pixels."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.toyworld.scenes import any_turn
from pipeline.toyworld.shapes import REACH, SEEN, Kind
from pipeline.toyworld.things import Size, Thing

STRETCH = 12
"""Frames from one place that a thing is on its way to, to the next."""

Track = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Actor:
    """One identity: its class, and what it is in each frame of an act."""

    name: str
    path: tuple[Thing, ...]


def between(knots: Track, length: int) -> Track:
    """Go from knot to knot, slowly at each: K >= 2 knots of D numbers -> (length, D)."""
    place = np.linspace(0, len(knots) - 1, length)
    knot = np.minimum(place.astype(np.int64), len(knots) - 2)
    way = (place - knot)[:, None]
    way = way * way * (3 - 2 * way)
    return np.asarray(knots[knot] * (1 - way) + knots[knot + 1] * way)


def turning(start: tuple[float, float], slope: float, length: int) -> list[tuple[float, float]]:
    """Turn by the same angle from frame to frame, the one whose tangent is `slope`, with no sine."""
    size = (1 + slope * slope) ** 0.5
    cos, sin = 1 / size, slope / size
    turns = [start]
    for _ in range(length - 1):
        x, y = turns[-1]
        x, y = x * cos - y * sin, x * sin + y * cos
        norm = (x * x + y * y) ** 0.5
        turns.append((x / norm, y / norm))
    return turns


def moved(thing: Thing, places_xy: Track, scales: Track, slope: float) -> Actor:
    """Let a thing take (T, 2) places, grow by (T, 1) scales, and turn."""
    turns = turning(thing.turn, slope, len(places_xy))
    steps = zip(places_xy.tolist(), scales[:, 0].tolist(), turns, strict=True)
    path = tuple(
        replace(thing, center_xy=(x, y), radius_px=thing.radius_px * scale, turn=turn) for (x, y), scale, turn in steps
    )
    return Actor(thing.name, path)


def wanderer(rng: np.random.Generator, kind: Kind, length: int, size_hw: Size) -> Actor:
    """Move about inside the picture, turn, grow and shrink."""
    size_wh = np.array([size_hw[1], size_hw[0]])
    knots = [rng.uniform(0.15, 0.85, 2) * size_wh]
    for _ in range(max(1, length // STRETCH)):
        knots.append(np.clip(knots[-1] + rng.uniform(-70, 70, 2), 0.1 * size_wh, 0.9 * size_wh))
    scales = between(rng.uniform(0.75, 1.35, (len(knots), 1)), length)
    slope = float(rng.uniform(-0.1, 0.1))
    return moved(_thing(rng, kind, rng.uniform(14, 34)), between(np.array(knots), length), scales, slope)


def hidden(rng: np.random.Generator, kinds: Sequence[Kind], length: int, size_hw: Size) -> list[Actor]:
    """Two of a kind each: one goes all behind the other, which waits in the middle, and comes out again."""
    h, w = size_hw
    radius_px = float(rng.uniform(12, 20))
    height = rng.uniform(0.35, 0.65) * h
    side = 1 if rng.uniform() < 0.5 else -1
    way_px = 0.36 * w * side
    start, end = (w / 2 - way_px, height + rng.uniform(-20, 20)), (w / 2 + way_px, height + rng.uniform(-20, 20))
    knots = np.array([start, (w / 2, height), (w / 2, height), end])
    ones = np.ones((length, 1))
    behind = moved(_thing(rng, kinds[0], radius_px), between(knots, length), ones, float(rng.uniform(-0.1, 0.1)))
    cover = replace(_thing(rng, (kinds[1][0], "circle"), radius_px * REACH * 1.15), center_xy=(w / 2, height))
    return [behind, moved(cover, np.full((length, 2), cover.center_xy), ones, 0.0)]


def leaver(rng: np.random.Generator, kind: Kind, length: int, size_hw: Size) -> Actor:
    """Leave the picture at a side and come back there, farther up or down."""
    h, w = size_hw
    thing = _thing(rng, kind, float(rng.uniform(14, 26)))
    away = -1.3 * thing.radius_px if rng.uniform() < 0.5 else w + 1.3 * thing.radius_px
    heights = rng.uniform(0.2, 0.8, 4) * h
    inside = rng.uniform(0.35, 0.65, 2) * w
    knots = np.stack([[inside[0], away, away, inside[1]], heights], axis=1)
    return moved(thing, between(knots, length), np.ones((length, 1)), float(rng.uniform(-0.05, 0.05)))


def _thing(rng: np.random.Generator, kind: Kind, radius_px: float) -> Thing:
    """Make a thing that is not anywhere yet."""
    return Thing(kind[1], kind[0], (0.0, 0.0), float(radius_px), any_turn(rng))


def pick(rng: np.random.Generator, count: int, kinds: Sequence[Kind] = SEEN) -> list[Kind]:
    """Choose kinds, no colour twice."""
    colors = rng.permutation(list(dict.fromkeys(color for color, _ in kinds)))[:count]
    return [(str(color), str(rng.choice([shape for one, shape in kinds if one == color]))) for color in colors]
