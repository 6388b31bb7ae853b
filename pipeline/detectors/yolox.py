"""YOLOX in ONNX form, on the CPU: the 80 classes of COCO, one picture a call.

What happens before and after the network is what github.com/Megvii-BaseDetection/YOLOX does: `preproc` in
yolox/data/data_augment.py, `demo_postprocess` and `postprocess` in yolox/utils/demo_utils.py and boxes.py.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline import geometry
from pipeline.checkpoints import licence_of, sha256_of_file, weights_file
from pipeline.detectors import DetectorOptions
from pipeline.detectors.coco_names import COCO_NAMES
from pipeline.detectors.onnx_session import open_onnx
from pipeline.errors import ModelMissing
from pipeline.geometry import Boxes
from pipeline.media import Picture
from pipeline.pixels import Rgb
from pipeline.records import Instances, empty
from pipeline.seams import Device

STRIDES = (8, 16, 32)
GREY = 114  # what its authors fill the empty part of the square with

Floats = NDArray[np.float32]
Whole = NDArray[np.int64]


class Yolox(DetectorOptions):
    """What YOLOX finds.

    `model` is the ONNX file, as YOLOX's tools/export_onnx.py writes it without further options. Rows that
    score below `floor` are not stored: a later threshold cannot bring them back. Of two boxes of a class that
    overlap by more than `nms` (IoU) the better one stays, and at most `max_objects` of a picture. The first
    two numbers are those of YOLOX's own evaluation (`test_conf` and `nmsthre` in yolox/exp/yolox_base.py).
    """

    @property
    def independent_classes(self) -> bool:
        return True

    model: str = Field(min_length=1)
    floor: float = Field(default=0.01, ge=0, le=1)
    nms: float = Field(default=0.65, ge=0, le=1)
    max_objects: int = Field(default=300, ge=1)

    def vocabulary(self) -> tuple[str, ...]:
        """Name the classes of COCO."""
        return COCO_NAMES

    def fingerprint(self, device: Device) -> dict[str, Any]:
        """Name the weights by their hash; it never runs on anything but the CPU."""
        weights = {"weights": sha256_of_file(weights_file(self.model)), "threads": device.threads}
        return self.model_dump(mode="json", exclude={"model"}) | weights

    def provenance(self) -> dict[str, Any]:
        """File, hash and licence."""
        file = weights_file(self.model)
        return {"file": file.name, "sha256": sha256_of_file(file), "licence": licence_of(file)}

    def open(self, device: Device) -> "_Yolox":
        """Load the network; raises `ModelMissing`."""
        file = weights_file(self.model)
        network = open_onnx(file, device.threads, "yolox")
        _check_shapes(file, network)
        return _Yolox(self, network)


class _Yolox:
    def __init__(self, options: Yolox, session: Any) -> None:
        self.options, self.session = options, session
        self.input_name = session.get_inputs()[0].name
        height, width = session.get_inputs()[0].shape[2:]
        self.input_hw = (height, width)

    def detect(self, pictures: Sequence[Picture], prompts: Sequence[str]) -> list[Instances]:
        """Find the classes asked for; the network is not run where it knows none of them."""
        asked = set(prompts) & set(COCO_NAMES)
        return [self._found(picture, asked) if asked else empty(picture.size_hw) for picture in pictures]

    def _found(self, picture: Picture, asked: set[str]) -> Instances:
        square, scale = letterboxed(picture.rgb, self.input_hw)
        raw = self.session.run(None, {self.input_name: square})[0][0]
        boxes, scores, classes = decoded(raw, self.input_hw, self.options.floor)
        kept = without_doubles(boxes, scores, classes, self.options.nms)
        boxes = geometry.clip_boxes(boxes / np.float32(scale), picture.size_hw)
        best = ranked(kept, boxes, scores, classes)[: self.options.max_objects]
        rows = [row for row in best if COCO_NAMES[classes[row]] in asked]
        return Instances(
            picture.size_hw,
            boxes[rows],
            names=("",) * len(rows),
            scores=scores[rows],
            score_kind=("objectness x class probability",) * len(rows),
            prompts=tuple(COCO_NAMES[classes[row]] for row in rows),
            source=("yolox",) * len(rows),
        )


def letterboxed(rgb: Rgb, input_hw: tuple[int, int]) -> tuple[Floats, float]:
    """Scale a picture for the network, and say by how much: (H, W, 3) -> (1, 3, h, w) BGR, 0 to 255."""
    import cv2

    h, w = rgb.shape[:2]
    scale = min(input_hw[0] / h, input_hw[1] / w)
    small_wh = (max(1, int(w * scale)), max(1, int(h * scale)))
    square = np.full((*input_hw, 3), GREY, np.uint8)
    square[: small_wh[1], : small_wh[0]] = cv2.resize(rgb, small_wh, interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(square[None, :, :, ::-1].transpose(0, 3, 1, 2), np.float32), scale


def decoded(raw: Floats, input_hw: tuple[int, int], floor: float) -> tuple[Boxes, Floats, Whole]:
    """Boxes in the network's pixels, scores and classes: (N, 85) -> (K, 4), (K,), (K,).

    A row is one place of the grid: offset of the centre and logarithm of the sides in strides, objectness,
    and the probability of each class. As in YOLOX's own evaluation, a place answers with its best class only.
    """
    best = raw[:, 5:].argmax(axis=1)
    scores = raw[:, 4] * raw[np.arange(len(raw)), 5 + best]
    rows = np.flatnonzero(scores >= floor)
    corners, strides = (table[rows] for table in _grid(input_hw))
    centre = (raw[rows, 0:2] + corners) * strides
    with np.errstate(over="ignore"):  # an infinite side is cut at the picture's edge
        half = np.exp(raw[rows, 2:4]) * strides / 2
    return np.hstack([centre - half, centre + half]), scores[rows], best[rows]


def _grid(input_hw: tuple[int, int]) -> tuple[Floats, Floats]:
    """Column and row of each place in the grid of its stride, and the stride: -> (N, 2), (N, 1)."""
    corners, strides = [], []
    for stride in STRIDES:
        rows, columns = np.mgrid[: input_hw[0] // stride, : input_hw[1] // stride].reshape(2, -1)
        corners.append(np.stack([columns, rows], axis=1))
        strides.append(np.full((len(rows), 1), stride))
    return np.concatenate(corners).astype(np.float32), np.concatenate(strides).astype(np.float32)


def without_doubles(boxes_xyxy: Boxes, scores: Floats, classes: Whole, threshold: float) -> Whole:
    """Suppress all but the best of overlapping rows of a class: (N, 4), (N,), (N,) -> (K,)."""
    kept = [np.zeros(0, np.int64)]
    for number in np.unique(classes):
        rows = np.flatnonzero(classes == number)
        kept.append(rows[geometry.suppress(boxes_xyxy[rows], scores[rows], threshold)])
    return np.concatenate(kept)


def ranked(rows: Whole, boxes_xyxy: Boxes, scores: Floats, classes: Whole) -> list[int]:
    """Rank those of `rows` whose box has an area by score, then name, then box."""
    proper = rows[geometry.proper(boxes_xyxy[rows])].tolist()
    return sorted(proper, key=lambda row: (-scores[row], COCO_NAMES[classes[row]], *boxes_xyxy[row].tolist()))


def _check_shapes(file: Path, session: Any) -> None:
    """Raise `ModelMissing` where the network is not a YOLOX with COCO's classes."""
    ins, outs = session.get_inputs(), session.get_outputs()
    takes, gives = [list(each.shape) for each in ins], [list(each.shape) for each in outs]
    fits = len(takes) == len(gives) == 1 and len(takes[0]) == 4 and takes[0][:2] == [1, 3]
    if fits and all(isinstance(side, int) for side in takes[0]):
        places = len(_grid((takes[0][2], takes[0][3]))[0])
        if gives == [[1, places, 5 + len(COCO_NAMES)]]:
            return
    raise ModelMissing(
        f"{file}: not a YOLOX for COCO: want 1 x 3 x H x W in and 1 x N x 85 out, N places of its grid,"
        f" got {takes} in and {gives} out; export it with YOLOX's tools/export_onnx.py and no --dynamic"
    )
