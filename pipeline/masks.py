"""Masks as run-length codes.

A mask in a record is COCO's compressed RLE: column-major runs, the first of background, packed 5 bits a character
(pycocotools `maskApi.c`, rleToString). It is `bytes`, and its size (h, w) is the frame's. Everything here works inside
the mask's own box, because most masks are small and most pictures are not. Holes and parts are kept to the pixel.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from math import ceil, floor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import BadRecord

Bits = NDArray[np.bool_]
Runs = NDArray[np.int64]
Size = tuple[int, int]
Spans = tuple[Runs, Runs, Runs, Runs]
"""x and y of the first pixels of runs, x and y of their last pixels."""

NOTHING = b"0"
"""The code of no pixel in a picture of none: has area 0 and box zeros whatever the size."""

MAX_CHARS_A_RUN = 7  # 35 bits: more than any picture has pixels
LONGER = 16 * 32 ** np.arange(MAX_CHARS_A_RUN)
"""From which size on a number needs one more character: 5 bits each, one of all for the sign."""
AT_ONCE = 255
"""Masks whose pixels pycocotools 2.0.11 can count in a call: with one more a byte overflows."""
CHARACTERS, MORE = bytes(range(48, 112)), 80
"""All that a code is made of; from 80 on they say that the number goes on in the next."""


def encode(mask: Bits) -> bytes:
    """A mask to its code: (H, W) -> bytes.

    >>> encode(np.array([[0, 1], [0, 1]], bool))
    b'22'
    """
    return encode_crop(mask, (0, 0), (mask.shape[0], mask.shape[1]))


def encode_crop(crop: Bits, corner_xy: tuple[int, int], size_hw: Size) -> bytes:
    """The code of a mask of `size_hw` that is false outside `crop`, whose upper left pixel is at `corner_xy`."""
    columns = np.zeros((crop.shape[1], crop.shape[0] + 1), np.bool_)
    columns[:, :-1] = crop.T
    return _encode_columns(columns, corner_xy, size_hw)


def _encode_columns(columns: Bits, corner_xy: tuple[int, int], size_hw: Size) -> bytes:
    """`encode_crop` of a crop that lies column by column, a false pixel behind each column: (w, h + 1) -> bytes."""
    (x0, y0), h = corner_xy, size_hw[0]
    column, row = np.divmod(_changes(columns.reshape(-1)), columns.shape[1])
    edges = (column + x0) * h + row + y0  # begin, end, begin, end...
    if y0 == 0 and columns.shape[1] == h + 1:  # a run that reaches the bottom goes on at the top of the next column
        joined = np.flatnonzero(edges[1:-1:2] == edges[2::2]) * 2 + 1
        edges = np.delete(edges, np.concatenate([joined, joined + 1]))
    return pack(np.diff(np.concatenate([[0], edges, [h * size_hw[1]]])))


def _changes(bits: Bits) -> Runs:
    """Where a line of pixels differs from the one before, false being before the first: (N,) -> (K,)."""
    changed = np.empty(len(bits), np.bool_)
    changed[:1] = bits[:1]
    np.not_equal(bits[1:], bits[:-1], out=changed[1:])
    return np.flatnonzero(changed)


def encode_logits(logits: NDArray[np.float32], size_hw: Size, threshold: float = 0.0) -> bytes:
    """A model's small map, scaled up bilinearly and cut at `threshold`: (h, w) -> the code of (H, W).

    Pixel centres as in `torch.nn.functional.interpolate(mode="bilinear", align_corners=False)`. Only the part that can
    exceed the threshold is scaled.
    """
    inside = logits > threshold
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if not rows.size:
        return encode_crop(np.zeros((0, 0), bool), (0, 0), size_hw)
    y, down, seen_rows = _interpolation(rows[0], rows[-1], logits.shape[0], size_hw[0])
    x, across, seen_columns = _interpolation(columns[0], columns[-1], logits.shape[1], size_hw[1])
    seen = logits[seen_rows, seen_columns].astype(np.float32, copy=False)
    scaled = across @ (seen.T @ down.T)  # lies column by column, as the code does
    above = np.zeros((scaled.shape[0], scaled.shape[1] + 1), np.bool_)
    np.greater(scaled, threshold, out=above[:, :-1])
    return _encode_columns(above, (x, y), size_hw)


def _interpolation(first: int, last: int, size_in: int, size_out: int) -> tuple[int, NDArray[np.float32], slice]:
    """Where the outputs that see inputs `first`..`last` begin, their weights, and the inputs weighted."""
    scale = size_in / size_out
    begin = max(0, floor((first - 0.5) / scale) - 1)
    end = min(size_out, ceil((last + 1.5) / scale) + 1)
    low, high, weights = _bilinear(size_in, size_out)
    seen = slice(int(low[begin]), int(high[end - 1]) + 1)
    return begin, weights[begin:end, seen], seen


@lru_cache(maxsize=4)  # two sides of one size of picture after another; 2 MB for 1920 pixels out of 256
def _bilinear(size_in: int, size_out: int) -> tuple[Runs, Runs, NDArray[np.float32]]:
    """For each output the inputs before and after its centre, and the weights of all: (out,), (out,), (out, in)."""
    centre = ((np.arange(size_out) + 0.5) * (size_in / size_out) - 0.5).clip(0, size_in - 1)
    low = np.floor(centre).astype(np.int64)
    high = np.minimum(low + 1, size_in - 1)
    output = np.arange(size_out)
    weights = np.zeros((size_out, size_in), np.float32)
    weights[output, low] = 1 - (centre - low)
    weights[output, high] += (centre - low).astype(np.float32)  # at the last input, high is low
    return low, high, weights


def decode(code: bytes, size_hw: Size) -> Bits:
    """A code to its mask: bytes -> (H, W)."""
    mask = np.zeros(size_hw, np.bool_)
    crop, (x, y) = decode_crop(code, size_hw)
    mask[y : y + crop.shape[0], x : x + crop.shape[1]] = crop
    return mask


def decode_crop(code: bytes, size_hw: Size) -> tuple[Bits, tuple[int, int]]:
    """The mask inside its own tight box, and that box's upper left corner (x, y)."""
    return drawn(spans_of(code, size_hw[0]), size_hw[0])


