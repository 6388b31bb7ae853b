import time

import numpy as np
import pytest
import torture
from drawing import drawn
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from pipeline.formats.bridges import drawable, polygon


def filled(vertices, shape):
    """The polygon as ultralytics draws it."""
    import cv2

    mask = np.zeros(shape, np.uint8)
    cv2.fillPoly(mask, [vertices.astype(np.int32)], 1)
    return mask > 0


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


EXACT = {  # name -> the mask, and how many holes
    "a hole": (drawn("#####", "#...#", "#####"), 1),
    "holes that touch at a corner": (drawn("####", "#.##", "##.#", "####"), 2),
    "holes side by side": (drawn("#####", "#.#.#", "#####"), 2),
    "a hole behind a hole": (drawn("#######", "#.##..#", "#.##.##", "#######"), 2),
    "parts at a corner are one": (drawn("##..", "##..", "..##"), 0),
    "a line": (drawn("####"), 0),
    "a slanted line": (drawn("#..", ".#.", "..#"), 0),
    "a bent line": (drawn("#..", "#..", "###"), 0),
    "one pixel": (drawn("#"), 0),
}


@pytest.mark.parametrize(("mask", "holes"), EXACT.values(), ids=EXACT)
def test_one_part_is_drawn_again(mask, holes):
    vertices, *joined = polygon(mask)
    assert filled(vertices, mask.shape).tolist() == mask.tolist()
    assert joined == [holes, 0]
    assert len(vertices) >= 3
    assert np.ptp(vertices, axis=0).all()  # a box with an area


BRIDGED = {  # name -> the mask, and what is drawn again
    "nearest pixels": (drawn("#....", "##..#", "#...."), drawn("#....", "#####", "#....")),
    "in a row": (drawn("#..#..#"), drawn("#######")),
    "in a column": (drawn("#", ".", "#"), drawn("#", "#", "#")),
    "an island": (
        drawn("#####", "#...#", "#.#.#", "#...#", "#####"),
        drawn("#####", "#...#", "###.#", "#...#", "#####"),
        drawn("#####", "#.#.#", "#.#.#", "#...#", "#####"),
        drawn("#####", "##..#", "#.#.#", "#...#", "#####"),
    ),
}


@pytest.mark.parametrize("masks", BRIDGED.values(), ids=BRIDGED)
def test_parts_are_joined_where_they_are_nearest(masks):
    mask, *ways = masks
    assert filled(polygon(mask)[0], mask.shape).tolist() in [way.tolist() for way in ways]


FLOOR = {"rings in rings": 0.99, "two parts": 0.98, "many parts": 0.78, "far parts": 0.12}
"""What ways between parts cost; all else is exact."""


@pytest.mark.parametrize("name", torture.shapes())
def test_what_bridging_costs(name):
    mask = torture.shapes()[name]
    vertices, _, further = polygon(mask)
    again = filled(vertices, mask.shape)
    assert not (mask & ~again).any()
    assert FLOOR.get(name, 1) <= iou(mask, again) <= FLOOR.get(name, 1) + 0.01
    assert (further > 0) == (name in FLOOR)


@given(arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_every_mask_keeps_its_pixels_and_one_part_is_exact(mask):
    if not mask.any():
        return
    vertices, _, further = polygon(mask)
    again = filled(vertices, mask.shape)
    assert not (mask & ~again).any()
    assert further or (again == mask).all()
    assert (again & ~mask).sum() <= further * (max(mask.shape) - 2)


@settings(max_examples=30)
@given(st.integers(0, 2**32), st.floats(0.02, 0.98))
def test_every_mask_of_noise_is_one_polygon(seed, share):
    mask = np.random.default_rng(seed).random((40, 50)) < share
    if not mask.any():
        return
    vertices, _, further = polygon(mask)
    again = filled(vertices, mask.shape)
    assert not (mask & ~again).any()
    assert iou(mask, again) > 0.2  # of specks, ways are the most
    assert further or (again == mask).all()


def test_three_hundred_parts_take_no_minutes():
    mask = np.zeros((1200, 1600), bool)
    for number in range(300):
        y, x = 40 + number // 20 * 75, 10 + number % 20 * 78
        mask[y : y + 50, x : x + 60] = True
    began = time.process_time()
    vertices, _, further = polygon(mask)
    assert time.process_time() - began < 10  # 0.1 s; minutes, if every part asked every other
    assert further == 299
    assert iou(mask, filled(vertices, mask.shape)) > 0.98


@pytest.mark.parametrize(
    ("ring", "positions"),
    [
        ([[3, 4]], [[3.25, 4.25], [3.75, 4.25], [3.75, 4.75], [3.25, 4.75]]),  # one pixel
        ([[3, 4], [3, 9]], [[3.25, 4.25], [3.75, 4.25], [3.75, 9.75], [3.25, 9.75]]),  # a line
        ([[3, 4], [5, 6]], [[3.25, 4.25], [3.75, 4.25], [5.75, 6.75], [5.25, 6.75]]),  # a slanted line
        ([[3, 4], [9, 4], [5, 4]], [[3.25, 4.25], [3.75, 4.25], [9.75, 4.75], [9.25, 4.75]]),  # parts in a row
        ([[0, 0], [2, 0], [2, 2]], [[0.5, 0.5], [2.5, 0.5], [2.5, 2.5]]),  # centres of pixels
    ],
)
def test_a_polygon_has_three_vertices_and_an_area(ring, positions):
    assert drawable(np.array(ring)).tolist() == positions
