"""Learn from a small labelled set which score is enough: a threshold a class, and what a score is worth.

A detection is right if it overlaps an object of its class by an IoU of 0.5 that no surer one has. A second box on an
object that is found counts neither way, because dedupe takes it; nor does one on a crowd.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.calibration import Calibration, Knots
from pipeline.config import Config
from pipeline.errors import BadDataset
from pipeline.formats import coco
from pipeline.geometry import box_iou
from pipeline.labelled import labelled, replayed
from pipeline.ontology import Ontology
from pipeline.records import Instances
from pipeline.select import select, thresholds
from pipeline.store import Store

IOU = 0.5
BINS = 10  # of scores, equally wide: Guo et al., "On Calibration of Modern Neural Networks", 2017, use 15 on far more
LEAST_OBJECTS = 10
"""Of a class; with fewer, one object more or less moves its best threshold anywhere."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Judged:
    """The detections of a class, and how many objects there are: `scores` and `hits` are (N,), `kinds` N words."""

    scores: Floats
    hits: NDArray[np.bool_]
    kinds: tuple[str, ...]
    objects: int

    @classmethod
    def of(cls, parts: "list[Judged]") -> "Judged":
        """All parts together."""
        nothing = cls(np.zeros(0), np.zeros(0, np.bool_), (), 0)
        parts = [nothing, *parts]
        return cls(
            np.concatenate([part.scores for part in parts]),
            np.concatenate([part.hits for part in parts]),
            sum((part.kinds for part in parts), ()),
            sum(part.objects for part in parts),
        )


@dataclass(frozen=True, slots=True)
class Figures:
    """At a threshold: precision, recall and F1, None where nothing is found or nothing is there; all detections' ECE.

    ECE is the expected calibration error: how far scores are from the share of detections with such scores that is
    right, on average over detections.
    """

    threshold: float
    precision: float | None
    recall: float | None
    f1: float | None
    ece: float | None


@dataclass(frozen=True, slots=True)
class Row:
    """A class before calibration and after, on the pictures learnt from.

    `pooled` says that the class has too few objects for a threshold of its own, and takes the one of all classes.
    """

    name: str
    objects: int
    detections: int
    before: Figures
    after: Figures
    pooled: bool


@dataclass(frozen=True, slots=True)
class Learnt:
    """A calibration, and what it does on the pictures that it was learnt from.

    `constant` is the score that every detection has, if that is one: then no threshold can tell them apart.
    """

    calibration: Calibration
    rows: tuple[Row, ...]
    pictures: int
    constant: float | None


def calibrate(config: Config, store: Store, truth: Path, least: int = LEAST_OBJECTS) -> Learnt:
    """Learn from the pictures of a run that the truth has; raises `BadDataset` where there is nothing to learn from."""
    return learn(config, *judged(config, store, truth), f"{truth}", least)


def learn(config: Config, found: dict[str, Judged], pictures: int, where: str, least: int = LEAST_OBJECTS) -> Learnt:
    """Learn from judged detections by class; raises `BadDataset` where there is nothing to learn from."""
    every = Judged.of(list(found.values()))
    if not every.hits.any():
        lacking = "objects of its classes in the truth" if not every.objects else "detections"
        lacking = "detection that is right" if every.objects and len(every.scores) else lacking
        raise BadDataset(f"{where}: of {pictures} pictures that the run has too, with no {lacking}; nothing to learn")
    best = {name: best_threshold(one) for name, one in found.items() if one.objects >= least}
    pooled = best_threshold(every)
    assert pooled is not None
    after = {name: pooled if best.get(name) is None else float(best[name] or 0) for name in found}
    calibration = Calibration(thresholds=after, maps=maps(every), detector=config.section("detect"))
    before = thresholds(config.select, config.ontology)
    rows = [
        _row(name, one, calibration, before[name], after[name], pooled=best.get(name) is None)
        for name, one in found.items()
    ]
    only = set(every.scores.tolist())
    return Learnt(calibration, tuple(rows), pictures, only.pop() if len(only) == 1 else None)


def judged(config: Config, store: Store, truth: Path) -> tuple[dict[str, Judged], int]:
    """The detections of each class that only its threshold decides about, and how many pictures were judged."""
    meant = {clip.name: clip.found[0] for clip in coco.read(truth).clips}
    parts: dict[str, list[Judged]] = {name: [] for name in config.ontology.names}
    pictures = 0
    for picture, found in candidates(config, store):
        if picture in meant:
            pictures += 1
            for name, own in parts.items():
                own.append(matched(found, meant[picture], name))
    return {name: Judged.of(own) for name, own in parts.items()}, pictures


