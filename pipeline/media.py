"""Open, probe, decode and export pictures. Knows files and limits; pipeline.pixels knows what pixels mean.

No library sees a path. Pillow reads the header against a list of formats and a limit of size before anything
is decoded. Whatever a library raises is a `BadMedia` here.
"""

import errno
import fcntl
import hashlib
import io
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import pixels
from pipeline.errors import BadMedia, out_of_memory
from pipeline.records import Clip, Frame, clip_id

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

Rgb = pixels.Rgb

VERSION = 1
"""Raised when decoding may give other pixels: part of the key of every stage that looks at pixels."""

MAX_PIXELS = 178_956_970  # Pillow refuses more (twice its MAX_IMAGE_PIXELS): 0.5 GB as RGB
MAX_BYTES = 8 * MAX_PIXELS  # 16-bit RGBA, not compressed: no picture in bounds needs more
HEAD = 1024  # bytes that tell a film
NO_FILE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.ENODEV)
FICLONE = 0x40049409  # linux/fs.h: share the blocks of another file

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF", "PPM")
"""What Pillow may open. MPO comes with JPEG: several in one file, of which every reader shows the first."""

JPEG = b"\xff\xd8\xff"
PICTURE = rb"\xff\xd8\xff|\x89PNG|GIF8|BM|II[*+]\0|MM\0[*+]|RIFF....WEBP|....ftypavi[fs]|P[1-6]\s"
KINDS = tuple(
    (re.compile(sign, re.DOTALL), reason, detail)
    for sign, reason, detail in (
        (PICTURE, "cut_or_damaged", "the header is damaged, or says something that Pillow does not know"),
        (rb"....ftyp(hei[cxms]|hev[cx]|mif1|msf1)", "not_a_picture", "HEIC is not read: save it as JPEG"),
        (rb"....ftypcrx ", "not_a_picture", "a camera's raw file: develop it to JPEG, PNG or TIFF"),
        (rb"....ftypM4[AB] |RIFF....WAVE|ID3|\xff[\xe2-\xfb]|fLaC|OggS", "not_a_picture", "sound"),
        (rb"....(ftyp|moov|mdat|wide)", "film", "MP4 or MOV"),
        (rb"\x1a\x45\xdf\xa3", "film", "Matroska or WebM"),
        (rb"RIFF....AVI ", "film", "AVI"),
        (rb"\0\0\x01[\xb3\xba]|G.{187}G.{187}G|....G.{191}G.{191}G", "film", "MPEG"),
        (rb"FLV\x01", "film", "Flash video"),
        (rb"\x30\x26\xb2\x75", "film", "Windows Media"),
        (rb"\s*<", "not_a_picture", "HTML or XML: perhaps a page that says why the download failed"),
        (rb"%PDF", "not_a_picture", "PDF"),
        (rb"", "not_a_picture", ""),
    )
)
"""First bytes -> why Pillow opens no picture there: the first row that matches."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What a header says: the upright size, and why a plain reader would show other pixels, if so."""

    size_hw: tuple[int, int]
    rewrite: str | None


class Picture:
    """One frame of a clip, decoded when somebody first looks at it, and once; by `read`, if it is of a film."""

    def __init__(self, clip: Clip, read: Callable[[], Rgb] | None = None) -> None:
        self.clip = clip
        self.frame = clip.frames[0]
        self._read = read
        self._rgb: Rgb | None = None

    @classmethod
    def of(cls, rgb: Rgb, name: str = "") -> "Picture":
        """A picture that is in memory already: (H, W, 3) RGB."""
        frame = Frame(0, 0.0, (rgb.shape[0], rgb.shape[1]))
        picture = cls(Clip("", name, "", (frame,)))
        picture._rgb = rgb
        return picture

    @property
    def size_hw(self) -> tuple[int, int]:
        """Upright height and width, known without decoding."""
        return self.frame.size_hw

    @property
    def rgb(self) -> Rgb:
        """The pixels: (H, W, 3) uint8 RGB, upright. Raises `BadMedia`."""
        if self._rgb is None and self._read is not None:
            self._rgb = self._read()
        if self._rgb is None:  # no cached_property: until Python 3.12 its lock lets one picture decode at a time
            content = _content(self.clip, self.clip.path)
            self._rgb = _known(content, self.size_hw) if self.clip.rewrite is None else decode(content)
        return self._rgb


