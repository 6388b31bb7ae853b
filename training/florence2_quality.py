"""What the tiny Florence-2 finds in pictures never learnt from, through masklet's own detector: COCO's figures."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.detectors.florence2 import Florence2
from pipeline.media import Picture
from pipeline.records import Instances
from pipeline.seams import Device
from pipeline.toyworld.scenes import Scene, scene
from pipeline.toyworld.shapes import EVERY, HELD_OUT, SEEN, SHAPES
from pipeline.toyworld.words import absent, name, phrases
from training.owlv2_batch import kinds
from training.owlv2_quality import alarmed, figures, scores

SEED, PICTURES = 10_000_000, 200
LOOK_SEED, GLANCES = 5_000_000, 16
"""The world of the pictures that are looked at as the training goes, and how many."""

ANSWER = 64
"""Tokens of an answer at most: 15 boxes."""


def opened(folder: Path, task: str = "open_vocabulary") -> Any:
    """Open masklet's detector. Its score is how sure it is of the name: of places it learnt to be sure only softly."""
    options = Florence2.model_validate({"model": str(folder), "task": task, "score": "label", "max_new_tokens": ANSWER})
    return options.open(Device())


def quality(folder: Path, pictures: int = PICTURES) -> dict[str, Any]:
    """Measure a checkpoint."""
    detector = opened(folder)
    scenes = [scene(SEED, number, kinds=EVERY) for number in range(pictures)]
    plain = {name(kind): name(kind) for kind in EVERY}
    nothing = absent()
    by_kind = [found(detector, one, {**plain, **dict.fromkeys(nothing, "")}) for one in scenes]
    by_other = [found(detector, one, {phrases(kind)[-1]: name(kind) for kind in EVERY}) for one in scenes]
    by_shape = [found(detector, one, {shape: shape for shape in SHAPES}) for one in scenes]
    grounding = opened(folder, "phrase_grounding")
    by_caption = [found(grounding, one, plain) for one in scenes]
    truth, seen = [by_name(one) for one in scenes], [name(kind) for kind in SEEN]
    return {
        "pictures": pictures,
        "seen": figures(scores(truth, by_kind, seen)),
        "held out": figures(scores(truth, by_kind, [name(kind) for kind in HELD_OUT])),
        "other words": figures(scores(truth, by_other, seen)),
        "captions": figures(scores(truth, by_caption, seen)),
        "shapes": figures(scores([one.found for one in scenes], by_shape, list(SHAPES))),
        "pictures with a false alarm": alarms(by_kind, nothing),
        "ap50 of each": {
            key: row["ap50"] for key, row in scores(truth, by_kind, [name(kind) for kind in EVERY]).per_class.items()
        },
    }


def glance(folder: Path, pictures: int = GLANCES) -> dict[str, float]:
    """Measure the most important, soon: names of all kinds, and some of what is never there."""
    detector = opened(folder)
    scenes = [scene(LOOK_SEED, number, kinds=EVERY) for number in range(pictures)]
    plain, nothing = {name(kind): name(kind) for kind in EVERY}, absent()[::8]
    rows = [found(detector, one, {**plain, **dict.fromkeys(nothing, "")}) for one in scenes]
    truth = [by_name(one) for one in scenes]
    told = {"alarms": alarms(rows, nothing)}
    for part, chosen in (("seen", SEEN), ("held_out", HELD_OUT)):
        figure = figures(scores(truth, rows, [name(kind) for kind in chosen]))
        told |= {f"{part}_{key}": figure[key] or 0.0 for key in ("ap50", "ap")}
    return told


def found(detector: Any, one: Scene, classes: dict[str, str]) -> Instances:
    """Ask for prompts, and name what was found by their classes; a model may well find nothing at all."""
    rows: Instances = detector.detect([Picture.of(one.rgb)], list(classes))[0]
    names = tuple(classes[prompt] for prompt in rows.prompts or ())
    return replace(rows, names=names, scores=np.zeros(0, np.float32) if rows.scores is None else rows.scores)


def by_name(one: Scene) -> Instances:
    """Name true rows by colour and shape."""
    return replace(one.found, names=tuple(name(kind) for kind in kinds(one.found)))


def alarms(rows: Sequence[Instances], nothing: Sequence[str]) -> float:
    """Give the share of pictures where something was found that no scene has."""
    return float(np.mean([alarmed(one, nothing) for one in rows]))
