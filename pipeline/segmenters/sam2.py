"""SAM 2 as a segmenter: what marks a row to a mask, and a second look where the mask leaves its box.

Ravi et al., "SAM 2: Segment Anything in Images and Videos", 2024. pipeline.sam2_image is the model.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline import geometry, masks
from pipeline.media import Picture
from pipeline.pretrained import Pretrained
from pipeline.records import Instances
from pipeline.sam2_image import MODEL_TYPES, Embedding, Prompt, Sam2Image, logits_of, open_sam2, stability
from pipeline.seams import Device
from pipeline.segmenters import SegmenterOptions, bare, is_anywhere


class Sam2(Pretrained, SegmenterOptions):
    """SAM 2 or 2.1 of any size, asked by box, by points, or by both.

    `retry_below`: a mask whose own box overlaps the box asked for by less (IoU) is held against the model's three
    other readings of the same prompt, and the best of the four is kept; 0 never asks again. At 0.5, the default, an
    evaluation would count the two boxes as two objects (PASCAL VOC, and AP50 of COCO); it was not tuned on data.
    """

    mends: ClassVar[bool] = True
    opens: ClassVar[Collection[str]] = MODEL_TYPES

    retry_below: float = Field(default=0.5, ge=0, le=1)

    def open(self, device: Device) -> "_Sam2":
        """Load the model; raises `ModelMissing`."""
        return _Sam2(open_sam2(self.folder(), self.number_format(device), device), self.retry_below)


class Answer(NamedTuple):
    """A mask, and what the model says of it: its own IoU, its stability."""

    code: bytes
    iou: float
    stability: float


class _Sam2:
    def __init__(self, sam2: Sam2Image, retry_below: float) -> None:
        self.sam2, self.retry_below = sam2, retry_below

    def segment(self, pictures: Sequence[Picture], found: Sequence[Instances]) -> list[Instances]:
        """Make a mask for each row that has none; a picture without such a row is not looked at."""
        answers = list(found)
        asked = [i for i, rows in enumerate(found) if bare(rows)]
        for start in range(0, len(asked), self.sam2.pictures):
            some = asked[start : start + self.sam2.pictures]
            for i, embedding in zip(some, self.sam2.embed([pictures[i].rgb for i in some]), strict=True):
                rows = bare(found[i])
                said = self._answers(embedding, [prompt_of(found[i], row) for row in rows])
                answers[i] = filled(found[i], dict(zip(rows, said, strict=True)))
        return answers

    def mend(self, pictures: Sequence[Picture], found: Sequence[Instances]) -> list[Instances]:
        """Ask again with clicks, one after the other: with the mask by then, and all clicks so far.

        So SAM and SAM 2 were trained and are judged; and the same clicks give the same mask, however often they were
        saved in between.
        """
        answers = list(found)
        asked = [i for i, rows in enumerate(found) if len(rows)]
        for start in range(0, len(asked), self.sam2.pictures):
            some = asked[start : start + self.sam2.pictures]
            for i, embedding in zip(some, self.sam2.embed([pictures[i].rgb for i in some]), strict=True):
                said = {row: self._clicked(embedding, found[i], row) for row in range(len(found[i]))}
                answers[i] = filled(found[i], said)
        return answers

    def _clicked(self, embedding: Embedding, found: Instances, row: int) -> Answer:
        """The mask of a row after all its clicks."""
        box, points = found.boxes_xyxy[row], found.points[row] if found.points is not None else None
        code = found.masks[row] if found.masks is not None else None
        answer = Answer(code or masks.NOTHING, float("nan"), float("nan"))
        for count in range(1, 1 + (0 if points is None else len(points))):
            answer = self._reading(embedding, answer.code, box, points[:count])  # type: ignore[index]
        return answer

    def _reading(
        self, embedding: Embedding, code: bytes, box: NDArray[np.float32], points: NDArray[np.float32]
    ) -> Answer:
        """The first reading that holds to every click, else the one that holds to most of them.

        A mask that is quite wrong can outweigh the clicks; then the box is asked with them, and they alone.
        """
        h, w = embedding.size_hw
        prompts = []
        if masks.area(code):
            old = masks.decode(code, embedding.size_hw)
            prompts.append(Prompt(points=points, mask_logits=logits_of(old, self.sam2.map_hw)))
        if not is_anywhere(box, embedding.size_hw):
            prompts.append(Prompt(box, points))
        if (points[:, 2] > 0).any():
            prompts.append(Prompt(points=points))
        best_one, most = Answer(masks.NOTHING, float("nan"), float("nan")), -1
        for prompt in prompts:
            ((answer,),) = self._decoded(embedding, [prompt], multimask=False)
            mask = masks.decode(answer.code, embedding.size_hw)
            x, y = np.minimum(points[:, :2].astype(np.int64), (w - 1, h - 1)).T
            held = int((mask[y, x] == (points[:, 2] > 0)).sum())
            if held > most:
                best_one, most = answer, held
            if most == len(points):
                break
        return best_one

    def _answers(self, embedding: Embedding, prompts: Sequence[Prompt]) -> list[Answer]:
        """One mask a prompt: the model's first, or the best of four where that one leaves its box."""
        first = [answers[0] for answers in self._decoded(embedding, prompts, multimask=False)]
        doubtful = [
            n for n, prompt in enumerate(prompts) if agreement(first[n], prompt, embedding.size_hw) < self.retry_below
        ]
        readings = self._decoded(embedding, [prompts[n] for n in doubtful], multimask=True)
        for n, others in zip(doubtful, readings, strict=True):
            first[n] = best([first[n], *others], prompts[n], embedding.size_hw)
        return first

    def _decoded(self, embedding: Embedding, prompts: Sequence[Prompt], multimask: bool) -> list[list[Answer]]:
        logits, iou = self.sam2.decode(embedding, prompts, multimask)
        steady = stability(logits)
        return [
            [
                Answer(masks.encode_logits(each, embedding.size_hw), float(own), float(firm))
                for each, own, firm in zip(*row, strict=True)
            ]
            for row in zip(logits, iou, steady, strict=True)
        ]


def prompt_of(found: Instances, row: int) -> Prompt:
    """What marks a row. A box of the whole picture around a point says nothing: it stands where no box was given."""
    box = found.boxes_xyxy[row]
    points = None if found.points is None else found.points[row]
    if points is not None and (points[:, 2] > 0).any() and is_anywhere(box, found.size_hw):
        return Prompt(points=points)
    return Prompt(box, points)


def agreement(answer: Answer, prompt: Prompt, size_hw: tuple[int, int]) -> float:
    """How well a mask's own box overlaps the box that was asked for (IoU); 1 where none was."""
    if prompt.box_xyxy is None:
        return 1.0
    tight = masks.boxes([answer.code], size_hw)
    return float(geometry.paired_iou(tight, prompt.box_xyxy[None])[0])


def best(answers: Sequence[Answer], prompt: Prompt, size_hw: tuple[int, int]) -> Answer:
    """The reading that agrees most with its box, weighed by the model's own IoU; the first of equals."""
    return max(answers, key=lambda answer: agreement(answer, prompt, size_hw) * answer.iou)


def filled(found: Instances, said: dict[int, Answer]) -> Instances:
    """The rows with the masks that were made for them, and what the model says of those."""
    codes = list(found.masks or (None,) * len(found))
    quality = np.full((len(found), 3), np.nan, np.float32) if found.quality is None else found.quality.copy()
    for row, answer in said.items():
        codes[row] = answer.code
        quality[row, :2] = answer.iou, answer.stability
    return replace(found, masks=tuple(codes), quality=quality)
