"""How well identities are kept through a film: IDF1, switches, fragments and HOTA, on the overlap of masks.

IDF1 is of Ristani et al. 2016, switches of Bernardin and Stiefelhagen 2008, HOTA of Luiten et al. 2021. Written here,
because the libraries that are kept up (trackers 2.6, trackeval 1.3) bring opencv-python, whose cv2 takes the place of
opencv-python-headless and needs a screen's libraries. The tests hold our figures against theirs. One differs on
purpose: theirs call it a fragment when an object goes out of sight and comes back, and call it none when nothing at all
was found in the frames between; ours counts what the tracker lost, as motmetrics does.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import masks
from pipeline.evaluate.tracks import Track, frames_of, tracks_of
from pipeline.records import Clip

Line = NDArray[np.float64]
Table = NDArray[np.float64]
Numbers = NDArray[np.int64]
Size = tuple[int, int]
Figures = dict[str, float | int | None]

SAME = 0.5
"""The overlap from which a row is the object's, for all but HOTA (MOTChallenge's)."""
ALPHAS = np.arange(1, 20) / 20
"""The overlaps that HOTA is a mean over: .05, .10 ... .95."""
HALF = 9
"""Where .5 stands in `ALPHAS`."""
SMALLEST = float(np.finfo(np.float64).eps)
"""An overlap may fall short of its threshold by so much."""
STAYS = 1000.0
"""What a pair that was one in the frame before is worth more than its overlap: larger than any sum of overlaps."""


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """Which objects and which tracks are in sight, numbered from 0, and how they overlap: (N,), (M,), (N, M)."""

    true: Numbers
    got: Numbers
    iou: Table


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """What the figures are made of; counts of films or of classes add up.

    objects, tracks    identities of the truth and of the run that are in sight at all
    lost, false        objects that are never matched, and tracks that never are
    rows, found        masks of the truth and of the run
    kept               masks of objects in that track which keeps each best (IDTP)
    switches           an object is matched with another track than the last time
    fragments          an object is matched again after frames in which it was in sight and was not
    hits               (19,) masks matched at each of `ALPHAS`
    together           (19,) the sum over those of how much of object and track are matched with each other
    """

    objects: int = 0
    tracks: int = 0
    lost: int = 0
    false: int = 0
    rows: int = 0
    found: int = 0
    kept: int = 0
    switches: int = 0
    fragments: int = 0
    hits: Line = field(default_factory=lambda: np.zeros(len(ALPHAS)))
    together: Line = field(default_factory=lambda: np.zeros(len(ALPHAS)))

    def __add__(self, other: "Counts") -> "Counts":
        sums: dict[str, Any] = {one.name: getattr(self, one.name) + getattr(other, one.name) for one in fields(self)}
        return Counts(**sums)

    def figures(self) -> Figures:
        """IDF1, recall at half an overlap, HOTA, its two parts, and the counts.

        None where there is nothing to find and nothing was found.
        """
        counts = {one.name: getattr(self, one.name) for one in fields(self)[:-2]}
        if not self.rows + self.found:
            return {"idf1": None, "recall": None, "hota": None, "deta": None, "assa": None, **counts}
        deta = self.hits / (self.rows + self.found - self.hits)
        assa = self.together / np.maximum(1, self.hits)
        return {
            "idf1": 2 * self.kept / (self.rows + self.found),
            "recall": float(self.hits[HALF] / self.rows) if self.rows else None,
            "hota": float(np.sqrt(deta * assa).mean()),
            "deta": float(deta.mean()),
            "assa": float(assa.mean()),
            **counts,
        }


def identity(meant: Clip, found: Clip, of_class: bool = True) -> Counts:
    """Judge identities in the truth's frames; `of_class`, a track of another class is no match for an object.

    What was found in other frames does not count, nor truth in frames that the run has not looked at.
    Raises `BadRecord` as `tracks_of` and `frames_of` do.
    """
    true, got = list(tracks_of(meant).values()), list(tracks_of(found).values())
    return counted(_frames(frames_of(meant, found), true, got, of_class))


def identity_by_class(meant: Clip, found: Clip) -> dict[str, Counts]:
    """Judge the objects and tracks of each class apart; a class is in it that the truth or the run has."""
    sizes, true, got = frames_of(meant, found), tracks_of(meant).values(), tracks_of(found).values()
    out = {}
    for name in sorted({track.name for track in (*true, *got)}):
        a, b = ([track for track in side if track.name == name] for side in (true, got))
        out[name] = counted(_frames(sizes, a, b, of_class=False))
    return out


def _frames(sizes: Mapping[int, Size], true: Sequence[Track], got: Sequence[Track], of_class: bool) -> list[Seen]:
    """What is in sight in each frame of `sizes`."""
    same = np.array([[not of_class or a.name == b.name for b in got] for a in true], np.bool_)
    same = same.reshape(len(true), len(got))
    out = []
    for index, size_hw in sizes.items():
        (rows, mine), (columns, theirs) = _in_sight(true, index), _in_sight(got, index)
        iou = masks.iou(mine, theirs, size_hw) * same[np.ix_(rows, columns)]
        out.append(Seen(rows, columns, iou))
    return out


def _in_sight(tracks: Sequence[Track], index: int) -> tuple[Numbers, list[bytes]]:
    there = [(row, code) for row, track in enumerate(tracks) if (code := track.codes.get(index)) is not None]
    return np.array([row for row, _ in there], np.int64), [code for _, code in there]


def counted(frames: Sequence[Seen]) -> Counts:
    """What a film's frames count up to."""
    size = tuple(1 + max((int(side.max()) for side in sides if side.size), default=-1) for sides in _sides(frames))
    true, got = (
        np.bincount(np.concatenate([*sides, np.zeros(0, np.int64)]), minlength=n)
        for sides, n in zip(_sides(frames), size, strict=True)
    )
    hits, together = _hota(frames, true, got)
    matches = matched(frames)
    pairs = [pair for there in matches for pair in there.items()]
    objects, tracks = int((true > 0).sum()), int((got > 0).sum())
    return Counts(
        objects=objects,
        tracks=tracks,
        lost=objects - len({row for row, _ in pairs}),
        false=tracks - len({column for _, column in pairs}),
        rows=int(true.sum()),
        found=int(got.sum()),
        kept=_kept(frames, (len(true), len(got))),
        switches=_switches(frames, matches),
        fragments=_fragments(frames, matches),
        hits=hits,
        together=together,
    )


