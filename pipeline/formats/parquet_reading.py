"""Hugging Face Parquet, read from anybody: what cannot be trusted becomes a `Problem` and is left out."""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.errors import BadDataset, BadMedia, BadRecord, first_line
from pipeline.formats import Problem, Reading, dataset_card, foreign
from pipeline.formats.hf_rows import Json, Rows, size_of
from pipeline.formats.naming import checked
from pipeline.formats.sides import WORDS, in_order_of_names, told
from pipeline.records import Clip

SHARD = re.compile(r"(.*-)(\d{5})-of-(\d{5})\.parquet")
COLUMNS = ("file_name", "width", "height", "objects")
BATCH_ROWS = 16  # pictures at a time
FOOTER = {"thrift_string_size_limit": 1 << 26, "thrift_container_size_limit": 1 << 22}
"""Bytes and items that a footer may have; 100 000 row groups need less."""
GROUP_BYTES = 1 << 31
"""A row group that says that it has more bytes is not looked at."""
OBJECTS_BYTES = 1 << 28
"""Nor are pictures whose objects have so many bytes as arrays: as Python's values they have ten times as many."""


def read(place: Path, pictures: Path | None = None) -> Reading:
    """Read the Parquet files in a folder, in its `data`, or the one given; raises `BadDataset` if none can be read.

    Pixels inside a file have no path: a clip's `path` is '' and the pictures are not even read, unless a folder for
    `pictures` is given. Then each is written there under its name when its clip is drawn, and stays.
    """
    problems: list[Problem] = []
    files = [file for file in _files(place, problems) if _opens(file, problems)]
    if not files:
        raise BadDataset(str(problems[0]))
    names = _names(files[0]) or dataset_card.names(files[0].parent)
    if names is None:
        raise BadDataset(f"{files[0]}: no class names; the file or {dataset_card.FILE} has them, as ClassLabel")
    rows = Rows("parquet", names, problems)
    split = _by_side(files)

    def clips(side: str) -> Iterator[Clip]:
        for file in split[side]:
            for number, row in _rows(file, pictures is not None, problems):
                where = f"{file.name}: row {number}"
                try:
                    yield _clip(rows, row, where, f"{file.stem}/{number:08d}", pictures, side)
                except BadRecord as error:
                    problems.append(Problem(where, *error.args))

    return Reading(names, in_order_of_names(map(clips, split)), problems)


def _by_side(files: Sequence[Path]) -> dict[str, list[Path]]:
    """The files by sides, where the names of all begin with one, and there is more than one."""
    by_side: dict[str, list[Path]] = {}
    for file in files:
        by_side.setdefault(WORDS.get(file.name.partition("-")[0], ""), []).append(file)
    return by_side if told(by_side) and "" not in by_side else {"": list(files)}


def _files(place: Path, problems: list[Problem]) -> list[Path]:
    """The Parquet files, and a problem for each that others of its name say is there; raises `BadDataset`."""
    if not place.is_dir():
        return [place]
    files = sorted([*place.glob("data/*.parquet"), *place.glob("*.parquet")])
    if not files:
        raise BadDataset(f"{place}: no Parquet file there, nor in {place.name}/data; give a dataset in Parquet files")
    shards = [match for file in files if (match := SHARD.fullmatch(file.name))]
    for begin, total in sorted({(match[1], match[3]) for match in shards}):
        there = {match[2] for match in shards if (match[1], match[3]) == (begin, total)}
        gone = [number for number in range(int(total)) if f"{number:05d}" not in there]
        if gone:
            name = f"{begin}{gone[0]:05d}-of-{total}.parquet"
            problems.append(Problem(name, f"is missing, with {len(gone) - 1} others", "get the dataset again"))
    return files


def _opens(file: Path, problems: list[Problem]) -> bool:
    """Whether a file is one that we can read; a problem, where not."""
    try:
        columns = _open(file).schema_arrow.names
    except BadRecord as error:
        problems.append(Problem(str(file), *error.args))
        return False
    if "objects" not in columns:
        listed = ", ".join(columns[:9])
        problems.append(Problem(str(file), f"has no column 'objects' (it has {listed})", "give a file that has"))
    return "objects" in columns


