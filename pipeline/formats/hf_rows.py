"""A picture and its objects as one row of a Hugging Face dataset, both ways: what imagefolder and Parquet share.

    file_name, width, height
    objects: id, category, bbox [x, y, width, height], area, iscrowd, score, segmentation {size, counts}, attributes

`objects` is a mapping of lists, one entry an object. Classes are numbered from 0, as ClassLabel wants it. `attributes`
is what COCO's annotation would say besides (prompt, source, detector's box), as JSON text.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from reprlib import repr as short
from typing import Any

from pipeline import media
from pipeline.errors import BadMedia, BadRecord
from pipeline.formats import Problem, foreign
from pipeline.formats.coco_rows import parsed
from pipeline.formats.reading import Row, box_of, extra_of, id_of, identities_of, instances_of, score_of
from pipeline.formats.sides import below
from pipeline.formats.writing import in_order_of_names, still
from pipeline.records import Clip, Frame

SPLITS = {"": "train", "train": "train", "val": "validation", "test": "test"}
"""A side -> what it is called by `datasets`; what is not split is all for training."""
KEYS = ("category", "bbox", "area", "iscrowd", "score", "segmentation", "attributes")

Json = dict[str, Any]


def features(names: Sequence[str], stored: bool) -> Any:
    """The columns' types as `datasets.Features`; `stored` is whether the file name is a column beside the picture."""
    from datasets import ClassLabel, Features, Image, List, Value

    segmentation = {"size": List(Value("int32"), length=2), "counts": Value("string")}
    objects = {
        "id": List(Value("int64")),
        "category": List(ClassLabel(names=list(names))),
        "bbox": List(List(Value("float32"), length=4)),
        "area": List(Value("int64")),
        "iscrowd": List(Value("int8")),
        "score": List(Value("float32")),
        "segmentation": List(segmentation),
        "attributes": List(Value("string")),
    }
    name = {"file_name": Value("string")} if stored else {}
    return Features({"image": Image(), **name, "width": Value("int32"), "height": Value("int32"), "objects": objects})


def in_order(clips: Iterable[tuple[str, Clip]], names: Sequence[str], folder: Path) -> Iterator[tuple[Clip, Json]]:
    """Each clip (without what was found) and its row, by name; objects are numbered from 1 in that order.

    Rows wait in a nameless file in `folder`. Raises `BadRecord` for an object that has no mask or no class.
    """
    numbers = {name: number for number, name in enumerate(names)}
    lines = ((name, _waiting(clip, numbers)) for name, clip in clips)
    identities = count(1)
    for name, line in in_order_of_names(lines, folder):
        text, side, objects = json.loads(line)
        clip = replace(Clip.from_text(text), side=side)
        h, w = clip.frames[0].size_hw
        objects = {"id": [next(identities) for _ in objects["category"]]} | objects
        yield clip, {"file_name": name, "width": w, "height": h, "objects": objects}


def _waiting(clip: Clip, numbers: Mapping[str, int]) -> bytes:
    rows = parsed(clip, still(clip), numbers)
    for row in rows:
        row["category"] = row["category_id"]
        row["attributes"] = json.dumps(row["attributes"], sort_keys=True)
    return json.dumps([clip.to_text(), clip.side, {key: [row.get(key) for row in rows] for key in KEYS}]).encode(
        "ascii"
    )


def size_of(row: Json, content: Callable[[], bytes]) -> tuple[int, int]:
    """Height and width as the row says, or else as the picture does; raises `BadRecord`."""
    if row.get("width") is not None:
        return foreign.size_hw(row)
    try:
        return media.probe(content()).size_hw
    except BadMedia as error:
        raise BadRecord(f"has no width, and the picture does not tell: {error}", "give width and height") from error


@dataclass(slots=True)
class Rows:
    """Rows of one dataset as clips: its classes by number, and what was met so far."""

    format_: str
    names: Mapping[int, str]
    problems: list[Problem]
    seen: set[str] = field(default_factory=set)

    def name(self, name: str, side: str) -> str:
        """The picture's name, or where another side has it, that in the folder of its own."""
        return below(side, name) if name in self.seen else name

    def clip(self, row: Json, where: str, name: str, path: str, size_hw: tuple[int, int], side: str = "") -> Clip:
        """A row as a clip; an object that cannot be trusted is told and left out. Raises `BadRecord`."""
        if name in self.seen:
            raise BadRecord(f"another picture has the file name {name!r}", "merge the two")
        rows = list(self._objects(row.get("objects"), where, size_hw))
        found = instances_of(rows, size_hw, **identities_of(rows))
        self.seen.add(name)
        return Clip(id_of(self.format_, name), name, path, (Frame(0, 0.0, size_hw),), None, (found,), side)

    def _objects(self, objects: Any, where: str, size_hw: tuple[int, int]) -> Iterator[Row]:
        for index, item in enumerate(_items(objects)):
            try:
                yield _row(item, size_hw, self.names, self.format_)
            except BadRecord as error:
                self.problems.append(Problem(f"{where}: object {index}", *error.args))


def _items(objects: Any) -> list[Json]:
    """One mapping an object, of a mapping of lists."""
    if objects is None:
        return []
    if isinstance(objects, list) and all(isinstance(item, dict) for item in objects):
        return objects
    if not isinstance(objects, dict):
        raise BadRecord(f"objects is {short(objects)}", "make it a mapping of lists")
    columns = {key: column for key, column in objects.items() if column is not None}
    lengths = {key: len(column) if isinstance(column, list) else -1 for key, column in columns.items()}
    if len(set(lengths.values())) > 1 or -1 in lengths.values():
        raise BadRecord(f"the lists of objects are of different lengths: {short(lengths)}", "make them equally long")
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _row(item: Json, size_hw: tuple[int, int], names: Mapping[int, str], format_: str) -> Row:
    number = foreign.whole_number(item, "category")
    if number not in names:
        raise BadRecord(f"category {short(number)} is not among the classes of the dataset")
    code = foreign.mask(item.get("segmentation"), size_hw)
    box_xyxy = box_of(item.get("bbox"), code, size_hw)
    more = {"annotation": item["id"]} if isinstance(item.get("id"), int) else {}
    extra = extra_of(_attributes(item), format_, **more)
    if item.get("iscrowd") == 1:
        extra["iscrowd"] = 1
    return Row(names[number], box_xyxy, code, score_of(item.get("score")), extra.pop("source"), extra)


def _attributes(item: Json) -> Any:
    if item.get("attributes") is None:
        return {}
    try:
        return json.loads(foreign.text(item, "attributes"))
    except (ValueError, RecursionError) as error:
        raise BadRecord(
            f"attributes are no JSON text: {short(item['attributes'])}", "correct or remove them"
        ) from error
