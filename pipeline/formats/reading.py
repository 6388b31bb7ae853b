"""What reading any dataset ends with: rows as columns, a clip's id, where its picture is."""

from collections.abc import Sequence
from pathlib import Path
from reprlib import repr as short
from typing import Any, NamedTuple

import numpy as np

from pipeline import masks
from pipeline.errors import BadDataset, BadRecord
from pipeline.formats import foreign
from pipeline.geometry import Boxes, as_boxes
from pipeline.records import Instances, empty, sha256_of


class Row(NamedTuple):
    """One annotation in our terms."""

    name: str
    box_xyxy: Boxes
    mask: bytes | None
    score: float | None
    source: str
    extra: dict[str, Any]


def instances_of(rows: Sequence[Row], size_hw: tuple[int, int], **columns: Any) -> Instances:
    """The rows as columns, and what is given. Scores and masks exist if one row has them; without a score it is 1."""
    if not rows:
        return empty(size_hw)
    scored = any(row.score is not None for row in rows)
    masked = any(row.mask is not None for row in rows)
    return Instances(
        size_hw,
        np.stack([row.box_xyxy for row in rows]),
        tuple(row.name for row in rows),
        scores=np.array([1 if row.score is None else row.score for row in rows], np.float32) if scored else None,
        masks=tuple(row.mask for row in rows) if masked else None,
        source=tuple(row.source for row in rows),
        extra=tuple(row.extra for row in rows),
        **columns,
    )


def identities_of(rows: Sequence[Row]) -> dict[str, Any]:
    """The column of identities, where every row has said under `track_id` who it is, and no two are the same."""
    said = [row.extra.get("track_id") for row in rows]
    if (
        not rows
        or not all(type(number) is int and 1 <= number < 2**63 for number in said)
        or len(set(said)) < len(rows)
    ):
        return {}
    return {"track_ids": np.array([row.extra.pop("track_id") for row in rows], np.int64)}


def box_of(bbox: Any, code: bytes | None, size_hw: tuple[int, int]) -> Boxes:
    """The box [x, y, width, height] of an annotation: -> (4,). Raises `BadRecord`.

    It is its mask's where there is none, or one without width or height: some tools take the last pixel's edge for its
    number, and a line of pixels has none then.
    """
    if bbox is None and code is None:
        raise BadRecord("has neither a bbox nor a segmentation", "remove it")
    if code is not None and (bbox is None or _is_line(bbox)):
        return np.asarray(as_boxes(masks.box(code, size_hw))[0])
    return foreign.box_xyxy(bbox, size_hw)


def _is_line(bbox: Any) -> bool:
    values = foreign.numbers(bbox)
    return len(values) == 4 and bool((values >= 0).all()) and not values[2:].all()


def score_of(value: Any) -> float | None:
    """A score from 0 to 1, where there is one; raises `BadRecord`."""
    if value is None:
        return None
    (score,) = foreign.numbers([value])
    if not 0 <= score <= 1:
        raise BadRecord(f"score is {short(value)}", "give a number from 0 to 1")
    return float(score)


def extra_of(attributes: Any, format_: str, **more: Any) -> dict[str, Any]:
    """What else a dataset says of a row; `source` is always there. Raises `BadRecord` for what cannot be kept."""
    extra = {"source": format_} | (attributes if isinstance(attributes, dict) else {}) | more
    if not foreign.is_plain(extra):
        raise BadRecord("attributes have a number or a text that cannot be kept, or too many levels", "remove them")
    extra["source"] = str(extra["source"])
    return extra


def id_of(format_: str, name: str) -> str:
    """A clip's id by name: the bytes are not looked at here, and may not be there."""
    return sha256_of([format_, name])[:32]


def dataset_file(place: Path, patterns: Sequence[str], what: str, kind: str) -> Path:
    """The file itself, or the one in a folder that the first fitting pattern finds; raises `BadDataset`."""
    if not place.is_dir():
        return place
    for pattern in patterns:
        files = sorted(place.glob(pattern))
        if len(files) == 1:
            return files[0]
        if files:
            listed = ", ".join(file.name for file in files[:4])
            raise BadDataset(f"{place}: more than one {what} ({listed}); name the one to read")
    raise BadDataset(f"{place}: no {what}; a {kind} dataset has {patterns[0]}")


def picture_path(place: Path, name: str, subset: str = "", side: str = "") -> str:
    """Where the picture is: below `images`, beside that, or in the folder of a subset; in `images` if nowhere.

    Of a dataset with sides it is in the folder of its own, before all.
    """
    own = (f"images/{side}",) if side else ()
    folders = (*own, "images", "", f"images/{subset}", subset)
    there = (place / folder / name for folder in folders if is_file(place / folder / name))
    return str(next(there, place / "images" / name))


def is_file(path: Path) -> bool:
    """Whether a file is there; a path that cannot be is not."""
    try:
        return path.is_file()
    except OSError:  # longer than a path can be, or behind a locked door
        return False
