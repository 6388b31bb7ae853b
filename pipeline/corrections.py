"""People's word on what a run found: JSON lines, one decision each; an input like any other, fit for git.

Knows lines, not rows: which row a line is about is `decisions`'. docs/corrections.md describes the format.
"""

import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pipeline import masks
from pipeline.errors import BadRecord, ConfigError, nearest
from pipeline.records import sha256_of

VERSION = 1  # of the lines
KINDS = ("accept", "reject", "relabel", "add", "mask", "box", "points")
OF_TRACKS = ("accept", "reject", "relabel")
"""What can be decided about an object of a film: the others would have to be followed through it."""
FOR_PEOPLE = {"name", "by", "at", "where"}
"""What changes nothing in the result."""
OUTDONE = {
    "accept": {"accept", "reject"},
    "reject": {"accept", "reject"},
    "relabel": {"relabel"},
    "points": {"points"},
    "mask": {"mask", "box", "points"},
    "box": {"mask", "box", "points"},
    "add": {"add"},
}
"""Which earlier decisions about the same object a later one makes void."""

Box = tuple[float, float, float, float]
Click = tuple[float, float, Literal[1, -1]]


class Correction(BaseModel):
    """One line: which picture, which row of it, and what is to become of that row; `where` is its file and line."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    version: Literal[1]
    picture: str = Field(min_length=1)
    do: Literal["accept", "reject", "relabel", "add", "mask", "box", "points"]
    name: str = ""
    uid: str = ""
    class_was: str = ""
    box_was: Box | None = None
    to: str = Field("", alias="class")
    points: tuple[Click, ...] = ()
    mask: str = ""
    box: Box | None = None
    track: int | None = Field(None, ge=1)
    frame: int | None = Field(None, ge=0)
    by: str = ""
    at: str = ""
    where: str = ""

    @model_validator(mode="after")
    def _has_enough(self) -> "Correction":
        if self.do in ("relabel", "add") and not self.to:
            raise ValueError(f"{self.do} needs `class`")
        if self.do in ("mask", "box", "points") and not getattr(self, self.do):
            raise ValueError(f"{self.do} needs `{self.do}`")
        if self.do == "add" and not (self.mask or self.box or self.points):
            raise ValueError("add needs `mask`, `box` or `points`")
        if self.do != "add" and not (self.uid or self.box_was or self.track):
            raise ValueError(f"{self.do} needs `box_was` or `uid`: which row is meant")
        if any(box and not (box[0] < box[2] and box[1] < box[3]) for box in (self.box, self.box_was)):
            raise ValueError("want boxes [x0, y0, x1, y1] with x0 < x1 and y0 < y1")
        if self.mask:
            try:
                masks.unpack(self.mask.encode())
            except (BadRecord, ValueError) as error:
                raise ValueError("mask: not COCO's compressed run-length code") from error
        return self

    @property
    def kind(self) -> str:
        """How what is done is counted: rejected, accepted, relabelled, mended, added."""
        names = {"accept": "accepted", "reject": "rejected", "relabel": "relabelled", "add": "added"}
        return names.get(self.do, "mended")

    def to_line(self) -> str:
        """The line again, without its end."""
        said = self.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude={"where"})
        return orjson.dumps({"version": VERSION, **said}).decode()

    def meant(self) -> dict[str, Any]:
        """All that the result depends on, as plain values."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude=FOR_PEOPLE)

    def target(self) -> tuple[Any, ...]:
        """Which object is meant, in so many words; an object that is added is told by what it is."""
        if self.do == "add":
            return (self.to, self.mask, self.box, self.points)
        return (self.uid, self.class_was, self.box_was, self.track, self.frame)

    def extent(self, size_hw: tuple[int, int]) -> Box | None:
        """The box around all that the line names of its picture; None where it names none."""
        boxes = [box for box in (self.box_was, self.box) if box]
        boxes += [(x, y, x, y) for x, y, _ in self.points]
        if self.mask:
            boxes.append(masks.box(self.mask.encode(), size_hw))
        if not boxes:
            return None
        x0, y0, x1, y1 = np.array(boxes).T
        return float(x0.min()), float(y0.min()), float(x1.max()), float(y1.max())


