import numpy as np
import pytest

from pipeline.detectors.fake import Fake
from pipeline.media import Picture
from pipeline.records import Clip, Frame
from pipeline.seams import Device


def ask(size_hw, *prompts, objects=1):
    picture = Picture(Clip("", "a.jpg", "/nowhere", (Frame(0, 0.0, size_hw),)))
    return Fake(objects=objects).open(Device()).detect([picture], prompts)[0]


@pytest.mark.parametrize(
    ("prompts", "objects", "rows"),
    [
        (["dog"], 1, ["dog"]),  # one each
        (["dog", "cat"], 2, ["dog", "dog", "cat", "cat"]),  # two each, prompt by prompt
        (["dog", "dog"], 1, ["dog"]),  # the same question
        ([], 3, []),  # nothing asked
        (["dog"], 0, []),  # nothing there
    ],
)
def test_how_many(prompts, objects, rows):
    assert list(ask((40, 60), *prompts, objects=objects).prompts or ()) == rows


def test_boxes_scale_with_the_picture():
    small, large = ask((40, 60), "dog"), ask((400, 600), "dog")
    np.testing.assert_allclose(small.boxes_xyxy * 10, large.boxes_xyxy, atol=0.01)
    assert small.scores.tolist() == large.scores.tolist()


def test_many_boxes_of_many_sizes_are_proper():
    for size_hw in [(1, 1), (1, 5000), (3, 2), (2000, 3000)]:
        assert len(ask(size_hw, "dog", "cat", "狗", objects=300)) == 900
