"""Pictures with exact truth, from a seed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline import shipped
from pipeline.formats import coco
from pipeline.ontology import Ontology
from pipeline.records import Clip, Frame, Instances, clip_id
from pipeline.toyworld.paint import paint
from pipeline.toyworld.shapes import SEEN, Kind
from pipeline.toyworld.things import Size, Thing, in_sight, nearest, truth

SIZE_HW = (192, 256)
RADIUS_PX = (9.0, 52.0)


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A picture (H, W, 3) uint8 RGB and its truth; the `depth` of a row counts from the back, from 0."""

    rgb: NDArray[np.uint8]
    found: Instances


def ontology() -> Ontology:
    """Read the classes: `ontologies/toyworld.yaml` has one for every shape."""
    return Ontology.read(shipped.find("toyworld", "ontologies"))


def scene(seed: int, number: int, size_hw: Size = SIZE_HW, kinds: Sequence[Kind] = SEEN, crowd: int = 1) -> Scene:
    """Draw picture `number` of a world of some kinds of things; it depends on nothing but the arguments.

    No colour is there more than `crowd` times.
    """
    rng = np.random.Generator(np.random.PCG64([seed, number]))
    thrown = [thing for _ in range(crowd) for thing in scatter(rng, size_hw, kinds)]
    things = in_sight(thrown, size_hw)
    owner = nearest(things, size_hw)
    return Scene(paint(rng, things, owner), truth(things, owner))


def scatter(rng: np.random.Generator, size_hw: Size, kinds: Sequence[Kind] = SEEN) -> list[Thing]:
    """Throw things into a picture, the farthest first: many small, some on each other, no colour twice."""
    colors = rng.permutation(list(dict.fromkeys(color for color, _ in kinds)))
    things: list[Thing] = []
    for color in colors[: int(rng.integers(4, 7))]:
        name = str(rng.choice([shape for one, shape in kinds if one == color]))
        share = float(rng.uniform())
        radius_px = RADIUS_PX[0] + (RADIUS_PX[1] - RADIUS_PX[0]) * share * share**0.5  # the root is exact everywhere
        where = _place(rng, size_hw, radius_px, things)
        things.append(Thing(name, str(color), where, radius_px, any_turn(rng)))
    return things


def _place(rng: np.random.Generator, size_hw: Size, radius_px: float, things: list[Thing]) -> tuple[float, float]:
    """Choose a middle (x, y): anywhere, or in reach of the thing before."""
    size_wh = np.array([size_hw[1], size_hw[0]])
    center_xy = rng.uniform(0.05, 0.95, 2) * size_wh
    if things and rng.uniform() < 0.3:
        reach_px = rng.uniform(-1, 1, 2) * max(radius_px, things[-1].radius_px)
        center_xy = np.clip(things[-1].center_xy + reach_px, 0, size_wh)
    return float(center_xy[0]), float(center_xy[1])


def any_turn(rng: np.random.Generator) -> tuple[float, float]:
    """Choose a direction all around, as cosine and sine."""
    slope, quarters = float(rng.uniform(-1, 1)), int(rng.integers(4))  # -45 to 45 degrees, and quarter turns
    length = (1 + slope * slope) ** 0.5
    cos, sin = 1 / length, slope / length
    return ((cos, sin), (-sin, cos), (-cos, -sin), (sin, -cos))[quarters]


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
