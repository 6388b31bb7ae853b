"""Pictures, prompts and true masks of a step, as tensors for SAM 2."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from pipeline import masks
from pipeline.records import Instances
from pipeline.toyworld.scenes import Scene, scene
from pipeline.toyworld.shapes import COLORS
from training.sam2_model import IMAGE_PX, MASK_PX, MEAN, STD

SEED = 6_000_000
"""The world that is learnt from; no other seed draws the same pictures."""

SIZES_HW = ((192, 192), (192, 256), (256, 192))
ASKED = 4
"""Objects asked for in a picture."""


@dataclass(frozen=True)
class Batch:
    """B pictures, N things asked for, of which some are not there.

    pixels  (B, 3, 192, 192)
    colors  (B, 48, 48) number of the colour there, 6 for background
    rows    (N,) the picture of each
    masks   (N, 192, 192) of 0 and 1 (between at edges, where pictures were scaled)
    boxes   (N, 4) true boxes in pixels of 192; of what is not there, a place
    there   (N,) 1 or 0
    color   (N,) number of the thing's colour; -1 of what is not there
    """

    pixels: Tensor
    colors: Tensor
    rows: Tensor
    masks: Tensor
    boxes: Tensor
    there: Tensor
    color: Tensor


def batch(number: int, pictures: int) -> Batch:
    """Draw the pictures of step `number`, and choose what to ask for."""
    rng = np.random.Generator(np.random.PCG64([SEED + 1, number]))
    size_hw = SIZES_HW[int(rng.integers(len(SIZES_HW)))]
    scenes = [scene(SEED, number * pictures + one, size_hw) for one in range(pictures)]
    asked = [chosen(rng, one.found) for one in scenes]
    true = torch.from_numpy(np.concatenate([one[0] for one in asked])).float()
    boxes = torch.from_numpy(np.concatenate([one[1] for one in asked])).float()
    return Batch(
        pixels(scenes),
        torch.from_numpy(np.stack([colors(one.found) for one in scenes])),
        torch.arange(pictures).repeat_interleave(ASKED),
        scaled(true[:, None], IMAGE_PX)[:, 0],
        boxes * (IMAGE_PX / torch.tensor([size_hw[1], size_hw[0]] * 2)),
        torch.from_numpy(np.concatenate([one[2] >= 0 for one in asked])).float(),
        torch.from_numpy(np.concatenate([one[2] for one in asked])),
    )


def scaled(planes: Tensor, side_px: int) -> Tensor:
    """Scale to a square: (N, C, H, W) -> (N, C, side, side)."""
    if planes.shape[-2:] == (side_px, side_px):
        return planes
    return F.interpolate(planes, (side_px, side_px), mode="bilinear", align_corners=False, antialias=True)


def pixels(scenes: list[Scene]) -> Tensor:
    """Scale pictures to squares and normalise them: B -> (B, 3, 192, 192)."""
    stacked = torch.from_numpy(np.stack([one.rgb for one in scenes])).permute(0, 3, 1, 2).float()
    return (scaled(stacked, IMAGE_PX) / 255 - MEAN) / STD


def chosen(rng: np.random.Generator, found: Instances) -> tuple[NDArray[Any], ...]:
    """Choose what to ask for in a picture, one in twelve a place on the background: masks, boxes, colours."""
    h, w = found.size_hw
    rows = rng.permutation(len(found))
    true, boxes, color = np.zeros((ASKED, h, w), bool), np.zeros((ASKED, 4), np.float32), np.full(ASKED, -1)
    for number in range(ASKED):
        if len(rows) > 0 and rng.uniform() > 1 / 12:
            row = int(rows[number % len(rows)])
            true[number] = masks.decode((found.masks or ())[row] or masks.NOTHING, found.size_hw)
            boxes[number], color[number] = found.boxes_xyxy[row], color_of(found, row)
        else:
            boxes[number] = empty_place(rng, found)
    return true, boxes, color


def color_of(found: Instances, row: int) -> int:
    """Number the colour of a row."""
    return list(COLORS).index(str((found.extra or ())[row]["color"]))


def empty_place(rng: np.random.Generator, found: Instances) -> tuple[float, float, float, float]:
    """Find a box that touches no object's box; the last one tried if there is none."""
    h, w = found.size_hw
    box = (0.0, 0.0, 8.0, 8.0)
    for _ in range(20):
        side = rng.uniform(8, 60, 2)
        x, y = rng.uniform(0, w - side[0]), rng.uniform(0, h - side[1])
        box = (float(x), float(y), float(x + side[0]), float(y + side[1]))
        low = np.maximum(found.boxes_xyxy[:, :2], box[:2])
        high = np.minimum(found.boxes_xyxy[:, 2:], box[2:])
        if not (high > low).all(axis=1).any():
            break
    return box


def colors(found: Instances) -> NDArray[np.int64]:
    """Tell the colour at each of the places that the fine features stand for: (48, 48)."""
    h, w = found.size_hw
    painted = np.full((h, w), len(COLORS))
    for row, code in enumerate(found.masks or ()):
        painted[masks.decode(code or masks.NOTHING, found.size_hw)] = color_of(found, row)
    at = [((np.arange(MASK_PX) + 0.5) * side / MASK_PX).astype(int) for side in (h, w)]
    return painted[np.ix_(*at)]
