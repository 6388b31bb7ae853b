from types import SimpleNamespace

import numpy as np
import pytest
from drawing import instances, square

from pipeline import masks
from pipeline.media import Picture
from pipeline.sam2_image import Embedding, Prompt, Sam2Image, Scaling
from pipeline.segmenters.sam2 import Answer, _Sam2, agreement, bare, best, prompt_of

SCALING = Scaling(256, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 1 / 255)
SQUARE_HW = (20, 30)
HERE, THERE = (2, 2, 12, 12), (18, 2, 28, 12)


class DrawsBoxes:
    """Stands where `Sam2Model` does: its logits say how far each place of its map is inside the box asked for."""

    def __init__(self):
        import torch

        self.no_memory_embedding = torch.zeros(1)
        self.prompt_encoder = SimpleNamespace(mask_input_size=(64, 64))
        self.mask_decoder = SimpleNamespace(num_multimask_outputs=3)
        self.looked = []

    def get_image_embeddings(self, values):
        self.looked.append(len(values))
        return [values[:, :1, :1, :1]]

    def __call__(self, image_embeddings, input_boxes, multimask_output):
        import torch

        centres = (torch.arange(64) + 0.5) * 4
        x0, y0, x1, y1 = input_boxes[:, 0, :, None].unbind(1)
        across = torch.minimum(centres - x0, x1 - centres)[:, None, :]
        down = torch.minimum(centres - y0, y1 - centres)[:, :, None]
        n, k = len(input_boxes), 3 if multimask_output else 1
        maps = torch.minimum(across, down)[:, None, None].repeat(1, 1, k, 1, 1)
        return SimpleNamespace(pred_masks=maps, iou_scores=torch.full((n, 1, k), 0.75))


def drawing(pictures=1, prompts=4):
    """A segmenter of which only the model is not real."""
    return _Sam2(Sam2Image(DrawsBoxes(), SCALING, pictures, prompts), retry_below=0.5)


def blank(*size_hw):
    return Picture.of(np.zeros((*size_hw, 3), np.uint8))


@pytest.mark.parametrize(
    ("size_hw", "box_xyxy"),
    [
        ((256, 256), (64, 32, 192, 128)),  # the square itself
        ((480, 640), (100, 50, 300, 400)),  # lying
        ((641, 427), (33, 100, 400, 111)),  # standing, odd
        ((1081, 1923), (700.5, 300.25, 1333.75, 1000)),  # between pixels
        ((97, 1031), (500, 20, 760, 70)),  # a strip
        ((31, 17), (3, 5, 12, 27)),  # smaller than the map
        ((480, 640), (0, 0, 640, 480)),  # the whole picture
        ((1081, 1923), (0, 0, 400, 1081)),  # at three edges
    ],
)
def test_a_model_that_draws_boxes_gives_the_boxes(size_hw, box_xyxy):
    """To within a pixel of the picture: prompts, map and mask lie on each other."""
    (answer,) = drawing().segment([blank(*size_hw)], [instances([box_xyxy], size_hw=size_hw)])
    tight = masks.box(answer.masks[0], size_hw)
    assert np.abs(np.subtract(tight, box_xyxy)).max() <= 1
    assert masks.area(answer.masks[0]) > 0.98 * (tight[2] - tight[0]) * (tight[3] - tight[1])
    assert answer.quality[0, 0] == 0.75


def test_a_picture_is_looked_at_once_and_only_where_a_mask_is_missing():
    segmenter = drawing()
    boxes = [HERE, THERE, (0, 0, 30, 20)] * 3
    done = instances([HERE], masks=[square(*HERE)])
    hidden = instances([(0, 0, 0, 0)], visible=[False])
    found = [instances(boxes), done, hidden, instances([]), instances([HERE])]
    answers = segmenter.segment([blank(*SQUARE_HW)] * 5, found)
    assert segmenter.sam2.model.looked == [1, 1]
    assert [rows.masks is None or list(rows.masks).count(None) for rows in answers] == [0, 0, True, True, 0]
    assert answers[1] is done


