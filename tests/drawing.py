"""Small things that many tests are made of, drawn so that a reader checks them by eye."""

import numpy as np

from pipeline import masks
from pipeline.records import Clip, Frame, Instances, clip_id

SIZE_HW = (20, 30)


def drawn(*lines):
    """A mask from a picture of it: '#' is on the object.

    >>> drawn("#.", ".#").tolist()
    [[True, False], [False, True]]
    """
    return np.array([[pixel == "#" for pixel in line] for line in lines], np.bool_)


def square(x0, y0, x1, y1, size_hw=SIZE_HW):
    """The code of a mask that fills a half-open box."""
    mask = np.zeros(size_hw, np.bool_)
    mask[y0:y1, x0:x1] = True
    return masks.encode(mask)


def instances(boxes_xyxy=((1, 1, 5, 5),), *, size_hw=SIZE_HW, **columns):
    """One dog, unless told otherwise; `columns` are those of `Instances`.

    >>> instances([(0, 0, 4, 4), (5, 5, 9, 9)], names=("dog", "cat")).names
    ('dog', 'cat')
    """
    rows = len(boxes_xyxy)
    return Instances(size_hw, boxes_xyxy, **({"names": ("dog",) * rows, "scores": [0.9] * rows} | columns))


def clip(*found, name="a.jpg", size_hw=SIZE_HW, rewrite=None):
    """A still picture whose content is its name; `found` is what was found in it, if anything was."""
    frames = (Frame(0, 0.0, found[0].size_hw if found else size_hw),)
    return Clip(clip_id(name.encode()), name, f"/pictures/{name}", frames, rewrite, found)
