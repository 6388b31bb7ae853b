"""Crops, words and right answers of a step, as tensors for CLIP."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import CLIPImageProcessorPil

from pipeline import geometry
from pipeline.pixels import Rgb
from pipeline.toyworld.scenes import Scene, scene
from pipeline.toyworld.shapes import COLORS, SHAPES
from pipeline.verifiers.crops import crop
from training.owlv2_batch import kinds
from training.phrases import Query, dressed, queries

SEED = 14_000_000
"""The world that is learnt from; no other seed draws the same pictures."""

IMAGE_PX, PATCH_PX = 48, 8
MARGIN = 0.1
"""As in the verifier's options."""
JITTER = 0.12
"""How far a detector's edge may be off, in sides of the box."""
PLACES = 2
"""Boxes in a picture that have nothing in them."""
FILL = (122, 116, 104)
"""CLIP's mean colour, of 255."""
BACKGROUND = ("background", "nothing", "an empty place")
OTHERWISE = "something else"
"""What fits an object less than its names, and better than all that it is not."""


@dataclass(frozen=True)
class Batch:
    """N crops, T texts.

    pixels        (N, 3, 48, 48)
    asked         T
    fits          (N, T) of 0 and 1
    shape, color  (N,) numbers; -1 where there is nothing
    """

    pixels: Tensor
    asked: list[str]
    fits: Tensor
    shape: Tensor
    color: Tensor


def batch(number: int, pictures: int, images: CLIPImageProcessorPil) -> Batch:
    """Draw the pictures of step `number`, cut them up, and ask; the last text is `OTHERWISE`."""
    rng = np.random.Generator(np.random.PCG64([SEED + 1, number]))
    asked = queries(rng)
    scenes = [scene(SEED, number * pictures + one, crowd=1 + one % 2) for one in range(pictures)]
    looks = [(cut, kind) for one in scenes for cut, kind in crops(rng, one)]
    empty = Query(dressed(rng, str(rng.choice(BACKGROUND))), frozenset())
    fits = [[kind in query.kinds for query in asked] + [kind is None, False] for _, kind in looks]
    shapes, colors = list(SHAPES), list(COLORS)
    return Batch(
        pixels([cut for cut, _ in looks], images),
        [sentence(rng, text) for text in [*(query.text for query in [*asked, empty]), dressed(rng, OTHERWISE)]],
        torch.tensor(fits, dtype=torch.float32),
        torch.tensor([-1 if kind is None else shapes.index(kind[1]) for _, kind in looks]),
        torch.tensor([-1 if kind is None else colors.index(kind[0]) for _, kind in looks]),
    )


def sentence(rng: np.random.Generator, text: str) -> str:
    """Put every other phrase into the verifier's sentence."""
    return f"a photo of {text}" if rng.uniform() < 0.5 and not text.startswith("a photo") else text


def crops(rng: np.random.Generator, one: Scene) -> list[tuple[Rgb, tuple[str, str] | None]]:
    """Cut out every object, its box a little off, and some places where nothing is: pixels, and what it is."""
    boxes = one.found.boxes_xyxy
    sides = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    moved = boxes + rng.uniform(-JITTER, JITTER, boxes.shape) * sides
    there = [(inside(box, one), kind) for box, kind in zip(moved, kinds(one.found), strict=True)]
    nothing = [(box, None) for box in places(rng, one)]
    return [(crop(one.rgb, box, MARGIN, FILL), kind) for box, kind in [*there, *nothing]]


def inside(box: NDArray[np.floating], one: Scene) -> NDArray[np.floating]:
    """Keep a box within its picture."""
    h, w = one.found.size_hw
    return np.clip(box, 0, [w, h, w, h])


def places(rng: np.random.Generator, one: Scene) -> list[NDArray[np.float64]]:
    """Find boxes that meet no object."""
    h, w = one.found.size_hw
    found: list[NDArray[np.float64]] = []
    for _ in range(4 * PLACES):
        side = rng.uniform(16, 80, 2)
        corner = rng.uniform(0, 1, 2) * np.maximum([w, h] - side, 1)
        box = np.minimum(np.concatenate([corner, corner + side]), [w, h, w, h])
        if len(found) < PLACES and not geometry.box_iou(box[None].astype(np.float32), one.found.boxes_xyxy).any():
            found.append(box)
    return found


def pixels(cuts: Sequence[Rgb], images: CLIPImageProcessorPil) -> Tensor:
    """Scale and normalise as the verifier does: N -> (N, 3, 48, 48)."""
    made: Tensor = images(list(cuts), return_tensors="pt", input_data_format="channels_last")["pixel_values"]
    return made
