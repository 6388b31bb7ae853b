"""Florence-2: what it is asked, that it answers as transformers' own loop does, and what its scores are."""

import json
import math
import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import random_models

from pipeline.detectors import florence2_calls
from pipeline.detectors.florence2 import MAX_BYTES, SCORE_KINDS, SENTENCES, Florence2
from pipeline.detectors.florence2_calls import Shapes
from pipeline.detectors.views import View
from pipeline.errors import ModelMissing
from pipeline.media import Picture
from pipeline.seams import Device

CPU = Device("cpu", 1)
TASKS = {"open_vocabulary": "<OPEN_VOCABULARY_DETECTION>", "phrase_grounding": "<CAPTION_TO_PHRASE_GROUNDING>"}
PROMPTS = ("dog", "cat", "a big red ball on a blue chair beside the sink of a small brown house", "traffic light")
TWO_BOXES = "dog<loc_100><loc_200><loc_500><loc_600><loc_550><loc_120><loc_900><loc_480>"


def pictures():
    rng = np.random.default_rng(0)
    return [Picture.of(rng.integers(0, 256, (h, w, 3), np.uint8), str(w)) for h, w in ((60, 90), (64, 48))]


@pytest.fixture(scope="module")
def answering(tmp_path_factory):
    """Write, or find, a model that says a text with given likelihoods whatever it is asked."""

    def model(answer, likelihoods=None):
        folder = tmp_path_factory.mktemp("florence2")
        random_models.florence_that_answers(folder, answer, likelihoods=likelihoods)
        return str(folder)

    return model


@pytest.fixture(scope="module")
def two_boxes(answering):
    return answering(TWO_BOXES, [0.5, *[0.9] * 4, *[0.6, 0.7, 0.8, 0.9], 0.99])


@pytest.fixture(scope="module")
def talkative(tmp_path_factory):
    """A model that says of every picture and prompt something else: words and places in turn, and at times an end."""
    import torch
    from transformers import AutoConfig, Florence2ForConditionalGeneration

    folder = tmp_path_factory.mktemp("talkative") / "florence2"
    shutil.copytree(random_models.cached("florence2"), folder)
    words, places, end = range(600, 1000), range(50269, 51269), 2
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        model = Florence2ForConditionalGeneration(AutoConfig.from_pretrained(folder))
        text = model.model.language_model
        for name, weights in text.named_parameters():
            if weights.ndim == 2 and "embed" not in name:
                weights.normal_(0, (2 if name.startswith("encoder") else 1) * weights.shape[1] ** -0.5)
        text.decoder.layers[-1].final_layer_norm.weight.fill_(0.4)
        side = 0.4 * torch.randn(text.config.d_model)  # words are on one side of zero, places on the other
        tokens, positions = text.shared.weight, text.decoder.embed_positions.weight
        tokens.normal_(0, 0.1)
        tokens[[*words, *places]] *= 10
        tokens[[*words]] += side
        tokens[[*places]] -= side
        tokens[end] = tokens[664]  # a word that it likes
        positions.normal_(0, 6)
        positions[:] -= 6 * side
        positions[3::6] += 12 * side
    settings = (folder / "generation_config.json").read_bytes()
    model.save_pretrained(folder)
    (folder / "generation_config.json").write_bytes(settings)
    return str(folder)


def options(folder, **given):
    return Florence2(model=folder, max_new_tokens=14, **given)


@cache
def opened(folder, **given):
    return options(folder, **given).open(CPU)


def answers_of(detector, picture, prompts):
    """The answers to all prompts, asked together."""
    (seen,) = detector.calls.look([detector._pixels(picture.rgb)])
    texts = [detector._text(prompt) for prompt in prompts]
    found = {}
    for rows in florence2_calls.grouped([florence2_calls.filled(len(text)) for text in texts], len(texts)):
        readings = detector.calls.read([seen] * len(rows), [texts[row] for row in rows])
        found |= dict(zip(rows, detector.calls.answer(readings), strict=True))
    return [found[row] for row in range(len(prompts))]


