"""Verify: ask a second model whether what is in a box is of its class, and remember each answer.

The detector's score stays what it is. A row's answer stands in `extra`: `verified`, and `looks_like` where the second
model's likeliest words are not the class's own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import orjson

from pipeline import select
from pipeline.errors import blame
from pipeline.media import Picture
from pipeline.ontology import Category, Ontology
from pipeline.records import Change, Clip, Instances, sha256_of
from pipeline.seams import Device
from pipeline.stages.stage import Batch, Memory, ModelStage
from pipeline.verifiers import Verdict, Verifier, VerifierOptions, Words


@dataclass
class Verify(ModelStage):
    """Second opinions on the rows that reach their class's threshold, remembered by box and words."""

    options: VerifierOptions
    rules: select.Rules
    ontology: Ontology
    device: Device
    name = "verify"
    VERSION = 1

    def identity(self) -> dict[str, Any]:
        words = {name: tuple(words) for name, words in self.words.items()}
        return {"scope": self.scope, "thresholds": self.thresholds, "words": words}

    @cached_property
    def thresholds(self) -> dict[str, float]:
        """The lowest score asked about, by class."""
        return select.thresholds(self.rules, self.ontology)

    @cached_property
    def words(self) -> dict[str, Words]:
        """What the model is asked of each class, whatever the order of classes and prompts."""
        return {c.name: words_of(c, self.ontology) for c in self.ontology.active}

    def open(self) -> Verifier:
        return self.options.open(self.device)

    def parts(self, found: Instances) -> dict[int, str]:
        """The rows to ask about, each with the hash of its box and words: under that the answer is remembered."""
        scores = [1.0] * len(found) if found.scores is None else found.scores.astype(float).round(4).tolist()
        return {
            row: sha256_of([found.boxes_xyxy[row].tolist(), tuple(self.words[name])])[:32]
            for row, (name, score) in enumerate(zip(found.names, scores, strict=True))
            if name in self.words and score >= self.thresholds[name]
        }

    def will_ask(self, clip: Clip, memory: Memory) -> bool:
        return any(memory.get(clip, part) is None for part in self.parts(clip.found[0]).values())

    def changes(self, batch: Batch) -> list[Change]:
        clips, memory = batch.clips, batch.memory
        parts = [self.parts(clip.found[0]) for clip in clips]
        missing = [
            [row for row, part in own.items() if memory.get(clip, part) is None]
            for clip, own in zip(clips, parts, strict=True)
        ]
        asked = [i for i, rows in enumerate(missing) if rows]
        if asked:
            found = [clips[i].found[0].take(missing[i]) for i in asked]
            answers = batch.ask(self._verb(batch.model()), [batch.pictures[i] for i in asked], found)
            for i, answer in zip(asked, answers, strict=True):
                for row, said in zip(missing[i], answer.extra or (), strict=True):
                    memory.new[clips[i].id, parts[i][row]] = orjson.dumps(said)
        return [_with_opinions(clip, own, memory) for clip, own in zip(clips, parts, strict=True)]

    def _verb(self, verifier: Verifier) -> Any:
        def verb(some: Sequence[Picture], found: Sequence[Instances]) -> list[Instances]:
            with blame(f"verify ({type(self.options).__name__})"):
                answers = verifier.verify(some, found, self.words)
                return [
                    replace(rows, extra=tuple(_said(one, self.words[name]) for one, name in pairs))
                    for rows, answer in zip(found, answers, strict=True)
                    for pairs in [list(zip(answer, rows.names, strict=True))]
                ]

        return verb


def words_of(category: Category, ontology: Ontology) -> Words:
    """The words of a class, and what it is told from: each other class, each of its negatives that is none of those."""
    classes = [tuple(sorted(c.prompts)) for c in ontology.active if c.name != category.name]
    told = {prompt for group in classes for prompt in group}
    negatives = [(prompt,) for prompt in category.negatives if prompt not in told]
    return Words(tuple(sorted(category.prompts)), tuple(sorted([*classes, *negatives])))


def _said(verdict: Verdict, words: Words) -> dict[str, Any]:
    """What the record keeps of an answer."""
    share = {"verified": round(float(verdict.share), 4)}
    return share if verdict.likeliest in words.own else {**share, "looks_like": verdict.likeliest}


def _with_opinions(clip: Clip, parts: Mapping[int, str], memory: Memory) -> Change:
    """All rows, those asked about with what was said of them."""
    found = clip.found[0]
    every = tuple(range(len(found)))
    if not parts:
        return Change({}, every)
    extra = [dict(row) for row in found.extra or ({},) * len(found)]
    for row, part in parts.items():
        extra[row] |= orjson.loads(memory.get(clip, part) or b"{}")
    return Change({"extra": tuple(extra)}, every)
