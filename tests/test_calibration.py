"""The file of a calibration: what is read, what is refused, and what `select` makes of it."""

from pathlib import Path

import pytest
from drawing import instances

from pipeline.calibration import Calibration
from pipeline.config import load
from pipeline.errors import ConfigError
from pipeline.ontology import Category, Ontology
from pipeline.select import Rules, identity, select, thresholds

KNOTS = ((0.2, 0.0), (0.6, 0.5), (0.8, 0.5))
LEARNT = Calibration(thresholds={"dog": 0.6}, maps={"x": KNOTS}, detector={"backend": "fake"})
LEAST = ["ontology=dog, cat", "detect.backend=fake", "segment.backend=fake"]


def configured(text):
    Path("c.yaml").write_text(text, encoding="utf-8")
    return load(None, [*LEAST, "select.calibration=c.yaml"])


@pytest.mark.parametrize(
    ("kind", "score", "worth"),
    [("x", 0.1, 0), ("x", 0.2, 0), ("x", 0.4, 0.25), ("x", 0.7, 0.5), ("x", 1, 0.5), ("y", 0.7, None)],
)
def test_probability(kind, score, worth):
    told = LEARNT.probability(kind, [score])
    assert worth == (None if told is None else told[0])


def test_it_comes_back_from_its_file():
    assert configured(LEARNT.to_yaml()).select.calibration == LEARNT


def test_a_run_keeps_what_stood_in_the_file_not_where():
    config = configured(LEARNT.to_yaml())
    Path("c.yaml").unlink()
    Path("again.yaml").write_text(config.to_yaml({}), encoding="utf-8")
    assert "c.yaml" not in config.to_yaml({})
    assert load("again.yaml").select == config.select


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "select.calibration: no such file; `masklet calibrate RUN --truth PATH` writes one (got 'c.yaml')"),
        ("[1]", "is no calibration"),
        ("a: [", "c.yaml"),
        ("thresholds: {dog: 2}", "select.calibration.thresholds.dog: input should be less than or equal to 1"),
        ("limits: {dog: 0.2}", "select.calibration.limits: unknown key"),
        ("maps: {x: [[0.5, 0.2], [0.4, 0.3]]}", "want knots [score, probability] for 'x' that rise"),
        ("maps: {x: [[0.4, 0.5], [0.5, 0.4]]}", "that rise"),
        ("maps: {x: []}", "that rise"),
        ("maps: {x: [[0.4, .nan]]}", "finite number"),
    ],
)
def test_what_is_no_calibration_is_refused(text, said):
    with pytest.raises(ConfigError) as raised:
        configured(text) if text else load(None, [*LEAST, "select.calibration=c.yaml"])
    (line,) = raised.value.problems
    assert said in line
    assert "\n" not in line


DOG, CAT, BIRD = Category(name="dog", threshold=0.9), Category(name="cat", threshold=0.2), Category(name="bird")


def test_what_was_measured_goes_before_what_was_said():
    said = thresholds(Rules(calibration=LEARNT, threshold=0.3), Ontology([DOG, CAT, BIRD]))
    assert said == {"dog": 0.6, "cat": 0.2, "bird": 0.3}


def test_rows_are_told_what_their_score_is_worth_and_keep_the_score():
    boxes = [(1, 1, 5, 5), (6, 6, 9, 9), (1, 8, 5, 12)]
    kinds = ("x", "x", "y")
    found = instances(boxes, scores=[0.7, 0.5, 0.9], score_kind=kinds, extra=({"a": 1}, {}, {}))
    change = select(found, Rules(calibration=LEARNT), Ontology([DOG]))
    after = change.applied_to(found)
    assert [drop.row for drop in change.drops] == [1]
    assert after.scores.round(4).tolist() == pytest.approx([0.7, 0.9])
    assert after.extra == ({"a": 1, "probability": 0.5}, {})


def test_the_answer_depends_on_what_stands_in_the_file():
    other = LEARNT.model_copy(update={"thresholds": {"dog": 0.5}})
    said = [identity(Rules(calibration=one), Ontology([DOG])) for one in (None, LEARNT, other)]
    assert said[0] != said[1] != said[2]