def _open(file: Path) -> Any:
    """The `ParquetFile`; raises `BadRecord` where it is none."""
    from pyarrow.parquet import ParquetFile

    with _blamed():
        opened = ParquetFile(file, page_checksum_verification=True, **FOOTER)
        said, groups = opened.metadata.num_rows, range(opened.num_row_groups)
        if said > file.stat().st_size or said != sum(opened.metadata.row_group(group).num_rows for group in groups):
            raise BadRecord(f"says that it has {said} rows, which it cannot have", "get the file again")
        return opened


@contextmanager
def _blamed() -> Iterator[None]:
    """Whatever pyarrow raises becomes a `BadRecord`: it has no one error for a damaged file."""
    try:
        yield
    except BadRecord:
        raise
    except Exception as error:
        raise BadRecord(f"cannot be read as Parquet: {first_line(error)[:200]}", "get the file again") from error


def _names(file: Path) -> dict[int, str] | None:
    """The classes that the file itself names, in what `datasets` writes into it."""
    try:
        said = (_open(file).schema_arrow.metadata or {}).get(b"huggingface", b"{}")
        return dataset_card.labels(json.loads(said))
    except (ValueError, RecursionError):
        return None


def _rows(file: Path, pixels: bool, problems: list[Problem]) -> Iterator[tuple[int, Json]]:
    """The rows of a file that can be read, numbered from 0; `pixels` says that pictures are wanted."""
    opened = _open(file)
    there = opened.schema_arrow.names
    sized = "width" in there and "height" in there
    columns = [*COLUMNS, "image" if pixels or not sized else "image.path"]
    number = 0
    for group in range(opened.num_row_groups):
        end = number + opened.metadata.row_group(group).num_rows
        try:
            with _blamed():
                _check("bytes in one row group", opened.metadata.row_group(group).total_byte_size, GROUP_BYTES)
                for batch in opened.iter_batches(BATCH_ROWS, row_groups=[group], columns=columns, use_threads=False):
                    _check("bytes of objects in a few rows", batch.column("objects").nbytes, OBJECTS_BYTES)
                    for index in range(batch.num_rows):
                        yield number, batch.slice(index, 1).to_pylist()[0]
                        number += 1
                if number != end:
                    raise BadRecord("are not there", "get the file again")
        except BadRecord as error:
            problems.append(Problem(f"{file.name}: rows {number} to {end - 1}", *error.args))
            number = end


def _check(what: str, size: int, limit: int) -> None:
    """Raise `BadRecord` for what is too large to be looked at.

    `RowGroupMetaData.column` would tell more, and ends the process where a footer is damaged (pyarrow 26).
    """
    if size > limit:
        raise BadRecord(f"{size} {what}; at most {limit} are read", "write smaller row groups")


def _clip(rows: Rows, row: Json, where: str, spare: str, pictures: Path | None, side: str) -> Clip:
    image = row.get("image")
    image = image if isinstance(image, dict) else {"bytes": image}
    name = rows.name(_name(row, image.get("path"), spare, rows), side)
    size_hw = size_of(row, lambda: _content(image))
    clip = rows.clip(row, where, name, "" if pictures is None else str(pictures / name), size_hw, side)
    if pictures is not None:
        try:
            (pictures / name).parent.mkdir(parents=True, exist_ok=True)
            (pictures / name).write_bytes(_content(image))
        except (OSError, BadMedia) as error:
            raise BadRecord(f"its picture cannot be written to {pictures}: {first_line(error)}") from error
    return clip


def _name(row: Json, path: Any, spare: str, rows: Rows) -> str:
    """The row's file name, or else its picture's, if that is one and not taken; `spare` where neither can be."""
    if row.get("file_name") is not None:
        return checked(foreign.text(row, "file_name"))
    try:
        name = checked(foreign.text({"path": path}, "path"))
    except BadRecord:
        return spare
    return spare if name in rows.seen else name


def _content(image: Json) -> bytes:
    """A picture's bytes; raises `BadMedia` where there are none."""
    content = image.get("bytes")
    if not isinstance(content, bytes) or not content:
        raise BadMedia("empty_file")
    return content
