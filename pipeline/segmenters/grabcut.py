"""GrabCut: masks from colour alone, with no weights to fetch.

Rother, Kolmogorov and Blake, "GrabCut", SIGGRAPH 2004, as OpenCV has it, helped by a guess: that an object
fills the middle of its box. benchmarks/grabcut_truth_boxes.py says how good that is.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline import masks
from pipeline.geometry import outer_pixels
from pipeline.media import Picture
from pipeline.pixels import Rgb
from pipeline.records import Instances
from pipeline.seams import Device
from pipeline.segmenters import SegmenterOptions

Labels = NDArray[np.uint8]


class Grabcut(SegmenterOptions):
    """OpenCV's GrabCut on a small copy of the box and its surroundings.

    `side_px` is the longer side of that copy: finer outlines and more time. `margin` is how much of the
    surroundings is taken as background, in sides of the box. `core` is the size of the ellipse in the middle
    of the box that is the object for sure: 1 touches the box's edges, 0 is none. `iterations` of GrabCut:
    more than one follow colours away from the guess.
    """

    side_px: int = Field(default=128, ge=8, le=1024)
    margin: float = Field(default=0.1, gt=0, le=2)
    core: float = Field(default=0.75, ge=0, le=1)
    iterations: int = Field(default=1, ge=1, le=20)

    def open(self, device: Device) -> "_Grabcut":
        """Nothing to load."""
        return _Grabcut(self)


class _Grabcut:
    def __init__(self, options: Grabcut) -> None:
        self.options = options

    def segment(self, pictures: Sequence[Picture], found: Sequence[Instances]) -> list[Instances]:
        """Make a mask for each row that has none."""
        return [self._segmented(picture, rows) for picture, rows in zip(pictures, found, strict=True)]

    def _segmented(self, picture: Picture, rows: Instances) -> Instances:
        before = rows.masks or (None,) * len(rows)
        codes = (
            mask or cut_out(picture.rgb, box, self.options) for mask, box in zip(before, rows.boxes_xyxy, strict=True)
        )
        return replace(rows, masks=tuple(codes))


def cut_out(rgb: Rgb, box_xyxy: NDArray[np.float32], options: Grabcut) -> bytes:
    """Cut out what stands out in a box; empty where colours tell nothing: (H, W, 3), (4,) -> code."""
    import cv2

    size_hw = (rgb.shape[0], rgb.shape[1])
    x0, y0, x1, y1 = outer_pixels(box_xyxy, size_hw, options.margin)
    crop = rgb[y0:y1, x0:x1]
    box = np.asarray(box_xyxy, np.float64) - (x0, y0, x0, y0)
    scale = options.side_px / max(crop.shape[:2])
    small_wh = (max(1, round(crop.shape[1] * scale)), max(1, round(crop.shape[0] * scale)))
    small = cv2.resize(crop, small_wh, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    scale_xy = np.array([small_wh[0] / crop.shape[1], small_wh[1] / crop.shape[0]] * 2)
    labels = _guess(box * scale_xy, (small_wh[1], small_wh[0]), options.core)
    inked = _grabbed(small, labels, options.iterations) * np.uint8(255)
    smooth = cv2.resize(inked, (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR) > 127
    return masks.encode_crop(smooth & _inside(box, (y1 - y0, x1 - x0)), (x0, y0), size_hw)


def _guess(box_xyxy: NDArray[np.float64], size_hw: tuple[int, int], core: float) -> Labels:
    """Label what GrabCut starts from: background outside the box, object in its core, between them maybe."""
    import cv2

    labels = np.full(size_hw, cv2.GC_BGD, np.uint8)
    labels[_inside(box_xyxy, size_hw)] = cv2.GC_PR_FGD
    from_centre = _from_centre(box_xyxy, size_hw)
    if not (labels == cv2.GC_BGD).any():  # a box that fills the picture: the background can only be in its corners
        labels[from_centre > 1] = cv2.GC_PR_BGD
    labels[from_centre <= core] = cv2.GC_FGD
    return labels


def _grabbed(small: Rgb, labels: Labels, iterations: int) -> Labels:
    """1 where GrabCut says object: (h, w, 3), (h, w) -> (h, w). `labels` is overwritten."""
    import cv2

    cv2.setRNGSeed(0)  # of this thread: OpenCV starts its clusters of colours at random
    models = np.zeros((2, 1, 65))
    try:
        cv2.grabCut(small, labels, None, models[0], models[1], iterations, cv2.GC_INIT_WITH_MASK)
    except cv2.error:  # no pixel of one of the sides, or fewer than it has clusters
        return np.zeros_like(labels)
    return np.asarray(labels & 1)  # GC_FGD is 1 and GC_PR_FGD is 3


def _inside(box_xyxy: NDArray[np.float64], size_hw: tuple[int, int]) -> masks.Bits:
    """Which pixels have their centre in the box: (4,) -> (h, w)."""
    x, y = np.arange(size_hw[1]) + 0.5, np.arange(size_hw[0]) + 0.5
    x0, y0, x1, y1 = box_xyxy
    return np.asarray(((y >= y0) & (y < y1))[:, None] & ((x >= x0) & (x < x1)))


def _from_centre(box_xyxy: NDArray[np.float64], size_hw: tuple[int, int]) -> NDArray[np.float64]:
    """How far each pixel is from the box's centre; 1 is the ellipse touching its edges: (4,) -> (h, w)."""
    x, y = np.arange(size_hw[1]) + 0.5, np.arange(size_hw[0]) + 0.5
    x0, y0, x1, y1 = box_xyxy
    return np.asarray(np.hypot(((2 * y - y0 - y1) / (y1 - y0))[:, None], (2 * x - x0 - x1) / (x1 - x0)))
