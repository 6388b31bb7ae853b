"""Which boxes stay: thresholds, negatives and sizes, and the first reason that applies."""

import pytest
from drawing import instances

from pipeline.ontology import Category, Ontology
from pipeline.reasons import OBJECTS
from pipeline.records import Change, Drop
from pipeline.select import Rules, identity, select

SIZE_HW = (10, 20)  # 200 pixels
PLACE, SAME, FAR = (0, 0, 10, 4), (0, 0, 10, 5), (10, 5, 20, 10)  # SAME overlaps PLACE by 0.8


def frame(*rows, **columns):
    """Rows of (class, prompt, score, box)."""
    names, prompts, scores, boxes = zip(*rows, strict=True) if rows else ((), (), (), ())
    return instances(boxes, size_hw=SIZE_HW, **({"names": names, "prompts": prompts, "scores": scores} | columns))


def went(found, *classes, **rules):
    """What happened to the rows that went: row -> (reason, survivor)."""
    change = select(found, Rules(**rules), Ontology(classes))
    gone = {drop.row: (drop.reason, drop.survivor) for drop in change.drops}
    assert change.kept == tuple(row for row in range(len(found)) if row not in gone)
    assert change.columns == {}
    assert all(reason in OBJECTS and survivor in (None, *change.kept) for reason, survivor in gone.values())
    return gone


DOG, CAT = Category(name="dog"), Category(name="cat")
LOW = ("below_threshold", None)


@pytest.mark.parametrize(
    ("score", "own", "default", "stays"),
    [
        (0.5, None, 0.3, True),
        (0.3, None, 0.3, True),  # as high as the threshold
        (0.2999, None, 0.3, False),
        (0.2, 0.1, 0.3, True),  # the class's own, lower
        (0.4, 0.5, 0.3, False),  # the class's own, higher
        (0.0, 0.0, 0.3, True),  # 0 is a threshold, not the lack of one
        (0.0, None, 0.0, True),
        (1.0, None, 1.0, True),
        (None, None, 1.0, True),  # a detector that gives no scores is sure
    ],
)
def test_thresholds(score, own, default, stays):
    scores = None if score is None else [score]
    found = frame(("dog", "dog", 0, PLACE), scores=scores)
    assert went(found, Category(name="dog", threshold=own), threshold=default) == ({} if stays else {0: LOW})


def test_each_class_has_its_own_threshold():
    found = frame(("dog", "dog", 0.4, PLACE), ("cat", "cat", 0.4, PLACE))
    assert went(found, Category(name="dog", threshold=0.5), CAT) == {0: LOW}


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        ({"min_area_px": 40}, None),  # PLACE has 40 pixels
        ({"min_area_px": 40.5}, "too_small"),
        ({"max_area_fraction": 0.2}, None),  # and is a fifth of the picture
        ({"max_area_fraction": 0.199}, "covers_too_much"),
        ({"min_area_px": 0}, None),
        ({}, None),
    ],
)
def test_sizes(limit, reason):
    found = frame(("dog", "dog", 0.9, PLACE), ("cat", "cat", 0.9, PLACE))
    assert went(found, Category(name="dog", **limit), CAT) == ({0: (reason, None)} if reason else {})


def test_a_box_of_the_whole_picture_is_allowed_unless_a_class_says_otherwise():
    assert went(frame(("dog", "dog", 0.9, (0, 0, 20, 10))), DOG) == {}


STRICT = Category(name="dog", negatives=("toy", "cat"))  # 'toy' is nobody's prompt, 'cat' is another class's


@pytest.mark.parametrize(
    ("rows", "gone"),
    [
        (  # a negative that is another class's prompt, which stays
            [("dog", "dog", 0.6, PLACE), ("cat", "cat", 0.9, SAME)],
            {0: ("negative", 1)},
        ),
        (  # the order of rows does not matter
            [("cat", "cat", 0.9, SAME), ("dog", "dog", 0.6, PLACE)],
            {1: ("negative", 0)},
        ),
        (  # a prompt that only serves as a negative goes itself: nobody survives
            [("dog", "dog", 0.6, PLACE), ("", "toy", 0.9, SAME)],
            {0: ("negative", None), 1: ("only_negative", None)},
        ),
        (  # the object is the surer one
            [("dog", "dog", 0.9, PLACE), ("cat", "cat", 0.6, SAME)],
            {},
        ),
        (  # as sure: the object stays
            [("dog", "dog", 0.6, PLACE), ("cat", "cat", 0.6, SAME)],
            {},
        ),
        (  # elsewhere in the picture
            [("dog", "dog", 0.6, PLACE), ("", "toy", 0.9, FAR)],
            {1: ("only_negative", None)},
        ),
        (  # the surest of several rivals is the one that is named
            [("dog", "dog", 0.5, PLACE), ("cat", "cat", 0.7, SAME), ("cat", "cat", 0.8, PLACE)],
            {0: ("negative", 2)},
        ),
        (  # another class does not share the negatives
            [("cat", "cat", 0.5, PLACE), ("", "toy", 0.9, SAME)],
            {1: ("only_negative", None)},
        ),
        (  # each object has its own rival
            [("dog", "dog", 0.5, PLACE), ("dog", "dog", 0.5, FAR), ("cat", "cat", 0.9, FAR)],
            {1: ("negative", 2)},
        ),
    ],
)
def test_negatives(rows, gone):
    assert went(frame(*rows), STRICT, CAT) == gone


