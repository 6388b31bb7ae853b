"""Hugging Face imagefolder: pictures below `train/`, one line a picture in `train/metadata.jsonl`, and a card.

Of a split dataset, val is in `validation/`, test in `test/`, as `datasets` calls them.
`datasets.load_dataset(FOLDER)` gives typed columns, because the card says them. Pictures without objects have a
line, too: `datasets` loads only what is listed.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cache, partial
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import IO, Any

from pipeline import media
from pipeline.errors import BadDataset, BadRecord
from pipeline.formats import Format, Problem, Reading, dataset_card, foreign
from pipeline.formats.hf_rows import SPLITS, Rows, features, in_order, size_of
from pipeline.formats.naming import checked
from pipeline.formats.sides import WORDS, below, in_order_of_names, told
from pipeline.formats.writing import numbers_of, with_pictures
from pipeline.ontology import Ontology
from pipeline.records import Clip

FILE = "metadata.jsonl"
SPECIAL = ("metadata.jsonl", "metadata.csv", "metadata.parquet")
LONGEST = 1 << 28  # bytes of one line
PEEK = 100  # lines of which one has to be a JSON object
PLAIN = re.compile(r"([^$]*/)?[^$/.][^$/]*\.(bmp|jfif|jpe?g|jpe|p[bgnp]m|png|tiff?|webp)", re.DOTALL | re.IGNORECASE)
ODD = "names that datasets may not load: hidden, with $ or without a picture's suffix"
"""`datasets` puts the environment's variables into names, passes over hidden files, and goes by the suffix."""


def write(clips: Iterable[Clip], ontology: Ontology, place: Path, hard_link: bool = False) -> dict[str, int]:
    """Write pictures, metadata and card into the empty folder `place`, each clip looked at once, one in memory.

    Raises `BadRecord` for an object without a mask or of a class that is not exported, `BadMedia` for a picture that
    changed since it was looked at.
    """
    names = list(numbers_of(ontology))
    by_class = Counter[int]()
    pictures = odd = 0
    in_folders = (replace(clip, side=SPLITS[clip.side]) for clip in clips)
    rows = in_order(map(_usable, with_pictures(in_folders, place, hard_link)), names, place)
    with ExitStack() as files:
        lines = cache(lambda split: files.enter_context(_opened(place / split)))
        for clip, row in rows:
            lines(clip.side).write(json.dumps(row) + "\n")
            by_class.update(row["objects"]["category"])
            pictures += 1
            odd += not PLAIN.fullmatch(row["file_name"])
        if not pictures:
            lines("train")
    columns = features(names, stored=False)
    splits = {split: f"{split}/**" for split in SPLITS.values() if (place / split).is_dir()}
    dataset_card.write(place, columns, pictures, by_class, splits, typed=False)
    return {ODD: odd} if odd else {}


def _opened(folder: Path) -> IO[str]:
    folder.mkdir(exist_ok=True)
    return (folder / FILE).open("w", encoding="ascii", newline="\n")


def _usable(pair: tuple[str, Clip]) -> tuple[str, Clip]:
    if PurePosixPath(pair[0]).name in SPECIAL:
        raise BadRecord(f"{pair[1].name}: a picture of this name is taken for metadata; rename it")
    return pair


def read(place: Path) -> Reading:
    """Read the metadata files in a folder and the folders in it, or the one given; raises `BadDataset`.

    Lines are read one by one. The classes are those that the card names. A picture without a size in its line is
    looked at. Where there are several metadata files, and their folders are no sides, names begin with their folders.
    """
    files = _files(place)
    problems: list[Problem] = []
    names = dataset_card.names(place if place.is_dir() else place.parent)
    if names is None:
        raise BadDataset(f"{place}: no class names; {dataset_card.FILE} has them in dataset_info, as ClassLabel")
    if not any(map(_tells, files)):
        raise BadDataset(f"{files[0]}: no line is a JSON object; give a folder with {FILE}")
    rows = Rows("imagefolder", names, problems)
    split = _by_side(files)

    def clips(side: str) -> Iterator[Clip]:
        for file in split[side]:
            folder = "" if len(files) == 1 or file.parent == place else file.parent.name
            for number, line in enumerate(_lines(file), 1):
                where = f"{below(folder, file.name)}: line {number}"
                try:
                    if line.strip():
                        yield _clip(rows, line, where, file.parent, "" if side else folder, side)
                except BadRecord as error:
                    problems.append(Problem(where, *error.args))

    return Reading(names, in_order_of_names(map(clips, split)), problems)


def _by_side(files: Sequence[Path]) -> dict[str, list[Path]]:
    """The metadata files by sides, where all are in folders that are sides, and there is more than one."""
    by_side: dict[str, list[Path]] = {}
    for file in files:
        by_side.setdefault(WORDS.get(file.parent.name, ""), []).append(file)
    return by_side if told(by_side) and "" not in by_side else {"": list(files)}


def _files(place: Path) -> list[Path]:
    """The metadata files; raises `BadDataset` where there are none."""
    files = sorted([*place.glob(FILE), *place.glob(f"*/{FILE}")]) if place.is_dir() else [place]
    if not files:
        raise BadDataset(f"{place}: no {FILE} there, nor in a folder in it; an imagefolder dataset has train/{FILE}")
    return files


def _lines(file: Path) -> Iterator[bytes]:
    """The lines of a file, however long; what is longer than `LONGEST` comes in pieces, which are no JSON."""
    try:
        with file.open("rb") as opened:
            while line := opened.readline(LONGEST):
                yield line
    except OSError as error:
        raise BadDataset(f"{file}: {error.strerror}; give an imagefolder dataset") from error


def _tells(file: Path) -> bool:
    """Whether one of the first lines is a JSON object, or there are none."""
    lines = [line for line in islice(_lines(file), PEEK) if line.strip()]
    return not lines or any(isinstance(_parsed(line), dict) for line in lines)


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None


def _clip(rows: Rows, line: bytes, where: str, folder: Path, begin: str, side: str) -> Clip:
    row = _parsed(line)
    if not isinstance(row, dict):
        raise BadRecord("is no JSON object", "correct or remove the line")
    name = checked(foreign.text(row, "file_name"))
    path = str(folder / name)
    size_hw = size_of(row, partial(media.read_bytes, path))
    return rows.clip(row, where, rows.name(below(begin, name), side), path, size_hw, side)


IMAGEFOLDER = Format(1, write, read, card=True)
