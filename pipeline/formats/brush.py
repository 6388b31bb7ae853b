"""Masks as Label Studio's brush has them: the bytes of an RGBA picture, row by row, as thi.ng/rle-pack packs them.

Head: 32 bits how many values, 5 bits the bits of a value less 1, four times 4 bits the bits of a length less 1. Then
packets: 1 bit (1: one value that goes on, 0: as many values), 2 bits which length, the length less 1, the values.
A pixel belongs to the mask where its fourth value, alpha, is not 0.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import masks
from pipeline.errors import BadRecord

CHANNELS = 4
VALUE_BITS = 8
LENGTH_BITS = (3, 4, 8, 16)
"""What Label Studio itself writes: lengths up to 8, 16, 256 and 65536."""
FULL = 255
HEAD_BITS = 32 + 5 + 4 * 4

Bits = NDArray[np.uint8]


def encode(code: bytes, size_hw: masks.Size) -> list[int]:
    """A mask's code as Label Studio's numbers: bytes -> N of 0 to 255."""
    lengths = CHANNELS * _across(code, size_hw)
    values = np.arange(len(lengths)) % 2 * FULL
    most = 1 << LENGTH_BITS[-1]
    pieces = -(-lengths // most)
    values, whole = values.repeat(pieces), np.full(pieces.sum(), most)
    last = pieces.cumsum()[pieces > 0] - 1
    whole[last] = (lengths - (pieces - 1) * most)[pieces > 0]
    kind = np.searchsorted([1 << bits for bits in LENGTH_BITS], whole)
    length_bits = np.array(LENGTH_BITS)[kind]
    packets = ((4 | kind) << length_bits | (whole - 1)) << VALUE_BITS | values
    head = [CHANNELS * size_hw[0] * size_hw[1], VALUE_BITS - 1, *(bits - 1 for bits in LENGTH_BITS)]
    numbers = np.concatenate([head, packets])
    widths = np.concatenate([[32, 5, 4, 4, 4, 4], 3 + length_bits + VALUE_BITS])
    return list(np.packbits(_bits_of(numbers, widths)).tolist())


def _across(code: bytes, size_hw: masks.Size) -> masks.Runs:
    """The runs of a mask row by row, the first of background; those of a code go column by column."""
    crop, (x, y) = masks.decode_crop(code, size_hw)
    return masks.unpack(masks.encode_crop(crop.T, (y, x), size_hw[::-1]))


def _bits_of(numbers: NDArray[np.int64], widths: NDArray[np.int64]) -> Bits:
    """Numbers as bits, each so many wide: (N,), (N,) -> (sum of widths,)."""
    place = widths.cumsum().repeat(widths) - 1 - np.arange(widths.sum())
    bits: NDArray[np.int64] = numbers.repeat(widths) >> place & 1
    return bits.astype(np.uint8)


def decode(numbers: Any, size_hw: masks.Size) -> bytes:
    """Label Studio's numbers as a mask's code, perhaps of no pixel; raises `BadRecord` where they are none."""
    if not isinstance(numbers, list) or not all(type(one) is int and 0 <= one < 256 for one in numbers):
        raise BadRecord("rle is no list of numbers from 0 to 255")
    bits = "".join([f"{one:08b}" for one in numbers])
    if len(bits) < HEAD_BITS or int(bits[32:37], 2) + 1 != VALUE_BITS:
        raise BadRecord("rle has no head, or values of other than 8 bits")
    count, area = int(bits[:32], 2), CHANNELS * size_hw[0] * size_hw[1]
    if count != area:
        raise BadRecord(f"rle is of {count} values, the picture has {area}", "give the size the mask was drawn at")
    lengths, values = _runs(bits, [int(bits[at : at + 4], 2) + 1 for at in range(37, HEAD_BITS, 4)], count)
    alpha = np.diff(lengths.cumsum() // CHANNELS, prepend=0)  # the last of four: it is in a run that goes past it
    return _down(alpha, values > 0, size_hw)


def _runs(bits: str, wide: Sequence[int], count: int) -> tuple[masks.Runs, masks.Runs]:
    """How often values come in a row, and which: (K,), (K,); together `count`. Raises `BadRecord`."""
    lengths: list[int] = []
    values: list[int] = []
    at, left = HEAD_BITS, count
    while left:
        begin = at + 3 + wide[int(bits[at + 1 : at + 3] or "0", 2)]
        length = int(bits[at + 3 : begin] or "0", 2) + 1
        goes_on = bits[at : at + 1] == "1"
        end = begin + VALUE_BITS * (1 if goes_on else length)
        if end > len(bits) or length > left:
            raise BadRecord("rle ends before the picture does, or goes on behind it")
        values += [int(bits[place : place + VALUE_BITS], 2) for place in range(begin, end, VALUE_BITS)]
        lengths += [length] if goes_on else [1] * length
        at, left = end, left - length
    return np.array(lengths, np.int64), np.array(values, np.int64)


def _down(lengths: masks.Runs, inside: NDArray[np.bool_], size_hw: masks.Size) -> bytes:
    """Runs of pixels row by row as a mask's code."""
    inside, lengths = inside[lengths > 0], lengths[lengths > 0]
    begins = np.flatnonzero(np.diff(inside, prepend=~inside[:1]))
    runs = np.add.reduceat(lengths, begins)
    across = masks.pack(np.concatenate([[0], runs]) if inside[0] else runs)
    crop, (y, x) = masks.decode_crop(across, size_hw[::-1])
    return masks.encode_crop(crop.T, (x, y), size_hw)
