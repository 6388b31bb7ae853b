"""Lines that wait in a nameless file until all pictures are known: their numbers are ranks of their names."""

from collections.abc import Iterable, Iterator
from itertools import count, pairwise
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import NamedTuple, Self

CHUNK = 1 << 20
"""Bytes read at a time."""


class Spooled(NamedTuple):
    """A picture whose lines wait: in which part of the file, after how many others there, and how many."""

    name: str
    size_hw: tuple[int, int]
    begin: int
    length: int
    before: int
    lines: int
    side: str = ""


class Spool:
    """Annotations as JSON objects on lines of their own, which begin with the numbers of annotation and picture.

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

    @property
    def next(self) -> tuple[int, int]:
        """The numbers that the next picture's first annotation and itself have."""
        return self._lines + 1, len(self._pictures) + 1

    def add(self, pictures: Iterable[tuple[str, tuple[int, int], int, str]], text: str) -> None:
        """Let the lines of pictures (name, size, how many, side) wait: ASCII, a comma and a line's end before each."""
        block = text.encode("ascii")
        self._file.write(block)
        before = 0
        for name, size_hw, lines, side in pictures:
            self._pictures.append(Spooled(name, size_hw, self._end, len(block), before, lines, side))
            before += lines
        self._end += len(block)
        self._lines += before

    @property
    def sides(self) -> set[str]:
        """The sides that pictures are on; '' where there is none."""
        return {picture.side for picture in self._pictures} or {""}

    def pictures(self, side: str) -> Iterator[tuple[int, Spooled]]:
        """The pictures of a side in the order of their names, with their numbers among all."""
        return ((number, one) for number, one in enumerate(sorted(self._pictures), 1) if one.side == side)

    def blocks(self, side: str) -> Iterator[bytes]:
        """The lines of a side in the order of their pictures, numbered among all."""
        if self.sides == {side} and all(one.name < next_.name for one, next_ in pairwise(self._pictures)):
            self._file.seek(0)
            while block := self._file.read(CHUNK):
                yield block
        else:
            yield from self._renumbered(side)

    def _renumbered(self, side: str) -> Iterator[bytes]:
        first = 1
        for number, picture in enumerate(sorted(self._pictures), 1):
            annotation = count(first)
            first += picture.lines
            if picture.side != side:
                continue
            self._file.seek(picture.begin)
            lines = self._file.read(picture.length).decode("ascii").split(",\n")[1 + picture.before :]
            for line in lines[: picture.lines]:
                rest = line.split(", ", 2)[2]
                yield f',\n{{"id": {next(annotation)}, "image_id": {number}, {rest}'.encode("ascii")
