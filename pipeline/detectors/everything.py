"""Masks without words: SAM 2 asked at every point of a grid, in the picture and in crops of it.

What SAM2AutomaticMaskGenerator of github.com/facebookresearch/sam2 does (sam2/automatic_mask_generator.py and
utils/amg.py), with its thresholds. Rows have masks already; names come from the ontology's prompt `everything`, or from
the boxes of another detector.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from itertools import product
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline import geometry, masks, sam2_image
from pipeline.detectors import Detector, DetectorOptions, InnerDetector
from pipeline.media import Picture
from pipeline.pretrained import Pretrained
from pipeline.records import Instances, concatenate, empty
from pipeline.sam2_image import Embedding, Prompt, Sam2Image
from pipeline.seams import Device

WORD = "everything"
"""The only prompt that is known without a detector that names."""

POINTS_A_TIME = 64  # points_per_batch: three maps of 256 x 256 each are in memory at once
OVERLAP = 512 / 1500  # crop_overlap_ratio, of the shorter side
EDGE_PX = 20  # is_box_near_crop_edge: what is cut by a crop's edge is found whole elsewhere

Box = tuple[int, int, int, int]


class Everything(Pretrained, DetectorOptions):
    """What SAM 2 finds on its own.

    `points_per_side` of the grid. `crop_layers` look at the picture in 2 x 2, then 4 x 4 overlapping crops as well, for
    small objects. A mask stays whose own IoU estimate is at least `min_iou` and whose stability is at least
    `min_stability`, unless its box overlaps a better one's by more than `nms` (IoU); of a picture the best
    `max_objects`. With `named_by`, another detector, a mask takes the prompt and the score of the box that overlaps its
    own best; a mask that no box overlaps by `named_iou` is left out.
    """

    opens: ClassVar[Collection[str]] = sam2_image.MODEL_TYPES

    points_per_side: int = Field(default=32, ge=1, le=128)
    crop_layers: int = Field(default=0, ge=0, le=3)
    min_iou: float = Field(default=0.8, ge=0, le=1)
    min_stability: float = Field(default=0.95, ge=0, le=1)
    nms: float = Field(default=0.7, ge=0, le=1)
    max_objects: int = Field(default=1000, ge=1)
    named_by: InnerDetector | None = None
    named_iou: float = Field(default=0.5, ge=0, le=1)

    @property
    def by_name(self) -> bool:
        """As the detector that names."""
        return self.named_by is not None and self.named_by.by_name

    def vocabulary(self) -> tuple[str, ...] | None:
        """One word, unless another detector knows more."""
        return (WORD,) if self.named_by is None else None

    def refused(self, prompts: Sequence[str]) -> list[str]:
        """Say how masks get their class, where no prompt does it."""
        if self.named_by is not None:
            return self.named_by.refused(prompts)
        if WORD in prompts:
            return []
        return [f"everything knows no words: give a class the prompt, as in 'object: [{WORD}]', or set detect.named_by"]

    def fetch(self) -> None:
        """Both models."""
        super().fetch()
        if self.named_by is not None:
            self.named_by.fetch()

    def fingerprint(self, device: Device) -> dict[str, Any]:
        """Both models; never a path."""
        namer = self.named_by and [self.named_by.kind(), self.named_by.fingerprint(device)]
        return super().fingerprint(device) | {"named_by": namer}

    def provenance(self) -> dict[str, Any]:
        """Both models."""
        return super().provenance() | ({"named_by": self.named_by.provenance()} if self.named_by else {})

    def open(self, device: Device) -> "_Everything":
        """Load SAM 2, and the detector that names; raises `ModelMissing`."""
        model = sam2_image.open_sam2(self.folder(), self.number_format(device), device)
        return _Everything(self, model, self.named_by.open(device) if self.named_by else None)


class _Everything:
    def __init__(self, options: Everything, model: Sam2Image, namer: Detector | None) -> None:
        self.options, self.model, self.namer = options, model, namer

    def detect(self, pictures: Sequence[Picture], prompts: Sequence[str]) -> list[Instances]:
        """Find everything, if somebody asks for it; name it, if somebody can."""
        if self.namer is None:
            return self._found(pictures) if WORD in prompts else [empty(picture.size_hw) for picture in pictures]
        boxes = self.namer.detect(pictures, prompts)
        out = list(boxes)
        some = [i for i, found in enumerate(boxes) if len(found)]
        for i, found in zip(some, self._found([pictures[i] for i in some]), strict=True):
            out[i] = named(found, boxes[i], self.options.named_iou)
        return out

    def _found(self, pictures: Sequence[Picture]) -> list[Instances]:
        """Everything in each picture: what each of its crops shows."""
        crops = [(i, crop) for i, p in enumerate(pictures) for crop in crops_of(p.size_hw, self.options.crop_layers)]
        parts: list[list[tuple[Box, Instances]]] = [[] for _ in pictures]
        for start in range(0, len(crops), self.model.pictures):
            some = crops[start : start + self.model.pictures]
            seen = self.model.embed([pictures[i].rgb[y0:y1, x0:x1] for i, (x0, y0, x1, y1) in some])
            for (i, crop), embedding in zip(some, seen, strict=True):
                parts[i].append((crop, self._in_crop(embedding, crop, pictures[i].size_hw)))
        return [self._joined(part, p.size_hw) for part, p in zip(parts, pictures, strict=True)]

    def _joined(self, parts: Sequence[tuple[Box, Instances]], size_hw: tuple[int, int]) -> Instances:
        """What the crops of a picture show, of twins that of the smaller crop; the best first."""
        found = concatenate([part for _, part in parts], size_hw)
        if not len(found):
            return found
        fineness = [1 / ((x1 - x0) * (y1 - y0)) for (x0, y0, x1, y1), part in parts for _ in range(len(part))]
        found = found.take(geometry.suppress(found.boxes_xyxy, np.array(fineness, np.float32), self.options.nms))
        scores = found.scores if found.scores is not None else np.zeros(len(found))
        best = sorted(range(len(found)), key=lambda row: (-scores[row], *found.boxes_xyxy[row].tolist()))
        return found.take(best[: self.options.max_objects])

    def _in_crop(self, embedding: Embedding, crop: Box, size_hw: tuple[int, int]) -> Instances:
        """The masks of a crop, in the picture's pixels."""
        x0, y0, x1, y1 = crop
        codes: list[bytes] = []
        quality: list[tuple[float, float]] = []
        grid = grid_of(self.options.points_per_side) * (x1 - x0, y1 - y0)
        for start in range(0, len(grid), POINTS_A_TIME):
            for logits, iou, stable in self._sure(embedding, grid[start : start + POINTS_A_TIME]):
                codes.append(masks.encode_logits(logits, embedding.size_hw))
                quality.append((iou, stable))
        boxes = masks.boxes(codes, embedding.size_hw)
        whole = [row for row in range(len(codes)) if boxes[row].any() and not _is_cut(boxes[row], crop, size_hw)]
        scores = np.array([quality[row][0] for row in whole], np.float32)
        kept = [whole[row] for row in geometry.suppress(boxes[whole], scores, self.options.nms)]
        return Instances(
            size_hw,
            boxes[kept] + np.array([x0, y0, x0, y0], np.float32),
            names=("",) * len(kept),
            scores=np.array([quality[row][0] for row in kept], np.float32).clip(0, 1),
            score_kind=("the segmenter's own IoU estimate",) * len(kept),
            prompts=(WORD,) * len(kept),
            masks=tuple(_moved(codes[row], embedding.size_hw, (x0, y0), size_hw) for row in kept),
            quality=np.array([(*quality[row], 1.0) for row in kept], np.float32).reshape(-1, 3),
            source=("everything",) * len(kept),
        )

    def _sure(self, embedding: Embedding, points_xy: NDArray[np.float64]) -> Iterator[tuple[Any, float, float]]:
        """What the model finds at points and is sure of: a map of logits, its IoU estimate, its stability."""
        marks = [Prompt(points=np.array([[x, y, 1]], np.float32)) for x, y in points_xy]
        logits, iou = self.model.decode(embedding, marks, multimask=True)
        stable = sam2_image.stability(logits)
        for row, k in np.argwhere((iou >= self.options.min_iou) & (stable >= self.options.min_stability)):
            yield logits[row, k], float(iou[row, k]), float(stable[row, k])