def read_bytes(path: str) -> bytes:
    """A regular file's content; raises `BadMedia` for what is none, and for a film after its first bytes."""
    with os.fdopen(_open_regular(path), "rb", buffering=0) as file:
        try:
            size, head = os.fstat(file.fileno()).st_size, os.pread(file.fileno(), HEAD, 0)
            if not head:
                raise BadMedia("empty_file")
            reason, detail = _kind(head)
            if reason == "film":
                raise BadMedia(reason, detail)
            if size > MAX_BYTES:
                raise BadMedia("too_large", f"{size} bytes; at most {MAX_BYTES} are read")
            return file.read()
        except OSError as error:
            raise BadMedia("unreadable", error.strerror or str(error)) from error


def open_regular(path: str) -> BufferedReader:
    """A regular file, opened; raises `BadMedia` for what is none."""
    return os.fdopen(_open_regular(path), "rb")


def film_kind(head: bytes) -> str:
    """Which kind of film begins with these bytes; '' for what is no film.

    >>> film_kind(b"RIFF....AVI LIST")
    'AVI'
    """
    reason, detail = _kind(head)
    return detail if reason == "film" else ""


def _open_regular(path: str) -> int:
    """A descriptor of a regular file. Never waits: opening a pipe that nobody writes to would, for ever."""
    try:
        path.encode("utf-8")
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except ValueError as error:  # no UTF-8, or a zero byte
        raise BadMedia("bad_name", ascii(path)) from error
    except OSError as error:
        reason = "not_a_file" if error.errno in NO_FILE else "unreadable"
        raise BadMedia(reason, os.strerror(error.errno or 0)) from error
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise BadMedia("not_a_file")


def _content(clip: Clip, path: str) -> bytes:
    """The bytes at `path`; raises `BadMedia`, 'changed' where they are not the clip's, or gone."""
    try:
        content = read_bytes(path)
    except BadMedia as error:
        if error.reason == "unreadable":
            raise
        raise BadMedia("changed", str(error)) from error
    if clip_id(content) != clip.id:
        raise BadMedia("changed", "other bytes than when the run began")
    return content


def probe(content: bytes, max_pixels: int = MAX_PIXELS) -> Probe:
    """What the header says; no pixel is decoded. Raises `BadMedia`."""
    with _blamed():
        image = _open(content, max_pixels)
        return Probe(pixels.size_hw(image, content), pixels.unlike_plain(image, content))


def decode(content: bytes, max_pixels: int = MAX_PIXELS) -> Rgb:
    """A picture's pixels: bytes -> (H, W, 3) RGB, upright, as large as `probe` says. Raises `BadMedia`."""
    with _blamed():
        image = _open(content, max_pixels)
        size_hw = pixels.size_hw(image, content)
        return _sized(pixels.decoded(image, content), size_hw)


def _known(content: bytes, size_hw: tuple[int, int]) -> Rgb:
    """`decode` of a picture that was probed and found plain: the header of a JPEG is not gone through again."""
    if not content.startswith(JPEG):
        return decode(content)
    with _blamed():
        return _sized(pixels.from_jpeg(content), size_hw)


def _sized(rgb: Rgb, size_hw: tuple[int, int]) -> Rgb:
    """The pixels themselves, if they are as many as the header said; raises `BadMedia`."""
    if rgb.shape[:2] != size_hw:
        raise BadMedia("cut_or_damaged", f"the header says {size_hw}, the pixels are {rgb.shape[:2]} (h, w)")
    return rgb


def export_name(clip: Clip) -> str:
    """The name in a dataset: the clip's own, with '.png' behind it where it is a picture that is written anew."""
    return clip.name if clip.rewrite is None or clip.is_film else f"{clip.name}.png"


def export_picture(clip: Clip, to: Path, hard_link: bool = False) -> None:
    """Write the picture to a new file: its own bytes, or an upright 8-bit RGB PNG where `rewrite` says why.

    Own bytes share the source's file on request (`hard_link`), or its blocks where the file system can
    (reflink), else they are copied. What arrives is checked. Raises `BadMedia`; never overwrites a file.
    """
    to.parent.mkdir(parents=True, exist_ok=True)
    if clip.rewrite is None and ((hard_link and _hard_linked(clip.path, to)) or _reflinked(clip.path, to)):
        try:
            _content(clip, str(to))
        except BadMedia:
            to.unlink()
            raise
        return
    content = exported(clip)
    with to.open("xb") as file:
        file.write(content)


