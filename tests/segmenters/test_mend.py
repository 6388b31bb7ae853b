"""What holds for every segmenter that can be asked again with clicks."""

import backends
import numpy as np
import pytest
from drawing import instances, square

from pipeline import masks
from pipeline.media import Picture
from pipeline.records import Instances
from pipeline.sam2_image import logits_of
from pipeline.seams import Device
from pipeline.segmenters.fake import Fake
from pipeline.segmenters.sam2 import Sam2

SIZE_HW = (60, 90)
TRUE, BESIDE = (30, 20, 60, 40), (40, 20, 70, 40)
MENDERS = sorted(name for name, options in backends.SEGMENTERS.items() if options().mends)


def picture():
    rgb = np.full((*SIZE_HW, 3), 200, np.uint8)
    rgb[20:40, 30:60] = (180, 20, 30)
    return Picture.of(rgb, "a.png")


def rows(box, code, *clicks):
    """A row with a mask, or None, and clicks on it."""
    return instances([box], size_hw=SIZE_HW, masks=(code,), points=(np.array(clicks, np.float32),))


def mended(segmenter, *found):
    return [answer.masks[0] for answer in segmenter.mend([picture()] * len(found), list(found))]


def test_which_segmenters_mend():
    assert MENDERS == ["fake", "sam2"]


@pytest.fixture(params=["fake", "sam2"])
def segmenter(request):
    if request.param == "sam2":  # the tiny one, which has learnt shapes of one colour
        return Sam2(model="tiny-sam2").open(Device("cpu", 1))
    return backends.SEGMENTERS[request.param]().open(Device("cpu", 1))


ON, OFF = (33, 30, 1), (66, 30, -1)


def test_a_wrong_mask_is_mended_by_two_clicks(segmenter):
    true, wrong = square(*TRUE, SIZE_HW), square(*BESIDE, SIZE_HW)
    before, after = masks.iou([wrong, *mended(segmenter, rows(BESIDE, wrong, ON, OFF))], [true], SIZE_HW)[:, 0]
    assert before == pytest.approx(0.5)
    assert after >= 0.75


def test_the_same_clicks_give_the_same_mask_whoever_is_asked_with_them(segmenter):
    wrong = square(*BESIDE, SIZE_HW)
    one, other = rows(BESIDE, wrong, ON, OFF), rows(TRUE, square(*TRUE, SIZE_HW), (45, 30, 1))
    assert mended(segmenter, one, other) == [*mended(segmenter, one), *mended(segmenter, other)]


def test_a_mask_is_made_of_clicks_alone(segmenter):
    anywhere = (0, 0, SIZE_HW[1], SIZE_HW[0])
    (code,) = mended(segmenter, rows(anywhere, None, (45, 30, 1)))
    assert masks.decode(masks.validate(code, SIZE_HW), SIZE_HW)[30, 45]


def test_nothing_is_asked_of_a_picture_without_rows(segmenter):
    nothing = Instances(SIZE_HW, np.zeros((0, 4)), (), points=(), masks=())
    assert [len(answer) for answer in segmenter.mend([picture()], [nothing])] == [0]


@pytest.mark.parametrize(
    ("clicks", "box"),
    [
        ([(70, 30, 1)], (30, 20, 70, 40)),
        ([(45, 10, 1)], (30, 10, 60, 40)),
        ([(45, 30, 1)], (30, 20, 60, 40)),  # it is on it already
        ([(55, 30, -1)], (30, 20, 55, 40)),
        ([(32, 30, -1)], (32, 20, 60, 40)),
        ([(80, 30, -1)], (30, 20, 60, 40)),  # it is off it already
        ([(70, 30, 1), (65, 30, -1)], (30, 20, 65, 40)),  # one after the other
    ],
)
def test_the_fake_moves_the_nearest_edge(clicks, box):
    segmenter = Fake().open(Device("cpu", 1))
    assert masks.box(*mended(segmenter, rows(TRUE, square(*TRUE, SIZE_HW), *clicks)), SIZE_HW) == box


def test_a_mask_as_a_map_of_logits():
    mask = np.zeros((40, 80), bool)
    mask[:, :40] = True
    assert (logits_of(mask, (4, 8))[:, [0, 7]].round(4) == [10, -10]).all()
    assert (logits_of(mask, (4, 8)) > 0).tolist() == [[True] * 4 + [False] * 4] * 4
