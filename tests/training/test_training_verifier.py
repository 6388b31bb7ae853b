import numpy as np
import pytest
import torch

from pipeline.toyworld.scenes import scene
from pipeline.toyworld.shapes import COLORS, SHAPES
from training import verifier, verifier_batch
from training.verifier_batch import OTHERWISE

WORDS, IMAGES = verifier.tokenizer(), verifier.processor()


def test_a_word_of_the_verifier_is_one_token():
    assert WORDS.tokenize("background something else") == ["background</w>", "something</w>", "else</w>"]


def test_every_crop_has_its_words():
    one = verifier_batch.batch(3, 4, IMAGES)
    assert one.pixels.shape[1:] == (3, 48, 48)
    assert one.fits.shape == (len(one.pixels), len(one.asked))
    assert one.asked[-1].endswith(OTHERWISE)
    for fits, shape, color in zip(one.fits.bool().tolist(), one.shape.tolist(), one.color.tolist(), strict=True):
        said = [text for text, fit in zip(one.asked, fits, strict=True) if fit]
        if shape < 0:  # nothing is there
            assert (len(said), fits[-2], color) == (1, True, -1)
        else:
            assert (len(said), fits[-2]) == (2, False)  # its kind and its shape
    assert not one.fits[:, -1].any()
    assert {*one.shape.tolist()} <= {-1, *range(len(SHAPES))}
    assert {*one.color.tolist()} <= {-1, *range(len(COLORS))}


def test_places_of_nothing_have_nothing():
    for number in range(20):
        one = scene(0, number)
        for box in verifier_batch.places(np.random.default_rng(number), one):
            x0, y0, x1, y1 = box
            assert 0 <= x0 < x1 <= 256
            assert 0 <= y0 < y1 <= 192
            assert not any(
                min(x1, b[2]) > max(x0, b[0]) and min(y1, b[3]) > max(y0, b[1]) for b in one.found.boxes_xyxy
            )


L = 20.0


@pytest.mark.parametrize(
    ("logits", "fits", "names", "otherwise"),
    [  # texts: two names, the word for nothing, the word for something else
        ([L, 0, 0, L / 2], [1, 0, 0, 0], 0, 0),  # its name, then something else, then all others
        ([L, L, 0, L / 2], [1, 1, 0, 0], 0, 0),  # two names are not held against each other
        ([0, L, 0, 0], [1, 0, 0, 0], L, L),  # the other's name
        ([L, 0, 0, L], [1, 0, 0, 0], 0.6931, 0),  # as much something else as itself
        ([L, 0, 0, -L], [1, 0, 0, 0], 0, L + 0.6931),  # less than anything
        ([0, 0, L, -L], [0, 0, 1, 0], 0, 0),  # where nothing is, something else is as wrong as any name
        ([0, 0, 0, L], [0, 0, 1, 0], L, 0),
    ],
)
def test_what_is_learnt(logits, fits, names, otherwise):
    said = verifier.named(torch.tensor([logits]).float(), torch.tensor([fits]).float())
    assert said["names"].item() == pytest.approx(names, abs=1e-3)
    assert said["otherwise"].item() == pytest.approx(otherwise, abs=1e-3)


def test_the_checkpoint_comes_back_from_its_files(tmp_path):
    from transformers import AutoImageProcessor, AutoTokenizer, CLIPModel

    model = verifier.fresh(len(WORDS))
    for part in (model, WORDS, IMAGES):
        part.save_pretrained(tmp_path)
    text = "a photo of a Crimson disc, zxq"
    assert AutoTokenizer.from_pretrained(tmp_path)(text)["input_ids"] == WORDS(text)["input_ids"]
    assert AutoImageProcessor.from_pretrained(tmp_path, backend="pil").crop_size["height"] == 48
    assert sum(weight.numel() for weight in CLIPModel.from_pretrained(tmp_path).parameters()) < 2e6