def _sides(frames: Sequence[Seen]) -> tuple[list[Numbers], list[Numbers]]:
    return [frame.true for frame in frames], [frame.got for frame in frames]


def _best(gain: Table) -> tuple[Numbers, Numbers]:
    """The one-to-one assignment of rows to columns with the highest sum."""
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(gain, maximize=True)
    return rows, columns


def _kept(frames: Iterable[Seen], size: tuple[int, int]) -> int:
    """The masks in common of objects and tracks, at best, if each object has one track (Ristani et al. 2016)."""
    common = np.zeros(size)
    for frame in frames:
        common[np.ix_(frame.true, frame.got)] += frame.iou >= SAME
    return int(common[_best(common)].sum())


def matched(frames: Iterable[Seen]) -> list[dict[int, int]]:
    """Object -> track in each frame: pairs of the frame before stay, the others overlap as much as they can."""
    before: dict[int, int] = {}
    out = []
    for frame in frames:
        stays = np.array([[before.get(int(a)) == int(b) for b in frame.got] for a in frame.true], np.bool_)
        gain = np.where(frame.iou >= SAME - SMALLEST, frame.iou + STAYS * stays.reshape(frame.iou.shape), 0)
        pairs = [(row, column) for row, column in zip(*_best(gain), strict=True) if gain[row, column] > 0]
        there = {int(frame.true[row]): int(frame.got[column]) for row, column in pairs}
        if frame.iou.size:
            before = there
        out.append(there)
    return out


def _switches(frames: Sequence[Seen], matches: Sequence[dict[int, int]]) -> int:
    """How often an object is matched with another track than the last time it was matched."""
    return sum(
        a != b
        for row in {int(row) for frame in frames for row in frame.true}
        for a, b in pairwise(there[row] for there in matches if row in there)
    )


def _fragments(frames: Sequence[Seen], matches: Sequence[dict[int, int]]) -> int:
    """How often an object that was matched before is matched again after it was in sight and not matched."""
    state: dict[int, bool] = {}  # of objects that were ever matched: whether they were the last time in sight
    count = 0
    for frame, there in zip(frames, matches, strict=True):
        for row in map(int, frame.true):
            if row in there:
                count += not state.get(row, True)
                state[row] = True
            elif row in state:
                state[row] = False
    return count


def _hota(frames: Sequence[Seen], true: Numbers, got: Numbers) -> tuple[Line, Line]:
    """Hits, and the sum over them of how well their tracks are associated, at each of `ALPHAS`: (19,), (19,).

    Rows are matched in each frame so that objects and tracks which overlap through the film go together (Luiten et
    al. 2021, section 5.1); `true` and `got` are how often each is in sight.
    """
    size = len(true), len(got)
    shared = np.zeros(size)
    for frame in frames:
        either = frame.iou.sum(axis=0)[None, :] + frame.iou.sum(axis=1)[:, None] - frame.iou
        share = np.divide(frame.iou, either, out=np.zeros_like(frame.iou), where=either > SMALLEST)
        shared[np.ix_(frame.true, frame.got)] += share
    seen = true[:, None] + got[None, :]
    aligned = np.divide(shared, seen - shared, out=np.zeros(size), where=seen > 0)
    common = np.zeros((len(ALPHAS), *size))
    for frame in frames:
        rows, columns = _best(aligned[np.ix_(frame.true, frame.got)] * frame.iou)
        hit = frame.iou[rows, columns][None, :] >= ALPHAS[:, None] - SMALLEST
        common[:, frame.true[rows], frame.got[columns]] += hit
    return common.sum(axis=(1, 2)), (common**2 / np.maximum(1, seen - common)).sum(axis=(1, 2))
