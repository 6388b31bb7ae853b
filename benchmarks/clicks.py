"""A wrong mask is mended by two clicks, and few clicks make a mask out of nothing.

    python benchmarks/clicks.py

Toy scenes, the tiny SAM 2, and the way that corrections take: `mend` with all clicks so far. The next click is the
middle of the largest part that is wrong, as SAM's and SAM 2's own evaluations have it: the pixel that is farthest from
the edge of what is missing, or of what is too much. A mask counts as wrong where a box that lies half its sides off,
towards the middle of the picture, gave it, and it overlaps the truth by less than 0.5. Where the mask is of another,
larger object, the rule puts both clicks on that one, and says nothing of what is meant; a person would.

An object that 20 clicks do not bring to IoU 0.90 counts as 20: small ones, because the tiny model draws in a map of
48 x 48.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import bench
import numpy as np
from bench import Figure
from numpy.typing import NDArray

from pipeline import masks, toyworld
from pipeline.media import Picture
from pipeline.records import Clip, Frame, Instances
from pipeline.seams import Device
from pipeline.segmenters.sam2 import Sam2

CLAIM = "toy objects, the tiny SAM 2, clicks in the middle of the largest error"
SEED = 20_000_000
SMALL_PX = 32 * 32  # COCO's border of small and medium
GOAL, MOST = 0.9, 20  # NoC@90 of interactive segmentation: at most 20 clicks
WRONG = 0.5
GAIN, CLICKS = 0.3, 5.0

Bits = NDArray[np.bool_]
Click = tuple[float, float, int]


@dataclass(frozen=True, slots=True)
class Target:
    """An object of a scene: its picture, its true mask and box."""

    picture: Picture
    true: Bits
    box_xyxy: NDArray[np.float32]


def main(objects: int = 100, results: Any = bench.RESULTS) -> int:
    model = Sam2(model="tiny-sam2").open(Device())
    needed = [clicks_needed(model, one) for one in some(objects)]
    large = [count for count, one in zip(needed, some(objects), strict=True) if one.true.sum() >= SMALL_PX] or [MOST]
    pairs = [pair for one in some(objects) if (pair := mended(model, one))]
    before, after, touched = np.array(pairs).reshape(-1, 3).T
    said = [
        Figure("objects clicked at", len(needed), ""),
        Figure("clicks to IoU 0.90, mean", float(np.mean(needed)), "clicks", at_most=CLICKS),
        Figure("clicks to IoU 0.90, median", float(np.median(needed)), "clicks"),
        Figure("the same of 32 x 32 pixels and more", float(np.mean(large)), "clicks"),
        Figure("brought to IoU 0.90", float(np.mean([count < MOST for count in needed])), "of objects"),
        Figure("wrong masks", len(pairs), ""),
        Figure("IoU of wrong masks", float(before.mean()), ""),
        Figure("IoU after two clicks", float(after.mean()), ""),
        Figure("IoU gained by two clicks", float((after - before).mean()), "", at_least=GAIN),
        Figure("masks that got a click on the object", float(touched.mean()), "of them"),
        Figure("IoU after two clicks, those", float(after[touched > 0].mean()), ""),
    ]
    return bench.conclude("clicks", CLAIM, said, results)


def some(count: int) -> Iterator[Target]:
    """So many objects, of as many scenes as it takes."""
    number = 0
    while count:
        scene = toyworld.scene(SEED, number)
        number += 1
        frame = Frame(0, 0.0, scene.found.size_hw)
        picture = Picture(Clip(f"{number:032}", "a.png", "", (frame,)), lambda rgb=scene.rgb: rgb)
        for code, box in zip(scene.found.masks or (), scene.found.boxes_xyxy, strict=True):
            if count and code:
                yield Target(picture, masks.decode(code, scene.found.size_hw), box)
                count -= 1


def clicks_needed(model: Any, one: Target) -> int:
    """How many clicks it takes from nothing."""
    h, w = one.true.shape
    clicks: list[Click] = []
    now = np.zeros_like(one.true)
    while len(clicks) < MOST and iou(now, one.true) < GOAL:
        clicks.append(next_click(one.true, now))
        now = asked(model, one, np.array([0, 0, w, h], np.float32), None, clicks)
    return len(clicks) if iou(now, one.true) >= GOAL else MOST


def mended(model: Any, one: Target) -> tuple[float, float, bool] | None:
    """IoU of a mask that is quite wrong, and after two clicks, and whether one was on the object.

    None where the mask came out right.
    """
    h, w = one.true.shape
    sides = np.tile(one.box_xyxy[2:] - one.box_xyxy[:2], 2)
    middle = (one.box_xyxy[:2] + one.box_xyxy[2:]) / 2
    inwards = np.tile(np.where(middle < (w / 2, h / 2), 0.5, -0.5), 2)
    off = (one.box_xyxy + inwards * sides).clip(0, [w, h, w, h]).astype(np.float32)
    found = Instances((h, w), off[None], ("",))
    code = (model.segment([one.picture], [found])[0].masks or (None,))[0]
    wrong = masks.decode(code, (h, w)) if code else np.zeros_like(one.true)
    if iou(wrong, one.true) >= WRONG:
        return None
    now, clicks = wrong, list[Click]()
    for _ in range(2):
        clicks.append(next_click(one.true, now))
        now = asked(model, one, off, code, clicks)
    return iou(wrong, one.true), iou(now, one.true), any(sign > 0 for *_, sign in clicks)


def asked(model: Any, one: Target, box: NDArray[np.float32], code: bytes | None, clicks: list[Click]) -> Bits:
    """What the segmenter makes of a mask and clicks: as a correction's line has them."""
    h, w = one.true.shape
    points = (np.array(clicks, np.float32),)
    found = Instances((h, w), box[None], ("",), points=points, masks=(code,))
    (answer,) = model.mend([one.picture], [found])[0].masks
    return masks.decode(answer, (h, w))


def next_click(true: Bits, now: Bits) -> Click:
    """The middle of the largest part that is missing or too much."""
    missing, too_much = farthest(true & ~now), farthest(now & ~true)
    (x, y, _), sign = max((missing, 1), (too_much, -1), key=lambda pair: pair[0][2])
    return x + 0.5, y + 0.5, sign


def farthest(part: Bits) -> tuple[int, int, float]:
    """The pixel that is farthest from the edge of its part, and how far."""
    import cv2

    distance = cv2.distanceTransform(np.pad(part.astype(np.uint8), 1), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    y, x = np.unravel_index(int(distance.argmax()), distance.shape)
    return int(x), int(y), float(distance[y, x])


def iou(a: Bits, b: Bits) -> float:
    return float((a & b).sum() / max(int((a | b).sum()), 1))


if __name__ == "__main__":
    sys.exit(main())
