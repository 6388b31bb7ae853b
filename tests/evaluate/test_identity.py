from dataclasses import replace

import numpy as np
import pytest
from small_films import SIZE_HW, film

from pipeline import masks
from pipeline.errors import BadRecord
from pipeline.evaluate.identity import Counts, Seen, counted, identity, identity_by_class

# truth, found; IDF1, HOTA, DetA, AssA; switches, fragments, lost objects, false tracks
BY_HAND = {
    "perfect": ({1: "AAAA", 2: "BBBB"}, {7: "AAAA", 9: "BBBB"}, (1, 1, 1, 1), (0, 0, 0, 0)),
    # half of 4 masks keep their track; a pair shares 2 masks of the object's 4 and the track's 2: 2 / (4 + 2 - 2)
    "one switch": ({1: "AAAA"}, {7: "AA  ", 9: "  AA"}, (1 / 2, 0.5**0.5, 1, 1 / 2), (1, 0, 0, 0)),
    # 4 of 8 masks; a pair shares 2 masks of 4 and 4: 2 / (4 + 4 - 2)
    "two that swap": ({1: "AAAA", 2: "BBBB"}, {1: "AABB", 2: "BBAA"}, (1 / 2, 3**-0.5, 1, 1 / 3), (2, 0, 0, 0)),
    # 4 of 5 masks are found, and none is wrong: F1 is 2 * 4 / (5 + 4)
    "one fragment": ({1: "AAAAA"}, {7: "AA AA"}, (8 / 9, 4 / 5, 4 / 5, 4 / 5), (0, 1, 0, 0)),
    "one fragment beside another": (
        {1: "AAAAA", 2: "BBBBB"},
        {7: "AA AA", 9: "BBBBB"},
        (18 / 19, None, 9 / 10, (4 * 4 / 5 + 5) / 9),
        (0, 1, 0, 0),
    ),
    "late, and gone before the end": ({1: "AAAAA"}, {7: " AAA "}, (6 / 8, 3 / 5, 3 / 5, 3 / 5), (0, 0, 0, 0)),
    "one lost": ({1: "AAAA", 2: "BBBB"}, {7: "AAAA"}, (8 / 12, 0.5**0.5, 1 / 2, 1), (0, 0, 1, 0)),
    "one false": ({1: "AAAA"}, {7: "AAAA", 9: "CCCC"}, (8 / 12, 0.5**0.5, 1 / 2, 1), (0, 0, 0, 1)),
    "out of sight and back": ({1: "AA..AA"}, {7: "AA..AA"}, (1, 1, 1, 1), (0, 0, 0, 0)),
    "the same beside another": ({1: "A.A", 2: "BBB"}, {7: "A A", 9: "BBB"}, (1, 1, 1, 1), (0, 0, 0, 0)),
    "back under a new number": ({1: "AA..AA"}, {7: "AA    ", 9: "    AA"}, (1 / 2, 0.5**0.5, 1, 1 / 2), (1, 0, 0, 0)),
    # 0.6 is enough for 12 of HOTA's 19 thresholds, and 0.4 for 8
    "loose": ({1: "AAAA"}, {7: "aaaa"}, (1, 12 / 19, 12 / 19, 12 / 19), (0, 0, 0, 0)),
    "too loose": ({1: "AAAA"}, {7: "qqqq"}, (0, 8 / 19, 8 / 19, 8 / 19), (0, 0, 1, 1)),
    # a pair of the frame before stays one, though the other track overlaps more
    "a second look": ({1: "AAA"}, {7: "aaa", 9: " AA"}, (6 / 8, None, None, None), (0, 0, 0, 1)),
    "and over a frame of nothing": ({1: "AAA"}, {7: "a a", 9: "  A"}, (4 / 6, None, None, None), (0, 1, 0, 1)),
    "nothing found": ({1: "AAA"}, {7: "   "}, (0, 0, 0, 0), (0, 0, 1, 0)),
    "nothing there": ({}, {7: "AAA"}, (None, None, None, None), (0, 0, 0, 0)),  # a film of no frames
    "nobody in sight": ({1: "..."}, {7: "AAA"}, (0, 0, 0, 0), (0, 0, 0, 1)),
    "nothing at all": ({1: "..."}, {}, (None, None, None, None), (0, 0, 0, 0)),
}


@pytest.mark.parametrize(("meant", "found", "shares", "counts"), BY_HAND.values(), ids=BY_HAND)
def test_by_hand(meant, found, shares, counts):
    said = identity(film(meant), film(found)).figures()
    for name, share in zip(("idf1", "hota", "deta", "assa"), shares, strict=True):
        if share is not None or said["idf1"] is None:
            assert said[name] == (None if share is None else pytest.approx(share)), name
    assert tuple(said[name] for name in ("switches", "fragments", "lost", "false")) == counts


