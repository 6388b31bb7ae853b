"""What things are called: a plain name, other words for it, and words for what is never there."""

from pipeline.toyworld.shapes import COLORS, SHAPES, Kind

SHAPE_WORDS = {
    "circle": ("circle", "disc"),
    "square": ("square", "box"),
    "triangle": ("triangle", "wedge"),
    "cross": ("cross", "plus sign"),
    "bar": ("bar", "stick"),
    "ring": ("ring", "hoop"),
    "pair": ("pair", "two dots"),
}
"""Shape -> its plain word, and others."""

COLOR_WORDS = {
    "red": ("red", "crimson"),
    "yellow": ("yellow", "golden"),
    "green": ("green", "emerald"),
    "blue": ("blue", "azure"),
    "purple": ("purple", "violet"),
    "orange": ("orange", "amber"),
}
"""Colour -> its plain word, and others."""

ABSENT_SHAPES = ("star", "heart", "arrow", "spiral", "dog", "cat", "car", "person", "tree", "bottle")
ABSENT_COLORS = ("white", "black", "pink", "brown", "grey")
"""Words for what no scene has, alone or with a word for what scenes have."""


def name(kind: Kind) -> str:
    """The plain name of a kind.

    >>> name(("red", "circle"))
    'red circle'
    """
    return f"{kind[0]} {kind[1]}"


def phrases(kind: Kind) -> tuple[str, ...]:
    """All that a kind may be called, the plain name first.

    >>> phrases(("red", "circle"))
    ('red circle', 'red disc', 'crimson circle', 'crimson disc')
    """
    color, shape = kind
    return tuple(f"{one} {other}" for one in COLOR_WORDS[color] for other in SHAPE_WORDS[shape])


def absent() -> tuple[str, ...]:
    """Names of what no scene has: shapes and colours of other worlds, alone and half right."""
    halves = [f"{color} {shape}" for color in COLORS for shape in ABSENT_SHAPES]
    others = [f"{color} {shape}" for color in ABSENT_COLORS for shape in SHAPES]
    return (*ABSENT_SHAPES, *halves, *others)
