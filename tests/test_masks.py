"""Run-length codes: by eye, and against pycocotools, torch and plain pixels."""

import numpy as np
import pytest
from drawing import drawn
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco

from pipeline import masks
from pipeline.errors import BadRecord

random_masks = hnp.array_shapes(min_dims=2, max_dims=2, max_side=12).flatmap(lambda hw: hnp.arrays(np.bool_, hw))


def blobs(seed, size_hw, count=3):
    """Smooth bumps above and below zero, as a segmenter's decoder gives: (h, w) float32."""
    random = np.random.default_rng(seed)
    y, x = (np.arange(n)[:, None] / n for n in size_hw)
    bumps = [
        random.uniform(4, 9) * np.exp(-((y - cy) ** 2 + (x.T - cx) ** 2) / random.uniform(0.01, 0.05))
        for cy, cx in random.uniform(0, 1, (count, 2))
    ]
    return (np.sum(bumps, axis=0) - 3).astype(np.float32)


def theirs(mask):
    """What pycocotools says of a mask: its code, area and box."""
    code = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    x, y, w, h = (int(v) for v in coco.toBbox(code))
    return code["counts"], int(coco.area(code)), (x, y, x + w, y + h)


@given(random_masks)
@example(np.zeros((3, 4), bool))  # empty
@example(np.ones((3, 4), bool))  # full: begins with a run of no background
@example(np.zeros((1, 1), bool))
@example(np.ones((1, 1), bool))
@example(drawn("##.", "##."))  # reaches the first pixel and turns at the bottom
@example(drawn(".##", ".##"))  # reaches the last pixel
@example(drawn("#.#.#"))  # a single row
@example(drawn("#", ".", "#"))  # a single column
@example(drawn("#.#", ".#.", "#.#"))  # no two pixels in a run
def test_the_code_is_that_of_pycocotools_byte_for_byte(mask):
    code = masks.encode(mask)
    assert (code, masks.area(code), masks.box(code, mask.shape)) == theirs(mask)
    assert (masks.decode(code, mask.shape) == mask).all()
    assert masks.validate(code, mask.shape) is code


@pytest.mark.parametrize("size_hw", [(1, 70_000), (70_000, 1), (700, 900)])
def test_long_runs_take_as_many_characters_as_they_need(size_hw):
    mask = np.zeros(size_hw, bool)
    mask[size_hw[0] // 2 :, size_hw[1] // 3 :] = True
    mask[-1, -1] = False
    code = masks.encode(mask)
    assert code == theirs(mask)[0]
    assert (masks.decode(code, size_hw) == mask).all()


@given(st.lists(st.integers(0, 2**33), min_size=1, max_size=9))
def test_runs_come_back_from_their_characters(runs):
    if len(runs) > 1 and runs[-1] == 0:
        runs.append(1)  # a last run of nothing is not stored
    assert masks.unpack(masks.pack(np.array(runs))).tolist() == runs


@pytest.mark.parametrize(
    ("mask", "corner_xy", "tight"),
    [
        (drawn("....", ".##.", "..#.", "...."), (1, 1), drawn("##", ".#")),  # inside
        (drawn("##..", "#...", "....", "...."), (0, 0), drawn("##", "#.")),  # upper left corner
        (drawn("....", "....", "..#.", "..##"), (2, 2), drawn("#.", "##")),  # lower right corner
        (drawn(".##.", ".##.", ".##.", ".##."), (1, 0), drawn("##", "##", "##", "##")),  # top to bottom
        (drawn("....", "####", "#..#", "...."), (0, 1), drawn("####", "#..#")),  # left to right
        (drawn("####", "####", "####", "####"), (0, 0), np.ones((4, 4), bool)),  # all of it
    ],
)
def test_a_mask_inside_its_own_box(mask, corner_xy, tight):
    code = masks.encode_crop(tight, corner_xy, mask.shape)
    assert code == masks.encode(mask)
    crop, corner = masks.decode_crop(code, mask.shape)
    assert corner == corner_xy
    assert crop.tolist() == tight.tolist()


@given(random_masks, st.tuples(*[st.integers(0, 3)] * 4))
def test_a_crop_anywhere_gives_the_code_of_the_whole(crop, borders):
    left, top, right, bottom = borders
    whole = np.pad(crop, ((top, bottom), (left, right)))
    assert masks.encode_crop(crop, (left, top), whole.shape) == masks.encode(whole)


def test_an_empty_mask_has_an_empty_crop():
    crop, corner = masks.decode_crop(masks.encode(np.zeros((4, 5), bool)), (4, 5))
    assert crop.shape == (0, 0)
    assert corner == (0, 0)


@pytest.mark.parametrize(
    ("runs", "lines", "tight"),
    [
        ([1, 1, 0, 2, 0, 1, 1], (".##", "##."), (0, 0, 3, 2)),  # no background between: one run
        ([1, 0, 3, 2], ("..#", "..#"), (2, 0, 3, 2)),  # no foreground at the second pixel
        ([6, 0], ("...", "..."), (0, 0, 0, 0)),  # nor at the end
    ],
)
def test_runs_of_no_length_are_read_as_other_writers_mean_them(runs, lines, tight):
    code = masks.validate(masks.pack(np.array([*runs, 0])), (2, 3))
    assert masks.decode(code, (2, 3)).tolist() == drawn(*lines).tolist()
    assert masks.box(code, (2, 3)) == tight
    assert masks.area(code) == drawn(*lines).sum()


GOOD = masks.encode(drawn(".##.", ".##."))


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (b"", "not a run-length code"),  # nothing at all
        (b"R", "not a run-length code"),  # the last character says that more follows
        (b"2" + b"\x7f", "not a run-length code"),  # characters end at 'o'
        ("2é2".encode(), "not a run-length code"),
        (b"2 2", "not a run-length code"),  # characters begin at '0'
        (b"oooooooo0", "a run length is too large"),  # 8 full characters: 40 bits
        (masks.pack(np.array([2, 4, -1, 3])), "a run has a negative length"),
        (masks.pack(np.array([9, -1])), "a run has a negative length"),  # though the sum is right
        (masks.pack(np.array([2, 4, 1])), "runs fill 7 pixels, the picture has 2 x 4"),  # too short
        (masks.pack(np.array([2, 4, 3])), "runs fill 9 pixels, the picture has 2 x 4"),  # too long
        (GOOD[:-1], "runs fill 6 pixels"),  # cut between two runs
        (masks.encode(np.ones((40, 40), bool))[:-1], "not a run-length code"),  # cut within a run
        (GOOD + GOOD, "mask: "),
    ],
)
def test_a_hostile_code_is_refused(code, said):
    with pytest.raises(BadRecord, match=said):
        masks.validate(code, (2, 4))


