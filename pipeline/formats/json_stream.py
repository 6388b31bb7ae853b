"""A large JSON file without holding it: the elements of the lists in its outermost object, one by one.

A COCO file is one object with a few very long lists. `json` parses each element; this module finds where the next
begins.
"""

import json
from collections.abc import Iterator
from typing import IO, Any

CHUNK = 1 << 20  # characters read at a time
LONGEST = 1 << 28  # characters of one element; what is longer is not looked for any further
BLANK = " \t\n\r"


class _Text:
    """The part of a file that is looked at: `text` from `at` on."""

    def __init__(self, file: IO[str]) -> None:
        self.file, self.text, self.at, self.read = file, "", 0, 0
        self.decoder = json.JSONDecoder()

    def more(self) -> bool:
        """Read on; False at the end of the file."""
        chunk = self.file.read(max(CHUNK, len(self.text) - self.at))
        self.text, self.at = self.text[self.at :] + chunk, 0
        self.read += len(chunk)
        return bool(chunk)

    def peek(self) -> str:
        """The next character that is not blank; '' at the end of the file."""
        while True:
            while self.at < len(self.text):
                if self.text[self.at] not in BLANK:
                    return self.text[self.at]
                self.at += 1
            if not self.more():
                return ""

    def take(self, wanted: str) -> str:
        """Step over the next character, which is one of `wanted`; raises `ValueError`."""
        found = self.peek()
        if not found or found not in wanted:
            said = f"{found!r}" if found else "the end of the file"
            raise ValueError(f"want {' or '.join(wanted)}, got {said} at character {self.place}")
        self.at += 1
        return found

    def value(self) -> Any:
        """Parse the value that begins here; raises `ValueError`."""
        self.peek()
        while True:
            try:
                value, end = self.decoder.raw_decode(self.text, self.at)
            except json.JSONDecodeError as error:
                if len(self.text) - self.at > LONGEST or not self.more():
                    raise ValueError(f"{error.msg} at character {self.place}") from error
                continue
            length = end - self.at
            if len(self.text) - end < 3 and self.more():  # a number may go on, behind '.' or 'e+'
                continue
            self.at += length
            return value

    @property
    def place(self) -> int:
        return self.read - len(self.text) + self.at


def lists(file: IO[str]) -> Iterator[tuple[str, Iterator[Any]]]:
    """Each list of the outermost object under its key; what is no list is passed over. Raises `ValueError`.

    A list has to be used up before the next key is asked for.
    """
    text = _Text(file)
    text.take("{")
    if text.peek() == "}":
        text.take("}")
    else:
        while True:
            key = text.value()
            if not isinstance(key, str):
                raise ValueError(f"want a key, got {key!r} at character {text.place}")
            text.take(":")
            if text.peek() == "[":
                yield key, _elements(text)
            else:
                text.value()
            if text.take(",}") == "}":
                break
    if text.peek():
        raise ValueError(f"extra data at character {text.place}")


def items(file: IO[str]) -> Iterator[Any]:
    """Each element of a file that is one list. Raises `ValueError`."""
    text = _Text(file)
    yield from _elements(text)
    if text.peek():
        raise ValueError(f"extra data at character {text.place}")


def _elements(text: _Text) -> Iterator[Any]:
    text.take("[")
    if text.peek() == "]":
        text.take("]")
        return
    while True:
        yield text.value()
        if text.take(",]") == "]":
            return
