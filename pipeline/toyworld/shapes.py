"""What a toy world is made of: shapes, colours, and which of them are kept from whoever learns on it.

A new shape is one small function and one row of `SHAPES`; nothing here knows of pictures.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.floating]
Inside = NDArray[np.bool_]
Kind = tuple[str, str]
"""A colour and a shape."""

REACH = 1.21
"""No shape of radius 1 has a point farther from its middle: the corners of the square have 0.85 times the root of 2."""


def circle(u: Plane, v: Plane) -> Inside:
    """Tell what lies in a disc of radius 1."""
    return u * u + v * v <= 1


def square(u: Plane, v: Plane) -> Inside:
    """Tell what lies in a square of half a side 0.85: its corners stick out of the disc a little."""
    return np.maximum(np.abs(u), np.abs(v)) <= 0.85


def triangle(u: Plane, v: Plane) -> Inside:
    """Tell what lies in a triangle of equal sides with its corners at radius 1.1, one of them up."""
    side = 0.5 * 3**0.5
    return np.maximum(v, np.abs(u) * side - 0.5 * v) <= 0.55


def cross(u: Plane, v: Plane) -> Inside:
    """Tell what lies in a plus sign of two beams, each 2 long and 0.64 wide."""
    wide, narrow = np.maximum(np.abs(u), np.abs(v)), np.minimum(np.abs(u), np.abs(v))
    return (wide <= 1) & (narrow <= 0.32)


def bar(u: Plane, v: Plane) -> Inside:
    """Tell what lies in a beam 2.2 long and 0.7 wide."""
    return (np.abs(u) <= 1.1) & (np.abs(v) <= 0.35)


def ring(u: Plane, v: Plane) -> Inside:
    """Tell what lies in a ring between the radii 0.5 and 1."""
    square_of_radius = u * u + v * v
    return (square_of_radius <= 1) & (square_of_radius >= 0.25)


def pair(u: Plane, v: Plane) -> Inside:
    """Tell what lies in one of two discs of radius 0.5 side by side: one thing of two parts."""
    aside = np.abs(u) - 0.65
    return aside * aside + v * v <= 0.25


SHAPES: dict[str, Callable[[Plane, Plane], Inside]] = {
    "circle": circle,
    "square": square,
    "triangle": triangle,
    "cross": cross,
    "bar": bar,
    "ring": ring,
    "pair": pair,
}
"""Name -> which points (u, v) are inside a shape of radius 1 at the origin."""

COLORS = {
    "red": (205, 45, 45),
    "yellow": (238, 200, 45),
    "green": (45, 150, 60),
    "blue": (45, 80, 205),
    "purple": (160, 55, 175),
    "orange": (235, 125, 30),
}

EVERY = tuple((color, shape) for color in COLORS for shape in SHAPES)
"""All kinds of things that can be drawn."""

HELD_OUT: tuple[Kind, ...] = (
    ("red", "cross"),
    ("yellow", "ring"),
    ("green", "pair"),
    ("blue", "triangle"),
    ("purple", "square"),
    ("orange", "bar"),
)
"""Kinds that no scene has unless it is asked for them: who names them has understood the two words."""

SEEN = tuple(kind for kind in EVERY if kind not in HELD_OUT)