def test_pictures_go_together_and_the_last_batch_is_filled_up():
    segmenter = drawing(pictures=3)
    boxes = [(n, 2, 12 + n, 12) for n in range(5)]
    found = [instances([box]) for box in boxes[:2]] + [instances([])] + [instances([box]) for box in boxes[2:]]
    answers = segmenter.segment([blank(*SQUARE_HW)] * 6, found)
    assert segmenter.sam2.model.looked == [3, 3]
    assert [masks.box(rows.masks[0], SQUARE_HW) for rows in answers if len(rows)] == boxes


def test_rows_that_have_a_mask_keep_it_and_its_quality():
    own = square(1, 1, 3, 3)
    found = instances([HERE, THERE], masks=[None, own], quality=[[np.nan] * 3, [0.1, 0.2, 0.3]])
    (answer,) = drawing().segment([blank(*SQUARE_HW)], [found])
    assert answer.masks == (square(*HERE), own)
    assert np.allclose(answer.quality, [[0.75, 1.0, np.nan], [0.1, 0.2, 0.3]], equal_nan=True, atol=0.2)
    assert answer.quality[1].tolist() == pytest.approx([0.1, 0.2, 0.3])


def test_stability_is_of_the_mask_that_stands():
    """Places of the map are 4 pixels wide: 16 x 16 have their centre in the box, those at its edge just 0.5 inside."""
    (answer,) = drawing().segment([blank(256, 256)], [instances([(65.5, 65.5, 126.5, 126.5)], size_hw=(256, 256))])
    assert answer.quality[0, 1] == np.float32(round(14 * 14 / (16 * 16), 4))


WHOLE = (0, 0, 30, 20)
ON, OFF = (5, 5, 1), (9, 9, -1)


@pytest.mark.parametrize(
    ("box_xyxy", "points", "asked"),
    [
        (HERE, None, (HERE, None)),  # a box
        (HERE, [ON, OFF], (HERE, [ON, OFF])),  # a box and points
        (WHOLE, None, (WHOLE, None)),  # a box as large as the picture
        (WHOLE, [ON, OFF], (None, [ON, OFF])),  # points that came without a box
        (WHOLE, [OFF], (WHOLE, [OFF])),  # points off the object mark none: the box was meant
    ],
)
def test_what_marks_a_row(box_xyxy, points, asked):
    found = instances([HERE, box_xyxy], points=[None, points and np.float32(points)])
    prompt = prompt_of(found, 1)
    assert (prompt.box_xyxy is None) == (asked[0] is None)
    assert asked[0] is None or prompt.box_xyxy.tolist() == list(asked[0])
    assert (None if prompt.points is None else [tuple(point) for point in prompt.points.tolist()]) == asked[1]


@pytest.mark.parametrize(
    ("columns", "rows"),
    [
        ({}, [0, 1]),  # none was computed
        ({"masks": [None, square(*THERE)]}, [0]),  # one is there
        ({"boxes_xyxy": [HERE, (0, 0, 0, 0)], "visible": [True, False]}, [0]),  # one is out of sight
    ],
)
def test_rows_that_want_a_mask(columns, rows):
    assert bare(instances(columns.pop("boxes_xyxy", [HERE, THERE]), **columns)) == rows


class Scripted:
    """Stands where `Sam2Image` does: says what it is told, first one map a prompt, then three."""

    pictures = 1

    def __init__(self, first, three):
        self.readings, self.asked = {False: [first], True: three}, []

    def embed(self, pictures):
        return [Embedding(rgb.shape[:2], ()) for rgb in pictures]

    def decode(self, embedding, prompts, multimask=False):
        self.asked += [(len(prompts), multimask)] if len(prompts) else []
        boxes, iou = zip(*self.readings[multimask], strict=True)
        maps = np.stack([9 * np.float32(inside(box)) - 4 for box in boxes])
        return np.repeat(maps[None], len(prompts), axis=0), np.repeat(np.float32([iou]), len(prompts), axis=0)


