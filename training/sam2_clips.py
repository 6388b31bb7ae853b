"""Short clips of films as a step for SAM 2: who is where, who is in sight."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import Sam2VideoModel

from pipeline import masks
from pipeline.toyworld.actors import Actor
from pipeline.toyworld.films import STORIES, Film, cast, play, stage
from training.sam2_batch import SIZES_HW, color_of, scaled
from training.sam2_loss import Helpers, judged
from training.sam2_memory import Memory, first, first_masked, follow
from training.sam2_model import IMAGE_PX, MEAN, STD, featured
from training.sam2_prompts import loose

SEED = 8_000_000
"""The films that are learnt from; no other seed draws the same."""

TWINS = 0.3
"""Clips of things that look alike come so much more often: the hardest story, and the last to be learnt."""

FRAMES = 8
LENGTHS = (16, 24, 32, 48)
"""Frames of the films that clips are cut from: the shorter, the faster."""
FOLLOWED = 3
"""Objects followed in a clip."""


@dataclass(frozen=True)
class Clips:
    """C clips of T frames, N objects to follow.

    pixels  (T, C, 3, 192, 192)
    rows    (N,) the clip of each
    masks   (T, N, 192, 192)
    boxes   (T, N, 4) in pixels of 192; zeros where the object cannot be seen
    there   (T, N) 1 or 0; 1 in the first frame
    color   (N,) number of the thing's colour
    """

    pixels: Tensor
    rows: Tensor
    masks: Tensor
    boxes: Tensor
    there: Tensor
    color: Tensor


def clips(number: int, count: int) -> Clips:
    """Draw the clips of step `number`."""
    rng = np.random.Generator(np.random.PCG64([SEED, number]))
    size_hw = SIZES_HW[int(rng.integers(len(SIZES_HW)))]
    shown = [_clip(rng, size_hw) for _ in range(count)]
    rgb = torch.from_numpy(np.stack([film.rgb for film in shown], axis=1)).permute(0, 1, 4, 2, 3).float()
    followed = [_followed(rng, film) for film in shown]
    true = torch.from_numpy(np.concatenate([one[0] for one in followed], axis=1)).float()
    boxes = torch.from_numpy(np.concatenate([one[1] for one in followed], axis=1))
    return Clips(
        (scaled(rgb.flatten(0, 1), IMAGE_PX).unflatten(0, (FRAMES, count)) / 255 - MEAN) / STD,
        torch.arange(count).repeat_interleave(FOLLOWED),
        scaled(true, IMAGE_PX),
        boxes * (IMAGE_PX / torch.tensor([size_hw[1], size_hw[0]] * 2)),
        torch.from_numpy(np.concatenate([one[2] for one in followed], axis=1)).float(),
        torch.from_numpy(np.concatenate([one[3] for one in followed])),
    )


def _clip(rng: np.random.Generator, size_hw: tuple[int, int]) -> Film:
    """Film some frames out of a longer act; after a cut, of another one."""
    story = "twins" if rng.uniform() < TWINS else STORIES[int(rng.integers(len(STORIES)))]
    length = int(rng.choice(LENGTHS))
    start = int(rng.integers(length - FRAMES + 1))
    cut = int(rng.integers(3, FRAMES)) if story == "cut" else FRAMES
    before = play(rng, _piece(cast(rng, story, length, size_hw), start, cut), stage(rng, size_hw), 1)
    if cut == FRAMES:
        return before
    after = play(rng, _piece(cast(rng, story, length, size_hw), 0, FRAMES - cut), stage(rng, size_hw), 10)
    return Film(np.concatenate([before.rgb, after.rgb]), before.found + after.found, (cut,))


def _piece(actors: Sequence[Actor], start: int, length: int) -> list[Actor]:
    """Cut frames out of an act."""
    return [replace(actor, path=actor.path[start : start + length]) for actor in actors]


def _followed(rng: np.random.Generator, film: Film) -> tuple[NDArray[Any], ...]:
    """Choose who is followed, of those in sight at first.

    Their masks (T, K, H, W) and boxes (T, K, 4), who is in sight (T, K), and their colours (K,).
    """
    start = film.found[0]
    rows = rng.permutation(np.flatnonzero(start.visible))  # type: ignore[arg-type]
    h, w = start.size_hw
    true = np.zeros((FRAMES, FOLLOWED, h, w), bool)
    boxes, there = np.zeros((FRAMES, FOLLOWED, 4), np.float32), np.zeros((FRAMES, FOLLOWED), bool)
    color = np.full(FOLLOWED, -1)
    for number in range(FOLLOWED if len(rows) else 0):
        color[number] = color_of(start, int(rows[number % len(rows)]))
        track = start.track_ids[rows[number % len(rows)]]  # type: ignore[index]
        for frame, found in enumerate(film.found):
            for row in np.flatnonzero((found.track_ids == track) & found.visible):
                true[frame, number] = masks.decode((found.masks or ())[row] or masks.NOTHING, found.size_hw)
                boxes[frame, number], there[frame, number] = found.boxes_xyxy[row], True
    return true, boxes, there, color


def loss_of(model: Sam2VideoModel, helpers: Helpers, asked: Clips, number: int) -> dict[str, Tensor]:
    """Follow the objects of a step from their first frame on, and compare with the truth.

    The encoder learns from pictures alone: it is most of the work, and clips show it nothing new.
    """
    with torch.no_grad():
        levels = model.vision_encoder(asked.pixels.flatten(0, 1), return_dict=True)
    seen = featured(model, levels)
    memory, told = Memory(), []
    count = asked.pixels.shape[1]
    random = torch.Generator().manual_seed(SEED + number)
    for now in range(FRAMES):
        frame = seen.of(now * count + asked.rows)
        if now:
            answer = follow(model, memory, frame, now)
        elif number % 3:
            answer = first(model, memory, frame, loose(asked.boxes[0], random))
        else:
            first_masked(model, memory, frame, asked.masks[0])
            continue
        meant = helpers.understood(answer, asked.boxes[now], torch.where(asked.there[now] > 0, asked.color, -1))
        told.append({**judged(answer, asked.masks[now], asked.boxes[now], asked.there[now]), "meant": meant})
    return {key: torch.stack([one[key] for one in told]).mean() for key in told[0]}
