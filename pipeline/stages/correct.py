"""Correct: people's decisions about the rows of a picture; where they gave clicks or a box, the segmenter is asked.

Its key has the decisions about the one picture in it, so that a line changes that picture only, and its answers are
remembered, so that a line taken out again costs nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from pipeline import geometry, masks
from pipeline.corrections import Correction, Corrections, digest
from pipeline.decisions import Decided, Object, decided
from pipeline.errors import blame
from pipeline.media import Picture
from pipeline.records import CONSTANT, CORRECTED, Change, Clip, Drop, Instances, concatenate, empty, sha256_of
from pipeline.seams import Device
from pipeline.segmenters import Segmenter, SegmenterOptions
from pipeline.stages.segment import said_of_rows
from pipeline.stages.stage import Batch, Memory, ModelStage

OF_THE_CLASS = ("probability", "verified", "looks_like")
"""What `extra` has of a row's class: of another class it means nothing."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What the segmenter is asked of an object: a box, or clicks and what is known besides."""

    box_xyxy: NDArray[np.float32]
    points: NDArray[np.float32] | None = None
    mask: bytes | None = None

    @property
    def part(self) -> str:
        """Under which the answer is remembered."""
        points = None if self.points is None else self.points.tolist()
        old = None if self.mask is None else self.mask.decode("ascii")
        return sha256_of([self.box_xyxy.tolist(), points, old])[:32]


@dataclass
class Correct(ModelStage):
    """What people decided; `classes` are those of the ontology."""

    options: SegmenterOptions
    device: Device
    corrections: Corrections
    classes: tuple[str, ...]
    name = "correct"
    VERSION = 1

    def identity(self) -> dict[str, Any]:
        return {}

    @property
    def model_name(self) -> str:
        return "segment"

    @cached_property
    def known(self) -> frozenset[str]:
        """The classes that a dataset may have."""
        return frozenset(self.classes)

    def lines(self, clip: Clip) -> tuple[Correction, ...]:
        """What is decided about a picture."""
        return self.corrections.of(clip.id, clip.frames[0].size_hw)

    def named(self, clip: Clip) -> list[str]:
        lines = self.lines(clip)
        if not lines:
            return []
        asks = any(line.do != "mask" for line in lines)
        there = sorted(self.known & {line.class_was for line in lines})
        return [digest(lines), self.scope if asks else "", *there]

    def open(self) -> Segmenter:
        return self.options.open(self.device)

    def decided(self, clip: Clip) -> Decided:
        """What becomes of a picture whose rows are those before this stage."""
        found = clip.found[0] if clip.found else empty(clip.frames[0].size_hw)
        return decided(clip.id, found, self.lines(clip), self.known)

    def will_ask(self, clip: Clip, memory: Memory) -> bool:
        return any(memory.get(clip, ask.part) is None for ask in _asks(clip, self.decided(clip)).values())

    def changes(self, batch: Batch) -> list[Change]:
        fates = [self.decided(clip) for clip in batch.clips]
        asks = [_asks(clip, fate) for clip, fate in zip(batch.clips, fates, strict=True)]
        self._ask(batch, asks, clicks=False)
        self._ask(batch, asks, clicks=True)
        return [
            corrected(clip.found[0], fate, {number: _recalled(batch.memory, clip, ask) for number, ask in own.items()})
            for clip, fate, own in zip(batch.clips, fates, asks, strict=True)
        ]

    def _ask(self, batch: Batch, asks: Sequence[dict[int, Ask]], clicks: bool) -> None:
        """Ask the segmenter what is not remembered, with or without clicks, and remember it."""
        missing = [
            [
                ask
                for ask in own.values()
                if (ask.points is not None) == clicks and batch.memory.get(clip, ask.part) is None
            ]
            for clip, own in zip(batch.clips, asks, strict=True)
        ]
        asked = [i for i, own in enumerate(missing) if own]
        if not asked:
            return
        found = [_rows_of(missing[i], batch.clips[i].frames[0].size_hw) for i in asked]
        verb = self._verb(batch.model(), clicks)
        for i, answer in zip(asked, batch.ask(verb, [batch.pictures[i] for i in asked], found), strict=True):
            for ask, said in zip(missing[i], said_of_rows(answer), strict=True):
                batch.memory.new[batch.clips[i].id, ask.part] = said

    def _verb(self, segmenter: Any, clicks: bool) -> Callable[..., list[Instances]]:
        def verb(some: Sequence[Picture], found: Sequence[Instances]) -> list[Instances]:
            with blame(f"correct ({type(self.options).__name__})"):
                answers: list[Instances] = (segmenter.mend if clicks else segmenter.segment)(some, found)
                return answers

        return verb


