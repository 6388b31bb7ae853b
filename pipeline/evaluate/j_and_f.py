"""J and F of tracks against truth, as DAVIS defines them (Perazzi et al. 2016, Pont-Tuset et al. 2017).

J is the overlap of two masks: pixels in both over pixels in either. F is how well their outlines agree: the harmonic
mean of the share of our outline that lies near the truth's and of the share of the truth's that lies near ours. Both
are computed inside the box around the two masks, and equal what davis2017-evaluation computes on whole frames.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, hypot
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline import masks
from pipeline.evaluate.tracks import Track, frames_of, tracks_of
from pipeline.records import Clip

Rules = Literal["davis2017", "sav", "all"]
"""Which frames are judged, of the truth's that the run has looked at: it may take every fourth of a film.

davis2017   all but the film's first and last, as DAVIS 2017 does where the first mask is given
sav         for each object the frames in which the truth has a row of it, but the first and the last of them, as
            sav_evaluator.py does unless told otherwise
all         all, as DAVIS 2017 does where no mask is given
"""

Pairing = Literal["ids", "class", "any"]
"""Which track answers for an object: the one of the same number; the one that fits best of its class, or of any."""

NEAR = 0.008
"""How far from an outline is near, as a share of the picture's diagonal, rounded up to pixels (DAVIS: bound_th)."""
HALF = 0.5
"""Recall counts the frames above it (DAVIS)."""
PARTS = 4
"""Decay is the mean of a track's first quarter less that of its last (DAVIS)."""

Bits = NDArray[np.bool_]
Line = NDArray[np.float64]
Pixels = NDArray[np.int64]
Size = tuple[int, int]


class Statistics(NamedTuple):
    """Of J or F over the frames of a track; None where no frame is judged."""

    mean: float | None
    recall: float | None
    decay: float | None


@dataclass(frozen=True, slots=True, eq=False)
class ObjectScores:
    """A true object's number and class, the number of the track that answers for it, and J and F in each frame."""

    number: int
    name: str
    found: int | None
    frames: tuple[int, ...]
    j: Line
    f: Line


def j_and_f(
    meant: Clip, found: Clip, rules: Rules = "davis2017", pairing: Pairing = "class"
) -> tuple[ObjectScores, ...]:
    """J and F of every object of the truth.

    Frames are those of the truth that the run has too, by index. An object that no track answers for is compared with
    nothing: J and F are then 1 where it is out of sight, and 0 elsewhere. Raises `BadRecord` as `tracks_of` and
    `frames_of` do.
    """
    sizes = frames_of(meant, found)
    true, got = tracks_of(meant), tracks_of(found)
    judged = {number: _judged(track, list(sizes), rules) for number, track in true.items()}
    answers = {number: number for number in true.keys() & got.keys()}
    if pairing != "ids":
        answers = paired(list(true.values()), list(got.values()), judged, sizes, pairing == "class")
    return tuple(
        _object(track, got.get(answers.get(number, 0)), judged[number], sizes) for number, track in true.items()
    )


def _judged(track: Track, frames: Sequence[int], rules: Rules) -> tuple[int, ...]:
    own = [index for index in frames if index in track.codes] if rules == "sav" else frames
    return tuple(own if rules == "all" else own[1:-1])


def _object(true: Track, got: Track | None, frames: tuple[int, ...], sizes: Mapping[int, Size]) -> ObjectScores:
    codes = got.codes if got else {}
    both = [compared(true.codes.get(index), codes.get(index), sizes[index]) for index in frames]
    j, f = np.array(both, np.float64).reshape(-1, 2).T
    return ObjectScores(true.number, true.name, got.number if got else None, frames, j, f)


def paired(
    true: Sequence[Track],
    got: Sequence[Track],
    judged: Mapping[int, Sequence[int]],
    sizes: Mapping[int, Size],
    of_class: bool,
) -> dict[int, int]:
    """The one-to-one assignment of tracks to objects with the highest sum of mean J: number -> number.

    Tracks that never touch an object, or `of_class` have another class than it, are not given to it; nothing is
    better.
    """
    from scipy.optimize import linear_sum_assignment

    total, touching = _overlap(true, got, judged, sizes)
    same = [[not of_class or a.name == b.name for b in got] for a in true]
    fits = touching & np.array(same, np.bool_).reshape(total.shape)
    alone = np.array([sum(one.codes.get(index) is None for index in judged[one.number]) for one in true], np.float64)
    gain = np.where(fits, total - alone[:, None], 0)  # over nothing, which is right where the object is out of sight
    gain /= np.array([max(1, len(judged[one.number])) for one in true])[:, None]
    rows, columns = linear_sum_assignment(gain, maximize=True)
    return {
        true[row].number: got[column].number for row, column in zip(rows, columns, strict=True) if gain[row, column] > 0
    }


