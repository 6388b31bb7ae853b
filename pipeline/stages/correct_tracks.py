"""People's decisions about the objects of a film: a whole track is rejected, accepted, or called otherwise."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from pipeline import forms
from pipeline.corrections import Correction
from pipeline.decisions import Decided, decided_tracks
from pipeline.records import CORRECTED, Change, Clip, Drop, Instances


@dataclass(slots=True)
class People:
    """What is decided about a film: `look` at all its segments, `settle`, then have each one's `changes`.

    A track keeps its number, also where one before it is rejected: lines that name it stay right.
    """

    lines: Sequence[Correction]
    fate: Decided = field(default_factory=Decided)
    _names: dict[int, str] = field(default_factory=dict)
    _seen: dict[int, Instances] = field(default_factory=dict)
    _told: set[int] = field(default_factory=set)

    def look(self, clip: Clip) -> None:
        """Take down a segment as it is without people's word."""
        named = {line.frame for line in self.lines}
        for frame, found in zip(clip.frames, clip.found, strict=True):
            if found.track_ids is not None:
                self._names |= dict(zip(found.track_ids.tolist(), found.names, strict=True))
            if frame.index in named:
                self._seen[frame.index] = found.in_sight()

    def settle(self) -> None:
        """All segments are there: decide."""
        self.fate = decided_tracks(self._seen, self._names, self.lines)

    def changes(self, before: Clip, changes: Sequence[Change]) -> list[Change]:
        """The changes of a segment, a frame each, with people's decisions."""
        pairs = zip(changes, before.found, strict=True)
        return [self._change(change, found, at) for at, (change, found) in enumerate(pairs)]

    def _change(self, change: Change, before: Instances, at: int) -> Change:
        after = change.applied_to(before)
        decided = {one.row: one for one in self.fate.objects}
        if after.track_ids is None or change.kept is None or not decided.keys() & set(after.track_ids.tolist()):
            return change
        numbers = after.track_ids.tolist()
        gone = [row for row, number in enumerate(numbers) if number in decided and decided[number].rejected]
        kept = np.array([row for row in range(len(after)) if row not in gone], np.int64)
        columns: dict[str, Any] = {name: forms.take(column, kept) for name, column in change.columns.items()}
        rest = after.take(kept)
        fates = [decided.get(numbers[row]) for row in kept]
        names = zip(rest.names, fates, strict=True)
        sources = zip(rest.source or ("",) * len(rest), fates, strict=True)
        columns["names"] = tuple(one.name if one else name for name, one in names)
        columns["source"] = tuple("human" if one and one.is_changed else source for source, one in sources)
        columns["extra"] = tuple({CORRECTED: one.kinds} if one else {} for one in fates)
        drops = [Drop(change.kept[row], "rejected", None, "", at) for row in gone if self._is_first(after, row)]
        kept_before = tuple(change.kept[row] for row in kept)
        return replace(change, columns=columns, kept=kept_before, drops=(*change.drops, *drops))

    def _is_first(self, found: Instances, row: int) -> bool:
        """Whether a track that goes has not been told of yet; it is where it is first in sight."""
        assert found.track_ids is not None
        number = int(found.track_ids[row])
        if number in self._told or (found.visible is not None and not found.visible[row]):
            return False
        self._told.add(number)
        return True
