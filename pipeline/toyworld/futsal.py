"""Toy futsal: five against five, alike within a team, a referee, and a ball of 6 pixels that moves fast.

What makes real futsal hard for a tracker, and nothing else: upright bars on a plain court.
"""

from dataclasses import replace

import numpy as np

from pipeline.toyworld.actors import Actor, Track, between, moved
from pipeline.toyworld.films import Film, play, stage
from pipeline.toyworld.things import Size, Thing

COURT_HW = (240, 416)
PLAYER_PX, BALL_PX = 13.0, 3.0
"""Radii: a player is 29 pixels tall, the ball 6 wide."""

TEAMS = (("red", 5), ("blue", 5))
UPRIGHT = (0.0, 1.0)
SPEED_PX = 4.0
PASS_PX = (9.0, 20.0)
"""Pixels a frame: how fast people run at most, and how fast a pass is."""


def match(seed: int, number: int, frames: int = 48, size_hw: Size = COURT_HW) -> Film:
    """Draw part `number` of a match: the classes are player, referee and ball, the ball is the last row."""
    rng = np.random.Generator(np.random.PCG64([seed, number]))
    people = [_runner(rng, "player", color, frames, size_hw) for color, count in TEAMS for _ in range(count)]
    places = np.array([[thing.center_xy for thing in actor.path] for actor in people])
    ball = replace(_upright("circle", "orange"), radius_px=BALL_PX)
    flight = moved(ball, _passes(rng, places), np.ones((frames, 1)), 0.0)
    referee = _runner(rng, "referee", "yellow", frames, size_hw)
    return play(rng, [*people, referee, replace(flight, name="ball")], stage(rng, size_hw), 1, teams=True)


def _upright(shape: str, color: str) -> Thing:
    return Thing(shape, color, (0.0, 0.0), PLAYER_PX, UPRIGHT)


def _runner(rng: np.random.Generator, name: str, color: str, frames: int, size_hw: Size) -> Actor:
    """Run from place to place on the court, never faster than people do."""
    size_wh, stretch = np.array([size_hw[1], size_hw[0]]), 8
    knots = [rng.uniform(0.08, 0.92, 2) * size_wh]
    reach_px = SPEED_PX * stretch / 1.5 / 2**0.5  # between knots they are half as fast again as on average
    for _ in range(frames // stretch + 1):
        knots.append(np.clip(knots[-1] + rng.uniform(-reach_px, reach_px, 2), 0.06 * size_wh, 0.94 * size_wh))
    return replace(
        moved(_upright("bar", color), between(np.array(knots), frames), np.ones((frames, 1)), 0.0), name=name
    )


def _passes(rng: np.random.Generator, places: Track) -> Track:
    """Pass from foot to foot: where P players are in T frames, (P, T, 2) -> where the ball is, (T, 2)."""
    feet = places + np.array([0.6 * PLAYER_PX, 0.9 * PLAYER_PX])
    count, frames = feet.shape[:2]
    holder = int(rng.integers(count))
    track = [feet[holder, 0]]
    while len(track) < frames:
        for _ in range(int(rng.integers(2, 6))):
            track.append(_nearer(track[-1], feet[holder, min(len(track), frames - 1)], PASS_PX[1]))
        holder = int((holder + rng.integers(1, count)) % count)
        speed = rng.uniform(*PASS_PX)
        while len(track) < frames and ((track[-1] - feet[holder, len(track)]) ** 2).sum() > speed**2:
            track.append(_nearer(track[-1], feet[holder, len(track)], speed))
    return np.array(track[:frames])


def _nearer(place: Track, goal: Track, step_px: float) -> Track:
    """Go towards a goal by a step at most."""
    way = goal - place
    length = float((way * way).sum()) ** 0.5
    return np.asarray(goal if length <= step_px else place + way * (step_px / length))
