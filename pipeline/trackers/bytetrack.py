"""ByteTrack, as YOLO's users know it: boxes are looked for where objects are going, the unsure ones last.

Zhang et al., "ByteTrack: Multi-Object Tracking by Associating Every Detection Box", ECCV 2022, by ultralytics
(trackers/byte_tracker.py), which is AGPL-3.0: using it is a licence decision. Between two frames nothing is kept but
plain numbers, out of which its objects are made anew: where a scene is cut into segments changes nothing.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from itertools import count
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline.errors import BadRecord, ModelMissing
from pipeline.pixels import Rgb
from pipeline.records import Change, Clip, Drop, Instances, empty
from pipeline.seams import Device
from pipeline.trackers import TrackerOptions, tracked

WHOLE = ("track_id", "state", "is_activated", "frame_id", "start_frame", "tracklet_len")
NUMBERS = ("mean", "covariance")
"""What ultralytics knows of a track from one frame to the next, and its Kalman filter's (8,) and (8, 8)."""

Plain = dict[str, Any]


class Bytetrack(TrackerOptions):
    """Options and defaults of ultralytics (cfg/trackers/bytetrack.yaml), where frames are key frames.

    A row is a detection: an object has none on other frames, nor where it is missed. Classes are not compared; an
    object's class is voted. Let unsure detections through (`select`): they go on with objects, and begin none.
    """

    looks: ClassVar[bool] = False

    every: int = Field(1, ge=1, description="frames from one key frame, where the detector is asked, to the next")
    track_high_thresh: float = Field(0.25, ge=0, le=1, description="scores from here on are matched first")
    track_low_thresh: float = Field(0.1, ge=0, le=1, description="scores up to here are not matched at all")
    new_track_thresh: float = Field(0.25, ge=0, le=1, description="scores from here on begin a track")
    track_buffer: int = Field(30, ge=0, description="key frames for which a lost track is kept")
    match_thresh: float = Field(0.8, ge=0, le=1, description="1 - IoU up to which a box is the track's, matched first")
    fuse_score: bool = Field(True, description="whether IoU is weighed by the score in it")

    def fetch(self) -> None:
        """Nothing is downloaded; raises `ModelMissing` where a library is."""
        for library in ("ultralytics", "lap"):
            if find_spec(library) is None:
                raise ModelMissing(f"bytetrack: {library} is not installed; pip install 'masklet[yolo]' (AGPL-3.0)")

    def provenance(self) -> dict[str, Any]:
        """The library and its licence."""
        return {"library": "ultralytics (AGPL-3.0)", "licence": "AGPL-3.0"}

    def open(self, device: Device) -> "_Bytetrack":
        """Import ultralytics' tracker; raises `ModelMissing`."""
        from pipeline.detectors.yolo_network import imported

        self.fetch()
        tracker = _Bytetrack(self, imported("ultralytics.trackers.byte_tracker"))
        if not hasattr(tracker.made(_Scene()), "_ids"):
            raise ModelMissing("bytetrack: this ultralytics is too old; pip install --upgrade 'masklet[yolo]'")
        return tracker


@dataclass(frozen=True, slots=True)
class _Scene:
    """What goes on from one key frame to the next: tracks as plain values, and how many began.

    `removed` are the numbers of tracks that ultralytics is rid of and still has in one of its other lists.
    """

    frame: int = 0
    born: int = 0
    tracked: list[Plain] = field(default_factory=list)
    lost: list[Plain] = field(default_factory=list)
    removed: list[int] = field(default_factory=list)

    @classmethod
    def restored(cls, state: bytes) -> "_Scene":
        """From JSON; raises `BadRecord`."""
        try:
            return cls(**json.loads(state))
        except (ValueError, TypeError) as error:
            raise BadRecord(f"what the tracker bytetrack left cannot be read: {error}") from error


@dataclass(frozen=True, slots=True)
class _Boxes:
    """Detections as ultralytics takes them: scores, classes, and centres with sides."""

    conf: NDArray[np.float32]
    cls: NDArray[np.float32]
    xywh: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.conf)

    def __getitem__(self, rows: NDArray[np.bool_]) -> "_Boxes":
        return _Boxes(self.conf[rows], self.cls[rows], self.xywh[rows])


class _Bytetrack:
    def __init__(self, options: Bytetrack, library: Any) -> None:
        self.options, self._library = options, library

    def track(self, clip: Clip, pictures: Iterator[Rgb], state: bytes) -> tuple[list[Change], bytes]:
        """Follow a segment; see the seam. No picture is asked for."""
        scene = _Scene.restored(state) if state else _Scene()
        changes = []
        for at, (frame, found) in enumerate(zip(clip.frames, clip.found, strict=True)):
            numbers: dict[int, int] = {}
            if frame.key:
                scene, numbers = self._followed(scene, found)
            gone = [row for row in range(len(found)) if row not in numbers]
            rows = tracked(found, numbers, "bytetrack") if numbers else empty(frame.size_hw)
            changes.append(Change.of(rows, [Drop(row, "no_track", at=at) for row in gone]))
        return changes, json.dumps(asdict(scene)).encode()

    def made(self, scene: _Scene) -> Any:
        """Make ultralytics' tracker as it was after a frame."""
        tracker = self._library.BYTETracker(SimpleNamespace(**self.options.model_dump()))
        tracker.frame_id = scene.frame
        tracker._ids = count(scene.born + 1)
        tracker.tracked_stracks = [self._track(one, tracker) for one in scene.tracked]
        tracker.lost_stracks = [self._track(one, tracker) for one in scene.lost]
        tracker.removed_stracks = [SimpleNamespace(track_id=number) for number in scene.removed]
        return tracker

    def _track(self, plain: Plain, tracker: Any) -> Any:
        track = self._library.STrack(np.zeros(5, np.float32), 0.0, 0.0)
        track.kalman_filter = tracker.kalman_filter
        for name in WHOLE:
            setattr(track, name, plain[name])
        for name in NUMBERS:
            setattr(track, name, np.array(plain[name], np.float64))
        return track

    def _followed(self, scene: _Scene, found: Instances) -> tuple[_Scene, dict[int, int]]:
        """Go on with a key frame: what is known after it, and row -> number of the track that it is."""
        tracker = self.made(scene)
        tracker.update(_boxes(found))
        numbers = {
            int(track.idx): int(track.track_id)
            for track in tracker.tracked_stracks
            if track.frame_id == tracker.frame_id
        }
        both = [*tracker.tracked_stracks, *tracker.lost_stracks]
        removed = {track.track_id for track in tracker.removed_stracks} & {track.track_id for track in both}
        after = _Scene(
            tracker.frame_id,
            next(tracker._ids) - 1,
            [_plain(track) for track in tracker.tracked_stracks],
            [_plain(track) for track in tracker.lost_stracks],
            sorted(removed),
        )
        return after, numbers


def _boxes(found: Instances) -> _Boxes:
    corners = found.boxes_xyxy
    sides = corners[:, 2:] - corners[:, :2]
    scores = np.ones(len(found), np.float32) if found.scores is None else found.scores
    return _Boxes(scores, np.zeros(len(found), np.float32), np.hstack([corners[:, :2] + sides / 2, sides]))


def _plain(track: Any) -> Plain:
    return {name: getattr(track, name) for name in WHOLE} | {name: getattr(track, name).tolist() for name in NUMBERS}
