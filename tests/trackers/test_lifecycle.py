"""When an object begins, goes on, comes back and ends: decisions, in tables."""

import numpy as np
import pytest

from pipeline.trackers.lifecycle import Life, Rules, as_one, matched, overflown, returned, twins

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
    ("inside", "iou", "pairs", "spread"),
    [
        ([[1.0], [0.9]], 0.0, {0: 0}, {0}),  # two detections, apart, in one object
        ([[1.0], [0.9]], 0.5, {0: 0}, set()),  # two of one thing
        ([[1.0], [0.5]], 0.0, {0: 0}, set()),  # a neighbour
        ([[1.0, 0.0], [0.9, 1.0]], 0.0, {0: 0, 1: 1}, set()),  # which has an object of its own
        ([[1.0]], 0.0, {}, set()),
    ],
)
def test_an_object_that_has_run_over_onto_another(inside, iou, pairs, spread):
    among = np.full((len(inside), len(inside)), iou)
    assert overflown(np.array(inside), among, pairs, RULES) == spread


@pytest.mark.parametrize(
    ("looks", "confirmed"),
    [
        ([("dog", 0.9)], True),
        ([("dog", 0.5)], False),  # one look that is not sure
        ([("dog", 0.5), ("dog", 0.4)], True),
        ([("dog", 0.5), ("cat", 0.4)], True),  # an object, whatever it is
    ],
)
def test_a_sure_look_or_two_make_an_object(looks, confirmed):
    life = Life(0, 0)
    for at, look in enumerate(looks):
        life.look(8 * at, *look)
    assert life.confirmed(RULES) is confirmed


def test_the_class_is_voted_by_scores():
    life = Life(0, 0)
    for at, look in enumerate([("dog", 0.4), ("cat", 0.5), ("dog", 0.3)]):
        life.look(8 * at, *look)
    assert (life.name, life.best, life.seen) == ("dog", 0.5, 16)
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


def test_numbers_of_one_object_are_taken_together():
    lives = {1: Life(0, 9), 2: Life(3, 9), 3: Life(5, 9, same_as=1), 4: Life(7, 9, same_as=3)}
    for number, name, score in ((1, "pair", 0.9), (3, "circle", 0.5), (4, "pair", 0.3)):
        lives[number].look(9, name, score)
    roots, whole = as_one(lives)
    assert roots == {1: 1, 2: 2, 3: 1, 4: 1}
    assert (whole[1].looks, whole[1].best, whole[1].name, set(whole)) == (3, 0.9, "pair", {1, 2})
