"""Beside a bare loop over the same models, a run on a CPU takes at most 3 percent more.

    python benchmarks/pipeline_models.py

32 photos, 8 boxes each, one thread: YOLOX-nano and a SAM 2.1 of the tiny one's size, then a Florence-2 of base's size
and the same SAM 2.1. Their weights are random, so what they say is replaced: 8 boxes for the detector's, a smooth blob
in each for SAM 2's maps, and answers of Florence-2 have 30 tokens; the models work all the same. The bare loop decodes
a photo and calls the models, no more. Run and loop take turns, a few photos each, and their CPU seconds are compared;
so is the time by the clock, which whoever else uses the machine can make worse. Photos and YOLOX are those of
../shared/data beside the repository; without it they are drawn, and YOLOX is left out.
"""

import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import bench
import numpy as np
import random_models
import simulated
from bench import Figure

from pipeline import engine
from pipeline.config import Config, from_document
from pipeline.detectors import DetectorOptions, InnerDetector
from pipeline.media import Picture, decode
from pipeline.records import Instances
from pipeline.runners.local import settle
from pipeline.sam2_image import Prompt
from pipeline.seams import Device
from pipeline.segmenters.sam2 import Sam2
from pipeline.yamls import Document

CLAIM = "bare loop over the models / a run, 8 boxes a photo, one thread"
LEAST = 0.97
SHARED = (Path(__file__).parents[1] / "../shared/data").resolve()
YOLOX = SHARED / "models/yolox_nano/yolox_nano.onnx"
CLASSES = ("dog", "cat")
TOKENS = 30
ROWS = [0, 2, 4, 6, 8, 10, 12, 14]
"""Of the 20 boxes that simulated.py has."""

CPU = Device("cpu", 1)

Spent = tuple[float, float]
"""Seconds: of the CPU, all threads, and by the clock."""


class EightBoxes(DetectorOptions):
    """Another detector at work, and 8 boxes whatever it says."""

    inner: InnerDetector

    def fetch(self) -> None:
        """Nothing: it is opened once, before."""

    def open(self, device: Device) -> "_EightBoxes":
        return _EightBoxes(opened(self.inner))


class _EightBoxes:
    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def detect(self, pictures: Sequence[Picture], prompts: Sequence[str]) -> list[Instances]:
        self.inner.detect(pictures, prompts)
        return [simulated.boxes_in(picture.size_hw, prompts).take(ROWS) for picture in pictures]


class Blobs(Sam2):
    """SAM 2 at work, and a blob in each box whatever it says."""

    def open(self, device: Device) -> Any:
        return opened_sam2(self.model)


@cache
def opened(options: Any) -> Any:
    """The detector, opened once for all rounds; Florence-2 with answers of as many tokens each."""
    detector = options.open(CPU)
    if hasattr(detector, "calls"):
        detector.calls.model.generation_config.min_new_tokens = TOKENS
    return detector


@cache
def opened_sam2(model: str) -> Any:
    """SAM 2, opened once for all rounds."""
    segmenter: Any = Sam2(model=model).open(CPU)
    at_work = segmenter.sam2.decode

    def decoded(embedding: Any, prompts: Sequence[Prompt], multimask: bool = False) -> Any:
        logits, iou = at_work(embedding, prompts, multimask)
        h, w = embedding.size_hw
        boxes = np.array([prompt.box_xyxy for prompt in prompts]).reshape(-1, 4) / (w, h, w, h)
        logits[:] = simulated.maps_of(boxes)[:, None, : logits.shape[2], : logits.shape[3]]
        return logits, iou

    segmenter.sam2.decode = decoded
    return segmenter


class Clock(engine.Nobody):
    """Looks at the time when the labelling begins and when a batch is committed."""

    began = ended = (0.0, 0.0)

    def begin(self, what: str, total: int) -> None:
        self.began = now()

    def step(self, pictures: int, objects: int = 0, aside: int = 0) -> None:
        self.ended = now()


