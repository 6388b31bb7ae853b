import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from random_models import cached

from pipeline.errors import ModelMissing
from pipeline.sam2_image import Prompt, Sam2Image, Scaling, inputs_of, open_sam2, scaling_of, squared, stability
from pipeline.seams import Device

IMAGENET = Scaling(1024, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 1 / 255)
BOX = np.array([20, 10, 70, 50], np.float32)
ON_AND_OFF = np.array([[30, 20, 1], [5, 5, -1]], np.float32)
MAP = np.tile(np.linspace(-4, 4, 64, dtype=np.float32), (64, 1))


@pytest.fixture(scope="module")
def sam2():
    return open_sam2(cached("sam2"), "float32", Device("cpu", 1))


def noise(*size_hw, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*size_hw, 3), np.uint8)


@pytest.fixture(scope="module")
def embedding(sam2):
    return sam2.embed([noise(60, 90)])[0]


@pytest.mark.parametrize(
    "size_hw",
    [
        (480, 640),  # a photo lying
        (640, 427),  # a photo standing
        (1500, 2250),  # larger than the square
        (1024, 1024),  # the square itself
        (1023, 1025),  # nearly
        (33, 2000),  # a strip
        (1, 500),  # a row
        (500, 1),  # a column
        (1, 1),  # a pixel
    ],
)
def test_preprocessing_is_transformers_own_to_the_bit(size_hw):
    pytest.importorskip("torchvision", reason="needs torchvision: transformers' own SAM 2 processor stands on it")
    import torch
    from transformers import Sam2ImageProcessor

    rgb = noise(*size_hw)
    theirs = Sam2ImageProcessor()(rgb, input_data_format="channels_last", return_tensors="pt")["pixel_values"]
    assert torch.equal(IMAGENET.applied_to(squared(rgb, 1024)), theirs)


@pytest.mark.parametrize(
    ("value", "scaled"),
    [
        (0, (-2.1179, -2.0357, -1.8044)),  # -mean / std
        (255, (2.2489, 2.4286, 2.6400)),  # (1 - mean) / std
    ],
)
def test_black_and_white_are_scaled(value, scaled):
    flat = IMAGENET.applied_to(squared(np.full((5, 9, 3), value, np.uint8), 16))
    assert flat.shape == (1, 3, 16, 16)
    assert np.allclose(flat.numpy(), np.array(scaled)[:, None, None], atol=1e-4)


def test_values_are_scaled_in_transformers_order():
    """To the bit, for every value: mean and deviation are taken to 255 first, then subtracted and divided by."""
    import torch

    values = torch.arange(256, dtype=torch.uint8).expand(1, 3, 1, 256)
    mean, std = (np.float32(each)[:, None] * np.float32(255) for each in (IMAGENET.mean, IMAGENET.std))
    assert (IMAGENET.applied_to(values)[0, :, 0].numpy() == (np.arange(256, dtype=np.float32) - mean) / std).all()


def test_any_view_of_a_picture_can_be_squared():
    rgb = noise(40, 30)
    frozen = rgb.copy()
    frozen.setflags(write=False)
    views = [rgb, frozen, rgb[:, ::-1].copy()[:, ::-1], np.asfortranarray(rgb)]
    assert len({squared(view, 16).numpy().tobytes() for view in views}) == 1


@pytest.mark.parametrize(
    ("prompt", "inputs"),
    [
        (Prompt([0, 0, 200, 100]), {"input_boxes": [[0, 0, 64, 64]]}),  # the whole picture is the whole square
        (Prompt([50, 25, 100, 75]), {"input_boxes": [[16, 16, 32, 48]]}),  # x by the width, y by the height
        (
            Prompt(points=[[100, 25, 1], [0, 50, -1]]),
            {"input_points": [[[32, 16], [0, 32]]], "input_labels": [[1, 0]]},  # -1, off the object, is SAM 2's 0
        ),
        (
            Prompt([0, 0, 200, 100], [[100, 50, 1]], [[1, 2], [3, 4]]),
            {
                "input_boxes": [[0, 0, 64, 64]],
                "input_points": [[[32, 32]]],
                "input_labels": [[1]],
                "input_masks": [[[1, 2], [3, 4]]],  # is not scaled
            },
        ),
    ],
)
def test_prompts_are_scaled_to_the_square(prompt, inputs):
    parts = (prompt.box_xyxy, prompt.points, prompt.mask_logits)
    given = Prompt(*(None if part is None else np.array(part, np.float32) for part in parts))
    made = inputs_of([given], (100, 200), 64)
    assert {name: rows[0].tolist() for name, rows in made.items()} == inputs


PROMPTS = {
    "box": Prompt(BOX),
    "another box": Prompt(BOX + 9),
    "box and points": Prompt(BOX, ON_AND_OFF),
    "box and point": Prompt(BOX, ON_AND_OFF[:1]),
    "points": Prompt(points=ON_AND_OFF),
    "point": Prompt(points=ON_AND_OFF[:1]),
    "map": Prompt(mask_logits=MAP),
    "box and map": Prompt(BOX, mask_logits=MAP),
    "another map": Prompt(BOX, mask_logits=MAP.T),
}


@pytest.mark.parametrize("multimask", [False, True])
def test_a_prompt_alone_and_among_others_of_every_kind(sam2, embedding, multimask):
    together = sam2.decode(embedding, list(PROMPTS.values()), multimask)
    assert [len(each) for each in together] == [len(PROMPTS)] * 2
    for row, prompt in enumerate(PROMPTS.values()):
        alone = sam2.decode(embedding, [prompt], multimask)
        assert all(np.array_equal(many[row], one[0]) for many, one in zip(together, alone, strict=True))
    assert len({maps.tobytes() for maps in together[0]}) == len(PROMPTS)  # each part of a prompt is heard


