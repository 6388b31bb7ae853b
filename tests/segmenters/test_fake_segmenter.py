import pytest
from drawing import drawn

from pipeline import masks
from pipeline.segmenters.fake import box_mask


@pytest.mark.parametrize(
    ("box_xyxy", "mask"),
    [
        ((0, 0, 4, 3), drawn("####", "####", "####")),  # the whole picture
        ((1, 1, 3, 2), drawn("....", ".##.", "....")),  # whole pixels
        ((0.5, 0, 1.5, 3), drawn("#...", "#...", "#...")),  # a centre on the left edge is in, on the right is out
        ((0.6, 0.2, 3.4, 1.9), drawn(".##.", ".##.", "....")),  # centres decide
        ((1.1, 1.1, 1.4, 1.4), drawn("....", "....", "....")),  # between the centres
        ((1.1, 0, 1.4, 3), drawn("....", "....", "....")),  # between the centres of columns
    ],
)
def test_centres_in_the_box(box_xyxy, mask):
    assert (masks.decode(box_mask(box_xyxy, (3, 4)), (3, 4)) == mask).all()