def exported(clip: Clip) -> bytes:
    """What `export_picture` writes. Raises `BadMedia`."""
    content = _content(clip, clip.path)
    return content if clip.rewrite is None else pixels.to_png(decode(content))


def export(clip: Clip, to: Path, hard_link: bool = False) -> None:
    """Write the clip's picture or film to a new file. Raises `BadMedia`."""
    (export_film if clip.is_film else export_picture)(clip, to, hard_link)


def export_film(clip: Clip, to: Path, hard_link: bool = False) -> None:
    """Copy a film's own bytes to a new file, or link them on request; raises `BadMedia` where they have changed."""
    to.parent.mkdir(parents=True, exist_ok=True)
    try:
        if not (hard_link and _hard_linked(clip.path, to)):
            shutil.copyfile(clip.path, to)
    except OSError as error:
        raise BadMedia("changed", error.strerror or str(error)) from error
    if film_id(str(to)) != clip.id:
        to.unlink()
        raise BadMedia("changed", "other bytes than when the run began")


def film_id(path: str) -> str:
    """A film's id by content, as `records.clip_id`, a part at a time; of a folder, by all its files in order.

    Raises `BadMedia`.
    """
    if os.path.isdir(path):  # noqa: PTH112
        names = sorted(entry.name for entry in os.scandir(path) if entry.is_file() and not entry.name.startswith("."))
        whole = "".join(film_id(os.path.join(path, name)) for name in names)  # noqa: PTH118
        return clip_id(whole.encode("ascii"))
    try:
        with open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:32]
    except OSError as error:
        raise BadMedia("unreadable", error.strerror or str(error)) from error


def check_film(path: str, id_: str) -> None:
    """Raise `BadMedia`, 'changed' where a film does not have this id, or is gone."""
    try:
        same = film_id(path) == id_
    except BadMedia as error:
        raise BadMedia("changed", str(error)) from error
    if not same:
        raise BadMedia("changed", "other bytes than when the run began")


def _hard_linked(source: str, to: Path) -> bool:
    """Whether `to` is now a second name of the file: not on another disk, nor where there are no links."""
    try:
        os.link(os.path.realpath(source), to)
    except OSError:
        return False
    return True


def _reflinked(source: str, to: Path) -> bool:
    """Whether `to` now shares the blocks of `source`, as Btrfs and XFS can; else there is no `to`."""
    try:
        descriptor = _open_regular(source)
    except BadMedia:
        return False
    with os.fdopen(descriptor, "rb") as old, to.open("xb") as new:
        try:
            fcntl.ioctl(new, FICLONE, old.fileno())
        except OSError:
            to.unlink()
            return False
    return True


def _open(content: bytes, max_pixels: int) -> "ImageFile":
    """A picture of which Pillow has read the header."""
    from PIL import UnidentifiedImageError

    if not content:
        raise BadMedia("empty_file")
    try:
        image: ImageFile = pixels.pillow().open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError:
        raise BadMedia(*_kind(content[:HEAD])) from None
    w, h = image.size
    if w * h > max_pixels:
        raise BadMedia("too_large", f"{h} x {w} (h x w) pixels; at most {max_pixels} are read")
    if image.mode == "F":
        raise BadMedia("unsupported_pixels", "floating-point numbers")
    return image


def _kind(head: bytes) -> tuple[str, str]:
    """Why there is no picture in a file that begins with `head`: reason and detail."""
    return next((reason, detail) for sign, reason, detail in KINDS if sign.match(head))


@contextmanager
def _blamed() -> Iterator[None]:
    """Whatever a library raises becomes a `BadMedia`; lack of memory stays what it is."""
    try:
        yield
    except BadMedia:
        raise
    except Exception as error:
        if out_of_memory(error):
            raise
        kind = type(error).__name__
        raise BadMedia(
            "too_large" if kind == "DecompressionBombError" else "cut_or_damaged",
            f"{kind}: {error}".partition("\n")[0],
        ) from error