def _asks(clip: Clip, fate: Decided) -> dict[int, Ask]:
    """What the segmenter is asked, by the number of the object."""
    out = {}
    for number, one in enumerate(fate.objects):
        if one.rejected or (one.points is None and (one.box is None or one.mask)):
            continue
        found = clip.found[0]
        old, (h, w) = one.mask, found.size_hw
        around = one.box or (masks.box(one.mask, found.size_hw) if one.mask else None)
        if around is None and one.row is not None:
            around = tuple(found.boxes_xyxy[one.row].tolist())
            old = found.masks[one.row] if found.masks is not None else None
        box = geometry.clip_boxes(geometry.as_boxes([around or (0, 0, w, h)]), found.size_hw)[0]
        out[number] = Ask(box, one.points, old if one.points is not None else None)
    return out


def _rows_of(asks: Sequence[Ask], size_hw: tuple[int, int]) -> Instances:
    return Instances(
        size_hw,
        np.stack([ask.box_xyxy for ask in asks]),
        ("",) * len(asks),
        points=tuple(ask.points for ask in asks),
        masks=tuple(ask.mask for ask in asks),
    )


def _recalled(memory: Memory, clip: Clip, ask: Ask) -> tuple[bytes | None, list[float]]:
    """The mask that the segmenter gave, None for an empty one, and what it said of it."""
    text, said = orjson.loads(memory.get(clip, ask.part) or b"[null, [null, null]]")
    code = text.encode("ascii") if text else None
    return code if code and masks.area(code) else None, [np.nan if v is None else v for v in said]


def corrected(found: Instances, fate: Decided, said: dict[int, tuple[bytes | None, list[float]]]) -> Change:
    """The rows with people's decisions: `said` is what the segmenter answered, by the number of the object.

    An empty answer changes nothing of a row that is there; one that is not there is not made.
    """
    if not fate.objects:
        return Change({}, tuple(range(len(found))))
    of_row = {one.row: (number, one) for number, one in enumerate(fate.objects) if one.row is not None}
    drops = [Drop(row, "rejected") for row, (_, one) in of_row.items() if one.rejected]
    for row, by in fate.too.items():
        drops.append(Drop(row, "rejected_too") if of_row[by][1].rejected else Drop(row, "decided_already", by))
    gone = {drop.row for drop in drops}
    kept = [row for row in range(len(found)) if row not in gone]
    parts = [_changed(found.take([row]), *of_row[row], said) if row in of_row else _plain(found, row) for row in kept]
    for number, one in enumerate(fate.objects):
        if one.row is None and not one.rejected:
            code, quality = said.get(number, (one.mask, [np.nan, np.nan]))
            if code is None:
                drops.append(Drop(None, "empty_mask", None, one.place))
            else:
                parts.append(_new(one, code, quality, found.size_hw))
    drops.sort(key=lambda drop: (drop.row is None, drop.row or 0))
    return Change.of(concatenate(parts, found.size_hw), drops)


def _plain(found: Instances, row: int) -> Instances:
    """A row nobody decided about, with the columns that the others have."""
    one = found.take([row])
    return replace(one, source=one.source or ("",), extra=one.extra or ({},))


def _changed(row: Instances, number: int, one: Object, said: dict[int, tuple[bytes | None, list[float]]]) -> Instances:
    """A row as a person left it."""
    columns: dict[str, Any] = {"extra": ({**(row.extra or ({},))[0], CORRECTED: one.kinds},)}
    code, quality = said.get(number, (one.mask, [np.nan, np.nan]))
    if code is not None:
        columns |= _shape(code, quality, row.size_hw, one)
    if one.name != row.names[0]:
        extra = {key: value for key, value in columns["extra"][0].items() if key not in OF_THE_CLASS}
        columns |= {"names": (one.name,), "extra": (extra,)}
        columns |= {} if row.scores is None else {"scores": [1.0], "score_kind": (CONSTANT,)}
    columns["source"] = ("human",) if one.is_changed else row.source or ("",)
    return replace(row, **columns)


def _new(one: Object, code: bytes, quality: list[float], size_hw: tuple[int, int]) -> Instances:
    """A row that a person made."""
    return Instances(
        size_hw,
        names=(one.name,),
        scores=np.ones(1, np.float32),
        score_kind=(CONSTANT,),
        prompts=("",),
        source=("human",),
        extra=({CORRECTED: one.kinds},),
        **_shape(code, quality, size_hw, one),
    )


def _shape(code: bytes, quality: list[float], size_hw: tuple[int, int], one: Object) -> dict[str, Any]:
    """The columns of a mask: a box that a person gave stays, else it is the mask's."""
    tight = masks.boxes([code], size_hw)
    box = tight if one.box is None else geometry.clip_boxes(geometry.as_boxes([one.box]), size_hw)
    agreement = float(geometry.paired_iou(tight, box)[0])
    return {
        "masks": (code,),
        "boxes_xyxy": box,
        "points": (one.points,),
        "quality": np.array([[*quality, agreement]], np.float32),
    }
