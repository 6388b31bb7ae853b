"""The objects of a scene: what is known of each and stored with a segment, and what was found on a frame."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from pipeline import masks
from pipeline.records import Change, Drop, Instances
from pipeline.trackers.claims import Cells
from pipeline.trackers.lifecycle import Life
from pipeline.trackers.sam2_memory import Answer, Follower
from pipeline.trackers.sam2_state import State, Track

LENGTH = 8
"""Bytes that say how long the plain part of a stored state is."""


@dataclass(frozen=True, slots=True)
class Sight:
    """An object on a frame: its code, `masks.NOTHING` where it is not in sight, and how sure the model is."""

    code: bytes
    presence: float
    iou: float

    @classmethod
    def of(cls, answer: Answer, size_hw: tuple[int, int], most_px: float = np.inf) -> "Sight":
        """A mask of more than `most_px` is refused."""
        code = masks.encode_logits(answer.logits, size_hw) if answer.presence > 0 else masks.NOTHING
        return cls(code if 0 < masks.area(code) <= most_px else masks.NOTHING, answer.presence, answer.iou)

    @property
    def visible(self) -> bool:
        """Whether there is anything of it."""
        return self.code != masks.NOTHING


@dataclass(frozen=True, slots=True)
class Look:
    """A detection on a key frame: its row, its mask, what SAM 2 would remember of it, its class and score.

    `place` are the cells of the mask; `claim` those that the model took for it, also where they are another's.
    """

    row: int
    sight: Sight
    track: Track
    name: str
    score: float
    place: Cells
    claim: Cells


@dataclass(slots=True)
class Lives:
    """The objects of a scene up to a frame: what SAM 2 remembers, what is known of each, and how many were born.

    `places` are the cells of those in sight. `frame` counts the frames of the scene: it is the next one's number.
    """

    memory: State
    lives: dict[int, Life] = field(default_factory=dict)
    places: dict[int, Cells] = field(default_factory=dict)
    born: int = 0
    frame: int = 0

    def stored(self) -> bytes:
        """As bytes; the same objects, the same bytes."""
        plain = json.dumps(
            {
                "born": self.born,
                "frame": self.frame,
                "lives": {str(number): life.to_json() for number, life in self.lives.items()},
                "places": {str(number): [cells.shape, _written(cells)] for number, cells in self.places.items()},
            }
        ).encode()
        return len(plain).to_bytes(LENGTH, "big") + plain + self.memory.stored()

    @classmethod
    def restored(cls, state: bytes, follower: Follower) -> "Lives":
        """Take up what `stored` gave."""
        length = int.from_bytes(state[:LENGTH], "big")
        plain = json.loads(state[LENGTH : LENGTH + length])
        lives = {int(number): Life.from_json(form) for number, form in plain["lives"].items()}
        places = {int(number): masks.decode(code.encode(), tuple(hw)) for number, (hw, code) in plain["places"].items()}
        return cls(follower.restored(state[LENGTH + length :]), lives, places, plain["born"], plain["frame"])


def _written(cells: Cells) -> str:
    return masks.encode(cells).decode("ascii")


@dataclass(slots=True)
class Here:
    """What was found on a frame: the objects, what is said of them, and the detections that are none.

    `said` has a mapping for the row's `extra`.
    """

    sights: dict[int, Sight]
    said: dict[int, dict[str, Any]] = field(default_factory=dict)
    drops: list[Drop] = field(default_factory=list)

    @property
    def visible(self) -> list[int]:
        """The objects in sight."""
        return [number for number, sight in self.sights.items() if sight.visible]

    def codes(self, numbers: Sequence[int]) -> list[bytes]:
        """Masks of objects."""
        return [self.sights[number].code for number in numbers]

    def look(self, number: int, look: Look) -> None:
        """A detection is this object."""
        self.said.setdefault(number, {})["look"] = [look.name, round(look.score, 4)]

    def change(self, size_hw: tuple[int, int], known: Mapping[int, str], at: int) -> Change:
        """The objects as rows, those out of sight too, by identity; `known` are the classes of their births."""
        numbers = sorted(self.sights)
        some = [self.sights[number] for number in numbers]
        codes = [sight.code if sight.visible else None for sight in some]
        boxes = [masks.box(code, size_hw) if code else (0, 0, 0, 0) for code in codes]
        found = Instances(
            size_hw,
            np.array(boxes, np.float32).reshape(-1, 4),
            tuple(known[number] for number in numbers),
            masks=tuple(codes),
            quality=np.array([[sight.iou, np.nan, np.nan] for sight in some], np.float32).reshape(-1, 3),
            track_ids=np.array(numbers, np.int64),
            visible=np.array([sight.visible for sight in some], np.bool_),
            presence=np.array([1 / (1 + np.exp(-np.clip(s.presence, -60, 60))) for s in some], np.float32),
            source=("sam2",) * len(numbers),
            extra=tuple(self.said.get(number, {}) for number in numbers),
        )
        return Change.of(found, [replace(drop, at=at) for drop in self.drops])
