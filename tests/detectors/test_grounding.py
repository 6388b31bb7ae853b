"""Rows, calls and refusals of the zero-shot detectors."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from random_models import cached

from pipeline.detectors import owl
from pipeline.detectors.dino import Dino
from pipeline.detectors.grounding import Grounding, _Grounding
from pipeline.detectors.owl import Owl
from pipeline.errors import ModelMissing
from pipeline.media import Picture
from pipeline.seams import Device

CPU = Device("cpu", 1)
ALL = {"floor": 0.0, "nms": 1.0, "max_objects": 1000}
"""Every box of every prompt is a row."""

KINDS = ("owlv2", "grounding_dino")
PROMPTS = ("dog", "cat", "person")


def opened(kind, **options):
    return Grounding(model=str(cached(kind)), **options).open(CPU)


def noise(*size_hw, seed=0):
    return Picture.of(np.random.default_rng(seed).integers(0, 256, (*size_hw, 3), np.uint8), f"{size_hw}")


def digests(answers):
    return [found.digest() for found in answers]


def told(*rows, size_hw=(100, 200), canvas_hw=None, **options):
    """Rows of a picture where a model says (prompt, box in pixels of the canvas as corners, score)."""
    canvas_hw = canvas_hw or size_hw
    family = SimpleNamespace(score_kind="x", together={"cpu": 1}, canvas_hw=lambda _: canvas_hw)
    said = {}
    for prompt in dict.fromkeys(prompt for prompt, _, _ in rows):
        boxes = np.array([box for asked, box, _ in rows if asked == prompt], np.float32)
        relative = boxes / np.array([*canvas_hw[::-1]] * 2, np.float32)
        centre_and_size = np.hstack([(relative[:, :2] + relative[:, 2:]) / 2, relative[:, 2:] - relative[:, :2]])
        said[prompt] = (centre_and_size, np.array([score for asked, _, score in rows if asked == prompt], np.float32))
    return _Grounding(Grounding(model="none", **options), family, CPU)._instances(size_hw, said)


BOX, NEAR, FAR = [0, 0, 100, 50], [0, 0, 100, 40], [120, 60, 180, 90]  # near: an IoU of 0.8


@pytest.mark.parametrize(
    ("rows", "options", "found"),
    [
        ([("dog", BOX, 0.5), ("dog", FAR, 0.75)], {}, [("dog", FAR, 0.75), ("dog", BOX, 0.5)]),  # best first
        ([("dog", BOX, 0.25)], {"floor": 0.25}, [("dog", BOX, 0.25)]),  # the floor itself is stored
        ([("dog", BOX, 0.25)], {"floor": 0.26}, []),  # below it
        ([("dog", BOX, np.nan)], {"floor": 0}, []),  # a broken model
        ([("dog", BOX, 0.5), ("cat", BOX, 0.5)], {}, [("cat", BOX, 0.5), ("dog", BOX, 0.5)]),  # one box, two prompts
        ([("dog", FAR, 0.5), ("dog", BOX, 0.5)], {}, [("dog", BOX, 0.5), ("dog", FAR, 0.5)]),  # ties: by box
        ([("dog", BOX, 0.5), ("dog", NEAR, 0.75)], {}, [("dog", NEAR, 0.75)]),  # doubles: the better stays
        ([("dog", BOX, 0.5), ("dog", NEAR, 0.75)], {"nms": 0.85}, [("dog", NEAR, 0.75), ("dog", BOX, 0.5)]),
        ([("dog", BOX, 0.5), ("cat", NEAR, 0.75)], {}, [("cat", NEAR, 0.75), ("dog", BOX, 0.5)]),  # of two prompts
        (
            [("dog", BOX, 0.5), ("dog", FAR, 0.75), ("cat", BOX, 0.25)],
            {"max_objects": 1},
            [("dog", FAR, 0.75), ("cat", BOX, 0.25)],  # of a prompt, not of all
        ),
        ([("dog", [150, 60, 250, 90], 0.5)], {}, [("dog", [150, 60, 200, 90], 0.5)]),  # cut at the picture's edge
        ([("dog", [0, 120, 50, 150], 0.5)], {"canvas_hw": (200, 200)}, []),  # in what fills the square up
        ([("dog", [0, 80, 50, 120], 0.5)], {"canvas_hw": (200, 200)}, [("dog", [0, 80, 50, 100], 0.5)]),  # half
    ],
)
def test_rows(rows, options, found):
    got = told(*rows, **options)
    assert list(got.prompts or ()) == [prompt for prompt, _, _ in found]
    np.testing.assert_allclose(got.boxes_xyxy, np.array([box for _, box, _ in found]).reshape(-1, 4), atol=1e-3)
    np.testing.assert_array_equal(got.scores, np.array([score for _, _, score in found], np.float32))


def test_what_has_no_area_in_the_picture_is_told():
    nowhere = [float("nan")] * 4
    got = told(("dog", [0, 120, 50, 150], 0.5), ("cat", nowhere, 0.5), ("dog", BOX, 0.2), canvas_hw=(200, 200))
    assert got.unplaced == (("dog", "box 0.0, 120.0, 50.0, 150.0"), ("cat", "box nan, nan, nan, nan"))
    assert got.prompts == ("dog",)


def test_a_score_is_the_mean_over_the_tokens_of_its_prompt():
    """Of the text `a red dog . cat .` with known probabilities: 0.2, 0.4 and 0.9 for one box, 0.5 for the other."""
    import torch

    detector = opened("grounding_dino", nms=1.0)
    probability = torch.full((1, 2, 256), 0.99)  # also for [CLS], the full stops and [SEP], which do not count
    probability[0, :, 1:4] = torch.tensor([[0.2, 0.4, 0.9], [0.5, 0.5, 0.5]])
    probability[0, :, 5] = torch.tensor([0.01, 0.75])
    answer = SimpleNamespace(logits=torch.logit(probability), pred_boxes=torch.full((1, 2, 4), 0.5))
    detector.family.model = type("Model", (), {"device": "cpu", "__call__": lambda self, **_: answer})()
    found = detector.detect([noise(20, 20)], ["a red dog", "cat"])[0]
    assert [(prompt, round(float(score), 4)) for prompt, score in zip(found.prompts, found.scores, strict=True)] == [
        *(("cat", 0.75), ("a red dog", 0.5), ("a red dog", 0.5))
    ]
    assert set(found.score_kind) == {"mean probability of the prompt's tokens"}


@pytest.mark.parametrize(
    ("size_hw", "dino", "owlv2"),
    [
        ((60, 90), (60, 90), (90, 90)),  # as it is; a square of the longer side
        ((90, 60), (90, 60), (90, 90)),
        ((10, 160), (10, 160), (160, 160)),  # just wide enough
        ((1, 500), (32, 500), (500, 500)),  # a line is filled up below
        ((500, 1), (500, 32), (500, 500)),  # and at its right side
        ((1, 1), (1, 1), (1, 1)),
    ],
)
def test_what_boxes_are_relative_to(size_hw, dino, owlv2):
    assert Dino.canvas_hw(None, size_hw) == dino
    assert Owl.canvas_hw(SimpleNamespace(square=True), size_hw) == owlv2
    assert Owl.canvas_hw(SimpleNamespace(square=False), size_hw) == size_hw  # OWL-ViT


@pytest.mark.parametrize("kind", KINDS)
def test_full_calls(kind, monkeypatch):
    """As on CUDA: several pictures a call, the last filled up; each gets its own answer, alone or not."""
    family = type(opened(kind).family)
    pictures = [noise(60, 90, seed=1), noise(90, 60), noise(60, 90, seed=2), noise(60, 90, seed=3)]
    one_by_one = opened(kind, **ALL).detect(pictures, PROMPTS)
    monkeypatch.setattr(family, "together", {"cpu": 2})
    detector = opened(kind, **ALL)
    together = detector.detect(pictures, PROMPTS)
    assert digests(together) == [detector.detect([picture], PROMPTS)[0].digest() for picture in pictures]
    for a, b in zip(together, one_by_one, strict=True):
        order_a, order_b = (np.lexsort(found.boxes_xyxy.round(1).T) for found in (a, b))
        np.testing.assert_allclose(a.boxes_xyxy[order_a], b.boxes_xyxy[order_b], atol=0.01)
        assert a.size_hw == b.size_hw


def test_prompts_that_do_not_fit_into_one_text():
    detector = opened("grounding_dino", **ALL)
    apart = [detector.detect([noise(60, 90)], [prompt])[0] for prompt in PROMPTS]
    detector.family.limit = 4  # [CLS] dog . [SEP]
    found = detector.detect([noise(60, 90)], PROMPTS)[0]
    for prompt, alone in zip(PROMPTS, apart, strict=True):
        rows = found.take([row for row, said in enumerate(found.prompts) if said == prompt])
        np.testing.assert_allclose(rows.scores, alone.scores, atol=2e-4)
        assert len(rows) == len(alone) == 20  # the small model's boxes


def test_a_prompt_has_the_same_bits_whatever_the_others_are():
    family = opened("owlv2").family
    phrases = [family.phrase(f"{color} {thing}") for color in ("red", "big", "a", "the") for thing in WORDS]
    pixels = [family.prepared(noise(60, 90).rgb)]
    together = family.look(pixels, phrases)[0]
    for some in (phrases[::-1], phrases[5:6], phrases[3:30], phrases[1::2]):
        for phrase, (_, scores) in zip(some, family.look(pixels, some)[0], strict=True):
            np.testing.assert_array_equal(scores, together[phrases.index(phrase)][1])


WORDS = ("dog", "cat", "car", "bus", "tree", "road", "sign", "bird", "boat", "shoe")


def test_prompts_are_encoded_once_and_not_too_many_are_kept(monkeypatch):
    monkeypatch.setattr(owl, "REMEMBERED", 2)
    family, encoded = opened("owlv2").family, []
    encode = family._encoded
    family._encoded = lambda phrase: encoded.append(phrase) or encode(phrase)
    pixels = [family.prepared(noise(9, 9).rgb)]
    for asked, new in ((1, 2), 2), ((2, 1), 0), ((3,), 1), ((2,), 0), ((1,), 1):
        family.look(pixels, [(number,) for number in asked])
        assert len(encoded) == new
        encoded.clear()
    assert len(family._queries) == 2


def changed(kind, tmp_path, **settings):
    folder = tmp_path / "model"
    shutil.copytree(cached(kind), folder)
    config = json.loads((folder / "config.json").read_text()) | settings
    (folder / "config.json").write_text(json.dumps(config))
    return Grounding(model=str(folder))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"model_type": "detr"},
            "says that it is detr; grounding opens grounding-dino, mm-grounding-dino, owlv2, owlvit$",
        ),
        ({"model_type": None}, "says that it is None; grounding opens"),
        ({"use_timm_backbone": True}, "timm, which masklet does not use; take a checkpoint with a Swin backbone"),
        ({"backbone_config": {"model_type": "timm_backbone"}}, "its backbone is of the library timm"),
    ],
)
def test_other_models_are_refused(tmp_path, settings, said):
    options = changed("grounding_dino", tmp_path, **settings)
    with pytest.raises(ModelMissing, match=said):
        options.open(CPU)
    with pytest.raises(ModelMissing, match=said):
        options.independent_classes  # noqa: B018 - it is read


def test_box_heads_that_transformers_ties_are_refused(monkeypatch):
    """Some versions of transformers 5 do so, whatever config.json says."""
    from transformers import MMGroundingDinoForObjectDetection

    options = Grounding(model=str(cached("mm_grounding_dino")))
    options.open(CPU)
    from_pretrained = MMGroundingDinoForObjectDetection.from_pretrained

    def tied(*args, **kwargs):
        model, info = from_pretrained(*args, **kwargs)
        model.config.decoder_bbox_embed_share = False
        return model, info

    monkeypatch.setattr(MMGroundingDinoForObjectDetection, "from_pretrained", tied)
    with pytest.raises(ModelMissing, match="puts one box head in the place of 2; install 5"):
        options.open(CPU)
