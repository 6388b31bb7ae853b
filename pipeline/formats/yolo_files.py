"""Where the pictures of a YOLO dataset are, and which label belongs to which: the rules of ultralytics 8.4."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from reprlib import repr as short
from typing import Any

from pipeline.errors import BadRecord
from pipeline.formats.naming import checked
from pipeline.formats.reading import is_file
from pipeline.formats.sides import WORDS, told, without

YAML, IMAGES, LABELS = "data.yaml", "images", "labels"
SPLITS = ("train", "val", "validation", "test", "minival")
SUFFIXES = frozenset(("avif", "bmp", "dng", "heic", "heif", "jp2", "jpeg", "jpg", "mpo", "png", "tif", "tiff", "webp"))
"""Of the files that ultralytics takes for pictures (its data/utils.py, IMG_FORMATS)."""
NO_LABELS = ("classes.txt", "notes.txt", "README.txt")
"""What labelling tools put among labels."""
MAX_LIST_BYTES = 1 << 28

Tell = Callable[[str, str, str], None]
"""Takes where, what and how to mend it."""


def label_of(picture: str) -> str:
    """The label of a picture, by path: the last `/images/` becomes `/labels/`.

    >>> label_of("/data/images/a/images/b.tar.jpg")
    '/data/images/a/labels/b.tar.txt'
    """
    before, images, name = picture.rpartition(f"/{IMAGES}/")
    folder, slash, file = (f"{before}/{LABELS}/{name}" if images else picture).rpartition("/")
    return f"{folder}{slash}{file.rpartition('.')[0] or file}.txt"


def suffix(name: str) -> str:
    """What comes after the last dot, in small letters."""
    return name.rpartition(".")[2].lower()


@dataclass(slots=True)
class Files:
    """The pictures found: path of each by the name it has in the dataset, picture by label, and side by path."""

    root: Path
    by_name: dict[str, str] = field(default_factory=dict)
    by_label: dict[str, str] = field(default_factory=dict)
    sides: dict[str, str] = field(default_factory=dict)
    shared: bool = False

    def side(self, path: str) -> str:
        """The side that a picture is on; '' where the dataset is not split, or its sides share pictures."""
        return self.sides[path] if self.split else ""

    @property
    def split(self) -> bool:
        """Whether there is more than one side, and every picture is on one."""
        return told(self.sides.values()) and not self.shared

    def shown(self, path: str) -> str:
        """A path for people: below the dataset, if it is."""
        return path.removeprefix(f"{self.root}/")


def find(path: Path, data: Mapping[str, Any], tell: Tell) -> Files:
    """The pictures of all splits of the data.yaml at `path`; what is not there, or there twice, is told."""
    said = data.get("path")
    root = Path(os.path.normpath(path.parent / said)) if isinstance(said, str) else path.parent
    files = Files(root)
    if "train" not in data or not {"val", "validation"} & data.keys():
        tell(path.name, "train or val is missing", "ultralytics needs both; they may be the same")
    folders = []
    entries: dict[str, str] = {}
    for key in SPLITS:
        for entry in _entries(path.name, key, data.get(key), tell):
            entries.setdefault(entry, WORDS[key])  # val may be what train is
    for entry, side in entries.items():
        tries = (root / entry, root / entry.removeprefix("../"), path.parent / entry)
        place = next((Path(os.path.normpath(there)) for there in tries if is_file(there) or there.is_dir()), None)
        if place is None:
            tell(path.name, f"{short(entry)} is not there", f"put pictures into {root / entry}, or correct it")
        elif place in (*root.parents, *path.parent.parents):
            tell(path.name, f"{short(entry)} has the dataset in it", "name the folder of the pictures")
        elif place.is_dir():
            folders.append(str(place))
            _add(files, _below(str(place)), side, tell)
        else:
            _add(files, _listed(place, root, partial(tell, files.shown(str(place)))), side, tell)
    _name_by_sides(files, tell)
    for folder in folders:
        _tell_orphans(files, folder, tell)
    return files


def _entries(where: str, key: str, value: Any, tell: Tell) -> list[str]:
    """The folders and lists of a split."""
    entries = value if isinstance(value, list) else [] if value is None else [value]
    if all(isinstance(entry, str) and entry for entry in entries):
        return entries
    tell(f"{where}: {key}", f"is {short(value)}", "name a folder, a list of pictures, or several")
    return []


def _below(folder: str) -> Iterator[str]:
    """The pictures in a folder and in all folders of it: by suffix, or because they have a label of their own."""
    for parent, folders, names in os.walk(folder):
        folders.sort()
        stems = {name.rpartition(".")[0] for name in names if suffix(name) in SUFFIXES}
        for name in sorted(names):
            path = f"{parent}/{name}"
            other = suffix(name) != "txt" and name.rpartition(".")[0] not in stems
            if suffix(name) in SUFFIXES or (other and is_file(Path(label_of(path)))):
                yield path


def _listed(place: Path, root: Path, tell: Callable[[str, str], None]) -> Iterator[str]:
    """The pictures in a list, one a line; `./` is the list's own folder."""
    try:
        if place.stat().st_size > MAX_LIST_BYTES:
            raise ValueError(f"more than {MAX_LIST_BYTES} bytes")
        lines = place.read_text(encoding="utf-8-sig").strip().splitlines()
    except (OSError, ValueError) as error:
        tell(f"cannot be read: {error}", "list one picture a line, as UTF-8")
        return
    loose = [line for line in lines if line and not line.startswith(("./", "/"))]
    if loose:
        tell(f"{short(loose[0])}: ultralytics takes it from the folder it is started in", "let lines begin with ./")
    for line in filter(None, lines):
        beside, below = place.parent / line, root / line
        yield os.path.normpath(below if not is_file(beside) and is_file(below) else beside)


