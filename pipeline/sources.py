"""Where pictures come from: a folder, a picture, or a list of files. Knows files, not pixels.

Every file becomes a picture or has a reason why not. Names starting with a dot are passed over, as the shell does, and
linked folders are not followed (they can go round in circles); linked files are.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from pipeline import media, records
from pipeline.errors import BadMedia, ConfigError

LOOKING = 4  # threads that read and hash files
REMEMBERED = ("empty_file", "not_a_picture", "film", "cut_or_damaged", "too_large", "unsupported_pixels")
"""Reasons that are the content's own: the file is not looked at again until it changes."""


class Source(BaseModel):
    """What to label."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str = Field("", description="a folder (with all folders in it), a picture, or a .txt with one path a line")
    max_pixels: int = Field(
        178_956_970, gt=0, description="larger pictures are set aside; the default is Pillow's limit"
    )


@dataclass(frozen=True, slots=True)
class File:
    """A file of the source: its name in datasets, where it is, and what changes when it is written."""

    name: str
    path: str
    stamp: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What looking at a file once has shown: the picture in it, or the reason why there is none."""

    content: str = ""
    size_hw: tuple[int, int] = (0, 0)
    rewrite: str | None = None
    reason: str = ""
    detail: str = ""

    @property
    def lasting(self) -> bool:
        """Whether the same file will show the same again."""
        return not self.reason or self.reason in REMEMBERED

    def to_json(self) -> list[Any]:
        """Plain values for the store."""
        return [self.content, list(self.size_hw), self.rewrite, self.reason, self.detail]

    @classmethod
    def from_json(cls, form: list[Any]) -> "Seen":
        """From the store's plain values."""
        content, size_hw, rewrite, reason, detail = form
        return cls(content, (size_hw[0], size_hw[1]), rewrite, reason, detail)


def files(source: Source, apart_from: Path | None = None) -> list[File]:
    """Every file of the source, sorted by name; raises `ConfigError` where there is nothing at `source.path`."""
    if not source.path:
        raise ConfigError("source.path: missing; give a folder of pictures, as in --source photos/")
    root = Path(source.path).absolute()  # a run is exported again from any folder
    try:
        if root.is_dir():
            found = list(_below(root, apart_from.resolve() if apart_from else None))
        elif root.suffix == ".txt":
            found = list(_listed(root))
        elif root.exists():
            found = [_file(root.name, str(root))]
        else:
            raise ConfigError(f"source.path: {source.path}: no such file or folder")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"source.path: {source.path}: cannot be read: {error}") from error
    found.sort(key=lambda file: file.name)
    for one, other in pairwise(found):
        if one.name == other.name:
            both = f"{printable(one.path)} and {printable(other.path)}"
            raise ConfigError(f"source.path: {both} would both be called {one.name}; rename one, or list its full path")
    return found


def _below(root: Path, apart_from: Path | None) -> Iterator[File]:
    closed: list[OSError] = []
    for folder, folders, names in os.walk(root, onerror=closed.append):
        folders[:] = [f for f in folders if not f.startswith(".") and Path(folder, f).resolve() != apart_from]
        for name in names:
            if not name.startswith("."):
                path = os.path.join(folder, name)  # noqa: PTH118 - a million of these; Path is slow
                yield _file(os.path.relpath(path, root).replace(os.sep, "/"), path)
    for error in closed:  # a folder that cannot be listed is set aside as one file
        yield _file(os.path.relpath(error.filename, root).replace(os.sep, "/"), error.filename)


def _listed(path: Path) -> Iterator[File]:
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    for entry in dict.fromkeys(Path(line.strip()) for line in lines if line.strip()):
        below = [part for part in entry.parts if part not in (entry.anchor, "..")]
        yield _file("/".join(below), str(path.parent / entry))


def _file(name: str, path: str) -> File:
    try:
        status = os.stat(path)  # noqa: PTH116
    except (OSError, ValueError):  # a zero byte
        return File(printable(name), path, "")
    return File(printable(name), path, f"{status.st_size}:{status.st_mtime_ns}:{status.st_ino}")


def printable(name: str) -> str:
    r"""A file name as text that can be stored: bytes that are no Unicode are written out.

    >>> printable("caf\udce9.jpg")
    'caf\\xe9.jpg'
    """
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def look(wanted: list[File], max_pixels: int) -> Iterator[tuple[File, Seen]]:
    """Read each file once: hash it and read its header. In the order given, some files at a time."""
    with ThreadPoolExecutor(LOOKING, thread_name_prefix="look") as pool:
        for begin in range(0, len(wanted), 256):
            some = wanted[begin : begin + 256]
            yield from zip(some, pool.map(lambda file: _look(file, max_pixels), some), strict=True)


def _look(file: File, max_pixels: int) -> Seen:
    try:
        content = media.read_bytes(file.path)
        probe = media.probe(content, max_pixels)
    except BadMedia as error:
        return Seen(reason=error.reason, detail=error.detail)
    return Seen(records.clip_id(content), probe.size_hw, probe.rewrite)


def clip(file: File, seen: Seen) -> records.Clip:
    """The still picture in a file, before anything is found in it."""
    return records.Clip(seen.content, file.name, file.path, (records.Frame(0, 0.0, seen.size_hw),), seen.rewrite)
