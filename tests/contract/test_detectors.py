"""What holds for every detector."""

from concurrent.futures import ThreadPoolExecutor

import backends
import numpy as np
import pytest

from pipeline.detectors import DETECTORS
from pipeline.detectors.coco_names import COCO_NAMES
from pipeline.media import Picture
from pipeline.seams import Device

PROMPTS = ("person", "狗", "a dog, not a puppy", "dog")


def drawn():
    rng = np.random.default_rng(0)
    return [
        Picture.of(rng.integers(0, 256, (60, 90, 3), np.uint8), "busy"),
        Picture.of(np.full((50, 40, 3), 127, np.uint8), "flat"),
        Picture.of(np.zeros((1, 1, 3), np.uint8), "pixel"),
        Picture.of(np.zeros((1, 500, 3), np.uint8), "row"),
        Picture.of(np.zeros((500, 1, 3), np.uint8), "column"),
    ]


@pytest.fixture(params=sorted(backends.DETECTORS))
def options(request):
    return backends.DETECTORS[request.param]()


@pytest.fixture
def detector(options):
    return options.open(Device("cpu", 1))


def digests(answers):
    return [found.digest() for found in answers]


def test_every_detector_is_covered():
    assert {name.split()[0] for name in backends.DETECTORS} == set(DETECTORS)  # 'grounding owlv2' is a grounding
    assert tuple(picture.clip.name for picture in drawn()) == backends.PICTURES


def test_every_row_is_complete(detector):
    answers = detector.detect(drawn(), PROMPTS)
    assert [found.size_hw for found in answers] == [(60, 90), (50, 40), (1, 1), (1, 500), (500, 1)]
    assert len(answers[0])
    for found in answers:
        assert set(found.names) <= {""}
        assert set(found.prompts or ()) <= set(PROMPTS)
        if len(found):
            assert found.scores is not None
            assert all(found.score_kind)
            assert all(found.source)


@pytest.mark.parametrize(
    "prompts",
    [
        (),  # nothing asked
        ("zyzzyva",),  # a word that no closed set has
        COCO_NAMES,  # 80 prompts
        ("person", "person"),  # the same twice
        ("狗", "👩‍🚀", "a\nb", ""),  # any text
    ],
)
def test_any_prompts_are_answered(detector, prompts):
    answers = detector.detect(drawn(), prompts)
    assert len(answers) == 5
    assert {prompt for found in answers for prompt in found.prompts or ()} <= set(prompts)


def test_no_pictures_no_answers(detector):
    assert detector.detect([], PROMPTS) == []


def test_alone_and_among_others_and_in_any_order(detector):
    together = digests(detector.detect(drawn(), PROMPTS))
    assert together == [detector.detect([picture], PROMPTS)[0].digest() for picture in drawn()]
    assert together[::-1] == digests(detector.detect(drawn()[::-1], PROMPTS))


def test_opened_again_it_says_the_same(options, detector):
    again = options.open(Device("cpu", 1))
    assert digests(again.detect(drawn(), PROMPTS)) == digests(detector.detect(drawn(), PROMPTS))


def test_two_threads_at_once(detector):
    expected = digests(detector.detect(drawn(), PROMPTS))
    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(detector.detect, drawn(), PROMPTS) for _ in range(4)]
        assert [digests(call.result()) for call in calls] == [expected] * 4


def test_it_says_whether_classes_are_independent(options, detector):
    together = detector.detect(drawn(), PROMPTS)
    of_person = [[row for row, prompt in enumerate(found.prompts or ()) if prompt == "person"] for found in together]
    apart = [found.take(rows).digest() for found, rows in zip(together, of_person, strict=True)]
    assert (apart == digests(detector.detect(drawn(), ["person"]))) is options.independent_classes


def test_a_closed_set_knows_its_words(options, detector):
    vocabulary = options.vocabulary()
    if vocabulary is None:
        pytest.skip("it takes any words")
    assert len(set(vocabulary)) == len(vocabulary) > 0
    answers = detector.detect(drawn(), (*vocabulary, "zyzzyva"))
    assert {prompt for found in answers for prompt in found.prompts or ()} <= set(vocabulary)