@given(st.binary(max_size=20))
def test_whatever_the_bytes_they_are_refused_or_fill_the_picture(code):
    try:
        masks.validate(code, (3, 4))
    except BadRecord:
        return
    assert masks.decode(code, (3, 4)).sum() == masks.area(code)


@given(hnp.arrays(np.bool_, (4, 5, 6)), hnp.arrays(np.bool_, (3, 5, 6)))
def test_overlaps_are_those_of_pixels(a, b):
    codes = [masks.encode(mask) for mask in a], [masks.encode(mask) for mask in b]
    both = (a[:, None] & b[None]).sum(axis=(2, 3))
    either = (a[:, None] | b[None]).sum(axis=(2, 3))
    mine = np.broadcast_to(a.sum(axis=(1, 2))[:, None], both.shape)
    assert np.allclose(masks.iou(*codes, (5, 6)), both / np.maximum(either, 1))
    assert np.allclose(masks.covered(*codes, (5, 6)), both / np.maximum(mine, 1))


def test_a_part_is_covered_by_the_whole_and_not_the_other_way_round():
    part, whole = masks.encode(drawn("#...", "....")), masks.encode(drawn("####", "...."))
    assert masks.covered([part], [whole], (2, 4)).tolist() == [[1.0]]
    assert masks.covered([whole], [part], (2, 4)).tolist() == [[0.25]]
    assert masks.iou([part], [whole], (2, 4)).tolist() == [[0.25]]


@pytest.mark.parametrize("table", [masks.iou, masks.covered])
def test_overlap_with_nothing(table):
    empty = masks.encode(np.zeros((2, 4), bool))
    assert table([], [GOOD], (2, 4)).shape == (0, 1)
    assert table([GOOD], [], (2, 4)).shape == (1, 0)
    assert table([empty], [empty, GOOD], (2, 4)).tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize(
    ("small_hw", "size_hw"),
    [
        ((256, 256), (480, 640)),  # SAM 2's decoder to a picture
        ((256, 256), (1080, 1920)),
        ((256, 256), (256, 256)),  # as it is
        ((256, 256), (97, 131)),  # smaller
        ((64, 64), (61, 300)),  # smaller one way, larger the other
        ((5, 7), (50, 49)),  # ten times larger, off the grid
        ((7, 5), (1, 1)),
    ],
)
def test_logits_are_scaled_as_torch_scales_them(small_hw, size_hw):
    import torch

    for seed in range(4):
        logits = blobs(seed, small_hw)
        scaled = torch.nn.functional.interpolate(torch.from_numpy(logits)[None, None], size_hw, mode="bilinear")
        mask = masks.decode(masks.encode_logits(logits, size_hw, 0.0), size_hw)
        # float32 sums in another order: a pixel within 1e-6 of the threshold may fall on the other side
        assert (mask != (scaled[0, 0].numpy() > 0)).sum() <= 2


def test_logits_are_cut_above_the_threshold_given():
    logits = np.array([[0, 1, 2], [1, 2, 3]], np.float32)
    assert masks.decode(masks.encode_logits(logits, (2, 3), 1.0), (2, 3)).tolist() == drawn("..#", ".##").tolist()
    assert masks.encode_logits(logits, (4, 6), 3.0) == masks.encode(np.zeros((4, 6), bool))


@pytest.mark.parametrize("pixel", [(0, 0), (0, 9), (9, 0), (9, 9), (4, 5)])
def test_a_lonely_logit_is_found_wherever_it_is(pixel):
    import torch

    logits = np.full((10, 10), -1.0, np.float32)
    logits[pixel] = 1.0
    scaled = torch.nn.functional.interpolate(torch.from_numpy(logits)[None, None], (37, 53), mode="bilinear")
    assert masks.encode_logits(logits, (37, 53)) == masks.encode(scaled[0, 0].numpy() > 0)


@given(st.lists(st.integers(0, 2**33), min_size=1, max_size=9), st.integers(1, 9))
def test_packing_and_unpacking(runs, times):
    runs = np.array([*runs * times, 1])  # a last run of nothing would not be written
    assert masks.unpack(masks.pack(runs)).tolist() == runs.tolist()


@pytest.mark.parametrize("count", [0, 1, 255, 256, 600])
def test_a_picture_may_have_many_masks(count):
    """pycocotools 2.0.11 counts the pixels of 255 at a time."""
    code = masks.encode(np.eye(5, dtype=bool))
    assert masks.areas([code] * count) == [5] * count
    assert masks.boxes([code] * count, (5, 5)).tolist() == [[0, 0, 5, 5]] * count
