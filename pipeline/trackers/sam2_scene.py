"""Detections on key frames to tracks: SAM 2's memory follows, `lifecycle` decides."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import masks
from pipeline.pixels import Rgb
from pipeline.records import Change, Clip, Drop, Instances
from pipeline.trackers.lifecycle import Life, Rules, doubles, matched, overflown, returned, twins
from pipeline.trackers.sam2_memory import Answer, Follower, Seed
from pipeline.trackers.sam2_parts import Seen
from pipeline.trackers.sam2_state import State, Track

LENGTH = 8
"""Bytes that say how long the plain part of a stored state is."""


@dataclass(frozen=True, slots=True)
class Sight:
    """An object on a frame: its code, `masks.NOTHING` where it is not in sight, and how sure the model is."""

    code: bytes
    presence: float
    iou: float

    @property
    def visible(self) -> bool:
        """Whether there is anything of it."""
        return self.code != masks.NOTHING


@dataclass(frozen=True, slots=True)
class Look:
    """A detection on a key frame: its row, its mask, what SAM 2 would remember of it, its class and score."""

    row: int
    sight: Sight
    track: Track
    name: str
    score: float


@dataclass(slots=True)
class Lives:
    """The objects of a scene up to a frame: what SAM 2 remembers, what is known of each, and how many were born.

    `frame` counts the frames of the scene: it is the next one's number.
    """

    memory: State
    lives: dict[int, Life] = field(default_factory=dict)
    born: int = 0
    frame: int = 0

    def stored(self) -> bytes:
        """As bytes; the same objects, the same bytes."""
        lives = {str(number): life.to_json() for number, life in self.lives.items()}
        plain = json.dumps({"born": self.born, "frame": self.frame, "lives": lives}).encode()
        return len(plain).to_bytes(LENGTH, "big") + plain + self.memory.stored()


@dataclass(slots=True)
class Here:
    """What was found on a frame: the objects, what is said of them, and the detections that are none.

    `said` has a mapping for the row's `extra`.
    """

    sights: dict[int, Sight]
    said: dict[int, dict[str, Any]] = field(default_factory=dict)
    drops: list[Drop] = field(default_factory=list)

    def look(self, number: int, look: Look) -> None:
        """A detection is this object."""
        self.said.setdefault(number, {})["look"] = [look.name, round(look.score, 4)]


class Sam2Tracker:
    """Follows what was detected on key frames through the segments of a scene, one after the other."""

    def __init__(self, follower: Follower, rules: Rules) -> None:
        self.follower, self.rules = follower, rules

    def track(self, clip: Clip, pictures: Iterator[Rgb], state: bytes) -> tuple[list[Change], bytes]:
        """Follow a segment; see the seam."""
        size_hw = clip.frames[0].size_hw
        now = self.restored(state) if state else Lives(self.follower.begin(size_hw))
        known: dict[int, str] = {}
        frames: list[Here] = []
        behind: list[tuple[int, Seen]] = []
        for at, (frame, rgb, seeds) in enumerate(zip(clip.frames, pictures, clip.found, strict=True)):
            seen = self.follower.see(rgb)
            frames.append(Here(self._followed(now, seen)))
            if len(seeds):
                newborn = self._keyframe(now, seen, seeds, frames[at])
                self._filled(now, newborn, behind, frames)
            known |= {number: life.first_name for number, life in now.lives.items()}
            now.lives = {number: now.lives[number] for number in now.memory.tracks}
            behind = [] if frame.key else [*behind, (now.frame, seen)]
            now.frame += 1
        return [_change(size_hw, known, here, at) for at, here in enumerate(frames)], now.stored()

    def restored(self, state: bytes) -> Lives:
        """Take up what `track` left."""
        length = int.from_bytes(state[:LENGTH], "big")
        plain = json.loads(state[LENGTH : LENGTH + length])
        lives = {int(number): Life.from_json(form) for number, form in plain["lives"].items()}
        return Lives(self.follower.restored(state[LENGTH + length :]), lives, plain["born"], plain["frame"])

    def _followed(self, now: Lives, seen: Seen) -> dict[int, Sight]:
        """All objects a frame further; who was out of sight too long is looked out for no more."""
        frame = now.frame
        gone = [number for number in now.memory.tracks if frame - now.lives[number].seen > self.rules.keep]
        now.memory, answers = self.follower.step(now.memory, frame, seen, forget=gone)
        sights = {}
        for number, answer in answers.items():
            sights[number] = sight = self._sight(answer, now.memory.size_hw, frame - now.lives[number].seen > 1)
            if sight.visible:
                now.lives[number].sight(frame)
        return sights

    def _sight(self, answer: Answer, size_hw: tuple[int, int], was_lost: bool = False) -> Sight:
        code = masks.encode_logits(answer.logits, size_hw) if answer.presence > 0 else masks.NOTHING
        area = masks.area(code)
        if not area or (was_lost and area > self.rules.whole * size_hw[0] * size_hw[1]):
            code = masks.NOTHING
        return Sight(code, answer.presence, answer.iou)

    def _keyframe(self, now: Lives, seen: Seen, seeds: Instances, here: Here) -> dict[int, Track]:
        """Detections meet objects: votes, refreshes, returns and births; those that were born, as they begin."""
        looks = self._looks(now, seen, seeds, here)
        tracks = dict(now.memory.tracks)
        left = self._met(now, looks, tracks, here)
        back = self._returned(now, left, tracks, here.sights)
        newborn: dict[int, Track] = {}
        for at, look in enumerate(left):
            number = back.get(at, now.born + 1)
            if number > now.born:
                now.born = number
                now.lives[number] = Life(now.frame, now.frame)
                tracks[number] = newborn[number] = look.track
            else:
                tracks[number] = self._marked(tracks[number], look.track, now.frame)
            here.sights[number] = look.sight
            here.look(number, look)
            now.lives[number].look(now.frame, look.name, look.score)
        now.memory = replace(now.memory, now=now.frame, tracks=tracks)
        self._without_twins(now, here)
        return newborn

    def _looks(self, now: Lives, seen: Seen, seeds: Instances, here: Here) -> list[Look]:
        """What SAM 2 makes of each detection by itself, those of which it makes nothing left out."""
        size_hw = seeds.size_hw
        boxes = {row: Seed(box_xyxy=box) for row, box in enumerate(seeds.boxes_xyxy)}
        fresh, answers = self.follower.step(self.follower.begin(size_hw), now.frame, seen, boxes)
        scores = np.ones(len(seeds), np.float32) if seeds.scores is None else seeds.scores
        looks = [
            Look(row, self._sight(answers[row], size_hw), fresh.tracks[row], seeds.names[row], float(scores[row]))
            for row in range(len(seeds))
        ]
        here.drops += [Drop(look.row, "empty_mask") for look in looks if not look.sight.visible]
        looks = [look for look in looks if look.sight.visible]
        codes = [look.sight.code for look in looks]
        twins = doubles(masks.iou(codes, codes, size_hw), [look.score for look in looks], self.rules)
        for row, other in sorted(twins.items()):
            same = looks[row].name == looks[other].name
            reason = "same_class_twin" if same else "other_class_twin"
            here.drops.append(Drop(looks[row].row, reason, looks[other].row))
        return [look for row, look in enumerate(looks) if row not in twins]

    def _met(self, now: Lives, looks: Sequence[Look], tracks: dict[int, Track], here: Here) -> list[Look]:
        """Objects in sight are seen by the detector, too; the detections that are none of them."""
        size_hw, sights = now.memory.size_hw, here.sights
        visible = [number for number, sight in sights.items() if sight.visible]
        codes = [look.sight.code for look in looks]
        theirs = [sights[number].code for number in visible]
        overlap, same = masks.iou(codes, theirs, size_hw), self._same(looks, now, visible)
        pairs = matched(overlap, same, self.rules)
        spread = overflown(masks.covered(codes, theirs, size_hw), masks.iou(codes, codes, size_hw), pairs, self.rules)
        for row, column in pairs.items():
            number = visible[column]
            here.look(number, looks[row])
            now.lives[number].look(now.frame, looks[row].name, looks[row].score)
            if overlap[row, column] >= self.rules.refresh_iou or row in spread:
                tracks[number] = self._marked(tracks[number], looks[row].track, now.frame)
                sights[number] = looks[row].sight
        inside = masks.covered(codes, [sights[number].code for number in visible], size_hw) >= self.rules.covered
        left = [look for row, look in enumerate(looks) if row not in pairs]
        within = {look.row for row, look in enumerate(looks) if row not in pairs and inside[row].any()}
        here.drops += [Drop(row, "in_a_track") for row in sorted(within)]
        return [look for look in left if look.row not in within]

    def _returned(
        self, now: Lives, looks: Sequence[Look], tracks: Mapping[int, Track], sights: Mapping[int, Sight]
    ) -> dict[int, int]:
        """Detection -> the object out of sight that it is."""
        away = [number for number, sight in sights.items() if not sight.visible and number in tracks]
        likeness = _likeness([look.track for look in looks], [tracks[number] for number in away])
        pairs = returned(likeness, self._same(looks, now, away), self.rules)
        return {row: away[column] for row, column in pairs.items()}

    def _same(self, looks: Sequence[Look], now: Lives, numbers: Sequence[int]) -> NDArray[np.bool_]:
        same = [[look.name == now.lives[number].name for number in numbers] for look in looks]
        return np.array(same, np.bool_).reshape(len(looks), len(numbers))

    def _marked(self, track: Track, fresh: Track, frame: int) -> Track:
        return track.marked(frame, fresh.given[frame], 1, self.follower.limits)

    def _without_twins(self, now: Lives, here: Here) -> None:
        """Objects that have come to lie on others end."""
        sights = here.sights
        visible = [number for number, sight in sights.items() if sight.visible]
        codes = [sights[number].code for number in visible]
        overlap = masks.iou(codes, codes, now.memory.size_hw)
        ended = {visible[at] for at in twins(overlap, [now.lives[number] for number in visible], self.rules)}
        for number in ended:
            sights[number] = replace(sights[number], code=masks.NOTHING)
            others = [other for other in visible if other not in ended]
            on_it = [
                other
                for other in others
                if overlap[visible.index(number), visible.index(other)] >= self.rules.refresh_iou
            ]
            for younger, older in self._recognised(now, number, on_it):
                here.said.setdefault(younger, {})["same_as"] = older
        kept = {number: track for number, track in now.memory.tracks.items() if number not in ended}
        now.memory = replace(now.memory, tracks=kept)

    def _recognised(self, now: Lives, number: int, others: Sequence[int]) -> Iterator[tuple[int, int]]:
        """Of two on one place, one that was born while the other was out of sight was that other: younger, older."""
        for other in others:
            older, younger = sorted((number, other))
            if now.lives[older].away_at(now.lives[younger].born):
                yield younger, older

    def _filled(
        self, now: Lives, newborn: Mapping[int, Track], behind: Sequence[tuple[int, Seen]], frames: Sequence[Here]
    ) -> None:
        """Follow what was born on the last of `frames` back to the key frame before, as long as it is in sight."""
        size_hw = now.memory.size_hw
        back = replace(self.follower.begin(size_hw, backward=True), tracks=dict(newborn))
        for (frame, seen), here in zip(reversed(behind), reversed(frames[:-1]), strict=False):
            if not back.tracks:
                return
            back, answers = self.follower.step(back, frame, seen)
            lost = []
            for number, answer in answers.items():
                sight = self._sight(answer, size_hw)
                others = [one.code for one in here.sights.values() if one.visible]
                if not sight.visible or (masks.covered([sight.code], others, size_hw) >= self.rules.covered).any():
                    lost.append(number)
                else:
                    here.sights[number] = sight
                    if number in now.lives:
                        now.lives[number].born = frame
            back = replace(back, tracks={n: track for n, track in back.tracks.items() if n not in lost})


def _likeness(fresh: Sequence[Track], away: Sequence[Track]) -> NDArray[np.float64]:
    """How like detections are to objects, by the pointers of what marked each: cosine, (D, T)."""
    if not fresh or not away:
        return np.zeros((len(fresh), len(away)))

    def units(tracks: Sequence[Track]) -> list[NDArray[np.float64]]:
        pointers = [np.stack([_numpy(entry.pointer) for entry in track.given.values()]) for track in tracks]
        return [some / np.linalg.norm(some, axis=1, keepdims=True) for some in pointers]

    theirs = units(away)
    return np.array([[float((one @ other.T).max()) for other in theirs] for one in units(fresh)])


def _numpy(tensor: Any) -> NDArray[np.float64]:
    return np.asarray(tensor.float().cpu().numpy(), np.float64).reshape(-1)


def _change(size_hw: tuple[int, int], known: Mapping[int, str], here: Here, at: int) -> Change:
    """The objects of a frame as rows, those out of sight too, by identity; `known` are the classes of their births."""
    numbers = sorted(here.sights)
    some = [here.sights[number] for number in numbers]
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
        extra=tuple(here.said.get(number, {}) for number in numbers),
    )
    return Change.of(found, [replace(drop, at=at) for drop in here.drops])
