"""The baseline: who is who from overlap alone. Scenes are drawn as a line an object, a character a key frame."""

from dataclasses import replace

import numpy as np
import pytest
import toy_detections
from drawing import square
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import BadRecord
from pipeline.evaluate.of_films import evaluate_films
from pipeline.records import Clip, Frame, Instances, empty
from pipeline.seams import Device
from pipeline.toyworld.films import STORIES
from pipeline.trackers.iou import Iou, _Object, matched, overlap

SIZE_HW = (20, 60)
SPOTS = {
    "A": (0, 0, 10, 10),
    "a": (0, 0, 10, 3),  # overlaps A by .3
    "q": (0, 0, 10, 2),  # and by .2
    ">": (4, 0, 14, 10),  # overlaps A by .43, B by .05
    "B": (13, 0, 23, 10),
    "C": (30, 0, 40, 10),
    "c": (30, 0, 40, 8),
}


def scene(*lines, names=None, key="", spots=SPOTS):
    """A segment of lines such as 'A.a', '.' where nothing is detected; `key` has 'k' for key frames, all if not given.

    >>> [len(found) for found in scene("AA.", ".BB").found]
    [1, 2, 1]
    """
    names = names or ["dog"] * len(lines)
    length = len(lines[0])
    found = []
    for at in range(length):
        rows = [(spots[line[at]], name) for line, name in zip(lines, names, strict=True) if line[at] != "."]
        boxes = [box for box, _ in rows]
        found.append(Instances(SIZE_HW, boxes, tuple(name for _, name in rows), scores=[0.9] * len(rows)))
    frames = tuple(Frame(at, at / 24, SIZE_HW, not key or key[at] == "k") for at in range(length))
    return Clip("scene", "f.mp4", "/films/f.mp4", frames, None, tuple(found))


def followed(clip, **options):
    changes, state = Iou(**options).open(Device()).track(clip, iter(()), b"")
    return [change.applied_to(found) for change, found in zip(changes, clip.found, strict=True)], state


def who(clip, **options):
    """The numbers of each frame as text, as the detections stand."""
    return ["".join(str(n) for n in rows.track_ids) if len(rows) else "." for rows in followed(clip, **options)[0]]


@pytest.mark.parametrize(
    ("lines", "options", "numbers"),
    [
        (["AAA"], {}, ["1", "1", "1"]),
        (["AaA"], {}, ["1", "1", "1"]),  # by just enough
        (["AqA"], {}, ["1", "2", "1"]),  # not by enough: another one; the first was missed once
        (["AqA"], {"match_iou": 0.2}, ["1", "1", "1"]),
        (["A.A"], {}, ["1", ".", "1"]),  # missed once
        (["A..A"], {}, ["1", ".", ".", "2"]),  # missed twice
        (["A..A"], {"keep": 2}, ["1", ".", ".", "1"]),
        (["AA.A"], {"keep": 0}, ["1", "1", ".", "2"]),  # may not be missed at all
        (["A.A.A"], {}, ["1", ".", "1", ".", "1"]),  # counted anew
        (["AA", "CC"], {}, ["12", "12"]),
        (["AA", ".C", "CA"], {}, ["12", "123"]),  # two on one place: one with one, the third is new
        (["...A"], {}, [".", ".", ".", "1"]),
        (["..."], {}, [".", ".", "."]),
    ],
)
def test_who_is_who(lines, options, numbers):
    assert who(scene(*lines), **options) == numbers


def test_another_class_is_another_object():
    assert who(scene("AA", "..", names=["dog", "cat"])) == ["1", "1"]
    assert who(scene("A.", ".A", names=["dog", "cat"])) == ["1", "2"]


def test_rows_are_in_the_order_of_numbers_and_are_the_detections():
    clip = scene("A.A", "CCC", "..B")
    turned = replace(clip, found=tuple(found.take(range(len(found))[::-1]) for found in clip.found))
    found, _ = followed(turned)
    assert [rows.track_ids.tolist() for rows in found] == [[1, 2], [1], [1, 2, 3]]
    assert [tuple(map(int, box)) for box in found[2].boxes_xyxy] == [SPOTS["C"], SPOTS["A"], SPOTS["B"]]
    assert found[2].presence.tolist() == found[2].scores.tolist() == pytest.approx([0.9] * 3)
    assert (found[2].source, found[2].visible.tolist()) == (("iou",) * 3, [True] * 3)
    assert found[2].extra == ({"look": ["dog", 0.9]},) * 3


def test_what_a_detector_said_besides_stays():
    clip = scene("A")
    told = replace(clip.found[0], extra=({"area_px": 7},), prompts=("a dog",), quality=[[0.9, 0.8, 0.7]])
    ((rows,), _) = followed(replace(clip, found=(told,)))
    assert (rows.extra, rows.prompts) == (({"area_px": 7, "look": ["dog", 0.9]},), ("a dog",))
    assert rows.quality.tolist() == told.quality.tolist()


def test_without_scores_all_are_sure():
    clip = scene("A")
    ((rows,), _) = followed(replace(clip, found=(replace(clip.found[0], scores=None),)))
    assert (rows.scores, rows.presence.tolist(), rows.extra[0]["look"]) == (None, [1.0], ["dog", 1.0])


