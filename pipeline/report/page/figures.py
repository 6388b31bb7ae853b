"""The figures of the page, of every row of the run, added up while it goes by once."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from pipeline import geometry, masks
from pipeline.records import CONSTANT, Clip, Instances

BINS = 20
"""Bars of a figure from 0 to 1."""
SHARES = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
"""Limits of mask sizes, as shares of the picture."""
COUNTS = (0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
"""Last numbers of the bars that count objects of a picture, and frames of a track."""
QUALITY = ("Mask quality", "Mask stability", "Box and mask agree")
"""What the columns of `Instances.quality` are."""


@dataclass(slots=True)
class Figures:
    """Counts and histograms; an object of a film counts in each frame in which it is in sight."""

    pictures: int = 0
    films: int = 0
    frames: int = 0
    objects: int = 0
    empty: int = 0
    unscored: int = 0
    classes: Counter[str] = field(default_factory=Counter)
    score_sums: Counter[str] = field(default_factory=Counter)
    scored: Counter[str] = field(default_factory=Counter)
    scores: list[int] = field(default_factory=lambda: [0] * BINS)
    quality: list[list[int]] = field(default_factory=lambda: [[0] * BINS for _ in QUALITY])
    sizes: list[int] = field(default_factory=lambda: [0] * (len(SHARES) + 1))
    a_picture: list[int] = field(default_factory=lambda: [0] * (len(COUNTS) + 1))
    tracks: int = 0
    track_lengths: list[int] = field(default_factory=lambda: [0] * (len(COUNTS) + 1))
    out_of_sight: int = 0
    lost: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, clip: Clip) -> None:
        """Take down a picture or film with all that was found."""
        self.pictures += not clip.is_film
        self.films += clip.is_film
        self.frames += len(clip.frames) if clip.is_film else 0
        lengths: Counter[int] = Counter()
        for found in clip.found:
            shown = found.in_sight()
            self.out_of_sight += len(found) - len(shown)
            self._frame(shown)
            if clip.is_film and shown.track_ids is not None:
                lengths.update(shown.track_ids.tolist())
        self.tracks += len(lengths)
        for length in lengths.values():
            self.track_lengths[int(np.searchsorted(COUNTS, length))] += 1

    def _frame(self, found: Instances) -> None:
        self.objects += len(found)
        self.empty += not len(found)
        self.a_picture[int(np.searchsorted(COUNTS, len(found)))] += 1
        self.classes.update(found.names)
        _add(self.sizes, np.searchsorted(SHARES, _shares(found), side="right"))
        told = [found.scores is not None and kind != CONSTANT for kind in found.score_kind or ("",) * len(found)]
        self.unscored += len(found) - sum(told)
        if found.scores is not None:
            scores = found.scores.astype(np.float64)
            _add(self.scores, _bins(scores[told]))
            for name, score, known in zip(found.names, scores.tolist(), told, strict=True):
                if known:
                    self.score_sums[name] += score
                    self.scored[name] += 1
        for column, counts in enumerate(self.quality):
            if found.quality is not None:
                values = found.quality[:, column].astype(np.float64)
                _add(counts, _bins(values[~np.isnan(values)]))

    def mean_score(self, name: str) -> float | None:
        """The mean score of a class, where its objects have scores."""
        return self.score_sums[name] / self.scored[name] if self.scored[name] else None

    def histograms(self) -> list[dict[str, Any]]:
        """Every figure that has something to show: title, what it counts, and its bars as (label, count)."""
        fractions = [f"{place / BINS:.2f} to {(place + 1) / BINS:.2f}" for place in range(BINS)]
        shares = [f"{100 * share:g}%" for share in SHARES]
        sizes = [
            f"below {shares[0]}",
            *(f"{a} to {b}" for a, b in pairwise(shares)),
            f"from {shares[-1]}",
        ]
        drawn = [
            ("Scores", "objects, by score", fractions, self.scores),
            ("Mask sizes", "objects, by share of the picture", sizes, self.sizes),
            ("Objects a picture", "pictures and frames, by objects in them", ranges(), self.a_picture),
            *(
                (title, "objects, from 0 to 1", fractions, counts)
                for title, counts in zip(QUALITY, self.quality, strict=True)
            ),
            ("Track lengths", "tracks, by frames in sight", ranges(), self.track_lengths),
        ]
        return [
            {"title": title, "about": about, "bars": trimmed(list(zip(labels, counts, strict=True)))}
            for title, about, labels, counts in drawn
            if any(counts)
        ]


def ranges() -> list[str]:
    """The bars of `COUNTS` in words.

    >>> ranges()[:5]
    ['0', '1', '2', '3 to 4', '5 to 8']
    """
    return ["0", *(f"{b}" if a + 1 == b else f"{a + 1} to {b}" for a, b in pairwise(COUNTS)), f"more than {COUNTS[-1]}"]


def trimmed(bars: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """The bars from the first that counts something to the last."""
    full = [place for place, (_, count) in enumerate(bars) if count]
    return bars[full[0] : full[-1] + 1]


def by_class(figures: Figures, names: Mapping[str, int]) -> list[tuple[str, int, float | None]]:
    """Class, objects, mean score: the most frequent first, then those of which nothing was found."""
    every = {**dict.fromkeys(names, 0), **figures.classes}
    order = sorted(every, key=lambda name: (-every[name], name))
    return [(name, every[name], figures.mean_score(name)) for name in order]


def _bins(values: Any) -> Any:
    return (values * BINS).astype(np.int64).clip(0, BINS - 1)


def _add(counts: list[int], places: Any) -> None:
    for place, count in enumerate(np.bincount(places, minlength=len(counts)).tolist()):
        counts[place] += count


def _shares(found: Instances) -> Any:
    """The share of the picture that each row's mask covers, or its box where it has none: N rows -> (N,)."""
    pixels = geometry.areas(found.boxes_xyxy)
    codes = [(row, code) for row, code in enumerate(found.masks or ()) if code is not None]
    if codes:
        pixels[[row for row, _ in codes]] = masks.areas([code for _, code in codes])
    return pixels / (found.size_hw[0] * found.size_hw[1])
