"""What the tokens of a Florence-2 answer say: labels, boxes and how likely they were. Knows no model and no text.

An answer is `dog<loc_10><loc_20><loc_300><loc_400>`: words, then boxes of four places, each a column or row of 1000 in
the picture; several boxes may follow one label. Instead of a box there may be a polygon between marks of its own.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline import geometry

BINS = 1000  # `quantize_bins` in transformers' processing_florence2.py

PIECES = re.compile("(?P<label>w+)|(?P<box>p{4})|(?P<rest>p+)|(?P<polygon><[ps]*>?)|.")
"""An answer, of whose tokens each is one letter (`Signs.letter`), cut into what they say together."""


@dataclass(frozen=True, slots=True)
class Signs:
    """Which numbers of tokens mean what: from `place`, `<loc_0>`, 1000 are places; `others` say nothing here."""

    place: int
    polygon: int
    polygon_end: int
    separator: int
    others: frozenset[int]

    def letter(self, token: int) -> str:
        """Sort a token: p place, < > around a polygon, s between two, x neither, w a piece of a word.

        >>> [Signs(10, 5, 6, 7, frozenset({0, 1})).letter(token) for token in (4, 10, 1009, 1010, 5, 6, 7, 0)]
        ['w', 'p', 'p', 'w', '<', '>', 's', 'x']
        """
        if self.place <= token < self.place + BINS:
            return "p"
        marks = {self.polygon: "<", self.polygon_end: ">", self.separator: "s"}
        return marks.get(token, "x" if token in self.others else "w")


@dataclass(frozen=True, slots=True)
class Said:
    """One box of an answer: the columns and rows of its corners, and likelihoods, each a geometric mean over tokens.

    `label` = exp(mean(log p) over the label's tokens), `location` = the same over the tokens of the places, and
    `joined` = exp(mean(log p) over the tokens of both). The boxes of one label share its likelihood.
    """

    bins: tuple[int, int, int, int]
    joined: float
    label: float
    location: float

    def besides(self, score: str) -> dict[str, float]:
        """The likelihoods that are not the score, to the digits of a record."""
        values = {"joined": self.joined, "label": self.label, "location": self.location}
        return {f"{name}_likelihood": round(value, 4) for name, value in values.items() if name != score}


def read(tokens: Sequence[int], logs: Sequence[float], signs: Signs) -> tuple[list[Said], list[str]]:
    """The boxes of an answer in its order, and in words what of it is no box; `logs` are log-likelihoods of tokens."""
    said, problems = [], []
    label: Sequence[float] = ()
    for piece in PIECES.finditer("".join(map(signs.letter, tokens))):
        start, end = piece.span()
        match piece.lastgroup:
            case "label":
                label = logs[start:end]
            case "rest":
                problems.append(f"{end - start} of the 4 places of a box")
            case "box" | "polygon" as kind:
                rows = [start + pair.start() + n for pair in re.finditer("pp", piece[0]) for n in (0, 1)]
                bins = [tokens[row] - signs.place for row in rows]
                if kind == "polygon" and (len(bins) < 4 or not piece[0].endswith(">")):
                    problems.append(f"a polygon of {len(bins)} places: too few, or not closed")
                elif not label:
                    problems.append(f"a box without a label: {bins}")
                else:
                    corners = _around(bins) if kind == "polygon" else (bins[0], bins[1], bins[2], bins[3])
                    said.append(_said(corners, label, [logs[row] for row in rows]))
    return said, problems


def _around(bins: Sequence[int]) -> tuple[int, int, int, int]:
    """The box around x, y, x, y, ..."""
    x, y = bins[0::2], bins[1::2]
    return min(x), min(y), max(x), max(y)


def _said(bins: tuple[int, int, int, int], label: Sequence[float], places: Sequence[float]) -> Said:
    means = [float(np.exp(np.mean(logs))) for logs in ([*label, *places], label, places)]
    return Said(bins, *means)


def surest(said: Sequence[Said], score: str) -> list[Said]:
    """Of the same box several times, the surest, at the place of the first: a model in a loop says nothing new."""
    best: dict[tuple[int, ...], Said] = {}
    for one in said:
        if one.bins not in best or getattr(one, score) > getattr(best[one.bins], score):
            best[one.bins] = one
    return list(best.values())


def as_pixels(said: Sequence[Said], size_hw: tuple[int, int]) -> geometry.Boxes:
    """Corners in pixels, each in the middle of its column or row: -> (N, 4); a box may be inverted or empty.

    As `dequantize` in transformers' processing_florence2.py, which then cuts off what is behind the point.
    """
    h, w = size_hw
    bins = np.array([one.bins for one in said], np.float64).reshape(-1, 4)
    return geometry.as_boxes((bins + 0.5) * (w, h, w, h) / BINS)


def without_area(said: Sequence[Said], proper: NDArray[np.bool_]) -> list[str]:
    """What to say of the boxes that cannot be in a record."""
    lost = [one.bins for one, fits in zip(said, proper, strict=True) if not fits]
    return [f"{_fault(bins)} box: {list(bins)} of {BINS}" for bins in lost]


def _fault(bins: tuple[int, int, int, int]) -> str:
    return "inverted" if bins[2] < bins[0] or bins[3] < bins[1] else "empty"
