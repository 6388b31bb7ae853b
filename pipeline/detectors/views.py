"""A picture shown to a detector once more: mirrored, or smaller. What is found there is put back and joined."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline import geometry
from pipeline.detectors.tiled import joined
from pipeline.media import Picture
from pipeline.records import Instances

GREY = (124, 116, 104)
"""The mean of ImageNet's pictures, which is nothing to a model that takes it away."""

SAME = 0.5
"""Boxes of one prompt that agree by this IoU in two views are one object, as `tiled.merge` has it."""


@dataclass(frozen=True, slots=True)
class View:
    """How a picture is shown: mirrored or not, and which part of a side it fills, in the middle of grey."""

    mirrored: bool = False
    scale: float = 1.0

    def of(self, picture: Picture) -> Picture:
        """The picture as it is shown."""
        if self == View():
            return picture
        rgb = picture.rgb[:, ::-1] if self.mirrored else picture.rgb
        (h, w), (top, left) = rgb.shape[:2], self._margins(picture.size_hw)
        shown = np.full((h + 2 * top, w + 2 * left, 3), GREY, np.uint8)
        shown[top : top + h, left : left + w] = rgb
        return Picture.of(shown, picture.clip.name)

    def back(self, found: Instances, size_hw: tuple[int, int]) -> Instances:
        """What was found there, in the picture's own pixels; boxes of nothing but grey are gone."""
        if self == View():
            return found
        top, left = self._margins(size_hw)
        boxes = found.boxes_xyxy - np.array([left, top, left, top], np.float32)
        if self.mirrored:
            boxes[:, [0, 2]] = size_hw[1] - boxes[:, [2, 0]]
        boxes = geometry.clip_boxes(boxes, size_hw)
        kept = np.flatnonzero(geometry.proper(boxes)).tolist()
        columns = {**found.take(kept).columns(), "boxes_xyxy": boxes[kept]}
        return Instances(size_hw, **columns, unplaced=found.unplaced)

    def _margins(self, size_hw: tuple[int, int]) -> tuple[int, int]:
        """Rows of grey above and below, columns left and right."""
        h, w = (round(side * (1 / self.scale - 1) / 2) for side in size_hw)
        return h, w


def views_of(mirrored: bool, scales: Sequence[float]) -> list[View]:
    """A picture as it is, then the other ways in which it is shown.

    >>> views_of(True, [0.5])
    [View(mirrored=False, scale=1.0), View(mirrored=True, scale=1.0), View(mirrored=False, scale=0.5)]
    """
    return [View(), *([View(mirrored=True)] if mirrored else []), *(View(scale=scale) for scale in scales)]


def as_one(
    found: Sequence[Instances], views: Sequence[View], size_hw: tuple[int, int], agreed: bool = False
) -> Instances:
    """The objects of a picture from what was found in its views, in order: each once, with its surest box.

    With `agreed`, only those that were found in every view.
    """
    if len(views) == 1:
        return found[0]
    whole = (0, 0, size_hw[1], size_hw[0])
    back = [view.back(rows, size_hw) for rows, view in zip(found, views, strict=True)]
    rows = joined(back, [whole] * len(views), size_hw, SAME)
    if not agreed:
        return rows
    return rows.take([row for row in range(len(rows)) if all(_shows(one, rows, row) for one in back)])


def _shows(found: Instances, rows: Instances, row: int) -> bool:
    """Whether a row is among what was found in a view."""
    alike = geometry.box_iou(rows.boxes_xyxy[[row]], found.boxes_xyxy)[0] >= SAME
    prompts, prompt = found.prompts or (), (rows.prompts or ())[row]
    return any(same and other == prompt for same, other in zip(alike, prompts, strict=True))
