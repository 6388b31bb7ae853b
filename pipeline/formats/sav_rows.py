"""The rows of a frame out of what SA-V says of it, whether in JSON or in pictures."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from pipeline import masks
from pipeline.formats.sav_sidecar import TEXTS, Known
from pipeline.records import Instances, empty

SAID = "sav"
"""Under this key a row's `extra` has what an SA-V file said of the film and of the object that no mask shows."""

Cell = tuple[int, bytes]
"""The masklet's number in the file and its code; that of no pixel is out of sight."""


class Film(NamedTuple):
    """What the rows of all frames of a clip share: its objects, by number, and what SA-V said of it and of them.

    `said` is nothing, or one mapping an object; `stability` is None, or one row a frame.
    """

    size_hw: tuple[int, int]
    objects: Sequence[Known]
    said: Sequence[Mapping[str, Any]] = ()
    stability: Sequence[Sequence[float | None]] | None = None


def found_of(film: Film, at: int, cells: Sequence[Cell]) -> Instances:
    """The rows of frame `at`: what is out of sight has neither mask nor box."""
    if not cells:
        return empty(film.size_hw)
    numbers, codes = [number for number, _ in cells], [code for _, code in cells]
    objects, visible = [film.objects[number] for number in numbers], np.array(masks.areas(codes)) > 0
    known = [film.stability[at][number] if film.stability else None for number in numbers]
    said = [film.said[number] for number in numbers] if film.said else None
    return Instances(
        film.size_hw,
        masks.boxes(codes, film.size_hw),
        tuple(one.name for one in objects),
        masks=tuple(code if seen else None for code, seen in zip(codes, visible, strict=True)),
        quality=np.array([[None, score, None] for score in known], np.float64) if film.stability else None,
        track_ids=np.array([one.track_id for one in objects], np.int64),
        visible=visible,
        extra=tuple({SAID: dict(one) | _exactly(score)} for one, score in zip(said, known, strict=True))
        if said
        else None,
        **_columns(objects, at),
    )


def _exactly(stability: float | None) -> dict[str, float]:
    """All digits of a number of which a record keeps four."""
    return {} if stability is None else {"stability": stability}


def _columns(objects: Sequence[Known], at: int) -> dict[str, Any]:
    """What only the sidecar knows, where it knows it of an object; nobody is the source of rows of others."""
    columns: dict[str, Any] = {
        key: tuple(one.texts.get(key, "sav" if key == "source" else "") for one in objects)
        for key in TEXTS
        if key == "source" or any(key in one.texts for one in objects)
    }
    if any(one.scores for one in objects):
        columns["scores"] = [(one.scores[at] if one.scores else None) or 0.0 for one in objects]
    return columns


def again(code: bytes) -> bytes:
    """The mask coded anew: of two codes that mean the same, the one that pycocotools writes."""
    edges = masks.unpack(code).cumsum()
    places, times = np.unique(edges[:-1], return_counts=True)
    changes = places[(times % 2 == 1) & (places < edges[-1])]  # two changes in one place are none
    return masks.pack(np.diff(np.concatenate([[0], changes, edges[-1:]])))
