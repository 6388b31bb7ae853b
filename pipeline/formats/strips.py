"""The masks of a picture side by side in one image, to be traced by one call: a call each costs more than the work."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline import masks
from pipeline.errors import BadRecord
from pipeline.masks import Runs, Size

MAX_PX = 1 << 22
"""Pixels of a strip, unless a single mask has more."""


class Strip(NamedTuple):
    """Masks lying on their sides, each in its own box, an empty line behind each.

    bits     (sum of widths + N, greatest height) uint8: a line is a column of a mask
    begins   (N,) the line at which each begins
    """

    bits: NDArray[np.uint8]
    begins: Runs


def parts(boxes_xywh: Runs) -> Iterator[slice]:
    """Which masks go into a strip together: (N, 4) -> ranges of rows."""
    begin = width = height = 0
    for row, (w, h) in enumerate(boxes_xywh[:, 2:].tolist()):
        if row > begin and (width + w + 1) * max(height, h) > MAX_PX:
            yield slice(begin, row)
            begin, width, height = row, 0, 0
        width, height = width + w + 1, max(height, h)
    if len(boxes_xywh):
        yield slice(begin, len(boxes_xywh))


def strip(codes: Sequence[bytes], boxes_xywh: Runs, size_hw: Size) -> Strip:
    """The masks of one picture, none of them empty, and their boxes as `masks.measured` gives them."""
    h, w = size_hw
    x0, y0, widths, heights = boxes_xywh.T
    ends = (widths + 1).cumsum()
    begins, long = ends - widths - 1, int(heights.max())
    lengths, counts = _lengths(codes)
    pixels = lengths.reshape(-1).cumsum()  # where runs end, as if the pictures were beside each other
    if (pixels[2 * counts.cumsum() - 1] != np.arange(1, len(codes) + 1) * (h * w)).any():
        raise BadRecord("mask: runs do not fill the picture")
    pixels[1::2] -= 1  # the last of the object
    columns, rows = np.divmod(pixels, h)
    pixels = columns * long + rows + ((begins - x0 - np.arange(len(codes)) * w) * long - y0).repeat(2 * counts)
    pixels[1::2] += 1
    edges = pixels.reshape(-1, 2)[lengths[:, 1] > 0].reshape(-1)
    runs = np.empty(len(edges) + 1, np.int64)
    runs[0], runs[-1] = edges[0], ends[-1] * long - edges[-1]
    np.subtract(edges[1:], edges[:-1], out=runs[1:-1])
    inside = np.zeros(len(runs), np.uint8)
    inside[1::2] = 1
    return Strip(inside.repeat(runs).reshape(-1, long), begins)


def _lengths(codes: Sequence[bytes]) -> tuple[Runs, Runs]:
    """`masks.unpack` for N codes at once: runs of background and object, (K, 2), and how many pairs each code has.

    Where a code ends in background, an empty run of the object is put behind.
    """
    runs, last = masks.numbers(b"".join(codes))
    ends = last.searchsorted(np.cumsum([len(code) for code in codes]) - 1) + 1
    counts = ends.copy()
    counts[1:] -= ends[:-1]
    pairs = (counts + 1) // 2
    stop = pairs.cumsum()
    start = stop - pairs
    changes = np.zeros((stop[-1], 2), np.int64)
    changes.reshape(-1)[np.arange(len(runs)) + (2 * start - ends + counts).repeat(counts)] = runs
    lengths = changes.cumsum(axis=0)
    first, before = changes[start], lengths[start]
    before[:, 1] -= first[:, 1]  # of background, the second run is no change to the first
    lengths -= before.repeat(pairs, axis=0)
    lengths[start, 0] = first[:, 0]
    lengths[stop - 1, 1] *= 1 - counts % 2
    return lengths, pairs
