"""Which objects a film has: confirmed, one class each, numbered as they come. Objects are pixels of a row of eight."""

import numpy as np
import pytest
from drawing import square

from pipeline.records import Clip, Frame, Instances
from pipeline.trackers import TrackerOptions
from pipeline.trackers.identities import Roster

SIZE_HW = (1, 8)


def frame(**objects):
    """An object by its number, n1=...: what is said of it; None is out of sight, a text is a look with score .5."""
    rows = {int(name[1:]): said for name, said in sorted(objects.items())}
    visible = [said is not None for said in rows.values()]
    extra = [{"look": [said, 0.5]} if isinstance(said, str) and said else said or {} for said in rows.values()]
    boxes = [(number - 1, 0, number, 1) if seen else (0, 0, 0, 0) for number, seen in zip(rows, visible, strict=True)]
    codes = tuple(square(*box, size_hw=SIZE_HW) if any(box) else None for box in boxes)
    return Instances(
        SIZE_HW,
        np.array(boxes, np.float32).reshape(-1, 4),
        ("born as",) * len(rows),
        track_ids=list(rows),
        visible=visible,
        masks=codes,
        extra=extra,
    )


def identified(*scenes, **options):
    """The objects of a film of scenes, each a list of frames: a list of what is in each frame."""
    roster = Roster(TrackerOptions(**options))
    clips = []
    index = 0
    for number, frames in enumerate(scenes):
        places = tuple(Frame(index + at, 0.0, SIZE_HW) for at in range(len(frames)))
        index += len(frames)
        clips.append((number, Clip("c", "a.mp4", "", places, None, tuple(frames))))
        roster.add(*clips[-1])
    roster.settle()
    changes = [change for number, clip in clips for change in roster.changes(number, clip)]
    found = [change.applied_to(one) for change, one in zip(changes, [f for s in scenes for f in s], strict=True)]
    drops = [(drop.reason, drop.row, drop.at, drop.detail) for change in changes for drop in change.drops]
    rows = [
        [(int(n), name) for n, name, seen in zip(one.track_ids, one.names, one.visible, strict=True) if seen]
        for one in found
    ]
    return rows, drops, found


def rows_of(*scenes, **options):
    return identified(*scenes, **options)[0]


def test_objects_are_numbered_as_they_come():
    rows = rows_of([frame(n7="dog"), frame(n3="cat", n7="dog"), frame(n3="cat", n7="")])
    assert rows == [[(1, "dog")], [(1, "dog"), (2, "cat")], [(1, "dog"), (2, "cat")]]


@pytest.mark.parametrize(
    ("looks", "detections", "sure", "kept"),
    [
        ([("dog", 0.9)], 2, 0.6, True),
        ([("dog", 0.5)], 2, 0.6, False),
        ([("dog", 0.5), ("dog", 0.4)], 2, 0.6, True),
        ([("dog", 0.5), ("cat", 0.4)], 2, 0.6, True),  # an object, whatever it is
        ([("dog", 0.5), ("dog", 0.4)], 3, 0.6, False),
        ([("dog", 0.6)], 3, 0.6, True),
    ],
)
def test_a_sure_detection_or_several_make_an_object(looks, detections, sure, kept):
    frames = [frame(n1={"look": list(look)}) for look in looks]
    rows, drops, _ = identified(frames, detections=detections, sure=sure)
    assert bool(rows[0]) is kept
    told = f"in sight in {len(looks)} frames"
    assert drops == ([] if kept else [("unconfirmed", 0, 0, told)])


def test_the_class_of_the_scores_is_that_of_all_frames():
    looks = [{"look": ["dog", 0.4]}, {"look": ["cat", 0.5]}, {}, {"look": ["dog", 0.3]}]
    rows, _, found = identified([frame(n1=said) for said in looks])
    assert rows == [[(1, "dog")]] * 4
    assert [one.scores.tolist() for one in found] == [[pytest.approx(0.5)]] * 4
    assert [one.extra for one in found] == [({},)] * 4  # who looked when is the tracker's own affair


def test_an_object_has_rows_from_first_sight_to_last():
    frames = [frame(n1=None), frame(n1="dog"), frame(n1=None), frame(n1="dog"), frame(n1=None)]
    _, _, found = identified(frames)
    assert [one.visible.tolist() for one in found] == [[], [True], [False], [True], []]


def test_numbers_that_turned_out_to_be_one_object():
    """Object 2 was born while 1 was out of sight; when 1 was back on it, it was known to be 1, as 3 was to be 2."""
    frames = [
        frame(n1="dog"),
        frame(n1=None, n2="dog"),
        frame(n1="", n2={"same_as": 1}),
        frame(n1=None, n3="cat"),
        frame(n1=None, n3={"same_as": 2}),
    ]
    rows, drops, found = identified(frames)
    assert rows == [[(1, "dog")]] * 5
    assert drops == []
    assert [len(one) for one in found] == [1] * 5
    assert found[1].boxes_xyxy.tolist() == [[1, 0, 2, 1]]  # where it was in sight


def test_scenes_have_numbers_of_their_own():
    rows = rows_of([frame(n1="dog"), frame(n1="dog")], [frame(n1="cat"), frame(n1="cat")])
    assert rows == [[(1, "dog")]] * 2 + [[(2, "cat")]] * 2


def test_what_was_never_in_sight_is_no_object():
    assert identified([frame(n1=None), frame(n1=None)])[:2] == ([[], []], [])


def test_nothing_found():
    assert identified([frame(), frame()])[:2] == ([[], []], [])
