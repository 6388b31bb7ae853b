"""ByteTrack by ultralytics: what it says is what it says alone, and goes on from plain numbers."""

import json
from dataclasses import replace
from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pytest
import toy_detections

from pipeline.errors import BadRecord, ModelMissing
from pipeline.geometry import as_boxes
from pipeline.records import Clip, Frame, Instances, empty
from pipeline.seams import Device
from pipeline.trackers import bytetrack
from pipeline.trackers.bytetrack import NUMBERS, WHOLE, Bytetrack

SIZE_HW = (60, 200)
needs_yolo = pytest.mark.skipif(
    find_spec("ultralytics") is None or find_spec("lap") is None,
    reason="needs ultralytics and lap: pip install 'masklet[yolo]'",
)


def scene(*frames):
    """A segment of frames of (x of a box of 20 pixels, score)."""
    found = tuple(
        Instances(
            SIZE_HW, as_boxes([(x, 10, x + 20, 30) for x, _ in rows]), ("dog",) * len(rows), scores=[s for _, s in rows]
        )
        for rows in frames
    )
    shown = tuple(Frame(at, at / 24, SIZE_HW) for at in range(len(frames)))
    return Clip("scene", "f.mp4", "/films/f.mp4", shown, None, found)


def said(clip, **options):
    """Numbers and places of each frame, and the drops."""
    changes, _ = Bytetrack(**options).open(Device()).track(clip, iter(()), b"")
    found = [change.applied_to(empty(SIZE_HW)) for change in changes]
    where = [
        {int(number): int(box[0]) for number, box in zip(rows.track_ids, rows.boxes_xyxy, strict=True)}
        if len(rows)
        else {}
        for rows in found
    ]
    return where, [(drop.at, drop.row, drop.reason) for change in changes for drop in change.drops]


@needs_yolo
@pytest.mark.parametrize(
    ("frames", "options", "where", "drops"),
    [
        ([[(10, 0.9)], [(12, 0.9)]], {}, [{1: 10}, {1: 12}], []),
        ([[], [(10, 0.9)], [(12, 0.9)]], {}, [{}, {1: 10}, {1: 12}], []),  # born late, and there at once
        ([[(10, 0.9)], [(12, 0.15)]], {}, [{1: 10}, {1: 12}], []),  # an unsure box goes on with an object
        ([[(10, 0.15)], [(12, 0.15)]], {}, [{}, {}], [(0, 0, "no_track"), (1, 0, "no_track")]),  # and begins none
        ([[(10, 0.9)], [(12, 0.05)]], {}, [{1: 10}, {}], [(1, 0, "no_track")]),  # too unsure for either
        ([[(10, 0.9), (90, 0.8)], [(92, 0.8), (12, 0.9)]], {}, [{1: 10, 2: 90}, {1: 12, 2: 92}], []),
        ([[(10, 0.9)], [(12, 0.9)], [], [(16, 0.9)]], {}, [{1: 10}, {1: 12}, {}, {1: 16}], []),  # lost, and back
        (
            [[(10, 0.9)], [(12, 0.9)], [], [], [], [(12, 0.9)]],
            {"track_buffer": 1},
            [{1: 10}, {1: 12}, {}, {}, {}, {2: 12}],
            [],
        ),  # away for too long
        ([[(10, 0.9)], [(150, 0.9)]], {}, [{1: 10}, {2: 150}], []),  # too far away
    ],
)
def test_what_is_who(frames, options, where, drops):
    assert said(scene(*frames), **options) == (where, drops)


def test_boxes_are_told_by_their_centres():
    assert bytetrack._boxes(scene([(10, 0.9)]).found[0]).xywh.tolist() == [[20, 20, 20, 20]]


@needs_yolo
def test_rows_are_the_detections():
    clip = scene([(10, 0.9), (90, 0.15)], [(92, 0.15), (12, 0.9)])
    changes, _ = Bytetrack().open(Device()).track(clip, iter(()), b"")
    rows = changes[1].applied_to(empty(SIZE_HW))
    assert rows.boxes_xyxy.tolist() == clip.found[1].boxes_xyxy[1:].tolist()  # not where its filter thinks it is
    assert (rows.source, rows.extra, rows.presence.tolist()) == (
        ("bytetrack",),
        ({"look": ["dog", 0.9]},),
        pytest.approx([0.9]),
    )


@needs_yolo
@pytest.mark.parametrize("story", ["leaving", "twins"])
def test_it_says_what_ultralytics_says_in_one_go(story):
    """Objects made anew after every frame are the ones that the library keeps to itself."""
    made, clip = toy_detections.toy(story, frames=48)
    ((part,),) = toy_detections.scenes(
        clip, made.cuts, 1, 999, lambda at, found: toy_detections.detected(found, at, 3, 0.3)
    )
    opened = Bytetrack().open(Device())
    changes, _ = opened.track(part, iter(()), b"")
    alone = opened._library.BYTETracker(SimpleNamespace(**Bytetrack().model_dump()))
    births = 0
    for change, found in zip(changes, part.found, strict=True):
        alone.update(bytetrack._boxes(found))
        seen = [track for track in alone.tracked_stracks if track.frame_id == alone.frame_id]
        theirs = {track.track_id: found.boxes_xyxy[track.idx].tolist() for track in seen}
        ours = change.columns
        assert dict(zip(ours.get("track_ids", ()), ours["boxes_xyxy"].tolist(), strict=True)) == theirs
        births = max([births, *theirs])
    assert births > len(clip.found[0])  # some were lost for good


@needs_yolo
def test_all_that_ultralytics_knows_of_a_track_is_kept():
    """What is new in a track when ultralytics is: decide whether it goes on to the next frame."""
    opened = Bytetrack().open(Device())
    track = opened._library.STrack(np.zeros(5, np.float32), 0.0, 0.0)
    of_a_detection = {"_tlwh", "score", "cls", "idx", "angle"}
    assert set(vars(track)) == {*WHOLE, *NUMBERS, "kalman_filter", *of_a_detection}


@needs_yolo
def test_the_state_is_as_large_as_what_may_go_on():
    many = scene(*([(10 + at % 3, 0.9)] for at in range(400)))
    few = replace(many, frames=many.frames[:100], found=many.found[:100])
    opened = Bytetrack(track_buffer=5).open(Device())
    long, short = (len(opened.track(clip, iter(()), b"")[1]) for clip in (many, few))
    assert abs(long - short) < 100
    coming = scene(*([(40 * (at // 4 % 4), 0.9)] for at in range(400)))  # all lost again
    state = json.loads(opened.track(coming, iter(()), b"")[1])
    assert state["born"] > 50
    assert len(state["tracked"] + state["lost"] + state["removed"]) < 10


@pytest.mark.parametrize("state", [b"{", b"[]", b'{"unknown": 1}'])
def test_a_state_that_is_none_is_refused(state):
    with pytest.raises(BadRecord, match="what the tracker bytetrack left cannot be read"):
        bytetrack._Scene.restored(state)


@pytest.mark.parametrize("library", ["ultralytics", "lap"])
def test_a_library_that_is_missing_is_told(library, monkeypatch):
    monkeypatch.setattr(bytetrack, "find_spec", lambda name: None if name == library else object())
    for act in (Bytetrack().fetch, lambda: Bytetrack().open(Device())):
        with pytest.raises(ModelMissing, match=rf"{library} is not installed; pip install 'masklet\[yolo\]' \(AGPL"):
            act()
