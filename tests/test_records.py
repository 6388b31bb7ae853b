"""The record: checked at birth, never edited, and the same after a trip through the store."""

import hashlib
import math
import zlib

import numpy as np
import pytest
from drawing import SIZE_HW, clip, instances, square
from hypothesis import assume, example, given
from hypothesis import strategies as st

from pipeline.errors import BadRecord
from pipeline.forms import COLUMNS
from pipeline.records import (
    Change,
    Clip,
    Drop,
    Instances,
    clip_id,
    concatenate,
    empty,
    from_blob,
    to_blob,
    uids,
)

NAN, INF = math.nan, math.inf
TWO = [(1, 1, 5, 5), (2, 2, 9, 9)]


def same(a, b):
    """Whether two records are equal to the bit."""
    if a.size_hw != b.size_hw or a.columns().keys() != b.columns().keys():
        return False
    return all(identical(a.columns()[name], b.columns()[name]) for name in a.columns())


def identical(a, b):
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
    if isinstance(a, tuple):
        return isinstance(b, tuple) and len(a) == len(b) and all(map(identical, a, b))
    return type(a) is type(b) and a == b


def through_the_store(*changes):
    return from_blob(to_blob(changes))


# any record at all

texts = st.text(st.characters(codec="utf-8"), max_size=6)  # all of Unicode
plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
unit = st.floats(0, 1)
quality = st.tuples(*[unit | st.just(NAN) | st.floats(-9, 9)] * 3)
points = st.lists(st.tuples(st.floats(-10, 2e5), st.floats(-10, 2e5), st.sampled_from([1.0, -1.0])), max_size=3)
codes = st.sampled_from([square(0, 0, 3, 3), square(4, 4, 30, 20), square(0, 0, 0, 0)])


def columns_of(rows):
    """Every optional column but `visible`, each there or not."""

    def column(values):
        return st.none() | st.lists(values, min_size=rows, max_size=rows)

    return st.fixed_dictionaries(
        {
            "scores": column(unit),
            "score_kind": column(texts),
            "prompts": column(texts),
            "points": column(st.none() | points),
            "masks": column(st.none() | codes),
            "quality": column(quality),
            "track_ids": column(st.integers(1, 2**62)),
            "presence": column(unit),
            "source": column(texts),
            "extra": column(st.dictionaries(texts, plain, max_size=3)),
        }
    )


@st.composite
def records(draw, size_hw=(100_000, 100_000), min_rows=0):
    """A record of up to three rows, some out of sight, in a picture large enough to strain float32."""
    rows = draw(st.integers(min_rows, 3))
    sides = st.tuples(st.floats(0, size_hw[1] - 1), st.floats(1, size_hw[1]))
    boxes = [
        (x, y, min(x + w, size_hw[1]), min(y + h, size_hw[0]))
        for (x, w), (y, h) in draw(st.lists(st.tuples(sides, sides), min_size=rows, max_size=rows))
    ]
    columns = draw(columns_of(rows))
    columns["visible"] = draw(st.none() | st.lists(st.booleans(), min_size=rows, max_size=rows))
    for row in (row for row, shown in enumerate(columns["visible"] or []) if not shown):
        boxes[row] = (0, 0, 0, 0)
        if columns["masks"]:
            columns["masks"][row] = None
    return Instances(size_hw, boxes, draw(st.lists(texts, min_size=rows, max_size=rows)), **columns)


