"""What is learnt from labelled pictures: which detections are right, the best threshold, what scores are worth."""

import numpy as np
import pytest
from drawing import instances

from pipeline.evaluate.calibrate import Judged, best_threshold, calibration_error, figures, maps, matched
from pipeline.records import empty

HERE, NEAR, FAR = (0, 0, 10, 10), (0, 0, 10, 8), (20, 10, 30, 20)  # NEAR overlaps HERE by 0.8
HALF = (0, 0, 10, 5)  # by 0.5
LESS = (0, 0, 10, 4.9)


def truth(*boxes, **columns):
    return instances(boxes, scores=None, **columns) if boxes else empty((20, 30))


def judged(*rows, objects=None, kind="x"):
    """Rows of (score, right)."""
    scores, hits = zip(*rows, strict=True) if rows else ((), ())
    objects = sum(hits) if objects is None else objects
    return Judged(np.array(scores, float), np.array(hits, bool), (kind,) * len(rows), objects)


@pytest.mark.parametrize(
    ("boxes", "scores", "meant", "said"),
    [
        ([HERE], [0.9], [HERE], [(0.9, True)]),
        ([HALF], [0.9], [HERE], [(0.9, True)]),  # as much as 0.5
        ([LESS], [0.9], [HERE], [(0.9, False)]),
        ([FAR], [0.9], [HERE], [(0.9, False)]),
        ([HERE], [0.9], [], [(0.9, False)]),
        ([], [], [HERE], []),
        ([NEAR, HERE], [0.5, 0.9], [HERE], [(0.9, True)]),  # dedupe takes the second box on an object
        ([NEAR, HERE], [0.9, 0.5], [HERE], [(0.9, True)]),  # the surer one is the object's, however it fits
        ([NEAR, HERE, FAR], [0.9, 0.5, 0.7], [HERE, FAR], [(0.9, True), (0.7, True)]),
        ([NEAR, HERE], [0.9, 0.5], [HERE, NEAR], [(0.9, True), (0.5, True)]),  # each has its own
    ],
)
def test_which_detections_are_right(boxes, scores, meant, said):
    found = instances(boxes, scores=scores, score_kind=("x",) * len(boxes)) if boxes else empty((20, 30))
    one = matched(found, truth(*meant), "dog")
    assert list(zip(one.scores.tolist(), one.hits.tolist(), strict=True)) == said
    assert one.objects == len(meant)


def test_another_class_is_another_matter():
    found = instances([HERE, HERE], names=("dog", "cat"), scores=[0.9, 0.8])
    assert matched(found, truth(HERE, names=("cat",)), "dog").hits.tolist() == [False]
    assert matched(found, truth(HERE, names=("cat",)), "cat").hits.tolist() == [True]


def test_a_crowd_is_no_object_and_what_is_on_it_counts_neither_way():
    meant = truth(HERE, FAR, extra=({"iscrowd": 1}, {}))
    one = matched(instances([HERE, NEAR], scores=[0.9, 0.8]), meant, "dog")
    assert (len(one.scores), one.objects) == (0, 1)


T, F = True, False


@pytest.mark.parametrize(
    ("found", "threshold"),
    [
        (judged((0.9, T), (0.5, T), (0.3, F)), 0.4),  # in the middle
        (judged((0.9, T), (0.5, T)), 0.5),  # nothing is known of what would be below
        (judged((0.3, F), (0.9, T), (0.5, T)), 0.4),  # in any order
        (judged((0.9, T), (0.8, F), (0.5, T), (0.3, F)), 0.4),  # 2 of 3, over 1 of 1 with one lost
        (judged((0.9, T), (0.8, F), (0.7, F), (0.6, F), (0.5, T)), 0.85),
        (judged((0.5, T), (0.5, F), (0.4, F)), 0.45),  # no threshold parts equal scores
        (judged((1, T), (1, F), (1, T)), 1),  # constant: all or nothing
        (judged((0.5001, T), (0.5, F)), 0.5001),  # the middle, rounded to the higher one
        (judged((0.9, F)), None),  # nothing is right
        (judged((0.9, F), objects=3), None),
        (judged(objects=3), None),
        (judged((0.9, T), objects=0), None),
    ],
)
def test_the_best_threshold(found, threshold):
    assert best_threshold(found) == threshold


@pytest.mark.parametrize("seed", range(20))
def test_no_threshold_is_better(seed):
    dice = np.random.default_rng(seed)
    scores = dice.integers(0, 30, 40) / 40
    found = Judged(scores, dice.random(40) < scores, ("x",) * 40, 30)
    best = best_threshold(found)
    all_ = [figures(found, at).f1 for at in np.arange(0, 1.0001, 1 / 80)]
    assert figures(found, best).f1 == pytest.approx(max(all_))


def test_figures():
    found = judged((0.9, T), (0.8, F), (0.7, T), (0.2, T), objects=4)
    at = figures(found, 0.7)
    assert (at.precision, at.recall, at.f1) == pytest.approx((2 / 3, 2 / 4, 4 / 7))
    assert figures(found, 0.95).precision is None
    assert figures(judged((0.9, F), objects=0), 0.5).recall is None
    assert figures(judged(objects=0), 0.5).f1 is None


@pytest.mark.parametrize(
    ("worth", "hits", "error"),
    [
        ([0.9] * 10, [T] * 9 + [F], 0),
        ([0.9] * 2, [T, F], 0.4),  # as sure as nine of ten, and right every other time
        ([1.0], [T], 0),  # the last bin has its end
        ([0.95, 0.15], [F, F], 0.55),
        ([0.95, 0.05], [T, T], 0.5),  # bins do not make up for each other
        ([], [], None),
    ],
)
def test_calibration_error(worth, hits, error):
    assert calibration_error(np.array(worth), np.array(hits, bool)) == error


@pytest.mark.parametrize(
    ("found", "knots"),
    [
        (judged((0.2, F), (0.8, T)), ((0.2, 0), (0.8, 1))),
        (judged((0.2, T), (0.8, F)), ((0.2, 0.5), (0.8, 0.5))),  # it never falls
        (judged((0.5, T), (0.5, F), (0.5, F)), ((0.5, 0.3333),)),  # constant
        (judged((0.1, F), (0.2, F), (0.3, F), (0.6, T), (0.7, T), (0.8, T)), ((0.1, 0), (0.3, 0), (0.6, 1), (0.8, 1))),
    ],
)
def test_maps_are_the_ends_of_steps(found, knots):
    assert maps(found) == {"x": knots}


def test_each_kind_of_score_has_its_map():
    both = Judged.of([judged((0.2, F), (0.8, T)), judged((0.2, T), kind="y")])
    assert maps(both) == {"x": ((0.2, 0), (0.8, 1)), "y": ((0.2, 1),)}
