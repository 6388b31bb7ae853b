"""Pictures, questions and right answers of a step, as tensors for OWLv2."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline import masks
from pipeline.records import Instances
from pipeline.toyworld.scenes import Scene, scene
from pipeline.toyworld.shapes import COLORS, SHAPES, Kind
from training.phrases import Query, queries

SEED = 4_000_000
"""The world that is learnt from; no other seed draws the same pictures."""

IMAGE_PX, PATCH_PX = 256, 16
GRID = IMAGE_PX // PATCH_PX
FINE = 8
"""Places along the side of a patch that are told apart when it is asked what is there."""
MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(3, 1, 1)
STD = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(3, 1, 1)
"""Of CLIP's pictures, as in transformers' image processor."""


@dataclass(frozen=True)
class Batch:
    """B pictures, Q questions about all of them, P patches a picture.

    pixels    (B, 3, 256, 256)
    asked     Q
    fits      (B, P, Q) the object in whose middle a patch is has this name
    heard     (B, P) how much a patch's answers count where they are no: little beside a middle
    boxes     (B, P, 4) of the object that a patch is on: (x, y) of the middle, width, height, of 1
    on        (B, P) a patch is on an object, or in the middle of one
    middle    (B, P) a patch is the middle of an object
    shape, color   (B, P) of the object that a patch is on; -1 where there is none
    owner     (B, P) number of that object; -1 where there is none
    figure    (B, P, 8, 8) what of a patch any object covers
    """

    pixels: Tensor
    asked: list[Query]
    fits: Tensor
    heard: Tensor
    boxes: Tensor
    on: Tensor
    middle: Tensor
    shape: Tensor
    color: Tensor
    owner: Tensor
    figure: Tensor


def batch(number: int, pictures: int) -> Batch:
    """Draw the pictures of step `number`, and ask."""
    rng = np.random.Generator(np.random.PCG64([SEED + 1, number]))
    size_hw = ((192, 256), (192, 256), (192, 256), (256, 192), (256, 256))[int(rng.integers(5))]
    edge = float(rng.choice([0.0, 0.5]))  # transformers pads with black, the first OWLv2 with grey
    asked = queries(rng)
    scenes = [scene(SEED, number * pictures + one, size_hw, crowd=1 + one % 2) for one in range(pictures)]
    answers = [answer(one.found, asked) for one in scenes]
    return Batch(
        pixels(scenes, edge), asked, *(torch.from_numpy(np.stack(part)) for part in zip(*answers, strict=True))
    )


def pixels(scenes: list[Scene], edge: float) -> Tensor:
    """Pad pictures to squares at the bottom and the right and normalise them: B -> (B, 3, 256, 256)."""
    square = torch.full((len(scenes), 3, IMAGE_PX, IMAGE_PX), edge)
    for number, one in enumerate(scenes):
        h, w = one.found.size_hw
        square[number, :, :h, :w] = torch.from_numpy(one.rgb).permute(2, 0, 1) / 255
    return (square - MEAN) / STD


def kinds(found: Instances) -> list[Kind]:
    """Tell colour and shape of each row."""
    return [(str(extra["color"]), name) for extra, name in zip(found.extra or (), found.names, strict=True)]


def answer(found: Instances, asked: list[Query]) -> tuple[NDArray[np.generic], ...]:
    """Say for every patch what is there: the fields of `Batch` from `fits` on, for one picture."""
    boxes = found.boxes_xyxy / IMAGE_PX
    boxes = np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], axis=1)
    owner, middles, heard = owners(found, boxes)
    there = kinds(found)
    fits = np.zeros((GRID * GRID, len(asked)), np.float32)
    for place, kind in zip(middles, there, strict=True):
        fits[place] = [kind in query.kinds for query in asked]
    nothing = np.zeros((1, 4), np.float32)  # is what row -1 means
    target = np.concatenate([boxes, nothing])[owner].astype(np.float32)
    middle = np.zeros(GRID * GRID, np.float32)
    middle[middles] = 1
    shapes, colors = list(SHAPES), list(COLORS)
    look = np.array([*((shapes.index(shape), colors.index(color)) for color, shape in there), (-1, -1)], np.int64)[
        owner
    ]
    on = (owner >= 0).astype(np.float32)
    return fits, heard, target, on, middle, look[:, 0], look[:, 1], owner, figure(found)


def figure(found: Instances) -> NDArray[np.float32]:
    """Tell at 8 x 8 places of each patch whether any object is there: (P, 8, 8)."""
    h, w = found.size_hw
    covered = np.zeros((IMAGE_PX, IMAGE_PX), bool)
    for code in found.masks or ():
        covered[:h, :w] |= masks.decode(code or masks.NOTHING, found.size_hw)
    step = PATCH_PX // FINE
    cells = covered[step // 2 :: step, step // 2 :: step].reshape(GRID, FINE, GRID, FINE)
    return cells.transpose(0, 2, 1, 3).reshape(GRID * GRID, FINE, FINE).astype(np.float32)


def owners(
    found: Instances, boxes: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Give patches to objects: whose each is, the middle of each object, how much a no counts near one."""
    centre = (np.arange(GRID) * PATCH_PX + PATCH_PX // 2).astype(int)
    owner = np.full((GRID, GRID), -1)
    for row, code in enumerate(found.masks or ()):
        crop, (x, y) = masks.decode_crop(code or masks.NOTHING, found.size_hw)
        inside = [
            (centre >= start) & (centre < start + side) for start, side in ((y, crop.shape[0]), (x, crop.shape[1]))
        ]
        block = np.ix_(*inside)
        owner[block] = np.where(crop[np.ix_(centre[inside[0]] - y, centre[inside[1]] - x)], row, owner[block])
    heard = np.ones((GRID, GRID), np.float32)
    middles = np.zeros(len(boxes), np.int64)
    taken: set[int] = set()
    places = boxes[:, :2] * GRID
    steps = np.arange(GRID) + 0.5
    for row in np.argsort(boxes[:, 2] * boxes[:, 3], kind="stable"):  # small ones choose first
        apart = (steps[:, None] - places[row, 1]) ** 2 + (steps - places[row, 0]) ** 2
        nearest = next(int(cell) for cell in np.argsort(apart.reshape(-1), kind="stable") if int(cell) not in taken)
        taken.add(nearest)
        middles[row] = nearest
        owner.reshape(-1)[nearest] = row
        heard = np.minimum(heard, np.clip((apart - 0.25) / 1.0, 0.1, 1.0).astype(np.float32))
    heard.reshape(-1)[middles] = 1
    return owner.reshape(-1), middles, heard.reshape(-1)
