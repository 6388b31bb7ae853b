"""Where pictures and films come from: a folder, a file, or a list of files. Knows files, not pixels.

Every file becomes a picture or a film, or has a reason why not. Names starting with a dot are passed over,
as the shell does, and linked folders are not followed (they can go round in circles); linked files are.
"""

import os
import re
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from pipeline import choose, films, media, records
from pipeline.errors import BadMedia, ConfigError
from pipeline.partition import Part
from pipeline.segments import sampled
from pipeline.split import Pattern

LOOKING = 4  # threads that read and hash files
FILMS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".flv", ".wmv")
"""How the names of films end, in lower case: a folder with one is not the frames of a film."""
REMEMBERED = ("empty_file", "not_a_picture", "cut_or_damaged", "too_large", "unsupported_pixels")
"""Reasons that are the content's own: the file is not looked at again until it changes."""


class Source(BaseModel):
    """What to label."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str = Field("", description="a folder (with all folders in it), a file, or a .txt with one path a line")
    only: Pattern = Field(
        "", description="of the files, those in whose name this pattern (Python's re) finds something, as in \\.jpg$"
    )
    max_pixels: int = Field(
        178_956_970, gt=0, description="larger pictures are set aside; the default is Pillow's limit"
    )
    every: int = Field(1, ge=1, description="of a film, one of so many frames is taken")
    fps: float | None = Field(None, gt=0, description="of a film, at most so many frames a second are taken")
    frame_folders_fps: float | None = Field(
        None,
        gt=0,
        description="a folder of pictures alone (no folder and no film in it) is a film, with so many of them a second;"
        " else they are stills",
    )


@dataclass(frozen=True, slots=True)
class File:
    """A file of the source: its name in datasets, where it is, and what changes when it is written."""

    name: str
    path: str
    stamp: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What looking at a file once has shown: the picture or film in it, or the reason why there is none."""

    content: str = ""
    size_hw: tuple[int, int] = (0, 0)
    rewrite: str | None = None
    reason: str = ""
    detail: str = ""
    film: films.Film | None = None
    hashes: Mapping[str, str] = field(default_factory=dict)
    """What was asked for of the pixels, under its name (`choose.HASH`), in hex; '' where they cannot be had."""

    @property
    def lasting(self) -> bool:
        """Whether the same file will show the same again."""
        return not self.reason or self.reason in REMEMBERED

    @property
    def is_hashed(self) -> bool:
        """Whether the picture's hash is known; a film, and what is neither, has none."""
        return bool(self.reason) or self.film is not None or choose.HASH in self.hashes

    def to_json(self) -> list[Any]:
        """Plain values for the store."""
        film = None if self.film is None else self.film.to_json()
        return [self.content, list(self.size_hw), self.rewrite, self.reason, self.detail, film, dict(self.hashes)]

    @classmethod
    def from_json(cls, form: list[Any]) -> "Seen":
        """From the store's plain values."""
        content, (h, w), rewrite, reason, detail, film, *hashes = form
        whole = None if film is None else films.Film.from_json(film)
        return cls(content, (h, w), rewrite, reason, detail, whole, *hashes)


def files(source: Source, apart_from: Path | None = None) -> list[File]:
    """Every file of the source, sorted by name; raises `ConfigError` where there is nothing at `source.path`."""
    if not source.path:
        raise ConfigError("source.path: missing; give a folder of pictures, as in --source photos/")
    root = Path(source.path).absolute()  # a run is exported again from any folder
    try:
        if root.is_dir():
            found = list(
                _below(root, apart_from.resolve() if apart_from else None, source.frame_folders_fps is not None)
            )
        elif root.suffix == ".txt":
            found = list(_listed(root))
        elif root.exists():
            found = [_file(root.name, str(root))]
        else:
            raise ConfigError(f"source.path: {source.path}: no such file or folder")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"source.path: {source.path}: cannot be read: {error}") from error
    found = sorted((file for file in found if re.search(source.only, file.name)), key=lambda file: file.name)
    for one, other in pairwise(found):
        if one.name == other.name:
            both = f"{printable(one.path)} and {printable(other.path)}"
            raise ConfigError(f"source.path: {both} would both be called {one.name}; rename one, or list its full path")
    return found


