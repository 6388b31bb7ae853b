"""SA-V as its validation and test sets are: a picture for each object in each annotated frame, exact to the pixel.

`Annotations_6fps/<id>/<object>/<frame>.png` has 1 on the object and 0 elsewhere, in colours; one without a pixel is out
of sight. `JPEGImages_24fps/<id>/<frame>.jpg` are still pictures and frames of films: JPEG, unless told otherwise, for
SAM 2's training looks for no other files. `train.txt` has the ids (of a split dataset also `val.txt` and `test.txt`),
and `masklet.jsonl` what SA-V has no place for (`sav_sidecar`). Objects are numbered from 0, in the order of identities.
"""

import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from reprlib import repr as short

import numpy as np
from numpy.typing import NDArray

from pipeline import films, masks, media, pixels
from pipeline.errors import BadDataset, BadMedia, BadRecord, first_line, out_of_memory
from pipeline.formats import SEVERAL_SIZES, Format, Problem, Reading, of_one_size_without_crowds
from pipeline.formats.naming import checked
from pipeline.formats.reading import id_of
from pipeline.formats.sav_clips import Masklet, suffix, write_clips
from pipeline.formats.sav_fields import FPS
from pipeline.formats.sav_rows import Cell, Film, found_of
from pipeline.formats.sav_sidecar import Known, KnownClip, Sidecar, Told, side_of
from pipeline.ontology import Ontology
from pipeline.records import FILM, Clip, Frame

MASKS, PICTURES = "Annotations_6fps", "JPEGImages_24fps"
LEVEL = 1  # of zlib: masks are a hundredth of their pixels either way
MODES = ("1", "L", "P")  # of Pillow: one number a pixel, of 8 bits at most
MAX_DIGITS = 9  # in the name of an object or a frame


def write(
    clips: Iterable[Clip], ontology: Ontology, place: Path, hard_link: bool = False, frames: str = "jpg"
) -> dict[str, int]:
    """Write pictures, frames and masks into the empty folder `place`, one clip in memory.

    Frames of films become 'jpg' or 'png', except those that are a JPEG already. A row of no class ('') is an
    object, too. Raises `BadRecord` for an object in sight without a mask or of a class that is not exported,
    `BadMedia` for a file that changed since it was looked at.
    """
    (place / MASKS).mkdir()

    def put(video_id: str, clip: Clip, found: list[Masklet]) -> None:
        for number, one in enumerate(found):
            _put_object(place / MASKS / video_id / f"{number:03d}", clip.frames, one)

    put_pixels = partial(_put_pixels, hard_link=hard_link, kind=frames)
    return write_clips(clips, ontology, place, put, _file_of, put_pixels, listed="train")


def _file_of(video_id: str, name: str, clip: Clip) -> str:
    return f"{PICTURES}/{video_id}" if clip.is_film else f"{PICTURES}/{video_id}/00000{suffix(name)}"


def _put_pixels(clip: Clip, to: Path, hard_link: bool, kind: str) -> None:
    if clip.is_film:
        films.put_pictures(clip, to, kind, hard_link)
    else:
        media.export_picture(clip, to, hard_link)


def _put_object(folder: Path, frames: Sequence[Frame], one: Masklet) -> None:
    folder.mkdir(parents=True)
    for frame, code in zip(frames, one.codes, strict=True):
        with (folder / f"{frame.index:05d}.png").open("xb") as file:
            file.write(_to_png(code, frame.size_hw))


def _to_png(code: bytes, size_hw: tuple[int, int]) -> bytes:
    """A mask as a PNG of colour numbers 0 and 1."""
    image = pixels.pillow().fromarray(masks.decode(code, size_hw).astype(np.uint8))
    image.putpalette(palette())
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=LEVEL)
    return file.getvalue()


@cache
def palette() -> bytes:
    """The colours of PASCAL VOC and DAVIS, 256 times red, green, blue: the bits of the number, dealt out from the top.

    >>> list(palette()[:12])
    [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0]
    """
    return bytes(
        sum((number >> 3 * bit + channel & 1) << 7 - bit for bit in range(3))
        for number in range(256)
        for channel in range(3)
    )


def read(place: Path) -> Reading:
    """Read a folder in the layout of SA-V's validation set; raises `BadDataset` where it is none.

    Without our sidecar, rows have no class (''), identities are SA-V's numbers + 1, frames come at 24 a second.
    """
    if not (place / MASKS).is_dir():
        raise BadDataset(f"{place}: no folder {MASKS}; give a folder that has one")
    problems: list[Problem] = []
    side = Sidecar(place, problems)
    told = Told(MASKS, problems)
    folders = _folders(place / MASKS, told)

    def clips() -> Iterator[Clip]:
        for video_id in sorted(folders.keys() | side.at.keys()):
            told = Told(f"{MASKS}/{video_id}", problems)
            with told.trying(""):
                yield _clip(place, video_id, folders.get(video_id, []), side.clip(video_id), told)

    return Reading(side.names, clips(), problems)