def grid_of(points_per_side: int) -> NDArray[np.float64]:
    """Points in the middle of the cells of a grid over a unit square: -> (n * n, 2) of x, y.

    >>> grid_of(2).tolist()
    [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]
    """
    at = (np.arange(points_per_side) + 0.5) / points_per_side
    return np.stack(np.meshgrid(at, at), axis=-1).reshape(-1, 2)


def crops_of(size_hw: tuple[int, int], layers: int) -> Iterator[Box]:
    """The whole picture, then each layer's overlapping crops: boxes in whole pixels.

    `generate_crop_boxes` of sam2/utils/amg.py. A side too short to be cut stays whole.
    """
    h, w = size_hw
    yield 0, 0, w, h
    for layer in range(layers):
        n = 2 ** (layer + 1)
        overlap = int(OVERLAP * min(h, w) * 2 / n)
        side_h, side_w = (-(-(overlap * (n - 1) + side) // n) for side in (h, w))
        for row, column in product(range(n), range(n)):
            x, y = column * (side_w - overlap), row * (side_h - overlap)
            if x < w and y < h:
                yield x, y, min(x + side_w, w), min(y + side_h, h)


def named(found: Instances, boxes: Instances, least_iou: float) -> Instances:
    """The masks that a detector's boxes name: each takes prompt, score and its kind from the box that fits it best."""
    if not len(found):
        return replace(found, unplaced=boxes.unplaced)
    iou = geometry.box_iou(found.boxes_xyxy, boxes.boxes_xyxy)
    rows = np.flatnonzero(iou.max(axis=1) >= least_iou)
    theirs = boxes.take(iou.argmax(axis=1)[rows])
    columns = {name: getattr(theirs, name) for name in ("scores", "score_kind", "prompts")}
    return replace(found.take(rows), **columns, unplaced=boxes.unplaced)


def _is_cut(box_xyxy: NDArray[np.float32], crop: Box, size_hw: tuple[int, int]) -> bool:
    """Whether a box ends where its crop does, and the picture goes on."""
    x0, y0, x1, y1 = crop
    ends = np.array([0, 0, x1 - x0, y1 - y0])
    goes_on = np.array([x0, y0, x1 - size_hw[1], y1 - size_hw[0]]) != 0
    return bool((goes_on & (np.abs(box_xyxy - ends) <= EDGE_PX)).any())


def _moved(code: bytes, crop_hw: tuple[int, int], corner_xy: tuple[int, int], size_hw: tuple[int, int]) -> bytes:
    """A mask of a crop as one of the picture."""
    if crop_hw == size_hw:
        return code
    bits, (x, y) = masks.decode_crop(code, crop_hw)
    return masks.encode_crop(bits, (x + corner_xy[0], y + corner_xy[1]), size_hw)
