"""When an object begins, goes on, comes back and ends: decisions, in tables."""

import numpy as np
import pytest

from pipeline.trackers.lifecycle import Life, Rules, doubles, grown, matched, may_be, own_iou, returned, twins

RULES = Rules()


@pytest.mark.parametrize(
    ("iou", "same", "pairs"),
    [
        ([[0.9]], [[1]], {0: 0}),
        ([[0.49]], [[1]], {}),  # below match_iou
        ([[0.9, 0.1], [0.2, 0.8]], [[1, 1], [1, 1]], {0: 0, 1: 1}),
        ([[0.6, 0.7], [0.7, 0.9]], [[1, 1], [1, 1]], {0: 0, 1: 1}),  # all together, not the best first
        ([[0.7, 0.6]], [[0, 1]], {0: 1}),  # its own class, though it overlaps less
        ([[0.9, 0.6]], [[0, 1]], {0: 0}),  # but not far less
        ([[0.8]], [[0]], {0: 0}),  # the detector may have erred: a vote
        ([[0.9], [0.8]], [[1], [1]], {0: 0}),  # one with one
        (np.zeros((0, 3)), np.zeros((0, 3)), {}),
        (np.zeros((2, 0)), np.zeros((2, 0)), {}),
    ],
)
def test_detections_meet_objects(iou, same, pairs):
    assert matched(np.array(iou, float), np.array(same, bool), RULES) == pairs


@pytest.mark.parametrize(
    ("likeness", "same", "pairs"),
    [
        ([[0.9]], [[1]], {0: 0}),
        ([[0.9]], [[0]], {}),  # never as another class
        ([[0.6]], [[1]], {}),  # not like enough
        ([[0.8, 0.9]], [[1, 1]], {0: 1}),
        ([[-0.5]], [[1]], {}),
    ],
)
def test_who_comes_back_is_known_by_its_looks(likeness, same, pairs):
    assert returned(np.array(likeness, float), np.array(same, bool), RULES) == pairs


@pytest.mark.parametrize(
    ("iou", "scores", "gone"),
    [
        ([[1, 0.8], [0.8, 1]], (0.9, 0.5), {1: 0}),
        ([[1, 0.8], [0.8, 1]], (0.5, 0.9), {0: 1}),
        ([[1, 0.8], [0.8, 1]], (0.5, 0.5), {1: 0}),
        ([[1, 0.6], [0.6, 1]], (0.9, 0.5), {}),
        ([[1, 0.8, 0.5], [0.8, 1, 0.8], [0.5, 0.8, 1]], (0.9, 0.8, 0.7), {1: 0}),  # who is gone takes nobody along
        (np.zeros((0, 0)), (), {}),
    ],
)
def test_of_detections_of_one_thing_the_surest_counts(iou, scores, gone):
    assert doubles(np.array(iou, float), scores, RULES) == gone


@pytest.mark.parametrize(
    ("both", "objects", "were", "among", "iou"),
    [
        ([[90]], [100], [100], 0, [[0.82]]),
        ([[100], [100]], [200], [100], 0, [[1], [1]]),  # run over onto its twin, and may be either of them
        ([[100], [100]], [200], [200], 0, [[0.5], [0.5]]),  # halves of what has always been so large
        ([[100], [100]], [200], [100], 0.7, [[0.5], [0.5]]),  # one of them inside the other, as a hat is
        ([[100, 0], [10, 90]], [110, 90], [100, 90], 0, [[1, 0], [0.05, 0.9]]),
        (np.zeros((0, 2)), [9, 9], [9, 9], 0, np.zeros((0, 2))),
    ],
)
def test_overlap_with_an_object_that_has_run_over(both, objects, were, among, iou):
    """Of detections of 100 pixels."""
    looks, others = np.full(len(both), 100.0), np.full((len(both),) * 2, among)
    np.fill_diagonal(others, 1)
    out = own_iou(np.array(both, float), looks, np.array(objects, float), np.array(were, float), others, RULES)
    assert out.round(2).tolist() == np.array(iou).tolist()


@pytest.mark.parametrize(
    ("holds", "same", "more"),
    [
        ([[0.9]], [[1]], [[True]]),
        ([[0.6]], [[1]], [[False]]),
        ([[0.9]], [[0]], [[False]]),
        ([[0.9, 0.8]], [[1, 1]], [[False, False]]),  # a group
        ([[0.9, 0.8]], [[1, 0]], [[True, False]]),  # with a bag
    ],
)
def test_who_was_half_hidden_has_grown(holds, same, more):
    assert grown(np.array(holds), np.array(same, bool), RULES).tolist() == more


def test_who_was_born_since_may_be_who_is_lost():
    lost = Life(0, 20)
    assert [may_be(Life(born, 40), lost) for born in (0, 20, 21)] == [False, False, True]


def test_the_class_is_voted_by_scores():
    life = Life(0, 0)
    for at, look in enumerate([("dog", 0.4), ("cat", 0.5), ("dog", 0.3)]):
        life.look(8 * at, *look, 100)
    assert (life.name, life.first_name, life.seen) == ("dog", "dog", 16)
    assert Life.from_json(life.to_json()) == life


@pytest.mark.parametrize(
    ("iou", "looks", "ended"),
    [
        ([[1, 0.9], [0.9, 1]], (3, 1), {1}),
        ([[1, 0.9], [0.9, 1]], (1, 3), {0}),
        ([[1, 0.9], [0.9, 1]], (2, 2), {1}),  # the later born
        ([[1, 0.5], [0.5, 1]], (3, 1), set()),
        ([[1, 0.9, 0.9], [0.9, 1, 0.9], [0.9, 0.9, 1]], (1, 3, 1), {0, 2}),
    ],
)
def test_of_two_on_one_place_one_ends(iou, looks, ended):
    lives = [Life(at, 9, looks=count) for at, count in enumerate(looks)]
    assert twins(np.array(iou, float), lives, RULES) == ended


def test_when_it_was_away():
    life = Life(0, 0)
    for frame in (1, 2, 3, 9, 10):
        life.sight(frame)
    assert (life.left, life.back, life.seen) == (3, 9, 10)
    assert [frame for frame in range(12) if life.away_at(frame)] == [4, 5, 6, 7, 8]
