"""Segment: ask a segmenter for the masks that rows lack, remember each, and let go of rows whose mask is empty."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from pipeline import forms, geometry, masks
from pipeline.errors import blame
from pipeline.media import Picture
from pipeline.records import Change, Clip, Drop, Instances, sha256_of
from pipeline.seams import Device
from pipeline.segmenters import Segmenter, SegmenterOptions, bare
from pipeline.stages.stage import Batch, Memory, ModelStage


@dataclass
class Segment(ModelStage):
    """Masks for the rows that have none, remembered row by row."""

    options: SegmenterOptions
    device: Device
    name = "segment"
    VERSION = 1

    def identity(self) -> dict[str, Any]:
        return {"scope": self.scope}

    def open(self) -> Segmenter:
        return self.options.open(self.device)

    def will_ask(self, clip: Clip, memory: Memory) -> bool:
        return any(memory.get(clip, part) is None for part in _prompts_of_rows(clip.found[0]).values())

    def changes(self, batch: Batch) -> list[Change]:
        clips, memory = batch.clips, batch.memory
        prompts = [_prompts_of_rows(clip.found[0]) for clip in clips]
        missing = [
            [row for row, part in parts.items() if memory.get(clip, part) is None]
            for clip, parts in zip(clips, prompts, strict=True)
        ]
        asked = [i for i, rows in enumerate(missing) if rows]
        if asked:
            found = [clips[i].found[0].take(missing[i]) for i in asked]
            answers = batch.ask(self._verb(batch.model()), [batch.pictures[i] for i in asked], found)
            for i, answer in zip(asked, answers, strict=True):
                for row, said in zip(missing[i], said_of_rows(answer), strict=True):
                    memory.new[clips[i].id, prompts[i][row]] = said
        return [_with_masks(clip, parts, memory) for clip, parts in zip(clips, prompts, strict=True)]

    def _verb(self, segmenter: Segmenter) -> Callable[..., list[Instances]]:
        def verb(some: Sequence[Picture], found: Sequence[Instances]) -> list[Instances]:
            with blame(f"segment ({type(self.options).__name__})"):
                answers = segmenter.segment(some, found)
                for rows, answer in zip(found, answers, strict=False):
                    if len(answer) != len(rows):
                        raise ValueError(f"gave {len(answer)} rows for {len(rows)}")
                return answers

        return verb


def _prompts_of_rows(found: Instances) -> dict[int, str]:
    """The rows that want a mask, each with the hash of what marks it: its box and points, not its class."""
    out = {}
    for row in bare(found):
        points = found.points[row] if found.points is not None else None
        marks = [found.boxes_xyxy[row].tolist(), None if points is None else points.tolist()]
        out[row] = sha256_of(marks)[:32]
    return out


def said_of_rows(answer: Instances) -> list[bytes]:
    """What the segmenter said of each row, for the memory."""
    codes = answer.masks or (None,) * len(answer)
    unknown = np.full((len(answer), 3), np.nan)
    quality = forms.to_json({"quality": unknown if answer.quality is None else answer.quality})["quality"]
    said = ([code.decode("ascii") if code else None, own[:2]] for code, own in zip(codes, quality, strict=True))
    return [orjson.dumps(row) for row in said]


def _with_masks(clip: Clip, parts: Mapping[int, str], memory: Memory) -> Change:
    """The rows with their masks; a row whose mask is empty goes."""
    found = clip.found[0]
    codes = list(found.masks or (None,) * len(found))
    quality = np.full((len(found), 3), np.nan) if found.quality is None else found.quality.astype(np.float64)
    for row, part in parts.items():
        text, own = orjson.loads(memory.get(clip, part) or b"[null, [null, null]]")
        codes[row] = text.encode("ascii") if text else None
        quality[row, :2] = [np.nan if v is None else v for v in own]
    tight = masks.boxes([code or masks.NOTHING for code in codes], found.size_hw)
    drops = [Drop(row, "empty_mask") for row in parts if not tight[row].any()]
    gone = {drop.row for drop in drops}
    kept = [row for row in range(len(found)) if row not in gone]
    quality[kept, 2] = geometry.paired_iou(tight[kept], found.boxes_xyxy[kept])
    columns = {"masks": tuple(codes[row] for row in kept), "quality": quality[kept]}
    return Change(columns, tuple(kept), tuple(drops))
