"""The tiny Florence-2 that ships: it loads everywhere, and finds what words say as well as its card says."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoProcessor, Florence2ForConditionalGeneration

from pipeline.toyworld import EVERY, scene
from pipeline.toyworld.shapes import SHAPES
from pipeline.toyworld.words import absent
from training import florence2_quality
from training.owlv2_quality import alarmed, scores

PLACE = Path(__file__).parents[1] / "checkpoints/tiny-florence2"


def test_it_loads_with_plain_from_pretrained():
    model, told = Florence2ForConditionalGeneration.from_pretrained(PLACE, output_loading_info=True)
    assert not told["missing_keys"]
    assert not told["mismatched_keys"]
    assert sum(weight.numel() for weight in model.parameters()) < 3e6
    said = AutoProcessor.from_pretrained(PLACE)(text=["<OD>"], images=[np.zeros((20, 30, 3), np.uint8)])
    assert said["pixel_values"][0].shape == (3, 192, 192)


SCENES = [scene(florence2_quality.SEED, number, kinds=EVERY) for number in range(6)]


def ap50(said):
    """Ask for `said` of each shape, in 6 pictures; what is found is judged as that shape."""
    detector = florence2_quality.opened(PLACE)
    rows = [florence2_quality.found(detector, one, {said[shape]: shape for shape in SHAPES}) for one in SCENES]
    return scores([one.found for one in SCENES], rows, list(SHAPES)).ap50


def test_words_become_boxes_and_other_words_others():
    assert ap50({shape: shape for shape in SHAPES}) > 0.7
    other = dict(zip(SHAPES, [*list(SHAPES)[1:], next(iter(SHAPES))], strict=True))
    assert ap50(other) < 0.2


def test_what_is_not_there_is_not_found():
    detector, nothing = florence2_quality.opened(PLACE), absent()[::6]
    rows = [florence2_quality.found(detector, one, dict.fromkeys(nothing, "")) for one in SCENES]
    assert not any(alarmed(one, nothing) for one in rows)


@lru_cache
def quality():
    """All figures of the card, over 40 pictures; the card has them over 200, which takes minutes."""
    return florence2_quality.quality(PLACE, 40)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_boxes_of_40_pictures_from_words():
    assert quality()["seen"]["ap50"] >= 0.50
    assert quality()["pictures with a false alarm"] < 0.05
