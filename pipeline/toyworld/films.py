"""Films with exact truth, from a seed: who is where, who can be seen, and who is who.

A film is one act, or two with a scene cut between them. Nobody of one act is in another.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from pipeline.records import Instances
from pipeline.toyworld.actors import Actor, hidden, leaver, pick, wanderer
from pipeline.toyworld.paint import Plane, background, cover, developed, texture, tints
from pipeline.toyworld.scenes import SIZE_HW
from pipeline.toyworld.shapes import SEEN, Kind
from pipeline.toyworld.things import Owner, Size, Thing, nearest, truth

Story = Literal["wandering", "twins", "hiding", "leaving", "cut"]
STORIES: tuple[Story, ...] = get_args(Story)
"""Moving, turning and scaling; the same with two that look alike; going all behind another; out and back; a cut."""

VISIBLE_PX = 6
"""A thing of which less can be seen is not visible in the frame."""


@dataclass(frozen=True, slots=True, eq=False)
class Film:
    """Frames (T, H, W, 3) uint8 RGB, the truth of each, and the frames that a scene begins with, but the first.

    A row of the truth is an identity of the scene, visible or not, in the order of `track_ids`.
    """

    rgb: NDArray[np.uint8]
    found: tuple[Instances, ...]
    cuts: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Set:
    """What an act is played before: the background (H, W, 3) and the light (H, W)."""

    backdrop: Plane
    light: Plane


def film(
    seed: int,
    number: int,
    story: Story | None = None,
    frames: int = 48,
    size_hw: Size = SIZE_HW,
    kinds: Sequence[Kind] = SEEN,
) -> Film:
    """Draw film `number` of a world; the story is drawn too, if none is given."""
    rng = np.random.Generator(np.random.PCG64([seed, number]))
    drawn = STORIES[int(rng.integers(len(STORIES)))]
    story = story or drawn
    cut = int(frames * rng.uniform(0.35, 0.65)) if story == "cut" else frames
    acts = [cast(rng, story, length, size_hw, kinds) for length in (cut, frames - cut) if length]
    parts, first = [], 1
    for actors in acts:
        parts.append(play(rng, actors, stage(rng, size_hw), first))
        first += len(actors)
    rgb = np.concatenate([part.rgb for part in parts])
    return Film(rgb, tuple(found for part in parts for found in part.found), (cut,) if len(parts) > 1 else ())


def cast(
    rng: np.random.Generator, story: Story, length: int, size_hw: Size, kinds: Sequence[Kind] = SEEN
) -> list[Actor]:
    """Give out the parts of an act, the farthest first."""
    chosen = pick(rng, 4, kinds)
    others = [wanderer(rng, kind, length, size_hw) for kind in chosen[2 : 3 + int(rng.integers(2))]]
    if story == "hiding":
        return [*others[:1], *hidden(rng, chosen[:2], length, size_hw)]
    if story == "leaving":
        return [*others, leaver(rng, chosen[0], length, size_hw)]
    if story == "twins":
        return [*others, *(wanderer(rng, chosen[0], length, size_hw) for _ in range(2))]
    return [*others, wanderer(rng, chosen[0], length, size_hw)]


def stage(rng: np.random.Generator, size_hw: Size) -> Set:
    """Build what an act is played before."""
    return Set(background(rng, size_hw), texture(rng, size_hw, {64: 8.0, 8: 5.0}))


def play(rng: np.random.Generator, actors: Sequence[Actor], scenery: Set, first_id: int, teams: bool = False) -> Film:
    """Paint an act frame by frame. In `teams` who stands lower is nearer, and all of a colour look the same."""
    colors = [actor.path[0].color for actor in actors]
    tint = tints(rng, [actor.path[0] for actor in actors])
    if teams:
        tint = tint[[colors.index(color) for color in colors]]
    rgb, found = [], []
    for things in zip(*(actor.path for actor in actors), strict=True):
        feet = [thing.center_xy[1] + thing.radius_px for thing in things]
        order = np.argsort(feet, kind="stable") if teams else np.arange(len(things))
        by_depth = [things[row] for row in order]
        owner = nearest(by_depth, scenery.light.shape)
        picture = scenery.backdrop.copy()
        cover(picture, by_depth, owner, tint[order], scenery.light)
        rgb.append(developed(rng, picture))
        rank = np.argsort(order)
        found.append(_recorded([actor.name for actor in actors], things, owner, rank, first_id))
    return Film(np.stack(rgb), tuple(found))


def _recorded(
    names: Sequence[str], things: Sequence[Thing], owner: Owner, rank: NDArray[np.int64], first_id: int
) -> Instances:
    """Record a frame: a row for each actor, in the order of their numbers."""
    by_depth = [things[row] for row in np.argsort(rank)]
    seen = truth(by_depth, owner, VISIBLE_PX)
    rows = seen.take(rank)
    return replace(rows, names=tuple(names), track_ids=np.arange(first_id, first_id + len(names)))
