"""One way to make each backend's options, for the contract suites: a new backend is a row here."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
import random_yolo
from blobs import Blobs
from places import SHARED_DATA
from random_models import cached

from pipeline.detectors.boxes import Boxes
from pipeline.detectors.everything import Everything
from pipeline.detectors.fake import Fake as FakeDetector
from pipeline.detectors.florence2 import Florence2
from pipeline.detectors.grounding import Grounding
from pipeline.detectors.tiled import Tiled
from pipeline.detectors.yolo import Yolo
from pipeline.detectors.yolox import Yolox
from pipeline.segmenters.fake import Fake as FakeSegmenter
from pipeline.segmenters.grabcut import Grabcut
from pipeline.segmenters.sam2 import Sam2
from pipeline.trackers.bytetrack import Bytetrack
from pipeline.trackers.iou import Iou
from pipeline.trackers.sam2 import Sam2 as Sam2Tracker
from pipeline.verifiers.clip import Clip
from pipeline.verifiers.fake import Fake as FakeVerifier

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


def everything():
    """Asked at one point: the random model's masks are shapeless, and each is as good as another."""
    unsure = {"min_iou": 0, "min_stability": 0, "named_iou": 0}
    return Everything(model=str(cached("sam2")), points_per_side=1, named_by=FakeDetector(), **unsure)


def florence2():
    """Cut after the first of its two boxes."""
    return Florence2(model=str(cached("florence2")), max_new_tokens=6)


def grounding(kind):
    return lambda: Grounding(model=str(cached(kind)))


def tiled():
    return Tiled(detector=Blobs(darker_than=40), side_px=32)


def yolo():
    """Options need no network, only a file."""
    Path("words.ts").write_bytes(b"what reads words")
    Path("m.onnx").write_bytes(b"a network")
    return Yolo(model="m.onnx")


def yolo_of(file, **options):
    def make():
        if find_spec("ultralytics") is None:
            pytest.skip("needs ultralytics: pip install 'masklet[yolo]'")
        given = {"allow_pickle": True, "names": random_yolo.NAMES, "side_px": 64, "floor": 0.4}
        return Yolo(model=str(file()), **given, **{name: str(of()) for name, of in options.items()})

    return make


def yolox():
    if not YOLOX_NANO.is_file():
        pytest.skip("needs ../shared/data/models/yolox_nano beside the repository")
    return Yolox(model=str(YOLOX_NANO), floor=0.0001)


def sam2():
    return Sam2(model=str(cached("sam2")))


def sam2_tracker():
    """Options need no model that knows anything."""
    return Sam2Tracker(model=str(cached("sam2")))


def bytetrack():
    if find_spec("ultralytics") is None or find_spec("lap") is None:
        pytest.skip("needs ultralytics and lap: pip install 'masklet[yolo]'")
    return Bytetrack()


GROUNDING = {f"grounding {kind}": grounding(kind) for kind in ("owlv2", "grounding_dino", "mm_grounding_dino")}

YOLO = {
    "yolo": yolo_of(random_yolo.saved),
    "yolo onnx": yolo_of(lambda: random_yolo.exported(imgsz=64)),
    "yolo world": yolo_of(lambda: random_yolo.saved("world"), text_encoder=random_yolo.clip),
}

DETECTORS = {"boxes": boxes, "everything": everything, "fake": FakeDetector, "tiled": tiled, "yolox": yolox}
SEGMENTERS = {"fake": FakeSegmenter, "grabcut": Grabcut, "sam2": sam2}
TRACKERS = {"bytetrack": bytetrack, "iou": Iou, "sam2": lambda: Sam2Tracker(model="tiny-sam2")}
VERIFIERS = {
    "clip": lambda: Clip(model=str(cached("clip"))),
    "clip siglip": lambda: Clip(model=str(cached("siglip"))),
    "fake": FakeVerifier,
}
DETECTORS |= GROUNDING
DETECTORS |= {"florence2": florence2}

