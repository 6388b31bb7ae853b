"""Detections on keyframes to tracks: SAM 2's memory follows, `lifecycle` decides."""

import json
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import masks
from pipeline.pixels import Rgb
from pipeline.records import Clip, Instances
from pipeline.trackers.lifecycle import Life, Rules, as_one, matched, overflown, returned, twins
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
    """A detection on a keyframe: its mask, what SAM 2 would remember of it, its class and score."""

    sight: Sight
    track: Track
    name: str
    score: float


@dataclass(slots=True)
class Lives:
    """The objects of a film up to a frame: what SAM 2 remembers, and what is known of each."""

    memory: State
    lives: dict[int, Life] = field(default_factory=dict)
    born: int = 0

    def stored(self) -> bytes:
        """As bytes; the same objects, the same bytes."""
        lives = {str(number): life.to_json() for number, life in self.lives.items()}
        plain = json.dumps({"born": self.born, "lives": lives}).encode()
        return len(plain).to_bytes(LENGTH, "big") + plain + self.memory.stored()


class Sam2Tracker:
    """Follows what was detected on keyframes through the segments of a film, one after the other."""

    def __init__(self, follower: Follower, rules: Rules) -> None:
        self.follower, self.rules = follower, rules

    def track(self, clip: Clip, pictures: Iterable[Rgb], state: bytes | None = None) -> tuple[Clip, bytes]:
        """Follow a segment: its frames, `clip.found` with boxes on keyframes -> found with identities in every frame.

        `state` is what the segment before left; without it, at the beginning and after a cut, nothing is known.
        """
        size_hw = clip.frames[0].size_hw
        now = self.restored(state) if state else Lives(self.follower.begin(size_hw))
        sights: list[dict[int, Sight]] = []
        behind: deque[tuple[int, Seen]] = deque(maxlen=self.rules.every)
        for at, (frame, rgb, seeds) in enumerate(zip(clip.frames, pictures, clip.found, strict=True)):
            seen = self.follower.see(rgb)
            sights.append(self._followed(now, frame.index, seen))
            if len(seeds):
                newborn = self._keyframe(now, frame.index, seen, seeds, sights[at])
                self._filled(now, newborn, size_hw, behind, sights, at)
            behind.append((frame.index, seen))
        found = tuple(
            _instances(frame.size_hw, now.lives, sight) for frame, sight in zip(clip.frames, sights, strict=True)
        )
        return replace(clip, found=found), now.stored()

    def restored(self, state: bytes) -> Lives:
        """Take up what `track` left."""
        length = int.from_bytes(state[:LENGTH], "big")
        plain = json.loads(state[LENGTH : LENGTH + length])
        lives = {int(number): Life.from_json(form) for number, form in plain["lives"].items()}
        return Lives(self.follower.restored(state[LENGTH + length :]), lives, plain["born"])

    def _followed(self, now: Lives, frame: int, seen: Seen) -> dict[int, Sight]:
        """All objects a frame further; who was out of sight too long is looked out for no more."""
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

    def _keyframe(
        self, now: Lives, frame: int, seen: Seen, seeds: Instances, sights: dict[int, Sight]
    ) -> dict[int, Track]:
        """Detections meet objects: votes, refreshes, returns and births; those that were born, as they begin."""
        looks = self._looks(now.memory.size_hw, frame, seen, seeds)
        tracks = dict(now.memory.tracks)
        left = self._met(now, frame, looks, tracks, sights)
        back = self._returned(now, left, tracks, sights)
        newborn: dict[int, Track] = {}
        for at, look in enumerate(left):
            number = back.get(at, now.born + 1)
            if number > now.born:
                now.born = number
                now.lives[number] = Life(frame, frame)
                tracks[number] = newborn[number] = look.track
            else:
                tracks[number] = self._marked(tracks[number], look.track, frame)
            sights[number] = look.sight
            now.lives[number].look(frame, look.name, look.score)
        now.memory = replace(now.memory, now=frame, tracks=tracks)
        self._without_twins(now, sights)
        return newborn

    def _looks(self, size_hw: masks.Size, frame: int, seen: Seen, seeds: Instances) -> list[Look]:
        """What SAM 2 makes of each detection by itself, those of which it makes nothing left out."""
        boxes = {row: Seed(box_xyxy=box) for row, box in enumerate(seeds.boxes_xyxy)}
        fresh, answers = self.follower.step(self.follower.begin(size_hw), frame, seen, boxes)
        scores = np.ones(len(seeds), np.float32) if seeds.scores is None else seeds.scores
        looks = [
            Look(self._sight(answers[row], size_hw), fresh.tracks[row], seeds.names[row], float(scores[row]))
            for row in range(len(seeds))
        ]
        return [look for look in looks if look.sight.visible]

    def _met(
        self,
        now: Lives,
        frame: int,
        looks: Sequence[Look],
        tracks: dict[int, Track],
        sights: dict[int, Sight],
    ) -> list[Look]:
        """Objects in sight are seen by the detector, too; the detections that are none of them."""
        size_hw = now.memory.size_hw
        visible = [number for number, sight in sights.items() if sight.visible]
        codes = [look.sight.code for look in looks]
        theirs = [sights[number].code for number in visible]
        overlap, same = masks.iou(codes, theirs, size_hw), self._same(looks, now, visible)
        pairs = matched(overlap, same, self.rules)
        spread = overflown(masks.covered(codes, theirs, size_hw), masks.iou(codes, codes, size_hw), pairs, self.rules)
        for row, column in pairs.items():
            number = visible[column]
            now.lives[number].look(frame, looks[row].name, looks[row].score)
            if overlap[row, column] >= self.rules.refresh_iou or row in spread:
                tracks[number] = self._marked(tracks[number], looks[row].track, frame)
                sights[number] = looks[row].sight
        inside = masks.covered(codes, [sights[number].code for number in visible], size_hw) >= self.rules.covered
        return [look for row, look in enumerate(looks) if row not in pairs and not inside[row].any()]

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

    def _without_twins(self, now: Lives, sights: dict[int, Sight]) -> None:
        """Objects that have come to lie on others end."""
        visible = [number for number, sight in sights.items() if sight.visible]
        codes = [sights[number].code for number in visible]
        overlap = masks.iou(codes, codes, now.memory.size_hw)
        ended = {visible[at] for at in twins(overlap, [now.lives[number] for number in visible], self.rules)}
        for number in ended:
            sights[number] = replace(sights[number], code=masks.NOTHING)
            self._recognised(now, number, [other for other in visible if other not in ended], visible, overlap)
        kept = {number: track for number, track in now.memory.tracks.items() if number not in ended}
        now.memory = replace(now.memory, tracks=kept)

    def _recognised(
        self, now: Lives, number: int, others: Sequence[int], visible: Sequence[int], overlap: NDArray[np.float64]
    ) -> None:
        """Of two on one place, one that was born while the other was out of sight was that other."""
        for other in others:
            if overlap[visible.index(number), visible.index(other)] >= self.rules.refresh_iou:
                older, younger = sorted((number, other))
                if now.lives[older].away_at(now.lives[younger].born):
                    now.lives[younger].same_as = older

    def _filled(
        self,
        now: Lives,
        newborn: Mapping[int, Track],
        size_hw: tuple[int, int],
        behind: Sequence[tuple[int, Seen]],
        sights: list[dict[int, Sight]],
        at: int,
    ) -> None:
        """Follow what was born on the frame at `at` back to the keyframe before, as long as it is in sight."""
        back = replace(self.follower.begin(size_hw, backward=True), tracks=dict(newborn))
        for step, (frame, seen) in enumerate(reversed(behind), start=1):
            if not back.tracks:
                return
            back, answers = self.follower.step(back, frame, seen)
            lost = []
            for number, answer in answers.items():
                sight = self._sight(answer, size_hw)
                others = [one.code for one in sights[at - step].values() if one.visible]
                if not sight.visible or (masks.covered([sight.code], others, size_hw) >= self.rules.covered).any():
                    lost.append(number)
                else:
                    sights[at - step][number] = sight
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