def drawn(spans: Spans, h: int) -> tuple[Bits, tuple[int, int]]:
    """Runs of foreground in a picture of height `h` as a mask in its own tight box, and that box's corner."""
    first_x, first_y, last_x, last_y = spans
    x0, y0, x1, y1 = _tight(spans, h)
    crop_h = y1 - y0
    edges = np.zeros(2 * len(first_x) + 2, np.int64)
    edges[1:-1:2] = (first_x - x0) * crop_h + (first_y - y0)
    edges[2:-1:2] = (last_x - x0) * crop_h + (last_y - y0 + 1)
    edges[-1] = (x1 - x0) * crop_h
    inside = np.arange(len(edges) - 1) % 2 == 1
    return np.repeat(inside, np.diff(edges)).reshape(x1 - x0, crop_h).T, (x0, y0)


def pack(runs: Runs) -> bytes:
    """Run lengths to characters: (K,) -> bytes. From the fourth on, a run is its change to the last but one."""
    if len(runs) > 1 and runs[-1] == 0:
        runs = runs[:-1]
    change = runs.astype(np.int64)
    change[3:] -= runs[1:-2]
    count = LONGER.searchsorted(np.where(change < 0, ~change, change), side="right") + 1
    last = count.cumsum() - 1
    place = np.arange(last[-1] + 1) - (last - count + 1).repeat(count)
    characters = (change.repeat(count) >> 5 * place & 31) + MORE
    characters[last] -= 32
    return bytes(characters.astype(np.uint8))


def unpack(code: bytes) -> Runs:
    """Characters to run lengths: bytes -> (K,). Raises `BadRecord` where they are no code at all."""
    runs, _ = numbers(code)
    for start in (1, 2):  # the runs of one colour are stored as changes
        runs[start::2] = runs[start::2].cumsum()
    return runs


def numbers(characters: bytes) -> tuple[Runs, Runs]:
    """The numbers that characters stand for, and where the last character of each is: bytes -> (K,), (K,).

    Raises `BadRecord` where they are no code at all.
    """
    if not characters or characters.translate(None, CHARACTERS) or characters[-1] >= MORE:
        raise BadRecord("mask: not a run-length code")
    digits = np.frombuffer(characters, np.uint8) - np.int64(48)
    last = (digits < 32).nonzero()[0]
    first = np.zeros_like(last)
    first[1:] = last[:-1] + 1
    count = last - first + 1
    if count.max() > MAX_CHARS_A_RUN:
        raise BadRecord("mask: a run length is too large")
    place = np.arange(len(digits)) - first.repeat(count)
    out = np.add.reduceat((digits & 31) << 5 * place, first)
    out -= (digits[last] & 16) << 5 * count - 4  # the last character carries the sign
    return out, last


