"""CLIP and SigLIP as verifiers: as transformers answers, word by word."""

import json
import shutil

import numpy as np
import pytest
from drawing import instances
from pydantic import ValidationError
from random_models import cached

from pipeline.errors import ModelMissing
from pipeline.media import Picture
from pipeline.seams import Device
from pipeline.verifiers import Words
from pipeline.verifiers.clip import Clip

CPU = Device("cpu", 1)
RGB = np.random.default_rng(1).integers(0, 256, (40, 40, 3), np.uint8)
BOX = (4, 4, 36, 36)
WORDS = Words(("a dog", "puppy"), (("cat",), ("a white wolf", "fox")))


def opened(kind="clip", **options):
    return Clip(model=str(cached(kind)), margin=0, **options).open(CPU)


def verdict(verifier, words=WORDS):
    found = instances([BOX], size_hw=(40, 40), names=("dog",))
    return verifier.verify([Picture.of(RGB)], [found], {"dog": words})[0][0]


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_it_says_what_transformers_says(kind):
    """The whole model in one call, on all words at once; softmax over the best of each group."""
    import torch

    ours = opened(kind, otherwise=("sky",))
    texts = ["a dog", "puppy", "cat", "a white wolf", "fox", "sky"]
    tokens = ours.tokenizer([f"a photo of {text}" for text in texts], padding="max_length", return_tensors="pt")
    pixels = ours.images([RGB[4:36, 4:36]], return_tensors="pt", input_data_format="channels_last")["pixel_values"]
    with torch.inference_mode():
        logits = ours.model(input_ids=tokens["input_ids"], pixel_values=pixels).logits_per_image[0].double().numpy()
    best = np.array([max(logits[:2]), logits[2], max(logits[3:5]), logits[5]])
    said = verdict(ours)
    assert said.share == pytest.approx(np.exp(best[0]) / np.exp(best).sum(), abs=1e-5)
    assert said.likeliest == texts[int(logits.argmax())]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ((("dog", "cat"), ()), (("cat", "dog"), ()), True),  # the order of words
        ((("dog",), (("cat", "kitten"),)), (("dog",), (("kitten",),)), False),
        ((("dog",), (("cat",), ("fox",))), (("dog",), (("fox",), ("cat",))), True),  # and of other things
        ((("dog",), (("cat", "fox"),)), (("dog",), (("cat",), ("fox",))), False),  # one thing of two names, or two
    ],
)
def test_words(one, other, same):
    verifier = opened()
    first, second = (verdict(verifier, Words(*words)).share for words in (one, other))
    assert (abs(first - second) < 1e-12) is same


def test_alone_with_nothing_to_be_told_from_is_sure():
    assert verdict(opened(otherwise=()), Words(("dog",))).share == 1


def test_what_is_longer_than_the_model_reads_is_cut():
    long = "dog " * 40
    assert 0 < verdict(opened(), Words((long,), (("cat",),))).share < 1


def test_small_letters_are_read():
    """SigLIP 2 was trained on them, and its tokenizer does not make them."""
    verifier = opened()
    read, tokenizer = [], verifier.tokenizer
    verifier.tokenizer = lambda texts, **how: read.extend(texts) or tokenizer(texts, **how)
    verdict(verifier, Words(("Red DOG",), (("Cat",),)))
    assert read == [f"a photo of {text}" for text in ("red dog", "cat", "background", "something else")]


@pytest.mark.parametrize("sentence", ["a photo", "{} and {}", ""])
def test_a_sentence_has_one_place_for_words(sentence):
    with pytest.raises(ValidationError, match=r"want one \{\} in it"):
        Clip(model="x", sentence=sentence)


def test_braces_in_words_are_words():
    assert 0 < verdict(opened(), Words(("a {0} dog",), (("cat",),))).share < 1


def test_another_kind_of_model_is_refused(tmp_path):
    folder = tmp_path / "naflex"
    shutil.copytree(cached("siglip"), folder)
    settings = json.loads((folder / "config.json").read_text()) | {"model_type": "siglip2"}
    (folder / "config.json").write_text(json.dumps(settings))
    with pytest.raises(ModelMissing, match=r"says that it is siglip2; clip opens clip, siglip$"):
        Clip(model=str(folder)).open(CPU)
