"""Near hashes: the same answer as comparing all with all, whatever lies close together."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from pipeline import hamming
from pipeline.hamming import survivors


def all_pairs(hashes, distance):
    """What is kept, one hash after another."""
    out, kept = [], []
    for value in hashes:
        near = [place for place in kept if (int(hashes[place]) ^ int(value)).bit_count() <= distance]
        out.append(near[0] if near else -1)
        if not near:
            kept.append(len(out) - 1)
    return out


@pytest.mark.parametrize(
    ("hashes", "distance", "wanted"),
    [
        ([], 4, []),
        ([0], 4, [-1]),
        ([0, 0], 0, [-1, 0]),  # the same
        ([0, 1], 0, [-1, -1]),
        ([0, 0b1111], 4, [-1, 0]),  # just within
        ([0, 0b11111], 4, [-1, -1]),  # just not
        ([0, 0b11, 0b1111], 2, [-1, 0, -1]),  # the third is near the second, which is not kept
        ([0b11, 0, 0b1111], 2, [-1, 0, 0]),  # in another order
        ([0, 0b111, 0b1], 2, [-1, -1, 0]),  # of two that are near the first counts
        ([0, 1 << 63, (1 << 64) - 1], 1, [-1, 0, -1]),  # the highest bit
        ([5, 9, 5, 9, 5], 0, [-1, -1, 0, 1, 0]),
    ],
)
def test_what_is_kept(hashes, distance, wanted):
    assert survivors(np.array(hashes, np.uint64), distance).tolist() == wanted == all_pairs(hashes, distance)


NEAR_SOMETHING = some.builds(
    lambda base, bits: base ^ sum(1 << bit for bit in bits),
    some.sampled_from([0, 2**64 - 1, 0x0123456789ABCDEF, 0xF0F0F0F0F0F0F0F0]),
    some.sets(some.integers(0, 63), max_size=9),
)


@settings(max_examples=150, deadline=None)
@given(some.lists(NEAR_SOMETHING, max_size=60), some.integers(0, hamming.MOST), some.booleans())
def test_it_is_what_comparing_all_with_all_gives(hashes, distance, by_halves):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hamming, "FEW", 4 if by_halves else 2048)
        patch.setattr(hamming, "CROWD", 0 if by_halves else 50)
        patch.setattr(hamming, "AT_ONCE", 7)  # pairs come in many pieces
        assert survivors(np.array(hashes, np.uint64), distance).tolist() == all_pairs(hashes, distance)


@pytest.mark.parametrize("distance", [4, 8])
@pytest.mark.parametrize("spread", [16, 64])  # bits in which they differ at all: a crowd, and strangers
def test_of_thousands(distance, spread):
    dice = np.random.default_rng(spread)
    hashes = dice.integers(0, 2**spread, 3000, dtype=np.uint64, endpoint=False) if spread < 64 else strangers(dice)
    assert survivors(hashes, distance).tolist() == all_pairs(hashes, distance)


def strangers(dice):
    """Hashes of which half are near another."""
    hashes = dice.integers(0, 2**64, 3000, dtype=np.uint64)
    turned = np.uint64(1) << dice.integers(0, 64, (1500, 3)).astype(np.uint64)
    hashes[1500:] = hashes[:1500] ^ np.bitwise_xor.reduce(turned, axis=1)
    return dice.permutation(hashes)


@pytest.mark.parametrize("count", [1, 100, 10_000, 100_000, 1_000_000])
@pytest.mark.parametrize("distance", range(hamming.MOST + 1))
def test_bands_leave_no_way_to_be_near(count, distance):
    """Differing by one more than its radius in every band is further than the distance; no two bands share a bit."""
    bands = hamming.bands(count, distance)
    assert sum(band.radius + 1 for band in bands) > distance
    taken = [bit for band in bands for bit in range(band.shift, band.shift + band.width)]
    assert len(taken) == len(set(taken))
    assert max(taken) < hamming.BITS
    assert all(band.width <= hamming.WIDEST for band in bands)


def test_by_halves_the_first_that_is_kept_counts(monkeypatch):
    """The last is near the first two of the earlier half; each is found in a band of its own, the second one later."""
    monkeypatch.setattr(hamming, "FEW", 2)
    monkeypatch.setattr(hamming, "CROWD", 0)
    far = [0xFFFF << shift for shift in (4, 20, 40)]
    hashes = [1 << 30, 1, far[0], far[1], far[2], 0]
    assert survivors(np.array(hashes, np.uint64), 1).tolist() == [-1, -1, -1, -1, -1, 0] == all_pairs(hashes, 1)
