"""The tiny SAM 2 that ships: it loads everywhere, and is as good as its card says."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from transformers import Sam2Model, Sam2VideoModel

from pipeline import masks
from pipeline.media import Picture
from pipeline.seams import Device
from pipeline.segmenters.sam2 import Sam2
from pipeline.toyworld import EVERY, scene
from training import sam2_quality

PLACE = Path(__file__).parents[1] / "checkpoints/tiny-sam2"


@pytest.mark.parametrize("kind", [Sam2Model, Sam2VideoModel])
def test_it_loads_with_plain_from_pretrained(kind):
    model, told = kind.from_pretrained(PLACE, output_loading_info=True)
    assert not told["missing_keys"]
    assert not told["mismatched_keys"]
    assert sum(weight.numel() for weight in model.parameters()) < 3e6


def mean_iou(boxes_of):
    """Mask the things of 12 pictures from boxes."""
    segmenter = Sam2(model="tiny-sam2").open(Device())
    fits = []
    for number in range(12):
        one = scene(sam2_quality.SEED, number, kinds=EVERY)
        asked = replace(one.found, masks=None, boxes_xyxy=boxes_of(one.found))
        (answer,) = segmenter.segment([Picture.of(one.rgb)], [asked])
        for true, code in zip(one.found.masks, answer.masks, strict=True):
            fits.append(masks.iou([true], [code or masks.NOTHING], one.found.size_hw)[0, 0])
    return np.mean(fits)


def test_boxes_become_masks_and_the_boxes_of_others_do_not():
    assert mean_iou(lambda found: found.boxes_xyxy) > 0.9
    assert mean_iou(lambda found: np.roll(found.boxes_xyxy, 1, axis=0)) < 0.2


@pytest.mark.slow
def test_masks_of_200_pictures_from_true_boxes():
    assert sam2_quality.of_pictures(PLACE, sam2_quality.PICTURES)["mask iou"]["all"] >= 0.90


@pytest.mark.slow
def test_20_films_with_transformers_own_loop():
    assert sam2_quality.of_films(PLACE, sam2_quality.FILMS)["J"]["all"] >= 0.80


def test_without_its_memory_it_loses_what_it_follows(monkeypatch):
    from pipeline.toyworld import film
    from training.sam2_films import followed

    model = Sam2VideoModel.from_pretrained(PLACE).eval()
    one = film(sam2_quality.SEED, 0, "wandering", 10, kinds=EVERY)
    assert np.mean(followed(model, one)) > 0.75
    remembered = model._encode_new_memory

    def nothing(*args, **kwargs):
        features, places = remembered(*args, **kwargs)
        return features * 0, places

    monkeypatch.setattr(model, "_encode_new_memory", nothing)
    monkeypatch.setattr(model.object_pointer_proj, "forward", lambda tokens: tokens * 0)
    assert np.mean(followed(model, one)) < 0.5