def test_frames_count_that_the_truth_has_and_the_run_has_looked_at():
    sparse = film({1: "AAA"}, every=4)  # frames 0, 4 and 8
    dense = film({7: "ACCCACCCA"})
    assert identity(sparse, dense).figures()["idf1"] == 1
    assert identity(dense, sparse).figures()["idf1"] == 1
    assert identity(dense, film({1: "A   A   A"})).figures()["idf1"] == 6 / 12  # looked at all 9, found in 3


def test_a_track_of_another_class_is_no_match_unless_classes_do_not_count():
    meant, got = film({1: "AAA"}, {1: "dog"}), film({7: "AAA"}, {7: "cat"})
    said = identity(meant, got).figures()
    assert (said["idf1"], said["lost"], said["false"]) == (0, 1, 1)
    assert identity(meant, got, of_class=False).figures()["idf1"] == 1


def test_class_by_class():
    meant = film({1: "AAA", 2: "BBB"}, {2: "cat"})
    got = film({7: "AAA", 8: "BBB", 9: "CCC"}, {8: "bird", 9: "cat"})
    by_class = identity_by_class(meant, got)
    said = {name: (one.objects, one.tracks, one.figures()["idf1"]) for name, one in by_class.items()}
    assert said == {"bird": (0, 1, 0), "cat": (1, 1, 0), "dog": (1, 1, 1)}


def test_films_add_up():
    one = identity(film({1: "AAAA"}), film({7: "AA  ", 9: "  AA"}))
    both = one + identity(film({1: "BBBB"}), film({7: "BBBB"}))
    said = both.figures()
    assert (said["idf1"], said["switches"], said["objects"], said["tracks"]) == (6 / 8, 1, 2, 3)
    assert said["assa"] == pytest.approx((2 + 4) / 8)
    assert (Counts() + one).figures() == one.figures()


def test_what_cannot_be_judged_is_said():
    good = film({1: "AA"})
    with pytest.raises(BadRecord, match=r"f\.mp4, frame 0: the truth is of another size than the film"):
        identity(good, film({1: "AA"}, size_hw=(30, 60)))


def test_a_mask_of_no_pixel_is_out_of_sight():
    meant, got = film({1: "A..A"}), film({7: "ACCA"})
    nothing = masks.encode(np.zeros(SIZE_HW, bool))
    blank = [replace(one, masks=[nothing]) if at in (1, 2) else one for at, one in enumerate(got.found)]
    assert identity(meant, got).figures()["idf1"] == 4 / 6
    assert identity(meant, replace(got, found=tuple(blank))).figures()["idf1"] == 1


def any_frames(seed):
    """A film of overlaps drawn at random, in which tracks change their objects after the eighth frame."""
    dice = np.random.default_rng(seed)
    objects, tracks, length = dice.integers(1, 5), dice.integers(1, 6), dice.integers(1, 20)
    frames = []
    for at in range(length):
        true, got = np.flatnonzero(dice.random(objects) < 0.8), np.flatnonzero(dice.random(tracks) < 0.8)
        iou = dice.random((objects, tracks)) * 0.5
        for row in range(min(objects, tracks)):
            iou[row, (row + (at > 8)) % tracks] = 0.4 + 0.6 * dice.random()
        if seed % 3 == 0:
            iou = np.round(iou * 20) / 20  # right on HOTA's thresholds
        frames.append(Seen(true, got, iou[np.ix_(true, got)]))
    return frames


# seed; HOTA, DetA, AssA, IDF1, switches: what trackers 2.6.1 and trackeval 1.3.0 both say
AS_OTHERS_SAY = [
    (1, (0.238022, 0.324326, 0.178202, 0.280702, 2)),
    (2, (0.350514, 0.201483, 0.617544, 0.266667, 0)),
    (3, (0.313839, 0.210256, 0.475219, 0.250000, 0)),
    (6, (0.254732, 0.252402, 0.265405, 0.342857, 1)),
    (9, (0.207663, 0.233273, 0.187012, 0.188679, 2)),
    (11, (0.522568, 0.522568, 0.522568, 0.785714, 0)),
]


@pytest.mark.parametrize(("seed", "figures"), AS_OTHERS_SAY)
def test_as_the_usual_libraries_say(seed, figures):
    assert ours(seed) == pytest.approx(figures, abs=1e-6)


def ours(seed):
    said = counted(any_frames(seed)).figures()
    return tuple(said[name] for name in ("hota", "deta", "assa", "idf1", "switches"))


def test_as_trackers_says_of_many_films():
    judges = pytest.importorskip("trackers.eval", reason="needs the library trackers, which is no dependency")
    for seed in range(300):
        frames = any_frames(seed)
        sides = [frame.true for frame in frames], [frame.got for frame in frames], [frame.iou for frame in frames]
        hota, clear = judges.compute_hota_metrics(*sides), judges.compute_clear_metrics(*sides)
        theirs = (hota["HOTA"], hota["DetA"], hota["AssA"], judges.compute_identity_metrics(*sides)["IDF1"])
        if sum(map(len, sides[0])) + sum(map(len, sides[1])):
            assert ours(seed) == pytest.approx((*theirs, clear["IDSW"]), abs=1e-9), seed
