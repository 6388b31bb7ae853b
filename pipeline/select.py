"""Which of the boxes found are wanted: thresholds, second opinions, negatives and sizes, without a model."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from pipeline import geometry
from pipeline.calibration import FromFile
from pipeline.ontology import Category, Ontology
from pipeline.records import Change, Drop, Instances

VERSION = 1


class Rules(BaseModel):
    """What a box must have to stay; a class's own threshold and limits stand in the ontology."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    threshold: float = Field(0.3, ge=0, le=1, description="lowest score kept, for classes that give none")
    negative_iou: float = Field(
        0.5,
        gt=0,
        le=1,
        description="a negative prompt rules out a box that it overlaps by this much with a higher score",
    )
    verified: float = Field(0.0, ge=0, le=1, description="lowest share that a second model gives; 0: none is asked for")
    calibration: FromFile = Field(
        None,
        description="file of `masklet calibrate`: its thresholds go before all others, and rows are told their"
        " probability",
    )


def identity(rules: Rules, ontology: Ontology) -> dict[str, Any]:
    """All that the answer depends on besides the rows; a class that sets nothing is not in it."""
    fields = {"threshold", "negatives", "min_area_px", "max_area_fraction"}
    own = {c.name: c.model_dump(mode="json", include=fields, exclude_defaults=True) for c in ontology.active}
    return {"rules": rules.model_dump(mode="json"), "classes": {name: said for name, said in own.items() if said}}


def thresholds(rules: Rules, ontology: Ontology) -> dict[str, float]:
    """The lowest score kept of each class: the calibration's, else the class's own, else the one for all."""
    measured = {} if rules.calibration is None else rules.calibration.thresholds
    own = {c.name: rules.threshold if c.threshold is None else c.threshold for c in ontology.active}
    return {name: measured.get(name, threshold) for name, threshold in own.items()}


def select(found: Instances, rules: Rules, ontology: Ontology) -> Change:
    """The rows that stay, in their order, and a reason for every other row: the first that applies."""
    classes = {c.name: c for c in ontology.active}
    h, w = found.size_hw
    lowest = thresholds(rules, ontology)
    threshold, smallest, largest = (
        _per_row(found, classes, rule)
        for rule in (
            lambda c: lowest[c.name],
            lambda c: c.min_area_px or 0.0,
            lambda c: (c.max_area_fraction or 1.0) * h * w,
        )
    )
    scores = np.ones(len(found)) if found.scores is None else found.scores.astype(np.float64).round(4)
    box_px = geometry.areas(found.boxes_xyxy)
    unnamed = np.array([name == "" for name in found.names], np.bool_)
    said = found.extra or ({},) * len(found)
    doubted = np.array([extra.get("verified", 1.0) < rules.verified for extra in said], np.bool_)
    reasons = np.select(
        [unnamed, scores < threshold, box_px < smallest, box_px > largest, doubted],
        ["only_negative", "below_threshold", "too_small", "covers_too_much", "not_verified"],
        "",
    )
    better = _better_negative(found, scores, np.where(doubted, -1.0, scores), classes, rules.negative_iou)
    reasons[(reasons == "") & (better >= 0)] = "negative"
    kept = tuple(int(row) for row in np.flatnonzero(reasons == ""))
    drops = []
    for row in np.flatnonzero(reasons != ""):
        rival = int(better[row]) if reasons[row] == "negative" else None
        detail = "" if rival is None or found.prompts is None else found.prompts[rival]
        if reasons[row] == "not_verified" and "looks_like" in said[row]:
            detail = f"it says {said[row]['looks_like']}"
        drops.append(Drop(int(row), str(reasons[row]), rival if rival in kept else None, detail))
    return Change(_told(found, kept, rules), kept, tuple(drops))


def _told(found: Instances, kept: Sequence[int], rules: Rules) -> dict[str, Any]:
    """Columns that say what the scores of the rows that stay are worth, where that is known."""
    if rules.calibration is None or found.scores is None or found.score_kind is None:
        return {}
    if not any(found.score_kind[row] in rules.calibration.maps for row in kept):
        return {}
    extra = [{} if found.extra is None else dict(found.extra[row]) for row in kept]
    for place, row in enumerate(kept):
        worth = rules.calibration.probability(found.score_kind[row], found.scores[row])
        extra[place] |= {} if worth is None else {"probability": float(worth)}
    return {"extra": tuple(extra)}


def _per_row(found: Instances, classes: Mapping[str, Category], rule: Any) -> NDArray[np.float64]:
    """A class's setting for each row; rows without a class get 0."""
    of_class = {name: rule(category) for name, category in classes.items()}
    return np.array([of_class.get(name, 0.0) for name in found.names], np.float64)


def _better_negative(
    found: Instances,
    scores: NDArray[np.float64],
    as_rivals: NDArray[np.float64],
    classes: Mapping[str, Category],
    least_iou: float,
) -> NDArray[np.int64]:
    """For each row the best row of one of its class's negatives that overlaps it with a higher score, or -1: (N,).

    `as_rivals` are the scores with which rows rule out others.
    """
    best = np.full(len(found), -1, np.int64)
    prompts = found.prompts or ("",) * len(found)
    for category in classes.values():
        mine = np.array([i for i, name in enumerate(found.names) if name == category.name], np.int64)
        against = np.array([i for i, prompt in enumerate(prompts) if prompt in category.negatives], np.int64)
        if not mine.size or not against.size:
            continue
        iou = geometry.box_iou(found.boxes_xyxy[mine], found.boxes_xyxy[against])
        rival = np.where((iou >= least_iou) & (as_rivals[against] > scores[mine, None]), as_rivals[against], -1.0)
        winner = rival.argmax(axis=1)
        best[mine] = np.where(rival.max(axis=1) > 0, against[winner], -1)
    return best