# birth


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ({"boxes_xyxy": [(NAN, 1, 5, 5)]}, "boxes_xyxy: want finite x0 < x1"),
        ({"boxes_xyxy": [(1, 1, INF, 5)]}, "boxes_xyxy: want finite x0 < x1"),
        ({"boxes_xyxy": [(5, 1, 1, 5)]}, "boxes_xyxy: want finite x0 < x1 and y0 < y1"),  # inverted
        ({"boxes_xyxy": [(1, 5, 5, 5)]}, "boxes_xyxy: want finite x0 < x1 and y0 < y1"),  # no height
        ({"boxes_xyxy": [(1, 1, 1.0004, 5)]}, "boxes_xyxy: want finite x0 < x1"),  # no width once rounded
        ({"boxes_xyxy": [(-1, 1, 5, 5)]}, r"boxes_xyxy: want boxes inside the picture of 20 x 30 \(h x w\)"),
        ({"boxes_xyxy": [(1, 1, 31, 5)]}, "boxes_xyxy: want boxes inside the picture"),  # wider than the picture
        ({"boxes_xyxy": [(1, 1, 5, 21)]}, "boxes_xyxy: want boxes inside the picture"),  # higher
        ({"boxes_xyxy": [(1, 1, 5)]}, r"boxes_xyxy: want \(4,\) numbers a row, got an array of shape \(1, 3\)"),
        ({"boxes_xyxy": (1, 1, 5, 5)}, r"got an array of shape \(4,\)"),  # a box, but no list of boxes
        ({"names": ()}, "names: want 1 rows, as boxes_xyxy has, got 0"),
        ({"names": ("dog", "cat")}, "names: want 1 rows, as boxes_xyxy has, got 2"),
        ({"names": ("\ud800",)}, "names: want Unicode text in every row"),  # half of a character
        ({"prompts": (None,)}, "prompts: want Unicode text in every row"),
        ({"extra": ({"said": "\ud800"},)}, "extra: want plain JSON values"),
        ({"scores": [0.5, 0.5]}, "scores: want 1 rows, as boxes_xyxy has, got 2"),
        ({"scores": 0.5}, r"scores: want \(\) numbers a row, got an array of shape \(\)"),  # a number, no column
        ({"scores": [1.001]}, "scores: want numbers from 0 to 1"),
        ({"scores": [-0.001]}, "scores: want numbers from 0 to 1"),
        ({"scores": [NAN]}, "scores: want numbers from 0 to 1"),
        ({"presence": [1.5]}, "presence: want numbers from 0 to 1"),
        ({"presence": [NAN]}, "presence: want numbers from 0 to 1"),
        ({"quality": [(0.5, 0.5)]}, r"quality: want \(3,\) numbers a row"),
        ({"quality": [(0.5, INF, 0.5)]}, "quality: want finite numbers, or NaN where unknown"),
        ({"points": [[(1, 2)]]}, r"points: want \(3,\) numbers a row, got an array of shape \(1, 2\)"),  # no sign
        ({"points": [[(1, NAN, 1)]]}, "points: want finite numbers"),
        ({"points": []}, "points: want 1 rows"),
        ({"masks": []}, "masks: want 1 rows"),
        ({"track_ids": [0]}, "track_ids: want numbers from 1"),
        (
            {"boxes_xyxy": [(0, 0, 0, 0)], "visible": [False], "masks": [b"X"]},
            "masks: a row that is not visible has no",
        ),
        ({"visible": [False]}, "boxes_xyxy: want zeros in a row that is not visible"),
        ({"boxes_xyxy": [(NAN, 0, 0, 0)], "visible": [False]}, "boxes_xyxy: want zeros in a row that is not visible"),
        ({"extra": [{"area": NAN}]}, "extra: want plain JSON values"),
        ({"extra": [{"area": {1, 2}}]}, "extra: want plain JSON values"),  # a set has no JSON form
    ],
)
def test_a_bad_record_is_not_born(column, said):
    with pytest.raises(BadRecord, match=said):
        instances(**({"names": ("dog",)} | column))


@pytest.mark.parametrize(
    ("box", "size_hw"),
    [
        ((0, 0, 30, 20), (20, 30)),  # the whole picture
        ((29.0006, 0, 30.0004, 20), (20, 30)),  # past the edge by less than the record keeps
        ((0, 0, 99_999, 99_999), (99_999, 99_999)),
        ((99_998.992, 0, 99_999, 1), (99_999, 99_999)),  # as thin as float32 can tell so far out
    ],
)
def test_a_box_at_the_edge_stays_at_the_edge(box, size_hw):
    assert instances([box], size_hw=size_hw).boxes_xyxy[0, 2] == round(box[2])


def test_a_row_out_of_sight_has_zeros_and_may_have_no_mask():
    found = instances([(0, 0, 0, 0), (1, 1, 5, 5)], visible=[False, True], masks=[None, square(1, 1, 5, 5)])
    assert found.visible.tolist() == [False, True]


