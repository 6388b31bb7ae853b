"""The sides of a dataset that is split for training: their names, here and in datasets of others.

In one dataset every clip has a side, or none has. A picture has the same name whichever side it is on.
"""

from collections.abc import Iterable, Iterator
from heapq import merge

from pipeline.records import Clip

SIDES = ("train", "val", "test")
"""In the order in which they are written and read."""
WORDS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "minival": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
"""What others call sides -> what they are here."""


def below(side: str, name: str) -> str:
    """A picture's path in a folder that has one for each side.

    >>> below("val", "a.jpg"), below("", "a.jpg")
    ('val/a.jpg', 'a.jpg')
    """
    return f"{side}/{name}" if side else name


def without(side: str, name: str) -> str:
    """The name without a first folder that is called as the side is, here or elsewhere.

    >>> without("val", "valid/a.jpg"), without("val", "train/a.jpg")
    ('a.jpg', 'train/a.jpg')
    """
    folder, _, rest = name.partition("/")
    return rest if rest and side and WORDS.get(folder) == side else name


def told(sides: Iterable[str]) -> bool:
    """Whether a dataset is split: it has more than one side."""
    return len(set(sides)) > 1


def in_order_of_names(parts: Iterable[Iterator[Clip]]) -> Iterator[Clip]:
    """The clips of several parts, each in the order of names, in that order over all; none is held."""
    return merge(*parts, key=lambda clip: clip.name)