@pytest.fixture(scope="module")
def naive(talkative):
    """What transformers' processor and generate say, one prompt at a time, as its documentation shows."""
    from transformers import Florence2ForConditionalGeneration, Florence2Processor

    processor = Florence2Processor.from_pretrained(talkative, backend="pil")
    model = Florence2ForConditionalGeneration.from_pretrained(talkative)
    model.generation_config.forced_eos_token_id = None  # of a cut answer it would hide the last token
    model.generation_config.no_repeat_ngram_size = 0

    def say(task, picture, prompt, beams):
        inputs = processor(
            text=TASKS[task] + prompt, images=picture.rgb, return_tensors="pt", input_data_format="channels_last"
        )
        ids = model.generate(**inputs, max_new_tokens=14, num_beams=beams, early_stopping=beams > 1)[0].tolist()[1:]
        return tuple(ids[: ids.index(2)] if 2 in ids else ids)

    return say


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize(("number", "task"), list(enumerate(sorted(TASKS))))
def test_answers_are_those_of_transformers_token_by_token(talkative, naive, number, task, beams):
    picture = pictures()[number]
    said = [answer.tokens for answer in answers_of(opened(talkative, task=task, beams=beams), picture, PROMPTS)]
    assert said == [naive(task, picture, prompt, beams) for prompt in PROMPTS]
    assert len(set(said)) > 2  # or the comparison would show nothing
    assert max(map(len, said)) == 14


@pytest.mark.parametrize("beams", [1, 3])
def test_a_prompt_alone_and_among_others_has_the_same_answer_to_the_last_bit(talkative, beams):
    detector, picture = opened(talkative, beams=beams), pictures()[0]
    together = answers_of(detector, picture, PROMPTS)
    assert together[1:3] == [answers_of(detector, picture, [prompt])[0] for prompt in PROMPTS[1:3]]
    assert len({len(answer.tokens) for answer in together}) > 1


@pytest.mark.parametrize("beams", [1, 3])
def test_larger_calls_say_the_same(talkative, beams, monkeypatch):
    apart = opened(talkative, beams=beams).detect(pictures(), PROMPTS)
    monkeypatch.setitem(florence2_calls.SHAPES, "cpu", Shapes(3, 4, 4, 4))  # as on CUDA: pictures and prompts together
    together = options(talkative, beams=beams).open(CPU).detect(pictures(), PROMPTS)
    assert sum(map(len, apart)) > 1
    for one, other in zip(apart, together, strict=True):
        assert (one.prompts, one.unplaced) == (other.prompts, other.unplaced)
        assert np.array_equal(one.boxes_xyxy, other.boxes_xyxy)
        assert one.scores is other.scores is None or np.allclose(one.scores, other.scores, atol=2e-4)


def test_weighed_while_said_or_afterwards_is_the_same(talkative):
    calls, picture = opened(talkative), pictures()[1]
    answers = answers_of(calls, picture, PROMPTS[:2])
    (seen,) = calls.calls.look([calls._pixels(picture.rgb)])
    readings = calls.calls.read([seen] * 2, [calls._text(prompt) for prompt in PROMPTS[:2]])
    weighed = calls.calls.weigh(readings, [answer.tokens for answer in answers])
    said = np.exp(np.concatenate([answer.logs[1:] for answer in answers]))  # the first token is given
    again = [logs[1 : len(answer.tokens)] for logs, answer in zip(weighed, answers, strict=True)]
    assert np.abs(said - np.exp(np.concatenate(again))).max() < 1e-4
    assert np.ptp(said) > 0.1


JOINED = [(0.5 * 0.9**4) ** (1 / 5), (0.5 * 0.6 * 0.7 * 0.8 * 0.9) ** (1 / 5)]
PLACES = [0.9, (0.6 * 0.7 * 0.8 * 0.9) ** (1 / 4)]


