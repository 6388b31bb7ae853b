import numpy as np
import pytest
import torch

from pipeline.detectors.florence2_answers import Signs, as_pixels, read
from pipeline.geometry import box_iou
from pipeline.toyworld.scenes import scene
from pipeline.toyworld.shapes import COLORS, EVERY, HELD_OUT, SEEN, SHAPES
from pipeline.toyworld.words import name, phrases
from training import florence2, florence2_batch, florence2_model, florence2_quality
from training.florence2_questions import OBJECTS, OPEN, TASKS, Question, questions
from training.florence2_words import IMAGE_PX, processor
from training.owlv2_batch import kinds
from training.phrases import Query, of_kind, of_shape

PROCESSOR = processor()
WORDS = PROCESSOR.tokenizer
FIRST, IMAGE = WORDS.convert_tokens_to_ids(["<loc_0>", "<image>"])
KNOWN = list(dict.fromkeys(word for kind in EVERY for phrase in phrases(kind) for word in phrase.split()))


@pytest.fixture(scope="module")
def model():
    return florence2_model.fresh(len(WORDS), FIRST, IMAGE).eval()


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    place = tmp_path_factory.mktemp("florence2")
    florence2.write(model, place)
    return place


@pytest.mark.parametrize("word", KNOWN)
def test_a_word_of_the_world_is_one_token(word):
    assert WORDS.tokenize(f"Locate {word}") == ["Locate", f"Ġ{word}"]


@pytest.mark.parametrize("text", ["naïve 猫\t𝄞", "zxq", "a  photo\n"])
def test_any_text_is_tokens_and_comes_back(text):
    assert WORDS.decode(florence2_batch.coded(WORDS, text)) == text


def test_the_checkpoint_is_small_and_comes_back_as_transformers_loads_it(folder, model):
    from transformers import AutoImageProcessor, AutoProcessor, AutoTokenizer, Florence2ForConditionalGeneration

    again = Florence2ForConditionalGeneration.from_pretrained(folder)
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in model.state_dict().items())
    assert (folder / "model.safetensors").stat().st_size < 9.5e6
    text = "Locate a Crimson disc<loc_999><od>, zxq"
    for tokenizer in (AutoProcessor.from_pretrained(folder).tokenizer, AutoTokenizer.from_pretrained(folder)):
        assert tokenizer(text)["input_ids"] == WORDS(text)["input_ids"]
    assert AutoImageProcessor.from_pretrained(folder, backend="pil").size["height"] == IMAGE_PX


@pytest.mark.parametrize("task", ["open_vocabulary", "phrase_grounding"])
def test_the_untrained_model_answers_through_the_detector(folder, task):
    detector = florence2_quality.opened(folder, task)
    found = florence2_quality.found(detector, scene(0, 0), {"red circle": "a", "zxq": "b"})
    assert found.size_hw == (192, 256)
    assert len(found.scores) == len(found.names) == len(found)


def test_what_is_learnt_is_transformers_own_answer(model):
    """The loss takes the model apart, to look at a picture only once."""
    asked = florence2_batch.batch(0, 2, WORDS)
    row = len(asked.picture) - 1
    heard = asked.heard[row].bool()
    tokens = torch.cat([torch.full((heard.numel() - asked.text.shape[1],), IMAGE), asked.text[row]])[heard]
    with torch.no_grad():
        ours = florence2.answered(model, asked)[2][row]
        theirs = model(
            input_ids=tokens[None], pixel_values=asked.pixels[asked.picture[row]][None], labels=asked.said[row][None]
        ).logits[0]
    assert torch.allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize("size_hw", [(192, 256), (256, 192), (256, 256)])
def test_pictures_and_questions_are_prepared_as_transformers_does(size_hw):
    one = scene(0, 0, size_hw)
    theirs = PROCESSOR(text="<OPEN_VOCABULARY_DETECTION>red circle", images=[one.rgb], return_tensors="pt")
    asked = florence2_batch.asked([one], [[Question(OPEN.format("red circle"), ())]], WORDS)
    assert torch.allclose(asked.pixels, theirs["pixel_values"], atol=1e-5)
    assert theirs["input_ids"][0, asked.heard.shape[1] - asked.text.shape[1] :].tolist() == asked.text[0].tolist()
    assert theirs["input_ids"].shape == asked.heard.shape
    assert PROCESSOR._construct_prompts("<OD>") == [OBJECTS]


