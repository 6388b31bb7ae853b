"""COCO instances, read from anybody: what cannot be trusted becomes a `Problem` and is left out."""

import json
from array import array
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from reprlib import repr as short
from tempfile import TemporaryFile
from typing import Any, NamedTuple

import numpy as np

from pipeline import masks
from pipeline.errors import BadDataset, BadRecord
from pipeline.formats import Problem, Reading, foreign, json_stream
from pipeline.formats.naming import checked
from pipeline.geometry import Boxes, as_boxes
from pipeline.records import Clip, Frame, Instances, empty, sha256_of

NEEDED = ("images", "annotations", "categories")
PATTERNS = ("annotations.json", "_annotations.coco.json", "instances*.json", "*.json")


class Row(NamedTuple):
    """One annotation in our terms."""

    name: str
    box_xyxy: Boxes
    mask: bytes | None
    score: float | None
    source: str
    extra: dict[str, Any]


def read(place: Path) -> Reading:
    """Read the annotation file at `place`, or in that folder; raises `BadDataset` where it is no COCO file.

    Images are held in memory; annotations wait in a nameless file, and masks are made picture by picture, in the order
    of the images.
    """
    path = _annotation_file(place)
    spool = _Spool()
    lists = _load(path, spool)
    problems: list[Problem] = []
    told = partial(_passing, path.name, problems)
    names = dict(told("category", lists["categories"], partial(_category, seen=set())))
    pictures = list(told("image", lists["images"], partial(_picture, numbers=set(), names=set())))
    waiting = {number: array("q") for number, _, _ in pictures}
    at: list[int] = []
    placed = partial(_placed, seen=set(), pictures=waiting)
    for number in told("annotation", spool.items(at), placed):
        waiting[number].append(at[0])

    def clips() -> Iterator[Clip]:
        for number, name, size_hw in pictures:
            row = partial(_row, size_hw=size_hw, names=names)
            annotations = map(spool.item, waiting.pop(number))
            found = _found(list(told("annotation", annotations, row)), size_hw)
            yield Clip(_id(name), name, _path(path.parent, name), (Frame(0, 0.0, size_hw),), None, (found,))

    return Reading(names, clips(), problems)


def _annotation_file(place: Path) -> Path:
    if not place.is_dir():
        return place
    for pattern in PATTERNS:
        files = sorted(place.glob(pattern))
        if len(files) == 1:
            return files[0]
        if files:
            listed = ", ".join(file.name for file in files[:4])
            raise BadDataset(f"{place}: more than one annotation file ({listed}); name the one to read")
    raise BadDataset(f"{place}: no annotation file; a COCO dataset has {PATTERNS[0]}")


class _Spool:
    """Annotations that wait in a nameless file, each at a place of its own."""

    def __init__(self) -> None:
        self.file = TemporaryFile()  # noqa: SIM115 - as long as the reading lives

    def __del__(self) -> None:
        self.file.close()

    def add(self, item: Any) -> None:
        self.file.write(json.dumps(item).encode("ascii") + b"\n")

    def items(self, at: list[int]) -> Iterator[Any]:
        """All of them, in order; `at` holds the place of the last one given."""
        place = self.file.seek(0)
        for line in self.file:
            at[:] = [place]
            place += len(line)
            yield json.loads(line)

    def item(self, place: int) -> Any:
        self.file.seek(place)
        return json.loads(self.file.readline())


def _load(path: Path, spool: _Spool) -> dict[str, list[Any]]:
    """The images and categories of a file; its annotations go to the spool. Raises `BadDataset`."""
    lists: dict[str, list[Any]] = {}
    try:
        with path.open(encoding="utf-8-sig") as file:
            for key, elements in json_stream.lists(file):
                if key in lists:
                    raise ValueError(f"the list {key!r} is there twice")
                lists[key] = []
                for element in elements:
                    if key == "annotations":
                        spool.add(element)
                    elif key in NEEDED:
                        lists[key].append(element)
    except OSError as error:
        raise BadDataset(f"{path}: {error.strerror}; give a COCO file or its folder") from error
    except (ValueError, RecursionError) as error:
        raise BadDataset(f"{path}: is no COCO file: {error}; give a COCO file or its folder") from error
    for key in NEEDED:
        if key not in lists:
            raise BadDataset(f"{path}: is no COCO file: it has no list {key!r}")
    return lists


