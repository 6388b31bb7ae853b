"""COCO instances: `images/` and `annotations/instances_default.json`, masks as compressed run lengths, exact.

Of a split dataset each side has its `images/SIDE/` and `annotations/instances_SIDE.json`; numbers are given over all.

Written without a clock, one annotation a line, ASCII, so that two runs can be compared with `diff`. What is
made of anybody's file is in `coco_reading`.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from itertools import starmap
from pathlib import Path
from typing import IO, Any

import numpy as np

from pipeline import __version__
from pipeline.formats import Format, Masks
from pipeline.formats.coco_reading import FILE, file_of_side, read
from pipeline.formats.coco_rows import alike, rows
from pipeline.formats.spool import Spool, Spooled
from pipeline.formats.writing import numbers_of, still, together, with_pictures
from pipeline.ontology import Ontology
from pipeline.records import Clip

__all__ = ["COCO", "COCO_POLYGON", "COCO_RESULTS", "read", "write", "write_annotations"]

RESULTS = "results.json"
IMAGES = "images"
AT_ONCE = 128
"""Objects that are written together: a picture with a few costs mostly calls."""


def write(
    clips: Iterable[Clip], ontology: Ontology, place: Path, hard_link: bool = False, polygons: bool = False
) -> dict[str, int]:
    """Write pictures and annotations into the empty folder `place`, each clip looked at once, one in memory.

    Raises `BadRecord` for an object without a mask or of a class that is not exported, `BadMedia` for a picture that
    changed since it was looked at.
    """
    (place / IMAGES).mkdir()
    filled = Counter[str]()
    pictures = with_pictures(clips, place / IMAGES, hard_link)
    _write_json(pictures, ontology, place / FILE, filled if polygons else None)
    return dict(+filled)


def write_results(clips: Iterable[Clip], ontology: Ontology, place: Path, hard_link: bool = False) -> dict[str, int]:
    """Write what a model found as a results file, which `COCO.loadRes` takes; the annotation file has none.

    An object without a score has 1. Raises as `write`.
    """
    (place / IMAGES).mkdir()
    pictures = with_pictures(map(_scored, clips), place / IMAGES, hard_link)
    _write_json(pictures, ontology, place / FILE, results=place / RESULTS)
    return {}


def _scored(clip: Clip) -> Clip:
    found = (
        one if one.scores is not None else replace(one, scores=np.ones(len(one), np.float32)) for one in clip.found
    )
    return replace(clip, found=tuple(found))


def write_annotations(clips: Iterable[Clip], ontology: Ontology, path: Path) -> None:
    """Write the annotations alone, for pictures that are elsewhere: they keep the names of their clips."""
    _write_json(((clip.name, clip) for clip in clips), ontology, path)


def _write_json(
    clips: Iterable[tuple[str, Clip]],
    ontology: Ontology,
    path: Path,
    filled: Counter[str] | None = None,
    results: Path | None = None,
) -> None:
    """Write the file; pictures are numbered by the order of their names, annotations by picture, then row.

    Annotations go into the file `results`, where that is given. Each side has files of its own.
    """
    numbers = numbers_of(ontology)
    path.parent.mkdir(exist_ok=True)
    with Spool(path.parent) as spool:
        for group in together(clips, lambda clip: alike(still(clip)), AT_ONCE):
            found = [(clip, still(clip)) for _, clip in group]
            text = rows(found, numbers, *spool.next, filled)
            names = [name for name, _ in group]
            spool.add(
                [(name, one.size_hw, len(one), clip.side) for name, (clip, one) in zip(names, found, strict=True)], text
            )
        for side in sorted(spool.sides):
            with file_of_side(path, side).open("wb") as out:
                write_head(out, numbers)
                write_list(out, "images", starmap(_image, spool.pictures(side)))
                write_list(out, "annotations", [] if results else spool.blocks(side), end=b"\n}\n")
            if results:
                with file_of_side(results, side).open("wb") as out:
                    _write_items(out, spool.blocks(side))
                    out.write(b"\n]\n")


def write_head(out: IO[bytes], numbers: Mapping[str, int]) -> None:
    """Begin the file: what it is, and the classes."""
    info = {"description": "made by masklet", "version": __version__}
    out.write(f'{{\n"info": {json.dumps(info)},\n"licenses": [],\n'.encode("ascii"))
    categories = ({"id": number, "name": name, "supercategory": ""} for name, number in numbers.items())
    write_list(out, "categories", map(line_of, categories))


def write_list(out: IO[bytes], key: str, lines: Iterable[bytes], end: bytes = b",\n") -> None:
    out.write(f'"{key}": '.encode("ascii"))
    _write_items(out, lines)
    out.write(b"\n]" + end)


def _write_items(out: IO[bytes], lines: Iterable[bytes]) -> None:
    """Begin a list; each line has a comma before it, which the first one does without."""
    out.write(b"[")
    for number, line in enumerate(lines):
        out.write(line if number else line[1:])


def line_of(item: Mapping[str, Any]) -> bytes:
    return f",\n{json.dumps(item)}".encode("ascii")


def _image(number: int, picture: Spooled) -> bytes:
    h, w = picture.size_hw
    name = json.dumps(picture.name)
    return f',\n{{"id": {number}, "file_name": {name}, "width": {w}, "height": {h}}}'.encode("ascii")


COCO = Format(2, write, read)
COCO_POLYGON = Format(1, partial(write, polygons=True), read, Masks.OUTLINES)
COCO_RESULTS = Format(1, write_results, partial(read, results=RESULTS))
