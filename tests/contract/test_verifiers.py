"""What holds for every verifier."""

from concurrent.futures import ThreadPoolExecutor

import backends
import numpy as np
import pytest
from drawing import instances

from pipeline.media import Picture
from pipeline.records import empty
from pipeline.seams import Device
from pipeline.verifiers import VERIFIERS, Words

WORDS = {
    "dog": Words(("a dog", "puppy"), (("cat",), ("a white wolf", "fox"))),
    "cat": Words(("cat",), (("a dog", "puppy"),)),
}


def drawn():
    """Pictures and what was found in them."""
    rng = np.random.default_rng(0)
    busy = rng.integers(0, 256, (60, 90, 3), np.uint8)
    busy[20:40, 30:60] //= 4
    pairs = [
        (busy, [(30, 20, 60, 40), (0, 0, 90, 60), (25.5, 3.25, 40.75, 50.5), (88.2, 58.1, 88.4, 58.9)]),
        (np.full((50, 40, 3), 127, np.uint8), [(5, 5, 30, 30), (39, 49, 40, 50)]),
        (np.zeros((1, 1, 3), np.uint8), [(0, 0, 1, 1)]),
        (np.zeros((1, 500, 3), np.uint8), [(0, 0, 500, 1), (7, 0, 8, 1)]),
        (busy[:40], []),
    ]
    pictures = [Picture.of(rgb, f"{number}.png") for number, (rgb, _) in enumerate(pairs)]
    found = [
        instances(boxes, size_hw=picture.size_hw, names=[("dog", "cat")[row % 2] for row in range(len(boxes))])
        if boxes
        else empty(picture.size_hw)
        for picture, (_, boxes) in zip(pictures, pairs, strict=True)
    ]
    return pictures, found, WORDS


@pytest.fixture(params=sorted(backends.VERIFIERS))
def verifier(request):
    return backends.VERIFIERS[request.param]().open(Device("cpu", 1))


def test_every_verifier_is_covered():
    assert {name.split()[0] for name in backends.VERIFIERS} == set(VERIFIERS)


def test_a_verdict_a_row(verifier):
    _, found, _ = drawn()
    answers = verifier.verify(*drawn())
    assert [len(answer) for answer in answers] == [len(rows) for rows in found]
    assert all(0 <= said.share <= 1 for answer in answers for said in answer)
    assert all(isinstance(said.likeliest, str) and said.likeliest for answer in answers for said in answer)


def test_nothing_to_do(verifier):
    assert verifier.verify([], [], WORDS) == []


def test_alone_and_among_others_and_in_any_order(verifier):
    pictures, found, words = drawn()
    together = verifier.verify(pictures, found, words)
    assert together == [verifier.verify([p], [f], words)[0] for p, f in zip(pictures, found, strict=True)]
    assert together[::-1] == verifier.verify(pictures[::-1], found[::-1], words)


def test_a_row_alone_and_among_others(verifier):
    pictures, found, words = drawn()
    (together,) = verifier.verify(pictures[:1], found[:1], words)
    for row in range(len(found[0])):
        assert verifier.verify(pictures[:1], [found[0].take([row])], words) == [[together[row]]]


def test_two_threads_at_once(verifier):
    expected = verifier.verify(*drawn())
    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(verifier.verify, *drawn()) for _ in range(4)]
        assert [call.result() for call in calls] == [expected] * 4
