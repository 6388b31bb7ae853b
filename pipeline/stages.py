"""The verbs: each takes a batch of clips and answers with one `Change` a clip, in order.

A stage knows what its answer depends on (`identity`), what its model was asked before (`Memory`), and how to ask for
the rest. It knows nothing of files, keys, batches or the store. A VERSION is raised when the answer may change.
"""

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from pipeline import dedupe as dedupe_
from pipeline import geometry, masks, media
from pipeline import select as select_
from pipeline.detectors import Detector, DetectorOptions
from pipeline.errors import blame
from pipeline.media import Picture
from pipeline.ontology import Ontology
from pipeline.records import (
    RECORD_VERSION,
    Change,
    Clip,
    Drop,
    Instances,
    concatenate,
    empty,
    sha256_of,
)
from pipeline.seams import Device, Options
from pipeline.segmenters import Segmenter, SegmenterOptions

Ask = Callable[[Callable[..., list[Instances]], Sequence[Picture], Sequence[Any]], list[Instances]]
"""Calls a model's verb on pictures and one more column; makes the batch smaller when memory runs out."""


@dataclass
class Memory:
    """What a model said before of the clips at hand: (clip id, part) -> bytes; `new` is what it says now."""

    known: Mapping[tuple[str, str], bytes] = field(default_factory=dict)
    new: dict[tuple[str, str], bytes] = field(default_factory=dict)

    def get(self, clip: Clip, part: str) -> bytes | None:
        """What was said of a part of a clip, now or before."""
        key = (clip.id, part)
        return self.new.get(key, self.known.get(key))


@dataclass
class Batch:
    """Clips that go through a stage together: their pictures, what models said of them, and how to ask for more.

    `model` opens the stage's backend when it is first called for. `ask` calls a verb of it on some pictures and one
    more column, with fewer at a time when memory runs out.
    """

    clips: Sequence[Clip]
    pictures: Sequence[Picture]
    memory: Memory
    model: Callable[[], Any]
    ask: Ask


class Stage:
    """What the engine needs to know of every stage."""

    name: ClassVar[str]
    VERSION: ClassVar[int]
    looks: bool = False
    """Whether its backend looks at pixels."""

    def identity(self) -> dict[str, Any]:
        """All that its answer depends on besides the clip: plain JSON values."""
        raise NotImplementedError

    @cached_property
    def scope(self) -> str:
        """The hash under which its model's answers are remembered; '' if it has no model."""
        return ""

    @cached_property
    def _self_hash(self) -> str:
        return sha256_of([RECORD_VERSION, self.name, self.VERSION, self.identity()])

    def key(self, clip: Clip, input_digest: str) -> str:
        """The key of its answer for a clip whose record has this digest."""
        return sha256_of([self._self_hash, input_digest, *self.named(clip)])

    def named(self, clip: Clip) -> list[str]:
        """The clip's name, if its backend goes by names."""
        return []

    def open(self) -> Any:
        """Load its model, if it has one."""
        return None

    def will_ask(self, clip: Clip, memory: Memory) -> bool:
        """Whether its model has to be asked anything about a clip."""
        return False

    def changes(self, batch: Batch) -> list[Change]:
        """One change a clip, in order."""
        raise NotImplementedError


def _scope(stage: Stage, options: Options, device: Device) -> str:
    """The hash of a model and all that its answers depend on besides the clip."""
    pixels = media.VERSION if options.looks else 0
    made_by = [stage.name, stage.VERSION, options.kind(), options.fingerprint(device), pixels]
    return sha256_of([RECORD_VERSION, *made_by])


@dataclass
class Detect(Stage):
    """Boxes for the ontology's prompts."""

    options: DetectorOptions
    ontology: Ontology
    device: Device
    name = "detect"
    VERSION = 1

    def __post_init__(self) -> None:
        self.looks = self.options.looks

    def identity(self) -> dict[str, Any]:
        return {"scope": self.scope, "meaning": self.ontology.meaning()}

    @cached_property
    def scope(self) -> str:
        return _scope(self, self.options, self.device)

    @cached_property
    def questions(self) -> dict[str, tuple[str, ...]]:
        """What is asked and remembered on its own: question -> prompts, in an order that is not the ontology's."""
        vocabulary = self.options.vocabulary()
        if vocabulary is not None:
            return {"vocabulary": vocabulary}
        prompts = tuple(sorted(self.ontology.prompts()))
        if self.options.independent_classes:
            return {prompt: (prompt,) for prompt in prompts}
        return {json.dumps(prompts): prompts}

    def open(self) -> Detector:
        return self.options.open(self.device)

    def named(self, clip: Clip) -> list[str]:
        return [clip.name] if self.options.by_name else []

    def part(self, clip: Clip, question: str) -> str:
        """Under which the answer to a question about a clip is remembered."""
        return "\n".join([question, *self.named(clip)])

    def unasked(self, clip: Clip, memory: Memory) -> tuple[str, ...]:
        """The questions whose answers are not remembered."""
        return tuple(q for q in self.questions if memory.get(clip, self.part(clip, q)) is None)

    def will_ask(self, clip: Clip, memory: Memory) -> bool:
        return bool(self.unasked(clip, memory))

    def changes(self, batch: Batch) -> list[Change]:
        groups: dict[tuple[str, ...], list[int]] = {}
        for i, clip in enumerate(batch.clips):
            groups.setdefault(self.unasked(clip, batch.memory), []).append(i)
        for questions, rows in groups.items():
            if questions:
                self._ask(batch, questions, rows)
        return [self._named(clip, batch.memory) for clip in batch.clips]

    def _ask(self, batch: Batch, questions: tuple[str, ...], rows: Sequence[int]) -> None:
        """Ask the model the same questions about some clips, and remember the answers one by one."""
        detector: Detector = batch.model()
        prompts = [prompt for question in questions for prompt in self.questions[question]]

        def verb(some: Sequence[Picture], _: Sequence[None]) -> list[Instances]:
            with blame(f"detect ({type(self.options).__name__})"):
                return detector.detect(some, prompts)

        for i, found in zip(rows, batch.ask(verb, [batch.pictures[i] for i in rows], [None] * len(rows)), strict=True):
            clip = batch.clips[i]
            for question in questions:
                batch.memory.new[clip.id, self.part(clip, question)] = _said_of(found, self.questions[question])

    def _named(self, clip: Clip, memory: Memory) -> Change:
        """The answers to all questions, less what no class asks for, with the names of classes."""
        size_hw = clip.frames[0].size_hw
        blobs = (memory.get(clip, self.part(clip, question)) for question in self.questions)
        found = concatenate([_recalled(blob, size_hw) for blob in blobs if blob], size_hw)
        meaning = self.ontology.meaning()
        outside = [(meaning[prompt] or prompt, words) for prompt, words in found.unplaced if prompt in meaning]
        wanted = found.take([i for i, prompt in enumerate(found.prompts or ()) if prompt in meaning])
        names = tuple(meaning[prompt] for prompt in wanted.prompts or ())
        named = Instances(size_hw, **{**wanted.columns(), "names": names})
        return Change.of(named, [Drop(None, "outside", None, f"{name}: {words}") for name, words in outside])


