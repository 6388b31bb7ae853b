"""Read a YAML file as a person wrote it: every value with its line, nothing silently replaced or unbounded.

Keys are text, always: a class called `no` stays `no`. Duplicate keys, aliases, tags and very large or deep
files are refused, because PyYAML keeps the last of two keys, and an alias bomb explodes when it is walked.
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

MAX_VALUE = 100  # characters of a number, a date or the like
TEXT_TAG = "tag:yaml.org,2002:str"
PLAIN_TAGS = ("tag:yaml.org,2002:seq", "tag:yaml.org,2002:map")

Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A file's plain values, and where each is: ('detect', 'model') -> line 7, or the override's words."""

    where: str
    data: Any
    lines: Mapping[Place, int | str] = field(default_factory=dict)

    def at(self, place: Place) -> str:
        """`file:line` of a value, or of the nearest thing around it."""
        for length in range(len(place), -1, -1):
            line = self.lines.get(place[:length])
            if line is not None:
                return f"{self.where}:{line}" if isinstance(line, int) else line
        return self.where


def read(path: Path, where: str | None = None) -> Document:
    """Read a YAML file; raises `ConfigError` with file and line."""
    where = where or str(path)
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ConfigError(f"{where}: {size} bytes; a YAML file here has at most {MAX_BYTES}")
        return parse(path.read_text(encoding="utf-8-sig"), where)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{where}: cannot be read: {error}") from error


def parse(text: str, where: str) -> Document:
    """Read YAML text; raises `ConfigError`.

    >>> parse("no: [1, 2]", "a.yaml")
    Document(where='a.yaml', data={'no': [1, 2]}, lines={(): 1, ('no',): 1, ('no', 0): 1, ('no', 1): 1})
    """
    lines: dict[Place, int | str] = {}
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        data = {} if node is None else _value(loader, node, (), lines, set(), where)
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{where}{line}: not YAML: {error.problem}") from error
    except yaml.reader.ReaderError as error:
        line = f":{text[: error.position].count(chr(10)) + 1}"
        raise ConfigError(f"{where}{line}: not YAML: a control character, #x{error.character:04x}") from error
    except RecursionError as error:
        raise ConfigError(f"{where}: nested deeper than {MAX_DEPTH} levels") from error
    return Document(where, data, lines)


def _value(
    loader: yaml.SafeLoader,
    node: yaml.Node,
    place: Place,
    lines: dict[Place, int | str],
    seen: set[int],
    where: str,
) -> Any:
    line = node.start_mark.line + 1
    if id(node) in seen:
        raise ConfigError(f"{where}:{line}: an alias (*name) points here; write the value out")
    if len(place) > MAX_DEPTH:
        raise ConfigError(f"{where}:{line}: nested deeper than {MAX_DEPTH} levels")
    seen.add(id(node))
    lines.setdefault(place, line)
    if isinstance(node, yaml.ScalarNode):
        node.value = _joined(node.value)
        return _scalar(loader, node, f"{where}:{line}")
    if node.tag not in PLAIN_TAGS:
        raise ConfigError(f"{where}:{line}: a tag ({node.tag}) stands here; write plain values")
    if isinstance(node, yaml.SequenceNode):
        return [_value(loader, child, (*place, i), lines, seen, where) for i, child in enumerate(node.value)]
    mapping: dict[str, Any] = {}
    for key_node, child in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            raise ConfigError(f"{where}:{key_node.start_mark.line + 1}: a key must be plain text")
        key = _joined(key_node.value)
        if key in mapping:
            raise ConfigError(f"{where}:{key_node.start_mark.line + 1}: {key!r} stands here twice")
        lines[(*place, key)] = key_node.start_mark.line + 1
        mapping[key] = _value(loader, child, (*place, key), lines, seen, where)
    return mapping


def _scalar(loader: yaml.SafeLoader, node: yaml.ScalarNode, at: str) -> Any:
    if node.tag != TEXT_TAG and len(node.value) > MAX_VALUE:  # a number in base 60 takes the square of its length
        raise ConfigError(f"{at}: {node.value[:20]}... is no value; put text in quotes")
    try:
        return loader.construct_object(node)
    except (ValueError, LookupError, ArithmeticError, AttributeError) as error:  # 2024-02-31, !!bool x
        raise ConfigError(f"{at}: {node.value} is no value: {error}; put text in quotes") from error


def _joined(text: str) -> str:
    r"""Text in which the two escapes that JSON writes for a character beyond 16 bits are that character.

    >>> _joined("\ud83d\ude00") == "\N{GRINNING FACE}"
    True
    """
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def explain(error: ValidationError, document: Document, place: Place, known: Iterable[str] = ()) -> list[str]:
    """Say all that pydantic found wrong below `place`, one line each: where, key, what, the nearest key."""
    known = list(known)
    return [_line(dict(problem), document, place, known) for problem in error.errors(include_url=False)]


def _line(problem: Mapping[str, Any], document: Document, place: Place, known: Sequence[str]) -> str:
    full = (*place, *problem["loc"])
    key = ".".join(str(part) if str(part).strip() else repr(part) for part in full)
    if problem["type"] == "extra_forbidden":
        return f"{document.at(full)}: {key}: unknown key{nearest(str(full[-1]), known)}"
    if problem["type"] == "missing":
        return f"{document.at(full)}: {key}: missing"
    return f"{document.at(full)}: {key}: {_what(problem)} (got {problem['input']!r})"


def _what(problem: Mapping[str, Any]) -> str:
    """Say what is wrong, where pydantic's words do not help somebody who wrote YAML."""
    kind, given = problem["type"], problem["input"]
    if kind == "string_type" and given is None:
        return "nothing stands here"
    if kind == "string_type" and not isinstance(given, list | dict):
        return "YAML reads this as a value, not as text; put it in quotes"
    if kind in ("tuple_type", "list_type"):
        return f"want a list, as in [{given}]" if isinstance(given, str) else "want a list"
    what = str(problem["msg"]).removeprefix("Value error, ")
    return what[:1].lower() + what[1:]
