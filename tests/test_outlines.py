"""Outlines on the edges of pixels: what they enclose is the mask, for our own eyes and for pycocotools."""

import numpy as np
import pytest
from drawing import drawn
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pipeline import masks
from pipeline.outlines import area_px, outlines


@pytest.mark.parametrize(
    ("mask", "outer", "holes"),
    [
        (drawn("#"), [[(0, 0), (1, 0), (1, 1), (0, 1)]], []),
        (drawn("...", ".##", "..."), [[(1, 1), (3, 1), (3, 2), (1, 2)]], []),
        (drawn("#.", "##"), [[(0, 0), (1, 0), (1, 1), (2, 1), (2, 2), (0, 2)]], []),
        (  # parts that touch at a corner are apart
            drawn("#.", ".#"),
            [[(0, 0), (1, 0), (1, 1), (0, 1)], [(1, 1), (2, 1), (2, 2), (1, 2)]],
            [],
        ),
        (
            drawn("###", "#.#", "###"),
            [[(0, 0), (3, 0), (3, 3), (0, 3)]],
            [[(1, 2), (2, 2), (2, 1), (1, 1)]],
        ),
        (  # open at a corner: no hole
            drawn(".##", "#.#", "###"),
            [[(1, 0), (3, 0), (3, 3), (0, 3), (0, 1), (1, 1), (1, 2), (2, 2), (2, 1), (1, 1)]],
            [],
        ),
        (drawn("..", ".."), [], []),
    ],
)
def test_what_is_drawn(mask, outer, holes):
    found = outlines(masks.encode(mask), mask.shape)
    assert [[tuple(corner) for corner in ring.tolist()] for ring in found[0]] == outer
    assert [sorted(map(tuple, ring.tolist())) for ring in found[1]] == [sorted(ring) for ring in holes]


def enclosed(rings, size_hw):
    """What pycocotools fills."""
    from pycocotools import mask as coco

    h, w = size_hw
    polygons = [ring.reshape(-1).tolist() for ring in rings]
    return masks.decode(coco.merge(coco.frPyObjects(polygons, h, w))["counts"], size_hw)


MASKS = arrays.arrays(bool, arrays.array_shapes(min_dims=2, max_dims=2, max_side=12))


@settings(max_examples=300, deadline=None)
@given(MASKS, st.integers(0, 3), st.integers(0, 3))
def test_what_is_enclosed_is_the_mask(mask, down, right):
    mask = np.pad(mask, ((down, 0), (right, 0)))
    outer, holes = outlines(masks.encode(mask), mask.shape)
    assert sum(map(area_px, outer)) + sum(map(area_px, holes)) == mask.sum()
    assert all(area_px(ring) > 0 for ring in outer)
    assert all(area_px(ring) < 0 for ring in holes)
    if mask.any():
        filled = enclosed(outer, mask.shape)
        for ring in holes:
            filled &= ~enclosed([ring], mask.shape)
        assert (filled == mask).all()


def test_the_check_can_fail():
    outer, _ = outlines(masks.encode(drawn("....", ".##.", ".##.", "....")), (4, 4))
    assert not (enclosed([outer[0] + 1], (4, 4)) == drawn("....", ".##.", ".##.", "....")).all()
