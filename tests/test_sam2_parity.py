"""Against a plain loop over transformers' `Sam2Model`, on weights lively enough to show a fault.

Right from its initialisation the model gives logits between -0.02 and 0.02, where a bound of 1e-4 hides almost all.
"""

from contextlib import contextmanager

import numpy as np
import pytest
from random_models import cached

from pipeline.pretrained import torch_device
from pipeline.sam2_image import Prompt, open_sam2
from pipeline.seams import Device

BOUND = 1e-4  # of the reference's range of logits
LIVELY = 0.2  # the least range at which the bound means something
CPU = Device("cpu", 1)
SIZES_HW = [(120, 160), (301, 90), (77, 53)]
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CLICKS = np.array([[30, 20, 1], [50, 45, -1], [11, 60, 1]], np.float32)


def picture(size_hw):
    """Patches of colour: (H, W, 3)."""
    h, w = size_hw
    patches = np.random.default_rng(h).integers(0, 256, (h // 9 + 1, w // 7 + 1, 3), np.uint8)
    return np.ascontiguousarray(patches.repeat(9, axis=0).repeat(7, axis=1)[:h, :w])


def boxes_in(size_hw, n):
    """Boxes of all sorts: (n, 4)."""
    h, w = size_hw
    corners = np.sort(np.random.default_rng(n).uniform(0, 1, (n, 2, 2)), axis=1) * 0.9
    return (corners * (w, h) + [(0, 0), (2, 2)]).reshape(n, 4).astype(np.float32)


class Reference:
    """transformers' model as its documentation calls it: one box a call."""

    def __init__(self, size):
        from transformers import Sam2Model

        self.device = torch_device(CPU)  # threads and matmul precision as ours
        self.model = Sam2Model.from_pretrained(cached("sam2", size)).eval()
        self.side = self.model.config.prompt_encoder_config.image_size

    def pixel_values(self, rgb):
        import torch

        planes = torch.from_numpy(rgb.transpose(2, 0, 1).copy())[None]
        square = torch.nn.functional.interpolate(planes, (self.side, self.side), mode="bilinear", antialias=True)
        return torch.from_numpy((square.numpy() / 255 - np.reshape(MEAN, (3, 1, 1))) / np.reshape(STD, (3, 1, 1)))

    def logits(self, rgb, prompts, multimask):
        """One call a prompt, the first with the picture: (N, k, h, w)."""
        import torch

        picture, answers = {"pixel_values": self.pixel_values(rgb).float()}, []
        for inputs in prompts:
            tensors = {name: torch.tensor(rows) for name, rows in inputs.items()}
            with torch.no_grad():
                said = self.model(**picture, **tensors, multimask_output=multimask)
            picture = {"image_embeddings": said.image_embeddings}
            answers.append(said.pred_masks[0, 0].numpy())
        return np.stack(answers)

    def of_boxes(self, rgb, boxes_xyxy, multimask=False):
        (h, w), side = rgb.shape[:2], self.side
        scaled = [[x0 / w * side, y0 / h * side, x1 / w * side, y1 / h * side] for x0, y0, x1, y1 in boxes_xyxy]
        return self.logits(rgb, [{"input_boxes": np.float32([[box]])} for box in scaled], multimask)


@pytest.fixture(
    scope="module", params=["small", pytest.param("tiny", marks=pytest.mark.slow)], ids=["for tests", "tiny"]
)
def both(request):
    """The reference and ours, each loaded by itself from the same folder."""
    return Reference(request.param), open_sam2(cached("sam2", request.param), "float32", CPU)


def ours(sam2, rgb, boxes_xyxy, multimask=False):
    (embedding,) = sam2.embed([rgb])
    return sam2.decode(embedding, [Prompt(box) for box in boxes_xyxy], multimask)[0]


def difference(logits, expected):
    """The largest difference, in ranges of the reference."""
    spread = float(np.ptp(expected))
    largest = float(np.abs(logits - expected).max()) / spread
    print(f"range {spread:.3f}, largest difference {largest:.1e} of it")
    assert spread >= LIVELY
    return largest


@pytest.mark.parametrize("multimask", [False, True], ids=["single", "three"])
@pytest.mark.parametrize(("size_hw", "n"), list(zip(SIZES_HW, [1, 7, 64], strict=True)))
def test_boxes_as_one_at_a_time(both, size_hw, n, multimask):
    reference, sam2 = both
    rgb, boxes = picture(size_hw), boxes_in(size_hw, n)
    expected = reference.of_boxes(rgb, boxes, multimask)
    assert difference(ours(sam2, rgb, boxes, multimask), expected) <= BOUND


@contextmanager
def without_no_memory(sam2):
    kept = sam2.model.no_memory_embedding.data.clone()
    sam2.model.no_memory_embedding.data.zero_()
    yield
    sam2.model.no_memory_embedding.data.copy_(kept)


def as_it_is(sam2, rgb, boxes):
    return ours(sam2, rgb, boxes)


def red_and_blue_swapped(sam2, rgb, boxes):
    return ours(sam2, rgb[..., ::-1], boxes)


def boxes_moved_by_two_pixels(sam2, rgb, boxes):
    return ours(sam2, rgb, boxes + np.float32([2, 0, 2, 0]))


def no_memory_embedding_left_out(sam2, rgb, boxes):
    with without_no_memory(sam2):
        return ours(sam2, rgb, boxes)


@pytest.mark.parametrize(
    ("made", "fits"),
    [
        (as_it_is, True),
        (red_and_blue_swapped, False),
        (boxes_moved_by_two_pixels, False),
        (no_memory_embedding_left_out, False),
    ],
)
@pytest.mark.parametrize("n", [1, 7])
def test_the_bound_tells_faults(both, made, fits, n):
    reference, sam2 = both
    rgb, boxes = picture(SIZES_HW[0]), boxes_in(SIZES_HW[0], n)
    assert (difference(made(sam2, rgb, boxes), reference.of_boxes(rgb, boxes)) <= BOUND) == fits


def test_every_kind_of_prompt_as_one_at_a_time(both):
    """Together in one call of ours; each by itself, by hand, in the reference."""
    reference, sam2 = both
    rgb, side, (map_h, map_w) = picture((120, 160)), reference.side, sam2.map_hw
    box = np.float32([20, 10, 90, 70])
    guess = np.random.default_rng(0).normal(0, 4, (map_h, map_w)).astype(np.float32)
    scale = np.array([side / 160, side / 120], np.float32)
    boxed = {"input_boxes": (box * np.tile(scale, 2))[None, None]}
    clicked = {"input_points": (CLICKS[:, :2] * scale)[None, None], "input_labels": np.array([[[1, 0, 1]]])}
    one_click = {name: rows[:, :, :1] for name, rows in clicked.items()}
    guessed = {"input_masks": guess[None, None]}
    pairs = [
        (Prompt(box), boxed),
        (Prompt(points=CLICKS), clicked),
        (Prompt(box, CLICKS), boxed | clicked),
        (Prompt(box, CLICKS[:1]), boxed | one_click),
        (Prompt(mask_logits=guess), guessed),
        (Prompt(box, mask_logits=guess), boxed | guessed),
        (Prompt(box, CLICKS, guess), boxed | clicked | guessed),
        (Prompt(points=CLICKS[:1]), one_click),
    ]
    (embedding,) = sam2.embed([rgb])
    logits = sam2.decode(embedding, [prompt for prompt, _ in pairs], multimask=True)[0]
    expected = reference.logits(rgb, [inputs for _, inputs in pairs], multimask=True)
    for row, (_, inputs) in enumerate(pairs):
        assert difference(logits[row], expected[row]) <= BOUND, sorted(inputs)


@pytest.mark.slow
@pytest.mark.timeout(1200)  # large is 217 million weights, twice, and has to be made first
@pytest.mark.parametrize("size", ["tiny", "hiera_small", "base_plus", "large"])
def test_every_size_loads_and_answers_as_the_reference(size):
    rgb, boxes = picture((301, 90)), boxes_in((301, 90), 2)
    expected = Reference(size).of_boxes(rgb, boxes)
    assert difference(ours(open_sam2(cached("sam2", size), "float32", CPU), rgb, boxes), expected) <= BOUND
