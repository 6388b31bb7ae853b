"""`masklet.jsonl`: what SA-V has no field for. Class names, identities, scores, prompts, a clip's own name and file.

A line of classes, then a line a clip, found by the clip's id. Read from anybody, as the rest of a dataset is.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from reprlib import repr as short
from typing import Any, NamedTuple

from pipeline.errors import BadRecord
from pipeline.formats import Problem, foreign
from pipeline.formats.naming import checked
from pipeline.formats.reading import score_of
from pipeline.formats.sides import SIDES, told
from pipeline.records import Frame

FILE = "masklet.jsonl"
TEXTS = ("prompts", "score_kind", "source")
"""Columns of `Instances` of which an object has one text, the same in every frame."""
MAX_LINE_BYTES = 1 << 26  # a film of a hundred objects in ten thousand frames has 8 MB
MAX_MARKS = 1 << 23
"""Commas and opening brackets in a JSON text: each value after the first of a list has one, and may cost 70 bytes."""
MAX_PROBLEMS = 1000  # told of one file: a hostile one has millions
MAX_INDEX = 10**9  # of a frame: more than a year


class Known(NamedTuple):
    """What the sidecar says of an object."""

    track_id: int
    name: str = ""
    scores: tuple[float | None, ...] | None = None
    texts: Mapping[str, str] = {}


class KnownClip(NamedTuple):
    """What the sidecar says of a clip; `file` is below the dataset."""

    name: str
    file: str
    size_hw: tuple[int, int]
    frames: tuple[Frame, ...]
    objects: tuple[Known, ...]
    side: str = ""


def head(numbers: Mapping[str, int]) -> str:
    """The first line: the classes."""
    return line({"masklet": 1, "categories": [{"id": number, "name": name} for name, number in numbers.items()]})


def line(said: Mapping[str, Any]) -> str:
    """A line of the file: ASCII."""
    return json.dumps(said, allow_nan=False) + "\n"


class Told:
    """The problems of one file: from the thousandth on only that there are more."""

    def __init__(self, file: str, problems: list[Problem]) -> None:
        self.file, self.problems, self.count = file, problems, 0

    def __call__(self, at: str, what: str, mend: str = "") -> None:
        self.count += 1
        if self.count < MAX_PROBLEMS:
            self.problems.append(Problem(f"{self.file}: {at}" if at else self.file, what, mend))
        elif self.count == MAX_PROBLEMS:
            self.problems.append(Problem(self.file, f"more than {MAX_PROBLEMS} problems"))

    @contextmanager
    def trying(self, at: str) -> Iterator[None]:
        """A problem where the block raises `BadRecord`."""
        try:
            yield
        except BadRecord as error:
            self(at, *error.args)


class Sidecar:
    """The sidecar of a dataset, if it has one: its classes, and its clips one by one."""

    def __init__(self, place: Path, problems: list[Problem]) -> None:
        self.path, self.told = place / FILE, Told(FILE, problems)
        self.names: dict[int, str] = {}
        self.at: dict[str, int] = {}
        self._clips: set[str] = set()
        self._sides: set[Any] = set()
        if self.path.is_file():
            self._look_through()

    def _look_through(self) -> None:
        """Find the classes, and where the line of each clip begins."""
        try:
            with self.path.open("rb") as file:
                place = 0
                while text := file.readline(MAX_LINE_BYTES):
                    with self.told.trying(f"byte {place}"):
                        self._look_at(parsed(text), place)
                    place += len(text)
        except OSError as error:
            self.told("", f"cannot be opened: {error.strerror}")

    def _look_at(self, item: dict[str, Any], place: int) -> None:
        if "categories" in item:
            self._take_classes(item["categories"])
            return
        video_id, name = foreign.text(item, "video_id"), checked(foreign.text(item, "name"))
        if video_id in self.at or name in self._clips:
            raise BadRecord(f"another clip is {short(video_id)} or has the name {short(name)}", "remove one line")
        self.at[video_id] = place
        self._clips.add(name)
        self._sides.add(short(item.get("side", "")))

    def _take_classes(self, categories: Any) -> None:
        if not isinstance(categories, list):
            raise BadRecord(f"categories are {short(categories)}", "make it a list")
        seen: set[str] = set()
        for category in categories:
            with self.told.trying(f"category {short(category)}"):
                if not isinstance(category, dict):
                    raise BadRecord("is no JSON object")
                number, name = foreign.whole_number(category, "id"), foreign.text(category, "name")
                if number in self.names or name in seen:
                    raise BadRecord("another one has the same id or name")
                seen.add(name)
                self.names[number] = name

    def clip(self, video_id: str) -> KnownClip | None:
        """What is said of the clip with an id; None where nothing, or nothing that can be read, is."""
        if video_id in self.at:
            with self.told.trying(f"clip {short(video_id)}"), self.path.open("rb") as file:
                file.seek(self.at[video_id])
                known = _clip(parsed(file.readline(MAX_LINE_BYTES)), set(self.names.values()))
                return known if told(self._sides) else known._replace(side="")
        return None


def side_of(known: KnownClip | None) -> str:
    """The side of a clip; '' where nothing is said."""
    return known.side if known else ""


def parsed(content: bytes) -> dict[str, Any]:
    """A JSON object out of somebody's bytes, in bounded memory; raises `BadRecord`."""
    if sum(map(content.count, (b",", b"[", b"{"))) > MAX_MARKS:
        raise BadRecord(f"more than {MAX_MARKS} values", "cut it")
    try:
        item = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BadRecord(f"is no JSON: {error}"[:120], "write it anew") from error
    if not isinstance(item, dict):
        raise BadRecord(f"is no JSON object but {short(item)}", "write it anew")
    return item