@pytest.mark.parametrize(
    ("beams", "score", "scores", "others"),
    [
        (1, "joined", JOINED, {"label_likelihood": [0.5, 0.5], "location_likelihood": PLACES}),
        (3, "joined", JOINED, {"label_likelihood": [0.5, 0.5], "location_likelihood": PLACES}),  # weighed afterwards
        (1, "label", [0.5, 0.5], {"joined_likelihood": JOINED, "location_likelihood": PLACES}),
        (1, "location", PLACES, {"joined_likelihood": JOINED, "label_likelihood": [0.5, 0.5]}),
    ],
)
def test_scores_are_the_likelihoods_of_the_tokens(two_boxes, beams, score, scores, others):
    """The model says `dog` with likelihood 0.5, one box with 0.9 a place, another with 0.6, 0.7, 0.8 and 0.9."""
    (found,) = opened(two_boxes, beams=beams, score=score).detect(pictures()[:1], ["a cat"])
    assert np.allclose(found.boxes_xyxy, [(9.045, 12.03, 45.045, 36.03), (49.545, 7.23, 81.045, 28.83)])
    assert np.allclose(found.scores, scores, atol=2e-4)
    assert found.score_kind == (SCORE_KINDS[score],) * 2
    assert found.prompts == ("a cat",) * 2  # whatever the model calls it
    assert found.unplaced == ()
    for name, values in others.items():
        assert np.allclose([extra[name] for extra in found.extra], values, atol=2e-4)
    assert set(found.extra[0]) == set(others)


BOX = "<loc_1><loc_2><loc_300><loc_400>"


@pytest.mark.parametrize(
    ("answer", "likelihoods", "scores", "unplaced"),
    [
        ("", [], [], []),  # nothing found
        ("dog", [0.9], [], []),
        (f"dog{BOX}", [0.9] * 5, [0.9], []),
        (f"dog{BOX}dog{BOX}", [0.6] * 5 + [0.8] * 5, [0.8], []),  # the same box: the surest
        ("dog<loc_300><loc_2><loc_1><loc_400>", [0.9] * 5, [], ["inverted box: [300, 2, 1, 400] of 1000"]),
        ("dog<loc_3><loc_2><loc_3><loc_400>", [0.9] * 5, [], ["empty box: [3, 2, 3, 400] of 1000"]),
        (f"dog{BOX}<loc_3>", [0.9] * 6, [0.9], ["1 of the 4 places of a box"]),
        (BOX, [0.9] * 4, [], ["a box without a label: [1, 2, 300, 400]"]),
        ("dog" + "<loc_7>" * 400, [0.9] * 401, [], ["empty box: [7, 7, 7, 7] of 1000"]),  # often, and told once
    ],
)
def test_what_is_made_of_an_answer(two_boxes, answer, likelihoods, scores, unplaced):
    detector = opened(two_boxes)
    tokens = detector.tokenizer(answer, add_special_tokens=False)["input_ids"]
    said = florence2_calls.Answer((0, *tokens), True, (0.0, *np.log(likelihoods)))
    found = detector._instances((60, 90), "dog", said)
    assert np.allclose(found.scores if len(found) else [], scores, atol=1e-4)
    assert found.unplaced == tuple(("dog", words) for words in unplaced)


def test_two_boxes_may_share_three_places(answering):
    folder = answering("dog<loc_1><loc_2><loc_300><loc_400><loc_1><loc_2><loc_300><loc_401>", [0.9] * 10)
    settings = json.loads((Path(folder) / "generation_config.json").read_text())
    assert settings["no_repeat_ngram_size"] == 3  # which would forbid it
    (found,) = opened(folder).detect(pictures()[:1], ["dog"])
    assert np.allclose(found.boxes_xyxy[:, 3], [24.03, 24.09])


def test_an_answer_that_is_cut_is_told(two_boxes):
    (found,) = Florence2(model=two_boxes, max_new_tokens=8).open(CPU).detect(pictures()[:1], ["dog"])
    assert len(found) == 1  # of <s>, a label, a box, and half of another
    assert found.unplaced == (
        ("dog", "2 of the 4 places of a box"),
        ("dog", "the answer was cut after 8 tokens; raise max_new_tokens"),
    )


def test_a_model_has_only_so_many_places_for_an_answer(two_boxes):
    detector = Florence2(model=two_boxes, max_new_tokens=10**6).open(CPU)
    assert detector.calls.model.generation_config.max_new_tokens == 1024 - 16
    assert len(detector.detect(pictures()[:1], ["dog"])[0]) == 2


