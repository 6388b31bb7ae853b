"""Hugging Face imagefolder: pictures below `train/`, one line a picture in `train/metadata.jsonl`, and a card.

`datasets.load_dataset(FOLDER)` gives typed columns, because the card says them. Pictures without objects have a
line, too: `datasets` loads only what is listed.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline import media
from pipeline.errors import BadDataset, BadRecord
from pipeline.formats import Format, Problem, Reading, dataset_card, foreign
from pipeline.formats.hf_rows import Rows, features, in_order, size_of
from pipeline.formats.naming import checked
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
    names, train = list(numbers_of(ontology)), place / "train"
    train.mkdir()
    by_class = Counter[int]()
    pictures = odd = 0
    rows = in_order(map(_usable, with_pictures(clips, train, hard_link)), names, place)
    with (train / FILE).open("w", encoding="ascii", newline="\n") as out:
        for _, row in rows:
            out.write(json.dumps(row) + "\n")
            by_class.update(row["objects"]["category"])
            pictures += 1
            odd += not PLAIN.fullmatch(row["file_name"])
    columns = features(names, stored=False)
    dataset_card.write(place, columns, pictures, by_class, "train/**", typed=False)
    return {ODD: odd} if odd else {}


def _usable(pair: tuple[str, Clip]) -> tuple[str, Clip]:
    if PurePosixPath(pair[0]).name in SPECIAL:
        raise BadRecord(f"{pair[1].name}: a picture of this name is taken for metadata; rename it")
    return pair


def read(place: Path) -> Reading:
    """Read the metadata files in a folder and the folders in it, or the one given; raises `BadDataset`.

    Lines are read one by one. The classes are those that the card names. A picture without a size in its line is
    looked at. Where there are several metadata files, names begin with their folders.
    """
    files = _files(place)
    problems: list[Problem] = []
    names = dataset_card.names(place if place.is_dir() else place.parent)
    if names is None:
        raise BadDataset(f"{place}: no class names; {dataset_card.FILE} has them in dataset_info, as ClassLabel")
    if not any(map(_tells, files)):
        raise BadDataset(f"{files[0]}: no line is a JSON object; give a folder with {FILE}")
    rows = Rows("imagefolder", names, problems)

    def clips() -> Iterator[Clip]:
        for file in files:
            begin = "" if len(files) == 1 or file.parent == place else f"{file.parent.name}/"
            for number, line in enumerate(_lines(file), 1):
                where = f"{begin}{file.name}: line {number}"
                try:
                    if line.strip():
                        yield _clip(rows, line, where, file.parent, begin)
                except BadRecord as error:
                    problems.append(Problem(where, *error.args))

    return Reading(names, clips(), problems)


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


def _clip(rows: Rows, line: bytes, where: str, folder: Path, begin: str) -> Clip:
    row = _parsed(line)
    if not isinstance(row, dict):
        raise BadRecord("is no JSON object", "correct or remove the line")
    name = checked(foreign.text(row, "file_name"))
    path = str(folder / name)
    return rows.clip(row, where, begin + name, path, size_of(row, partial(media.read_bytes, path)))


IMAGEFOLDER = Format(1, write, read)