def main(
    photos: int = 32, block: int = 8, sizes: tuple[str, str] = ("tiny", "base"), results: Path = bench.RESULTS
) -> int:
    settle(threads=1, keep_pages=True)
    sam2 = str(random_models.cached("sam2", sizes[0]))
    florence2 = str(random_models.cached("florence2", sizes[1]))
    pairs = {"YOLOX-nano, SAM 2.1": {"backend": "yolox", "model": str(YOLOX)}} if YOLOX.is_file() else {}
    pairs["Florence-2, SAM 2.1"] = {"backend": "florence2", "model": florence2, "max_new_tokens": TOKENS}
    figures = []
    with TemporaryDirectory() as place:
        folders = list(blocks(Path(place), photos, block))
        for name, detect in pairs.items():
            loop, whole = in_turns([configured(folder, detect, sam2) for folder in folders])
            ratios = [one[0] / other[0] for one, other in zip(loop, whole, strict=True)]
            for what, spent in (("bare loop", loop), ("run", whole)):
                cpu, wall = (sum(column) / photos for column in zip(*spent, strict=True))
                figures.append(Figure(f"{name}: {what}, CPU", cpu, "s a photo"))
                figures.append(Figure(f"{name}: {what}, by the clock", wall, "s a photo"))
            cpu, wall = (
                sum(x) / sum(y) for x, y in zip(zip(*loop, strict=True), zip(*whole, strict=True), strict=True)
            )
            figures.append(Figure(f"{name}: ratio by the clock", wall, ""))
            figures.append(Figure(f"{name}: lowest ratio of a turn, CPU", min(ratios), ""))
            figures.append(Figure(f"{name}: ratio, CPU", cpu, "", at_least=LEAST))
    return bench.conclude("pipeline_models", f"{CLAIM}, {photos} photos", figures, results)


def blocks(place: Path, photos: int, block: int) -> Iterator[Path]:
    """Folders with so many photos each."""
    files = sorted((SHARED / "coco64/images").glob("*.jpg")) if SHARED.is_dir() else []
    if not files:
        files = sorted(bench.draw_pictures(place / "drawn", photos, (480, 640)).glob("*.jpg"))
    for start in range(0, photos, block):
        folder = place / f"block{start}"
        folder.mkdir()
        for file in files[start : min(start + block, photos)]:
            shutil.copy(file, folder)
        yield folder


def configured(source: Path, detect: dict[str, Any], sam2: str) -> Config:
    """A run over a folder with these models."""
    sections = {
        "source": {"path": str(source)},
        "ontology": dict.fromkeys(CLASSES),
        "detect": {"backend": "pipeline_models:EightBoxes", "inner": detect},
        "segment": {"backend": "pipeline_models:Blobs", "model": sam2},
        "export": {"formats": []},
        "run": {"device": "cpu", "threads": 1},
    }
    return from_document(Document("benchmark", sections))


def in_turns(configs: Sequence[Config]) -> tuple[list[Spent], list[Spent]]:
    """What the loop and the run spend on each folder, by turns first and second, after one photo to warm up."""
    loop, whole = [], []
    alone(configs[0], 1)
    for n, config in enumerate(configs):
        ways: list[tuple[list[Spent], Callable[[Config], Spent]]] = [(loop, alone), (whole, through_masklet)]
        for kept, way in ways[:: 1 if n % 2 else -1]:
            kept.append(way(config))
    return loop, whole


def alone(config: Config, photos: int | None = None) -> Spent:
    """What a loop spends that decodes a photo and calls the models."""
    detector, sam2 = config.detect.open(CPU), config.segment.open(CPU).sam2
    files = sorted(Path(config.source.path).iterdir())[:photos]
    began = now()
    for file in files:
        picture = Picture.of(decode(file.read_bytes()))
        (found,) = detector.detect([picture], CLASSES)
        (embedding,) = sam2.embed([picture.rgb])
        sam2.decode(embedding, [Prompt(box) for box in found.boxes_xyxy])
    return since(began, now())


def through_masklet(config: Config) -> Spent:
    """What a run spends from its first batch to its last commit."""
    clock = Clock()
    with TemporaryDirectory() as out:
        summary = engine.run(config, Path(out, "run"), watch=clock)
    assert summary.pictures == len(list(Path(config.source.path).iterdir()))
    return since(clock.began, clock.ended)


def now() -> Spent:
    return time.process_time(), time.perf_counter()


def since(began: Spent, ended: Spent) -> Spent:
    return ended[0] - began[0], ended[1] - began[1]


if __name__ == "__main__":
    sys.exit(main())
