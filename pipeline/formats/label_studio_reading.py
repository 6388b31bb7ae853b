"""Label Studio's JSON, read from anybody: its export, or what is imported. Brushes, polygons and rectangles.

Of a task the newest annotation that was not skipped counts; where there is none, its first prediction. What cannot be
trusted becomes a `Problem` and is left out.
"""

import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from reprlib import repr as short
from typing import Any
from urllib.parse import parse_qs, unquote, urlparse
from xml.etree import ElementTree as ET

from pipeline import masks, media
from pipeline.errors import BadDataset, BadMedia, BadRecord
from pipeline.formats import Problem, Reading, brush, foreign, json_stream
from pipeline.formats.json_items import passing
from pipeline.formats.naming import checked
from pipeline.formats.reading import (
    Row,
    box_of,
    dataset_file,
    extra_of,
    id_of,
    identities_of,
    instances_of,
    is_file,
    picture_path,
    score_of,
)
from pipeline.formats.sides import SIDES, without
from pipeline.records import Clip, Frame

TASKS, CONFIG = "tasks.json", "labels.xml"
IMAGE, CONTROL = "image", "label"
"""What the picture and the labels are called in the labelling interface."""
KINDS = ("brushlabels", "polygonlabels", "rectanglelabels")
MAX_XML = 1 << 22  # bytes
UPLOADED = re.compile(r"^[0-9a-f]{8}-")
"""What Label Studio puts before the name of a file that is uploaded."""
Task = Mapping[str, Any]


def read(place: Path) -> Reading:
    """Read the tasks in a file, or in a folder that has them; raises `BadDataset` where it is no list of tasks.

    The file is gone through twice: once for the classes, where no `labels.xml` stands beside it, then task by task.
    """
    path = dataset_file(place.absolute(), (TASKS, "*.json"), "JSON file", "Label Studio")
    used = dict.fromkeys(name for task in _tasks(path) for name in _labels(task))
    known = _interface(path.parent / CONFIG)
    names = dict(enumerate(known if known is not None else sorted(used), 1))
    problems: list[Problem] = []
    told = partial(passing, path.name, problems)
    clip = partial(_clip, home=path.parent, names=frozenset(names.values()), told=told, taken=set())
    return Reading(names, told("task", _tasks(path), clip), problems)


