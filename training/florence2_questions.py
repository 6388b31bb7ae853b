"""What the tiny Florence-2 is asked in a step, and what it has to say: a thing, a caption, or everything."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.detectors import florence2
from pipeline.toyworld.shapes import SEEN, Kind
from pipeline.toyworld.words import SHAPE_WORDS, name, phrases
from training.phrases import Query, dressed, missing, of_kind, of_shape

OPEN, GROUNDING = SENTENCES = tuple(florence2.SENTENCES.values())
OBJECTS = "Locate the objects with category name in the image."
"""What stands for the task `<OD>` in transformers' processing_florence2.py."""

TASKS = {"open": 0.6, "grounding": 0.25, "objects": 0.15}
"""How often each is asked. One a step, so that all answers of it are about as long."""

ASKED = {"open": 4, "grounding": 3, "objects": 1}
"""Questions a picture."""


@dataclass(frozen=True)
class Question:
    """A whole sentence, and the names to answer with, in this order, each where the picture has its kinds."""

    text: str
    names: tuple[Query, ...]


def questions(rng: np.random.Generator, task: str, there: Sequence[Kind]) -> list[Question]:
    """Ask about a picture of these kinds, the leftmost first."""
    if task == "objects":
        kinds = dict.fromkeys(there)
        return [Question(OBJECTS, tuple(Query(name(kind), of_kind(kind)) for kind in kinds))]
    asked = []
    for _ in range(ASKED[task]):
        many = 1 if task == "open" or rng.uniform() < 0.5 else int(rng.integers(2, 4))
        names = {query.text: query for query in (thing(rng, there) for _ in range(many))}
        caption = " and ".join(dressed(rng, text) for text in names)
        asked.append(Question((OPEN if task == "open" else GROUNDING).format(caption), tuple(names.values())))
    return asked


def thing(rng: np.random.Generator, there: Sequence[Kind]) -> Query:
    """Name a thing: one that is there, one that might be, often nearly right, or one that never is."""
    chance = rng.uniform()
    if chance < 0.15:
        return Query(missing(rng), frozenset())
    if chance < 0.6 and there:
        kind = there[int(rng.integers(len(there)))]
    elif chance < 0.8 and there:
        color, shape = there[int(rng.integers(len(there)))]
        near = [one for one in SEEN if (one[0] == color) != (one[1] == shape)]
        kind = near[int(rng.integers(len(near)))]
    else:
        kind = SEEN[int(rng.integers(len(SEEN)))]
    if rng.uniform() < 0.2:
        return Query(str(rng.choice(SHAPE_WORDS[kind[1]])), of_shape(kind[1]))
    return Query(str(rng.choice(phrases(kind))), of_kind(kind))
