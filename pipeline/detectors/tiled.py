"""Any detector over overlapping tiles, for objects that are small in large pictures.

Knows where tiles lie, and which rows of several tiles are one object. What is in a tile is the other detector's affair.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from pipeline import geometry
from pipeline.detectors import Detector, DetectorOptions, InnerDetector
from pipeline.geometry import Boxes
from pipeline.media import Picture
from pipeline.records import Instances, concatenate
from pipeline.seams import Device

TILES_A_CALL = 16  # of a picture that are cut out at a time
EDGE_PX = 4.0  # a box that ends so close to its tile's edge may go on beyond it; networks miss an edge by a few pixels
CARRIED = ("names", "scores", "score_kind", "prompts", "source", "extra")

View = tuple[int, int, int, int]
"""The part of a picture that the detector is shown: x0, y0, x1, y1 in pixels."""

Whole = NDArray[np.int64]


class Tiled(DetectorOptions):
    """What `detector` finds in tiles of `side_px` x `side_px` pixels, of which neighbours share `overlap` of a side.

    `whole` shows it the whole picture too, for what is larger than a tile. Rows of one prompt found in different views
    are one object where their boxes agree by `merge` (IoU) in the pixels that both views show; it has the best of their
    scores, and the surest box that no tile cuts, or else the box around all. Masks and points are not carried over.
    A picture no larger than a tile is asked once, and answered as `detector` does.
    """

    detector: InnerDetector
    side_px: int = Field(default=640, ge=16)
    overlap: float = Field(default=0.25, gt=0, le=0.75)
    whole: bool = True
    merge: float = Field(default=0.5, gt=0, le=1)

    @field_validator("detector")
    @classmethod
    def _goes_by_pixels(cls, detector: DetectorOptions) -> DetectorOptions:
        if detector.by_name:
            raise ValueError(f"{detector.kind()} knows pictures by their names, and a tile has none; use it by itself")
        return detector

    @property
    def independent_classes(self) -> bool:
        return self.detector.independent_classes

    def refused(self, prompts: Sequence[str]) -> list[str]:
        return self.detector.refused(prompts)

    def vocabulary(self) -> tuple[str, ...] | None:
        return self.detector.vocabulary()

    def fingerprint(self, device: Device) -> dict[str, Any]:
        """Own settings, and which detector it is with its own."""
        inner = [self.detector.kind(), self.detector.fingerprint(device)]
        return self.model_dump(mode="json", exclude={"detector"}) | {"detector": inner}

    def fetch(self) -> None:
        self.detector.fetch()

    def provenance(self) -> dict[str, Any]:
        return self.detector.provenance()

    def open(self, device: Device) -> "_Tiled":
        """Open the other detector."""
        return _Tiled(self, self.detector.open(device))


class _Tiled:
    def __init__(self, options: Tiled, inner: Detector) -> None:
        self.options, self.inner = options, inner

    def detect(self, pictures: Sequence[Picture], prompts: Sequence[str]) -> list[Instances]:
        """Ask for each picture view by view."""
        return [self._found(picture, prompts) for picture in pictures]

    def _found(self, picture: Picture, prompts: Sequence[str]) -> Instances:
        tiles = tiles_of(picture.size_hw, self.options.side_px, self.options.overlap)
        if len(tiles) == 1:
            return self.inner.detect([picture], prompts)[0]
        h, w = picture.size_hw
        views = [(0, 0, w, h), *tiles] if self.options.whole else tiles
        found: list[Instances] = []
        for first in range(0, len(views), TILES_A_CALL):
            some = [_cut_out(picture, view) for view in views[first : first + TILES_A_CALL]]
            found += self.inner.detect(some, prompts)
        return joined(found, views, picture.size_hw, self.options.merge)


def tiles_of(size_hw: tuple[int, int], side_px: int, overlap: float) -> list[View]:
    """Cover a picture with squares, row by row; the last of a row or column moves inwards and keeps its size.

    >>> tiles_of((100, 250), 100, 0.25)
    [(0, 0, 100, 100), (75, 0, 175, 100), (150, 0, 250, 100)]
    """
    h, w = size_hw
    step = side_px - round(overlap * side_px)
    corners = ((x, y) for y in _starts(h, side_px, step) for x in _starts(w, side_px, step))
    return [(x, y, min(w, x + side_px), min(h, y + side_px)) for x, y in corners]


def _starts(length: int, side_px: int, step: int) -> list[int]:
    """Where tiles begin along a side of the picture."""
    last = max(0, length - side_px)
    return [*range(0, last, step), last]


def _cut_out(picture: Picture, view: View) -> Picture:
    x0, y0, x1, y1 = view
    return Picture.of(np.ascontiguousarray(picture.rgb[y0:y1, x0:x1]), picture.clip.name)


def joined(found: Sequence[Instances], views: Sequence[View], size_hw: tuple[int, int], threshold: float) -> Instances:
    """The objects of a picture from what was found in its views: best first; equals by prompt, then box."""
    rows = concatenate([_moved(one, view, size_hw) for one, view in zip(found, views, strict=True)], size_hw)
    rows = replace(rows, unplaced=tuple(dict.fromkeys(rows.unplaced)))
    boxes, scores, prompts = rows.boxes_xyxy, rows.scores, rows.prompts
    if scores is None or prompts is None:  # nothing was found
        return rows
    view_of = np.repeat(np.arange(len(views)), [len(one) for one in found])
    pairs = sorted(_agreeing(boxes, prompts, view_of, views, threshold))
    groups = [sorted(group, key=lambda row: -scores[row]) for group in grouped(pairs, view_of)]
    cut = _cut(boxes, np.array(views)[view_of], size_hw)
    objects = [(group[0], _box(boxes[group], cut[group])) for group in groups]
    objects.sort(key=lambda it: (-scores[it[0]], prompts[it[0]], *it[1].tolist()))
    return replace(rows.take([row for row, _ in objects]), boxes_xyxy=np.stack([box for _, box in objects]))


def _moved(found: Instances, view: View, size_hw: tuple[int, int]) -> Instances:
    """What was found in a view, in the picture's pixels."""
    columns = {name: column for name, column in found.columns().items() if name in CARRIED}
    boxes = geometry.clip_boxes(found.boxes_xyxy + np.array([*view[:2], *view[:2]], np.float32), size_hw)
    return Instances(size_hw, boxes, **columns, unplaced=found.unplaced)


