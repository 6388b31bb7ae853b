"""Whose a part of a frame is: tables of cells, # is an object's."""

from itertools import permutations

import numpy as np
import pytest

from pipeline.trackers.claims import cells_iou, from_middle, from_place, near, shared, within


def cells(*rows):
    return np.array([[mark == "#" for mark in row] for row in rows])


def rows(some):
    return ["".join(".#"[int(cell)] for cell in row) for row in some]


@pytest.mark.parametrize(
    ("box", "spill", "inside"),
    [
        ((8, 8, 16, 16), 0, ["......", "..##..", "......", "......"]),  # a cell is 4 x 8 pixels
        ((9, 9, 15, 15), 0, ["......", "..##..", "......", "......"]),
        ((8, 8, 16, 16), 0.5, [".####.", ".####.", ".####.", "......"]),
        ((0, 0, 3, 3), 0, ["#.....", "......", "......", "......"]),
        ((20, 23, 24, 32), 0, ["......", "......", ".....#", ".....#"]),
    ],
)
def test_a_box_and_a_little_more(box, spill, inside):
    out = rows(within((4, 6), box, (32, 24), spill))
    assert out == inside


@pytest.mark.parametrize(
    ("claim", "place", "reach", "kept"),
    [
        ("##....##..", ".##.......", 1, "##........"),  # what lies far off is another's
        ("##..##....", ".##.......", 1, "##..#....."),
        ("##..##....", ".##.......", 2, "##..##...."),  # within reach
        (".......##.", ".##.......", 1, ".......##."),  # all of it is far off: it jumped
        ("##....##..", "..........", 1, "##....##.."),  # it was out of sight
        ("..........", ".##.......", 1, ".........."),
    ],
)
def test_what_lies_near(claim, place, reach, kept):
    for turn in (np.asarray, np.transpose):
        assert rows(turn(near(turn(cells(claim)), turn(cells(place)), reach))) == [kept]


@pytest.mark.parametrize(
    ("claims", "places", "own"),
    [
        (("##..##", "##..##"), ("##....", "....##"), ("##....", "....##")),  # each takes both: twins
        (("######", "######"), ("#.....", ".....#"), ("###...", "...###")),  # who touch
        (("#####.", "#####."), ("#.....", "....#."), ("###...", "..###.")),  # the middle is as near to both
        (("##..##", "##..##"), ("##....", "......"), ("##..##", "......")),  # who was out of sight has what is left
        (("##....", "##..##"), ("##....", "......"), ("##....", "....##")),
        (("##....", "....##"), ("....##", "##...."), ("##....", "....##")),  # what only one claims is its own
        ((".#####", ".#####"), ("#.....", "....##"), (".##...", "..####")),
    ],
)
def test_twins_share_no_cell(claims, places, own):
    where = [from_place(cells(place)) for place in places]
    out = shared(dict(enumerate(map(cells, claims))), where.__getitem__, lambda a, b: True, 0)
    assert [rows(out[number]) for number in (0, 1)] == [[one] for one in own]


def test_who_is_no_rival_keeps_all():
    """As a hat and its wearer."""
    claims, places = {1: cells("####"), 2: cells(".##.")}, {1: cells("####"), 2: cells(".##.")}
    out = shared(claims, lambda number: from_place(places[number]), lambda a, b: False, 0.3)
    assert {number: rows(one) for number, one in out.items()} == {1: ["####"], 2: [".##."]}


@pytest.mark.parametrize(
    ("rest", "own"),
    [
        (0, (["#######.#.", "#######..."], [".........#", "........##"])),
        (0.3, (["#######...", "#######..."], ["........##", "........##"])),
    ],
)
def test_a_rest_goes_to_whom_it_was_cut_from(rest, own):
    both = cells("#######.##", "#######.##")
    far = {1: np.zeros(both.shape, np.float32), 2: np.ones(both.shape, np.float32)}
    for row, column in [(0, 9), (1, 8), (1, 9)]:
        far[1][row, column] = 2
    out = shared({1: both, 2: both}, far.__getitem__, lambda a, b: True, rest)
    assert (rows(out[1]), rows(out[2])) == own


def test_the_order_of_objects_changes_nothing():
    dice = np.random.default_rng(6)
    claims = [dice.random((12, 16)) < 0.7 for _ in range(4)]
    places = [dice.random((12, 16)) < 0.1 for _ in range(4)]
    answers = set()
    for order in permutations(range(4)):
        where = {number: places[at] for number, at in enumerate(order)}
        out = shared(
            {number: claims[at] for number, at in enumerate(order)},
            lambda number, where=where: from_place(where[number]),
            lambda a, b: True,
            0.3,
        )
        answers.add(b"".join(out[order.index(at)].tobytes() for at in range(4)))
    assert len(answers) == 1


@pytest.mark.parametrize("rest", [0, 0.3, 0.6])
def test_among_many_each_cell_is_one_objects(rest):
    """Also what is passed on: no cell is two objects', none is nobody's, and the numbers of objects change nothing."""
    for seed in range(100):
        dice = np.random.default_rng(seed)
        claims = {number: dice.random((6, 8)) < 0.6 for number in range(4)}
        far = {number: dice.random((6, 8)).astype(np.float32) for number in range(4)}
        out = shared(claims, far.__getitem__, lambda a, b: True, rest)
        assert (np.sum([*out.values()], axis=0) == np.any([*claims.values()], axis=0)).all()
        turned = shared({3 - n: own for n, own in claims.items()}, lambda n: far[3 - n], lambda a, b: True, rest)  # noqa: B023
        assert all((turned[3 - number] == own).all() for number, own in out.items())


def test_distances():
    assert (from_place(cells("#...", "....")) ** 2).round(2).tolist() == [[0, 1, 4, 9], [1, 2, 5, 10]]
    assert np.isinf(from_place(cells("....", "...."))).all()
    assert from_middle((2, 4), (0, 0, 4, 8), (4, 8)).tolist() == [[0.375, 0.375, 0.75, 1.25], [0.25, 0.25, 0.75, 1.25]]


def test_overlap_of_claims():
    assert cells_iou([cells("##.."), cells(".##."), cells("....")]).round(2).tolist() == [
        [1, 0.33, 0],
        [0.33, 1, 0],
        [0, 0, 0],
    ]
    assert cells_iou([]).shape == (0, 0)