def test_columns_take_their_kinds():
    found = instances(track_ids=[3], visible=[1], points=[[(1, 2, 1)]], quality=[(0.5, NAN, 1)], presence=[1])
    kinds = {name: getattr(found, name).dtype for name in ("boxes_xyxy", "scores", "quality", "presence")}
    assert set(kinds.values()) == {np.dtype(np.float32)}
    assert found.points[0].dtype == np.float32
    assert found.track_ids.dtype == np.int64
    assert found.visible.dtype == np.bool_
    assert found.names == ("dog",)


def test_an_empty_record():
    found = empty((5, 6))
    assert len(found) == 0
    assert found.boxes_xyxy.shape == (0, 4)
    assert same(found, Instances((5, 6), [], []))
    assert instances([], quality=[], points=[]).quality.shape == (0, 3)
    assert instances(points=[[]]).points[0].shape == (0, 3)


def test_a_record_is_never_edited():
    found = instances(points=[[(1, 2, 1)]], quality=[(1, 1, 1)], track_ids=[1], visible=[True], presence=[1])
    for name in ("boxes_xyxy", "scores", "quality", "track_ids", "visible", "presence"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(found, name)[0] = 0
    with pytest.raises(ValueError, match="read-only"):
        found.points[0][0] = 0
    with pytest.raises(AttributeError):
        found.names = ("cat",)


def test_a_record_shares_nothing_with_the_arrays_it_was_made_from():
    given = {"visible": np.array([True]), "track_ids": np.array([1]), "scores": np.array([0.5], np.float32)}
    spot = np.array([[1, 2, 1]], np.float32)
    found = instances(points=[spot], **given)
    for array in (*given.values(), spot):
        array[:] = 0
    assert (found.visible[0], found.track_ids[0], found.scores[0], found.points[0][0, 0]) == (True, 1, 0.5, 1)


# rows


@given(records())
def test_taking_every_row_changes_nothing(found):
    assert same(found.take(range(len(found))), found)


def test_rows_are_taken_in_the_order_given():
    found = instances(TWO, names=("dog", "cat"), scores=[0.1, 0.2], points=[None, [(1, 2, 1)]], masks=[None, b"X"])
    back = found.take(np.array([1, 0, 1]))
    assert back.names == ("cat", "dog", "cat")
    assert back.scores.tolist() == found.scores[[1, 0, 1]].tolist()
    assert [p is None for p in back.points] == [False, True, False]
    assert back.masks == (b"X", None, b"X")


@given(records(min_rows=1), records(min_rows=1))
def test_concatenated_rows_can_be_taken_apart(a, b):
    assume((a.visible is None) == (b.visible is None))  # or a row out of sight would come into it, and is refused
    whole = concatenate([a, b], a.size_hw)
    shared = a.columns().keys() & b.columns().keys()
    assert whole.columns().keys() == shared
    for part, rows in ((a, range(len(a))), (b, range(len(a), len(whole)))):
        back = whole.take(rows)
        assert all(identical(getattr(back, name), getattr(part, name)) for name in shared)


def test_parts_without_rows_take_no_column_away():
    found = instances()
    assert same(concatenate([empty(SIZE_HW), found, empty(SIZE_HW)], SIZE_HW), found)
    assert same(concatenate([], SIZE_HW), empty(SIZE_HW))


# the digest

FULL = {
    "boxes_xyxy": [(1, 1, 5, 5)],
    "names": ("dog",),
    "scores": [0.5],
    "score_kind": ("similarity",),
    "prompts": ("a dog",),
    "points": ([(1, 2, 1)],),
    "masks": (square(1, 1, 5, 5),),
    "quality": [(0.5, 0.5, 0.5)],
    "track_ids": [1],
    "visible": [True],
    "presence": [0.5],
    "source": ("fake",),
    "extra": ({"iscrowd": 0, "area": 3},),
}


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("boxes_xyxy", [(1, 1, 5, 5.001)]),  # the last digit kept
        ("names", ("cat",)),
        ("scores", [0.5001]),  # the last digit kept
        ("score_kind", ("class probability",)),
        ("prompts", ("dog",)),
        ("points", ([(1, 2, -1)],)),
        ("points", (None,)),
        ("points", ([],)),
        ("masks", (square(1, 1, 5, 6),)),
        ("masks", (None,)),
        ("quality", [(0.5, 0.5, NAN)]),
        ("quality", [(0.5, 0.5, 0.5001)]),
        ("track_ids", [2]),
        ("presence", [0.4999]),
        ("source", ("human",)),
        ("extra", ({"iscrowd": 1, "area": 3},)),
        *((name, None) for name in COLUMNS if name not in ("boxes_xyxy", "names")),  # not computed is not a value
    ],
)
def test_the_digest_is_of_every_column(column, value):
    assert set(FULL) == set(COLUMNS)
    assert Instances(SIZE_HW, **(FULL | {column: value})).digest() != Instances(SIZE_HW, **FULL).digest()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("boxes_xyxy", [(1.0004, 0.9996, 5, 5)]),  # noise below a thousandth of a pixel
        ("boxes_xyxy", np.array([(1, 1, 5, 5)], np.float64)),
        ("scores", [0.50004]),
        ("quality", [(0.5, 0.49996, 0.5)]),
        ("presence", np.array([0.5], np.float16)),
        ("points", ([(1.0004, 2, 1)],)),
        ("names", ["dog"]),  # a list
        ("visible", [1]),
        ("extra", ({"area": 3, "iscrowd": 0},)),  # the order of keys
    ],
)
def test_the_digest_is_of_nothing_else(column, value):
    assert Instances(SIZE_HW, **(FULL | {column: value})).digest() == Instances(SIZE_HW, **FULL).digest()


