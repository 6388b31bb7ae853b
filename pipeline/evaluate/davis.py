"""Truth as DAVIS has it: `Annotations/<size>/<film>/<frame>.png`, in which each pixel has its object's number, or 0.

Objects have no class. In DAVIS 2016 a film has one, whose number is 255; elsewhere that is void, and nobody's.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipeline import masks
from pipeline.errors import BadRecord
from pipeline.films.decoding import numbered
from pipeline.formats import Problem, Reading
from pipeline.formats.naming import checked
from pipeline.formats.reading import id_of
from pipeline.formats.sav_png import values_of
from pipeline.formats.sav_rows import Film, found_of
from pipeline.formats.sav_sidecar import Known
from pipeline.records import FILM, Clip, Frame

FOLDER = "Annotations"
VOID = 255
FPS = 24
"""DAVIS's; a folder says none."""
SOURCE = {"source": "davis"}

Codes = dict[int, dict[int, bytes]]
"""Index of frame -> number of object -> mask, of those that are in sight."""


def is_davis(place: Path) -> bool:
    """Whether truth is a folder of DAVIS, its `Annotations`, or a folder in there."""
    inside = (place / FOLDER).is_dir() or FOLDER in place.absolute().parts
    return place.is_dir() and inside and next(_films(place), None) is not None


def read(place: Path) -> Reading:
    """Read the films of a DAVIS folder one by one, each with its path below `Annotations`, or below `place`, as name.

    A frame's number is its file's name, and an object's is its pixels' (1, where that is 255).
    """
    problems: list[Problem] = []
    return Reading({}, (_clip(name, folder, problems) for name, folder in _films(place)), problems)


def _films(place: Path) -> Iterator[tuple[str, Path]]:
    """Name and folder of each film, in order."""
    root = place / FOLDER if (place / FOLDER).is_dir() else place
    for folder, folders, files in os.walk(root):
        folders.sort()
        if any(file.endswith(".png") for file in files):
            name = Path(folder).relative_to(root).as_posix()
            yield checked(root.absolute().name if name == "." else name), Path(folder)


def _clip(name: str, folder: Path, problems: list[Problem]) -> Clip:
    codes, size_hw = _codes(folder, name, problems)
    numbers = sorted({number for there in codes.values() for number in there})
    if numbers != [VOID]:
        numbers = [number for number in numbers if number != VOID]
    objects = [Known(1 if number == VOID else number, texts=SOURCE) for number in numbers]
    nothing = masks.pack(np.array([size_hw[0] * size_hw[1]]))
    found = tuple(
        found_of(Film(size_hw, objects), at, [(i, there.get(number, nothing)) for i, number in enumerate(numbers)])
        for at, there in enumerate(codes.values())
    )
    frames = tuple(Frame(index, round(index / FPS, 6), size_hw) for index in codes)
    return Clip(id_of("davis", name), name, str(folder), frames, FILM, found)


def _codes(folder: Path, name: str, problems: list[Problem]) -> tuple[Codes, masks.Size]:
    """Who is where in each frame, one picture in memory, and the size, which is that of the first picture."""
    codes: Codes = {}
    size_hw: masks.Size | None = None
    for index, path in numbered(folder).items():
        if path.suffix != ".png":
            continue
        try:
            values = values_of(path)
            if size_hw not in (None, values.shape):
                raise BadRecord(f"has {values.shape} (h, w) pixels, other pictures {size_hw}")
        except BadRecord as error:
            problems.append(Problem(f"{name}/{path.name}", *error.args))
            continue
        size_hw = (values.shape[0], values.shape[1])
        codes[index] = {int(number): masks.encode(values == number) for number in np.unique(values) if number}
    return codes, size_hw or (1, 1)
