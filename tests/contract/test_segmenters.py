"""What holds for every segmenter."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import backends
import numpy as np
import pytest
from drawing import instances

from pipeline import masks
from pipeline.media import Picture
from pipeline.records import empty
from pipeline.seams import Device
from pipeline.segmenters import SEGMENTERS


def drawn():
    """Pictures and what was found in them."""
    rng = np.random.default_rng(0)
    busy = rng.integers(0, 256, (60, 90, 3), np.uint8)
    busy[20:40, 30:60] //= 4
    pairs = [
        (busy, [(30, 20, 60, 40), (0, 0, 90, 60), (25.5, 3.25, 40.75, 50.5), (88.2, 58.1, 88.4, 58.9)]),
        (np.full((50, 40, 3), 127, np.uint8), [(5, 5, 30, 30), (0, 0, 40, 50), (39, 49, 40, 50)]),
        (np.zeros((1, 1, 3), np.uint8), [(0, 0, 1, 1), (0.2, 0.1, 0.4, 0.9)]),
        (np.zeros((1, 500, 3), np.uint8), [(0, 0, 500, 1), (7, 0, 8, 1)]),
        (np.zeros((500, 1, 3), np.uint8), [(0, 0, 1, 500), (0, 7, 1, 8)]),
        (busy[:40], []),
    ]
    pictures = [Picture.of(rgb, f"{number}.png") for number, (rgb, _) in enumerate(pairs)]
    found = [
        instances(boxes, size_hw=picture.size_hw) if boxes else empty(picture.size_hw)
        for picture, (_, boxes) in zip(pictures, pairs, strict=True)
    ]
    return pictures, found


@pytest.fixture(params=sorted(backends.SEGMENTERS))
def options(request):
    return backends.SEGMENTERS[request.param]()


@pytest.fixture
def segmenter(options):
    return options.open(Device("cpu", 1))


def digests(answers):
    return [found.digest() for found in answers]


def test_every_segmenter_is_covered():
    assert set(backends.SEGMENTERS) == set(SEGMENTERS)


def test_rows_and_their_order_stay(segmenter):
    pictures, found = drawn()
    answers = segmenter.segment(pictures, found)
    for before, after in zip(found, answers, strict=True):
        assert len(after.masks or ()) == len(before)
        bare = [replace(each, masks=None, quality=None) for each in (before, after)]
        assert bare[0].digest() == bare[1].digest()


def test_every_mask_is_a_code_of_its_picture(segmenter):
    for found in segmenter.segment(*drawn()):
        for code in found.masks or ():
            assert masks.validate(code, found.size_hw) == code


def test_something_is_found(segmenter):
    first = segmenter.segment(*drawn())[0]
    assert masks.area(first.masks[0]) > 200


def test_a_row_that_has_a_mask_keeps_it(segmenter):
    pictures, found = drawn()
    corner = masks.encode_crop(np.ones((2, 2), bool), (0, 0), (60, 90))
    partly = replace(found[0], masks=(None, corner, None, corner))
    (answer,) = segmenter.segment(pictures[:1], [partly])
    fresh = segmenter.segment(pictures, found)[0]
    assert answer.masks == (fresh.masks[0], corner, fresh.masks[2], corner)


def test_nothing_to_do(segmenter):
    assert segmenter.segment([], []) == []


def test_alone_and_among_others_and_in_any_order(segmenter):
    pictures, found = drawn()
    together = digests(segmenter.segment(pictures, found))
    assert together == [segmenter.segment([p], [f])[0].digest() for p, f in zip(pictures, found, strict=True)]
    assert together[::-1] == digests(segmenter.segment(pictures[::-1], found[::-1]))


def test_a_row_alone_and_among_others(segmenter):
    pictures, found = drawn()
    (together,) = segmenter.segment(pictures[:1], found[:1])
    for row in range(len(found[0])):
        (alone,) = segmenter.segment(pictures[:1], [found[0].take([row])])
        assert alone.digest() == together.take([row]).digest()


def test_two_threads_at_once(segmenter):
    expected = digests(segmenter.segment(*drawn()))
    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(segmenter.segment, *drawn()) for _ in range(4)]
        assert [digests(call.result()) for call in calls] == [expected] * 4
