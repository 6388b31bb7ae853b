"""Detections on key frames to tracks: SAM 2's memory follows, `sam2_keyframe` and `lifecycle` decide."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from pipeline import masks
from pipeline.pixels import Rgb
from pipeline.records import Change, Clip
from pipeline.trackers.claims import Cells, from_place, near, shared
from pipeline.trackers.lifecycle import Rules, may_be
from pipeline.trackers.sam2_keyframe import KeyFrame
from pipeline.trackers.sam2_lives import Here, Lives, Sight
from pipeline.trackers.sam2_memory import Follower
from pipeline.trackers.sam2_parts import Seen
from pipeline.trackers.sam2_state import Track


@dataclass(frozen=True, slots=True)
class Past:
    """A frame since the last key frame: its number, what the model sees in it, and where who is."""

    frame: int
    seen: Seen
    places: Mapping[int, Cells]


class Sam2Tracker:
    """Follows what was detected on key frames through the segments of a scene, one after the other."""

    def __init__(self, follower: Follower, rules: Rules) -> None:
        self.follower, self.rules = follower, rules

    def track(self, clip: Clip, pictures: Iterator[Rgb], state: bytes) -> tuple[list[Change], bytes]:
        """Follow a segment; see the seam."""
        size_hw = clip.frames[0].size_hw
        now = Lives.restored(state, self.follower) if state else Lives(self.follower.begin(size_hw))
        known: dict[int, str] = {}
        frames: list[Here] = []
        behind: list[Past] = []
        for at, (frame, rgb, seeds) in enumerate(zip(clip.frames, pictures, clip.found, strict=True)):
            seen = self.follower.see(rgb)
            frames.append(Here(self._followed(now, seen)))
            if len(seeds):
                newborn = KeyFrame(self.follower, self.rules, now, frames[at]).meet(seen, seeds)
                self._filled(now, newborn, behind, frames)
            known |= {number: life.first_name for number, life in now.lives.items()}
            now.lives = {number: now.lives[number] for number in now.memory.tracks}
            behind = [] if frame.key else [*behind, Past(now.frame, seen, now.places)]
            now.frame += 1
        return [here.change(size_hw, known, at) for at, here in enumerate(frames)], now.stored()

    def _followed(self, now: Lives, seen: Seen) -> dict[int, Sight]:
        """All objects a frame further; who was out of sight too long is looked out for no more."""
        frame, size_hw = now.frame, now.memory.size_hw
        gone = [number for number in now.memory.tracks if frame - now.lives[number].seen > self.rules.keep]
        now.memory, answers = self.follower.step(
            now.memory, frame, seen, forget=gone, settle=partial(self._settled, now, now.places)
        )
        most_px = self.rules.whole * size_hw[0] * size_hw[1]
        sights, places = {}, {}
        for number, answer in answers.items():
            was_lost = frame - now.lives[number].seen > 1
            sights[number] = sight = Sight.of(answer, size_hw, most_px if was_lost else np.inf)
            if sight.visible:
                now.lives[number].sight(frame)
                places[number] = answer.logits > 0
        now.places = places
        return sights

    def _settled(self, now: Lives, places: Mapping[int, Cells], claims: Mapping[int, Cells]) -> Mapping[int, Cells]:
        """Objects are near where they were, in `places`; and of what rivals claim each has what is nearer to that."""
        was = {number: places.get(number, np.zeros_like(cells)) for number, cells in claims.items()}
        claims = {number: near(cells, was[number], self.rules.reach) for number, cells in claims.items()}
        return shared(claims, lambda number: from_place(was[number]), partial(self._rivals, now), self.rules.rest)

    def _rivals(self, now: Lives, one: int, other: int) -> bool:
        """Whether two objects are two things: they lay apart, or one was there when the other was lost.

        Of one that is looked out for no more nobody knows: it may be what was born since.
        """
        in_sight = [number for number in (one, other) if number in now.places]
        if len(in_sight) < 2:
            away = other if one in in_sight else one
            known = bool(in_sight) and away in now.lives
            return known and not may_be(now.lives[in_sight[0]], now.lives[away])
        a, b = now.places[one], now.places[other]
        return bool((a & b).sum() < self.rules.covered * min(a.sum(), b.sum()))

    def _filled(self, now: Lives, newborn: Mapping[int, Track], behind: Sequence[Past], frames: Sequence[Here]) -> None:
        """Follow what was born on the last of `frames` back to the key frame before, as long as it is in sight."""
        size_hw = now.memory.size_hw
        back = replace(self.follower.begin(size_hw, backward=True), tracks=dict(newborn))
        places = {number: now.places[number] for number in newborn if number in now.places}
        for past, here in zip(reversed(behind), reversed(frames[:-1]), strict=False):
            if not back.tracks:
                return
            settle = partial(self._settled_behind, now, past.places, places)
            back, answers = self.follower.step(back, past.frame, past.seen, settle=settle)
            lost = []
            for number, answer in answers.items():
                sight = Sight.of(answer, size_hw)
                others = here.codes(here.visible)
                if not sight.visible or (masks.covered([sight.code], others, size_hw) >= self.rules.covered).any():
                    lost.append(number)
                else:
                    here.sights[number], places[number] = sight, answer.logits > 0
                    if number in now.lives:
                        now.lives[number].born = past.frame
            back = replace(back, tracks={n: track for n, track in back.tracks.items() if n not in lost})

    def _settled_behind(
        self, now: Lives, others: Mapping[int, Cells], places: Mapping[int, Cells], claims: Mapping[int, Cells]
    ) -> Mapping[int, Cells]:
        """`_settled` where the others have been already: they keep what they have."""
        kept = self._settled(now, {**others, **places}, {**others, **claims})
        return {number: kept[number] for number in claims}
