"""What a model is asked in a step: what may be there in changing words, and what is not."""

from dataclasses import dataclass

import numpy as np

from pipeline.detectors.coco_names import COCO_NAMES
from pipeline.toyworld.shapes import COLORS, SEEN, SHAPES, Kind
from pipeline.toyworld.words import SHAPE_WORDS, absent, phrases

ARTICLES = ("a ", "a photo of a ", "the ")
LETTERS = "abcdefghijklmnopqrstuvwxyz"
EVERYDAY = tuple(name for name in COCO_NAMES if name not in COLORS)
"""Names of what no scene has. An orange is a fruit, and a colour here."""


@dataclass(frozen=True)
class Query:
    """Words, and which kinds they fit: none where they name what is never there."""

    text: str
    kinds: frozenset[Kind]


def of_kind(kind: Kind) -> frozenset[Kind]:
    """Make the answer to the name of one kind."""
    return frozenset([kind])


def of_shape(shape: str) -> frozenset[Kind]:
    """Make the answer to the name of a shape: it has any colour."""
    return frozenset(kind for kind in SEEN if kind[1] == shape)


def queries(rng: np.random.Generator, absent_count: int = 16) -> list[Query]:
    """Ask for every seen kind and every shape once, and for some things that are never there."""
    asked = [Query(dressed(rng, str(rng.choice(phrases(kind)))), of_kind(kind)) for kind in SEEN]
    asked += [Query(dressed(rng, str(rng.choice(SHAPE_WORDS[shape]))), of_shape(shape)) for shape in SHAPES]
    return asked + [Query(dressed(rng, missing(rng)), frozenset()) for _ in range(absent_count)]


def dressed(rng: np.random.Generator, text: str) -> str:
    """Put an article before one phrase in four."""
    return str(rng.choice(ARTICLES)) + text if rng.uniform() < 0.25 else text


def missing(rng: np.random.Generator) -> str:
    """Name something that is never there: of another world, of everyday, or no word at all."""
    kind = rng.uniform()
    if kind < 0.6:
        return str(rng.choice(absent()))
    if kind < 0.8:
        return str(rng.choice(EVERYDAY))
    return "".join(rng.choice(list(LETTERS), int(rng.integers(3, 9))))
