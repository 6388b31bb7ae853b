"""The baseline without a model: what overlaps a detection of the key frame before is the same object.

Bochinski, Eiselein and Sikora, "High-Speed Tracking-by-Detection Without Using Image Information", AVSS 2017; pairs are
those that overlap most together, not the best first, and an object may be missed, as in Bewley et al., "Simple Online
and Realtime Tracking", ICIP 2016.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline import geometry, masks
from pipeline.errors import BadRecord
from pipeline.pixels import Rgb
from pipeline.records import Change, Clip, Instances, empty
from pipeline.seams import Device
from pipeline.trackers import TrackerOptions, tracked


class Iou(TrackerOptions):
    """Overlap is of masks where both have one, else of boxes; only what is of one class is one object.

    A row is a detection: an object has none on other frames, nor where it is missed. The defaults of `match_iou` and
    `keep` are those of SORT's own sort.py (iou_threshold, max_age); Bochinski's are .5 and 0.
    """

    looks: ClassVar[bool] = False

    every: int = Field(1, ge=1, description="frames from one key frame, where the detector is asked, to the next")
    match_iou: float = Field(0.3, gt=0, le=1, description="a detection that overlaps an object so much is the object")
    keep: int = Field(1, ge=0, description="key frames in a row on which an object may be missed")

    def open(self, device: Device) -> "_Iou":
        """Nothing to load."""
        return _Iou(self)


@dataclass(frozen=True, slots=True)
class _Object:
    """An object as it was last detected, `missed` key frames ago."""

    number: int
    name: str
    box_xyxy: tuple[float, ...]
    mask: bytes | None
    missed: int = 0


@dataclass(slots=True)
class _Scene:
    """The objects of a scene that may go on, by number, and how many there have been."""

    objects: list[_Object] = field(default_factory=list)
    born: int = 0

    def stored(self) -> bytes:
        """As JSON."""
        plain = [asdict(one) | {"mask": one.mask and one.mask.decode("ascii")} for one in self.objects]
        return json.dumps({"born": self.born, "objects": plain}).encode()

    @classmethod
    def restored(cls, state: bytes) -> "_Scene":
        """Take up what `stored` gave; raises `BadRecord`."""
        try:
            plain = json.loads(state)
            return cls([_restored(one) for one in plain["objects"]], int(plain["born"]))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadRecord(f"what the tracker iou left cannot be read: {error}") from error


def _restored(plain: dict[str, Any]) -> _Object:
    mask = None if plain["mask"] is None else plain["mask"].encode("ascii")
    return _Object(**plain | {"box_xyxy": tuple(plain["box_xyxy"]), "mask": mask})


class _Iou:
    def __init__(self, options: Iou) -> None:
        self.options = options

    def track(self, clip: Clip, pictures: Iterator[Rgb], state: bytes) -> tuple[list[Change], bytes]:
        """Follow a segment; see the seam. No picture is asked for."""
        scene = _Scene.restored(state) if state else _Scene()
        changes = [
            Change.of(self._followed(scene, found) if frame.key else empty(frame.size_hw))
            for frame, found in zip(clip.frames, clip.found, strict=True)
        ]
        return changes, scene.stored()

    def _followed(self, scene: _Scene, found: Instances) -> Instances:
        """Go on with a key frame."""
        pairs = matched(found, scene.objects, self.options.match_iou)
        codes = found.masks or (None,) * len(found)
        numbers: dict[int, int] = {}
        for row in range(len(found)):
            scene.born += row not in pairs
            numbers[row] = scene.objects[pairs[row]].number if row in pairs else scene.born
        seen = [
            _Object(numbers[row], found.names[row], tuple(found.boxes_xyxy[row].tolist()), codes[row])
            for row in range(len(found))
        ]
        missed = [
            _Object(one.number, one.name, one.box_xyxy, one.mask, one.missed + 1)
            for at, one in enumerate(scene.objects)
            if at not in pairs.values() and one.missed < self.options.keep
        ]
        scene.objects = sorted([*seen, *missed], key=lambda one: one.number)
        return tracked(found, numbers, "iou")


def matched(found: Instances, objects: Sequence[_Object], least: float) -> dict[int, int]:
    """Row -> place of the object that it is, one with one: those that overlap most together, each by `least`."""
    from scipy.optimize import linear_sum_assignment

    same = np.array([[name == one.name for one in objects] for name in found.names], np.bool_)
    iou = overlap(found, objects)
    allowed = same.reshape(iou.shape) & (iou >= least)
    pairs = zip(*linear_sum_assignment(np.where(allowed, iou, 0), maximize=True), strict=True)
    return {int(row): int(at) for row, at in pairs if allowed[row, at]}


def overlap(found: Instances, objects: Sequence[_Object]) -> NDArray[np.float64]:
    """Overlap of each row with each object, of masks where both have one, else of boxes: (N, M)."""
    iou = geometry.box_iou(found.boxes_xyxy, geometry.as_boxes([one.box_xyxy for one in objects]))
    mine = {row: code for row, code in enumerate(found.masks or ()) if code is not None}
    theirs = {at: one.mask for at, one in enumerate(objects) if one.mask is not None}
    if mine and theirs:
        iou[np.ix_(list(mine), list(theirs))] = masks.iou(list(mine.values()), list(theirs.values()), found.size_hw)
    return iou
