"""Which row a correction is about, and what becomes of it."""

from dataclasses import replace

import pytest
from drawing import instances, square

from pipeline.corrections import Correction
from pipeline.decisions import decided, decided_tracks

LEFT, NEAR, HALF, RIGHT = (1, 1, 11, 11), (2, 1, 12, 11), (1, 1, 6, 11), (18, 1, 28, 11)


def line(do="accept", box_was=LEFT, class_was="dog", **said):
    return Correction(version=1, picture="p", do=do, class_was=class_was, box_was=box_was, **said)


def rows(*objects):
    """What was found: ('dog', LEFT) or ('dog', LEFT, score), with the box for a mask."""
    return instances(
        [one[1] for one in objects],
        names=[one[0] for one in objects],
        scores=[one[2] if len(one) > 2 else 0.9 for one in objects],
        masks=[square(*one[1]) for one in objects],
    )


def become(found, *lines):
    """Of each object decided about: its row, class and what was done; and why others were not."""
    fate = decided("p", found, lines, {"dog", "cat"})
    return [(one.row, one.name, one.kinds) for one in fate.objects], [why for _, why in fate.missed]


@pytest.mark.parametrize(
    ("found", "one", "row"),
    [
        ([("dog", LEFT)], line(), 0),
        ([("dog", RIGHT), ("dog", NEAR)], line(), 1),
        ([("dog", HALF)], line(), 0),  # IoU 0.5, the very limit
        ([("dog", NEAR), ("dog", LEFT)], line(), 1),  # overlaps most
        ([("cat", LEFT), ("dog", NEAR)], line(), 1),  # its class first
        ([("cat", LEFT)], line(), 0),  # of another class, if there is no other
        ([("dog", LEFT, 0.3), ("dog", LEFT, 0.8)], line(), 1),  # the surer of two
        ([("dog", LEFT, 0.8), ("dog", LEFT, 0.3)], line(uid="p/dog/1"), 1),  # the uid breaks ties
        ([("dog", RIGHT), ("dog", LEFT)], line(uid="p/dog/0"), 1),  # and decides nothing else
        ([("dog", RIGHT), ("dog", LEFT)], line(uid="p/dog/0", box_was=None), 0),  # unless it is all there is
        ([("dog", RIGHT)], line(), None),
    ],
)
def test_which_row_a_line_is_about(found, one, row):
    objects, missed = become(rows(*found), one)
    assert [which for which, *_ in objects] == [row]
    assert missed == []


ONE = rows(("dog", LEFT))


@pytest.mark.parametrize(
    ("lines", "objects"),
    [
        ([line("relabel", **{"class": "cat"})], [(0, "cat", "relabel")]),
        (
            [line("relabel", **{"class": "cat"}), line("points", points=[(3, 3, 1)])],
            [(0, "cat", "relabel+points")],
        ),
        (  # the page showed a cat by then
            [line("relabel", **{"class": "cat"}), line("relabel", class_was="cat", **{"class": "dog"})],
            [(0, "dog", "relabel")],
        ),
        (  # and the box had moved
            [line("box", box=RIGHT), line("accept", box_was=RIGHT)],
            [(0, "dog", "accept+box")],
        ),
        (
            [line("mask", mask=square(*RIGHT).decode()), line("reject", box_was=RIGHT)],
            [(0, "dog", "reject+mask")],
        ),
        (
            [line("add", box_was=None, box=RIGHT, **{"class": "cat"}), line("reject", RIGHT, "cat")],
            [(None, "cat", "reject+add+box")],
        ),
    ],
)
def test_several_lines_join_on_one_object(lines, objects):
    assert become(ONE, *lines) == (objects, [])


