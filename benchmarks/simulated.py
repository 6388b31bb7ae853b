"""Backends that stand for real ones where only the time around the models is measured.

The detector gives 20 fixed boxes and needs no pixels. The segmenter's device is a lock and a sleep: pictures are
really decoded and resized before it, and 20 maps of 256 x 256 really become run-length codes after it. The maps are
smooth blobs: random weights would give masks of 300 000 runs, which no model does.
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pipeline import masks
from pipeline.config import Config, from_document
from pipeline.detectors import DetectorOptions
from pipeline.media import Picture
from pipeline.records import Instances
from pipeline.seams import Device
from pipeline.segmenters import SegmenterOptions
from pipeline.yamls import Document

COLUMNS, ROWS = 5, 4
OBJECTS = COLUMNS * ROWS
MODEL_SIDE_PX, MAP_SIDE_PX = 1024, 256  # SAM 2's

began_at: list[float] = []
"""When each batch was handed to a segmenter: `time.perf_counter()`."""


@cache
def boxes_of_one() -> NDArray[np.float64]:
    """20 boxes as fractions of the sides, on a grid, of different sizes: -> (20, 4)."""
    dice = np.random.default_rng(1)
    cells = np.array([(x, y) for y in range(ROWS) for x in range(COLUMNS)])
    centre = (cells + dice.uniform(0.4, 0.6, cells.shape)) / (COLUMNS, ROWS)
    half = dice.uniform(0.2, 0.5, cells.shape) / (COLUMNS, ROWS)
    return np.hstack([centre - half, centre + half]).clip(0, 1)


@cache
def logits() -> NDArray[np.float32]:
    """The maps of the 20 boxes: -> (20, 256, 256)."""
    return maps_of(boxes_of_one())


def maps_of(boxes: NDArray[np.floating]) -> NDArray[np.float32]:
    """A blob with a wavy edge in each box, fractions of the sides; above zero inside: (N, 4) -> (N, 256, 256)."""
    x0, y0, x1, y1 = boxes.T[:, :, None, None] * MAP_SIDE_PX
    at = np.arange(MAP_SIDE_PX) + 0.5
    x, y = (2 * at - x0 - x1) / (x1 - x0), (2 * at[:, None] - y0 - y1) / (y1 - y0)
    edge = 0.85 + 0.1 * np.sin(5 * np.arctan2(y, x))
    return np.asarray(8 * (edge - np.hypot(x, y)), np.float32)


class Boxes(DetectorOptions):
    """The same 20 boxes in every picture, whatever is asked."""

    looks: ClassVar[bool] = False

    def open(self, device: Device) -> "_Boxes":
        return _Boxes()


class _Boxes:
    def detect(self, pictures: Sequence[Picture], prompts: Sequence[str]) -> list[Instances]:
        return [boxes_in(picture.size_hw, prompts) for picture in pictures]


def boxes_in(size_hw: tuple[int, int], prompts: Sequence[str]) -> Instances:
    """What the detector finds in a picture of `size_hw`."""
    h, w = size_hw
    return Instances(
        size_hw,
        (boxes_of_one() * (w, h, w, h)).astype(np.float32),
        names=("",) * OBJECTS,
        scores=np.linspace(0.5, 0.95, OBJECTS, dtype=np.float32),
        score_kind=("simulated",) * OBJECTS,
        prompts=tuple(prompts[i % len(prompts)] for i in range(OBJECTS)),
        source=("simulated",) * OBJECTS,
    )


class SimulatedDevice(SegmenterOptions):
    """A segmenter as SAM 2 is called: `ms_a_picture` of a device that serves one batch at a time."""

    ms_a_picture: float

    def open(self, device: Device) -> "Simulation":
        logits()  # as a model would be loaded
        return Simulation(self.ms_a_picture)


class Simulation:
    """The open device."""

    def __init__(self, ms_a_picture: float) -> None:
        self.ms_a_picture = ms_a_picture
        self._lock = Lock()

    def segment(self, pictures: Sequence[Picture], found: Sequence[Instances]) -> list[Instances]:
        began_at.append(time.perf_counter())
        batch = [resized(picture) for picture in pictures]
        with self._lock:
            self.forward(len(batch))
        return [with_masks(rows) for rows in found]

    def forward(self, pictures: int) -> None:
        """What the device does: nothing, for so long."""
        time.sleep(self.ms_a_picture * pictures / 1000)


def resized(picture: Picture) -> NDArray[np.uint8]:
    """The picture as the model takes it."""
    import cv2

    side = MODEL_SIDE_PX
    return np.asarray(cv2.resize(picture.rgb, (side, side), interpolation=cv2.INTER_LINEAR), np.uint8)


def with_masks(rows: Instances) -> Instances:
    """The rows with their masks made of the model's maps."""
    codes = tuple(masks.encode_logits(own, rows.size_hw) for own, _ in zip(logits(), range(len(rows)), strict=False))
    quality = np.full((len(rows), 3), 0.9, np.float32)
    return replace(rows, masks=codes, quality=quality)


def config(source: Path, ms_a_picture: float = 0, formats: Sequence[str] = (), **run: Any) -> Config:
    """A run over the pictures in a folder with these backends; `run` are the keys of its section."""
    sections = {
        "source": {"path": str(source)},
        "ontology": {"dog": None, "cat": None, "bird": None},
        "detect": {"backend": "simulated:Boxes"},
        "segment": {"backend": "simulated:SimulatedDevice", "ms_a_picture": ms_a_picture},
        "export": {"formats": list(formats)},
        "run": {"device": "cpu", **run},
    }
    return from_document(Document("benchmark", sections))
