"""Records to datasets and back: the seam, and the table of formats."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pipeline.ontology import Ontology
from pipeline.records import Clip

FORMATS = {"coco": "pipeline.formats.coco"}
"""Format name -> module with `VERSION`, `write` and `read`."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that reading a dataset stumbled over: where (file, line or annotation), what, and how to mend it."""

    where: str
    what: str
    mend: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" + (f"; {self.mend}" if self.mend else "")


@dataclass(slots=True)
class Reading:
    """A dataset as it is read: clips one by one, the classes by number, and the problems met so far."""

    names: dict[int, str]
    clips: Iterator[Clip]
    problems: list[Problem] = field(default_factory=list)


class Format(Protocol):
    """A format is a module with these."""

    VERSION: int

    def write(self, clips: Iterable[Clip], ontology: Ontology, place: Path, hard_link: bool = False) -> None:
        """Write the dataset into the empty folder `place`: pictures and annotations, each clip looked at once."""
        ...

    def read(self, place: Path) -> Reading:
        """Read a dataset from a folder (or the annotation file in it); raises `BadDataset` if nothing can be read."""
        ...
