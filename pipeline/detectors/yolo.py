"""YOLO as ultralytics trains it: classes of its own, or any words where it is a YOLO-World or a YOLOE.

ultralytics is AGPL-3.0, and so are its models: using either is a licence decision. What happens before and after the
network is what ultralytics does (`LetterBox` in data/augment.py, utils/nms.py, `scale_boxes` in utils/ops.py), without
its predictor: that one reports what it does, and stops suppressing boxes when a clock says so.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from itertools import zip_longest
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from pipeline import checkpoints, geometry
from pipeline.detectors import DetectorOptions, yolo_words
from pipeline.detectors.coco_names import COCO_NAMES
from pipeline.detectors.yolo_network import Network, opened
from pipeline.detectors.yolox import without_doubles
from pipeline.errors import ModelMissing
from pipeline.geometry import Boxes
from pipeline.media import Picture
from pipeline.pixels import Rgb
from pipeline.records import Instances, empty
from pipeline.seams import Device

STRIDE = 32  # sides of the network's input are multiples of it
GREY = 114  # what the rest of the input is filled with
CANDIDATES = 2000  # places of the network that are looked at, best first: each is compared with each
LIBRARY = {".pt": ("ultralytics", "yolo", " (AGPL-3.0)"), ".onnx": ("onnxruntime", "onnx", "")}
"""Kind of file -> the library that opens it, masklet's extra with it, its licence where that is no permissive one."""
LICENCE = "AGPL-3.0"
"""Of models that ultralytics trained, and of what its library writes, whatever kind of file they are in."""

Floats = NDArray[np.float32]
Whole = NDArray[np.int64]