@pytest.mark.parametrize("task", sorted(TASKS))
def test_prompts_are_put_as_transformers_does(two_boxes, task):
    from transformers import Florence2Processor

    processor = Florence2Processor.from_pretrained(two_boxes, backend="pil")
    assert processor.task_prompts_with_input[TASKS[task]].replace("{input}", "{}") == SENTENCES[task]
    for prompt in ("dog", " a red ball ", "狗", ""):
        inputs = processor(text=TASKS[task] + prompt, images=pictures()[0].rgb, input_data_format="channels_last")
        ids = [token for token in inputs["input_ids"][0] if token != processor.image_token_id]
        assert opened(two_boxes, task=task)._text(prompt) == ids


def test_each_prompt_is_asked_once_and_rows_stand_in_their_order(two_boxes):
    (found,) = opened(two_boxes).detect(pictures()[:1], ["dog", "cat", "dog"])
    assert found.prompts == ("dog", "dog", "cat", "cat")


@pytest.mark.parametrize("size_hw", [(60, 90), (1, 500), (3, 40), (40, 3)])
def test_what_the_model_looks_at(two_boxes, size_hw):
    """Pillow's bicubic square of 96 (768 in a released model), less ImageNet's mean, over its deviation."""
    from PIL import Image

    rgb = np.random.default_rng(0).integers(0, 256, (*size_hw, 3), np.uint8)
    square = np.asarray(Image.fromarray(rgb).resize((96, 96), Image.Resampling.BICUBIC)) / 255
    expected = (square - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    assert np.allclose(opened(two_boxes)._pixels(rgb).numpy(), expected.transpose(2, 0, 1), atol=1e-5)


def test_bfloat16(two_boxes):
    (found,) = opened(two_boxes, dtype="bfloat16").detect(pictures()[:1], ["dog"])
    assert len(found) == 2
    assert np.allclose(found.scores, JOINED, atol=0.05)


@pytest.mark.parametrize(
    ("prompt", "sign"),
    [
        ("dog <loc_12>", "<loc_12>"),
        ("</s>", "</s>"),
        ("<OD>", "<OD>"),
        ("<CAPTION_TO_PHRASE_GROUNDING>a dog", "<CAPTION_TO_PHRASE_GROUNDING>"),
        ("a <poly> b", "<poly>"),
        ("a</poly>", "</poly>"),
        ("<image>", "<image>"),
        ("<region_to_desciption>", "<region_to_desciption>"),  # their spelling
    ],
)
def test_a_prompt_in_the_language_of_the_model_is_refused(prompt, sign):
    (line,) = Florence2(model="any").refused(["dog", prompt])
    assert line == f"prompt {prompt!r}: Florence-2 reads {sign} as a sign of its own; leave it out"


def test_every_sign_of_the_tokenizer_is_refused(two_boxes):
    added = opened(two_boxes).tokenizer.added_tokens_decoder.values()
    prompts = [token.content for token in added]
    assert len(prompts) > 1000
    assert len(Florence2(model="any").refused(prompts)) == len(prompts)


@pytest.mark.parametrize("prompt", ["dog", "a < b > c", "a <b> c", "loc_12", "狗" * 128, "<", "<3", "x</y>"])
def test_other_prompts_are_not(prompt):
    assert Florence2(model="any").refused([prompt]) == []


def test_the_longest_prompt_fits(two_boxes):
    longest = "\x01" * MAX_BYTES  # a token a byte
    assert len(opened(two_boxes).detect(pictures()[:1], [longest])[0]) == 2
    (line,) = Florence2(model="any").refused([longest, longest + "x"])
    assert line.endswith("Florence-2 takes 384 bytes of UTF-8; shorten it")


def test_a_refused_prompt_ends_a_check(capsys, two_boxes):
    from pipeline import cli

    given = ["--ontology", "dog, <loc_3>", "detect.backend=florence2", f"detect.model={two_boxes}"]
    Path("photos").mkdir()
    with pytest.raises(SystemExit) as ended:
        cli.main(["check", "photos", *given])
    assert ended.value.code == 2
    assert "prompt '<loc_3>': Florence-2 reads <loc_3> as a sign of its own" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        ("config.json", {"model_type": "bart"}, "config.json says that it is bart; florence2 opens florence2"),
        ("config.json", {"auto_map": {}}, "runs by code of its own, which masklet does not; take one of florence-comm"),
        ("tokenizer.json", {"added_tokens": []}, "its tokenizer has no <loc_0> to <loc_999>; it is not Florence-2's"),
    ],
)
def test_models_that_are_none_of_ours(two_boxes, tmp_path, file, changes, message):
    place = tmp_path / "model"
    shutil.copytree(two_boxes, place)
    (place / file).write_text(json.dumps(json.loads((place / file).read_text()) | changes))
    with pytest.raises(ModelMissing, match=message):
        opened(str(place))


