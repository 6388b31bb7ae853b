"""20 masks of a 1080p photo, from a model's maps to what a dataset keeps, cost a tenth of what other tools spend.

    python benchmarks/masks_to_codes.py

CPU time of one thread, from maps of 256 x 256. Ours: `masks.encode_logits`. The others, step by step as their code
does it with the masks that SAM 2 gives: scale every map to the whole picture and cut it at 0; then supervision's way
on to COCO (pycocotools on the whole picture) and to YOLO (polygons of its `mask_to_polygons`), and ultralytics' way
to YOLO (OpenCV's contours of the whole picture). The codes are checked: at most a pixel in 10 000 may differ from those
of the masks that torch scaled, since a sum of four products may fall on either side of 0.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bench
import numpy as np
import simulated
from bench import Figure
from numpy.typing import NDArray

from pipeline import masks
from pipeline.runners.local import settle

CLAIM = "CPU of one thread for 20 masks of a photo, from a model's maps to codes or polygons"
AT_LEAST = 10.0
DIFFER_AT_MOST = 1e-4

Size = tuple[int, int]


def main(size_hw: Size = (1080, 1920), repeats: int = 7, results: Path = bench.RESULTS) -> int:
    import torch

    torch.set_num_threads(1)
    settle(threads=1, keep_pages=True)
    logits = simulated.logits()
    ways: dict[str, Callable[[], Any]] = {
        "masklet, to codes": lambda: ours(logits, size_hw),
        "whole masks, pycocotools, to codes": lambda: whole_to_codes(logits, size_hw),
        "whole masks, supervision, to polygons": lambda: supervision_way(logits, size_hw),
        "whole masks, contours as ultralytics, to polygons": lambda: contours_way(logits, size_hw),
    }
    ms = {name: 1000 * bench.median_s(way, repeats, time.process_time) for name, way in ways.items()}
    figures = [Figure(name, spent, "ms") for name, spent in ms.items()]
    first, *others = ms
    figures += [
        Figure(f"{name.partition(', ')[2]}: over ours", ms[name] / ms[first], "", at_least=AT_LEAST) for name in others
    ]
    figures.append(Figure("pixels that differ", differing(logits, size_hw), "", at_most=DIFFER_AT_MOST))
    return bench.conclude("masks_to_codes", CLAIM, figures, results)


def ours(logits: NDArray[np.float32], size_hw: Size) -> list[bytes]:
    return [masks.encode_logits(one, size_hw) for one in logits]


def whole(logits: NDArray[np.float32], size_hw: Size) -> NDArray[np.bool_]:
    """Every mask on the whole picture, as SAM 2's predictors give them: (N, h, w) -> (N, H, W)."""
    import torch

    scaled = torch.nn.functional.interpolate(
        torch.from_numpy(logits)[None], size_hw, mode="bilinear", align_corners=False
    )
    return np.asarray((scaled[0] > 0).numpy())


def whole_to_codes(logits: NDArray[np.float32], size_hw: Size) -> list[bytes]:
    """To COCO as supervision's exporter goes."""
    from pycocotools import mask as coco

    return [coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"] for mask in whole(logits, size_hw)]


def supervision_way(logits: NDArray[np.float32], size_hw: Size) -> list[Any]:
    import supervision

    return [supervision.mask_to_polygons(mask) for mask in whole(logits, size_hw)]


def contours_way(logits: NDArray[np.float32], size_hw: Size) -> list[Any]:
    import cv2

    found = []
    for mask in whole(logits, size_hw).astype(np.uint8):
        contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        found.append(np.concatenate([contour.reshape(-1, 2) for contour in contours]))
    return found


def differing(logits: NDArray[np.float32], size_hw: Size) -> float:
    """The share of foreground pixels in which our codes and torch's masks differ."""
    expected = whole(logits, size_hw)
    got = np.stack([masks.decode(code, size_hw) for code in ours(logits, size_hw)])
    return float((expected != got).sum() / expected.sum())


if __name__ == "__main__":
    sys.exit(main())
