"""The names of a dataset's pictures: safe below a folder, and no two alike. Knows no pixels and no format."""

from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path, PurePosixPath, PureWindowsPath
from reprlib import repr as short

from pipeline import media
from pipeline.errors import BadRecord
from pipeline.records import Clip

FILMS = frozenset(
    (
        *(".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4"),
        *(".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".vob", ".webm", ".wmv"),
    )
)
"""What a folder of frames may still be called by, which were taken out of a film: `a.mp4`, but not `shot.1`."""
MAX_PART_BYTES = 255  # of a file's or folder's name, on every common file system


def checked(name: str) -> str:
    """The name in its plain form, if it stays below the folder it is put in; raises `BadRecord` otherwise.

    >>> checked("./day 1//a.jpg")
    'day 1/a.jpg'
    """
    plain = PurePosixPath(name)
    try:
        longest = max((len(part.encode()) for part in plain.parts), default=0)
    except UnicodeEncodeError:
        raise BadRecord(f"file name {short(name)!a} is not valid Unicode") from None
    if not plain.parts or "\0" in name:
        raise BadRecord(f"file name {short(name)} names no file")
    if "://" in name:
        raise BadRecord(f"file name {short(name)} is an address, not a file")
    if plain.is_absolute() or ".." in plain.parts or "\\" in name or PureWindowsPath(name).drive:
        raise BadRecord(f"file name {short(name)} leads out of the dataset")
    if longest > MAX_PART_BYTES:
        raise BadRecord(f"file name {short(name)} has a part longer than {MAX_PART_BYTES} bytes")
    return str(plain)


def named(clips: Iterable[Clip], stems: bool = False) -> Iterator[tuple[str, Clip]]:
    """Each clip with the name that its picture has in a dataset, in the order given.

    A picture that is written anew may come to the name of another (`a.gif` becomes `a.gif.png`, which is
    there too), or to that of a folder: the later of the two moves into the folder `2`, or the next one. With `stems`,
    `a.jpg` and `a.png` are such names too, and `a.mp4` and the folder `a`, in which its frames are: for formats that
    know a picture by its name without the suffix.
    """
    files: set[str] = set()
    folders: set[str] = set()
    taken: set[str] = set()
    for clip in clips:
        name = checked(media.export_name(clip))
        for choice in (f"{number}/{name}" if number > 1 else name for number in count(1)):
            key = (frames_folder(choice, clip) if clip.is_film else stem(choice)) if stems else choice
            places = {choice, key} if clip.is_film else {choice}
            if key not in taken and folders.isdisjoint(places) and files.isdisjoint(_folders(choice)):
                break
        taken.add(key)
        files |= places
        folders.update(_folders(choice))
        yield choice, clip


def stem(name: str) -> str:
    """The name without its last suffix.

    >>> stem("a.b/c.tar.jpg")
    'a.b/c.tar'
    """
    return str(PurePosixPath(name).with_suffix(""))


def frames_folder(name: str, film: Clip) -> str:
    """Where a dataset has the frames of a film of this name: without the suffix, if it is a file or has a film's."""
    in_a_file = PurePosixPath(name).suffix.lower() in FILMS or not Path(film.path).is_dir()
    return stem(name) if in_a_file else name


def _folders(name: str) -> list[str]:
    """The folders that a name goes through.

    >>> _folders("a/b/c.jpg")
    ['a/b', 'a']
    """
    return [str(parent) for parent in PurePosixPath(name).parents][:-1]
