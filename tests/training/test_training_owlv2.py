import numpy as np
import pytest
import torch

from pipeline.toyworld.scenes import scene
from pipeline.toyworld.shapes import EVERY, HELD_OUT
from pipeline.toyworld.words import phrases
from training import owlv2_batch, owlv2_model
from training import phrases as asking
from training.detection_quality import Tally
from training.owlv2 import corners, generalised_iou

WORDS = owlv2_model.processor()
KNOWN = list(dict.fromkeys(word for kind in EVERY for phrase in phrases(kind) for word in phrase.split()))


@pytest.mark.parametrize("word", KNOWN)
def test_a_word_of_the_world_is_one_token(word):
    assert WORDS.tokenizer.tokenize(word) == [f"{word}</w>"]


def test_the_marks_are_where_the_model_looks_for_them():
    tokenizer = WORDS.tokenizer
    ids = tokenizer(["red circle"], padding="max_length")["input_ids"][0]
    assert len(ids) == 16
    assert (ids[0], ids[3]) == (tokenizer.bos_token_id, tokenizer.eos_token_id)
    assert set(ids[4:]) == {tokenizer.pad_token_id} == {0}
    assert max(tokenizer.get_vocab().values()) == tokenizer.eos_token_id


def test_the_processor_comes_back_from_its_files(tmp_path):
    from transformers import AutoImageProcessor, AutoProcessor, AutoTokenizer

    WORDS.save_pretrained(tmp_path)
    text = "a photo of a Crimson disc, zxq"
    for again in (AutoProcessor.from_pretrained(tmp_path).tokenizer, AutoTokenizer.from_pretrained(tmp_path)):
        assert again(text)["input_ids"] == WORDS.tokenizer(text)["input_ids"]
    assert AutoImageProcessor.from_pretrained(tmp_path, backend="pil").size["height"] == 256


@pytest.mark.parametrize("size_hw", [(192, 256), (256, 192), (256, 256)])
def test_pictures_are_prepared_as_transformers_does(size_hw):
    one = scene(0, 0, size_hw)
    theirs = WORDS(images=[one.rgb], return_tensors="pt")["pixel_values"]
    assert torch.allclose(owlv2_batch.pixels([one], 0.0), theirs, atol=1e-5)


def test_each_object_has_one_middle_and_its_names_fit_there():
    asked = asking.queries(np.random.default_rng(0))
    one = scene(0, 3)
    fits, heard, boxes, on, middle, shape, color, owner, figure = owlv2_batch.answer(one.found, asked)
    assert middle.sum() == len(one.found)
    assert (fits.sum(axis=1) == 2 * middle).all()  # its kind and its shape
    assert (heard[middle > 0] == 1).all()
    assert heard.min() < 0.5
    for place in np.flatnonzero(middle):
        texts = [query for query, fit in zip(asked, fits[place], strict=True) if fit]
        assert texts[0].kinds < texts[1].kinds
        x, y = boxes[place, :2] * 16
        assert abs(place % 16 + 0.5 - x) <= 1 and abs(place // 16 + 0.5 - y) <= 1  # noqa: PT018
    assert ((shape >= 0) == (on > 0)).all()
    assert ((color >= 0) == (on > 0)).all()
    assert ((owner >= 0) == (on > 0)).all()
    assert figure.shape == (256, 8, 8)
    assert (figure[on * (1 - middle) > 0].max((1, 2)) == 1).all()


def test_a_picture_of_nothing_has_no_answers():
    from pipeline.records import empty

    asked = asking.queries(np.random.default_rng(0))
    fits, heard, _, on, middle, shape, _, owner, figure = owlv2_batch.answer(empty((192, 256)), asked)
    assert (fits.sum(), heard.min(), on.sum(), middle.sum(), shape.max()) == (0, 1, 0, 0, -1)
    assert (owner.max(), figure.max()) == (-1, 0)


def test_what_is_held_out_is_never_asked_for():
    texts = {query.text for number in range(30) for query in asking.queries(np.random.default_rng(number))}
    held_out = {phrase for kind in HELD_OUT for phrase in phrases(kind)}
    assert not [text for text in texts if any(text.endswith(phrase) for phrase in held_out)]
    assert any(text.startswith("a photo of a ") for text in texts)


def test_what_is_never_there_fits_nothing_and_is_no_word_of_the_world():
    missing = {asking.missing(np.random.default_rng(number)) for number in range(300)}
    assert missing.isdisjoint(phrase for kind in EVERY for phrase in phrases(kind))
    assert "orange" not in missing


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([0, 0, 2, 2], [0, 0, 2, 2], 1.0),  # the same
        ([0, 0, 2, 2], [1, 0, 3, 2], 1 / 3),  # half of each, nothing around
        ([0, 0, 1, 1], [2, 0, 3, 1], -1 / 3),  # apart: a third of what is around them is neither's
    ],
)
def test_generalised_iou(a, b, expected):
    assert generalised_iou(torch.tensor([a]).float(), torch.tensor([b]).float()).item() == pytest.approx(expected)


def test_corners():
    assert corners(torch.tensor([0.5, 0.5, 0.5, 1.0])).tolist() == [0.25, 0.0, 0.75, 1.0]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([((0, 0, 10, 10), 0.9, "a")], (1.0, 1.0)),  # all there is, to the pixel
        ([((0, 0, 10, 6.2), 0.9, "a")], (1.0, 0.3)),  # overlaps by 0.62: right for three thresholds of ten
        ([((0, 0, 10, 10), 0.9, "b")], (0.0, 0.0)),  # of another name
        ([((0, 0, 10, 10), 0.9, "a"), ((0, 0, 10, 10), 0.8, "a")], (1.0, 1.0)),  # the double comes after
        (
            [((0, 0, 10, 10), 0.8, "a"), ((40, 0, 50, 10), 0.9, "a")],
            (0.5, 0.5),
        ),  # half of what was found before is right
        ([], (0.0, 0.0)),
    ],
)
def test_average_precision(found, expected):
    tally = Tally()
    boxes = np.array([box for box, _, _ in found], np.float32).reshape(-1, 4)
    scores = np.array([score for _, score, _ in found], np.float32)
    tally.add((boxes, scores, [name for _, _, name in found]), (np.array([[0, 0, 10, 10]], np.float32), ["a"]))
    assert tally.average_precision() == pytest.approx(expected)
