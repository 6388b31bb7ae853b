"""COCO instances, read from anybody: what cannot be trusted becomes a `Problem` and is left out."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.errors import BadDataset, BadRecord
from pipeline.formats import Problem, Reading, foreign, sides
from pipeline.formats.json_items import (
    Waiting,
    category,
    class_of,
    load,
    load_results,
    new,
    passing,
    waiting_for,
)
from pipeline.formats.naming import checked
from pipeline.formats.reading import (
    Row,
    box_of,
    dataset_file,
    extra_of,
    id_of,
    identities_of,
    instances_of,
    picture_path,
    score_of,
)
from pipeline.records import Clip, Frame

FILE = "annotations/instances_default.json"
"""Where COCO itself has it, and where CVAT and datumaro look."""
NEEDED = ("images", "annotations", "categories")
PATTERNS = (
    *(FILE, "annotations.json", "_annotations.coco.json"),
    *("annotations/*.json", "instances*.json", "*.json"),
)
"""Ours, and where others have it; the first that finds a file counts."""


class Picture(NamedTuple):
    """An image in our terms: its name in the dataset, its number and its name in its file."""

    name: str
    number: int
    file_name: str
    size_hw: tuple[int, int]


def read(place: Path, results: str | None = None) -> Reading:
    """Read the annotation file at `place`, or in that folder; raises `BadDataset` where it is no COCO file.

    In a folder, those of several sides are one dataset, `instances_SIDE.json` each. Annotations are those of the file
    `results` beside, where that is given: a list, and they may have no ids. Images are held in memory; annotations wait
    in a nameless file, and masks are made picture by picture, in the order of their names.
    """
    if results and place.name == results:
        place = place.parent
    problems: list[Problem] = []
    files = _files(place)
    taken: set[str] = set()
    parts = [_File(path, side, results, problems, taken) for side, path in files.items()]
    names = parts[0].names
    for part in parts:
        if part.names != names:
            raise BadDataset(f"{part.path}: has other categories than {parts[0].path.name}; name the one to read")
    return Reading(names, sides.in_order_of_names(part.clips(split=sides.told(files)) for part in parts), problems)


def _files(place: Path) -> dict[str, Path]:
    """The annotation files by their sides; '' is that of a dataset that has one."""
    split = {side: file_of_side(place / FILE, side) for side in sides.SIDES} if place.is_dir() else {}
    there = {side: path.absolute() for side, path in split.items() if path.is_file()}
    if there and not (place / FILE).is_file():
        return there
    return {"": dataset_file(place, PATTERNS, "annotation file", "COCO").absolute()}


def file_of_side(path: Path, side: str) -> Path:
    """The file of a side, of one without sides.

    >>> file_of_side(Path("instances_default.json"), "val").name, file_of_side(Path("results.json"), "val").name
    ('instances_val.json', 'results_val.json')
    """
    return path.with_name(f"{path.stem.removesuffix('_default')}_{side}{path.suffix}") if side else path


class _File:
    """One annotation file: its classes, and its pictures in the order of their names, no two alike in all files."""

    def __init__(self, path: Path, side: str, results: str | None, problems: list[Problem], taken: set[str]) -> None:
        self.path, self.side = path, side
        self.waiting = Waiting()
        lists = load(path, self.waiting, NEEDED, "COCO")
        self.home = path.parent.parent if path.parent.name == "annotations" else path.parent
        if results:
            self.waiting = load_results(file_of_side(self.home / results, side))
        self.told: Callable[..., Iterator[Any]] = partial(passing, path.name, problems)
        self.names = dict(self.told("category", lists["categories"], partial(category, seen=set())))
        picture = partial(_picture, side=side, numbers=set(), taken=taken)
        self.pictures: list[Picture] = sorted(self.told("image", lists["images"], picture))
        self.places = waiting_for((one.number for one in self.pictures), "image_id", self.waiting, self.told)

    def clips(self, split: bool) -> Iterator[Clip]:
        side = self.side if split else ""
        subset = self.path.stem.rpartition("_")[2]
        for name, number, file_name, size_hw in self.pictures:
            row = partial(_row, size_hw=size_hw, names=self.names)
            annotations = map(self.waiting.item, self.places.pop(number))
            rows = list(self.told("annotation", annotations, row))
            found = instances_of(rows, size_hw, **identities_of(rows))
            at = picture_path(self.home, file_name, subset, self.side)
            yield Clip(id_of("coco", name), name, at, (Frame(0, 0.0, size_hw),), None, (found,), side)


def _picture(item: dict[str, Any], side: str, numbers: set[int], taken: set[str]) -> Picture:
    file_name, size_hw = checked(foreign.text(item, "file_name")), foreign.size_hw(item)
    name = sides.below(side, file_name) if file_name in taken else file_name
    if name in taken:
        raise BadRecord(f"another image has the file name {name!r}", "merge the two")
    number = new(item, numbers)
    taken.add(name)
    return Picture(name, number, file_name, size_hw)


def _row(item: dict[str, Any], size_hw: tuple[int, int], names: dict[int, str]) -> Row:
    name = class_of(item, names)
    code = foreign.mask(item.get("segmentation"), size_hw)
    box_xyxy = box_of(item.get("bbox"), code, size_hw)
    extra = extra_of(item.get("attributes"), "coco", annotation=item["id"])
    if type(item.get("track_id")) is int:
        extra.setdefault("track_id", item["track_id"])
    if item.get("iscrowd") == 1:
        extra["iscrowd"] = 1
    return Row(name, box_xyxy, code, score_of(item.get("score")), extra.pop("source"), extra)
