"""Scenes with exact truth, from a seed.

Knows how to draw: shapes, colours, depth, light and noise. A pixel belongs to the nearest thing that its
centre lies in, and truth is what can be seen. A new shape is one small function and one row of `SHAPES`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline import masks, shipped
from pipeline.formats import coco
from pipeline.ontology import Ontology
from pipeline.records import Clip, Frame, Instances, clip_id

Plane = NDArray[np.float64]
Size = tuple[int, int]

SIZE_HW = (192, 256)
RADIUS_PX = (8.0, 48.0)
MIN_VISIBLE_PX = 12
"""A thing of which less can be seen is not in the picture at all."""


def circle(u: Plane, v: Plane) -> NDArray[np.bool_]:
    """Tell what lies in a disc of radius 1."""
    return u * u + v * v <= 1


def square(u: Plane, v: Plane) -> NDArray[np.bool_]:
    """Tell what lies in a square of half a side 0.85: its corners stick out of the disc a little."""
    return np.maximum(np.abs(u), np.abs(v)) <= 0.85


def ring(u: Plane, v: Plane) -> NDArray[np.bool_]:
    """Tell what lies in a ring between the radii 0.5 and 1."""
    square_of_radius = u * u + v * v
    return (square_of_radius <= 1) & (square_of_radius >= 0.25)


SHAPES: dict[str, Callable[[Plane, Plane], NDArray[np.bool_]]] = {
    "circle": circle,
    "square": square,
    "ring": ring,
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


@dataclass(frozen=True, slots=True)
class Thing:
    """One thing of a scene: what, which colour, where, how large, which way it is turned (cosine, sine)."""

    name: str
    color: str
    center_xy: tuple[float, float]
    radius_px: float
    turn: tuple[float, float]

    def covers(self, size_hw: Size) -> NDArray[np.bool_]:
        """Tell which pixel centres lie in it: (h, w) -> (H, W)."""
        y, x = np.ogrid[0.5 : size_hw[0] + 0.5, 0.5 : size_hw[1] + 0.5]
        dx, dy = (x - self.center_xy[0]) / self.radius_px, (y - self.center_xy[1]) / self.radius_px
        cos, sin = self.turn
        return SHAPES[self.name](cos * dx + sin * dy, cos * dy - sin * dx)


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A picture (H, W, 3) uint8 RGB and its truth; the `depth` of a row counts from the back, from 0."""

    rgb: NDArray[np.uint8]
    found: Instances


def ontology() -> Ontology:
    """Read the classes: `ontologies/toyworld.yaml` has one for every shape."""
    return Ontology.read(shipped.find("toyworld", "ontologies"))


def scene(seed: int, number: int, size_hw: Size = SIZE_HW) -> Scene:
    """Draw picture `number` of a world; it depends on nothing but the three arguments."""
    rng = np.random.Generator(np.random.PCG64([seed, number]))
    things = in_sight(scatter(rng, size_hw), size_hw)
    owner = nearest(things, size_hw)
    return Scene(paint(rng, things, owner), truth(things, owner))


def scatter(rng: np.random.Generator, size_hw: Size) -> list[Thing]:
    """Throw things into a picture, the farthest first: many small, some on each other, no colour twice."""
    size_wh = np.array([size_hw[1], size_hw[0]])
    colors = rng.permutation(list(COLORS))[: int(rng.integers(3, len(COLORS) + 1))]
    things: list[Thing] = []
    for color in colors:
        radius_px = RADIUS_PX[0] + (RADIUS_PX[1] - RADIUS_PX[0]) * float(rng.uniform()) ** 2
        center_xy = rng.uniform(0.05, 0.95, 2) * size_wh
        if things and rng.uniform() < 0.4:  # in reach of the thing before
            reach_px = rng.uniform(-1, 1, 2) * max(radius_px, things[-1].radius_px)
            center_xy = np.clip(things[-1].center_xy + reach_px, 0, size_wh)
        slope = float(rng.uniform(-1, 1))  # -45 to 45 degrees: all the ways in which a square can lie
        length = (1 + slope * slope) ** 0.5
        name = str(rng.choice(list(SHAPES)))
        where = (float(center_xy[0]), float(center_xy[1]))
        things.append(Thing(name, str(color), where, radius_px, (1 / length, slope / length)))
    return things


def nearest(things: list[Thing], size_hw: Size) -> NDArray[np.int64]:
    """Tell whose each pixel is: the last thing's that covers it; -1 is background: N things -> (H, W)."""
    owner = np.full(size_hw, -1)
    for depth, thing in enumerate(things):
        owner[thing.covers(size_hw)] = depth
    return owner


