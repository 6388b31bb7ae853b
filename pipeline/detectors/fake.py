"""Boxes out of nothing, for tests and dry runs: prompts and the picture's size decide, its pixels do not."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline.detectors import DetectorOptions
from pipeline.media import Picture
from pipeline.records import Instances, sha256_of
from pipeline.seams import Device


class Fake(DetectorOptions):
    """`objects` boxes for each prompt, the same in every picture of a size."""

    @property
    def independent_classes(self) -> bool:
        return True

    looks: ClassVar[bool] = False

    objects: int = Field(default=1, ge=0, le=1000)

    def open(self, device: Device) -> "_Fake":
        """Nothing to load."""
        return _Fake(self.objects)


class _Fake:
    def __init__(self, objects: int) -> None:
        self.objects = objects

    def detect(self, pictures: Sequence[Picture], prompts: Sequence[str]) -> list[Instances]:
        """Answer with the same boxes for every picture, as fractions of its sides."""
        rows = [(prompt, number) for prompt in dict.fromkeys(prompts) for number in range(self.objects)]
        dice = np.array([_dice(prompt, number) for prompt, number in rows]).reshape(-1, 8)
        centre, half = 0.25 + 0.5 * dice[:, 0:2], 0.1 + 0.15 * dice[:, 2:4]
        boxes_of_one = np.hstack([centre - half, centre + half])
        shared: dict[str, Any] = {
            "names": ("",) * len(rows),
            "scores": 0.5 + 0.5 * dice[:, 4],
            "score_kind": ("fake",) * len(rows),
            "prompts": tuple(prompt for prompt, _ in rows),
            "source": ("fake",) * len(rows),
        }
        sides = (np.array([w, h, w, h]) for h, w in (picture.size_hw for picture in pictures))
        return [Instances(p.size_hw, boxes_of_one * side, **shared) for p, side in zip(pictures, sides, strict=True)]


def _dice(prompt: str, number: int) -> NDArray[np.float64]:
    """Eight numbers in [0, 1) that only a prompt and a number decide."""
    return np.frombuffer(bytes.fromhex(sha256_of([prompt, number])), "<u4") / 2**32
