"""Films of a few frames, written as one line a track, so that a reader counts their figures by hand."""

import numpy as np

from pipeline import masks
from pipeline.records import Clip, Frame, Instances, clip_id, empty

SIZE_HW = (20, 60)
SPOTS = {
    "A": (0, 0, 10, 10),
    "B": (15, 0, 25, 10),
    "C": (30, 0, 40, 10),
    "a": (0, 0, 10, 6),  # overlaps A by 0.6
    "q": (0, 0, 10, 4),  # and by 0.4
    ">": (1, 0, 11, 10),  # A, a pixel to the right
}
"""Where a track is in a frame, x0, y0, x1, y1; '.' is out of sight, and ' ' is no row at all."""


def film(tracks, names=(), *, name="f.mp4", every=1, size_hw=SIZE_HW):
    """A clip of tracks, number -> where it is, a character a frame; all are dogs unless `names` says otherwise.

    >>> [len(found) for found in film({1: "AA.", 2: " BB"}).found]
    [1, 2, 2]
    """
    names = dict(names)
    length = max((len(where) for where in tracks.values()), default=0)
    frames = tuple(Frame(every * at, every * at / 24, size_hw) for at in range(length))
    found = tuple(_found(at, tracks, names, size_hw) for at in range(length))
    return Clip(clip_id(name.encode()), name, f"/films/{name}", frames, None, found)


def _found(at, tracks, names, size_hw):
    there = {number: where[at] for number, where in tracks.items() if where[at : at + 1].strip()}
    if not there:
        return empty(size_hw)
    return Instances(
        size_hw,
        [SPOTS.get(spot, (0, 0, 0, 0)) for spot in there.values()],
        tuple(names.get(number, "dog") for number in there),
        masks=tuple(square(SPOTS[spot], size_hw) if spot in SPOTS else None for spot in there.values()),
        track_ids=list(there),
        visible=[spot in SPOTS for spot in there.values()],
    )


def square(box, size_hw=SIZE_HW):
    """The code of a mask that fills a box."""
    x0, y0, x1, y1 = box
    return masks.encode_crop(np.ones((y1 - y0, x1 - x0), bool), (x0, y0), size_hw)
