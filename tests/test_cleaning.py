"""Specks and pinholes go; real parts and real holes stay."""

import numpy as np
import pytest
from drawing import drawn
from hypothesis import example, given
from hypothesis import strategies as st
from test_masks import random_masks

from pipeline import cleaning, masks

CLEANED = [  # the mask, and what is left of it when less than a fifth of it and less than 4 pixels is small
    (["....", "####", "####"], ["....", "####", "####"]),  # nothing to do
    (["#...", "..##", "####", "####"], ["....", "..##", "####", "####"]),  # a speck goes
    (["#...", ".###", "####", "####"], ["#...", ".###", "####", "####"]),  # one that touches by its corner is no speck
    (["#####", "#.###", "#####", "#####"], ["#####"] * 4),  # a pinhole goes
    (["#####", ".####", "#####", "#####"], ["#####", ".####", "#####", "#####"]),  # a notch is no hole
    (["#####", "#.###", "##.##", "#####"], ["#####"] * 4),  # holes that touch by their corners are two
    ([".####", "#.###", "#####", "#####"], [".####"] + ["#####"] * 3),  # outside seen through a corner is a hole
    (["######", "#....#", "#....#", "######"], ["######", "#....#", "#....#", "######"]),  # a ring stays a ring
    (["#.#.#", ".....", "#.#.#"], ["#....", ".....", "....."]),  # only specks: the first of the largest stays
    (["....", "...."], ["....", "...."]),  # nothing there
    (["#"], ["#"]),
]


@pytest.mark.parametrize(("lines", "left"), CLEANED)
def test_clean(lines, left):
    mask = drawn(*lines)
    code = cleaning.clean(masks.encode(mask), mask.shape, fraction=0.2, limit_px=4)
    assert masks.decode(code, mask.shape).tolist() == drawn(*left).tolist()


ISLAND = drawn("###.....", "###.....", "........", "########", "########")  # 6 pixels beside 16: 22 in all


@pytest.mark.parametrize(
    ("fraction", "limit_px", "goes"),
    [
        (0.25, 6, False),  # below a quarter, but not below 6 pixels
        (0.25, 7, False),  # a quarter of 22 is 5.5: not below it
        (0.28, 6, False),  # below 6.16, but not below 6
        (0.28, 7, True),  # below both
        (1.0, 7, True),
        (0.0, 99, False),  # nothing is below nothing
        (1.0, 1, False),  # no part has less than a pixel
    ],
)
def test_small_is_below_both_limits(fraction, limit_px, goes):
    code = cleaning.clean(masks.encode(ISLAND), ISLAND.shape, fraction, limit_px)
    assert masks.area(code) == (16 if goes else 22)


@given(random_masks, st.floats(0, 1), st.integers(0, 200))
@example(drawn(".##.", "####", "####", ".##."), 1.0, 99)  # the outside is never a hole, however little there is of it
def test_cleaning_leaves_the_largest_part_and_fills_only_holes(mask, fraction, limit_px):
    code = masks.encode(mask)
    after = masks.decode(cleaning.clean(code, mask.shape, fraction, limit_px), mask.shape)
    assert masks.box(masks.encode(after & mask), mask.shape) == masks.box(masks.encode(after), mask.shape)
    if mask.any():
        assert (after & mask).any()
    border = np.ones_like(mask)
    border[1:-1, 1:-1] = False
    assert not (after & ~mask & border).any()


@given(random_masks, st.floats(0, 1), st.integers(0, 200))
@example(drawn("###", "#.#", "###"), 1.0, 99)  # one part, and a hole
@example(drawn("#.#", "###"), 1.0, 99)  # one part from two on the left: runs do not show it
@example(drawn("#..", "..#"), 1.0, 99)  # two parts
@example(drawn("###..", "#.#..", "###.#"), 1.0, 99)  # two parts and a hole
def test_what_runs_show_to_be_one_piece_is_one(mask, fraction, limit_px):
    mask = np.pad(mask, 1)  # no run turns a corner: that is never looked into
    code = masks.encode(mask)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(cleaning, "_is_one_piece", lambda *_: False)
        the_long_way = cleaning.clean(code, mask.shape, fraction, limit_px)
    assert cleaning.clean(code, mask.shape, fraction, limit_px) == the_long_way
