"""Measure a finished run against truth: what the detector found, what became of it, and what was lost between."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline.config import Config
from pipeline.evaluate.average_precision import BoxesFrom, Kind, average_precision
from pipeline.formats import coco
from pipeline.labelled import labelled, replayed
from pipeline.records import Instances
from pipeline.store import Store

KINDS: dict[str, tuple[Kind, BoxesFrom]] = {
    "detector_box": ("box", "detector"),
    "mask_box": ("box", "mask"),
    "mask": ("mask", "mask"),
}


def evaluate_run(config: Config, store: Store, truth: Path, max_detections: int = 100) -> dict[str, Any]:
    """COCO's figures for each kind, over all classes and by class, as plain values.

    `detector_box` are the boxes of the detect stage, before thresholds, segmentation and dedupe; `mask_box` are the
    boxes of the masks that were kept; `mask` are those masks. A class counts if the truth has it and the run looks for
    it. Raises `BadDataset` where the truth cannot be read.
    """
    meant = list(coco.read(truth).clips)
    detected: dict[str, Instances] = {}
    final: dict[str, Instances] = {}
    lost = 0
    for one in (one for one in labelled(store) if not one.whole.is_film):
        ((clip, chain),) = one.parts
        clip = replayed(clip, chain.keys[:1], store)
        detected[clip.name] = clip.found[0]
        final[clip.name] = replayed(clip, chain.keys[1:], store).found[0]
        lost += sum(drop.reason == "empty_mask" for key in chain.keys for drop in store.drops(key))
    classes = config.ontology.names
    scores = {
        kind: average_precision(
            meant, detected if of == "detector" else final, what, of, classes=classes, max_detections=max_detections
        )
        for kind, (what, of) in KINDS.items()
    }
    return {
        "kinds": {kind: asdict(said) for kind, said in scores.items()},
        "lost_to_empty_mask": lost,
        "pictures": scores["mask"].pictures,
        "pictures_absent": scores["mask"].absent,
    }