def _folders(root: Path, told: Told) -> dict[str, list[str]]:
    """Each clip's id and the names of its object folders, which are those that have pictures."""
    out: dict[str, list[str]] = {}
    for folder, _, files in os.walk(root):
        if any(file.endswith(".png") for file in files):
            video_id, _, name = os.path.relpath(folder, root).rpartition("/")
            if video_id and _is_number(name):
                out.setdefault(video_id, []).append(name)
            else:
                told(short(os.path.relpath(folder, root)), "is no folder <id>/<number> of an object", "rename it")
    return out


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit() and len(name) <= MAX_DIGITS


def _clip(place: Path, video_id: str, names: Sequence[str], known: KnownClip | None, told: Told) -> Clip:
    """A film of its annotated frames; raises `BadRecord` where its size is not known."""
    files = _files(place / MASKS / video_id, names, told)
    indices = sorted({index for there in files.values() for index in there})
    objects: Sequence[Known] = [Known(number + 1) for number in files]
    fits = known is not None and _fits(known, list(files), indices)
    if known and fits:
        objects, indices = known.objects, [frame.index for frame in known.frames]
    elif known:
        told(
            "", f"the sidecar knows {len(known.objects)} objects in {len(known.frames)} frames, other than the folders"
        )
    cells, size_hw = _cells(files, indices, known.size_hw if known else None, told)
    frames = tuple(Frame(index, index / FPS, size_hw) for index in indices)
    found = tuple(found_of(Film(size_hw, objects), at, cells[index]) for at, index in enumerate(indices))
    name, path = (known.name, place / known.file) if known else (checked(video_id), _pixels(place, video_id, indices))
    rewrite = None if path.parent == place / PICTURES / video_id else FILM
    return Clip(
        id_of("sav_png", name),
        name,
        str(path),
        known.frames if known and fits else frames,
        rewrite,
        found,
        side_of(known),
    )


def _files(folder: Path, names: Sequence[str], told: Told) -> dict[int, dict[int, Path]]:
    """Number of object -> index of frame -> picture, both in order."""
    out: dict[int, dict[int, Path]] = {}
    for path in sorted(path for name in names for path in (folder / name).iterdir()):
        number, frame = int(path.parent.name), path.stem
        there = out.setdefault(number, {})
        if path.suffix != ".png" or not _is_number(frame):
            told(short(path.name), "is no <frame>.png", "rename or remove it")
        elif int(frame) in there:
            told(f"object {number}, frame {int(frame)}", "is there twice", "remove one")
        else:
            there[int(frame)] = path
    return {number: dict(sorted(out[number].items())) for number in sorted(out)}


def _fits(known: KnownClip, numbers: Sequence[int], indices: Sequence[int]) -> bool:
    """Whether a clip has the objects that the sidecar knows, in no frame that it does not know."""
    return list(numbers) == list(range(len(known.objects))) and {f.index for f in known.frames}.issuperset(indices)


def _cells(
    files: Mapping[int, Mapping[int, Path]], indices: Sequence[int], size_hw: tuple[int, int] | None, told: Told
) -> tuple[dict[int, list[Cell]], tuple[int, int]]:
    """The masks of each frame by the object's place in order, and their size, which is that of the first picture."""
    cells: dict[int, list[Cell]] = {index: [] for index in indices}
    for at, (number, there) in enumerate(files.items()):
        if len(there) < len(indices):
            missing = next(index for index in indices if index not in there)
            told(f"object {number}", f"lacks {len(indices) - len(there)} frames, the first {missing}", "add them")
        for index, path in there.items():
            with told.trying(f"object {number}, frame {index}"):
                code, size_hw = _from_png(path, size_hw)
                cells[index].append((at, code))
    if size_hw is None:
        raise BadRecord("has no picture that can be read")
    return cells, size_hw


def _from_png(path: Path, size_hw: tuple[int, int] | None) -> tuple[bytes, tuple[int, int]]:
    """A mask's code and size; raises `BadRecord` where it has more than one value besides 0, or another size."""
    values = values_of(path)
    h, w = values.shape
    if size_hw and (h, w) != size_hw:
        raise BadRecord(f"has {h} x {w} (h x w) pixels, other pictures {size_hw[0]} x {size_hw[1]}")
    mask = values != 0
    if (mask & (values != values.max(initial=0))).any():
        raise BadRecord("has more than one object", "give every object a folder")
    return masks.encode(mask), (h, w)


def values_of(path: Path) -> NDArray[np.uint8]:
    """A PNG's numbers, not its colours: -> (H, W)."""
    try:
        content = media.read_bytes(str(path))
        media.probe(content)  # refuses what is too large
        image = pixels.pillow().open(io.BytesIO(content), formats=("PNG",))
        if image.mode in MODES:
            return np.asarray(image).astype(np.uint8, copy=False)
    except BadMedia as error:
        raise BadRecord(str(error)) from error
    except Exception as error:
        if out_of_memory(error):
            raise
        raise BadRecord(f"is no PNG: {first_line(error)}") from error
    raise BadRecord(f"has colours ({image.mode})", "save it with one number a pixel")


def _pixels(place: Path, video_id: str, indices: Sequence[int]) -> Path:
    """Where a clip's pixels are without a sidecar: its picture, or the folder of its frames."""
    folder = place / PICTURES / video_id
    return folder / f"{indices[0]:05d}.jpg" if len(indices) == 1 else folder


SAV_PNG = Format(2, write, read, films=True, frames="jpg", fit=of_one_size_without_crowds, unfit=SEVERAL_SIZES)
