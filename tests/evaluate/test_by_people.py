"""Thresholds learnt from what people decided."""

import numpy as np
import pytest
from drawing import instances, square

from pipeline.config import load
from pipeline.corrections import Correction
from pipeline.decisions import decided
from pipeline.errors import BadDataset, ConfigError
from pipeline.evaluate.by_people import calibrate_by_people, judged_rows
from pipeline.evaluate.calibrate import Judged, learn

BOXES = [(1, 1, 6, 6), (8, 1, 13, 6), (15, 1, 20, 6), (1, 10, 6, 15)]
FOUND = instances(
    BOXES,
    names=("dog", "dog", "cat", "dog"),
    scores=[0.4, 0.9, 0.8, 0.7],
    score_kind=("sure",) * 4,
    masks=[square(*box) for box in BOXES],
)


def line(row, do, **said):
    about = {} if row is None else {"class_was": FOUND.names[row], "box_was": BOXES[row]}
    return Correction(version=1, picture="p", do=do, **about, **said)


@pytest.mark.parametrize(
    ("lines", "name", "scores", "hits", "objects"),
    [
        ([], "dog", [], [], 0),  # nobody has looked
        ([line(0, "accept")], "dog", [0.4], [True], 1),
        ([line(0, "reject"), line(1, "accept")], "dog", [0.9, 0.4], [True, False], 1),
        ([line(1, "mask", mask=square(*BOXES[1]).decode())], "dog", [0.9], [True], 1),  # mended: it is a dog
        ([line(1, "relabel", **{"class": "cat"})], "dog", [0.9], [False], 0),
        ([line(1, "relabel", **{"class": "cat"})], "cat", [], [], 1),  # a cat that was not found
        ([line(None, "add", box=(20, 10, 25, 15), **{"class": "dog"})], "dog", [], [], 1),
    ],
)
def test_what_people_say_of_a_class(lines, name, scores, hits, objects):
    judged = judged_rows(FOUND, decided("p", FOUND, lines, {"dog", "cat"}), name)
    assert judged.scores.tolist() == pytest.approx(scores)
    assert (judged.hits.tolist(), judged.objects) == (hits, objects)


def test_a_run_without_corrections():
    with pytest.raises(ConfigError, match="the run has no corrections; run it with corrections=FOLDER first"):
        calibrate_by_people(load(None, ["ontology=dog", "detect.backend=fake", "segment.backend=fake"]), None, 1)


@pytest.mark.parametrize(
    ("hits", "objects", "why"),
    [([], 2, "no detections"), ([False], 2, "no detection that is right"), ([False], 0, "no objects of its classes")],
)
def test_where_nothing_is_right_there_is_nothing_to_learn(hits, objects, why):
    found = {"dog": Judged(np.full(len(hits), 0.5), np.array(hits, bool), ("sure",) * len(hits), objects)}
    with pytest.raises(BadDataset, match=f"corrections: of 3 pictures.*{why}"):
        learn(None, found, 3, "corrections")
