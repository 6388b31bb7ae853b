"""What holds for every tracker. Films are toy films; what is detected in them is the truth, with errors."""

from concurrent.futures import ThreadPoolExecutor

import backends
import numpy as np
import pytest
import toy_detections

from pipeline.reasons import OBJECTS
from pipeline.records import empty
from pipeline.seams import Device
from pipeline.trackers import TRACKERS

FILMS = {story: toy_detections.toy(story) for story in ("hiding", "cut")}


@pytest.fixture(scope="module", params=sorted(backends.TRACKERS))
def options(request):
    return backends.TRACKERS[request.param]()


@pytest.fixture(scope="module")
def tracker(options):
    return options.open(Device("cpu", 1))


def scenes(options, story="hiding", length=8, seen=None):
    made, clip = FILMS[story]
    return toy_detections.scenes(clip, made.cuts, options.every, length, **({"seen": seen} if seen else {}))


def followed(tracker, scene, story="hiding"):
    return toy_detections.followed(lambda: tracker, scene, FILMS[story][0].rgb)


def digests(answer):
    found, drops, state = answer
    return [rows.digest() for rows in found], drops, state


def numbers(rows):
    return [] if rows.track_ids is None else rows.track_ids.tolist()


def detections(scene):
    return {frame.index: rows for part in scene for frame, rows in zip(part.frames, part.found, strict=True)}


def test_every_tracker_is_covered():
    assert set(backends.TRACKERS) == set(TRACKERS)


@pytest.mark.parametrize("story", FILMS)
def test_every_row_is_complete(options, tracker, story):
    for scene in scenes(options, story):
        found, _, _ = followed(tracker, scene, story)
        assert len(found) == sum(len(part.frames) for part in scene)
        assert {number for rows in found for number in numbers(rows)} >= {1, 2}
        for rows in found:
            assert numbers(rows) == sorted(set(numbers(rows)))
            if len(rows):
                assert min(numbers(rows)) >= 1
                assert rows.presence is not None
                assert rows.masks is not None or not options.makes_masks
                assert all(rows.source)


def test_names_are_those_of_detections(options, tracker):
    (scene,) = scenes(options)
    asked = {name for rows in detections(scene).values() for name in rows.names}
    found, _, _ = followed(tracker, scene)
    assert {name for rows in found for name in rows.names} <= asked
    assert asked


def test_every_detection_is_an_object_or_dropped(options, tracker):
    """What is said of one in `extra` is its class and its score, on a key frame."""
    (scene,) = scenes(options)
    found, drops, _ = followed(tracker, scene)
    frames = [frame for part in scene for frame in part.frames]
    for frame, rows in zip(frames, found, strict=True):
        seen = detections(scene)[frame.index]
        gone = [row for index, row, _ in drops if index == frame.index]
        left = seen.take([row for row in range(len(seen)) if row not in gone])
        looks = [tuple(said["look"]) for said in rows.extra or () if "look" in said]
        scores = [] if left.scores is None else np.round(left.scores.astype(float), 4).tolist()
        assert frame.key or not looks
        assert sorted(looks) == sorted(zip(left.names, scores, strict=True))
    assert {reason for _, _, reason in drops} <= set(OBJECTS)


@pytest.mark.parametrize(
    ("seen", "born"),
    [
        (lambda at, found: empty(found.size_hw), False),  # nothing at all
        (lambda at, found: empty(found.size_hw) if at else toy_detections.detected(found, at), True),  # only at first
    ],
)
def test_a_scene_of_which_little_is_detected(options, tracker, seen, born):
    (scene,) = scenes(options, seen=seen)
    found, drops, _ = followed(tracker, scene)
    assert len(found) == 21
    assert drops == []
    assert numbers(found[0]) == list(range(1, len(scene[0].found[0]) + 1))
    assert bool(numbers(found[0])) is born
    assert all(set(numbers(rows)) <= set(numbers(found[0])) for rows in found)


def test_a_film_of_one_frame(options, tracker):
    made, clip = toy_detections.toy("hiding", frames=1)
    ((part,),) = toy_detections.scenes(clip, made.cuts, options.every, 8, lambda at, found: found.in_sight())
    (found,), _, _ = toy_detections.followed(lambda: tracker, [part], made.rgb)
    assert numbers(found) == list(range(1, len(part.found[0]) + 1))


def test_how_a_scene_is_cut_into_segments_changes_nothing(options, tracker):
    """Each segment goes on from bytes, in a tracker opened for it; the state at the end is the same bytes, too."""
    rgb = FILMS["hiding"][0].rgb
    (scene,) = scenes(options, length=999)
    whole = digests(followed(tracker, scene))
    for length in sorted({-(-frames // options.every) * options.every for frames in (1, 3, 16)}):
        (cut,) = scenes(options, length=length)
        assert len(cut) > 1
        assert digests(toy_detections.followed(lambda: options.open(Device("cpu", 1)), cut, rgb)) == whole


def test_two_threads_with_scenes_of_their_own(options, tracker):
    jobs = [(story, scene) for story in FILMS for scene in scenes(options, story)]
    expected = [digests(followed(tracker, scene, story)) for story, scene in jobs]
    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(followed, tracker, scene, story) for story, scene in jobs]
        assert [digests(call.result()) for call in calls] == expected


def test_pictures_are_asked_for_only_by_those_who_look(options, tracker):
    (scene,) = scenes(options, length=999)
    asked = []
    pictures = (asked.append(at) or rgb for at, rgb in enumerate(FILMS["hiding"][0].rgb))
    tracker.track(scene[0], pictures, b"")
    assert asked == (list(range(21)) if options.looks else [])


def test_the_detections_stay_as_they_are(options, tracker):
    (scene,) = scenes(options, length=999)
    before = scene[0].digest()
    tracker.track(scene[0], iter(FILMS["hiding"][0].rgb), b"")
    assert scene[0].digest() == before