FIRST, SECOND = (9.045, 12.03, 45.045, 36.03), (49.545, 7.23, 81.045, 28.83)
MIRRORED = (44.955, 12.03, 80.955, 36.03)  # of the first


@pytest.mark.parametrize(
    ("given", "boxes"),
    [
        ({}, [FIRST, SECOND]),
        ({"mirrored": True}, [FIRST, MIRRORED]),  # the surer of two that agree by .52
        ({"mirrored": True, "agreed": True}, [FIRST, MIRRORED]),
        ({"scales": (0.5,), "agreed": True}, []),
        ({"scales": (0.5,)}, [FIRST, SECOND, (0, 0, 45.09, 42.06), (54.09, 0, 90, 27.66)]),
    ],
)
def test_the_same_answer_to_every_view(two_boxes, given, boxes):
    (found,) = opened(two_boxes, **given).detect(pictures()[:1], ["dog"])
    assert np.array(sorted(found.boxes_xyxy.tolist())) == pytest.approx(np.array(sorted(boxes)), abs=2e-3)
    assert set(found.prompts or ()) <= {"dog"}


def test_few_views_are_in_memory_at_once(two_boxes, monkeypatch):
    detector, made, looked_at = opened(two_boxes, mirrored=True, scales=(0.5, 0.4)), [], []
    of, found = View.of, detector._found
    monkeypatch.setattr(View, "of", lambda view, picture: made.append(view) or of(view, picture))
    monkeypatch.setattr(
        detector, "_found", lambda some, texts: looked_at.append((len(made), len(some))) or found(some, texts)
    )
    detector.detect(pictures()[:2], ["dog"])
    assert [before for before, _ in looked_at] == np.cumsum([some for _, some in looked_at]).tolist()
    assert looked_at[-1][0] == 8
    assert len(looked_at) > 1


@pytest.mark.parametrize(
    ("prompt", "asked"),
    [("dog", True), ("two Dogs", True), ("a hot dog", True), ("cat", False), ("dogma", False), ("the", False)],
)
def test_a_gate_lets_through_what_the_model_names_itself(two_boxes, prompt, asked):
    """It says `dog`, whatever it is asked, for all objects too."""
    (found,) = opened(two_boxes, gate=True).detect(pictures()[:1], [prompt])
    assert len(found) == 2 * asked
    (both,) = opened(two_boxes, gate=True).detect(pictures()[:1], ["cat", "dog", prompt])
    assert set(both.prompts) == {"dog", *([prompt] if asked else [])}


@pytest.mark.slow
def test_at_full_size():
    folder = str(random_models.cached("florence2", "base"))
    rng = np.random.default_rng(0)
    picture = Picture.of(rng.integers(0, 256, (480, 640, 3), np.uint8))
    (found,) = Florence2(model=folder).open(Device("cpu", 2)).detect([picture], ["dog", "a red ball"])
    assert found.prompts == ("dog", "dog", "a red ball", "a red ball")
    boxes = [(64.32, 96.24, 320.32, 288.24), (352.32, 57.84, 576.32, 230.64)]  # random_models_florence2.ANSWER
    assert np.allclose(found.boxes_xyxy, boxes * 2)
    assert math.prod(found.scores) > 0
    assert len(set(found.scores.tolist())) == 4  # the picture and the prompt have a say in them
