"""Detect: ask a detector what was never asked, remember each answer, and give rows the names of classes."""

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import orjson

from pipeline.detectors import Detector, DetectorOptions
from pipeline.errors import blame
from pipeline.media import Picture
from pipeline.ontology import Ontology
from pipeline.records import Change, Clip, Drop, Instances, concatenate, empty
from pipeline.seams import Device
from pipeline.stages.stage import Batch, Memory, ModelStage


@dataclass
class Detect(ModelStage):
    """Boxes for the ontology's prompts."""

    options: DetectorOptions
    ontology: Ontology
    device: Device
    name = "detect"
    VERSION = 1

    def identity(self) -> dict[str, Any]:
        return {"scope": self.scope, "meaning": self.ontology.meaning()}

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
    return zlib.compress(orjson.dumps([Change.of(mine).to_json(), unplaced]), 1)


def _recalled(said: bytes, size_hw: tuple[int, int]) -> Instances:
    """What a detector said, from the memory."""
    form, unplaced = orjson.loads(zlib.decompress(said))
    rows = Change.from_json(form).applied_to(empty(size_hw))
    return replace(rows, unplaced=tuple((prompt, words) for prompt, words in unplaced))
