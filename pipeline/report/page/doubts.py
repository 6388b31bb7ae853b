"""How doubtful each row of a frame is, and by which measure: from 0 (sure) to 1, NaN where nothing is known."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pipeline.records import CONSTANT, Instances

Doubts = dict[str, NDArray[np.float64]]

IN_WORDS = {
    "score": "low score",
    "threshold": "near its threshold",
    "quality": "low mask quality",
    "agreement": "box and mask disagree",
    "presence": "hardly in sight",
    "verified": "the second model doubts it",
    "flips": "its class changes in the film",
    "outline": "suffers as an outline",
}
"""Every measure, in the words of the page; each has its own list of worst rows."""


def of(found: Instances, lowest: Mapping[str, float]) -> Doubts:
    """What a record says of its own rows: measure -> (N,); `lowest` are the thresholds of classes."""
    scores = _scores(found)
    least = np.array([lowest.get(name, 0.0) for name in found.names])
    quality = np.full((len(found), 3), np.nan) if found.quality is None else found.quality.astype(np.float64)
    said = found.extra or ({},) * len(found)
    worth = np.array([extra.get("probability", np.nan) for extra in said], np.float64)
    told = {
        "score": np.where(np.isnan(worth), scores, worth),
        "threshold": (scores - least) / np.maximum(1 - least, 1e-9),
        "quality": np.fmin(quality[:, 0], quality[:, 1]),
        "agreement": quality[:, 2],
        "presence": np.full(len(found), np.nan) if found.presence is None else found.presence.astype(np.float64),
        "verified": np.array([extra.get("verified", np.nan) for extra in said], np.float64),
    }
    return {measure: (1 - sure).clip(0, 1) for measure, sure in told.items()}


def together(doubts: Doubts, rows: int) -> NDArray[np.float64]:
    """One figure a row, the mean of what is known of it: -> (N,); 0 where nothing is."""
    table = np.array([*doubts.values()]).reshape(len(doubts), rows)
    known = (~np.isnan(table)).sum(axis=0)
    return np.asarray(np.nansum(table, axis=0) / np.maximum(known, 1))


def _scores(found: Instances) -> NDArray[np.float64]:
    """Scores, NaN where a detector gave none: N rows -> (N,)."""
    if found.scores is None:
        return np.full(len(found), np.nan)
    constant = [kind == CONSTANT for kind in found.score_kind or ("",) * len(found)]
    return np.where(constant, np.nan, found.scores.astype(np.float64))
