"""A second model takes away most of what a detector finds of things that are not there, and leaves what is.

    python benchmarks/verify.py

The tiny Florence-2 learnt to say nothing of what is not there; the released ones answer every question with a box. So
here it must answer too: an answer may not end before its first box. It is asked for the seven shapes of the toy world
and for five things that no scene has; its score is the likelihood of the words. Its boxes alone, then with the tiny
CLIP as a second opinion; a false alarm is a box of a class that is not in the picture. And what likelihoods are worth:
the average precision of all boxes with them, and with one score for all, which is what tools have that take such
answers as they come.
"""

import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import bench
import numpy as np
from bench import Figure

from pipeline import engine, toyworld
from pipeline.config import Config, load
from pipeline.detectors.florence2 import Florence2
from pipeline.evaluate.average_precision import average_precision
from pipeline.evaluate.calibrate import Judged, figures, matched
from pipeline.formats import coco
from pipeline.labelled import labelled, replayed
from pipeline.records import Instances
from pipeline.seams import Device
from pipeline.store import Store
from pipeline.toyworld.words import ABSENT_SHAPES

CLAIM = "toy pictures, a tiny Florence-2 that answers every question, the tiny CLIP verifies"
SEED = 10_000_000
ABSENT = ABSENT_SHAPES[:5]
ALARMS, F1_GAIN, AP_KEPT, AP_RATIO = 0.3, 0.1, 0.97, 1.5
BASE = [
    "detect={backend: 'verify:Eager', model: tiny-florence2, score: label, max_new_tokens: 64}",
    "segment={backend: fake}",
    "track=null",
]
VERIFY = ["verify={backend: clip, model: tiny-clip}", "select.verified=0.5"]

FIRST_BOX = 6
"""Tokens of an answer: a sign of its beginning, a word, four places."""

Found = Mapping[str, Instances]


class Eager(Florence2):
    """A Florence-2 that answers every question."""

    def open(self, device: Device) -> Any:
        """Load the model, and let no answer end before its first box."""
        opened = super().open(device)
        opened.calls.model.generation_config.min_new_tokens = FIRST_BOX
        return opened


@dataclass(frozen=True, slots=True)
class Run:
    """What a run found, by picture: all of the detector's boxes, and what is left."""

    detected: Found
    kept: Found


def main(pictures: int = 100, results: Path = bench.RESULTS) -> int:
    with tempfile.TemporaryDirectory() as place:
        scenes, out = Path(place) / "scenes", Path(place)
        toyworld.write(scenes, SEED, pictures)
        truth = {clip.name: clip.found[0] for clip in coco.read(scenes / "truth.json").clips}
        alone = run(scenes, out / "alone", [])
        verified = run(scenes, out / "verified", VERIFY, out / "alone")
        constant = {name: replace(rows, scores=np.ones(len(rows))) for name, rows in alone.detected.items()}
        clips = list(coco.read(scenes / "truth.json").clips)
        likely_ap, constant_ap = (float(average_precision(clips, f, "box").ap or 0) for f in (alone.detected, constant))
        aps = [float(average_precision(clips, one.kept, "box").ap or 0) for one in (alone, verified)]
        f1s = [f1(one.kept, truth) for one in (alone, verified)]
    said = [
        Figure("false alarms, alone", alarms(alone.kept, truth), "a picture"),
        Figure("false alarms, verified", alarms(verified.kept, truth), "a picture", at_most=ALARMS),
        Figure("F1, alone", f1s[0], ""),
        Figure("F1, verified", f1s[1], ""),
        Figure("F1, gained", f1s[1] - f1s[0], "", at_least=F1_GAIN),
        Figure("AP of the shapes, alone", aps[0], ""),
        Figure("AP of the shapes, verified", aps[1], ""),
        Figure("AP, verified over alone", aps[1] / max(aps[0], 1e-9), "times", at_least=AP_KEPT),
        Figure("AP of all boxes, constant scores", constant_ap, ""),
        Figure("AP of all boxes, likelihoods", likely_ap, ""),
        Figure("likelihoods over constant scores", likely_ap / max(constant_ap, 1e-9), "times", at_least=AP_RATIO),
    ]
    return bench.conclude("verify", CLAIM, said, results)


def configured(scenes: Path, overrides: list[str]) -> Config:
    """The demo's configuration for this detector, and words for things that are not there."""
    classes = ", ".join([*toyworld.ontology().names, *ABSENT])
    return load("demo", [f"source.path={scenes / 'images'}", f"ontology={classes}", *BASE, *overrides])


def run(scenes: Path, out: Path, overrides: list[str], *reuse: Path) -> Run:
    """Run, and read what was found."""
    engine.run(configured(scenes, overrides), out, reuse)
    with Store(out / "run.db") as store:
        parts = [one.parts[0] for one in labelled(store)]
        detected = {clip.name: replayed(clip, chain.keys[:1], store).found[0] for clip, chain in parts}
        kept = {clip.name: replayed(clip, chain.keys, store).found[0] for clip, chain in parts}
    return Run(detected, kept)


def alarms(found: Found, truth: Found) -> float:
    """Boxes of classes that are not in their picture, a picture."""
    wrong = [sum(name not in truth[picture].names for name in rows.names) for picture, rows in found.items()]
    return float(np.mean(wrong))


def f1(found: Found, truth: Found) -> float:
    """Of all boxes that are left, of all classes: what is not there counts as wrong."""
    names = [*toyworld.ontology().names, *ABSENT]
    every = Judged.of([matched(rows, truth[picture], name) for picture, rows in found.items() for name in names])
    return figures(every, 0.0).f1 or 0.0


if __name__ == "__main__":
    sys.exit(main())
