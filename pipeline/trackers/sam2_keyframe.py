"""A key frame: detections meet the objects that SAM 2 follows, as `lifecycle` decides."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import masks
from pipeline.geometry import Boxes, areas, box_iou
from pipeline.records import Drop, Instances
from pipeline.trackers.claims import Cells, cells_iou, from_middle, shared, within
from pipeline.trackers.lifecycle import Life, Rules, doubles, grown, matched, own_iou, returned, twins
from pipeline.trackers.sam2_lives import Here, Lives, Look, Sight
from pipeline.trackers.sam2_memory import Follower, Seed, Settle
from pipeline.trackers.sam2_parts import Seen
from pipeline.trackers.sam2_state import Track


@dataclass(frozen=True, slots=True)
class KeyFrame:
    """What happens on a key frame: the objects as they came here, and what is found of them."""

    follower: Follower
    rules: Rules
    now: Lives
    here: Here

    def meet(self, seen: Seen, seeds: Instances) -> dict[int, Track]:
        """Detections meet objects: votes, refreshes, returns and births; those that were born, as they begin."""
        now = self.now
        looks = self._looks(seen, seeds)
        tracks = dict(now.memory.tracks)
        left = self._met(looks, tracks)
        back = self._returned(left, tracks)
        newborn: dict[int, Track] = {}
        for at, look in enumerate(left):
            number = back.get(at, now.born + 1)
            if number > now.born:
                now.born = number
                now.lives[number] = Life(now.frame, now.frame)
                tracks[number] = newborn[number] = look.track
            else:
                tracks[number] = self._marked(tracks[number], look)
            self._shown(number, look)
            self._noted(number, look)
        now.memory = replace(now.memory, now=now.frame, tracks=tracks)
        self._without_twins()
        return newborn

    def _looks(self, seen: Seen, seeds: Instances) -> list[Look]:
        """What SAM 2 makes of each detection by itself, those of which it makes nothing or that are others left out."""
        claimed: dict[int, Cells] = {}
        marks = {row: Seed(box_xyxy=box) for row, box in enumerate(seeds.boxes_xyxy)}
        begin, settle = self.follower.begin(seeds.size_hw), self._boxed(seeds, claimed)
        fresh, answers = self.follower.step(begin, self.now.frame, seen, marks, settle=settle)
        scores = np.ones(len(seeds), np.float32) if seeds.scores is None else seeds.scores
        looks = []
        for row, name in enumerate(seeds.names):
            sight, place = Sight.of(answers[row], seeds.size_hw), answers[row].logits > 0
            looks.append(Look(row, sight, fresh.tracks[row], name, float(scores[row]), place, claimed[row]))
        self.here.drops += [Drop(look.row, "empty_mask") for look in looks if not look.sight.visible]
        looks = [look for look in looks if look.sight.visible]
        again = self._doubles(looks)
        for at, other in sorted(again.items()):
            same = looks[at].name == looks[other].name
            reason = "same_class_twin" if same else "other_class_twin"
            self.here.drops.append(Drop(looks[at].row, reason, looks[other].row))
        return [look for at, look in enumerate(looks) if at not in again]

    def _boxed(self, seeds: Instances, claimed: dict[int, Cells]) -> Settle:
        """A mask is cut to its box; what two claim whose boxes are apart is that one's whose middle is nearer.

        `claimed` takes down what was claimed.
        """
        boxes, size_hw, rules = seeds.boxes_xyxy, seeds.size_hw, self.rules
        nested = box_covered(boxes)

        def settle(claims: Mapping[int, Cells]) -> Mapping[int, Cells]:
            claimed.update(claims)
            cut = {row: some & within(some.shape, boxes[row], size_hw, rules.spill) for row, some in claims.items()}
            far = {row: from_middle(some.shape, boxes[row], size_hw) for row, some in claims.items()}
            return shared(cut, far.__getitem__, lambda a, b: nested[a, b] < rules.covered, rules.rest)

        return settle

    def _doubles(self, looks: Sequence[Look]) -> dict[int, int]:
        """Detections of what a surer one has found: one lies in the other, and the model took them for the same."""
        codes, cells = [look.sight.code for look in looks], [look.claim for look in looks]
        inside = masks.covered(codes, codes, self.now.memory.size_hw)
        nested = np.maximum(inside, inside.T) >= self.rules.covered
        same = np.maximum(masks.iou(codes, codes, self.now.memory.size_hw), cells_iou(cells))
        return doubles(np.where(nested, same, 0), [look.score for look in looks], self.rules)

    def _met(self, looks: Sequence[Look], tracks: dict[int, Track]) -> list[Look]:
        """Objects in sight are seen by the detector, too; the detections that are none of them."""
        here, size_hw, visible = self.here, self.now.memory.size_hw, self.here.visible
        codes, theirs, same = [look.sight.code for look in looks], here.codes(visible), self._same(looks, visible)
        looks_px, objects_px = (np.array(masks.areas(some), np.float64) for some in (codes, theirs))
        both = masks.covered(codes, theirs, size_hw) * looks_px[:, None]
        among = masks.covered(codes, codes, size_hw)
        were_px = np.array([self.now.lives[number].px for number in visible], np.float64)
        overlap = own_iou(both, looks_px, objects_px, were_px, among, self.rules)
        more = grown(both / np.maximum(objects_px, 1), same, self.rules)
        pairs = matched(np.where(more, np.maximum(overlap, self.rules.match_iou), overlap), same, self.rules)
        for at, column in pairs.items():
            number = visible[column]
            if more[at, column] or overlap[at, column] >= self.rules.refresh_iou:
                tracks[number] = self._marked(tracks[number], looks[at])
                self._shown(number, looks[at])
            self._noted(number, looks[at])
        covered = masks.covered(codes, here.codes(visible), size_hw)
        inside = [bool((row >= self.rules.covered).any()) for row in covered]
        left = [at for at in range(len(looks)) if at not in pairs]
        here.drops += [Drop(looks[at].row, "in_a_track") for at in left if inside[at]]
        return [looks[at] for at in left if not inside[at]]

    def _returned(self, looks: Sequence[Look], tracks: Mapping[int, Track]) -> dict[int, int]:
        """Detection -> the object out of sight that it is."""
        away = [number for number, sight in self.here.sights.items() if not sight.visible and number in tracks]
        likeness = _likeness([look.track for look in looks], [tracks[number] for number in away])
        pairs = returned(likeness, self._same(looks, away), self.rules)
        return {at: away[column] for at, column in pairs.items()}

    def _same(self, looks: Sequence[Look], numbers: Sequence[int]) -> NDArray[np.bool_]:
        same = [[look.name == self.now.lives[number].name for number in numbers] for look in looks]
        return np.array(same, np.bool_).reshape(len(looks), len(numbers))

    def _marked(self, track: Track, look: Look) -> Track:
        frame = self.now.frame
        return track.marked(frame, look.track.given[frame], 1, self.follower.limits)

    def _shown(self, number: int, look: Look) -> None:
        """The mask of a detection is the object's."""
        self.here.sights[number] = look.sight
        self.now.places[number] = look.place

    def _noted(self, number: int, look: Look) -> None:
        """A detection is the object."""
        self.here.look(number, look)
        self.now.lives[number].look(self.now.frame, look.name, look.score, masks.area(look.sight.code))

    def _without_twins(self) -> None:
        """Objects that have come to lie on others end."""
        now, sights, visible = self.now, self.here.sights, self.here.visible
        overlap = masks.iou(self.here.codes(visible), self.here.codes(visible), now.memory.size_hw)
        ended = {visible[at] for at in twins(overlap, [now.lives[number] for number in visible], self.rules)}
        for number in ended:
            sights[number] = replace(sights[number], code=masks.NOTHING)
            now.places.pop(number)
            row = overlap[visible.index(number)]
            on_it = [
                other
                for other, iou in zip(visible, row, strict=True)
                if other not in ended and iou >= self.rules.refresh_iou
            ]
            for younger, older in self._recognised(number, on_it):
                self.here.said.setdefault(younger, {})["same_as"] = older
        kept = {number: track for number, track in now.memory.tracks.items() if number not in ended}
        now.memory = replace(now.memory, tracks=kept)

    def _recognised(self, number: int, others: Sequence[int]) -> Iterator[tuple[int, int]]:
        """Of two on one place, one that was born while the other was out of sight was that other: younger, older."""
        for other in others:
            older, younger = sorted((number, other))
            if self.now.lives[older].away_at(self.now.lives[younger].born):
                yield younger, older


def box_covered(boxes_xyxy: Boxes) -> NDArray[np.float64]:
    """The share of the smaller of two boxes that lies in the other: (N, 4) -> (N, N)."""
    iou, px = box_iou(boxes_xyxy, boxes_xyxy), areas(boxes_xyxy)
    both = iou / (1 + iou) * (px[:, None] + px)
    return np.asarray(both / np.minimum(px[:, None], px))


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