def _overlap(
    true: Sequence[Track], got: Sequence[Track], judged: Mapping[int, Sequence[int]], sizes: Mapping[int, Size]
) -> tuple[Line, Bits]:
    """The sum of J over the frames judged, and whether two ever touch: N objects, M tracks -> (N, M), (N, M)."""
    total, touching = np.zeros((len(true), len(got))), np.zeros((len(true), len(got)), np.bool_)
    mine = [set(judged[one.number]) for one in true]
    for index, size_hw in sizes.items():
        asked = np.array([index in own for own in mine], np.bool_)
        a, b = [one.codes.get(index) for one in true], [one.codes.get(index) for one in got]
        seen_a, seen_b = (np.array([code is not None for code in side], np.bool_) for side in (a, b))
        j = (~seen_a[:, None] & ~seen_b[None, :]).astype(np.float64)
        j[np.ix_(seen_a, seen_b)] = masks.iou([code for code in a if code], [code for code in b if code], size_hw)
        total += j * asked[:, None]
        touching |= (j > 0) & seen_a[:, None] & asked[:, None]
    return total, touching


def compared(true: bytes | None, got: bytes | None, size_hw: Size) -> tuple[float, float]:
    """J and F of two masks of a frame, None being no pixel; of two such both are 1.

    >>> compared(masks.encode(np.eye(3, dtype=bool)), masks.encode(np.tri(3, dtype=bool)), (3, 3))
    (0.5, 1.0)
    """
    if true == got:
        return 1.0, 1.0
    a, b = _together(true or masks.NOTHING, got or masks.NOTHING, size_hw)
    return float((a & b).sum() / (a | b).sum()), _f(_outline(a), _outline(b), size_hw)


def _together(a: bytes, b: bytes, size_hw: Size) -> tuple[Bits, Bits]:
    """Both masks inside the box around them and one pixel about it, as far as the frame goes."""
    crops = [masks.decode_crop(code, size_hw) for code in (a, b)]
    sides = [(x, y, x + crop.shape[1], y + crop.shape[0]) for crop, (x, y) in crops if crop.size]
    x0, y0 = (max(0, min(side[axis] for side in sides) - 1) for axis in (0, 1))
    x1, y1 = (min(size_hw[1 - axis], max(side[2 + axis] for side in sides) + 1) for axis in (0, 1))
    out = np.zeros((2, y1 - y0, x1 - x0), np.bool_)
    for plane, (crop, (x, y)) in zip(out, crops, strict=True):
        if crop.size:
            plane[y - y0 : y - y0 + crop.shape[0], x - x0 : x - x0 + crop.shape[1]] = crop
    return out[0], out[1]


def _outline(mask: Bits) -> Bits:
    """Pixels that differ from the next to the right, below or between: (H, W) -> (H, W) (Martin 2003, seg2bmap).

    Behind the frame's last row and column nothing differs; where a crop ends before, they hold no mask.
    """
    out = np.zeros_like(mask)
    here = mask[:-1, :-1]
    out[:-1, :-1] = (here ^ mask[:-1, 1:]) | (here ^ mask[1:, :-1]) | (here ^ mask[1:, 1:])
    out[-1, :-1] = mask[-1, :-1] ^ mask[-1, 1:]
    out[:-1, -1] = mask[:-1, -1] ^ mask[1:, -1]
    return out


def _f(true: Bits, got: Bits, size_hw: Size) -> float:
    """F of two outlines; where one has no pixel, its part is 1 and that of the other 0."""
    if not true.any() or not got.any():
        return float(true.any() == got.any())
    reach_px = ceil(NEAR * hypot(*size_hw))
    a, b = np.argwhere(true), np.argwhere(got)
    precision, recall = _near(b, a, reach_px), _near(a, b, reach_px)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _near(line: Pixels, other: Pixels, reach_px: int) -> float:
    """The share of the pixels of an outline that have one of the other within reach: (N, 2), (M, 2)."""
    from scipy.spatial import KDTree

    bound = (reach_px**2 + 0.5) ** 0.5  # squared distances of pixels are whole
    away_px, _ = KDTree(other).query(line, distance_upper_bound=bound)
    return float(np.isfinite(away_px).mean())


def statistics(values: Line) -> Statistics:
    """Mean, recall and decay over the frames of a track (DAVIS: db_statistics).

    >>> statistics(np.array([1.0, 0.75, 0.5, 0.25]))
    Statistics(mean=0.625, recall=0.5, decay=0.5)
    """
    if not len(values):
        return Statistics(None, None, None)
    edges = np.round(np.linspace(1, len(values), PARTS + 1) + 1e-10).astype(np.int64) - 1
    first, last = (values[edges[part] : edges[part + 1] + 1].mean() for part in (0, PARTS - 1))
    return Statistics(float(values.mean()), float((values > HALF).mean()), float(first - last))
