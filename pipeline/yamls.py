"""Read a YAML file as a person wrote it: every value with its line, nothing silently replaced, nothing unbounded.

Keys are text, always: a class called `no` stays `no`. Duplicate keys, aliases, tags and very large or deep files are
refused, because PyYAML keeps the last of two keys, and an alias bomb explodes when it is walked.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from pipeline.errors import ConfigError, nearest

MAX_BYTES = 1_000_000
MAX_DEPTH = 20

Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A file's plain values, and the line of each: ('detect', 'model') -> 7."""

    where: str
    data: Any
    lines: Mapping[Place, int] = field(default_factory=dict)

    def at(self, place: Place) -> str:
        """`file:line` of a value, or of the nearest thing around it."""
        for length in range(len(place), -1, -1):
            if place[:length] in self.lines:
                return f"{self.where}:{self.lines[place[:length]]}"
        return self.where


def read(path: Path, where: str | None = None) -> Document:
    """A YAML file; raises `ConfigError` with file and line."""
    where = where or str(path)
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ConfigError(f"{where}: {size} bytes; a YAML file here has at most {MAX_BYTES}")
        return parse(path.read_text(encoding="utf-8-sig"), where)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{where}: cannot be read: {error}") from error


def parse(text: str, where: str) -> Document:
    """YAML text to a document; raises `ConfigError`."""
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        lines: dict[Place, int] = {}
        seen: set[int] = set()
        data = {} if node is None else _value(loader, node, (), lines, seen, where)
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{where}{line}: not YAML: {error.problem}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{where}: not YAML: {error}") from error
    finally:
        loader.dispose()
    return Document(where, data, lines)


def _value(
    loader: yaml.SafeLoader, node: yaml.Node, place: Place, lines: dict[Place, int], seen: set[int], where: str
) -> Any:
    line = node.start_mark.line + 1
    if id(node) in seen:
        raise ConfigError(f"{where}:{line}: an alias (*name) points here; write the value out")
    if len(place) > MAX_DEPTH:
        raise ConfigError(f"{where}:{line}: nested deeper than {MAX_DEPTH} levels")
    seen.add(id(node))
    lines.setdefault(place, line)
    if isinstance(node, yaml.SequenceNode):
        return [_value(loader, child, (*place, i), lines, seen, where) for i, child in enumerate(node.value)]
    if not isinstance(node, yaml.MappingNode):
        return loader.construct_object(node)  # type: ignore[no-untyped-call]
    mapping: dict[str, Any] = {}
    for key_node, child in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            raise ConfigError(f"{where}:{key_node.start_mark.line + 1}: a key must be plain text")
        key = str(key_node.value)
        if key in mapping:
            raise ConfigError(f"{where}:{key_node.start_mark.line + 1}: {key!r} stands here twice")
        lines[(*place, key)] = key_node.start_mark.line + 1
        mapping[key] = _value(loader, child, (*place, key), lines, seen, where)
    return mapping


def explain(error: ValidationError, document: Document, place: Place, known: Iterable[str] = ()) -> list[str]:
    """Every problem that pydantic found below `place`, one line each: where, key, what is wrong, the nearest key."""
    known = list(known)
    return [_line(dict(problem), document, place, known) for problem in error.errors(include_url=False)]


def _line(problem: Mapping[str, Any], document: Document, place: Place, known: Sequence[str]) -> str:
    full = (*place, *problem["loc"])
    key = ".".join(str(part) for part in full)
    if problem["type"] == "extra_forbidden":
        return f"{document.at(full)}: {key}: unknown key{nearest(str(full[-1]), known)}"
    if problem["type"] == "missing":
        return f"{document.at(full)}: {key}: missing"
    what = str(problem["msg"]).removeprefix("Value error, ")
    return f"{document.at(full)}: {key}: {what[:1].lower()}{what[1:]} (got {problem['input']!r})"