def test_the_digest_knows_the_pictures_size_and_the_order_of_rows():
    assert empty((5, 6)).digest() != empty((6, 5)).digest()
    found = instances(TWO)
    assert found.digest() != found.take([1, 0]).digest()


def test_a_negative_zero_is_a_zero():
    zero, minus = ({"points": [[(z, 1, 1)]], "scores": [z], "boxes_xyxy": [(z, z, 5, 5)]} for z in (0.0, -0.0004))
    minus["scores"] = [-0.0]
    assert same(instances(**zero), instances(**minus))
    assert to_blob([Change(zero)]) == to_blob([Change(minus)])


def test_the_digest_is_the_same_on_every_machine():
    assert Instances(SIZE_HW, **FULL).digest() == DIGEST


DIGEST = "fe16c36a1da0d4bb18dc26c4f6c810235af352b11505cef48fd53736d188f387"
"""It changes only together with RECORD_VERSION: stores and keys depend on it."""


# the store


@given(records())
@example(instances(scores=[0.30000001], quality=[(NAN, NAN, NAN)], names=("\U0001f436 \0 é",)))
def test_a_record_comes_back_from_the_store_to_the_bit(found):
    (change,) = through_the_store(Change.of(found))
    back = change.applied_to(empty(found.size_hw))
    assert same(back, found)
    assert back.digest() == found.digest()


@given(records(), st.data())
def test_replaying_a_change_equals_applying_it(before, data):
    kept = tuple(data.draw(st.permutations(range(len(before)))))[: data.draw(st.integers(0, 3))]
    new = {name: column for name, column in data.draw(columns_of(len(kept))).items() if column is not None}
    if before.visible is not None:
        new.pop("masks", None)  # it may not be given to a row out of sight
    change = Change(new, kept)  # straight from a stage: neither rounded nor of the record's kinds
    after = change.applied_to(before)
    assert same(through_the_store(change)[0].applied_to(before), after)
    for name, column in before.take(kept).columns().items():
        assert name in new or identical(getattr(after, name), column)


@pytest.mark.parametrize("low", [0, 8_191, 16_383, 99_990])  # float32 holds 0.0001, 0.001, 0.002 and 0.008 apart there
def test_rounded_coordinates_keep_their_bits_however_far_out(low):
    x1 = np.float32(low + 1 + np.arange(4000) * np.float64(0.000_37))
    found = instances(np.stack([x1 - 1, x1 - 1, x1, x1], axis=1), size_hw=(100_000, 100_000))
    (change,) = through_the_store(Change.of(found))
    assert same(change.applied_to(empty(found.size_hw)), found)
    assert same(found.take(range(len(found))), found)
    assert np.abs(found.boxes_xyxy[:, 2] - x1.astype(np.float64)).max() <= 0.0005 + np.spacing(np.float32(low))


