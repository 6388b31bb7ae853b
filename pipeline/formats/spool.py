"""Lines that wait in a nameless file until all pictures are known: their numbers are ranks of their names."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import NamedTuple, Self

CHUNK = 1 << 20
"""Bytes read at a time."""


class Spooled(NamedTuple):
    """A picture whose lines wait: how many, where they begin, and how many bytes they have."""

    name: str
    size_hw: tuple[int, int]
    begin: int
    length: int
    lines: int


class Spool:
    """Annotations as JSON objects, each given without its opening brace, number and picture.

    Numbers begin at 1: COCOeval takes id 0 for 'no match'. They are given as if pictures came in the order of their
    names, which they nearly always do; else they are given anew in the end.
    """

    def __init__(self, folder: Path) -> None:
        self._file = TemporaryFile(dir=folder)  # noqa: SIM115 - closed on exit
        self._pictures: list[Spooled] = []
        self._end = 0
        self._lines = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, name: str, size_hw: tuple[int, int], lines: Sequence[str]) -> None:
        """Let a picture's lines wait; they are ASCII."""
        block = _numbered(self._lines + 1, len(self._pictures) + 1, lines)
        self._file.write(block)
        self._pictures.append(Spooled(name, size_hw, self._end, len(block), len(lines)))
        self._end += len(block)
        self._lines += len(lines)

    def pictures(self) -> list[Spooled]:
        """All pictures in the order of their names."""
        return sorted(self._pictures)

    def blocks(self) -> Iterator[bytes]:
        """All lines in the order of their pictures, each with a comma and a line's end before it."""
        if all(one.name < next_.name for one, next_ in pairwise(self._pictures)):
            self._file.seek(0)
            while block := self._file.read(CHUNK):
                yield block
        else:
            yield from self._renumbered()

    def _renumbered(self) -> Iterator[bytes]:
        annotation = 1
        for number, picture in enumerate(self.pictures(), 1):
            self._file.seek(picture.begin)
            lines = self._file.read(picture.length).decode("ascii").split("\n")[1:]
            yield _numbered(annotation, number, [line.rstrip(",").split(", ", 2)[2] for line in lines])
            annotation += picture.lines


def _numbered(first: int, picture: int, lines: Sequence[str]) -> bytes:
    numbered = [f',\n{{"id": {own}, "image_id": {picture}, {line}' for own, line in enumerate(lines, first)]
    return "".join(numbered).encode("ascii")
