"""COCO instances: `images/` and `annotations.json`, with masks as compressed run lengths, exact to the pixel.

Written without a clock, one annotation a line, ASCII, so that two runs can be compared with `diff`. What is
made of anybody's file is in `coco_reading`.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, NamedTuple

import numpy as np

from pipeline import __version__, masks, media
from pipeline.errors import BadMedia, BadRecord
from pipeline.formats.coco_reading import read
from pipeline.formats.naming import named
from pipeline.ontology import Ontology
from pipeline.reasons import in_words
from pipeline.records import Clip, Instances, empty, uids

__all__ = ["VERSION", "read", "write", "write_annotations"]

VERSION = 1
FILE = "annotations.json"
IMAGES = "images"
QUALITY = ("iou", "stability", "agreement")  # the columns of `Instances.quality`


def write(clips: Iterable[Clip], ontology: Ontology, place: Path, hard_link: bool = False) -> None:
    """Write pictures and annotations into the empty folder `place`, each clip looked at once, one in memory.

    Raises `BadRecord` for an object without a mask or of a class that is not exported, `BadMedia` for a picture that
    changed since it was looked at.
    """
    (place / IMAGES).mkdir()
    _write_json(_with_pictures(clips, place / IMAGES, hard_link), ontology, place / FILE)


def write_annotations(clips: Iterable[Clip], ontology: Ontology, path: Path) -> None:
    """Write the annotations alone, for pictures that are elsewhere: they keep the names of their clips."""
    _write_json(((clip.name, clip) for clip in clips), ontology, path)


def _with_pictures(clips: Iterable[Clip], images: Path, hard_link: bool) -> Iterator[tuple[str, Clip]]:
    for name, clip in named(clips):
        try:
            media.export_picture(clip, images / name, hard_link)
        except BadMedia as error:
            raise BadMedia(error.reason, f"{clip.name}: {in_words(error.reason, error.detail)}") from error
        yield name, clip


class _Spooled(NamedTuple):
    """A picture whose annotations wait in the spool: how many lines, and where they begin."""

    name: str
    size_hw: tuple[int, int]
    begin: int
    lines: int


def _write_json(clips: Iterable[tuple[str, Clip]], ontology: Ontology, path: Path) -> None:
    """Write the file; pictures are numbered by the order of their names, annotations by picture, then row.

    Numbers begin at 1: COCOeval takes id 0 for 'no match'. The order of the names is known at the end only,
    so annotations wait, without their numbers, in a nameless file.
    """
    numbers = {name: number for name, number in ontology.numbers().items() if name in ontology.names}
    categories = [
        {"id": number, "name": name, "supercategory": ""}
        for name, number in sorted(numbers.items(), key=lambda item: item[1])
    ]
    with TemporaryFile(dir=path.parent) as spool:
        pictures = sorted(_spool(name, clip, numbers, spool) for name, clip in clips)
        with path.open("w", encoding="ascii", newline="\n") as out:
            out.write(f'{{\n"info": {json.dumps({"description": "made by masklet", "version": __version__})},\n')
            out.write('"licenses": [],\n')
            _write_list(out, "categories", map(json.dumps, categories))
            _write_list(out, "images", (_image(number, picture) for number, picture in enumerate(pictures, 1)))
            _write_list(out, "annotations", _numbered(pictures, spool), end="\n}\n")


def _write_list(out: IO[str], key: str, lines: Iterable[str], end: str = ",\n") -> None:
    out.write(f'"{key}": [')
    before = "\n"
    for line in lines:
        out.write(before + line)
        before = ",\n"
    out.write("\n]" + end)


def _image(number: int, picture: _Spooled) -> str:
    h, w = picture.size_hw
    return json.dumps({"id": number, "file_name": picture.name, "width": w, "height": h})


def _numbered(pictures: list[_Spooled], spool: IO[bytes]) -> Iterator[str]:
    """The waiting lines in the order of their pictures, each with its own number and its picture's."""
    annotation = 0
    for number, picture in enumerate(pictures, 1):
        spool.seek(picture.begin)
        for _ in range(picture.lines):
            annotation += 1
            rest = spool.readline().decode("ascii")
            yield f'{{"id": {annotation}, "image_id": {number}, {rest[1:-1]}'


def _spool(name: str, clip: Clip, numbers: Mapping[str, int], spool: IO[bytes]) -> _Spooled:
    if len(clip.frames) != 1:
        raise BadRecord(f"{clip.name}: a film; COCO has pictures only")
    begin = spool.tell()
    found = clip.found[0] if clip.found else empty(clip.frames[0].size_hw)
    for row, uid in enumerate(uids(clip.id, found)):
        try:
            annotation = _annotation(found, row, numbers)
        except BadRecord as error:
            raise BadRecord(f"{uid} ({clip.name}): {error}") from error
        spool.write(json.dumps(annotation, sort_keys=True, allow_nan=False).encode("ascii") + b"\n")
    return _Spooled(name, clip.frames[0].size_hw, begin, len(found))


def _annotation(found: Instances, row: int, numbers: Mapping[str, int]) -> dict[str, Any]:
    """COCO's annotation of a row, without its own number and its picture's."""
    code = found.masks[row] if found.masks is not None else None
    if found.names[row] not in numbers:
        raise BadRecord(f"{found.names[row]!r} is no class that is exported")
    if code is None or not masks.area(code):
        raise BadRecord("has no mask")
    x0, y0, x1, y1 = masks.box(code, found.size_hw)
    annotation = {
        "category_id": numbers[found.names[row]],
        "segmentation": {"size": list(found.size_hw), "counts": code.decode("ascii")},
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "area": masks.area(code),
        "iscrowd": int(found.extra is not None and found.extra[row].get("iscrowd") == 1),
        "attributes": _attributes(found, row),
    }
    return annotation if found.scores is None else annotation | {"score": _plain(found.scores[row], 4)}


def _attributes(found: Instances, row: int) -> dict[str, Any]:
    """Where a row comes from; what a foreign dataset said comes first and gives way to what we know."""
    attributes = dict(found.extra[row]) if found.extra is not None else {}
    attributes.pop("iscrowd", None)
    for key, column in (("prompt", found.prompts), ("source", found.source), ("score_kind", found.score_kind)):
        if column is not None:
            attributes[key] = column[row]
    if found.quality is not None:
        values = zip(QUALITY, found.quality[row], strict=True)
        attributes["quality"] = {key: _plain(value, 4) for key, value in values if not np.isnan(value)}
    return attributes | {"detector_box": [_plain(side, 3) for side in found.boxes_xyxy[row]]}


def _plain(value: np.float32, digits: int) -> float:
    """The short decimal that a record's float32 stands for."""
    return round(float(value), digits)
