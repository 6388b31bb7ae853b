"""Boxes by eye, and against pixels painted one by one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import geometry
from pipeline.geometry import as_boxes
from pipeline.records import Instances

SIDE = 12
coordinates = st.integers(0, SIDE)
pixel_boxes = st.lists(st.tuples(coordinates, coordinates, coordinates, coordinates), max_size=4).map(
    lambda rows: [(min(a, c), min(b, d), max(a, c), max(b, d)) for a, b, c, d in rows]
)


def painted(x0, y0, x1, y1):
    mask = np.zeros((SIDE, SIDE), bool)
    mask[y0:y1, x0:x1] = True
    return mask


@pytest.mark.parametrize(
    ("given", "shape"),
    [
        ([], (0, 4)),  # nothing
        ([1, 2, 3, 4], (1, 4)),  # one box, flat
        ([[1, 2, 3, 4], [5, 6, 7, 8]], (2, 4)),  # two boxes
        (np.zeros((0, 4)), (0, 4)),  # nothing, with a shape
    ],
)
def test_anything_box_like_becomes_rows_of_four(given, shape):
    boxes = as_boxes(given)
    assert boxes.shape == shape
    assert boxes.dtype == np.float32


def test_cocos_boxes_become_corners_and_nothing_stays_nothing():
    assert geometry.xywh_to_xyxy([[1.5, 2, 3, 4]]).tolist() == [[1.5, 2, 4.5, 6]]
    assert geometry.xywh_to_xyxy([]).shape == (0, 4)


@pytest.mark.parametrize(
    ("box", "clipped"),
    [
        ([1, 2, 3, 4], [1, 2, 3, 4]),  # inside
        ([-5, -5, 30, 30], [0, 0, 20, 10]),  # larger than the picture, which is 10 high and 20 wide
        ([15, 8, 25, 18], [15, 8, 20, 10]),  # over the corner
        ([25, 2, 30, 4], [20, 2, 20, 4]),  # outside: no area left
        ([-9, -9, -1, -1], [0, 0, 0, 0]),  # outside on the other side
    ],
)
def test_clip_keeps_the_part_inside(box, clipped):
    assert geometry.clip_boxes(as_boxes([box]), (10, 20)).tolist() == [clipped]


@pytest.mark.parametrize(
    ("box", "is_proper"),
    [
        ([0, 0, 1, 1], True),  # a pixel
        ([0, 0, 0.001, 1], True),  # the thinnest that a record can hold
        ([0, 0, 0.0004, 1], False),  # thinner: a record would round it to nothing
        ([2, 0, 2, 1], False),  # no width
        ([3, 0, 2, 1], False),  # inverted
        ([0, 0, np.nan, 1], False),
        ([-np.inf, 0, np.inf, 1], False),
    ],
)
def test_proper_boxes_are_finite_and_have_an_area(box, is_proper):
    assert geometry.proper(as_boxes([box])).tolist() == [is_proper]


@given(st.lists(st.tuples(*[st.floats(0, 100, width=32)] * 4), min_size=1, max_size=4))
def test_what_is_proper_can_be_recorded(rows):
    boxes = geometry.clip_boxes(as_boxes(rows), (100, 100))
    boxes = boxes[geometry.proper(boxes)]
    assert len(Instances((100, 100), boxes, ("dog",) * len(boxes))) == len(boxes)


def test_areas_are_never_negative():
    assert geometry.areas(as_boxes([[0, 0, 2, 3], [5, 5, 5, 9], [5, 5, 1, 1]])).tolist() == [6, 0, 0]


@given(pixel_boxes, pixel_boxes)
def test_overlap_is_that_of_painted_pixels(a, b):
    iou = geometry.box_iou(as_boxes(a), as_boxes(b))
    assert iou.shape == (len(a), len(b))
    for i, j in np.ndindex(iou.shape):
        first, second = painted(*a[i]), painted(*b[j])
        union = (first | second).sum()
        assert iou[i, j] == pytest.approx((first & second).sum() / union if union else 0)


@given(pixel_boxes)
def test_paired_overlap_is_the_diagonal(rows):
    a, b = as_boxes(rows), as_boxes(rows[::-1])
    assert geometry.paired_iou(a, b).tolist() == np.diag(geometry.box_iou(a, b)).tolist()


@pytest.mark.parametrize(
    ("box", "margin", "pixels"),
    [
        ([2, 2, 4, 4], 0, (2, 2, 4, 4)),  # on pixel edges
        ([2.1, 2.9, 3.1, 3.9], 0, (2, 2, 4, 4)),  # every pixel that it touches
        ([2, 2, 6, 4], 0.5, (0, 1, 8, 5)),  # half of each side more, on each side
        ([8, 8, 10, 10], 1, (6, 6, 10, 10)),  # and not beyond the picture
    ],
)
def test_outer_pixels(box, margin, pixels):
    assert geometry.outer_pixels(box, (10, 10), margin) == pixels


@pytest.mark.parametrize(
    ("boxes", "scores", "kept"),
    [
        ([], [], []),  # nothing
        ([[0, 0, 9, 9], [0, 0, 9, 9]], [0.5, 0.9], [1]),  # the better of two twins
        ([[0, 0, 9, 9], [0, 0, 9, 9]], [0.5, 0.5], [0]),  # of equals the first
        ([[0, 0, 9, 9], [20, 20, 29, 29]], [0.5, 0.9], [1, 0]),  # apart: both, best first
        (
            [[0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]],
            [0.9, 0.8, 0.7],
            [0, 2],
        ),  # the one suppressed suppresses none
        ([[0, 0, 10, 10], [5, 0, 15, 10]], [0.9, 0.8], [0, 1]),  # overlap a third: at the threshold, so both
    ],
)
def test_suppress(boxes, scores, kept):
    rows = geometry.suppress(as_boxes(boxes), np.array(scores, np.float32), threshold=1 / 3)
    assert rows.tolist() == kept
