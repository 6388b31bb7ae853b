"""The frames of a film as pictures of their own, for datasets: decoded one at a time."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from pipeline import media, pixels
from pipeline.films.decoding import Reader, numbered
from pipeline.records import Clip, Frame, clip_id

ENCODERS = {"png": pixels.to_png, "jpg": pixels.to_jpeg}
"""The kinds of pictures that frames can become, by their suffix; a PNG has the very pixels that were decoded."""
SIGNS = {"jpg": media.JPEG, "png": b"\x89PNG"}


def as_pictures(film: Clip, folder: Path, kind: str, numbers: Sequence[int] = ()) -> Iterator[Clip]:
    """Each frame of a film as a still picture `<number>.<kind>`, written to `folder`, with what was found in it.

    Numbers are those in the film, unless others are given, one a frame. Where the film is a folder of pictures, a JPEG
    is taken as it is and where it is, and so is a PNG if those are wanted: unless a plain reader would show it
    differently. Raises `BadMedia`, 'changed' where it is another film now.
    """
    media.check_film(film.path, film.id)
    files = numbered(Path(film.path)) if Path(film.path).is_dir() else {}
    folder.mkdir(parents=True, exist_ok=True)
    with closing(Reader(film.path)) as reader:
        for at, (number, frame) in enumerate(zip(numbers or numbers_of(film), film.frames, strict=True)):
            own = _own(files[frame.index], kind) if frame.index in files else None
            id_, path, suffix = own or _written(reader.frame(frame.index), folder / f"{number:05d}.{kind}")
            still = (Frame(0, 0.0, frame.size_hw),)
            yield Clip(id_, f"{number:05d}.{suffix}", str(path), still, None, film.found[at : at + 1])


def numbers_of(film: Clip) -> list[int]:
    """The numbers of a clip's frames in the film."""
    return [frame.index for frame in film.frames]


def put_pictures(
    film: Clip, folder: Path, kind: str, hard_link: bool = False, numbers: Sequence[int] = ()
) -> list[str]:
    """Write the frames of a film into `folder`, as `as_pictures`; their file names, in order."""
    names = []
    for still in as_pictures(film, folder, kind, numbers):
        to = folder / still.name
        if Path(still.path) != to:
            media.export_picture(still, to, hard_link)
        names.append(still.name)
    return names


def _own(path: Path, kind: str) -> tuple[str, Path, str] | None:
    """The id, path and suffix of a picture that can be in a dataset as it is."""
    content = media.read_bytes(str(path))
    suffix = next((suffix for suffix, sign in SIGNS.items() if content.startswith(sign)), "")
    plain = suffix in ("jpg", kind) and media.probe(content).rewrite is None
    return (clip_id(content), path, suffix) if plain else None


def _written(rgb: media.Rgb, to: Path) -> tuple[str, Path, str]:
    content = ENCODERS[to.suffix[1:]](rgb)
    with to.open("xb") as file:
        file.write(content)
    return clip_id(content), to, to.suffix[1:]
