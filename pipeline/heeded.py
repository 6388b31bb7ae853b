"""What became of people's corrections in a run: which were applied, which could not be, what they say of each class.

Nothing is asked: the rows before the stage are read again, of the pictures that have corrections only.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from pipeline.corrections import KINDS, Correction, digest
from pipeline.decisions import Decided
from pipeline.labelled import Labelled, replayed
from pipeline.stages import Correct, Identify, Stage
from pipeline.store import Store

NOTHING_THERE = "the segmenter finds nothing there"
NOT_HERE = "its picture is not in this run"


@dataclass(slots=True)
class Heeded:
    """The lines of a run's corrections: `missed` are (picture, file and line, why), `by_class` is what people did."""

    lines: int = 0
    applied: Counter[str] = field(default_factory=Counter)
    missed: list[tuple[str, str, str]] = field(default_factory=list)
    by_class: dict[str, Counter[str]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The figures of summary.json, none where there is no line.

        'overruled' are lines that a later one about the same object makes void.
        """
        if not self.lines:
            return {}
        applied = {kind: self.applied[kind] for kind in KINDS if self.applied[kind]}
        return {
            "lines": self.lines,
            "applied": applied,
            "not_applied": len(self.missed),
            "overruled": self.lines - self.applied.total() - len(self.missed),
            "by_class": {name: dict(sorted(did.items())) for name, did in sorted(self.by_class.items())},
        }

    def add(self, name: str, fate: Decided) -> None:
        """What became of a picture."""
        self.applied.update(line.do for line in fate.applied)
        self.missed += [(name, line.where, why) for line, why in fate.missed]
        self.count(fate.by_class())

    def count(self, by_class: Sequence[tuple[str, str]]) -> None:
        """Add what people did to objects: (class, kind)."""
        for name, kind in by_class:
            self.by_class.setdefault(name, Counter())[kind] += 1


def heeded(stages: Sequence[Stage], film_stages: Sequence[Stage], done: Mapping[str, Labelled], store: Store) -> Heeded:
    """What became of the corrections of a run, whose pictures and films are `done`; nothing in a run without."""
    places = {stage.name: (at, stage) for at, stage in enumerate(stages)}
    at, correct = places.get("correct", (0, None))
    if not isinstance(correct, Correct):
        return Heeded()
    corrections = correct.corrections
    out = Heeded(len(corrections.lines))
    labelled = {one.whole.id: one for one in done.values() if one.whole.id in corrections.by_picture}
    for picture, lines in corrections.by_picture.items():
        one = labelled.get(picture)
        if one is None:
            out.missed += [(line.name or picture, line.where, NOT_HERE) for line in lines]
        elif one.whole.is_film:
            _add_film(out, one, film_stages[-1], store)
        else:
            ((clip, chain),) = one.parts
            fate = correct.decided(replayed(clip, chain.keys[:at], store))
            empty = {drop.detail for drop in store.drops(chain.keys[at]) if drop.row is None}
            out.add(clip.name, _without(fate, empty))
    return out


def _without(fate: Decided, empty: set[str]) -> Decided:
    """The fate, less the objects for which the segmenter gave nothing."""
    lost = [one for one in fate.objects if one.row is None and not one.rejected and one.place in empty]
    lines = [line for one in lost for line in one.lines]
    fate.objects = [one for one in fate.objects if one not in lost]
    fate.applied = [line for line in fate.applied if line not in lines]
    fate.missed += [(line, NOTHING_THERE) for line in lines]
    return fate


def _add_film(out: Heeded, one: Labelled, last: Stage, store: Store) -> None:
    """What became of a film, as it was told when its objects were decided about."""
    assert isinstance(last, Identify)
    clip, chain = one.parts[-1]
    said = store.memory(clip.id, [last.name]).get((last.name, chain.keys[-1]))
    if said is None:
        return
    applied, missed, by_class = orjson.loads(said)
    lines: dict[str, Correction] = {digest([line]): line for line in last.lines(one.whole)}
    out.applied.update(lines[one_].do for one_ in applied if one_ in lines)
    out.missed += [(one.whole.name, lines[one_].where, why) for one_, why in missed if one_ in lines]
    out.count([(name, kind) for name, kind in by_class])
