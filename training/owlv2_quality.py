"""What the tiny OWLv2 finds in 200 pictures never learnt from, through masklet's own detector: COCO's figures."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.detectors.grounding import Grounding
from pipeline.evaluate.average_precision import Scores, average_precision
from pipeline.media import Picture
from pipeline.records import Clip, Frame, Instances
from pipeline.seams import Device
from pipeline.toyworld.scenes import Scene, scene
from pipeline.toyworld.shapes import EVERY, HELD_OUT, SEEN, SHAPES
from pipeline.toyworld.words import absent, name, phrases

SEED, PICTURES = 10_000_000, 200
ALARM = 0.3
"""From this score on, a box for what is not there is a false alarm."""


def quality(folder: Path, pictures: int = PICTURES) -> dict[str, Any]:
    """Measure a checkpoint."""
    detector = Grounding(model=str(folder)).open(Device())
    scenes = [scene(SEED, number, kinds=EVERY) for number in range(pictures)]
    plain = {name(kind): name(kind) for kind in EVERY}
    other = {phrases(kind)[-1]: name(kind) for kind in EVERY}
    nothing = absent()
    by_kind = [found(detector, one, {**plain, **dict.fromkeys(nothing, "")}) for one in scenes]
    by_other = [found(detector, one, other) for one in scenes]
    by_shape = [found(detector, one, {shape: shape for shape in SHAPES}) for one in scenes]
    kinds = [_named_by_kind(one.found) for one in scenes]
    shapes = [one.found for one in scenes]
    return {
        "pictures": pictures,
        "seen": figures(scores(kinds, by_kind, [name(kind) for kind in SEEN])),
        "held out": figures(scores(kinds, by_kind, [name(kind) for kind in HELD_OUT])),
        "other words": figures(scores(kinds, by_other, [name(kind) for kind in SEEN])),
        "shapes": figures(scores(shapes, by_shape, list(SHAPES))),
        "pictures with a false alarm": float(np.mean([alarmed(one, nothing) for one in by_kind])),
        "ap50 of each": {
            key: row["ap50"] for key, row in scores(kinds, by_kind, [name(kind) for kind in EVERY]).per_class.items()
        },
    }


def found(detector: Any, one: Scene, classes: dict[str, str]) -> Instances:
    """Ask for prompts, and name what was found by their classes."""
    (rows,) = detector.detect([Picture.of(one.rgb)], list(classes))
    return replace(rows, names=tuple(classes[prompt] for prompt in rows.prompts or ()))


def _named_by_kind(truth: Instances) -> Instances:
    """Name true rows by colour and shape."""
    extra = truth.extra or ()
    return replace(truth, names=tuple(f"{e['color']} {n}" for e, n in zip(extra, truth.names, strict=True)))


def scores(true: Sequence[Instances], rows: Sequence[Instances], classes: list[str]) -> Scores:
    """Judge pictures, numbered as they are."""
    clips = [
        Clip(str(number), f"{number:04}", "", (Frame(0, 0.0, one.size_hw),), found=(one,))
        for number, one in enumerate(true)
    ]
    return average_precision(clips, {f"{number:04}": one for number, one in enumerate(rows)}, "box", classes=classes)


def figures(of: Scores) -> dict[str, float | None]:
    """Take the figures that a card shows."""
    return {
        "ap50": of.ap50,
        "ap": of.ap,
        "ap small": of.ap_small,
        "ap medium": of.ap_medium,
        "ap large": of.ap_large,
    }


def alarmed(rows: Instances, nothing: Sequence[str]) -> bool:
    """Tell if something was found that no scene has."""
    sure = rows.scores >= ALARM  # type: ignore[operator]
    return any(sure[row] and prompt in nothing for row, prompt in enumerate(rows.prompts or ()))