class Corrections:
    """The lines of some files and folders, in the order of paths as given, of files by name, and of lines.

    Names are compared without their suffix and numbers in them by size, so that `a (1).jsonl`, which a browser makes of
    a second `a.jsonl`, comes after it.
    Read when they are first looked at. Paths are taken from the working folder, as `source.path` is.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self.paths = tuple(paths)

    @cached_property
    def lines(self) -> tuple[Correction, ...]:
        """All lines; raises `ConfigError` with every bad one."""
        problems: list[str] = []
        found = [line for path in self.paths for file in _files(path, problems) for line in _read(file, problems)]
        if problems:
            raise ConfigError(problems)
        return tuple(found)

    @cached_property
    def by_picture(self) -> dict[str, tuple[Correction, ...]]:
        """The lines of each picture or film, by its id."""
        out: dict[str, list[Correction]] = {}
        for line in self.lines:
            out.setdefault(line.picture, []).append(line)
        return {picture: tuple(lines) for picture, lines in out.items()}

    def check(self, classes: Sequence[str], segmenter: str, mends: bool) -> None:
        """Raise `ConfigError` with every line that cannot mean anything in a run with these classes and segmenter."""
        problems = [f"{line.where}: {why}" for line in self.lines if (why := _misplaced(line, classes))]
        if not mends:
            clicks = (line for line in self.lines if line.points)
            problems += [
                f"{line.where}: points: the segmenter {segmenter} cannot be asked with clicks; give a mask or a box,"
                " or take segment.backend=sam2"
                for line in clicks
            ]
        if problems:
            raise ConfigError(problems)

    def of(self, picture: str, size_hw: tuple[int, int]) -> tuple[Correction, ...]:
        """What is decided about a picture in the end: the same whatever order lines on different objects stand in."""
        lines = self.by_picture.get(picture, ())
        return tuple(_in_order(_effective(lines), size_hw)) if lines else ()


def digest(lines: Sequence[Correction]) -> str:
    """The hash of what some lines mean."""
    return sha256_of([line.meant() for line in lines])


def _misplaced(line: Correction, classes: Sequence[str]) -> str:
    if line.to and line.to not in classes:
        return f"class: {line.to!r} is not in the ontology{nearest(line.to, classes)}"
    if (line.track is not None or line.frame is not None) and line.do not in OF_TRACKS:
        return (
            f"{line.do}: an object of a film can be accepted, rejected or relabelled; a new mask would have to be"
            " followed through the film, which masklet does not do"
        )
    return ""


def _files(path: str, problems: list[str]) -> list[Path]:
    place = Path(path)
    if place.is_dir():
        return sorted(place.glob("*.jsonl"), key=_by_name)
    if not place.is_file():
        problems.append(f"corrections: {path}: no such file or folder; make it, or take it out of the config")
        return []
    return [place]


def _by_name(file: Path) -> tuple[list[str | int], str]:
    parts = re.split("([0-9]+)", file.stem)  # every second one is a number
    return [int(part) if at % 2 else part for at, part in enumerate(parts)], file.name


def _read(file: Path, problems: list[str]) -> Iterator[Correction]:
    try:
        content = file.read_bytes()
    except OSError as error:
        problems.append(f"corrections: {file}: cannot be read: {error.strerror}")
        return
    for number, line in enumerate(content.splitlines(), 1):
        if not line.strip():
            continue
        where = f"{file} line {number}"
        try:
            said = orjson.loads(line)
            if not isinstance(said, dict):
                problems.append(f"{where}: want a JSON object, got {type(said).__name__}")
                continue
            yield Correction(**{**said, "where": where})
        except orjson.JSONDecodeError as error:
            problems.append(f"{where}: not JSON: {error}")
        except ValidationError as error:
            problems.append(f"{where}: {_first_problem(error)}")


def _first_problem(error: ValidationError) -> str:
    """What is wrong with a line, in one line: the key, what, the nearest key or word."""
    problem = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        fields = [field.alias or name for name, field in Correction.model_fields.items() if name != "where"]
        return f"{key}: unknown key{nearest(key, fields)}"
    if problem["type"] == "missing":
        return f"{key}: missing"
    what = str(problem["msg"]).removeprefix("Value error, ").replace("Input should be", "want")
    if not key:
        return what
    meant = nearest(str(problem["input"]), KINDS) if key == "do" else ""
    return f"{key}: {what} (got {problem['input']!r}){meant}"


def _effective(lines: Sequence[Correction]) -> list[Correction]:
    """The lines that no later one about the same object makes void."""
    later: dict[tuple[Any, ...], set[str]] = {}
    kept: list[Correction] = []
    for line in reversed(lines):
        void = later.setdefault(line.target(), set())
        if line.do not in void:
            kept.append(line)
        void |= OUTDONE[line.do]
    return kept[::-1]


def _in_order(lines: Sequence[Correction], size_hw: tuple[int, int]) -> list[Correction]:
    """What is added first, then the others: where they touch as they stand, else by what they say."""
    added = sorted((line for line in lines if line.do == "add"), key=_words)
    groups: list[list[tuple[int, Correction, Box | None]]] = []
    for number, line in enumerate(one for one in lines if one.do != "add"):
        own = line.extent(size_hw)
        near = [group for group in groups if any(_touch(line, own, other, its) for _, other, its in group)]
        groups = [group for group in groups if all(group is not one for one in near)]
        groups.append(sorted([*(one for group in near for one in group), (number, line, own)], key=lambda one: one[0]))
    ordered = sorted(([line for _, line, _ in group] for group in groups), key=lambda group: list(map(_words, group)))
    return [*added, *(line for group in ordered for line in group)]


def _words(line: Correction) -> bytes:
    return orjson.dumps(line.meant(), option=orjson.OPT_SORT_KEYS)


def _touch(a: Correction, one: Box | None, b: Correction, two: Box | None) -> bool:
    """Whether two lines may be about one object: their extents meet, or one of them has none."""
    if one is None or two is None or (a.track is not None and a.track == b.track):
        return True
    return one[0] <= two[2] and two[0] <= one[2] and one[1] <= two[3] and two[1] <= one[3]
