"""Hugging Face Parquet: pictures and objects in `data/train-00000-of-00001.parquet` and on, and a card.

Of a split dataset, val is in `validation-*`, test in `test-*`, as `datasets` calls them.
The file says its columns' types itself, as `datasets` does: `load_dataset(FOLDER)` and `load_dataset("parquet",
data_files=...)` give the same. Pictures keep their bytes, or are upright 8-bit PNG where a plain reader would show them
differently. What is made of anybody's file is in `parquet_reading`.
"""

from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

from pipeline import media
from pipeline.formats import Format, dataset_card
from pipeline.formats.hf_rows import SPLITS, Json, features, in_order
from pipeline.formats.naming import named
from pipeline.formats.parquet_reading import read
from pipeline.formats.writing import named_in_media_errors, numbers_of
from pipeline.ontology import Ontology
from pipeline.records import Clip

__all__ = ["PARQUET", "read", "write"]

SHARD_BYTES = 500_000_000
"""A file is closed when it has so many bytes: the Hub's own limit for what it converts."""
GROUP_BYTES = 32 << 20
GROUP_ROWS = 100
"""So many bytes or pictures are written at once: what a reader has to hold to see one."""


def write(clips: Iterable[Clip], ontology: Ontology, place: Path, hard_link: bool = False) -> dict[str, int]:
    """Write shards and card into the empty folder `place`, each clip looked at once; a row group is in memory.

    Raises `BadRecord` for an object without a mask or of a class that is not exported, `BadMedia` for a picture that
    changed since it was looked at. Nothing can be linked: `hard_link` is passed over.
    """
    names = list(numbers_of(ontology))
    columns = features(names, stored=True)
    (place / "data").mkdir()
    by_class = Counter[int]()
    pictures = 0
    with ExitStack() as files:
        shards = cache(lambda split: files.enter_context(_Shards(place / "data", split, columns.arrow_schema)))
        for clip, row in in_order(named(clips), names, place):
            with named_in_media_errors(clip):
                content = media.exported(clip)
            shards(SPLITS[clip.side]).add(row | {"image": {"bytes": content, "path": row["file_name"]}})
            by_class.update(row["objects"]["category"])
            pictures += 1
        if not pictures:
            shards("train")
    patterns = {split: f"data/{split}-*.parquet" for split in SPLITS.values()}
    splits = {split: pattern for split, pattern in patterns.items() if next(place.glob(pattern), None)}
    dataset_card.write(place, columns, pictures, by_class, splits, typed=True)
    return {}


class _Shards:
    """Parquet files that are written one after another; their number is in their names at the end."""

    def __init__(self, folder: Path, split: str, schema: Any) -> None:
        self.folder, self.split, self.schema = folder, split, schema
        self.files: list[Path] = []
        self.rows: list[Json] = []
        self.waiting = self.written = 0
        self.writer: Any = None

    def __enter__(self) -> "_Shards":
        self._open()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._flush()
        self.writer.close()
        for number, file in enumerate(self.files):
            file.rename(self.folder / f"{self.split}-{number:05d}-of-{len(self.files):05d}.parquet")

    def add(self, row: Json) -> None:
        self.rows.append(row)
        self.waiting += len(row["image"]["bytes"])
        if len(self.rows) == GROUP_ROWS or self.waiting >= GROUP_BYTES:
            self._flush()

    def _open(self) -> None:
        from pyarrow.parquet import ParquetWriter

        self.files.append(self.folder / f"{self.split}.{len(self.files)}.parquet")
        self.writer = ParquetWriter(self.files[-1], self.schema, write_page_checksum=True)
        self.written = 0

    def _flush(self) -> None:
        """Write a row group; a full file gives way to the next, if more comes."""
        import pyarrow as pa

        if not self.rows:
            return
        if self.written >= SHARD_BYTES:
            self.writer.close()
            self._open()
        self.writer.write_batch(pa.RecordBatch.from_pylist(self.rows, schema=self.schema))
        self.written += self.waiting
        self.rows, self.waiting = [], 0


PARQUET = Format(1, write, read, late=True, unpack=read, card=True)
