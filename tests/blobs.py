"""A detector whose answers can be checked by eye: it finds what is dark, whatever it is asked for."""

from collections.abc import Sequence

import numpy as np

from pipeline.detectors import DetectorOptions
from pipeline.media import Picture
from pipeline.records import Instances
from pipeline.seams import Device

SHOWN: list[tuple[int, int]] = []
"""Sizes of the pictures it was shown, in order; a test empties it."""


class Blobs(DetectorOptions):
    """Connected pixels darker than `darker_than`; the larger one is, the surer: a score of 1 from 1000 pixels on."""

    @property
    def independent_classes(self) -> bool:
        return True

    darker_than: int = 60

    def refused(self, prompts: Sequence[str]) -> list[str]:
        return ["light blobs: only dark ones are found"] if "light" in prompts else []

    def open(self, device: Device) -> "_Blobs":
        return _Blobs(self.darker_than)


class _Blobs:
    def __init__(self, darker_than: int) -> None:
        self.darker_than = darker_than

    def detect(self, pictures: Sequence[Picture], prompts: Sequence[str]) -> list[Instances]:
        SHOWN.extend(picture.size_hw for picture in pictures)
        return [self._found(picture, tuple(dict.fromkeys(prompts))) for picture in pictures]

    def _found(self, picture: Picture, prompts: tuple[str, ...]) -> Instances:
        import cv2

        dark = (picture.rgb.max(axis=2) < self.darker_than).astype(np.uint8)
        blobs = cv2.connectedComponentsWithStats(dark)[2][1:].tolist() * len(prompts)
        return Instances(
            picture.size_hw,
            np.array([(x, y, x + w, y + h) for x, y, w, h, _ in blobs], np.float32).reshape(-1, 4),
            names=("",) * len(blobs),
            scores=np.array([min(1, area / 1000) for *_, area in blobs]),
            score_kind=("size",) * len(blobs),
            prompts=tuple(prompt for prompt in prompts for _ in range(len(blobs) // len(prompts))),
            source=("blobs",) * len(blobs),
        )
