"""Which object is which: by where it is, never by its number."""

import numpy as np
import pytest
from two_runs import film, picture

from pipeline.compare.objects import matched, objects, overlap


def found(*words):
    return objects(picture("a", *words))


LEFT, RIGHT, NEAR = "1 1 11 11", "30 1 40 11", "3 1 13 11"  # NEAR overlaps LEFT by 80 / 120
FAR = "6 1 16 11"  # 50 / 150
HALF = "1 1 6 11"  # half of LEFT


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        ([], [], []),
        ([f"dog {LEFT}"], [], []),
        ([f"dog {LEFT}"], [f"dog {LEFT}"], [(0, 0, 1.0)]),
        ([f"dog {LEFT}"], [f"dog {RIGHT}"], []),
        ([f"dog {LEFT}"], [f"dog {NEAR}"], [(0, 0, 0.667)]),
        ([f"dog {LEFT}"], [f"dog {FAR}"], [(0, 0, 0.333)]),
        ([f"dog {LEFT}"], [f"cat {NEAR}"], [(0, 0, 0.667)]),
        ([f"dog {LEFT}"], [f"cat {FAR}"], []),  # of another class, and too far away
        ([f"dog {LEFT}"], [f"cat {HALF}"], [(0, 0, 0.5)]),  # the very limit
        ([f"dog {RIGHT}"], [f"dog {LEFT}", f"dog {RIGHT}"], [(0, 1, 1.0)]),  # numbers shift
        ([f"dog {LEFT}", f"dog {RIGHT}"], [f"dog {RIGHT}", f"dog {LEFT}"], [(0, 1, 1.0), (1, 0, 1.0)]),
        ([f"dog {LEFT}"], [f"cat {LEFT}", f"dog {NEAR}"], [(0, 1, 0.667)]),  # its own class first
        ([f"dog {LEFT}", f"cat {RIGHT}"], [f"cat {LEFT}", f"dog {RIGHT}"], [(0, 0, 1.0), (1, 1, 1.0)]),  # swapped
        ([f"dog {LEFT}", f"dog {NEAR}"], [f"dog {NEAR}"], [(1, 0, 1.0)]),  # most together
    ],
)
def test_which_is_which(was, now, said):
    assert [(i, j, round(iou, 3)) for i, j, iou in matched(found(*was), found(*now))] == said


def test_an_object_of_a_film_is_a_track():
    one = objects(film("f", {2: "dog 1 1 11 11 0.8"}, {2: "dog 1 1 11 11 0.8", 1: "cat 30 1 40 11"}))
    assert [(it.name, sorted(it.seen), it.score) for it in one] == [("cat", [1], 0.9), ("dog", [0, 1], 0.8)]
    assert [it.uid.split("/")[1:] for it in one] == [["cat", "1"], ["dog", "2"]]


def test_tracks_overlap_over_all_frames_together():
    was = objects(film("f", {1: f"dog {LEFT}"}, {1: f"dog {LEFT}"}, {}))
    now = objects(film("f", {7: f"dog {LEFT}"}, {7: f"dog {NEAR}"}, {7: f"dog {NEAR}"}))
    assert overlap(was, now) == pytest.approx((100 + 80) / (100 + 120 + 100))
    assert [(i, j) for i, j, _ in matched(was, now)] == [(0, 0)]  # whatever its number


def test_what_is_out_of_sight_is_not_there():
    clip = picture("a", "dog 1 1 9 9", "cat 0 0 0 0", visible=[True, False], masks=None)
    assert [one.name for one in objects(clip)] == ["dog"]


def test_an_object_without_a_mask_is_its_box():
    bare = objects(picture("a", f"dog {LEFT}", masks=None))
    assert overlap(bare, found(f"dog {NEAR}")) == pytest.approx(80 / 120)


def test_what_models_say_is_a_mean_of_what_they_say():
    nan = float("nan")
    one = objects(picture("a", f"dog {LEFT} 0.8", quality=[[0.9, nan, 0.5]]))
    assert (one[0].score, one[0].quality) == (0.8, (0.9, None, 0.5))
    assert found(f"dog {LEFT}")[0].quality == (None, None, None)


def test_masks_of_another_size_do_not_overlap():
    other = objects(picture("a", f"dog {LEFT}"))
    for one in other:
        one.seen = {0: (one.seen[0][0], (41, 60))}
    assert not overlap(found(f"dog {LEFT}"), other).any()


def test_the_same_masks_overlap_wholly_and_others_do_not():
    rng = np.random.default_rng(0)
    for _ in range(20):
        x, y, w, h = rng.integers(1, 19, 4)
        word = f"dog {x} {y} {x + w} {y + h}"
        assert overlap(found(word), found(word))[0, 0] == 1
        assert overlap(found(word), found(f"dog {x} {y} {x + w + 1} {y + h}"))[0, 0] < 1
