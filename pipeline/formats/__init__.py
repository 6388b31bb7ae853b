"""Records to datasets and back: the seam, and the table of formats."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Protocol

from pipeline.ontology import Ontology
from pipeline.records import Clip
from pipeline.seams import lookup

FORMATS = {
    "coco": "pipeline.formats.coco:COCO",
    "coco_polygon": "pipeline.formats.coco:COCO_POLYGON",
    "coco_results": "pipeline.formats.coco:COCO_RESULTS",
    "youtube_vis": "pipeline.formats.youtube_vis:YOUTUBE_VIS",
    "imagefolder": "pipeline.formats.imagefolder:IMAGEFOLDER",
    "label_studio": "pipeline.formats.label_studio:LABEL_STUDIO",
    "parquet": "pipeline.formats.parquet:PARQUET",
    "sav": "pipeline.formats.sav:SAV",
    "sav_manual": "pipeline.formats.sav:SAV_MANUAL",
    "sav_png": "pipeline.formats.sav_png:SAV_PNG",
    "yolo_seg": "pipeline.formats.yolo:YOLO_SEG",
    "yolo_box": "pipeline.formats.yolo:YOLO_BOX",
}
"""Format name -> the `Format` in its module."""


class Masks(StrEnum):
    """What becomes of a mask in a format, and so what reading back has to show."""

    EXACT = "exact"
    """Every pixel is kept: run lengths."""
    OUTLINES = "outlines"
    """An outline is drawn again by whoever reads it: nearly every pixel is kept."""
    BOXES = "boxes"
    """Only the box around it is kept."""


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
    """A dataset as it is read: clips one by one, the classes by number, and the problems met so far.

    `notes` are no faults of the dataset: what of it is not read, in words.
    """

    names: dict[int, str]
    clips: Iterator[Clip]
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Write(Protocol):
    """Clips to a dataset."""

    def __call__(
        self, clips: Iterable[Clip], ontology: Ontology, place: Path, hard_link: bool = False
    ) -> Mapping[str, int]:
        """Write the dataset into the empty folder `place`: pictures and annotations, each clip looked at once.

        Answers with what the format has no way to say: words -> how often. Raises `BadRecord` for a clip or an object
        that cannot be in such a dataset, `BadMedia` for a picture that changed since it was looked at.
        """
        ...


class Read(Protocol):
    """A dataset to clips."""

    def __call__(self, place: Path) -> Reading:
        """Read a dataset from a folder (or the annotation file in it); raises `BadDataset` if nothing can be read."""
        ...


def as_it_is(clip: Clip) -> Clip | None:
    """Every clip can be in the dataset."""
    return clip


def without_crowds(clip: Clip) -> Clip | None:
    """The clip without COCO's crowds, for formats that would make an object of each."""
    kept = [
        [row for row in range(len(found)) if found.extra is None or found.extra[row].get("iscrowd") != 1]
        for found in clip.found
    ]
    if list(map(len, kept)) == list(map(len, clip.found)):
        return clip
    return replace(clip, found=tuple(found.take(rows) for found, rows in zip(clip.found, kept, strict=True)))


SEVERAL_SIZES = "films left out: their frames have several sizes"


def of_one_size(clip: Clip) -> Clip | None:
    """The clip, unless its frames have several sizes: a film may change its size in the middle."""
    return clip if len({frame.size_hw for frame in clip.frames}) == 1 else None


def of_one_size_without_crowds(clip: Clip) -> Clip | None:
    """The clip without COCO's crowds, unless its frames have several sizes."""
    return without_crowds(clip) if of_one_size(clip) else None


@dataclass(frozen=True, slots=True)
class Format:
    """A format: how it is written and read, and what it promises.

    version   raised when what is written changes
    masks     what becomes of masks
    films     films can be written, too
    frames    frames of films are written as pictures, of this kind unless told otherwise: 'png' or 'jpg'
    stems     no two pictures may differ in their suffix alone
    late      a picture's file is read after the last clip has come
    unpack    reads, where pictures lie in files of the format's own: they are put into the folder given, one by one
    fit       a clip as it can be in such a dataset: its picture written anew, or None where it can not
    unfit     what is said of clips that can not
    card      a card in it says which models made the labels
    """

    version: int
    write: Write
    read: Read
    masks: Masks = Masks.EXACT
    films: bool = False
    frames: str = ""
    stems: bool = False
    late: bool = False
    unpack: Callable[[Path, Path], Reading] | None = None
    fit: Callable[[Clip], Clip | None] = as_it_is
    unfit: str = "pictures left out: training would pass them over"
    card: bool = False

    def write_frames(self, kind: str | None) -> Write:
        """`write`, with frames of films as pictures of this kind, if it writes such."""
        return partial(self.write, frames=kind) if self.frames and kind else self.write  # type: ignore[call-arg]

    def read_with_pictures(self, place: Path, folder: Path) -> Reading:
        """Read, and have all pictures in files: those of the dataset, or new ones in the empty `folder`."""
        return self.unpack(place, folder) if self.unpack else self.read(place)


def format_of(name: str) -> Format:
    """The format behind a name of the table, or behind `module:NAME`; raises `UnknownName`."""
    found: Format = lookup(name, FORMATS, "format")
    return found