def _instances(size_hw: tuple[int, int], lives: Mapping[int, Life], sights: Mapping[int, Sight]) -> Instances:
    """The objects of a frame as rows, those out of sight too, by identity."""
    numbers = sorted(sights)
    some = [sights[number] for number in numbers]
    codes = [sight.code if sight.visible else None for sight in some]
    boxes = [masks.box(code, size_hw) if code else (0, 0, 0, 0) for code in codes]
    return Instances(
        size_hw,
        np.array(boxes, np.float32).reshape(-1, 4),
        tuple(lives[number].name for number in numbers),
        scores=np.array([lives[number].best for number in numbers], np.float32),
        masks=tuple(codes),
        quality=np.array([[sight.iou, np.nan, np.nan] for sight in some], np.float32).reshape(-1, 3),
        track_ids=np.array(numbers, np.int64),
        visible=np.array([sight.visible for sight in some], np.bool_),
        presence=np.array([1 / (1 + np.exp(-np.clip(s.presence, -60, 60))) for s in some], np.float32),
        source=("sam2",) * len(numbers),
    )


def finish(clips: Sequence[Clip], lives: Mapping[int, Life], rules: Rules) -> list[Clip]:
    """All segments of a film as they are to be kept: confirmed objects, one class each, numbered as they come.

    An object has rows from the first frame in which it is in sight to the last.
    """
    roots, whole = as_one(lives)
    shown: dict[int, list[tuple[int, int]]] = {}
    for at, clip in enumerate(clips):
        for frame, found in zip(clip.frames, clip.found, strict=True):
            for row in np.flatnonzero(_visible(found)):
                shown.setdefault(roots[int(_tracks(found)[row])], []).append((at, frame.index))
    kept = [number for number in shown if whole[number].confirmed(rules)]
    order = sorted(kept, key=lambda number: (shown[number][0], number))
    numbers = {number: new for new, number in enumerate(order, 1)}
    spans = {number: (shown[number][0], shown[number][-1]) for number in order}
    return [
        replace(
            clip,
            found=tuple(
                _renumbered(_rooted(found, roots), (at, frame.index), numbers, spans, whole)
                for frame, found in zip(clip.frames, clip.found, strict=True)
            ),
        )
        for at, clip in enumerate(clips)
    ]


