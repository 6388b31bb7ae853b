"""A picture shown once more, mirrored or smaller: where things are then, and what becomes of two answers."""

import numpy as np
import pytest
from blobs import Blobs

from pipeline.detectors.views import GREY, View, as_one, views_of
from pipeline.media import Picture
from pipeline.records import Instances
from pipeline.seams import Device

SIZE_HW = (100, 200)
MIRRORED, HALF = View(mirrored=True), View(scale=0.5)


def painted(*boxes):
    """White, with black rectangles."""
    rgb = np.full((*SIZE_HW, 3), 255, np.uint8)
    for x0, y0, x1, y1 in boxes:
        rgb[y0:y1, x0:x1] = 0
    return Picture.of(rgb)


def rows(*boxes, scores=None, prompt="dog"):
    n = len(boxes)
    return Instances(
        SIZE_HW,
        np.array(boxes, np.float32).reshape(-1, 4),
        names=("",) * n,
        scores=np.array(scores or [0.5] * n, np.float32),
        score_kind=("sure",) * n,
        prompts=(prompt,) * n,
        source=("some",) * n,
        extra=({},) * n,
    )


def boxes(found):
    return [tuple(box) for box in found.boxes_xyxy.tolist()]


@pytest.mark.parametrize(
    ("view", "size_hw", "shown"),
    [
        (View(), (100, 200), (10, 20, 50, 40)),
        (MIRRORED, (100, 200), (150, 20, 190, 40)),
        (HALF, (200, 400), (110, 70, 150, 90)),
        (View(scale=0.8), (124, 250), (35, 32, 75, 52)),
        (View(mirrored=True, scale=0.5), (200, 400), (250, 70, 290, 90)),
    ],
)
def test_there_and_back(view, size_hw, shown):
    picture = view.of(painted((10, 20, 50, 40)))
    (found,) = Blobs().open(Device()).detect([picture], ["dog"])
    assert picture.size_hw == size_hw
    assert boxes(found) == [shown]
    assert boxes(view.back(found, SIZE_HW)) == [(10, 20, 50, 40)]


def test_around_a_smaller_picture_all_is_grey():
    shown = HALF.of(painted()).rgb
    assert (shown[50:150, 100:300] == 255).all()
    shown[50:150, 100:300] = GREY
    assert (shown == GREY).all()


def test_boxes_of_grey_are_gone_and_others_are_cut():
    wide = Instances((200, 400), np.array([(0, 0, 90, 40), (50, 60, 150, 90)], np.float32), names=("", ""))
    assert boxes(HALF.back(wide, SIZE_HW)) == [(0, 10, 50, 40)]


BOX, NEAR, OTHER = (10, 20, 50, 40), (11, 20, 52, 40), (100, 50, 120, 90)
MIRROR = (148, 20, 189, 40)  # of NEAR


@pytest.mark.parametrize(
    ("first", "second", "found", "agreed"),
    [
        (rows(BOX), rows(), [BOX], []),
        (rows(), rows(MIRROR), [NEAR], []),
        (rows(BOX), rows(MIRROR), [BOX], [BOX]),  # equally sure: the first
        (rows(BOX, scores=[0.4]), rows(MIRROR), [NEAR], [NEAR]),
        (rows(BOX, OTHER), rows(MIRROR), [BOX, OTHER], [BOX]),
        (rows(BOX), rows(MIRROR, prompt="cat"), [NEAR, BOX], []),  # by prompt
        (rows(), rows(), [], []),
    ],
)
def test_two_answers_become_one(first, second, found, agreed):
    views = views_of(True, [])
    assert boxes(as_one([first, second], views, SIZE_HW)) == found
    assert boxes(as_one([first, second], views, SIZE_HW, agreed=True)) == agreed


def test_one_view_is_left_as_it_is():
    found = rows(BOX, NEAR)
    assert as_one([found], views_of(False, []), SIZE_HW, agreed=True) is found