def _below(root: Path, apart_from: Path | None, folders_are_films: bool) -> Iterator[File]:
    closed: list[OSError] = []
    for folder, folders, names in os.walk(root, onerror=closed.append):
        folders[:] = [f for f in folders if not f.startswith(".") and Path(folder, f).resolve() != apart_from]
        names = [name for name in names if not name.startswith(".")]  # noqa: PLW2901
        if folders_are_films and names and not folders and not any(name.lower().endswith(FILMS) for name in names):
            yield _folder(root, folder, sorted(names))
        else:
            for name in names:
                path = os.path.join(folder, name)  # noqa: PTH118 - a million of these; Path is slow
                yield _file(os.path.relpath(path, root).replace(os.sep, "/"), path)
    for error in closed:  # a folder that cannot be listed is set aside as one file
        yield _file(os.path.relpath(error.filename, root).replace(os.sep, "/"), error.filename)


def _folder(root: Path, folder: str, names: list[str]) -> File:
    """A folder that is a film; its stamp is that of all its pictures."""
    name = os.path.relpath(folder, root).replace(os.sep, "/")
    stamps = [[each, _file(each, os.path.join(folder, each)).stamp] for each in names]  # noqa: PTH118
    return File(printable(root.name if name == "." else name), folder, records.sha256_of(stamps))


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


def look(
    wanted: list[File],
    source: Source,
    films_too: bool,
    pixels_too: bool = False,
    part: Part | None = None,
    tick: Callable[[], None] = lambda: None,
) -> Generator[tuple[File, Seen], None, None]:
    """Read each file once: hash it and read its header; decode a film, if `films_too`. In the order given.

    With `pixels_too` a picture is decoded, and its perceptual hash is known. A film of another `part` is not decoded.
    `tick` is called with every frame of a film, in any thread, and may raise.
    """
    pool = ThreadPoolExecutor(LOOKING, thread_name_prefix="look")
    waiting: deque[tuple[File, Future[Seen]]] = deque()
    try:
        for file in wanted:
            waiting.append((file, pool.submit(_look, file, source, films_too, pixels_too, part, tick)))
            if len(waiting) > 2 * LOOKING:
                first, seen = waiting.popleft()
                yield first, seen.result()
        for first, seen in waiting:
            yield first, seen.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _look(
    file: File, source: Source, films_too: bool, pixels_too: bool, part: Part | None, tick: Callable[[], None]
) -> Seen:
    try:
        if Path(file.path).is_dir() and source.frame_folders_fps is not None:
            if other := _of_another(file, part):
                return other
            return _film(file, films.folder(file.path, source.frame_folders_fps, source.max_pixels, tick))
        content = media.read_bytes(file.path)
        probe = media.probe(content, source.max_pixels)
    except BadMedia as error:
        if error.reason == "film" and films_too:
            return _of_another(file, part) or _look_at_film(file, source, tick)
        return Seen(reason=error.reason, detail=error.detail)
    hashes = {choose.HASH: _hash(content, source)} if pixels_too else {}
    return Seen(records.clip_id(content), probe.size_hw, probe.rewrite, hashes=hashes)


def _of_another(file: File, part: Part | None) -> Seen | None:
    """What is said of a film that is in another part; `None` where it is in this one. Raises `BadMedia`."""
    if part is None or part.has(content := media.film_id(file.path)):
        return None
    return Seen(content, reason="other_part")


def _hash(content: bytes, source: Source) -> str:
    try:
        return f"{choose.hash_of(media.decode(content, source.max_pixels)):016x}"
    except BadMedia:  # it is told when the picture's turn comes
        return ""


def _look_at_film(file: File, source: Source, tick: Callable[[], None]) -> Seen:
    try:
        return _film(file, films.probe(file.path, source.max_pixels, tick))
    except BadMedia as error:
        return Seen(reason=error.reason, detail=error.detail)


def _film(file: File, film: films.Film) -> Seen:
    return Seen(media.film_id(file.path), film.frames[0].size_hw, film=film)


def clip(file: File, seen: Seen) -> records.Clip:
    """The still picture in a file, before anything is found in it."""
    return records.Clip(seen.content, file.name, file.path, (records.Frame(0, 0.0, seen.size_hw),), seen.rewrite)


def film_clip(file: File, film: films.Film, content: str, source: Source) -> records.Clip:
    """The film in a file or a folder, with the frames that are wanted, before anything is found in it."""
    return records.Clip(
        content, file.name, file.path, tuple(sampled(film.frames, source.every, source.fps)), records.FILM
    )