def _tasks(path: Path) -> Iterator[Any]:
    """Each task of a file; raises `BadDataset`."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            yield from json_stream.items(file)
    except OSError as error:
        raise BadDataset(f"{path}: {error.strerror}; give Label Studio's JSON or its folder") from error
    except (ValueError, RecursionError) as error:
        raise BadDataset(f"{path}: is no list of Label Studio's tasks: {error}; export them as JSON") from error


def _interface(path: Path) -> list[str] | None:
    """The classes of a labelling interface, in order; None where there is none. Raises `BadDataset`."""
    if not is_file(path):
        return None
    try:
        text = path.read_text(encoding="utf-8-sig")
        if len(text) > MAX_XML or "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise ValueError("it is too large, or defines what it is made of")
        labels = ET.fromstring(text).iter("Label")
        return list(dict.fromkeys(value for label in labels if (value := label.get("value"))))
    except (OSError, ValueError, ET.ParseError) as error:
        raise BadDataset(f"{path}: is no labelling interface: {error}") from error


def results_of(task: Task) -> list[Any]:
    """The regions that count: of the newest annotation that was not skipped, else of the first prediction."""
    annotations = [one for one in _listed(task, "annotations") if not one.get("was_cancelled")]
    chosen = annotations[-1:] or _listed(task, "predictions")[:1]
    return list(chosen[0]["result"]) if chosen and isinstance(chosen[0].get("result"), list) else []


def _listed(task: Task, key: str) -> list[dict[str, Any]]:
    value = task.get(key)
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _labels(task: Any) -> Iterator[str]:
    for region in results_of(task) if isinstance(task, dict) else []:
        if isinstance(region, dict) and region.get("type") in KINDS:
            labels = _value(region).get(region["type"])
            yield from (name for name in labels[:1] if isinstance(name, str)) if isinstance(labels, list) else ()


def _value(region: Task) -> dict[str, Any]:
    value = region.get("value")
    return value if isinstance(value, dict) else {}


def _clip(task: dict[str, Any], home: Path, names: frozenset[str], told: Any, taken: set[str]) -> Clip:
    """A task as a picture with its objects; raises `BadRecord`."""
    data = task.get("data")
    if not isinstance(data, dict):
        raise BadRecord("has no data", "export as JSON, not as JSON-MIN")
    side = data["side"] if data.get("side") in SIDES else ""
    name = _name(data, side)
    if name in taken:
        raise BadRecord(f"another task has the picture {name!r}", "merge the two")
    taken.add(name)
    path = picture_path(home, name, side=side)
    regions = [one for one in results_of(task) if not isinstance(one, dict) or one.get("type") != "relation"]
    size_hw = _size_hw(regions, path)
    rows = list(told(f"{name}: region", regions, partial(_row, size_hw=size_hw, names=names)))
    found = instances_of(rows, size_hw, **identities_of(rows))
    own = data.get("clip")
    id_ = own if isinstance(own, str) and re.fullmatch("[0-9a-f]{32}", own) else id_of("label_studio", name)
    return Clip(id_, name, path, (Frame(0, 0.0, size_hw),), None, (found,), side)


def _name(data: Mapping[str, Any], side: str) -> str:
    """What the picture is called: as we said, else the end of its address."""
    if isinstance(data.get("name"), str):
        return checked(foreign.text(data, "name"))
    key = IMAGE if IMAGE in data else next((key for key, value in data.items() if isinstance(value, str)), IMAGE)
    try:
        address = urlparse(foreign.text(data, key))
    except ValueError as error:
        raise BadRecord(f"{key} is no address: {error}", "give the picture's path") from error
    local = parse_qs(address.query).get("d")
    path = PurePosixPath(local[-1] if local else unquote(address.path))
    parts = path.parts[path.parts.index("images") + 1 :] if "images" in path.parts else (path.name,)
    return without(side, checked(str(PurePosixPath(*parts[:-1], UPLOADED.sub("", parts[-1]))) if parts else ""))


def _size_hw(regions: list[Any], path: str) -> masks.Size:
    """The picture's size, as its regions say, else as its file says; raises `BadRecord`."""
    for region in regions:
        if isinstance(region, dict) and "original_height" in region:
            return foreign.size_hw({"height": region["original_height"], "width": region.get("original_width")})
    try:
        return media.probe(media.read_bytes(path)).size_hw
    except BadMedia as error:
        raise BadRecord(f"has no region, and its picture cannot be read: {error}", "put the picture there") from error


def _row(region: dict[str, Any], size_hw: masks.Size, names: frozenset[str]) -> Row:
    kind, value = region.get("type"), _value(region)
    if kind not in KINDS:
        raise BadRecord(f"is of the type {short(kind)}", f"use {', '.join(KINDS)}")
    if region.get("image_rotation") or value.get("rotation"):
        raise BadRecord("is turned", "turn it back, or draw a polygon")
    said = (region.get("original_height"), region.get("original_width"))
    if said != size_hw:
        raise BadRecord(f"was drawn at {short(said)} (h, w), the picture has {size_hw}")
    labels = value.get(kind)
    if not isinstance(labels, list) or not labels or not isinstance(labels[0], str) or labels[0] not in names:
        raise BadRecord(f"its label {short(labels)} is no class of the labelling interface", "add it there")
    code, bbox = _shape(kind, value, size_hw)
    extra = extra_of(region.get("meta"), "label_studio", region=str(region.get("id")))
    return Row(labels[0], box_of(bbox, code, size_hw), code, score_of(region.get("score")), extra.pop("source"), extra)


def _shape(kind: str, value: dict[str, Any], size_hw: masks.Size) -> tuple[bytes | None, list[float] | None]:
    """A region's mask, or its box [x, y, width, height]; places are hundredths of the picture's sides."""
    h, w = size_hw
    if kind == "rectanglelabels":
        shares = foreign.numbers([value.get(key) for key in ("x", "y", "width", "height")])
        return None, (shares * [w, h, w, h] / 100).tolist()
    if kind == "brushlabels":
        code = brush.decode(value.get("rle"), size_hw)
        if not masks.area(code):
            raise BadRecord("the mask is empty", "remove the region")
        return code, None
    points = value.get("points")
    if not isinstance(points, list) or not all(isinstance(point, list) and len(point) == 2 for point in points):
        raise BadRecord(f"points are {short(points)}", "give x and y of each")
    shares = foreign.numbers([number for point in points for number in point]).reshape(-1, 2)
    return foreign.mask([(shares * [w / 100, h / 100]).reshape(-1).tolist()], size_hw), None