def inside(box):
    return np.zeros(SQUARE_HW, bool) if box is None else masks.decode(square(*box), SQUARE_HW)


NEAR = (2, 2, 12, 11)
RETRIED = [(1, False), (1, True)]


@pytest.mark.parametrize(
    ("first", "three", "kept", "asked"),
    [
        ((NEAR, 0.1), [(HERE, 0.9)] * 3, 0, [(1, False)]),  # agrees well enough: not asked again
        ((THERE, 0.9), [(None, 0.9), (NEAR, 0.5), (WHOLE, 0.9)], 2, RETRIED),  # the one that agrees
        ((THERE, 0.9), [(HERE, 0.5), (HERE, 0.9), (HERE, 0.7)], 2, RETRIED),  # of equals the surest
        ((THERE, 0.9), [(HERE, 0.2), (NEAR, 0.9), (WHOLE, 0.9)], 2, RETRIED),  # agreement is weighed by sureness
        ((WHOLE, 0.9), [(THERE, 0.9), (WHOLE, 0.5), (None, 0.9)], 0, RETRIED),  # none is better: the first stays
        ((None, 0.9), [(THERE, 0.9), (THERE, 0.9), (None, 0.9)], 0, RETRIED),  # of equals the first, be it empty
        ((None, 0.9), [(THERE, 0.9), (NEAR, 0.1), (None, 0.9)], 2, RETRIED),  # an empty one agrees with nothing
    ],
)
def test_a_mask_that_leaves_its_box_is_held_against_three(first, three, kept, asked):
    sam2 = Scripted(first, three)
    (answer,) = _Sam2(sam2, retry_below=0.5).segment([blank(*SQUARE_HW)], [instances([HERE])])
    box, iou = [first, *three][kept]
    assert sam2.asked == asked
    assert masks.decode(answer.masks[0], SQUARE_HW).tolist() == inside(box).tolist()
    assert answer.quality[0, 0] == np.float32(iou)


def test_only_those_that_leave_their_box_are_asked_again():
    sam2 = Scripted((HERE, 0.9), [(THERE, 0.9)] * 3)
    (answer,) = _Sam2(sam2, retry_below=0.5).segment([blank(*SQUARE_HW)], [instances([HERE, THERE, NEAR, THERE])])
    assert sam2.asked == [(4, False), (2, True)]
    assert answer.masks == tuple(square(*box) for box in (HERE, THERE, HERE, THERE))


def test_zero_never_asks_again():
    sam2 = Scripted((None, 0.9), [(HERE, 0.9)] * 3)
    (answer,) = _Sam2(sam2, retry_below=0).segment([blank(*SQUARE_HW)], [instances([HERE])])
    assert sam2.asked == [(1, False)]
    assert masks.area(answer.masks[0]) == 0


def test_points_alone_have_no_box_to_leave():
    sam2 = Scripted((THERE, 0.9), [(HERE, 0.9)] * 3)
    found = instances([WHOLE], points=[np.float32([ON])])
    (answer,) = _Sam2(sam2, retry_below=1).segment([blank(*SQUARE_HW)], [found])
    assert answer.masks == (square(*THERE),)
    assert sam2.asked == [(1, False)]


def test_the_best_is_weighed():
    answers = [Answer(square(*box), iou, 1.0) for box, iou in ((NEAR, 0.5), (HERE, 0.45), (HERE, 0.46))]
    prompt = Prompt(np.float32(HERE))
    assert [round(agreement(answer, prompt, SQUARE_HW), 2) for answer in answers] == [0.9, 1.0, 1.0]
    assert best(answers, prompt, SQUARE_HW) is answers[2]
    assert best(answers[:2], prompt, SQUARE_HW) is answers[0]  # 0.45 each