# Not supervision's InferenceSlicer: its non-max merge knows boxes only, not which tile saw what. On mosaics of 63 COCO
# photos (YOLOX-nano, tiles of 416) it merges neighbours of a crowd by intersection over the smaller box, AP50 .19, and
# leaves the pieces of a cut object by IoU, .30; agreement in the pixels that both views show gives .38, the whole
# picture alone .15.
def _agreeing(
    boxes_xyxy: Boxes, prompts: Sequence[str], view_of: Whole, views: Sequence[View], threshold: float
) -> Iterator[tuple[float, int, int]]:
    """Rows of one prompt and two views that agree in the pixels both show: (less is better, row, row)."""
    rows: list[dict[str, list[int]]] = [{} for _ in views]
    for row, (view, prompt) in enumerate(zip(view_of, prompts, strict=True)):
        rows[view].setdefault(prompt, []).append(row)
    for (a, rows_a), (b, rows_b) in combinations(zip(views, rows, strict=True), 2):
        low, high = [max(a[0], b[0]), max(a[1], b[1])] * 2, [min(a[2], b[2]), min(a[3], b[3])] * 2
        if low[0] < high[0] and low[1] < high[1]:
            for prompt in rows_a.keys() & rows_b.keys():
                shown_a, shown_b = (np.clip(boxes_xyxy[some[prompt]], low, high) for some in (rows_a, rows_b))
                iou = geometry.box_iou(shown_a, shown_b)
                for m, n in np.argwhere(iou >= threshold):
                    yield -float(iou[m, n]), rows_a[prompt][m], rows_b[prompt][n]


def grouped(pairs: Sequence[tuple[float, int, int]], view_of: Whole) -> list[list[int]]:
    """Rows that are one object: best pairs first, and no two rows of one view, which its detector told apart.

    >>> grouped([(-0.9, 0, 2), (-0.8, 1, 2), (-0.7, 2, 3)], np.array([0, 0, 1, 2]))
    [[0, 2, 3], [1]]
    """
    group_of = [[row] for row in range(len(view_of))]
    for _, a, b in pairs:
        one, other = group_of[a], group_of[b]
        if not set(view_of[one]) & set(view_of[other]):
            one += other
            for row in other:
                group_of[row] = one
    return [group for row, group in enumerate(group_of) if group[0] == row]


def _cut(boxes_xyxy: Boxes, views_xyxy: Whole, size_hw: tuple[int, int]) -> NDArray[np.bool_]:
    """Which boxes end at an edge of their view that is no edge of the picture: (N, 4), (N, 4) -> (N,)."""
    h, w = size_hw
    inner = views_xyxy != np.array([0, 0, w, h])
    return np.asarray((inner & (np.abs(boxes_xyxy - views_xyxy) <= EDGE_PX)).any(axis=1))


def _box(boxes_xyxy: Boxes, cut: NDArray[np.bool_]) -> Boxes:
    """The box of an object from those of its rows, best first: (N, 4), (N,) -> (4,)."""
    if not cut.all():
        return np.asarray(boxes_xyxy[~cut][0])
    return np.concatenate([boxes_xyxy[:, :2].min(axis=0), boxes_xyxy[:, 2:].max(axis=0)])
