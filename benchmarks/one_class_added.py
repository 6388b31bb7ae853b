"""A class added to twenty costs Florence-2 at most 0.4 of all of them, and SAM 2 only what was found of it.

    python benchmarks/one_class_added.py

Florence-2-base at full size, random weights, one thread, greedy, answers of 30 tokens: CPU of asking a few pictures for
the twenty-first class, over that for twenty. Then a run over 300 toy scenes with the tiny models, and the same run with
one class more that reads it: every question, picture and box that a model was handed is counted, and every mask of the
first run is looked for in the second. Other detectors: what each is asked again, and what that costs.
"""

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bench
import numpy as np
import random_models
from bench import Figure

from pipeline import engine, toyworld
from pipeline.config import Config, from_document
from pipeline.detectors import DetectorOptions
from pipeline.detectors.florence2 import Florence2
from pipeline.detectors.grounding import Grounding
from pipeline.labelled import labelled
from pipeline.media import Picture
from pipeline.ontology import Category, Ontology
from pipeline.records import Instances
from pipeline.runners.local import settle
from pipeline.seams import Device
from pipeline.segmenters.sam2 import Sam2
from pipeline.stages import Detect, Memory
from pipeline.store import Store
from pipeline.toyworld.words import name
from pipeline.yamls import Document

CLAIM = "what the twenty-first class costs"
AT_MOST = 0.4
TOKENS = 30
SEED = 11
CLASSES = tuple(name(kind) for kind in toyworld.SEEN[:21])
NEW = CLASSES[10]
OLD = tuple(each for each in CLASSES if each != NEW)
CPU = Device("cpu", 1)
ROWS = slice(3)
"""Detect, select, segment: what there is before an object's twins are told."""

handed: Counter[str] = Counter()
"""Questions to the detector, pictures and boxes to the segmenter."""


class Detector(Florence2):
    """Florence-2, counted."""

    def open(self, device: Device) -> Any:
        inner = super().open(device)
        detect = inner.detect

        def counted(pictures: Sequence[Picture], prompts: Sequence[str]) -> list[Instances]:
            handed["questions"] += len(pictures) * len(prompts)
            return list(detect(pictures, prompts))

        inner.detect = counted
        return inner


class Segmenter(Sam2):
    """SAM 2, counted."""

    def open(self, device: Device) -> Any:
        inner = super().open(device)
        segment = inner.segment

        def counted(pictures: Sequence[Picture], found: Sequence[Instances]) -> list[Instances]:
            handed["pictures"] += len(pictures)
            handed["boxes"] += sum(map(len, found))
            return list(segment(pictures, found))

        inner.segment = counted
        return inner


def main(pictures: int = 300, few: int = 4, size: str = "base", results: Path = bench.RESULTS) -> int:
    settle(threads=1, keep_pages=True)
    with tempfile.TemporaryDirectory() as place:
        runs = over_toy_scenes(Path(place), pictures)
    figures = [*full_size(size, few), *runs, *others(few)]
    return bench.conclude("one_class_added", CLAIM, figures, results)


def full_size(size: str, few: int) -> list[Figure]:
    """CPU of Florence-2 at full size, for a few pictures: the time of a picture does not depend on the others."""
    detector = Florence2(model=str(random_models.cached("florence2", size)), max_new_tokens=TOKENS).open(CPU)
    detector.calls.model.generation_config.min_new_tokens = TOKENS
    dice = np.random.default_rng(1)
    pictures = [Picture.of(bench.pink_noise((480, 640), dice)) for _ in range(few)]
    detector.detect(pictures[:1], OLD[:2])  # nothing is cold
    twenty, one = (cpu_s(detector, pictures, prompts) / few for prompts in (OLD, [NEW]))
    return [
        Figure("Florence-2, pictures timed", few, "pictures"),
        Figure("Florence-2, twenty classes", twenty, "s a picture"),
        Figure("Florence-2, the twenty-first", one, "s a picture"),
        Figure("Florence-2, the new one over all", one / twenty, "", at_most=AT_MOST),
    ]


def cpu_s(detector: Any, pictures: Sequence[Picture], prompts: Sequence[str]) -> float:
    """Seconds of CPU for a detector's answer."""
    began = time.process_time()
    detector.detect(pictures, prompts)
    return time.process_time() - began


