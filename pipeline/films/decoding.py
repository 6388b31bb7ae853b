"""The frames of a film in order, upright. PyAV reads bytes that we opened: it sees no path, no playlist, no address."""

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline import media
from pipeline.errors import BadMedia, MaskletError, first_line, out_of_memory
from pipeline.records import Clip

if TYPE_CHECKING:
    from av.container import InputContainer

CONTAINERS = {"MP4 or MOV": "mov", "Matroska or WebM": "matroska", "AVI": "avi", "MPEG": "mpeg", "Flash video": "flv"}
"""What `media` sees in the first bytes -> the one demuxer that may open it."""
TRANSPORT = b"G"
"""The first byte of an MPEG transport stream, which has another demuxer than a program stream."""
MAX_FRAMES = 10_000_000


class Reader:
    """The frames of a film, or of a folder with a picture a frame, by number.

    A film has more to tell than its index: the frames before are decoded, so numbers should rise; for one that lies
    behind, the film is begun again.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._files = numbered(Path(path)) if Path(path).is_dir() else None
        self._pictures: Generator[Any, None, None] | None = None
        self._at = -1

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        if self._pictures is not None:
            self._pictures.close()
        self._pictures, self._at = None, -1

    def frame(self, number: int) -> media.Rgb:
        """One frame: (H, W, 3) uint8 RGB, upright. Raises `BadMedia`, 'changed' where the film has no such frame."""
        if self._files is not None:
            if number in self._files:
                return media.decode(media.read_bytes(str(self._files[number])))
        else:
            if number <= self._at:
                self.close()
            self._pictures = self._pictures or _pictures(self.path)
            for picture in self._pictures:
                self._at += 1
                if self._at == number:
                    return _rgb(picture)
        raise BadMedia("changed", f"{self.path} has no frame {number} any more")


def frames_of(clip: Clip) -> Iterator[media.Rgb]:
    """The frames of a clip of a film in order, as `Reader.frame`."""
    with closing(Reader(clip.path)) as reader:
        for frame in clip.frames:
            yield reader.frame(frame.index)


def decode(path: str, first: int = 0) -> Iterator[media.Rgb]:
    """All frames of a film from number `first` on, as `Reader.frame`."""
    for number, picture in enumerate(_pictures(path)):
        if number >= first:
            yield _rgb(picture)


def pictures_of(folder: Path) -> list[Path]:
    """The files of a folder that is a film, a frame each, in the order of their names."""
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


def numbered(folder: Path) -> dict[int, Path]:
    """The files of a folder that is a film by the numbers of their frames, in order.

    The number is the name without its suffix, if that is one: `00004.jpg` is frame 4, whatever else is there, so that
    frames keep their numbers in datasets that have every fourth. Files with other names come behind, one by one. Where
    two have one number, or one beyond any film, as a time has, all are counted from 0 in the order of their names.
    """
    files = pictures_of(folder)
    by_number = {int(path.stem): path for path in files if path.stem.isascii() and path.stem.isdigit()}
    others = [path for path in files if not (path.stem.isascii() and path.stem.isdigit())]
    last = max(by_number, default=-1)
    if len(by_number) + len(others) < len(files) or last >= MAX_FRAMES:
        return dict(enumerate(files))
    return dict(sorted(by_number.items())) | dict(enumerate(others, last + 1))


def _pictures(path: str) -> Generator[Any, None, None]:
    with opened(path) as (container, trouble):
        yield from decoded(container, trouble)


def _rgb(picture: Any) -> media.Rgb:
    rgb = picture.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(rgb, quarter_turns(picture)))


@contextmanager
def opened(path: str) -> Iterator[tuple["InputContainer", list[str]]]:
    """A film, and a list for what goes wrong in it. Raises `BadMedia`."""
    import av

    file = media.open_regular(path)
    with file:
        head = file.read(media.HEAD)
        file.seek(0)
        kind = CONTAINERS.get(media.film_kind(head))
        if kind is None:
            raise BadMedia("not_a_picture", "a film in a container that is not read")
        if kind == "mpeg" and head[:1] == TRANSPORT:
            kind = "mpegts"
        try:
            with av.open(file, format=kind, metadata_errors="replace") as container:
                if not container.streams.video:
                    raise BadMedia("not_a_picture", "a file without pictures: sound")
                yield container, []
        except MaskletError:
            raise
        except Exception as error:
            if out_of_memory(error):
                raise
            said = getattr(error, "strerror", None) or first_line(error)  # PyAV's own line has a counter in it
            raise BadMedia("cut_or_damaged", said) from error


def decoded(container: "InputContainer", trouble: list[str]) -> Iterator[Any]:
    """Every frame that decodes, in the order in which they are shown; packets that do not are passed over."""
    import av

    stream = container.streams.video[0]
    stream.thread_type = "NONE"  # the same frames, whatever the machine
    packets = container.demux(stream)
    count = 0
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except av.FFmpegError as error:
            trouble.append(f"the file ends early: {error.strerror}")
            return
        try:
            pictures = packet.decode()
        except av.FFmpegError as error:
            trouble.append(f"a part cannot be decoded: {error.strerror}")
            continue
        for picture in pictures:
            count += 1
            if count > MAX_FRAMES:
                raise BadMedia("too_large", f"a film of more than {MAX_FRAMES} frames")
            yield picture


def quarter_turns(picture: Any) -> int:
    """How often a frame has to be turned to the left to stand upright."""
    return int(round(picture.rotation / 90) % 4)


def upright(picture: Any) -> tuple[int, int]:
    """The size of a frame as it stands upright: (h, w)."""
    h, w = picture.height, picture.width
    return (w, h) if quarter_turns(picture) % 2 else (h, w)
