"""COCO instances, read from anybody: what cannot be trusted becomes a `Problem` and is left out."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.errors import BadRecord
from pipeline.formats import Problem, Reading, foreign
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

NEEDED = ("images", "annotations", "categories")
PATTERNS = (
    *("annotations/instances_default.json", "annotations.json", "_annotations.coco.json"),
    *("annotations/*.json", "instances*.json", "*.json"),
)
"""Ours, and where others have it; the first that finds a file counts."""


def read(place: Path, results: str | None = None) -> Reading:
    """Read the annotation file at `place`, or in that folder; raises `BadDataset` where it is no COCO file.

    Annotations are those of the file `results` beside it, where that is given: a list, and they may have no ids.
    Images are held in memory; annotations wait in a nameless file, and masks are made picture by picture, in the order
    of their names.
    """
    if results and place.name == results:
        place = place.parent
    path = dataset_file(place, PATTERNS, "annotation file", "COCO").absolute()
    waiting = Waiting()
    lists = load(path, waiting, NEEDED, "COCO")
    home = path.parent.parent if path.parent.name == "annotations" else path.parent
    subset = path.stem.rpartition("_")[2]
    if results:
        waiting = load_results(home / results)
    problems: list[Problem] = []
    told = partial(passing, path.name, problems)
    names = dict(told("category", lists["categories"], partial(category, seen=set())))
    pictures = sorted(
        told("image", lists["images"], partial(_picture, numbers=set(), names=set())), key=lambda picture: picture[1]
    )
    places = waiting_for((number for number, _, _ in pictures), "image_id", waiting, told)

    def clips() -> Iterator[Clip]:
        for number, name, size_hw in pictures:
            row = partial(_row, size_hw=size_hw, names=names)
            annotations = map(waiting.item, places.pop(number))
            rows = list(told("annotation", annotations, row))
            found = instances_of(rows, size_hw, **identities_of(rows))
            at = picture_path(home, name, subset)
            yield Clip(id_of("coco", name), name, at, (Frame(0, 0.0, size_hw),), None, (found,))

    return Reading(names, clips(), problems)


def _picture(item: dict[str, Any], numbers: set[int], names: set[str]) -> tuple[int, str, tuple[int, int]]:
    name, size_hw = checked(foreign.text(item, "file_name")), foreign.size_hw(item)
    if name in names:
        raise BadRecord(f"another image has the file name {name!r}", "merge the two")
    number = new(item, numbers)
    names.add(name)
    return number, name, size_hw


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