def validate(code: bytes, size_hw: Size) -> bytes:
    """The code itself, if it fills a picture of `size_hw` exactly; raises `BadRecord` otherwise.

    What comes from outside passes here before any C code sees it: pycocotools reads past the end of a bad code.
    """
    runs = unpack(code)
    if (runs < 0).any():
        raise BadRecord("mask: a run has a negative length")
    if int(runs.sum()) != size_hw[0] * size_hw[1]:
        raise BadRecord(f"mask: runs fill {int(runs.sum())} pixels, the picture has {size_hw[0]} x {size_hw[1]}")
    return code


def spans_of(code: bytes, h: int) -> Spans:
    """The first and the last pixel of each run of foreground, in a picture of height `h`."""
    edges = unpack(code).cumsum()
    begin = edges[0::2][: len(edges) // 2]
    end = edges[1::2]
    filled = end > begin
    return *np.divmod(begin[filled], h), *np.divmod(end[filled] - 1, h)


def area(code: bytes) -> int:
    """Pixels in the mask.

    >>> area(encode(np.eye(3, dtype=bool)))
    3
    """
    return int(unpack(code)[1::2].sum())


def areas(codes: Sequence[bytes]) -> list[int]:
    """Pixels in each mask of a record, all at once: N codes -> N."""
    return _areas([{"size": (1, 1), "counts": code} for code in codes])  # the size is not used


def _areas(rles: Sequence[dict[str, Any]]) -> list[int]:
    from pycocotools import mask as coco

    if len(rles) <= AT_ONCE:
        return list(coco.area(rles).tolist())
    return [*_areas(rles[:AT_ONCE]), *_areas(rles[AT_ONCE:])]


def measured(codes: Sequence[bytes], sizes_hw: Iterable[Size]) -> tuple[list[int], Runs]:
    """Pixels and box (x, y, width, height) of each mask, of which there is one: N codes, N sizes -> N, (N, 4)."""
    from pycocotools import mask as coco

    rles = [{"size": size_hw, "counts": code} for code, size_hw in zip(codes, sizes_hw, strict=False)]
    return _areas(rles), coco.toBbox(rles).astype(np.int64)


def boxes(codes: Sequence[bytes], size_hw: Size) -> NDArray[np.float32]:
    """The tight half-open box of each mask of a record, all at once: N codes -> (N, 4); an empty mask gives zeros."""
    if not codes:
        return np.zeros((0, 4), np.float32)
    from pycocotools import mask as coco

    xywh = coco.toBbox([{"size": size_hw, "counts": code} for code in codes])
    return np.hstack([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]]).astype(np.float32)


def box(code: bytes, size_hw: Size) -> tuple[int, int, int, int]:
    """The tight half-open box (x0, y0, x1, y1); an empty mask gives zeros.

    >>> box(encode(np.array([[0, 0, 0], [0, 1, 1]], bool)), (2, 3))
    (1, 1, 3, 2)
    """
    return _tight(spans_of(code, size_hw[0]), size_hw[0])


def _tight(spans: Spans, h: int) -> tuple[int, int, int, int]:
    """The box around runs of foreground in a picture of height `h`."""
    first_x, first_y, last_x, last_y = spans
    if not first_x.size:
        return 0, 0, 0, 0
    x0, x1 = int(first_x[0]), int(last_x[-1]) + 1
    if (first_x != last_x).any():  # a run that turns a corner touches bottom and top
        return x0, 0, x1, h
    return x0, int(first_y.min()), x1, int(last_y.max()) + 1


def iou(a: Sequence[bytes], b: Sequence[bytes], size_hw: Size) -> NDArray[np.float64]:
    """Overlap of every mask in `a` with every mask in `b`: N, M codes -> (N, M). Two empty masks overlap by 0."""
    return _overlap(a, b, size_hw, of_a=False)


def covered(a: Sequence[bytes], b: Sequence[bytes], size_hw: Size) -> NDArray[np.float64]:
    """The share of every mask in `a` that lies in every mask in `b`: N, M codes -> (N, M)."""
    return _overlap(a, b, size_hw, of_a=True)


def _overlap(a: Sequence[bytes], b: Sequence[bytes], size_hw: Size, of_a: bool) -> NDArray[np.float64]:
    if not a or not b:
        return np.zeros((len(a), len(b)))
    from pycocotools import mask as coco

    first, second = ([{"size": list(size_hw), "counts": code} for code in codes] for codes in (a, b))
    # 'crowd' makes pycocotools divide by the area of the first mask alone
    return np.asarray(coco.iou(first, second, [int(of_a)] * len(second)), np.float64)
