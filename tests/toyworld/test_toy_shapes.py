import numpy as np
import pytest
from drawing import drawn

from pipeline.toyworld.shapes import COLORS, EVERY, HELD_OUT, REACH, SEEN, SHAPES
from pipeline.toyworld.things import Thing

UPRIGHT = (1.0, 0.0)


@pytest.mark.parametrize(
    ("name", "picture"),
    [
        (
            "circle",
            (
                "........",
                "..####..",
                ".######.",
                ".######.",
                ".######.",
                ".######.",
                "..####..",
                "........",
            ),  # the centres of the corner pixels are 3.5 from the middle, the radius is 3
        ),
        (
            "square",
            (
                "........",
                ".######.",
                ".######.",
                ".######.",
                ".######.",
                ".######.",
                ".######.",
                "........",
            ),  # half a side is 0.85 of 3: 2.55, and the outermost centres are at 2.5
        ),
        (
            "triangle",
            (
                "........",
                "........",
                "...##...",
                "..####..",
                "..####..",
                ".######.",
                "........",
                "........",
            ),  # from 3.3 over the middle, a point, to 1.65 below it, where it is 5.7 wide
        ),
        (
            "cross",
            (
                "........",
                "...##...",
                "...##...",
                ".######.",
                ".######.",
                "...##...",
                "...##...",
                "........",
            ),  # half a beam is 0.32 of 3: 0.96
        ),
        (
            "bar",
            (
                "........",
                "........",
                "........",
                ".######.",
                ".######.",
                "........",
                "........",
                "........",
            ),  # reaches 3.3 to the sides, 1.05 up and down
        ),
        (
            "ring",
            (
                "........",
                "..####..",
                ".######.",
                ".##..##.",
                ".##..##.",
                ".######.",
                "..####..",
                "........",
            ),  # the hole's radius is 1.5: it has the four pixels whose centres are 0.7 from the middle
        ),
        (
            "pair",
            (
                "........",
                "........",
                "........",
                ".##..##.",
                ".##..##.",
                "........",
                "........",
                "........",
            ),  # discs of radius 1.5, 1.95 left and right of the middle
        ),
    ],
)
def test_a_shape_covers_the_pixels_whose_centres_lie_in_it(name, picture):
    thing = Thing(name, "red", (4.0, 4.0), 3.0, UPRIGHT)
    assert (thing.covers((8, 8)) == drawn(*picture)).all()


def test_a_square_can_be_turned():
    on_its_corner = Thing("square", "red", (3.5, 3.5), 3.0, (0.5**0.5, 0.5**0.5))
    assert on_its_corner.covers((7, 7)).sum(axis=1).tolist() == [1, 3, 5, 7, 5, 3, 1]


@pytest.mark.parametrize("name", list(SHAPES))
def test_no_shape_reaches_out_of_its_window(name):
    points = np.linspace(-2, 2, 401)
    inside = SHAPES[name](points, points[:, None])
    far = points[:, None] ** 2 + points**2 > REACH**2
    assert inside.any()
    assert not (inside & far).any()


@pytest.mark.parametrize(
    ("center_xy", "covered"),
    [
        ((4.0, 4.0), 32),  # all of it
        ((0.0, 4.0), 16),  # half of it
        ((-9.0, 4.0), 0),  # none
        ((4.0, 99.0), 0),
    ],
)
def test_a_thing_may_be_out_of_the_picture(center_xy, covered):
    thing = Thing("circle", "red", center_xy, 3.0, UPRIGHT)
    assert thing.covers((8, 8)).sum() == covered
    assert thing.area_px() == 32


def test_what_is_held_out_is_one_of_each_color_and_not_seen():
    assert [color for color, _ in HELD_OUT] == list(COLORS)
    assert len({shape for _, shape in HELD_OUT}) == len(HELD_OUT)
    assert set(SEEN) | set(HELD_OUT) == set(EVERY)
    assert set(SEEN).isdisjoint(HELD_OUT)
    assert {shape for _, shape in SEEN} == set(SHAPES)
