"""Backends that write down what they are asked, and whose fingerprint a test can change."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from pipeline.detectors import DetectorOptions
from pipeline.detectors.fake import Fake as FakeDetector
from pipeline.media import Picture
from pipeline.records import Instances
from pipeline.seams import Device
from pipeline.segmenters import SegmenterOptions
from pipeline.segmenters.fake import Fake as FakeSegmenter

ASKED: list[tuple[Any, ...]] = []
"""('detect', picture, prompts) or ('segment', picture, number of rows), in the order of asking; a test empties it."""


def asked() -> list[tuple[Any, ...]]:
    """What was asked since somebody last looked."""
    said = ASKED.copy()
    ASKED.clear()
    return said


class Independent(DetectorOptions):
    """Two boxes a prompt, those of the fake, the surest first: prompts stand mixed, as a model answers."""

    @property
    def independent_classes(self) -> bool:
        return True

    weights: str = "1111"
    floor: float = 0.1

    def fingerprint(self, device: Device) -> dict[str, Any]:
        kind = device.name.partition(":")[0]
        return {**self.model_dump(mode="json"), "device": kind, "threads": device.threads}

    def open(self, device: Device) -> "_Detector":
        return _Detector(self, device)


class Joint(Independent):
    """A detector of which an answer depends on all that is asked in the same call: here the scores do."""

    @property
    def independent_classes(self) -> bool:
        return False


class ClosedSet(Independent):
    """A detector that always answers for everything it knows."""

    def vocabulary(self) -> tuple[str, ...]:
        return ("dog", "cat", "bird")


class Blind(Independent):
    """A detector that looks at no pixels."""

    looks: ClassVar[bool] = False


class Segmenter(SegmenterOptions):
    """Fills boxes."""

    weights: str = "2222"

    def fingerprint(self, device: Device) -> dict[str, Any]:
        return {"weights": self.weights, "device": device.name.partition(":")[0], "threads": device.threads}

    def open(self, device: Device) -> "_Segmenter":
        return _Segmenter(device)


class BlindSegmenter(Segmenter):
    """A segmenter that looks at no pixels."""

    looks: ClassVar[bool] = False


class _Detector:
    def __init__(self, options: Independent, device: Device) -> None:
        self.options, self.inner = options, FakeDetector(objects=2).open(device)

    def detect(self, pictures: Sequence[Picture], prompts: Sequence[str]) -> list[Instances]:
        ASKED.extend(("detect", picture.clip.name, tuple(prompts)) for picture in pictures)
        found = self.inner.detect(pictures, prompts)
        if isinstance(self.options, Joint):
            found = [Instances(f.size_hw, **f.columns() | {"scores": f.scores / len(prompts)}) for f in found]
        return [one.take(np.argsort(-one.scores, kind="stable")) for one in found]


class _Segmenter:
    def __init__(self, device: Device) -> None:
        self.inner = FakeSegmenter().open(device)

    def segment(self, pictures: Sequence[Picture], found: Sequence[Instances]) -> list[Instances]:
        ASKED.extend(("segment", p.clip.name, len(rows)) for p, rows in zip(pictures, found, strict=True))
        return self.inner.segment(pictures, found)
