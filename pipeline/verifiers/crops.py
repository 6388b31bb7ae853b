"""What a verifier looks at: the part of a picture around a box, as a square."""

import math

import numpy as np
from numpy.typing import ArrayLike

from pipeline.pixels import Rgb


def crop(rgb: Rgb, box_xyxy: ArrayLike, margin: float, fill: tuple[int, int, int]) -> Rgb:
    """Cut out a box and a share of its sides around it, and fill it up to a square: (H, W, 3), (4,) -> (S, S, 3).

    What lies outside of the picture is left away; the box stays in the middle of the square.

    >>> crop(np.ones((9, 9, 3), np.uint8), (1, 2, 5, 4), 0, (7, 7, 7))[:, 0, 0]
    array([7, 1, 1, 7], dtype=uint8)
    """
    x0, y0, x1, y1 = np.asarray(box_xyxy, np.float64).tolist()
    h, w = rgb.shape[:2]
    aside, above = margin * (x1 - x0), margin * (y1 - y0)
    left, top = max(math.floor(x0 - aside), 0), max(math.floor(y0 - above), 0)
    right, bottom = min(math.ceil(x1 + aside), w), min(math.ceil(y1 + above), h)
    cut = rgb[top:bottom, left:right]
    side = max(cut.shape[:2])
    square = np.empty((side, side, 3), np.uint8)
    square[:] = fill
    y, x = (side - cut.shape[0]) // 2, (side - cut.shape[1]) // 2
    square[y : y + cut.shape[0], x : x + cut.shape[1]] = cut
    return square