def candidates(config: Config, store: Store) -> Iterator[tuple[str, Instances]]:
    """What `select` would keep of each still picture if every threshold were 0."""
    before = [stage.name for stage in config.stages()].index("select")
    rules = config.select.model_copy(update={"threshold": 0.0, "calibration": None})
    ontology = Ontology(c.model_copy(update={"threshold": None}) for c in config.ontology.categories)
    for one in (one for one in labelled(store) if not one.whole.is_film):
        ((clip, chain),) = one.parts
        found = replayed(clip, chain.keys[:before], store).found[0]
        yield clip.name, select(found, rules, ontology).applied_to(found)


def matched(found: Instances, meant: Instances, name: str) -> Judged:
    """The detections of a class in a picture beside its objects, the surest first."""
    own = found.take([row for row, of in enumerate(found.names) if of == name])
    real = meant.take([row for row, of in enumerate(meant.names) if of == name])
    crowd = np.array([one.get("iscrowd") == 1 for one in real.extra or ({},) * len(real)], np.bool_)
    scores = np.ones(len(own)) if own.scores is None else own.scores.astype(np.float64).round(4)
    iou = box_iou(own.boxes_xyxy, real.boxes_xyxy)
    free = ~crowd
    order, hits = [], []
    for row in np.argsort(-scores, kind="stable"):
        touched = iou[row] >= IOU
        if (touched & free).any():
            free[int(np.where(touched & free, iou[row], -1).argmax())] = False
            hits.append(True)
        elif touched.any():
            continue
        else:
            hits.append(False)
        order.append(int(row))
    kinds = own.score_kind or ("",) * len(own)
    return Judged(scores[order], np.array(hits, np.bool_), tuple(kinds[row] for row in order), int((~crowd).sum()))


def best_threshold(found: Judged) -> float | None:
    """The threshold with the highest F1, in the middle between two scores; the higher one of equals; None for none.

    >>> best_threshold(Judged(np.array([0.9, 0.5, 0.3]), np.array([True, True, False]), ("",) * 3, 2))
    0.4
    """
    if not found.objects or not found.hits.any():
        return None
    order = np.argsort(-found.scores, kind="stable")
    scores, hits = found.scores[order], found.hits[order].cumsum()
    f1 = 2 * hits / (np.arange(1, len(hits) + 1) + found.objects)
    last = np.append(scores[:-1] != scores[1:], True)  # a threshold cannot part equal scores
    at = int(np.where(last, f1, -1.0).argmax())
    below = scores[at + 1] if at + 1 < len(scores) else scores[at]
    return math.ceil(round(float(scores[at] + below) * 5e3, 3)) / 1e4


def maps(found: Judged) -> dict[str, Knots]:
    """For each kind of score, the share that is right at each score, never falling: the ends of its steps."""
    from scipy.optimize import isotonic_regression

    kinds = np.array(found.kinds, np.str_)
    out: dict[str, Knots] = {}
    for kind in sorted(set(found.kinds)):
        scores, which = np.unique(found.scores[kinds == kind], return_inverse=True)
        count = np.bincount(which)
        right = np.bincount(which, weights=found.hits[kinds == kind])
        worth = np.asarray(isotonic_regression(right / count, weights=count).x).clip(0, 1).round(4)
        steps = np.diff(worth) != 0
        ends = np.append(True, steps) | np.append(steps, True)
        out[kind] = tuple(zip(scores[ends].tolist(), worth[ends].tolist(), strict=True))
    return out


def figures(found: Judged, threshold: float, worth: Floats | None = None) -> Figures:
    """What a threshold does to a class; `worth` is what scores are taken for, where not for probabilities."""
    kept = found.scores >= threshold
    right, all_ = int(found.hits[kept].sum()), int(kept.sum())
    return Figures(
        threshold,
        right / all_ if all_ else None,
        right / found.objects if found.objects else None,
        2 * right / (all_ + found.objects) if all_ + found.objects else None,
        calibration_error(found.scores if worth is None else worth, found.hits),
    )


def calibration_error(worth: Floats, hits: NDArray[np.bool_]) -> float | None:
    """How far probabilities are from what came true, on average: (N,), (N,) -> 0 to 1.

    >>> calibration_error(np.array([0.9, 0.9]), np.array([True, False]))
    0.4
    """
    if not len(worth):
        return None
    bins = np.minimum((worth * BINS).astype(int), BINS - 1)
    off = np.bincount(bins, weights=worth - hits, minlength=BINS)
    return round(float(np.abs(off).sum() / len(worth)), 6)


def _row(name: str, found: Judged, of: Calibration, before: float, after: float, pooled: bool) -> Row:
    worth = probabilities(found, of)
    return Row(name, found.objects, len(found.scores), figures(found, before), figures(found, after, worth), pooled)


def probabilities(found: Judged, of: Calibration) -> Floats:
    """What the scores are worth; a score of an unknown kind is taken for one: (N,)."""
    worth = found.scores.copy()
    kinds = np.array(found.kinds, np.str_)
    for kind in sorted(set(found.kinds)):
        told = of.probability(kind, found.scores[kinds == kind])
        if told is not None:
            worth[kinds == kind] = told
    return worth