def read_back(tokens):
    """The boxes of an answer, as masklet's detector reads them."""
    marks = WORDS.convert_tokens_to_ids(["<poly>", "</poly>", "<sep>"])
    said, problems = read(tokens, [0.0] * len(tokens), Signs(FIRST, *marks, frozenset(WORDS.added_tokens_decoder)))
    assert problems == []
    return said


@pytest.mark.parametrize("number", range(4))
def test_all_objects_of_a_picture_are_in_the_answer(number):
    one = scene(0, number)
    there = [kind for kind, _ in florence2_batch.leftmost(one.found)]
    (question,) = questions(np.random.default_rng(0), "objects", there)
    tokens = florence2_batch.answer(WORDS, one.found, question)
    said = read_back(tokens)
    assert (tokens[0], tokens[-1]) == (WORDS.bos_token_id, WORDS.eos_token_id)
    fits = box_iou(as_pixels(said, one.found.size_hw), one.found.boxes_xyxy)
    assert (fits.max(axis=0) > 0.9).all()
    assert len(said) == len(one.found)
    starts = [one.bins[0] for one in said]
    assert starts == sorted(starts)
    assert all(name(kind) in WORDS.decode(tokens) for kind in there)


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ([], ""),  # nothing of what is not there
        ([0], "one<loc><loc><loc><loc>"),
        ([0, 1], "one<loc><loc><loc><loc>two<loc><loc><loc><loc>"),
    ],
)
def test_an_answer(chosen, expected):
    found = scene(0, 0).found
    there = kinds(found)
    missing = next(kind for kind in EVERY if kind not in there)
    names = [Query(text, of_kind(there[row])) for row, text in zip(chosen, ("one", "two"), strict=False)]
    tokens = florence2_batch.answer(WORDS, found, Question("", (Query("none", of_kind(missing)), *names)))
    text = "".join("<loc>" if FIRST <= token < FIRST + 1000 else WORDS.decode([token]) for token in tokens)
    assert text == f"<s>{expected}</s>"


def test_patches_tell_what_is_on_them():
    one = scene(0, 1)
    boxes, shape, color = florence2_batch.patches(one.found)
    true = {
        (*where, *kind)
        for where, kind in zip(florence2_batch.places(one.found).tolist(), map(tuple, kinds(one.found)), strict=True)
        for where in [tuple(where)]
    }
    told = {
        (*box, list(COLORS)[c], list(SHAPES)[s])
        for box, s, c in zip(boxes.tolist(), shape, color, strict=True)
        if s >= 0
    }
    assert told == true
    left, top, right, bottom = (boxes[shape >= 0] / 1000 * 12).T
    at = np.flatnonzero(shape >= 0)
    assert (left < at % 12 + 1).all()
    assert (right > at % 12 - 0.1).all()
    assert (top < at // 12 + 1).all()
    assert (bottom > at // 12 - 0.1).all()


def test_patches_that_are_meant():
    shape, color = np.array([0, 0, 1, -1]), np.array([0, 1, 0, -1])
    kind = Question("", (Query("", of_kind(("red", "circle"))),))
    assert florence2_batch.on(shape, color, kind).tolist() == [1, 0, 0, 0]
    every = Question("", (Query("", of_shape("square")), *kind.names))
    assert florence2_batch.on(shape, color, every).tolist() == [1, 0, 1, 0]


def test_what_is_held_out_is_never_asked_for():
    told = {
        named.text
        for number in range(200)
        for task in TASKS
        for question in questions(np.random.default_rng(number), task, SEEN[number % 30 : number % 30 + 4])
        for named in question.names
    }
    assert told.isdisjoint(phrase for kind in HELD_OUT for phrase in phrases(kind))
    assert {"red circle", "crimson disc", "two dots"} <= told


@pytest.mark.parametrize("most", [1, 2, 6, 40])
def test_few_colours_first(most):
    counts = {
        len({color for color, _ in florence2_batch.few(np.random.default_rng(number), most)}) for number in range(50)
    }
    assert max(counts) == min(most, 6)
    assert min(counts) >= 1


@pytest.mark.parametrize(
    ("place", "nearly"),
    [
        (500, True),
        (505, True),  # a pixel beside it
        (560, False),
    ],
)
def test_a_place_beside_the_right_one_is_nearly_right(place, nearly):
    sure = -0.5 * ((torch.arange(1000) - place) / 5.0).square()[None]
    loss = florence2.off(sure, torch.tensor([500]), 0).item()
    assert (loss < 1) == nearly
    assert loss >= -1e-4
