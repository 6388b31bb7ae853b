"""What the tiny CLIP says of true boxes and of wrong ones, through masklet's own verifier."""

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.media import Picture
from pipeline.records import Instances
from pipeline.seams import Device
from pipeline.toyworld.scenes import Scene, scene
from pipeline.toyworld.shapes import EVERY, HELD_OUT, SHAPES
from pipeline.toyworld.words import ABSENT_SHAPES
from pipeline.verifiers import Words
from pipeline.verifiers.clip import Clip
from training.owlv2_batch import kinds
from training.verifier_batch import places

SEED, PICTURES = 10_000_000, 200
SURE = 0.5
"""From this share on, a row is verified."""


def quality(folder: Path, pictures: int = PICTURES) -> dict[str, Any]:
    """Measure a checkpoint: the share of boxes that are verified as what they are said to be."""
    verifier = Clip(model=str(folder)).open(Device())
    rng = np.random.default_rng(0)
    scenes = [scene(SEED, number, kinds=EVERY) for number in range(pictures)]
    empty = [(one, _boxes(one, places(rng, one))) for one in scenes]
    objects = [(one, one.found) for one in scenes]
    held_out = [(one, one.found.take([r for r, k in enumerate(kinds(one.found)) if k in HELD_OUT])) for one in scenes]
    shapes = tuple(SHAPES)
    return {
        "pictures": pictures,
        "objects, as their shape": verified(verifier, objects, lambda name: name, shapes),
        "of kinds held out": verified(verifier, held_out, lambda name: name, shapes),
        "objects, as another shape": verified(verifier, objects, _next, shapes),
        "objects, as what is never there": verified(verifier, objects, lambda name: ABSENT_SHAPES[0], shapes),
        "the same, with nothing to be told from": verified(verifier, objects, lambda name: ABSENT_SHAPES[0], ()),
        "objects, with nothing to be told from": verified(verifier, objects, lambda name: name, ()),
        "places where nothing is": verified(verifier, empty, lambda name: name, shapes),
    }


def verified(verifier: Any, looks: list[tuple[Scene, Instances]], said: Any, shapes: tuple[str, ...]) -> float:
    """The share of rows that are verified, each asked about as what `said` makes of its name."""
    told = {said(name) for name in SHAPES}
    words = {one: Words((one,), tuple((other,) for other in shapes if other != one)) for one in told}
    hits: list[bool] = []
    for one, rows in looks:
        asked = Instances(rows.size_hw, rows.boxes_xyxy, tuple(said(name) for name in rows.names))
        (answers,) = verifier.verify([Picture.of(one.rgb)], [asked], words)
        hits += [answer.share >= SURE for answer in answers]
    return float(np.mean(hits))


def _next(name: str) -> str:
    """Another shape."""
    shapes = list(SHAPES)
    return shapes[(shapes.index(name) + 1) % len(shapes)]


def _boxes(one: Scene, boxes: list[Any]) -> Instances:
    """Boxes of nothing, said to be of every shape in turn."""
    names = tuple(list(SHAPES)[number % len(SHAPES)] for number in range(len(boxes)))
    return Instances(one.found.size_hw, np.array(boxes, np.float32).reshape(-1, 4), names)
