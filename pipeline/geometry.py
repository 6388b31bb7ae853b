"""Boxes as arrays.

N objects, H x W pixels. Sizes are (h, w). A box is (x0, y0, x1, y1) in pixels, float32 and half-open: its width is
x1 - x0, and a box around one pixel has width 1. Everything here is a pure function of arrays.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Boxes = NDArray[np.float32]

DIGITS = 3
"""What a record keeps of a coordinate after the point."""


def as_boxes(values: ArrayLike) -> Boxes:
    """Anything box-like as (N, 4) float32; nothing becomes (0, 4)."""
    return np.asarray(values, np.float32).reshape(-1, 4)


def xywh_to_xyxy(boxes_xywh: ArrayLike) -> Boxes:
    """COCO's corner and size to corners: (N, 4) -> (N, 4).

    >>> xywh_to_xyxy([[1, 2, 3, 4]]).tolist()
    [[1.0, 2.0, 4.0, 6.0]]
    """
    x, y, w, h = np.asarray(boxes_xywh, np.float64).reshape(-1, 4).T
    return np.stack([x, y, x + w, y + h], axis=1).astype(np.float32)


def clip_boxes(boxes_xyxy: Boxes, size_hw: tuple[int, int]) -> Boxes:
    """The part of each box inside the picture: (N, 4) -> (N, 4); a box outside loses its area."""
    h, w = size_hw
    return np.clip(boxes_xyxy, 0, np.array([w, h, w, h], np.float32))


def proper(boxes_xyxy: Boxes) -> NDArray[np.bool_]:
    """Which boxes are finite and have an area, to the digits that a record keeps: (N, 4) -> (N,).

    >>> proper(as_boxes([[0, 0, 1, 1], [2, 0, 2, 1], [float("nan"), 0, 1, 1]])).tolist()
    [True, False, False]
    """
    kept = np.round(boxes_xyxy.astype(np.float64), DIGITS).astype(np.float32)
    return np.asarray(np.isfinite(kept).all(axis=1) & (kept[:, 2:] > kept[:, :2]).all(axis=1))


def areas(boxes_xyxy: Boxes) -> NDArray[np.float64]:
    """Pixels in each box: (N, 4) -> (N,)."""
    sides = boxes_xyxy[:, 2:].astype(np.float64) - boxes_xyxy[:, :2]
    return np.asarray(sides.clip(0).prod(axis=1))


def box_iou(a_xyxy: Boxes, b_xyxy: Boxes) -> NDArray[np.float64]:
    """Overlap of every box in `a` with every box in `b`: (N, 4), (M, 4) -> (N, M).

    >>> box_iou(as_boxes([[0, 0, 10, 10]]), as_boxes([[5, 0, 15, 10], [10, 0, 20, 10]])).round(2).tolist()
    [[0.33, 0.0]]
    """
    a, b = a_xyxy.astype(np.float64), b_xyxy.astype(np.float64)
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = (high - low).clip(0).prod(axis=2)
    union = areas(a_xyxy)[:, None] + areas(b_xyxy)[None, :] - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))


def paired_iou(a_xyxy: Boxes, b_xyxy: Boxes) -> NDArray[np.float64]:
    """Overlap of row i of `a` with row i of `b`: (N, 4), (N, 4) -> (N,)."""
    low = np.maximum(a_xyxy[:, :2], b_xyxy[:, :2]).astype(np.float64)
    high = np.minimum(a_xyxy[:, 2:], b_xyxy[:, 2:]).astype(np.float64)
    shared = (high - low).clip(0).prod(axis=1)
    union = areas(a_xyxy) + areas(b_xyxy) - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))


def outer_pixels(box_xyxy: ArrayLike, size_hw: tuple[int, int], margin: float = 0.0) -> tuple[int, int, int, int]:
    """The whole pixels that a box touches, grown by `margin` of its sides, inside the picture.

    >>> outer_pixels([1.5, 1, 3, 3.2], (10, 10))
    (1, 1, 3, 4)
    """
    x0, y0, x1, y1 = (float(v) for v in np.asarray(box_xyxy))
    grow_x, grow_y = margin * (x1 - x0), margin * (y1 - y0)
    h, w = size_hw
    return (
        max(0, int(np.floor(x0 - grow_x))),
        max(0, int(np.floor(y0 - grow_y))),
        min(w, int(np.ceil(x1 + grow_x))),
        min(h, int(np.ceil(y1 + grow_y))),
    )


def suppress(boxes_xyxy: Boxes, scores: NDArray[np.float32], threshold: float) -> NDArray[np.int64]:
    """Greedy non-maximum suppression: the rows kept, best score first, ties by row: (N, 4), (N,) -> (K,)."""
    order = np.lexsort((np.arange(len(scores)), -scores))
    iou = box_iou(boxes_xyxy, boxes_xyxy)
    kept: list[int] = []
    for row in order:
        if not kept or iou[row, kept].max() <= threshold:
            kept.append(int(row))
    return np.array(kept, np.int64)
