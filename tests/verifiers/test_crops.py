"""What a verifier sees of a box."""

import numpy as np
import pytest

from pipeline.verifiers.crops import crop

RGB = np.arange(8 * 10, dtype=np.uint8).reshape(8, 10)[..., None].repeat(3, axis=2)
F = 255


@pytest.mark.parametrize(
    ("box", "margin", "seen"),
    [
        ((1, 1, 3, 3), 0, [[11, 12], [21, 22]]),  # a square is cut out as it is
        ((1.2, 1.2, 2.9, 2.1), 0, [[11, 12], [21, 22]]),  # every pixel that it touches
        ((1, 1, 4, 2), 0, [[F, F, F], [11, 12, 13], [F, F, F]]),  # a bar is filled up on both sides
        ((1, 1, 3, 2), 0, [[11, 12], [F, F]]),  # or one more below
        ((2, 2, 4, 4), 0.5, [[11, 12, 13, 14], [21, 22, 23, 24], [31, 32, 33, 34], [41, 42, 43, 44]]),
        ((0, 0, 2, 2), 0.5, [[0, 1, 2], [10, 11, 12], [20, 21, 22]]),  # no margin outside of the picture
        ((9.2, 7.5, 9.4, 7.9), 0, [[79]]),  # never less than a pixel
    ],
)
def test_a_crop(box, margin, seen):
    assert crop(RGB, box, margin, (F, F, F))[..., 0].tolist() == seen


def test_the_picture_is_left_alone():
    before = RGB.copy()
    crop(RGB, (0, 0, 4, 4), 0, (0, 0, 0))[:] = 7
    assert (before == RGB).all()
