"""Masks for 20 boxes of a picture take 1.5 times less CPU than one box after another on whole-picture masks.

    python benchmarks/boxes_of_a_picture.py [SIDE]

SAM 2.1 tiny at full size, random weights, one thread. Theirs is what autodistill-grounded-sam-2 does with sam2's image
predictor: a float resize, one encoder pass, then for each box a call of the decoder, its map scaled to the whole
picture and cut at 0, and OpenCV's contours of that mask. Ours is the `sam2` segmenter: the same model, to run-length
codes. Twice: both with our matmul setting and allocator, then each as it is shipped. Random weights give masks of
thousands of parts, which nothing real has: after each decoder call, smooth blobs take their place on both sides, and
the masks are compared. That the models answer alike is tests/test_sam2_parity.py. How much our settings gain depends on
the processor: one that multiplies float32 no faster through oneDNN, as Zen 4, gains little, and much by bfloat16.
"""

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import bench
import numpy as np
import random_models
import simulated
from bench import Figure
from numpy.typing import NDArray

from pipeline import masks
from pipeline.media import Picture
from pipeline.pixels import Rgb
from pipeline.runners.local import settle
from pipeline.sam2_image import Embedding, Prompt, Sam2Image, open_sam2
from pipeline.seams import Device
from pipeline.segmenters.sam2 import _Sam2

CLAIM = "CPU of one thread for the masks of a 1080p picture with 20 boxes, SAM 2.1 tiny"
AS_SHIPPED = 1.5
DIFFER_AT_MOST = 1e-4
SIZE_HW = (1080, 1920)

Masks = list[NDArray[np.bool_]]


class Blobs(Sam2Image):
    """The model, whose answers are blobs of the size that real objects have."""

    def decode(self, embedding: Embedding, prompts: Sequence[Prompt], multimask: bool = False) -> Any:
        _, iou = super().decode(embedding, prompts, multimask)
        return simulated.logits()[: len(prompts), None], iou


def main(size: str = "tiny", rounds: int = 3, results: Path = bench.RESULTS) -> int:
    import torch

    blobs = opened(size, "float32")
    rgb = np.ascontiguousarray(bench.pink_noise(SIZE_HW, np.random.default_rng(1))[..., ::-1])
    fast = torch.get_float32_matmul_precision()
    settle(threads=1, keep_pages=False)
    torch.set_float32_matmul_precision("highest")
    their_masks, theirs_shipped = best_s(lambda: one_after_another(blobs, rgb), rounds)
    settle(threads=1, keep_pages=True)
    torch.set_float32_matmul_precision(fast)
    _, theirs_alike = best_s(lambda: one_after_another(blobs, rgb), rounds)
    our_codes, ours = best_s(lambda: all_at_once(blobs, rgb), rounds)
    in_half = opened(size, "bfloat16")
    _, half = best_s(lambda: all_at_once(in_half, rgb), rounds)
    figures = [
        Figure("one box after another, as shipped", theirs_shipped, "s"),
        Figure("one box after another, our settings", theirs_alike, "s"),
        Figure("masklet", ours, "s"),
        Figure("our settings on both sides", theirs_alike / ours, "times"),
        Figure("as shipped", theirs_shipped / ours, "times", at_least=AS_SHIPPED),
        Figure("segment.dtype=bfloat16", theirs_shipped / half, "times"),
        Figure("pixels that differ", differing(their_masks, our_codes), "", at_most=DIFFER_AT_MOST),
    ]
    return bench.conclude("boxes_of_a_picture", CLAIM, figures, results)


def opened(size: str, number_format: str) -> Blobs:
    model = open_sam2(random_models.cached("sam2", size), number_format, Device("cpu", 1))
    return Blobs(model.model, model.scaling, model.pictures, model.prompts)


def best_s(way: Callable[[], Any], rounds: int) -> tuple[Any, float]:
    """What a way answers, and the least CPU seconds of some rounds; the first warms up and is not counted."""
    answer, taken = way(), []
    for _ in range(rounds):
        began = time.process_time()
        way()
        taken.append(time.process_time() - began)
    return answer, min(taken)


def all_at_once(model: Sam2Image, rgb: Rgb) -> tuple[bytes, ...]:
    found = simulated.boxes_in(SIZE_HW, ("dog",))
    (answer,) = _Sam2(model, retry_below=0.0).segment([Picture.of(rgb)], [found])
    return tuple(code or b"" for code in answer.masks or ())


def one_after_another(sam2: Sam2Image, rgb: Rgb) -> Masks:
    import cv2
    import torch

    side, model, out = sam2.scaling.side, sam2.model, []
    mean, std = (torch.tensor(each)[:, None, None] for each in (sam2.scaling.mean, sam2.scaling.std))
    scale = np.array([side / SIZE_HW[1], side / SIZE_HW[0]] * 2)
    with torch.inference_mode():
        plain = torch.from_numpy(rgb).permute(2, 0, 1)[None].float() / 255
        square = torch.nn.functional.interpolate(plain, (side, side), mode="bilinear", antialias=True)
        maps = model.get_image_embeddings((square - mean) / std)
        for number, box in enumerate(simulated.boxes_in(SIZE_HW, ("dog",)).boxes_xyxy):
            asked = torch.tensor((box * scale)[None, None], dtype=torch.float32)
            model(image_embeddings=maps, input_boxes=asked, multimask_output=False)
            small = torch.from_numpy(simulated.logits()[number])[None, None]
            whole = torch.nn.functional.interpolate(small, SIZE_HW, mode="bilinear", align_corners=False)
            out.append((whole[0, 0] > 0).numpy())
    for mask in out:
        cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    return out


def differing(theirs: Masks, codes: Sequence[bytes]) -> float:
    """The share of foreground pixels in which the two sides differ."""
    ours = np.stack([masks.decode(code, SIZE_HW) for code in codes])
    return float((ours != np.stack(theirs)).sum() / ours.sum())


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
