"""What the readers of COCO and YouTube-VIS share: one JSON file of long lists, whose items are checked one by one."""

import json
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from reprlib import repr as short
from tempfile import TemporaryFile
from typing import Any

from pipeline.errors import BadDataset, BadRecord
from pipeline.formats import Problem, foreign, json_stream


class Waiting:
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


def load(path: Path, waiting: Waiting, needed: Sequence[str], kind: str) -> dict[str, list[Any]]:
    """The lists `needed` of a file; its annotations are left waiting. Raises `BadDataset`."""
    lists: dict[str, list[Any]] = {}
    try:
        with path.open(encoding="utf-8-sig") as file:
            for key, elements in json_stream.lists(file):
                if key in lists:
                    raise ValueError(f"the list {key!r} is there twice")
                lists[key] = []
                for element in elements:
                    if key == "annotations":
                        waiting.add(element)
                    elif key in needed:
                        lists[key].append(element)
    except OSError as error:
        raise BadDataset(f"{path}: {error.strerror}; give a {kind} file or its folder") from error
    except (ValueError, RecursionError) as error:
        raise BadDataset(f"{path}: is no {kind} file: {error}; give a {kind} file or its folder") from error
    for key in needed:
        if key not in lists:
            raise BadDataset(f"{path}: is no {kind} file: it has no list {key!r}")
    return lists


def load_results(path: Path) -> Waiting:
    """The annotations of a results file, which is a list of them, numbered where they are not; raises `BadDataset`."""
    waiting = Waiting()
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, item in enumerate(json_stream.items(file), 1):
                waiting.add({"id": number} | item if isinstance(item, dict) else item)
    except OSError as error:
        raise BadDataset(f"{path}: {error.strerror}; give a results file beside its annotation file") from error
    except (ValueError, RecursionError) as error:
        raise BadDataset(f"{path}: is no list of results: {error}") from error
    return waiting


def passing(
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


def new(item: dict[str, Any], seen: set[int]) -> int:
    """The item's id; raises `BadRecord` for one that was there before."""
    number = foreign.whole_number(item, "id")
    if number in seen:
        raise BadRecord("another one has the same id", "give every one its own")
    seen.add(number)
    return number


def category(item: dict[str, Any], seen: set[int]) -> tuple[int, str]:
    """A class's number and name."""
    name = foreign.text(item, "name")
    return new(item, seen), name


def class_of(item: dict[str, Any], names: dict[int, str]) -> str:
    """The class of an annotation; raises `BadRecord` for one that is not there."""
    number = foreign.whole_number(item, "category_id")
    if number not in names:
        raise BadRecord(f"category_id {short(number)} is not among the categories that can be read")
    return names[number]


def waiting_for(
    owners: Iterable[int], key: str, waiting: Waiting, told: Callable[..., Iterator[Any]]
) -> dict[int, "array[int]"]:
    """Where the annotations of each picture or video wait; they say under `key` ('image_id') whose they are."""
    places = {number: array("q") for number in owners}
    at: list[int] = []
    for number in told("annotation", waiting.items(at), partial(_owner, key=key, owners=places, seen=set())):
        places[number].append(at[0])
    return places


def _owner(item: dict[str, Any], key: str, owners: dict[int, "array[int]"], seen: set[int]) -> int:
    number = foreign.whole_number(item, key)
    if number not in owners:
        raise BadRecord(f"{key} {short(number)} is not among the {key.removesuffix('_id')}s that can be read")
    new(item, seen)
    return number
