import csv
from dataclasses import replace
from math import ceil, hypot

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_films import film, square

from pipeline import masks
from pipeline.errors import BadRecord
from pipeline.evaluate.j_and_f import compared, j_and_f, statistics
from pipeline.records import Clip, Frame, Instances

FULL = (0, 0, 60, 20)

# truth, found; J and F in a picture of 20 x 60 pixels, where near is 1 pixel (0.008 of 63.2, rounded up)
BY_HAND = {
    "the same": ((0, 0, 10, 10), (0, 0, 10, 10), 1, 1),
    "neither": (None, None, 1, 1),
    "lost": ((0, 0, 10, 10), None, 0, 0),
    "false": (None, (0, 0, 10, 10), 0, 0),
    "a pixel aside": ((5, 5, 15, 15), (6, 5, 16, 15), 90 / 110, 1),
    "apart": ((5, 5, 15, 15), (30, 5, 40, 15), 0, 0),
    # of a ring of 11 x 11, which are 40 pixels, 9 of the upper and of the lower side are near, and 2 where these end
    "three pixels aside": ((5, 5, 15, 15), (8, 5, 18, 15), 70 / 130, 20 / 40),
    "one pixel within": ((5, 5, 15, 15), (9, 9, 10, 10), 1 / 100, 0),
    "all of the picture has no outline": (FULL, None, 0, 1),
    "and nor has it when found": (FULL, FULL, 1, 1),
    "half of the picture": ((0, 0, 30, 20), (0, 0, 31, 20), 30 / 31, 1),
}


@pytest.mark.parametrize(("true", "got", "j", "f"), BY_HAND.values(), ids=BY_HAND)
def test_by_hand(true, got, j, f):
    a, b = (None if box is None else square(box) for box in (true, got))
    assert compared(a, b, (20, 60)) == pytest.approx((j, f))
    assert compared(a, b, (20, 60)) == whole_frame(a, b, (20, 60))


def whole_frame(true, got, size_hw):
    """J and F as DAVIS computes them: everything on whole frames, and outlines made thick by a disk."""
    import cv2

    a, b = (masks.decode(code or masks.encode(np.zeros(size_hw, bool)), size_hw) for code in (true, got))
    reach = ceil(0.008 * hypot(*size_hw))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disk = (x**2 + y**2 <= reach**2).astype(np.uint8)
    lines = [outline(mask) for mask in (a, b)]
    thick = [cv2.dilate(line.astype(np.uint8), disk).astype(bool) for line in lines]
    n_true, n_got = (int(line.sum()) for line in lines)
    if n_true and n_got:
        precision, recall = (lines[1] & thick[0]).sum() / n_got, (lines[0] & thick[1]).sum() / n_true
    else:
        precision, recall = float(not n_got), float(not n_true)
    f = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return (a & b).sum() / (a | b).sum() if (a | b).any() else 1.0, f


def outline(mask):
    """A pixel is on it if the one to its right, below, or right below is another; the edge repeats what it has."""
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    return (mask != padded[:-1, 1:]) | (mask != padded[1:, :-1]) | (mask != padded[1:, 1:])