def test_blobs_hold_a_change_a_frame_in_order():
    first, second = through_the_store(Change({"names": ("cat",)}, (0,)), Change.of(instances()))
    assert first.kept == (0,)
    assert first.columns["names"] == ["cat"]
    assert second.kept is None
    assert through_the_store() == []


def test_drops_travel_apart():
    change = Change({}, (), (Drop(0, "too_small"),))
    assert through_the_store(change)[0].drops == ()


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"v": 2, "kept": None, "columns": {}}, "record version 2: this masklet reads 1"),
        ({"kept": None, "columns": {}}, "record version None"),
        ({"v": 1, "kept": None, "columns": {"mask": [], "colour": []}}, "unknown column 'colour'"),
    ],
)
def test_a_form_that_is_not_ours_is_refused(form, said):
    with pytest.raises(BadRecord, match=said):
        Change.from_json(form)


@pytest.mark.parametrize(
    "text",
    [
        b"",  # nothing
        b"not JSON",
        b"{}[",
        b"7",  # JSON, but no list
        b"[7]",  # a list, but of no changes
        b'[{"v": 1}]',  # a change without its fields
        b'[{"v": 1, "kept": null, "columns": {"masks": ["\xc3\xa9"]}}]',  # a mask that is no code
        b'[{"v": 1, "kept": 3, "columns": {}}]',
        b"\xff\xfe",  # no text at all
    ],
)
def test_a_damaged_blob_is_refused(text):
    with pytest.raises(BadRecord, match="a stored record cannot be read"):
        from_blob(zlib.compress(text))
    with pytest.raises(BadRecord, match="a stored record cannot be read"):
        from_blob(text)


# changes and clips


def test_a_change_keeps_rows_or_brings_new_ones():
    before = instances(TWO, names=("dog", "cat"), prompts=("a dog", "a cat"))
    assert Change({}, (1, 0)).applied_to(before).names == ("cat", "dog")
    assert len(Change({}, ()).applied_to(before)) == 0
    renamed = Change({"names": ("wolf",)}, (0,)).applied_to(before)
    assert (renamed.names, renamed.prompts) == (("wolf",), ("a dog",))
    new = instances()
    assert same(Change.of(new).applied_to(before), new)


def test_what_a_change_makes_is_checked_too():
    with pytest.raises(BadRecord, match="scores: want numbers from 0 to 1"):
        Change({"scores": [2.0]}, (0,)).applied_to(instances())
    with pytest.raises(BadRecord, match="names: want 1 rows"):
        Change({"names": ("a", "b")}, (0,)).applied_to(instances())


def test_a_clip_after_changes():
    fresh = clip()
    assert fresh.found == ()
    detected = fresh.after([Change.of(instances(TWO))])
    assert fresh.found == ()
    assert len(detected.found[0]) == 2
    assert len(detected.after([Change({}, (1,))]).found[0]) == 1
    assert detected.id == fresh.id
    with pytest.raises(ValueError, match="zip"):
        detected.after([])  # one change a frame


def test_a_clips_digest_is_of_its_content_and_what_was_found():
    bare, seen, other = clip(), clip(empty(SIZE_HW)), clip(instances())
    assert len({bare.digest(), seen.digest(), other.digest(), clip(instances(), name="b.jpg").digest()}) == 4
    moved = Clip(other.id, "c/d.png", "/elsewhere", other.frames, "orientation", other.found)
    assert moved.digest() == other.digest()  # never a path or a name


def test_the_id_is_of_the_content():
    assert clip_id(b"") == hashlib.sha256(b"").hexdigest()[:32]
    assert clip_id(b"a") != clip_id(b"b")


def test_uids_count_within_a_class():
    found = instances([(0, 0, 1, 1)] * 4, names=("dog", "cat", "dog", ""))
    assert uids("c1", found) == ["c1/dog/0", "c1/cat/0", "c1/dog/1", "c1//0"]