def _passing(
    file: str, problems: list[Problem], kind: str, items: Iterable[Any], check: Callable[[Any], Any]
) -> Iterator[Any]:
    """What `check` makes of each item; where it raises `BadRecord`, a problem and no item."""
    for index, item in enumerate(items):
        try:
            if not isinstance(item, dict):
                raise BadRecord("is no JSON object")
            yield check(item)
        except BadRecord as error:
            which = short(item["id"]) if isinstance(item, dict) and "id" in item else f"at index {index}"
            problems.append(Problem(f"{file}: {kind} {which}", *error.args))


def _new(item: dict[str, Any], seen: set[int]) -> int:
    """The item's id; raises `BadRecord` for one that was there before."""
    number = foreign.whole_number(item, "id")
    if number in seen:
        raise BadRecord("another one has the same id", "give every one its own")
    seen.add(number)
    return number


def _category(item: dict[str, Any], seen: set[int]) -> tuple[int, str]:
    name = foreign.text(item, "name")
    return _new(item, seen), name


def _picture(item: dict[str, Any], numbers: set[int], names: set[str]) -> tuple[int, str, tuple[int, int]]:
    name, size_hw = checked(foreign.text(item, "file_name")), foreign.size_hw(item)
    if name in names:
        raise BadRecord(f"another image has the file name {name!r}", "merge the two")
    number = _new(item, numbers)
    names.add(name)
    return number, name, size_hw


def _placed(item: dict[str, Any], seen: set[int], pictures: Container[int]) -> int:
    """The number of an annotation's picture."""
    number = foreign.whole_number(item, "image_id")
    if number not in pictures:
        raise BadRecord(f"image_id {short(number)} is not among the images that can be read")
    _new(item, seen)
    return number


def _row(item: dict[str, Any], size_hw: tuple[int, int], names: Mapping[int, str]) -> Row:
    category = foreign.whole_number(item, "category_id")
    if category not in names:
        raise BadRecord(f"category_id {short(category)} is not among the categories that can be read")
    code = foreign.mask(item.get("segmentation"), size_hw)
    if item.get("bbox") is not None:
        box_xyxy = foreign.box_xyxy(item["bbox"], size_hw)
    elif code is not None:
        box_xyxy = as_boxes(masks.box(code, size_hw))[0]
    else:
        raise BadRecord("has neither a bbox nor a segmentation", "remove it")
    extra = _extra(item)
    return Row(names[category], box_xyxy, code, _score(item), extra.pop("source"), extra)


def _score(item: dict[str, Any]) -> float | None:
    if item.get("score") is None:
        return None
    (score,) = foreign.numbers([item["score"]])
    if not 0 <= score <= 1:
        raise BadRecord(f"score is {short(item['score'])}", "give a number from 0 to 1")
    return float(score)


def _extra(item: dict[str, Any]) -> dict[str, Any]:
    """What else the dataset says, and the annotation's number in it; `source` is always there."""
    attributes = item.get("attributes")
    extra = {"source": "coco"} | (attributes if isinstance(attributes, dict) else {}) | {"annotation": item["id"]}
    if not foreign.is_plain(extra):
        raise BadRecord("attributes have a number or a text that cannot be kept, or too many levels", "remove them")
    if item.get("iscrowd") == 1:
        extra["iscrowd"] = 1
    extra["source"] = str(extra["source"])
    return extra


def _found(rows: Sequence[Row], size_hw: tuple[int, int]) -> Instances:
    """The rows as columns. Scores and masks exist if one row has them; a row without a score has 1."""
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
    )


def _id(name: str) -> str:
    """A clip's id by name: the bytes are not looked at here, and may not be there."""
    return sha256_of(["coco", name])[:32]


def _path(place: Path, name: str) -> str:
    """Where the picture is: below `images`, or beside the annotations."""
    beside = place / name
    return str(beside if not _is_file(place / "images" / name) and _is_file(beside) else place / "images" / name)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # longer than a path can be, or behind a locked door
        return False
