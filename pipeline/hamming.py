"""Which of many 64-bit hashes are within a few bits of an earlier one: exact, for a million and more.

Multi-index hashing (Norouzi, Punjani and Fleet 2012). A hash is cut into bands. Where two hashes differ in at most
`distance` bits, they differ little in one of the bands: for the distances allowed there add up to less than the whole.
So each band is looked up as it is, and with each few of its bits turned, and only what is found is compared.
"""

from collections.abc import Iterator
from itertools import combinations
from math import comb
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BITS = 64
MOST = 8
"""Bits that may differ: a quarter of what two unrelated pictures differ in, and what is fast."""
WIDEST = 22  # bits of a band: its table has 2**22 numbers
AT_ONCE = 1 << 20  # pairs compared at a time
CROWD = 50
"""Where more pairs than so many times the hashes share a band, hashes are compared half by half."""
FEW = 2048  # hashes that are compared all with all

Hashes = NDArray[np.uint64]
Places = NDArray[np.int64]


class Band(NamedTuple):
    """Some bits of a hash, and how many of them may differ."""

    shift: int
    width: int
    radius: int

    def of(self, hashes: Hashes) -> NDArray[np.int64]:
        """The bits: -> (N,)."""
        return ((hashes >> np.uint64(self.shift)) & np.uint64((1 << self.width) - 1)).astype(np.int64)

    def turns(self) -> list[int]:
        """What to turn in the bits, one way at a time; nothing, first."""
        return [
            sum(1 << bit for bit in bits)
            for count in range(self.radius + 1)
            for bits in combinations(range(self.width), count)
        ]


def survivors(hashes: Hashes, distance: int) -> Places:
    """For each hash, in their order, the place of the first that is kept within the distance, or -1: it is kept.

    A hash is kept unless one that is kept before it is within the distance.
    """
    values, first, which = np.unique(hashes, return_index=True, return_inverse=True)
    order = np.argsort(first)  # of equal hashes the first stands for all
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    of_value = _survivors(values[order], distance)
    place = first[order].astype(np.int64)
    out = np.where(of_value < 0, place, place[of_value])[rank[which.reshape(-1)]]
    out[place[of_value < 0]] = -1
    return out


def _survivors(hashes: Hashes, distance: int) -> Places:
    """`survivors` of hashes that are all different."""
    if len(hashes) > FEW and _crowded(hashes, distance):
        return _by_halves(hashes, distance)
    return _decided(len(hashes), _pairs(hashes, hashes, distance))


def _by_halves(hashes: Hashes, distance: int) -> Places:
    """Compare the later half with what is kept of the earlier one, and what is left with itself."""
    half = len(hashes) // 2
    out = np.full(len(hashes), -1, np.int64)
    out[:half] = _survivors(hashes[:half], distance)
    kept = np.flatnonzero(out[:half] < 0)
    for later, earlier in _pairs(hashes[half:], hashes[kept], distance, itself=False):
        order = np.lexsort((earlier, later))
        rows, first = np.unique(later[order], return_index=True)
        found = kept[earlier[order][first]]
        before = out[half + rows]
        out[half + rows] = np.where(before < 0, found, np.minimum(before, found))
    rest = half + np.flatnonzero(out[half:] < 0)
    within = _survivors(hashes[rest], distance)
    out[rest] = np.where(within < 0, -1, rest[within])
    return out


def _decided(count: int, pairs: Iterator[tuple[Places, Places]]) -> Places:
    """Go through pairs of near hashes in the order of the later one: it goes with the first that is kept."""
    found = list(pairs)
    later = np.concatenate([pair[0] for pair in found]) if found else np.zeros(0, np.int64)
    earlier = np.concatenate([pair[1] for pair in found]) if found else np.zeros(0, np.int64)
    order = np.lexsort((earlier, later))
    out = [-1] * count
    for begin in range(0, len(order), AT_ONCE):
        some = order[begin : begin + AT_ONCE]
        for row, before in zip(later[some].tolist(), earlier[some].tolist(), strict=True):
            if out[row] < 0 and out[before] < 0:
                out[row] = before
    return np.array(out, np.int64)


