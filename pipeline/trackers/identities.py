"""Which objects a film has, once all of it was followed: confirmed, one class each, numbered as they come.

Knows what trackers write down of each object (`Tracker.track`), and nothing of how they find it.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeline.records import Change, Clip, Drop, Instances
from pipeline.trackers import TrackerOptions

VERSION = 1

Who = tuple[int, int]
"""A scene, and an object's number in it."""
When = tuple[int, int]
"""A scene, and a frame's number in the film."""


@dataclass(slots=True)
class Known:
    """What is known of an object: the scores of each class, detections, the best score, when it is in sight."""

    votes: Counter[str] = field(default_factory=Counter)
    looks: int = 0
    best: float = 0.0
    frames: int = 0
    first: When = (0, 0)
    last: When = (0, 0)

    @property
    def name(self) -> str:
        """The class with most votes, the first of equals."""
        return max(self.votes, key=lambda name: self.votes[name], default="")

    def add(self, other: "Known") -> None:
        """The other is this object, too."""
        self.votes.update(other.votes)
        self.looks += other.looks
        self.best = max(self.best, other.best)
        if other.frames:
            self.first = min(self.first, other.first) if self.frames else other.first
            self.last = max(self.last, other.last)
        self.frames += other.frames


class Roster:
    """The objects of a film: `add` all its segments in order, then ask for each one's `changes`."""

    def __init__(self, options: TrackerOptions) -> None:
        self.options = options
        self._known: dict[Who, Known] = {}
        self._same_as: dict[Who, Who] = {}
        self._whole: dict[Who, Known] = {}
        self._numbers: dict[Who, int] = {}

    def add(self, scene: int, clip: Clip) -> None:
        """Take down a segment, as its tracker left it."""
        for frame, found in zip(clip.frames, clip.found, strict=True):
            for row, number in enumerate(_ids(found)):
                known = self._known.setdefault((scene, number), Known())
                if _in_sight(found, row):
                    known.first = known.first if known.frames else (scene, frame.index)
                    known.last = scene, frame.index
                    known.frames += 1
                self._note(scene, number, {} if found.extra is None else found.extra[row])

    def _note(self, scene: int, number: int, said: Any) -> None:
        known = self._known[scene, number]
        if "look" in said:
            name, score = said["look"]
            known.votes[name] += score
            known.looks += 1
            known.best = max(known.best, score)
        if "same_as" in said:
            self._same_as[scene, number] = scene, said["same_as"]

    def settle(self) -> None:
        """All segments are there: decide."""
        for who, known in self._known.items():
            self._whole.setdefault(self._root(who), Known()).add(known)
        kept = [who for who, known in self._whole.items() if known.frames and self._confirmed(known)]
        kept.sort(key=lambda who: (self._whole[who].first, who))
        self._numbers = {who: number for number, who in enumerate(kept, 1)}

    def changes(self, scene: int, clip: Clip) -> list[Change]:
        """A change a frame: rows from the first frame to the last in which an object is in sight."""
        frames = zip(clip.frames, clip.found, strict=True)
        return [self._change((scene, frame.index), at, found) for at, (frame, found) in enumerate(frames)]

    def _root(self, who: Who) -> Who:
        while who in self._same_as:
            who = self._same_as[who]
        return who

    def _confirmed(self, known: Known) -> bool:
        return known.looks >= self.options.detections or known.best >= self.options.sure

    def _change(self, when: When, at: int, found: Instances) -> Change:
        rows = self._rows(when[0], found)
        kept = {
            self._numbers[who]: row
            for who, row in rows.items()
            if who in self._numbers and self._whole[who].first <= when <= self._whole[who].last
        }
        whole = {self._numbers[who]: self._whole[who] for who in rows if who in self._numbers}
        numbers = sorted(kept)
        columns = {
            "track_ids": np.array(numbers, np.int64),
            "names": tuple(whole[number].name for number in numbers),
            "scores": np.array([whole[number].best for number in numbers], np.float32),
            "extra": ({},) * len(numbers),
        }
        return Change(columns, tuple(kept[number] for number in numbers), tuple(self._drops(when, at, rows)))

    def _rows(self, scene: int, found: Instances) -> dict[Who, int]:
        """One row for each object: where several numbers are one, the row in sight, else the first."""
        rows: dict[Who, int] = {}
        for row, number in enumerate(_ids(found)):
            who = self._root((scene, number))
            if who not in rows or (_in_sight(found, row) and not _in_sight(found, rows[who])):
                rows[who] = row
        return rows

    def _drops(self, when: When, at: int, rows: dict[Who, int]) -> list[Drop]:
        """Objects that are none, told where they are first in sight."""
        gone = [who for who in rows if who not in self._numbers and self._whole[who].frames]
        return [
            Drop(rows[who], "unconfirmed", None, f"in sight in {self._whole[who].frames} frames", at)
            for who in gone
            if self._whole[who].first == when
        ]


def _ids(found: Instances) -> Sequence[int]:
    if found.track_ids is None:  # no row, and so no column
        return ()
    return [int(number) for number in found.track_ids]


def _in_sight(found: Instances, row: int) -> bool:
    return found.visible is None or bool(found.visible[row])