@pytest.mark.parametrize(("multimask", "k"), [(False, 1), (True, 3)])
@pytest.mark.parametrize("n", [0, 1, 4, 5])
def test_shapes_of_answers(sam2, embedding, multimask, k, n):
    logits, iou = sam2.decode(embedding, [PROMPTS["box"]] * n, multimask)
    assert (logits.shape, logits.dtype) == ((n, k, 64, 64), np.float32)
    assert (iou.shape, iou.dtype) == ((n, k), np.float32)


def test_every_call_of_the_model_has_the_same_shape(sam2, embedding, monkeypatch):
    seen = []
    plain = sam2.model.forward
    monkeypatch.setattr(sam2.model, "forward", lambda **each: seen.append(each["input_boxes"].shape) or plain(**each))
    for n in (1, 4, 6):
        sam2.decode(embedding, [PROMPTS["box"]] * n)
    assert seen == [(sam2.prompts, 1, 4)] * 4


def test_full_batches_say_the_same(sam2):
    """As on CUDA, where calls are larger: not the same bits, the same answers."""
    pictures = [noise(60, 90), noise(31, 17, seed=1), noise(44, 44, seed=2), noise(60, 90, seed=3)]
    mixed = [PROMPTS[kind] for kind in ("box", "points", "another box", "box and map")]
    batched = Sam2Image(sam2.model, sam2.scaling, pictures=3, prompts=3)
    for one, many in zip(sam2.embed(pictures), batched.embed(pictures), strict=True):
        assert one.size_hw == many.size_hw
        expected, iou = sam2.decode(one, mixed)
        logits, own = batched.decode(many, mixed)
        assert np.abs(logits - expected).max() < 1e-4 * np.ptp(expected)
        assert np.abs(own - iou).max() < 1e-4


def test_several_threads_at_once(sam2, embedding):
    mixed = [PROMPTS["box"], PROMPTS["points"]]
    expected = sam2.decode(embedding, mixed)[0]
    with ThreadPoolExecutor(3) as pool:
        calls = [pool.submit(sam2.decode, embedding, mixed) for _ in range(6)]
        assert all(np.array_equal(call.result()[0], expected) for call in calls)


def test_bfloat16(sam2, embedding):
    half = open_sam2(cached("sam2"), "bfloat16", Device("cpu", 1))
    (coarse,) = half.embed([noise(60, 90)])
    expected = sam2.decode(embedding, list(PROMPTS.values()), multimask=True)[0]
    logits = half.decode(coarse, list(PROMPTS.values()), multimask=True)[0]
    assert logits.dtype == np.float32
    assert 0 < np.abs(logits - expected).mean() < 0.02 * np.ptp(expected)


@pytest.mark.parametrize(
    ("logits", "share"),
    [
        ([[9, 9], [-9, -9]], 1.0),  # sure of every pixel
        ([[9, 0.5], [-9, -9]], 0.5),  # a pixel between the thresholds
        ([[0.5, -0.5], [-9, -9]], 0.0),  # nothing above the upper one
        ([[-9, -9], [-9, -9]], 0.0),  # nothing at all
        ([[9, 1.0], [-1.0, -9]], 0.5),  # thresholds are not above themselves
    ],
)
def test_stability(logits, share):
    assert stability(np.array(logits, np.float32)) == share
    assert stability(np.array([[logits, logits]], np.float32)).tolist() == [[share, share]]


@pytest.fixture
def checkpoint(tmp_path):
    """A checkpoint to be spoilt."""
    return shutil.copytree(cached("sam2"), tmp_path / "spoilt")


def spoil(folder, file, **values):
    content = json.loads((folder / file).read_text()) | values
    (folder / file).write_text(json.dumps({name: value for name, value in content.items() if value is not None}))


@pytest.mark.parametrize(
    ("file", "values", "said"),
    [
        ("config.json", {"model_type": "florence2"}, "says that it is florence2; sam2 opens sam2, sam2_video"),
        ("preprocessor_config.json", {"image_std": None}, "preprocessor_config.json: size, image_mean, image_std or"),
        ("preprocessor_config.json", {"size": {"shortest_edge": 9}}, "size, image_mean, image_std or rescale_factor"),
        ("preprocessor_config.json", {"size": {"height": 256, "width": 128}}, "want a square and bilinear"),
        ("preprocessor_config.json", {"resample": 3}, "want a square and bilinear"),
        ("preprocessor_config.json", {"size": {"height": 64, "width": 64}}, "of 64 pixels, its model wants 256"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_said(checkpoint, file, values, said):
    spoil(checkpoint, file, **values)
    with pytest.raises(ModelMissing, match=said):
        open_sam2(checkpoint, "float32", Device("cpu", 1))


def test_a_checkpoint_as_transformers_saves_the_still_model_loads_too(tmp_path, sam2, embedding):
    sam2.model.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "sam2"
    with pytest.raises(ModelMissing, match=r"processor_config.json: cannot be read"):
        scaling_of(tmp_path)
    pictures = json.loads((cached("sam2") / "preprocessor_config.json").read_text())
    (tmp_path / "processor_config.json").write_text(json.dumps({"image_processor": pictures, "target_size": 256}))
    still = open_sam2(tmp_path, "float32", Device("cpu", 1))
    assert still.scaling == sam2.scaling
    (own,) = still.embed([noise(60, 90)])
    assert np.array_equal(still.decode(own, [Prompt(BOX)])[0], sam2.decode(embedding, [Prompt(BOX)])[0])