def test_frames_that_are_no_key_frames_have_no_rows():
    assert who(scene("A.A.A", key="k.k.k")) == ["1", ".", "1", ".", "1"]
    assert who(scene("A...A", key="k.k.k")) == ["1", ".", ".", ".", "1"]  # missed on one key frame


def test_pairs_overlap_most_together_not_the_best_first():
    """The second box goes best with the first object (.82), and then nothing is left for the first box."""
    now = rows_of([(0, 0, 7, 10), (1, 0, 11, 10)])
    objects = objects_of(rows_of([(0, 0, 10, 10), (4, 0, 14, 10)]))
    assert overlap(now, objects).round(2).tolist() == [[0.7, 0.21], [0.82, 0.54]]
    assert matched(now, objects, 0.5) == {0: 0, 1: 1}


def rows_of(boxes, masks=None):
    return Instances(SIZE_HW, boxes, ("dog",) * len(boxes), scores=[0.9] * len(boxes), masks=masks)


def objects_of(rows):
    codes = rows.masks or (None,) * len(rows)
    return [_Object(at + 1, "dog", tuple(rows.boxes_xyxy[at].tolist()), codes[at]) for at in range(len(rows))]


@pytest.mark.parametrize(
    ("mine", "theirs", "iou"),
    [
        ([None], [None], [[1.0]]),  # of boxes
        ([(0, 0, 5, 10)], [None], [[1.0]]),  # one has no mask: of boxes
        ([None], [(0, 0, 5, 10)], [[1.0]]),
        ([(0, 0, 5, 10)], [(5, 0, 10, 10)], [[0.0]]),  # of masks
        ([(0, 0, 5, 10), None], [(0, 0, 10, 10), None], [[0.5, 1.0], [1.0, 1.0]]),
    ],
)
def test_overlap_is_of_masks_where_both_have_one(mine, theirs, iou):
    """All boxes are the same."""
    a, b = (
        rows_of([SPOTS["A"]] * len(side), tuple(box and square(*box, SIZE_HW) for box in side))
        for side in (mine, theirs)
    )
    assert overlap(a, objects_of(b)).tolist() == iou


@pytest.mark.parametrize("state", [b"{", b"[]", b'{"born": 1}', b'{"born": 1, "objects": [{}]}', b"\xff"])
def test_a_state_that_is_none_is_refused(state):
    with pytest.raises(BadRecord, match="what the tracker iou left cannot be read"):
        Iou().open(Device()).track(scene("A"), iter(()), state)


def test_the_state_is_as_large_as_what_may_go_on():
    _, few = followed(scene("A" * 9))
    _, many = followed(scene("A" * 99))
    assert few == many
    _, none = followed(scene("AAA......"))
    assert none == b'{"born": 1, "objects": []}'


LINES = st.lists(st.text(alphabet="Aaq>BCc..", min_size=12, max_size=12), min_size=1, max_size=4)


@given(LINES, st.sets(st.integers(1, 11)), st.integers(0, 3))
def test_any_cut_into_segments_gives_the_same_rows(lines, cuts, keep):
    clip = scene(*lines)
    whole, end = followed(clip, keep=keep)
    parts, state = [], b""
    for begin, stop in zip([0, *sorted(cuts)], [*sorted(cuts), 12], strict=True):
        part = replace(clip, frames=clip.frames[begin:stop], found=clip.found[begin:stop])
        changes, state = Iou(keep=keep).open(Device()).track(part, iter(()), state)
        parts += [change.applied_to(empty(SIZE_HW)) for change in changes]
    assert [rows.digest() for rows in parts] == [rows.digest() for rows in whole]
    assert state == end


def figures(story, seen, **options):
    made, clip = toy_detections.toy(story, frames=48)
    scenes = toy_detections.scenes(clip, made.cuts, 1, 16, seen)
    done = [toy_detections.followed(lambda: Iou(**options).open(Device()), scene, made.rgb)[0] for scene in scenes]
    return evaluate_films([clip], {clip.name: toy_detections.film_of(clip, done)}, pairing="class").over_all


@pytest.mark.parametrize("story", STORIES)
def test_toy_films_whose_detections_are_the_truth(story):
    """With the truth's own masks, only who goes out of sight is another object afterwards."""
    over_all = figures(story, lambda at, found: replace(found.in_sight(), track_ids=None, visible=None), match_iou=0.1)
    assert over_all["rows"] == over_all["found"]
    assert over_all["deta"] == 1
    if story not in ("hiding", "leaving"):
        assert (over_all["idf1"], over_all["switches"], over_all["j_and_f"]) == (1, 0, 1)


def test_errors_of_the_detector_cost_identities():
    exact = figures("wandering", lambda at, found: toy_detections.detected(found, at, fill=True))
    poor = figures("wandering", lambda at, found: toy_detections.detected(found, at, 4, 0.3, fill=True))
    assert exact["idf1"] > poor["idf1"] > 0
    assert np.isfinite(poor["j_and_f"])
