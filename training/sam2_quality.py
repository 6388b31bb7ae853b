"""How well the tiny SAM 2 masks things in pictures, and follows them in films, never learnt from."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from transformers import Sam2VideoModel

from pipeline import masks
from pipeline.media import Picture
from pipeline.seams import Device
from pipeline.segmenters.sam2 import Sam2
from pipeline.toyworld.films import STORIES, film
from pipeline.toyworld.scenes import scene
from pipeline.toyworld.shapes import EVERY
from training.sam2_films import followed

SEED, PICTURES, FILMS = 10_000_000, 200, 20
SMALL_PX, LARGE_PX = 32**2, 96**2
"""COCO's limits of small and large, by the area of the mask."""


def quality(folder: Path, pictures: int = PICTURES, films: int = FILMS) -> dict[str, Any]:
    """Measure a checkpoint."""
    return {"pictures": pictures, **of_pictures(folder, pictures), "films": films, **of_films(folder, films)}


def of_pictures(folder: Path, pictures: int) -> dict[str, Any]:
    """Mask everything from its true box, through masklet's own segmenter: mean IoU."""
    segmenter = Sam2(model=str(folder)).open(Device())
    rows: list[tuple[str, int, float]] = []
    for number in range(pictures):
        one = scene(SEED, number, kinds=EVERY)
        (answer,) = segmenter.segment([Picture.of(one.rgb)], [replace(one.found, masks=None)])
        for row, (true, code) in enumerate(zip(one.found.masks or (), answer.masks or (), strict=True)):
            fit = masks.iou([true or masks.NOTHING], [code or masks.NOTHING], one.found.size_hw)[0, 0]
            rows.append((one.found.names[row], masks.area(true or masks.NOTHING), float(fit)))
    fits = np.array([fit for _, _, fit in rows])
    areas, names = np.array([area for _, area, _ in rows]), np.array([name for name, _, _ in rows])
    parts = {
        "all": areas > 0,
        "small": areas < SMALL_PX,
        "medium": (areas >= SMALL_PX) & (areas < LARGE_PX),
        "large": areas >= LARGE_PX,
        **{name: names == name for name in sorted(set(names))},
    }
    return {"mask iou": {part: round(float(fits[chosen].mean()), 4) for part, chosen in parts.items() if chosen.any()}}


def of_films(folder: Path, films: int) -> dict[str, Any]:
    """Follow everything from its true box on the first of 48 frames, with transformers' own loop: J by story."""
    model = Sam2VideoModel.from_pretrained(folder).eval()
    told: dict[str, list[float]] = {}
    for number in range(films):
        story = STORIES[number % len(STORIES)]
        told.setdefault(story, []).extend(followed(model, film(SEED, number, story, kinds=EVERY)))
    everything = [fit for fits in told.values() for fit in fits]
    return {"J": {key: round(float(np.mean(fits)), 4) for key, fits in {"all": everything, **told}.items()}}