class Yolo(DetectorOptions):
    """What a YOLO finds.

    `model` is a .pt file, or an .onnx file that ultralytics wrote (on the CPU only). A .pt file is a pickle: opening
    it can run any code that its author put in, so it is not opened without `allow_pickle`. `names` are the model's
    classes in its order. A YOLO-World or YOLOE in a .pt file is asked by words instead, which `text_encoder` reads:
    for YOLO-World a CLIP ViT-B/32 in the Hub's layout (folder or Hub id), for YOLOE ultralytics' mobileclip .ts file.

    A picture is scaled so that its longer side has `side_px` pixels; an .onnx file of fixed size keeps its own. Rows
    that score below `floor` are not stored: a later threshold cannot bring them back. Of two boxes of a class that
    overlap by more than `nms` (IoU) the better one stays, and at most `max_objects` of a picture. `side_px`, `nms` and
    `max_objects` are ultralytics' own (cfg/default.yaml).
    """

    model: str = Field(pattern=r"(?i)\.(pt|onnx)$")
    allow_pickle: bool = False
    names: tuple[str, ...] = Field(default=COCO_NAMES, min_length=1)
    text_encoder: str | None = Field(default=None, min_length=1)
    side_px: int = Field(default=640, ge=STRIDE, multiple_of=STRIDE)
    floor: float = Field(default=0.01, ge=0, le=1)
    nms: float = Field(default=0.7, ge=0, le=1)
    max_objects: int = Field(default=300, ge=1)

    @field_validator("names")
    @classmethod
    def _different(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for number, name in enumerate(names):
            if name in names[:number]:
                raise ValueError(f"{name!r} is there twice")
        return names

    @property
    def independent_classes(self) -> bool:
        """False by words: YOLO-World mixes them into its features, and a place answers with its best word only."""
        return self.text_encoder is None

    def vocabulary(self) -> tuple[str, ...] | None:
        """The model's classes; None where it is asked by words."""
        return self.names if self.text_encoder is None else None

    def file(self) -> Path:
        """The file of weights, if it may and can be opened; raises `ModelMissing`."""
        place = checkpoints.weights_file(self.model)
        kind = place.suffix.lower()
        if kind == ".pt" and not self.allow_pickle:
            raise ModelMissing(
                f"{self.model}: a .pt file is a pickle, which can run any code when it is opened; if you trust who made"
                " this one, say detect.allow_pickle=true, or export it to .onnx where it may run"
            )
        library, extra, licence = LIBRARY[kind]
        if find_spec(library) is None:
            raise ModelMissing(f"yolo: {library}{licence} is not installed; pip install 'masklet[{extra}]'")
        return place

    def fetch(self) -> None:
        if self.text_encoder is not None:
            yolo_words.fetch(self.text_encoder)

    def fingerprint(self, device: Device) -> dict[str, Any]:
        """Files by their hashes; an .onnx file never runs on anything but the CPU."""
        file = self.file()
        return self.model_dump(mode="json", exclude={"model", "text_encoder"}) | {
            "weights": checkpoints.sha256_of_file(file),
            "text_encoder": None if self.text_encoder is None else yolo_words.sha256(self.text_encoder),
            "device": "cpu" if file.suffix.lower() == ".onnx" else device.kind,
            "threads": device.threads,
        }

    def provenance(self) -> dict[str, Any]:
        """Files, hashes and the library."""
        file = self.file()
        said: dict[str, Any] = {"file": file.name, "sha256": checkpoints.sha256_of_file(file)}
        if self.text_encoder is not None:
            said |= {"text_encoder": Path(self.text_encoder).name, "its_sha256": yolo_words.sha256(self.text_encoder)}
        library, _, licence = LIBRARY[file.suffix.lower()]
        return said | {"library": library + licence, "licence": LICENCE}

    def open(self, device: Device) -> "_Yolo":
        """Load the network, and what reads words for it; raises `ModelMissing`."""
        file = self.file()
        network = opened(file, device)
        if network.words_by is None:
            _check_names(file, self.names, network.names)
        encoder = yolo_words.encoder(file, network.words_by, self.text_encoder, device)
        return _Yolo(self, network, encoder)


def _check_names(file: Path, ours: Sequence[str], theirs: Sequence[str]) -> None:
    """Raise `ModelMissing` where the model's classes are others."""
    for number, (said, is_) in enumerate(zip_longest(ours, theirs)):
        if said != is_:
            wants = "none of that number" if said is None else repr(said)
            has = "has none of that number" if is_ is None else f"is {is_!r}"
            raise ModelMissing(
                f"{file}: class {number} of the model {has}, but detect.names says {wants}; give all"
                f" {len(theirs)} names as the model has them"
            )


class _Yolo:
    def __init__(self, options: Yolo, network: Network, encoder: yolo_words.Encoder | None) -> None:
        self.options, self.network, self.encoder = options, network, encoder
        self.lock = Lock()
        self.learnt: tuple[str, ...] = ()

    def detect(self, pictures: Sequence[Picture], prompts: Sequence[str]) -> list[Instances]:
        """Find what is asked for, one picture a call; the network is not run where it knows none of it."""
        words = self.options.names if self.encoder is None else tuple(sorted(set(prompts)))
        asked = set(prompts) & set(words)
        return [self._found(picture, words, asked) if asked else empty(picture.size_hw) for picture in pictures]

    def _found(self, picture: Picture, words: tuple[str, ...], asked: set[str]) -> Instances:
        square, corner, scale = letterboxed(picture.rgb, self.options.side_px, self.network.input_hw)
        raw = self._answer(square, words)
        read = finished if self.network.end_to_end else decoded
        boxes, scores, classes = read(raw, len(words), self.options.floor)
        if not self.network.end_to_end:
            kept = without_doubles(boxes, scores, classes, self.options.nms)
            boxes, scores, classes = boxes[kept], scores[kept], classes[kept]
        boxes = geometry.clip_boxes((boxes - corner) / scale, picture.size_hw)
        best = ranked(boxes, scores, classes)[: self.options.max_objects]
        rows = [row for row in best if words[classes[row]] in asked]
        return Instances(
            picture.size_hw,
            boxes[rows],
            names=("",) * len(rows),
            scores=scores[rows],
            score_kind=("class probability",) * len(rows),
            prompts=tuple(words[classes[row]] for row in rows),
            source=("yolo",) * len(rows),
        )

    def _answer(self, square: Floats, words: tuple[str, ...]) -> Floats:
        with self.lock:
            if self.encoder is not None and self.learnt != words:
                self.network.learn([self.encoder(word) for word in words])
                self.learnt = words
            return self.network.forward(square)


def letterboxed(rgb: Rgb, side_px: int, fixed_hw: tuple[int, int] | None = None) -> tuple[Floats, Floats, Floats]:
    """Scale a picture for the network and put it into the middle of grey: (H, W, 3) -> (1, 3, h, w) RGB, 0 to 1.

    Without a fixed size, the input is the smallest one of whole strides. Also says where the picture's corner came to
    lie, and by how much it was scaled, each as (x, y, x, y).
    """
    import cv2

    h, w = rgb.shape[:2]
    full_hw = fixed_hw or (side_px, side_px)
    gain = min(full_hw[0] / h, full_hw[1] / w)
    small_h, small_w = max(1, round(h * gain)), max(1, round(w * gain))
    if fixed_hw is None:
        full_hw = (-(-small_h // STRIDE) * STRIDE, -(-small_w // STRIDE) * STRIDE)
    top, left = round((full_hw[0] - small_h) / 2 - 0.1), round((full_hw[1] - small_w) / 2 - 0.1)
    square = np.full((*full_hw, 3), GREY, np.uint8)
    small = rgb if (small_h, small_w) == (h, w) else cv2.resize(rgb, (small_w, small_h), interpolation=cv2.INTER_LINEAR)
    square[top : top + small_h, left : left + small_w] = small
    chw = np.ascontiguousarray(square.transpose(2, 0, 1)[None], np.float32) / np.float32(255)
    return chw, np.array([left, top] * 2, np.float32), np.array([small_w / w, small_h / h] * 2, np.float32)


def decoded(raw: Floats, number: int, floor: float) -> tuple[Boxes, Floats, Whole]:
    """Boxes in the network's pixels, scores and classes: (4 + number + any, N) -> (K, 4), (K,), (K,), best first.

    A column is a place: centre, sides and the probability of each class. It answers with its best class only.
    """
    best = raw[4 : 4 + number].argmax(axis=0)
    scores = raw[4 + best, np.arange(raw.shape[1])]
    order = np.argsort(-scores, kind="stable")[:CANDIDATES]
    rows = order[scores[order] >= floor]
    centre, half = raw[:2, rows].T, raw[2:4, rows].T / 2
    return np.hstack([centre - half, centre + half]), scores[rows], best[rows]


def finished(raw: Floats, number: int, floor: float) -> tuple[Boxes, Floats, Whole]:
    """The same of a network that suppresses doubles itself: rows of corners, score and class, (N, 6 + any)."""
    rows = raw[raw[:, 4] >= floor]
    return rows[:, :4], rows[:, 4], rows[:, 5].astype(np.int64)


def ranked(boxes_xyxy: Boxes, scores: Floats, classes: Whole) -> list[int]:
    """Rank rows whose box has an area by score, then class, then box."""
    proper = np.flatnonzero(geometry.proper(boxes_xyxy)).tolist()
    return sorted(proper, key=lambda row: (-scores[row], classes[row], *boxes_xyxy[row].tolist()))
