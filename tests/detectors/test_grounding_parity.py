"""Boxes and scores beside transformers' own way on the same random weights, and models of full size."""

import json
import shutil

import numpy as np
import pytest
from random_models import cached

from pipeline.detectors.dino import Dino, written
from pipeline.detectors.grounding import MODELS, Grounding
from pipeline.media import Picture
from pipeline.seams import Device

CPU = Device("cpu", 1)
ALL = {"floor": 0.0, "nms": 1.0, "max_objects": 1000}
"""Every box of every prompt is a row."""

KINDS = ("owlv2", "owlvit", "grounding_dino", "mm_grounding_dino")


def noise(*size_hw, seed=0):
    return Picture.of(np.random.default_rng(seed).integers(0, 256, (*size_hw, 3), np.uint8), f"{size_hw}")


def opened(kind, **options):
    return Grounding(model=str(cached(kind)), **options).open(CPU)


@pytest.fixture(scope="module")
def owlvit(tmp_path_factory):
    """OWL-ViT has OWLv2's weights but the head for objectness, under another name; its pictures are stretched."""
    from safetensors.torch import load_file, save_file

    folder = tmp_path_factory.mktemp("models") / "owlvit"
    shutil.copytree(cached("owlv2"), folder)
    weights = load_file(folder / "model.safetensors")
    renamed = {
        name.replace("owlv2.", "owlvit."): weight for name, weight in weights.items() if "objectness" not in name
    }
    save_file(renamed, folder / "model.safetensors", {"format": "pt"})
    for file, changes in {
        "config.json": {"model_type": "owlvit", "architectures": ["OwlViTForObjectDetection"]},
        "preprocessor_config.json": {"image_processor_type": "OwlViTImageProcessor", "do_pad": False, "resample": 3},
    }.items():
        settings = json.loads((folder / file).read_text()) | changes
        if file == "config.json":
            for part in ("text", "vision"):
                settings[f"{part}_config"]["model_type"] = f"owlvit_{part}_model"
        (folder / file).write_text(json.dumps(settings))
    return folder


@pytest.fixture
def folder(request):
    return request.getfixturevalue("owlvit") if request.param == "owlvit" else cached(request.param)


def theirs(folder, rgb, prompts):
    """What transformers' own processor and post-processing say: boxes and the score of the best prompt of each."""
    import torch
    import transformers

    class_name, family = MODELS[json.loads((folder / "config.json").read_text())["model_type"]]
    model = getattr(transformers, class_name).from_pretrained(folder).eval()
    processor = transformers.AutoProcessor.from_pretrained(folder, backend="pil")
    inputs = processor(images=rgb, text=[list(prompts)], return_tensors="pt", input_data_format="channels_last")
    with torch.inference_mode():
        outputs = model(**inputs)
    extra = {}
    if family is Dino:  # their best token may be one of [CLS], full stop and [SEP]: those are no class
        outputs.logits = outputs.logits.clone()
        outputs.logits[:, :, : inputs.input_ids.shape[1]].masked_fill_(
            torch.isin(inputs.input_ids, torch.tensor([101, 102, 1012]))[:, None], float("-inf")
        )
        extra = {"text_threshold": 0.0}
    said = processor.post_process_grounded_object_detection(
        outputs, threshold=0.0, target_sizes=[rgb.shape[:2]], **extra
    )[0]
    return said["boxes"].numpy(), said["scores"].numpy()


PROMPTS = ("dog", "cat", "person")  # one token each: mean and best are the same


@pytest.mark.parametrize("size_hw", [(60, 90), (70, 40), (64, 64)])  # wide, high, square
@pytest.mark.parametrize("folder", KINDS, indirect=True)
def test_boxes_and_scores_are_those_of_transformers(folder, size_hw):
    picture = noise(*size_hw)
    found = Grounding(model=str(folder), **ALL).open(CPU).detect([picture], PROMPTS)[0]
    boxes, scores = theirs(folder, picture.rgb, PROMPTS)
    h, w = size_hw
    boxes = np.clip(boxes, 0, [w, h, w, h])
    inside = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    assert inside.sum() * len(PROMPTS) == len(found) > 0
    for box, score in zip(boxes[inside], scores[inside], strict=True):
        same = np.abs(found.boxes_xyxy - box).max(axis=1) < 2e-3
        assert same.any()
        assert abs(found.scores[same].max() - score) < 2e-4


def test_filling_a_text_up_changes_nothing():
    import torch

    family = opened("mm_grounding_dino").family
    pixels = family.prepared(noise(60, 90).rgb)[None]
    tokens, spans = written([family.phrase("dog")], 256)
    boxes, likely = family._answer(pixels, tokens, spans[-1][1] + 2)
    with torch.inference_mode():
        plain = family.model(pixel_values=pixels, input_ids=torch.tensor([tokens[:4]]))
    np.testing.assert_allclose(boxes, plain.pred_boxes, atol=1e-5)
    np.testing.assert_allclose(likely[:, :, 1], plain.logits[:, :, 1].sigmoid(), atol=1e-5)


@pytest.mark.parametrize("kind", ["owlv2", "grounding_dino"])
def test_bfloat16_places_boxes_finely(kind):
    """Coordinates in bfloat16 itself would be multiples of 1/256 of the picture, or coarser."""
    found = opened(kind, dtype="bfloat16", **ALL).detect([noise(1000, 1000)], ["dog"])[0]
    inside = found.boxes_xyxy[(found.boxes_xyxy > 500) & (found.boxes_xyxy < 999)]
    on_the_grid = np.abs(inside / 1000 * 256 - np.round(inside / 1000 * 256)) < 1e-3
    assert len(inside) > 5
    assert on_the_grid.mean() < 0.5


def test_box_heads_of_their_own_stay_so(tmp_path):
    """As in the released MM-Grounding-DINO: each layer of the decoder has a head."""
    import torch
    from transformers import MMGroundingDinoForObjectDetection

    folder = cached("mm_grounding_dino")
    model = MMGroundingDinoForObjectDetection.from_pretrained(folder, decoder_bbox_embed_share=False)
    with torch.no_grad():
        model.bbox_embed[1].layers[0].weight.add_(1.0)
    for file in folder.glob("*.json"):
        shutil.copy(file, tmp_path)
    model.save_pretrained(tmp_path)
    first, second = Grounding(model=str(tmp_path)).open(CPU).family.model.bbox_embed
    assert not torch.equal(first.layers[0].weight, second.layers[0].weight)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "size", "boxes"), [("owlv2", "base", 3600), ("grounding_dino", "tiny", 900)])
def test_models_of_full_size(kind, size, boxes):
    options = Grounding(model=str(cached(kind, size)))
    detector = options.open(Device("cpu", 2))
    picture = noise(480, 640)
    prepared = [detector.family.prepared(picture.rgb)]
    phrases = [detector.family.phrase(prompt) for prompt in ("dog", "a red car", "cat")]
    said = detector.family.look(prepared, phrases)[0]
    assert [(len(box), len(score)) for box, score in said] == [(boxes, boxes)] * 3
    assert len(detector.detect([picture, noise(1, 500)], ["dog", "a red car"])) == 2
    if options.independent_classes:
        alone = detector.family.look(prepared, phrases[1:2])[0][0]
        np.testing.assert_array_equal(alone[1], said[1][1])