BACKENDS = {("detector", name): make for name, make in DETECTORS.items()}
BACKENDS |= {("detector", "yolo"): yolo}
DETECTORS |= YOLO
BACKENDS |= {("segmenter", name): make for name, make in SEGMENTERS.items()}
BACKENDS |= {("verifier", "clip"): VERIFIERS["clip"], ("verifier", "fake"): FakeVerifier}
BACKENDS |= {("tracker", "bytetrack"): Bytetrack, ("tracker", "iou"): Iou, ("tracker", "sam2"): sam2_tracker}

FILES = {
    ("detector", "boxes"): "path",
    ("detector", "everything"): "model",
    ("detector", "florence2"): "model",
    ("detector", "yolo"): "model",
    ("detector", "yolox"): "model",
    ("segmenter", "sam2"): "model",
    ("tracker", "sam2"): "model",
    ("verifier", "clip"): "model",
}
FILES |= {("detector", name): "model" for name in GROUNDING}
"""The option that is the path of a file."""

OTHER_VALUES = {
    ("detector", "boxes"): {"jitter": 0.1, "seed": 1, "keep_masks": True},
    ("detector", "everything"): {
        "points_per_side": 2,
        "crop_layers": 1,
        "min_iou": 0.1,
        "min_stability": 0.1,
        "nms": 0.5,
        "max_objects": 7,
        "named_by": FakeDetector(objects=2),
        "named_iou": 0.1,
        "dtype": "bfloat16",
    },
    ("detector", "fake"): {"objects": 2},
    ("detector", "florence2"): {
        "task": "phrase_grounding",
        "beams": 3,
        "max_new_tokens": 7,
        "score": "label",
        "gate": True,
        "mirrored": True,
        "scales": (0.5,),
        "agreed": True,
        "dtype": "bfloat16",
    },
    ("detector", "tiled"): {
        "detector": Blobs(darker_than=99),
        "side_px": 64,
        "overlap": 0.5,
        "whole": False,
        "merge": 0.9,
    },
    ("detector", "yolo"): {
        "allow_pickle": True,
        "names": ("dog",),
        "text_encoder": "words.ts",
        "side_px": 32,
        "floor": 0.5,
        "nms": 0.5,
        "max_objects": 7,
    },
    ("detector", "yolox"): {"floor": 0.5, "nms": 0.5, "max_objects": 7},
    ("segmenter", "fake"): {},
    ("segmenter", "grabcut"): {"side_px": 64, "margin": 0.5, "core": 0.5, "iterations": 2},
    ("segmenter", "sam2"): {"dtype": "bfloat16", "retry_below": 0.1},
    ("verifier", "clip"): {"margin": 0.2, "sentence": "a {}", "otherwise": ("sky",), "dtype": "bfloat16"},
    ("verifier", "fake"): {"share": 0.5},
    ("tracker", "bytetrack"): {
        "track_high_thresh": 0.5,
        "track_low_thresh": 0.2,
        "new_track_thresh": 0.5,
        "track_buffer": 7,
        "match_thresh": 0.5,
        "fuse_score": False,
    },
    ("tracker", "iou"): {"match_iou": 0.1, "keep": 0},
    ("tracker", "sam2"): {
        "match_iou": 0.1,
        "refresh_iou": 0.1,
        "covered": 0.1,
        "spill": 0.2,
        "reach": 2,
        "rest": 0.1,
        "double_iou": 0.3,
        "keep": 7,
        "likeness": 0.1,
        "whole": 0.1,
        "refreshes": 7,
        "compiled": True,
        "dtype": "bfloat16",
    },
}
OTHER_VALUES |= {
    ("detector", name): {"floor": 0.5, "nms": 0.5, "max_objects": 7, "dtype": "bfloat16"} for name in GROUNDING
}
OF_ALL_TRACKERS = {"every": 3, "detections": 7, "sure": 0.1}
OTHER_VALUES = {
    (seam, name): others | (OF_ALL_TRACKERS if seam == "tracker" else {})
    for (seam, name), others in OTHER_VALUES.items()
}
"""A value of every other option that is not the default."""
