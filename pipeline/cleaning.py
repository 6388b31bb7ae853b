"""Masks without specks and pinholes, by a stated rule that spares real holes."""

import numpy as np
from numpy.typing import NDArray

from pipeline import masks
from pipeline.masks import Bits, Size, Spans


def clean(code: bytes, size_hw: Size, fraction: float, limit_px: int) -> bytes:
    """The mask without specks and pinholes.

    A part (8-connected) or a hole (4-connected) goes if it has fewer pixels than `fraction` of the mask and fewer than
    `limit_px`. The largest part always stays. A ring's hole is far above both: it stays.
    """
    spans = masks.spans_of(code, size_hw[0])
    if _is_one_piece(spans, size_hw[0]):
        return code
    crop, corner = masks.drawn(spans, size_hw[0])
    limit = min(fraction * np.count_nonzero(crop), limit_px)
    if limit <= 1 or _outlines(crop) == 1:
        return code
    part, sizes = _parts(crop, connectivity=8)
    speck = sizes < limit
    speck[[0, 1 + int(np.argmax(sizes[1:]))]] = False
    tidy = crop & ~speck[part]
    part, sizes = _parts(np.pad(~tidy, 1, constant_values=True), connectivity=4)
    pinhole = sizes < limit
    pinhole[[0, part[0, 0]]] = False  # what touches the frame of the crop is outside, and no hole
    tidy |= pinhole[part[1:-1, 1:-1]]
    return code if (tidy == crop).all() else masks.encode_crop(tidy, corner, size_hw)


def _is_one_piece(spans: Spans, h: int) -> bool:
    """Whether runs show at once that they are one part without a hole; False may also mean that they do not show it.

    They do where one run alone has no neighbour on its right (then all hang together, over it) and where no two runs
    meet again further right: runs less pairs of neighbours are parts less holes (Euler). True of half of the masks of
    photos.
    """
    first_x, first_y, last_x, last_y = spans
    if (first_x != last_x).any():
        return False
    first, last = first_x * (h + 2) + first_y, last_x * (h + 2) + last_y  # columns stay apart
    neighbours = first.searchsorted(last + (h + 3), side="right") - last.searchsorted(first + (h + 1))
    return np.count_nonzero(neighbours == 0) == 1 and int(neighbours.sum()) == len(first) - 1


def _outlines(mask: Bits) -> int:
    """How many outlines a mask has, of parts and of holes: most masks have one, and finding that out is cheap."""
    import cv2

    return len(cv2.findContours(mask.T.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)[0])


def _parts(mask: Bits, connectivity: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The number of each pixel's connected part, 0 where the mask is false, and the pixels in each: (H, W), (K,)."""
    import cv2

    _, part, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=connectivity)
    return np.asarray(part), np.asarray(stats[:, cv2.CC_STAT_AREA])