def _pairs(hashes: Hashes, others: Hashes, distance: int, itself: bool = True) -> Iterator[tuple[Places, Places]]:
    """Places in `hashes` and in `others` of what is within the distance, perhaps more than once.

    With `itself` the two are the same, and the first of a pair comes after the second.
    """
    for band in bands(len(others), distance):
        keys = band.of(others)
        sorted_ = np.argsort(keys, kind="stable")
        begins = np.zeros((1 << band.width) + 1, np.int64)
        np.cumsum(np.bincount(keys, minlength=1 << band.width), out=begins[1:])
        asked = band.of(hashes)
        near = np.argsort(asked, kind="stable")  # neighbours ask for neighbours: memory is read in order
        asked = asked[near]
        for turn in band.turns():
            once = np.flatnonzero(asked & (turn & -turn) == 0) if itself and turn else slice(None)  # not from both ends
            wanted, whose = asked[once] ^ turn, near[once]
            for rows, places in _spread(begins[wanted], begins[wanted + 1]):
                one, other = whose[rows], sorted_[places]
                good = np.bitwise_count(hashes[one] ^ others[other]) <= distance
                if itself:
                    good &= one != other
                if good.any():
                    one, other = one[good], other[good]
                    yield (np.maximum(one, other), np.minimum(one, other)) if itself else (one, other)


def _spread(begin: Places, end: Places) -> Iterator[tuple[Places, Places]]:
    """Each number from begin to end (N,) with its row, so many at a time."""
    rows = np.flatnonzero(end > begin)
    begin, counts = begin[rows], (end - begin)[rows] if len(rows) < len(end) else end - begin
    total = np.cumsum(counts)
    at = 0
    while at < len(rows):
        before = int(total[at - 1]) if at else 0
        stop = max(at + 1, int(np.searchsorted(total, before + AT_ONCE, "right")))
        some = counts[at:stop]
        which = np.repeat(np.arange(at, stop), some)
        steps = np.arange(len(which)) - np.repeat(total[at:stop] - some - before, some)
        yield rows[which], begin[which] + steps
        at = stop


def bands(count: int, distance: int) -> list[Band]:
    """The bands that find all of `count` hashes within a distance for the least work.

    >>> bands(1_000_000, 4)
    [Band(shift=0, width=22, radius=1), Band(shift=22, width=21, radius=1), Band(shift=43, width=21, radius=0)]
    """
    choices = [_cut(number, distance) for number in range(-(-BITS // WIDEST), max(distance + 1, 4) + 1)]
    return min(choices, key=lambda bands: sum(_work(band, count) for band in bands))


def _cut(number: int, distance: int) -> list[Band]:
    """So many bands; what may differ in each, and one more, adds up to the distance and one more."""
    out, shift = [], 0
    for at in range(number):
        width = BITS // number + (at < BITS % number)
        share = (distance + 1) // number + (at < (distance + 1) % number)
        if share:
            out.append(Band(shift, width, share - 1))
        shift += width
    return out


def _work(band: Band, count: int) -> float:
    """Looks into a table and comparisons, for all hashes; filling the table counts, too."""
    turns = sum(comb(band.width, bits) for bits in range(band.radius + 1))
    return float(count * turns * (1 + count / 2**band.width) + 2**band.width)


def _crowded(hashes: Hashes, distance: int) -> bool:
    """Whether many hashes share a band: pictures of one place, by the thousand."""
    pairs = 0
    for band in bands(len(hashes), distance):
        _, counts = np.unique(band.of(hashes), return_counts=True)
        pairs += int((counts.astype(np.int64) * (counts - 1) // 2).sum())
    return pairs > CROWD * len(hashes)
