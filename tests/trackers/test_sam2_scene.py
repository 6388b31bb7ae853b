"""Detections to tracks with the tiny SAM 2: identities, births, segments. The detections are the truth's boxes."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline import masks
from pipeline.evaluate.of_films import evaluate_films
from pipeline.records import Clip, Frame, concatenate, empty
from pipeline.seams import Device
from pipeline.segments import reel
from pipeline.toyworld import film
from pipeline.trackers.identities import Roster
from pipeline.trackers.lifecycle import Life
from pipeline.trackers.sam2 import Sam2
from pipeline.trackers.sam2_lives import Lives
from pipeline.trackers.sam2_memory import Follower
from pipeline.trackers.sam2_scene import Sam2Tracker

SEED = 10_000_000
OPTIONS = Sam2(model="tiny-sam2")


@pytest.fixture(scope="module")
def tracker():
    return OPTIONS.open(Device())


def truth_of(toy):
    frames = tuple(Frame(at, at / 24, found.size_hw) for at, found in enumerate(toy.found))
    return Clip("toy", "toy.mp4", "", frames, None, tuple(toy.found))


def seeded(truth, length=240, apart_from=()):
    """The segments of a film, with what a perfect detector says on key frames, some of which it misses."""

    def seen(frame):
        found = truth.found[frame.index]
        if not frame.key or frame.index in apart_from:
            return empty(found.size_hw)
        rows = found.take(np.flatnonzero(found.visible))
        return replace(rows, masks=None, track_ids=None, visible=None, scores=np.full(len(rows), 0.9, np.float32))

    ((*segments,),) = reel(replace(truth, found=()), (), OPTIONS.every, length).scenes
    return [replace(clip, found=tuple(map(seen, clip.frames))) for clip in segments]


def followed(tracker, toy, segments):
    """The segments as the tracker leaves them, and what the last one leaves."""
    state, out = b"", []
    for clip in segments:
        changes, state = tracker.track(clip, iter(toy.rgb[[frame.index for frame in clip.frames]]), state)
        out.append(clip.after(changes))
    return out, state


def joined(truth, clips):
    return replace(truth, found=tuple(found for clip in clips for found in clip.found))


def identified(clips, options=OPTIONS):
    roster = Roster(options)
    for clip in clips:
        roster.add(0, clip)
    roster.settle()
    return [clip.after(roster.changes(0, clip)) for clip in clips]


def test_a_film_is_followed_from_key_frames(tracker):
    toy = film(SEED, 0, "leaving", 24)
    truth = truth_of(toy)
    clips, _ = followed(tracker, toy, seeded(truth))
    found = joined(truth, identified(clips))
    scores = evaluate_films([truth], {truth.name: found}, rules="all", pairing="class")
    assert scores.over_all["j_and_f"] > 0.85
    assert (scores.over_all["switches"], scores.over_all["false"]) == (0, 0)


@pytest.mark.parametrize("length", [8, 16])
@pytest.mark.parametrize("apart_from", [(), (0, 8)])
def test_in_segments_it_is_the_same_film(tracker, length, apart_from):
    """Each goes on from what the one before left, as bytes; what is born late is followed back no farther than that."""
    toy = film(SEED, 0, "leaving", 24)
    truth = truth_of(toy)
    whole, end = followed(tracker, toy, seeded(truth, apart_from=apart_from))
    parts, state = followed(tracker, toy, seeded(truth, length, apart_from))
    assert len(parts) == {8: 3, 16: 2}[length]
    assert joined(truth, parts).digest() == joined(truth, whole).digest()
    assert state == end


@pytest.fixture(scope="module")
def twins():
    toy = film(SEED, 4, "twins", 24)
    return toy, truth_of(toy)


def judged(truth, clips):
    found = joined(truth, identified(clips))
    return evaluate_films([truth], {truth.name: found}, rules="all", pairing="class").over_all


def test_who_look_alike_are_two(tracker, twins):
    toy, truth = twins
    clips, _ = followed(tracker, toy, seeded(truth))
    scores = judged(truth, clips)
    assert scores["j_and_f"] > 0.9
    assert (scores["switches"], scores["false"], scores["lost"]) == (0, 0, 0)


@pytest.mark.parametrize("objects", [2, 8])
def test_how_many_are_asked_for_together_changes_nothing(tracker, twins, objects):
    """But last bits: the same objects, the same masks."""
    toy, truth = twins
    follower = Follower(tracker.follower.parts.model, tracker.follower.scaling, objects, OPTIONS.refreshes)
    one, many = (followed(who, toy, seeded(truth))[0] for who in (tracker, Sam2Tracker(follower, OPTIONS)))
    for clip, other in zip(one, many, strict=True):
        for found, again in zip(clip.found, other.found, strict=True):
            assert alike(found, again, {number: number for number in found.track_ids})


def test_the_order_of_detections_changes_nothing(tracker, twins):
    """But numbers."""
    toy, truth = twins
    segments = seeded(truth)
    (clip,), _ = followed(tracker, toy, segments)
    turned = [replace(one, found=tuple(found.take(range(len(found))[::-1]) for found in one.found)) for one in segments]
    (other,), _ = followed(tracker, toy, turned)
    number = dict(zip(clip.found[0].track_ids, other.found[0].track_ids[::-1], strict=True))
    assert sorted(number) == sorted(number.values())
    for found, again in zip(clip.found, other.found, strict=True):
        assert alike(found, again, number)


def alike(found, again, number):
    """Whether two frames have the same objects, number by number, with the same masks but a pixel here and there."""
    codes, others = (
        dict(zip(one.track_ids, [code or masks.NOTHING for code in one.masks], strict=True)) for one in (found, again)
    )
    return sorted(number[one] for one in codes) == sorted(others) and all(
        code == others[number[one]] or masks.iou([code], [others[number[one]]], found.size_hw)[0, 0] > 0.99
        for one, code in codes.items()
    )


def test_what_is_born_late_is_followed_back(tracker):
    """The detector sees nothing on the first key frame: eight frames later all are there, and so they were before."""
    toy = film(SEED, 1, "wandering", 12)
    (clip,), _ = followed(tracker, toy, seeded(truth_of(toy), apart_from=(0,)))
    assert len(clip.found[8]) > 1
    assert [len(found) for found in clip.found[1:8]] == [len(clip.found[8])] * 7
    assert len(clip.found[0]) == 0


@pytest.mark.parametrize(
    ("lives", "kept"),
    [
        ({1: Life(0, 5), 2: Life(8, 8)}, "####"),  # it may be what was lost before
        ({1: Life(0, 8), 2: Life(8, 8)}, "...#"),
        ({2: Life(8, 8)}, "####"),
    ],
    ids=["lost", "there, too", "looked out for no more"],
)
def test_who_is_followed_back_meets_who_was_lost(lives, kept):
    """A newborn, 2, claims the cells of 1, which is out of sight by now."""
    there, here, claim = (np.array([[one == "#" for one in row]]) for row in ("###.", "...#", "####"))
    now = Lives(None, lives, {2: here}, 2, 8)
    rules = OPTIONS.model_copy(update={"reach": 4.0})
    own = Sam2Tracker(None, rules)._settled_behind(now, {1: there}, {2: here}, {2: claim})[2]
    assert "".join(".#"[int(cell)] for cell in own[0]) == kept


def test_two_detections_of_one_thing_are_one_object(tracker):
    """Two prompts, two boxes that differ a little: the surer one is the object."""
    toy = film(SEED, 0, "wandering", 1)
    (clip,) = seeded(truth_of(toy))
    (found,) = clip.found
    less = np.full(len(found), 0.5, np.float32)
    again = replace(found, boxes_xyxy=found.boxes_xyxy + 0.5, names=("emu",) * len(found), scores=less)
    both = concatenate([again, found], found.size_hw)
    (change,), _ = tracker.track(replace(clip, found=(both,)), iter(toy.rgb), b"")
    assert change.columns["names"] == found.names
    assert [(drop.row, drop.reason) for drop in change.drops] == [(row, "other_class_twin") for row in range(len(less))]