def _clip(item: dict[str, Any], classes: set[str]) -> KnownClip:
    size, frames, objects = item.get("size"), item.get("frames"), item.get("objects")
    if not (isinstance(size, list) and len(size) == 2 and isinstance(frames, list) and isinstance(objects, list)):
        raise BadRecord("has no size [h, w], no frames or no objects", "remove the line")
    size_hw = foreign.size_hw({"height": size[0], "width": size[1]})
    known = tuple(_object(one, classes, len(frames)) for one in objects)
    if len({one.track_id for one in known}) < len(known):
        raise BadRecord("two objects have one track_id", "give every one its own")
    file, name = checked(foreign.text(item, "file")), checked(foreign.text(item, "name"))
    side = item.get("side", "")
    if side not in ("", *SIDES):
        raise BadRecord(f"side is {short(side)}", f"make it one of {', '.join(SIDES)}")
    return KnownClip(name, file, size_hw, _frames(frames, size_hw), known, side)


def _frames(frames: list[Any], size_hw: tuple[int, int]) -> tuple[Frame, ...]:
    out: list[Frame] = []
    for frame in frames:
        values = foreign.numbers(frame)
        if len(values) != 2 or not (out[-1].index if out else -1) < values[0] <= MAX_INDEX or values[0] % 1:
            raise BadRecord(f"{short(frame)} is no frame", "give index and seconds, in order")
        out.append(Frame(int(values[0]), float(values[1]), size_hw))
    return tuple(out)


def _object(item: Any, classes: set[str], frames: int) -> Known:
    if not isinstance(item, dict):
        raise BadRecord(f"{short(item)} is no object")
    track, name, scores = foreign.whole_number(item, "track_id"), item.get("name"), item.get("scores")
    if not 1 <= track < 2**63:
        raise BadRecord(f"track_id is {short(track)}", "number objects from 1")
    if not isinstance(name, str) or (name and name not in classes):
        raise BadRecord(f"class {short(name)} is not among the categories")
    if scores is not None and not (isinstance(scores, list) and len(scores) == frames):
        raise BadRecord(f"scores are {short(scores)}", "give one a frame")
    texts = {key: item[key] for key in TEXTS if key in item}
    if not all(isinstance(text, str) and foreign.is_plain(text) for text in texts.values()):
        raise BadRecord(f"{short(texts)} are no texts")
    return Known(track, name, None if scores is None else tuple(map(score_of, scores)), texts)
