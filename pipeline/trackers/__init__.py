"""Frames and detections to masks with identity: the seam, and the table of backends."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import ClassVar, Protocol

import numpy as np
from pydantic import Field

from pipeline.pixels import Rgb
from pipeline.records import Change, Clip, Instances
from pipeline.seams import Device, Options

TRACKERS = {
    "bytetrack": "pipeline.trackers.bytetrack:Bytetrack",
    "iou": "pipeline.trackers.iou:Iou",
    "sam2": "pipeline.trackers.sam2:Sam2",
}


class Tracker(Protocol):
    """Follows objects through a scene, segment by segment."""

    def track(self, clip: Clip, pictures: Iterator[Rgb], state: bytes) -> tuple[list[Change], bytes]:
        """Follow a segment: detections on its key frames -> the objects of every frame, and what the next one needs.

        `clip.found` has the detections; on frames that are not `key` there are none. `pictures` gives the frames in
        order, when they are asked for. `state` is what the segment before left, b"" at the beginning of a scene. How a
        scene is cut into segments must not change any answer: segments end on key frames.

        One change a frame, all its rows new, an object a row, in the order of `track_ids`, which are a scene's own
        numbers from 1; `visible`, and `masks` where there are any. `extra` says where a detection was the object,
        {"look": [class, score]}, and where it turned out to be another one, {"same_as": number}: with that,
        `identities` decides which objects there are.
        """
        ...


class TrackerOptions(Options):
    """A tracker's options: those that all of them have."""

    makes_masks: ClassVar[bool] = False
    """Whether masks are the tracker's; where not, a segmenter makes those of the detections."""

    every: int = Field(8, ge=1, description="frames from one key frame, where the detector is asked, to the next")
    detections: int = Field(2, ge=1, description="detections that make an object of what has a lower score than `sure`")
    sure: float = Field(0.6, ge=0, le=1, description="a score that needs no second detection")

    def open(self, device: Device) -> Tracker:
        """Load what is heavy."""
        raise NotImplementedError


def tracked(found: Instances, numbers: Mapping[int, int], source: str) -> Instances:
    """Detections of a key frame as the objects that they are, row -> number; rows without a number are left out."""
    kept = found.take(sorted(numbers, key=lambda row: numbers[row]))
    scores = np.ones(len(kept), np.float32) if kept.scores is None else kept.scores
    looks = [[name, round(float(score), 4)] for name, score in zip(kept.names, scores, strict=True)]
    return replace(
        kept,
        track_ids=np.array(sorted(numbers.values()), np.int64),
        visible=np.ones(len(kept), np.bool_),
        presence=scores,
        source=(source,) * len(kept),
        extra=tuple({**said, "look": look} for said, look in zip(kept.extra or [{}] * len(kept), looks, strict=True)),
    )