@pytest.mark.parametrize(
    ("least_iou", "stays"),
    [(0.8, False), (0.81, True)],  # the overlap of PLACE and SAME is 0.8
)
def test_how_much_a_negative_must_overlap(least_iou, stays):
    found = frame(("dog", "dog", 0.6, PLACE), ("cat", "cat", 0.9, SAME))
    assert went(found, STRICT, CAT, negative_iou=least_iou) == ({} if stays else {0: ("negative", 1)})


def test_a_rival_below_its_own_threshold_still_rules_out_but_is_no_survivor():
    found = frame(("dog", "dog", 0.6, PLACE), ("cat", "cat", 0.7, SAME))
    assert went(found, STRICT, Category(name="cat", threshold=0.8)) == {0: ("negative", None), 1: LOW}


def test_the_ledger_says_which_negative_it_was():
    found = frame(("dog", "dog", 0.6, PLACE), ("", "toy", 0.9, SAME))
    change = select(found, Rules(), Ontology([STRICT, CAT]))
    assert change.drops == (Drop(0, "negative", None, "toy"), Drop(1, "only_negative"))


TINY = Category(name="dog", min_area_px=500, max_area_fraction=0.001, negatives=("cat",))


@pytest.mark.parametrize(
    ("row", "first"),
    [
        (("", "toy", 0.1, PLACE), "only_negative"),  # and too low
        (("dog", "dog", 0.1, PLACE), "below_threshold"),  # and too small, too large, and ruled out
        (("dog", "dog", 0.5, PLACE), "too_small"),  # and too large, and ruled out
    ],
)
def test_the_first_reason_wins(row, first):
    found = frame(row, ("cat", "cat", 0.9, PLACE))
    assert went(found, TINY, CAT) == {0: (first, None)}


def test_size_comes_before_negatives():
    large = Category(name="dog", max_area_fraction=0.001, negatives=("cat",))
    found = frame(("dog", "dog", 0.5, PLACE), ("cat", "cat", 0.9, PLACE))
    assert went(found, large, CAT) == {0: ("covers_too_much", None)}


@pytest.mark.parametrize(
    "found",
    [
        frame(),  # nothing found
        instances([], size_hw=SIZE_HW, scores=None),  # nor any scores
    ],
)
def test_nothing_in_nothing_out(found):
    change = select(found, Rules(), Ontology([STRICT]))
    assert (change.kept, change.drops) == ((), ())
    assert len(change.applied_to(found)) == 0


def test_rows_without_prompts_have_no_rivals():
    found = frame(("dog", "", 0.6, PLACE), ("cat", "", 0.9, SAME), prompts=None)
    assert went(found, STRICT, CAT) == {}


def test_what_stays_is_as_it_was():
    found = frame(("dog", "dog", 0.1, PLACE), ("cat", "cat", 0.9, SAME))
    after = Change.applied_to(select(found, Rules(), Ontology([DOG, CAT])), found)
    assert after.digest() == found.take([1]).digest()


def test_a_class_that_sets_nothing_is_not_in_the_identity():
    classes = [DOG, Category(name="cat", color="#112233", id=4), Category(name="bird", threshold=0.5)]
    said = identity(Rules(), Ontology(classes))["classes"]
    assert said == {"bird": {"threshold": 0.5}}


@pytest.mark.parametrize(
    ("field", "value"), [("threshold", 1.1), ("threshold", -0.1), ("negative_iou", 0), ("floor", 1)]
)
def test_rules_that_mean_nothing_are_refused(field, value):
    with pytest.raises(ValueError, match=field):
        Rules(**{field: value})