@pytest.mark.parametrize(
    ("one", "made"),
    [
        (line("accept"), "dog box"),
        (line("relabel", **{"class": "cat"}), "cat box"),
        (line("box", box=RIGHT), "dog box"),
        (line("mask", mask=square(*LEFT).decode()), "dog mask"),
        (line("points", points=[(3, 3, 1)]), "dog box points"),
        (line("relabel", class_was="zebra", **{"class": "cat"}), "cat box"),
        (line("accept", class_was="zebra"), "its row is not there any more, and its class 'zebra' is not in the onto"),
        (line("accept", class_was=""), "its row is not there any more, and the line names no class to make it anew w"),
        (line("accept", box_was=None, uid="x"), "its row is not there any more, and the line has no box in the pict"),
        (line("accept", box_was=(90, 90, 99, 99)), "its row is not there any more, and the line has no box in the p"),
        (line("mask", mask="22"), "mask: runs fill 4 pixels, the picture has 20 x 30"),
        (line("mask", mask=square(0, 0, 0, 0).decode()), "mask: it is empty; reject the object instead"),
        (line("box", box=(90, 90, 99, 99)), "box: it lies outside the picture"),
        (line("points", points=[(31, 1, 1)]), "points: one of them lies outside the picture"),
        (line("accept", track=1), "it names a track, and the picture is no film"),
    ],
)
def test_a_row_that_is_not_there_any_more_is_made_anew_where_enough_is_known(one, made):
    fate = decided("p", rows(("dog", RIGHT)).take([]), [one], {"dog", "cat"})
    said = [
        " ".join([each.name, *(key for key in ("mask", "box", "points") if getattr(each, key) is not None)])
        for each in fate.objects
    ]
    assert (said + [why for _, why in fate.missed])[0].startswith(made)


def test_to_reject_what_is_not_there_is_no_fault():
    fate = decided("p", rows(("dog", RIGHT)), [line("reject")], {"dog"})
    assert (fate.objects, fate.missed, len(fate.applied)) == ([], [], 1)


@pytest.mark.parametrize(
    ("found", "prompts", "do", "too"),
    [
        ([("dog", LEFT), ("dog", NEAR, 0.5)], ("dog", "dog"), "reject", {1: 0}),  # dedupe had taken it away
        ([("dog", LEFT), ("cat", NEAR)], ("dog", "cat"), "reject", {}),
        ([("dog", LEFT), ("dog", RIGHT)], ("dog", "dog"), "reject", {}),
        ([("dog", LEFT), ("dog", HALF)], ("dog", "dog"), "reject", {}),  # both are in the dataset
        ([("dog", LEFT), ("dog", HALF)], ("dog", "a puppy"), "reject", {1: 0}),  # dedupe's limit for two prompts
        ([("dog", LEFT), ("dog", NEAR)], ("dog", "dog"), "accept", {}),  # dedupe's business, as before
    ],
)
def test_a_twin_goes_with_its_row(found, prompts, do, too):
    assert decided("p", replace(rows(*found), prompts=prompts), [line(do)], {"dog"}).too == too


def test_a_twin_that_was_decided_about_stays():
    lines = [line("reject"), line("accept", NEAR)]
    assert decided("p", rows(("dog", LEFT), ("dog", NEAR)), lines, {"dog"}).too == {}


SEEN = {7: instances([LEFT, RIGHT], names=("dog", "cat"), track_ids=[2, 1])}
TRACKS = {1: "cat", 2: "dog", 3: "dog"}


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (line("reject", frame=7, track=9), [(2, "dog", "reject")]),  # by where it is, whatever its number was
        (line("relabel", frame=7, **{"class": "cat"}), [(2, "cat", "relabel")]),
        (line("accept", box_was=None, track=3), [(3, "dog", "accept")]),
        (line("accept", RIGHT, frame=7, track=1), [(1, "cat", "accept")]),
        (line("reject", box_was=None, track=8), []),  # satisfied
        (line("accept", box_was=None, track=8), "no object of the film is there any more"),
        (line("accept", frame=6), "no object of the film is there any more"),
        (line("accept"), "the picture is a film, and the line names no `track` of it"),
    ],
)
def test_which_track_a_line_is_about(one, said):
    fate = decided_tracks(SEEN, TRACKS, [one])
    missed = "".join(why for _, why in fate.missed)
    assert (missed or [(each.row, each.name, each.kinds) for each in fate.objects]) == said