def _rooted(found: Instances, roots: Mapping[int, int]) -> Instances:
    """One row for each object: where several numbers are one, the row in sight, else the first."""
    rows: dict[int, int] = {}
    for row, number in enumerate(_tracks(found).tolist()):
        root = roots[number]
        if root not in rows or (_visible(found)[row] and not _visible(found)[rows[root]]):
            rows[root] = row
    return replace(found.take(list(rows.values())), track_ids=np.array(list(rows), np.int64))


def _renumbered(
    found: Instances,
    when: tuple[int, int],
    numbers: Mapping[int, int],
    spans: Mapping[int, tuple[tuple[int, int], tuple[int, int]]],
    lives: Mapping[int, Life],
) -> Instances:
    old = _tracks(found).tolist()
    rows = [row for row, number in enumerate(old) if number in numbers and spans[number][0] <= when <= spans[number][1]]
    rows.sort(key=lambda row: numbers[old[row]])
    return replace(
        found.take(rows),
        track_ids=np.array([numbers[old[row]] for row in rows], np.int64),
        names=tuple(lives[old[row]].name for row in rows),
        scores=np.array([lives[old[row]].best for row in rows], np.float32),
    )


def _tracks(found: Instances) -> NDArray[np.int64]:
    assert found.track_ids is not None  # the tracker's own record
    return found.track_ids


def _visible(found: Instances) -> NDArray[np.bool_]:
    assert found.visible is not None
    return found.visible
