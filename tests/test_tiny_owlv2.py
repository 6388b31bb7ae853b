"""The tiny OWLv2 that ships: it loads everywhere, and finds what words say as well as its card says."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoProcessor, Owlv2ForObjectDetection

from pipeline.detectors.grounding import Grounding
from pipeline.media import Picture
from pipeline.seams import Device
from pipeline.toyworld import EVERY, scene
from pipeline.toyworld.shapes import SHAPES
from pipeline.toyworld.words import absent
from training import owlv2_quality

PLACE = Path(__file__).parents[1] / "checkpoints/tiny-owlv2"


def test_it_loads_with_plain_from_pretrained():
    model, told = Owlv2ForObjectDetection.from_pretrained(PLACE, output_loading_info=True)
    assert not told["missing_keys"]
    assert not told["mismatched_keys"]
    assert sum(weight.numel() for weight in model.parameters()) < 3e6
    said = AutoProcessor.from_pretrained(PLACE)(text=["red circle"], images=np.zeros((20, 30, 3), np.uint8))
    assert said["pixel_values"][0].shape == (3, 256, 256)


SCENES = [scene(owlv2_quality.SEED, number, kinds=EVERY) for number in range(16)]


def ap50(said):
    """Ask for `said` of each shape, in 16 pictures; what is found is judged as that shape."""
    detector = Grounding(model="tiny-owlv2").open(Device())
    rows = [owlv2_quality.found(detector, one, {said[shape]: shape for shape in SHAPES}) for one in SCENES]
    return owlv2_quality.scores([one.found for one in SCENES], rows, list(SHAPES)).ap50


def test_words_become_boxes_and_other_words_others():
    assert ap50({shape: shape for shape in SHAPES}) > 0.85
    other = dict(zip(SHAPES, [*list(SHAPES)[1:], next(iter(SHAPES))], strict=True))
    assert ap50(other) < 0.2


def test_what_is_not_there_is_not_found():
    detector = Grounding(model="tiny-owlv2").open(Device())
    nothing = absent()
    rows = detector.detect([Picture.of(one.rgb) for one in SCENES], nothing)
    assert np.mean([owlv2_quality.alarmed(one, nothing) for one in rows]) < 0.05


@lru_cache
def quality():
    """All figures of the card, over 200 pictures."""
    return owlv2_quality.quality(PLACE)


@pytest.mark.slow
@pytest.mark.parametrize(("of", "figure", "bar"), [("seen", "ap50", 0.90), ("seen", "ap", 0.60)])
def test_boxes_of_200_pictures_from_words(of, figure, bar):
    assert quality()[of][figure] >= bar


@pytest.mark.slow
def test_false_alarms_on_200_pictures():
    assert quality()["pictures with a false alarm"] < 0.05
