"""The stages that have no model: select and dedupe, which are pure functions of a record."""

from dataclasses import dataclass
from typing import Any

from pipeline import dedupe as dedupe_
from pipeline import select as select_
from pipeline.ontology import Ontology
from pipeline.records import Change
from pipeline.stages.stage import Batch, Stage


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
class Dedupe(Stage):
    """One row an object."""

    rules: dedupe_.Rules
    name = "dedupe"
    VERSION = dedupe_.VERSION

    def identity(self) -> dict[str, Any]:
        return self.rules.model_dump(mode="json")

    def changes(self, batch: Batch) -> list[Change]:
        return [dedupe_.dedupe(clip.found[0], self.rules) for clip in batch.clips]
