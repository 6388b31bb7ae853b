"""Detections to tracks with the tiny SAM 2: identities, births, segments. The detections are the truth's boxes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.evaluate.of_films import evaluate_films
from pipeline.records import Clip, Frame, empty
from pipeline.seams import Device
from pipeline.toyworld import film
from pipeline.trackers.lifecycle import Rules
from pipeline.trackers.sam2 import Sam2Tracker, finish
from pipeline.trackers.sam2_memory import open_follower

SEED = 10_000_000


@pytest.fixture(scope="module")
def follower():
    return open_follower(Path(__file__).parents[2] / "checkpoints/tiny-sam2", "float32", Device())


def truth_of(toy):
    frames = tuple(Frame(at, at / 24, found.size_hw) for at, found in enumerate(toy.found))
    return Clip("toy", "toy.mp4", "", frames, None, tuple(toy.found))


def seeded(truth, rules, apart_from=()):
    """What a perfect detector says on keyframes, some of which it misses."""

    def seen(at, found):
        if at % rules.every or at in apart_from:
            return empty(found.size_hw)
        rows = found.take(np.flatnonzero(found.visible))
        return replace(rows, masks=None, track_ids=None, visible=None, scores=np.full(len(rows), 0.9, np.float32))

    return replace(truth, found=tuple(seen(at, found) for at, found in enumerate(truth.found)))


def part(clip, begin, end):
    return replace(clip, frames=clip.frames[begin:end], found=clip.found[begin:end])


def joined(truth, clips):
    return replace(truth, found=tuple(found for clip in clips for found in clip.found))


def test_a_film_is_followed_from_keyframes(follower):
    toy = film(SEED, 0, "leaving", 24)
    truth = truth_of(toy)
    rules = Rules()
    tracker = Sam2Tracker(follower, rules)
    clip, state = tracker.track(seeded(truth, rules), toy.rgb)
    lives = tracker.restored(state).lives
    found = joined(truth, finish([clip], lives, rules))
    scores = evaluate_films([truth], {truth.name: found}, rules="all", pairing="class")
    assert scores.over_all["j_and_f"] > 0.85
    assert (scores.over_all["switches"], scores.over_all["false"]) == (0, 0)


def test_in_segments_it_is_the_same_film(follower):
    """Each goes on from what the one before left, as bytes."""
    toy = film(SEED, 0, "leaving", 24)
    rules = Rules()
    clip = seeded(truth_of(toy), rules)
    tracker = Sam2Tracker(follower, rules)
    whole, end = tracker.track(clip, toy.rgb)
    state, parts = None, []
    for begin in (0, 8, 16):
        out, state = tracker.track(part(clip, begin, begin + 8), toy.rgb[begin : begin + 8], state)
        parts.append(out)
    assert joined(whole, parts).digest() == whole.digest()
    assert state == end


def test_what_is_born_late_is_followed_back(follower):
    """The detector sees nothing on the first keyframe: eight frames later all are there, and so they were before."""
    toy = film(SEED, 1, "wandering", 12)
    rules = Rules()
    tracker = Sam2Tracker(follower, rules)
    clip, _ = tracker.track(seeded(truth_of(toy), rules, apart_from=(0,)), toy.rgb)
    assert len(clip.found[8]) > 1
    assert sum(found.visible.sum() for found in clip.found[:8]) > 8


def test_slips_are_dropped_and_identities_begin_at_1(follower):
    toy = film(SEED, 0, "wandering", 9)
    rules = Rules(looks=3, sure=1.0)
    tracker = Sam2Tracker(follower, rules)
    clip, state = tracker.track(seeded(truth_of(toy), rules), toy.rgb)
    lives = tracker.restored(state).lives
    assert all(len(found) == 0 for found in finish([clip], lives, rules)[0].found)
    (kept,) = finish([clip], lives, Rules())
    assert sorted({int(n) for found in kept.found for n in found.track_ids}) == list(range(1, len(lives) + 1))


def test_the_class_of_most_votes_is_that_of_all_frames(follower):
    toy = film(SEED, 0, "wandering", 2)
    rules = Rules()
    tracker = Sam2Tracker(follower, rules)
    clip, state = tracker.track(seeded(truth_of(toy), rules), toy.rgb)
    lives = tracker.restored(state).lives
    lives[1].look(1, "emu", 1.0)
    (kept,) = finish([clip], lives, rules)
    assert {found.names[row] for found in kept.found for row in np.flatnonzero(found.track_ids == 1)} == {"emu"}