@st.composite
def masks_of_a_frame(draw):
    """Two masks that are blobs, specks or nothing, also at the edges of the frame, in frames of reach 1 to 3."""
    h, w = draw(st.sampled_from([(1, 1), (7, 9), (40, 60), (150, 40), (200, 300)]))
    dice = np.random.default_rng(draw(st.integers(0, 2**32)))
    out = []
    for _ in range(2):
        mask = np.zeros((h, w), bool)
        for _ in range(draw(st.integers(0, 4))):
            y, x, tall, wide = dice.integers([h, w, h // 2 + 1, w // 2 + 1])
            mask[y : y + tall + 1, x : x + wide + 1] ^= dice.random() < 0.8
        mask ^= dice.random((h, w)) < draw(st.sampled_from([0, 0, 0.002, 0.1]))
        out.append(masks.encode(mask) if mask.any() else None)
    return *out, (h, w)


@given(masks_of_a_frame())
def test_any_masks_score_what_whole_frames_score(drawn):
    assert compared(*drawn) == whole_frame(*drawn)


STATISTICS = [
    ([1.0], (1, 1, 0)),
    ([0.5, 0.5], (0.5, 0, 0)),  # recall is of what is above .5
    ([1.0, 0.9, 0.4, 0.1], (0.6, 0.5, 0.7)),  # the first quarter is frames 0 and 1, the last 2 and 3: .95 - .25
    ([0.9] * 4 + [0.5] * 8 + [0.1] * 4, (0.5, 0.25, 0.64)),  # 5 frames of .9 .9 .9 .9 .5, and 5 of .5 .1 .1 .1 .1
    ([1.0] * 300 + [0.0] * 300, (0.5, 0.5, 1)),  # also of more frames than fit into a byte
    ([], (None, None, None)),
]


@pytest.mark.parametrize(("values", "expected"), STATISTICS)
def test_mean_recall_and_decay(values, expected):
    said = statistics(np.array(values))
    assert said == (expected if None in expected else pytest.approx(expected))


# rules, where the object is; the frames judged
FRAMES = [
    ("davis2017", "AAAAA", (1, 2, 3)),
    ("sav", "AAAAA", (1, 2, 3)),
    ("all", "AAAAA", (0, 1, 2, 3, 4)),
    ("davis2017", " AAA ", (1, 2, 3)),
    ("sav", " AAA ", (2,)),  # its own first and last
    ("sav", ".AAA.", (1, 2, 3)),  # a row out of sight is a row
    ("all", " AAA ", (0, 1, 2, 3, 4)),
    ("davis2017", "AA", ()),
    ("all", "A", (0,)),
]


@pytest.mark.parametrize(("rules", "where", "frames"), FRAMES)
def test_which_frames_are_judged(rules, where, frames):
    (dog, _) = j_and_f(film({1: where, 2: "B" * len(where)}), film({1: where}), rules, "ids")
    assert (dog.frames, dog.j.tolist()) == (frames, [1.0] * len(frames))


def test_sparse_truth_is_judged_where_it_is():
    (dog,) = j_and_f(film({1: "AAA"}, every=4), film({5: "ACCCACCCB"}), "all")
    assert (dog.frames, dog.j.tolist(), dog.found) == ((0, 4, 8), [1, 1, 0], 5)


# rules, where the object is; the frames judged where the run looks at every second: 0, 2, 4 and 6
SAMPLED = [
    ("all", "AAAAAAAA", (0, 2, 4, 6)),
    ("davis2017", "AAAAAAAA", (2, 4)),
    ("sav", "  AAAAAA", (4,)),
]


@pytest.mark.parametrize(("rules", "where", "frames"), SAMPLED)
def test_frames_that_the_run_has_not_looked_at_are_not_judged(rules, where, frames):
    (dog,) = j_and_f(film({1: where}), film({5: where[::2]}, every=2), rules)
    assert (dog.frames, dog.j.tolist()) == (frames, [1.0] * len(frames))


# truth, found, pairing; the tracks that answer
PAIRS = {
    "by overlap": ({1: "AAA", 2: "BBB"}, {7: "BBB", 8: "AAA"}, "any", [8, 7]),
    "one each, the better": ({1: "AAA"}, {7: "aaa", 8: "AAA"}, "any", [8]),
    "one to one": ({1: "AAA", 2: "aaa"}, {7: "AAA"}, "any", [7, None]),
    "the sum counts": ({1: "AAA", 2: "aaa"}, {7: "aaa", 8: "qqq"}, "any", [8, 7]),  # .4 + 1 over .6 + 4/6
    "whoever touches nothing answers for nothing": ({1: "AAA"}, {7: "BBB"}, "any", [None]),
    "nor who is wrong more than right": ({1: "A..."}, {7: "ABBB"}, "any", [None]),
    "most frames win": ({1: "AAAA"}, {7: "A", 8: " AAA"}, "any", [8]),
    "the same numbers": ({1: "AAA", 2: "BBB"}, {1: "BBB", 3: "AAA"}, "ids", [1, None]),
    "a cat is no dog": ({1: "AAA"}, {9: "AAA"}, "class", [None]),
    "unless that does not count": ({1: "AAA"}, {9: "AAA"}, "any", [9]),
    "the dog beside the cat": ({1: "AAA"}, {7: "qqq", 9: "AAA"}, "class", [7]),
    "nothing found": ({1: "AAA"}, {7: "   "}, "any", [None]),
}


@pytest.mark.parametrize(("meant", "found", "pairing", "answers"), PAIRS.values(), ids=PAIRS)
def test_who_answers_for_whom(meant, found, pairing, answers):
    scores = j_and_f(film(meant), film(found, {9: "cat"}), "all", pairing)
    assert [one.found for one in scores] == answers


def test_without_an_answer_only_frames_out_of_sight_are_right():
    (dog,) = j_and_f(film({1: "AA.."}), film({9: "    "}), "all")
    assert (dog.j.tolist(), dog.f.tolist()) == ([0, 0, 1, 1], [0, 0, 1, 1])


def test_what_cannot_be_judged_is_said():
    good = film({1: "AA"})
    bare = replace(good, found=tuple(replace(found, track_ids=None) for found in good.found))
    blank = replace(good, found=tuple(replace(found, masks=None) for found in good.found))
    twice = replace(good, found=tuple(found.take([0, 0]) for found in good.found))
    for clip, words in [
        (bare, r"f\.mp4, frame 0: objects have no track_ids"),
        (blank, r"f\.mp4, frame 0: track 1 \(dog\) is in sight and has no mask"),
        (twice, r"f\.mp4, frame 0: two rows of track 1"),
        (film({1: "AA"}, size_hw=(30, 60)), r"f\.mp4, frame 0: the truth is of another size than the film"),
    ]:
        with pytest.raises(BadRecord, match=words):
            j_and_f(good, clip)


COLUMNS = ("J_mean", "J_recall", "J_decay", "F_mean", "F_recall", "F_decay")


@pytest.fixture(scope="module")
def osvos(shared_data):
    """Truth, what OSVOS found, and what davis2017-evaluation says of it, by name of film."""
    with (shared_data / "davis2017_osvos_predictions/reference_j_and_f.csv").open(encoding="utf-8") as lines:
        rows = {row["sequence"]: row for row in csv.DictReader(lines)}
    return {
        name: (
            pictures(shared_data / "davis2016/Annotations/480p" / name),
            pictures(shared_data / "davis2017_osvos_predictions" / name),
            [float(row[column]) for column in COLUMNS],
        )
        for name, row in rows.items()
    }


def pictures(folder):
    """A film out of pictures in which the one object is all that is not 0."""
    from PIL import Image

    found = [one_object(np.asarray(Image.open(path)) > 0) for path in sorted(folder.glob("*.png"))]
    frames = tuple(Frame(index, index / 24, one.size_hw) for index, one in enumerate(found))
    return Clip(folder.name, folder.name, str(folder), frames, None, tuple(found))


def one_object(mask):
    mask = mask if mask.ndim == 2 else mask[..., 0]
    code = masks.encode(mask) if mask.any() else None
    box = masks.box(code or masks.NOTHING, mask.shape)
    return Instances(mask.shape, [box], ("",), masks=[code], track_ids=[1], visible=[code is not None])


def figures(meant, found):
    (only,) = j_and_f(meant, found, "davis2017", "ids")
    return [*statistics(only.j), *statistics(only.f)]


def test_osvos_scores_what_davis_says(osvos):
    assert len(osvos) == 6
    for name, (meant, found, expected) in osvos.items():
        assert figures(meant, found) == pytest.approx(expected, abs=6e-5), name  # they say four digits


def test_a_pixel_aside_or_a_frame_less_and_it_does_not(osvos):
    meant, found, expected = osvos["libby"]
    aside = replace(found, found=tuple(one_object(np.roll(mask_of(one), 1, axis=1)) for one in found.found))
    shorter = replace(found, frames=found.frames[:-2], found=found.found[:-2])
    late = replace(found, found=(found.found[0], *found.found[:-1]))
    for other in (aside, shorter, late):
        j, _, _, f, _, _ = figures(meant, other)
        assert abs(j - expected[0]) > 5e-4
        assert abs(f - expected[3]) > 5e-4
    assert j_and_f(meant, found, "all", "ids")[0].j.mean() != pytest.approx(expected[0], abs=5e-4)


def mask_of(found):
    return masks.decode(found.masks[0], found.size_hw) if found.masks[0] else np.zeros(found.size_hw, bool)


def test_osvos_scores_what_whole_frames_score(osvos):
    for meant, found, _ in osvos.values():
        for one, other in list(zip(meant.found, found.found, strict=True))[::20]:
            pair = one.masks[0], other.masks[0], one.size_hw
            assert compared(*pair) == whole_frame(*pair)
