"""Backends around other backends that write down every picture they are handed: what was computed can be counted.

A config names them `counting:Detector` and `counting:Segmenter`; this file then lies in the working folder.
"""

import json
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.detectors import DETECTORS, DetectorOptions
from pipeline.media import Picture
from pipeline.records import Instances
from pipeline.seams import Device, lookup
from pipeline.segmenters import SEGMENTERS, SegmenterOptions

LOG = "handed.jsonl"


class Detector(DetectorOptions):
    """A detector that is counted. `knows` makes it a closed-set one; `sleep_s` is spent on each picture."""

    @property
    def independent_classes(self) -> bool:
        return True

    inner: Mapping[str, Any] = {"backend": "fake"}
    log: str = LOG
    sleep_s: float = 0.0
    knows: tuple[str, ...] = ()

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

    inner: Mapping[str, Any] = {"backend": "fake"}
    log: str = LOG
    sleep_s: float = 0.0

    def fingerprint(self, device: Device) -> dict[str, Any]:
        return dict(_options(self.inner, SEGMENTERS).fingerprint(device))

    def open(self, device: Device) -> "_Segmenter":
        write_down(self.log, "open segment")
        return _Segmenter(self, _options(self.inner, SEGMENTERS).open(device))


class _Detector:
    def __init__(self, options: Detector, inner: Any) -> None:
        self.options, self.inner = options, inner

    def detect(self, pictures: Sequence[Picture], prompts: Sequence[str]) -> list[Instances]:
        for picture in pictures:
            write_down(self.options.log, "detect", picture, list(prompts))
            time.sleep(self.options.sleep_s)
        return list(self.inner.detect(pictures, prompts))


class _Segmenter:
    def __init__(self, options: Segmenter, inner: Any) -> None:
        self.options, self.inner = options, inner

    def segment(self, pictures: Sequence[Picture], found: Sequence[Instances]) -> list[Instances]:
        for picture, rows in zip(pictures, found, strict=True):
            write_down(self.options.log, "segment", picture, rows.boxes_xyxy.tolist())
            time.sleep(self.options.sleep_s)
        return list(self.inner.segment(pictures, found))


def write_down(log: str, what: str, picture: Picture | None = None, asked: Sequence[Any] = ()) -> None:
    """Append a line in one call of the system: no kill of the process leaves half of one."""
    clip = {"name": picture.clip.name, "id": picture.clip.id} if picture else {}
    line = json.dumps({"what": what, **clip, "asked": list(asked)}) + "\n"
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        os.write(handle, line.encode())
    finally:
        os.close(handle)


def _options(inner: Mapping[str, Any], table: Mapping[str, str]) -> Any:
    return lookup(inner["backend"], table, "backend")(**{key: inner[key] for key in inner if key != "backend"})
