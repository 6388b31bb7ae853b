"""The tiny CLIP that ships: it loads everywhere, and tells what is in a box as well as its card says."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoImageProcessor, AutoTokenizer, CLIPModel

from training import verifier_quality

PLACE = Path(__file__).parents[1] / "checkpoints/tiny-clip"


def test_it_loads_with_plain_from_pretrained():
    model, told = CLIPModel.from_pretrained(PLACE, output_loading_info=True)
    assert not told["missing_keys"]
    assert not told["mismatched_keys"]
    assert sum(weight.numel() for weight in model.parameters()) < 2e6
    assert AutoTokenizer.from_pretrained(PLACE)(["red circle"])["input_ids"]
    seen = AutoImageProcessor.from_pretrained(PLACE, backend="pil")(np.zeros((20, 30, 3), np.uint8))
    assert seen["pixel_values"][0].shape == (3, 48, 48)


@lru_cache
def quality(pictures):
    return verifier_quality.quality(PLACE, pictures)


BARS = [
    ("objects, as their shape", 0.85, 1),
    ("objects, as another shape", 0, 0.08),
    ("objects, as what is never there", 0, 0.08),
    ("the same, with nothing to be told from", 0, 0.08),
    ("objects, with nothing to be told from", 0.85, 1),
    ("places where nothing is", 0, 0.05),
]


@pytest.mark.parametrize(("what", "least", "most"), BARS)
def test_what_it_verifies(what, least, most):
    assert least <= quality(12)[what] <= most


@pytest.mark.slow
@pytest.mark.parametrize(("what", "least", "most"), BARS)
def test_what_it_verifies_in_200_pictures(what, least, most):
    assert least <= quality(200)[what] <= most
