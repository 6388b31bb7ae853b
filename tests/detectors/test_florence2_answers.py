"""What the tokens of an answer are taken to say."""

import re

import numpy as np
import pytest
import random_models
from hypothesis import given
from hypothesis import strategies as st

from pipeline import geometry
from pipeline.detectors.florence2_answers import BINS, Said, Signs, as_pixels, read, surest, without_area

SIGNS = Signs(place=5000, polygon=1, polygon_end=2, separator=3, others=frozenset({0, 4}))
MARKS = {"<": 1, ">": 2, "s": 3, "x": 4, "w": 700}


def tokens(answer):
    """'w 10 20 30 40' -> a piece of a word and four places."""
    return [MARKS[part] if part in MARKS else 5000 + int(part) for part in answer.split()]


@pytest.mark.parametrize(
    ("answer", "boxes", "problems"),
    [
        ("", [], []),  # nothing found
        ("w w", [], []),  # words alone
        ("w 10 20 30 40", [(10, 20, 30, 40)], []),
        ("x w w 0 0 999 999 x", [(0, 0, 999, 999)], []),  # as a model says it, between <s> and what follows
        ("w 1 2 3 4 5 6 7 8", [(1, 2, 3, 4), (5, 6, 7, 8)], []),  # two boxes of one label
        ("w 1 2 3 4 w w 5 6 7 8", [(1, 2, 3, 4), (5, 6, 7, 8)], []),  # two labels
        ("w 3 4 1 2", [(3, 4, 1, 2)], []),  # inverted: said later, when it is placed
        ("w 1 2 3", [], ["3 of the 4 places of a box"]),
        ("w 1 2 3 4 5 6", [(1, 2, 3, 4)], ["2 of the 4 places of a box"]),
        ("w 1 2 w 3 4", [], ["2 of the 4 places of a box", "2 of the 4 places of a box"]),  # never one of both halves
        ("w 1 2 x 3 4", [], ["2 of the 4 places of a box", "2 of the 4 places of a box"]),
        ("1 2 3 4", [], ["a box without a label: [1, 2, 3, 4]"]),  # transformers reads no such box either
        ("1 2 3 4 w 5 6 7 8", [(5, 6, 7, 8)], ["a box without a label: [1, 2, 3, 4]"]),
        ("w x 1 2 3 4", [(1, 2, 3, 4)], []),  # a stray token
        ("w > s 1 2 3 4 s", [(1, 2, 3, 4)], []),  # marks of polygons without one
        ("w < 5 1 9 7 2 8 >", [(2, 1, 9, 8)], []),  # the box around three corners
        ("w < 5 1 9 7 s 1 3 2 20 >", [(1, 1, 9, 20)], []),  # an object in two parts
        ("w < 5 1 9 s 1 3 2 20 >", [(1, 1, 5, 20)], []),  # half a corner is none
        ("w < 5 1 9 7 > < 1 1 2 2 >", [(5, 1, 9, 7), (1, 1, 2, 2)], []),  # two objects of one label
        ("w < 5 1 9 7 > 1 2 3 4", [(5, 1, 9, 7), (1, 2, 3, 4)], []),  # a polygon and a box
        ("w < 5 1 9 7", [], ["a polygon of 4 places: too few, or not closed"]),  # the answer was cut
        ("w < 5 1 >", [], ["a polygon of 2 places: too few, or not closed"]),
        ("w < >", [], ["a polygon of 0 places: too few, or not closed"]),
    ],
)
def test_what_an_answer_says(answer, boxes, problems):
    row = tokens(answer)
    said, told = read(row, [-1.0] * len(row), SIGNS)
    assert ([one.bins for one in said], told) == (boxes, problems)


def test_likelihoods_are_geometric_means():
    row = tokens("w w 1 2 3 4 5 6 7 8 w 1 1 2 2")
    likelihoods = [0.5, 0.5, *[0.8] * 4, *[0.2] * 4, 0.9, 0.1, 1.0, 1.0, 0.1]
    said, _ = read(row, np.log(likelihoods).tolist(), SIGNS)
    expected = [
        [(0.5**2 * 0.8**4) ** (1 / 6), 0.5, 0.8],  # joined, label, location
        [(0.5**2 * 0.2**4) ** (1 / 6), 0.5, 0.2],  # the same label, another box
        [(0.9 * 0.1**2) ** (1 / 5), 0.9, 0.1**0.5],  # a label of its own
    ]
    assert np.allclose([(one.joined, one.label, one.location) for one in said], expected)