def in_sight(things: list[Thing], size_hw: Size) -> list[Thing]:
    """Leave out what is hidden; what lies behind it can only be seen better then."""
    owner = nearest(things, size_hw)
    return [thing for depth, thing in enumerate(things) if (owner == depth).sum() >= MIN_VISIBLE_PX]


def truth(things: list[Thing], owner: NDArray[np.int64]) -> Instances:
    """Record what can be seen of each thing, the farthest first: N things, (H, W) -> N rows."""
    size_hw = (owner.shape[0], owner.shape[1])
    codes = tuple(masks.encode(owner == depth) for depth in range(len(things)))
    return Instances(
        size_hw,
        np.array([masks.box(code, size_hw) for code in codes], np.float32),
        tuple(thing.name for thing in things),
        masks=codes,
        source=("toyworld",) * len(things),
        extra=tuple({"color": thing.color, "depth": depth} for depth, thing in enumerate(things)),
    )


def paint(rng: np.random.Generator, things: list[Thing], owner: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Give every pixel its thing's colour, lit unevenly, and noise: N things, (H, W) -> (H, W, 3)."""
    picture = background(rng, owner.shape)
    light = texture(rng, owner.shape, {64: 8.0, 8: 5.0})[..., None]
    for depth, thing in enumerate(things):
        own = np.array(COLORS[thing.color]) + rng.uniform(-12, 12, 3)
        picture[owner == depth] = (own + light)[owner == depth]
    return np.clip(np.round(picture + rng.normal(0, 4, picture.shape)), 0, 255).astype(np.uint8)


def background(rng: np.random.Generator, size_hw: Size) -> Plane:
    """Paint one muted tone that turns into another, with patches and grain: (h, w) -> (H, W, 3)."""
    one, other = (rng.uniform(80, 170) + rng.uniform(-22, 22, 3) for _ in range(2))
    y, x = np.ogrid[0.0 : size_hw[0], 0.0 : size_hw[1]]
    down, right = rng.uniform(-1, 1, 2)
    slope = 0.5 + 0.5 * (down * (2 * y / size_hw[0] - 1) + right * (2 * x / size_hw[1] - 1)) / 2
    shade = texture(rng, size_hw, {56: 16.0, 20: 9.0, 7: 6.0, 3: 4.0})
    return np.asarray(one + slope[..., None] * (other - one) + shade[..., None])


def texture(rng: np.random.Generator, size_hw: Size, amplitude_of_cell_px: dict[int, float]) -> Plane:
    """Add up smooth noise of several scales: (h, w) -> (H, W), within the sum of the amplitudes of 0."""
    total = np.zeros(size_hw)
    for cell_px, amplitude in amplitude_of_cell_px.items():
        knots = rng.uniform(-amplitude, amplitude, (size_hw[0] // cell_px + 2, size_hw[1] // cell_px + 2))
        (top, down), (left, right) = (blend(side, cell_px) for side in size_hw)
        rows = knots[top] * (1 - down[:, None]) + knots[top + 1] * down[:, None]
        total += rows[:, left] * (1 - right) + rows[:, left + 1] * right
    return total


def blend(pixels: int, cell_px: int) -> tuple[NDArray[np.int64], Plane]:
    """Place pixels between knots: the knot before each, and how far on its smooth way to the next, 0 to 1."""
    place = np.arange(pixels) / cell_px
    knot = place.astype(np.int64)
    way = place - knot
    return knot, way * way * (3 - 2 * way)


def write(place: Path, seed: int, count: int) -> None:
    """Write `count` pictures to `place/images` and their truth to `place/truth.json`, as COCO."""
    (place / "images").mkdir(parents=True, exist_ok=True)
    clips = drawn(place / "images", seed, count)
    coco.write_annotations(clips, ontology(), place / "truth.json")


def drawn(folder: Path, seed: int, count: int) -> Iterator[Clip]:
    """Draw scene after scene into a folder, each as a PNG file, and record it."""
    from PIL import Image

    for number in range(count):
        one = scene(seed, number)
        path = folder / f"scene_{number:04}.png"
        Image.fromarray(one.rgb).save(path, format="PNG")
        frame = Frame(0, 0.0, one.found.size_hw)
        yield Clip(clip_id(path.read_bytes()), path.name, str(path), (frame,), found=(one.found,))
