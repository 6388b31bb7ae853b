"""One way to make each backend's options, for the contract suites: a new backend is a row here."""

import json
from pathlib import Path

import pytest
from conftest import SHARED_DATA

from pipeline.detectors.boxes import Boxes
from pipeline.detectors.fake import Fake as FakeDetector
from pipeline.detectors.yolox import Yolox
from pipeline.segmenters.fake import Fake as FakeSegmenter
from pipeline.segmenters.grabcut import Grabcut

YOLOX_NANO = SHARED_DATA / "models/yolox_nano/yolox_nano.onnx"

PICTURES = ("busy", "flat", "pixel", "row", "column")
"""Names of the contract suites' pictures."""


def boxes():
    lines = [
        {"picture": picture, "class": name, "box": [0, 0, 1, 1]} for picture in PICTURES for name in ("person", "狗")
    ]
    file = Path("prompts.jsonl")
    file.write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
    return Boxes(path=str(file))


def yolox():
    if not YOLOX_NANO.is_file():
        pytest.skip("needs ../shared/data/models/yolox_nano beside the repository")
    return Yolox(model=str(YOLOX_NANO), floor=0.0001)


DETECTORS = {"boxes": boxes, "fake": FakeDetector, "yolox": yolox}
SEGMENTERS = {"fake": FakeSegmenter, "grabcut": Grabcut}

BACKENDS = {("detector", name): make for name, make in DETECTORS.items()}
BACKENDS |= {("segmenter", name): make for name, make in SEGMENTERS.items()}

FILES = {("detector", "boxes"): "path", ("detector", "yolox"): "model"}
"""The option that is the path of a file."""

OTHER_VALUES = {
    ("detector", "boxes"): {"jitter": 0.1, "seed": 1, "keep_masks": True},
    ("detector", "fake"): {"objects": 2},
    ("detector", "yolox"): {"floor": 0.5, "nms": 0.5, "max_objects": 7},
    ("segmenter", "fake"): {},
    ("segmenter", "grabcut"): {"side_px": 64, "margin": 0.5, "core": 0.5, "iterations": 2},
}
"""A value of every other option that is not the default."""
