"""Backends around other backends that write down every picture they are handed: what was computed can be counted.

A config names them `counting:Detector`, `counting:Verifier`, `counting:Segmenter` and `counting:Tracker`; this file
then lies in the working folder.
"""

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from pipeline.detectors import DETECTORS, DetectorOptions
from pipeline.media import Picture
from pipeline.pixels import Rgb
from pipeline.records import Change, Clip, Instances
from pipeline.seams import Device, lookup
from pipeline.segmenters import SEGMENTERS, SegmenterOptions
from pipeline.trackers import TRACKERS, TrackerOptions
from pipeline.verifiers import VERIFIERS, Verdict, VerifierOptions, Words

LOG = "handed.jsonl"


class Detector(DetectorOptions):
    """A detector that is counted. `knows` makes it a closed-set one; `sleep_s` is spent on each picture.

    Its process dies on a picture called `dies_on`.
    """

    @property
    def independent_classes(self) -> bool:
        return True

    inner: Mapping[str, Any] = {"backend": "fake"}
    log: str = LOG
    sleep_s: float = 0.0
    knows: tuple[str, ...] = ()
    dies_on: str = ""

    def vocabulary(self) -> tuple[str, ...] | None:
        return self.knows or _options(self.inner, DETECTORS).vocabulary()

    def fingerprint(self, device: Device) -> dict[str, Any]:
        return {"knows": self.knows, **_options(self.inner, DETECTORS).fingerprint(device)}

    def open(self, device: Device) -> "_Detector":
        write_down(self.log, "open detect")
        return _Detector(self, _options(self.inner, DETECTORS).open(device))


class AllAtOnce(Detector):
    """A detector of which an answer depends on all that is asked in the same call."""

    @property
    def independent_classes(self) -> bool:
        return False


class Segmenter(SegmenterOptions):
    """A segmenter that is counted."""

    mends: ClassVar[bool] = True

    inner: Mapping[str, Any] = {"backend": "fake"}
    log: str = LOG
    sleep_s: float = 0.0

    def fingerprint(self, device: Device) -> dict[str, Any]:
        return dict(_options(self.inner, SEGMENTERS).fingerprint(device))

    def open(self, device: Device) -> "_Segmenter":
        write_down(self.log, "open segment")
        return _Segmenter(self, _options(self.inner, SEGMENTERS).open(device))


class Verifier(VerifierOptions):
    """A verifier that is counted."""

    looks: ClassVar[bool] = False

    inner: Mapping[str, Any] = {"backend": "fake"}
    log: str = LOG

    def fingerprint(self, device: Device) -> dict[str, Any]:
        return dict(_options(self.inner, VERIFIERS).fingerprint(device))

    def open(self, device: Device) -> "_Verifier":
        write_down(self.log, "open verify")
        return _Verifier(self, _options(self.inner, VERIFIERS).open(device))


class Tracker(TrackerOptions):
    """A tracker that is counted; with a film called `fails_on` it fails from frame `fails_from` on, or it `dies`."""

    looks: ClassVar[bool] = False

    inner: Mapping[str, Any] = {"backend": "iou"}
    log: str = LOG
    sleep_s: float = 0.0
    fails_on: str = ""
    fails_from: int = 0
    dies: bool = False

    def fingerprint(self, device: Device) -> dict[str, Any]:
        own = {"every": self.every, "detections": self.detections, "sure": self.sure}
        return {**_options(self.inner, TRACKERS).fingerprint(device), **own}

    def fetch(self) -> None:
        _options(self.inner, TRACKERS).fetch()

    def open(self, device: Device) -> "_Tracker":
        write_down(self.log, "open track")
        return _Tracker(self, _options(self.inner, TRACKERS).open(device))


class MaskTracker(Tracker):
    """One that looks at pictures and makes masks."""

    looks: ClassVar[bool] = True
    makes_masks: ClassVar[bool] = True


class _Detector:
    def __init__(self, options: Detector, inner: Any) -> None:
        self.options, self.inner = options, inner

    def detect(self, pictures: Sequence[Picture], prompts: Sequence[str]) -> list[Instances]:
        for picture in pictures:
            write_down(self.options.log, "detect", picture.clip, list(prompts))
            if picture.clip.name == self.options.dies_on:
                os._exit(1)
            time.sleep(self.options.sleep_s)
        return list(self.inner.detect(pictures, prompts))


class _Segmenter:
    def __init__(self, options: Segmenter, inner: Any) -> None:
        self.options, self.inner = options, inner

    def segment(self, pictures: Sequence[Picture], found: Sequence[Instances]) -> list[Instances]:
        for picture, rows in zip(pictures, found, strict=True):
            write_down(self.options.log, "segment", picture.clip, rows.boxes_xyxy.tolist())
            time.sleep(self.options.sleep_s)
        return list(self.inner.segment(pictures, found))

    def mend(self, pictures: Sequence[Picture], found: Sequence[Instances]) -> list[Instances]:
        for picture, rows in zip(pictures, found, strict=True):
            write_down(self.options.log, "mend", picture.clip, rows.boxes_xyxy.tolist())
        return list(self.inner.mend(pictures, found))


class _Verifier:
    def __init__(self, options: Verifier, inner: Any) -> None:
        self.options, self.inner = options, inner

    def verify(
        self, pictures: Sequence[Picture], found: Sequence[Instances], words: Mapping[str, Words]
    ) -> list[list[Verdict]]:
        for picture, rows in zip(pictures, found, strict=True):
            write_down(self.options.log, "verify", picture.clip, list(rows.names))
        return list(self.inner.verify(pictures, found, words))


class _Tracker:
    def __init__(self, options: Tracker, inner: Any) -> None:
        self.options, self.inner = options, inner

    def track(self, clip: Clip, pictures: Iterator[Rgb], state: bytes) -> tuple[list[Change], bytes]:
        write_down(self.options.log, "track", clip)
        time.sleep(self.options.sleep_s * len(clip.frames))
        if clip.name == self.options.fails_on and clip.frames[-1].index >= self.options.fails_from:
            if self.options.dies:
                os._exit(1)
            raise RuntimeError("no luck with this film")
        answer: tuple[list[Change], bytes] = self.inner.track(clip, pictures, state)
        return answer


def write_down(log: str, what: str, clip: Clip | None = None, asked: Sequence[Any] = ()) -> None:
    """Append a line in one call of the system: no kill of the process leaves half of one."""
    about = {"name": clip.name, "id": clip.id, "frames": [frame.index for frame in clip.frames]} if clip else {}
    line = json.dumps({"what": what, "pid": os.getpid(), **about, "asked": list(asked)}) + "\n"
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        os.write(handle, line.encode())
    finally:
        os.close(handle)


def _options(inner: Mapping[str, Any], table: Mapping[str, str]) -> Any:
    return lookup(inner["backend"], table, "backend")(**{key: inner[key] for key in inner if key != "backend"})