def test_the_likelihood_of_a_polygon_is_that_of_all_its_places():
    said, _ = read(tokens("w < 5 1 9 7 2 8 >"), np.log([0.5, 1, *[0.25] * 3, *[0.49] * 3, 1]).tolist(), SIGNS)
    assert np.isclose(said[0].location, 0.35)


def test_the_likelihoods_that_are_not_the_score():
    one = Said((1, 2, 3, 4), 0.123456, 0.2, 0.3)
    assert one.besides("joined") == {"label_likelihood": 0.2, "location_likelihood": 0.3}
    assert one.besides("label") == {"joined_likelihood": 0.1235, "location_likelihood": 0.3}


def test_of_one_box_said_often_the_surest_stays():
    said = [Said((1, 2, 3, 4), 0.5, 0.9, 0.1), Said((1, 2, 3, 5), 0.1, 0.1, 0.1), Said((1, 2, 3, 4), 0.6, 0.8, 0.4)]
    assert surest(said, "joined") == [said[2], said[1]]
    assert surest(said, "label") == [said[0], said[1]]
    assert surest(said[:1] * 100, "joined") == said[:1]


@pytest.mark.parametrize(
    ("bins", "size_hw", "box"),
    [
        ((0, 0, 999, 999), (1000, 2000), (1, 0.5, 1999, 999.5)),  # the middle of the first and of the last
        ((100, 200, 500, 600), (480, 640), (64.32, 96.24, 320.32, 288.24)),
        ((0, 0, 999, 999), (1, 1), (0.0005, 0.0005, 0.9995, 0.9995)),  # a picture of one pixel
    ],
)
def test_boxes_in_pixels(bins, size_hw, box):
    assert np.allclose(as_pixels([Said(bins, 1, 1, 1)], size_hw), [box])


def test_what_is_said_of_boxes_without_area():
    said = [Said(bins, 1, 1, 1) for bins in [(5, 0, 4, 9), (0, 9, 9, 8), (3, 0, 3, 9), (0, 0, 1, 1)]]
    assert without_area(said, geometry.proper(as_pixels(said, (100, 100)))) == [
        "inverted box: [5, 0, 4, 9] of 1000",
        "inverted box: [0, 9, 9, 8] of 1000",
        "empty box: [3, 0, 3, 9] of 1000",
    ]


@given(st.lists(st.one_of(st.sampled_from([0, 1, 2, 3, 4, 700]), st.integers(4990, 6010)), max_size=60))
def test_no_answer_is_too_odd(row):
    said, problems = read(row, [-1.0] * len(row), SIGNS)
    boxes = as_pixels(said, (480, 640))
    assert all(0 <= place < BINS for one in said for place in one.bins)
    assert ((boxes >= 0) & (boxes <= (640, 480, 640, 480))).all()
    places = sum(SIGNS.letter(token) == "p" for token in row)
    assert places < 4 or said or problems  # never silent about a box


@pytest.fixture(scope="module")
def processor():
    from transformers import Florence2Processor

    return Florence2Processor.from_pretrained(random_models.cached("florence2"), backend="pil")


@pytest.mark.parametrize("seed", range(20))
def test_boxes_are_those_of_transformers(processor, seed):
    rng = np.random.default_rng(seed)
    labels = [rng.choice(["dog", "a red ball", "big cat"]) for _ in range(rng.integers(0, 4))]
    text = "".join(
        label + "".join(f"<loc_{place}>" for place in rng.integers(0, 1000, rng.integers(1, 14))) for label in labels
    )
    row = processor.tokenizer(f"<s>{text}</s>", add_special_tokens=False)["input_ids"]
    place, polygon, polygon_end, separator = processor.tokenizer.convert_tokens_to_ids(
        ["<loc_0>", "<poly>", "</poly>", "<sep>"]
    )
    signs = Signs(place, polygon, polygon_end, separator, frozenset(processor.tokenizer.added_tokens_decoder))
    said, problems = read(row, [-1.0] * len(row), signs)
    task = "<CAPTION_TO_PHRASE_GROUNDING>"
    theirs = processor.post_process_generation(text, task=task, image_size=(1234, 777))[task]["bboxes"]
    ahead = as_pixels(said, (777, 1234)) - np.array(theirs).reshape(-1, 4)
    assert ((ahead > -0.001) & (ahead < 1)).all()  # theirs have nothing behind the point
    assert len(problems) == len([run for run in re.findall(r"(?:<loc_\d+>)+", text) if run.count("<") % 4])