def _add(files: Files, paths: Iterable[str], side: str, tell: Tell) -> None:
    known = set(files.by_name.values())
    for path in paths:
        if path in known:
            files.shared |= files.sides[path] != side
            continue
        where = files.shown(path)
        other = files.by_label.setdefault(label_of(path), path)
        try:
            name = checked(_name(path, files.root))
            if name in files.by_name:
                raise BadRecord(f"{files.shown(files.by_name[name])} has the same name below {IMAGES}", "rename one")
        except BadRecord as error:
            tell(where, *(*error.args, "rename it")[:2])
            continue
        if other != path:
            tell(where, f"has the same label as {files.shown(other)}", "rename one; names differ in the suffix alone")
        if suffix(path) not in SUFFIXES:
            tell(where, "ultralytics does not take it for a picture", "save it as JPEG or PNG")
        files.by_name[name] = path
        files.sides[path] = side
        known.add(path)


def _name_by_sides(files: Files, tell: Tell) -> None:
    """Let names do without the folder of the side, if that leaves no two alike, and no picture is on two sides."""
    named, files.by_name = files.by_name, {}
    for name, path in named.items():
        choices = (name if files.shared else without(files.sides[path], name), name)
        free = next((choice for choice in choices if choice not in files.by_name), None)
        if free is None:
            tell(files.shown(path), f"{files.shown(files.by_name[name])} has the same name on its side", "rename one")
        else:
            files.by_name[free] = path


def _name(path: str, root: Path) -> str:
    """A picture's name: its path in the dataset without the first folder `images`."""
    below = path.removeprefix(f"{root}/")
    if below == path:  # elsewhere
        return path.rpartition(f"/{IMAGES}/")[2] if f"/{IMAGES}/" in path else path.rpartition("/")[2]
    parts = below.split("/")
    if IMAGES in parts[:-1]:
        parts.remove(IMAGES)
    return "/".join(parts)


def _tell_orphans(files: Files, folder: str, tell: Tell) -> None:
    """Tell of labels without a picture, in the folder where those of `folder` are."""
    labels = label_of(f"{folder}/_.jpg").rpartition("/")[0]
    for parent, folders, names in os.walk(labels if labels != folder else ""):
        folders.sort()
        for name in sorted(names):
            path = f"{parent}/{name}"
            if suffix(name) == "txt" and name not in NO_LABELS and path not in files.by_label:
                tell(files.shown(path), "a label without a picture", "put the picture there, or remove the label")