def over_toy_scenes(place: Path, pictures: int) -> list[Figure]:
    """Two runs, the second with a class more: what models were handed, and which masks it has."""
    toyworld.write(place / "scenes", SEED, pictures)
    first = run(place, "before", OLD)
    handed_before, before = handed.copy(), rows(place / "before")
    second = run(place, "after", CLASSES, [place / "before"])
    after = rows(place / "after")
    kept = {row: mask for row, mask in after.items() if row[2] != NEW}
    asked_before = {(picture, box) for picture, box, _ in before}
    new = {(picture, box) for picture, box, word in after if word == NEW} - asked_before
    seconds = [summary.stages["detect"]["seconds"] for summary in (first, second)]
    return [
        Figure("toy scenes", pictures, "pictures"),
        Figure("questions of the first run", handed_before["questions"], "questions"),
        Figure("questions not of the new class", handed["questions"] - pictures, "questions", at_most=0),
        Figure("pictures that SAM 2 saw in the first run", handed_before["pictures"], "pictures"),
        Figure("pictures that SAM 2 saw in the second", handed["pictures"], "pictures"),
        Figure("of them without anything new", handed["pictures"] - len({of for of, _ in new}), "pictures", at_most=0),
        Figure("boxes that SAM 2 was given in the second", handed["boxes"], "boxes"),
        Figure("of them not new", handed["boxes"] - len(new), "boxes", at_most=0),
        Figure("masks of the first run", len(before), "masks"),
        Figure("that are others in the second, or gone", len(before.items() - kept.items()), "masks", at_most=0),
        Figure("tiny Florence-2, the new one over all", seconds[1] / seconds[0], "", at_most=AT_MOST),
    ]


def run(place: Path, out: str, classes: Sequence[str], reuse: Sequence[Path] = ()) -> engine.Summary:
    """Run the tiny models over the scenes; `handed` then has what they were handed."""
    handed.clear()
    return engine.run(config(place / "scenes/images", classes), place / out, reuse)


def config(source: Path, classes: Sequence[str]) -> Config:
    sections = {
        "source": {"path": str(source)},
        "ontology": dict.fromkeys(classes),
        "detect": {"backend": "one_class_added:Detector", "model": "tiny-florence2"},
        "select": {"threshold": 0.05},  # the tiny model is never very sure
        "segment": {"backend": "one_class_added:Segmenter", "model": "tiny-sam2"},
        "export": {"formats": []},
        "run": {"device": "cpu"},
    }
    return from_document(Document("benchmark", sections))


def rows(run_folder: Path) -> dict[tuple[str, tuple[float, ...], str], bytes | None]:
    """The masks of a run: (picture, box, class) -> code."""
    out = {}
    with Store(run_folder / "run.db") as store:
        for one in labelled(store):
            (found,) = one.replayed(store, ROWS).found
            for box, word, mask in zip(found.boxes_xyxy.tolist(), found.names, found.masks or (), strict=True):
                out[one.whole.id, tuple(box), word] = mask
    return out


def others(few: int) -> list[Figure]:
    """What other detectors are asked when there is a class more, and what that costs over asking for twenty."""
    models: dict[str, DetectorOptions] = {
        "tiny OWLv2": Grounding(model="tiny-owlv2"),
        "Grounding DINO (random, small)": Grounding(model=str(random_models.cached("grounding_dino"))),
    }
    pictures = [Picture.of(toyworld.scene(SEED, number).rgb) for number in range(few)]
    out = []
    for what, options in models.items():
        detector = options.open(CPU)
        prompts = asked_again(options)
        detector.detect(pictures[:1], OLD)
        twenty, again = (cpu_s(detector, pictures, some) for some in (OLD, prompts))
        out += [Figure(f"{what}, asked again", len(prompts), "classes"), Figure(f"{what}, CPU", again / twenty, "")]
    return out


def asked_again(options: DetectorOptions) -> list[str]:
    """The prompts that the detect stage has no answer to, where those of twenty classes are remembered."""
    before, after = (
        Detect(options, Ontology(tuple(Category(name=word) for word in words)), CPU) for words in (OLD, CLASSES)
    )
    picture = Picture.of(toyworld.scene(SEED, 0).rgb).clip
    memory = Memory({(picture.id, before.part(picture, question)): b"" for question in before.questions})
    return [prompt for question in after.unasked(picture, memory) for prompt in after.questions[question]]


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    import one_class_added  # backends are found by name, and count in that module

    sys.exit(one_class_added.main())