def _said_of(found: Instances, prompts: Sequence[str]) -> bytes:
    """What a detector said of some prompts, for the memory."""
    mine = found.take([row for row, prompt in enumerate(found.prompts or ()) if prompt in prompts])
    unplaced = [[prompt, words] for prompt, words in found.unplaced if prompt in prompts]
    return zlib.compress(json.dumps([Change.of(mine).to_json(), unplaced]).encode(), 1)


def _recalled(said: bytes, size_hw: tuple[int, int]) -> Instances:
    """What a detector said, from the memory."""
    form, unplaced = json.loads(zlib.decompress(said))
    rows = Change.from_json(form).applied_to(empty(size_hw))
    return replace(rows, unplaced=tuple((prompt, words) for prompt, words in unplaced))


@dataclass
class Select(Stage):
    """Thresholds, negatives and sizes."""

    rules: select_.Rules
    ontology: Ontology
    name = "select"
    VERSION = select_.VERSION

    def identity(self) -> dict[str, Any]:
        return select_.identity(self.rules, self.ontology)

    def changes(self, batch: Batch) -> list[Change]:
        return [select_.select(clip.found[0], self.rules, self.ontology) for clip in batch.clips]


@dataclass
class Segment(Stage):
    """Masks for the rows that have none, remembered row by row."""

    options: SegmenterOptions
    device: Device
    name = "segment"
    VERSION = 1

    def __post_init__(self) -> None:
        self.looks = self.options.looks

    def identity(self) -> dict[str, Any]:
        return {"scope": self.scope}

    @cached_property
    def scope(self) -> str:
        return _scope(self, self.options, self.device)

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
                for row, said in zip(missing[i], _said_of_rows(answer), strict=True):
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
    for row in range(len(found)):
        has_mask = found.masks is not None and found.masks[row] is not None
        hidden = found.visible is not None and not found.visible[row]
        if not has_mask and not hidden:
            points = found.points[row] if found.points is not None else None
            marks = [found.boxes_xyxy[row].tolist(), None if points is None else points.tolist()]
            out[row] = sha256_of(marks)[:32]
    return out


def _said_of_rows(answer: Instances) -> list[bytes]:
    """What the segmenter said of each row, for the memory."""
    codes = answer.masks or (None,) * len(answer)
    quality = np.full((len(answer), 3), np.nan) if answer.quality is None else answer.quality.astype(np.float64)
    return [
        json.dumps(
            [code.decode("ascii") if code else None, [None if np.isnan(v) else round(float(v), 4) for v in own[:2]]]
        ).encode()
        for code, own in zip(codes, quality, strict=True)
    ]


def _with_masks(clip: Clip, parts: Mapping[int, str], memory: Memory) -> Change:
    """The rows with their masks; a row whose mask is empty goes."""
    found = clip.found[0]
    codes = list(found.masks or (None,) * len(found))
    quality = np.full((len(found), 3), np.nan) if found.quality is None else found.quality.astype(np.float64)
    for row, part in parts.items():
        text, own = json.loads(memory.get(clip, part) or b"[null, [null, null]]")
        codes[row] = text.encode("ascii") if text else None
        quality[row, :2] = [np.nan if v is None else v for v in own]
    tight = masks.boxes([code or masks.NOTHING for code in codes], found.size_hw)
    drops = [Drop(row, "empty_mask") for row in parts if not tight[row].any()]
    gone = {drop.row for drop in drops}
    kept = [row for row in range(len(found)) if row not in gone]
    quality[kept, 2] = geometry.paired_iou(tight[kept], found.boxes_xyxy[kept])
    columns = {"masks": tuple(codes[row] for row in kept), "quality": quality[kept]}
    return Change(columns, tuple(kept), tuple(drops))


@dataclass
class Dedupe(Stage):
    """One row an object."""

    rules: dedupe_.Rules
    name = "dedupe"
    VERSION = dedupe_.VERSION

    def identity(self) -> dict[str, Any]:
        return self.rules.model_dump(mode="json")

    def changes(self, batch: Batch) -> list[Change]:
        return [dedupe_.dedupe(clip.found[0], self.rules) for clip in batch.clips]
