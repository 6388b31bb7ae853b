"""run.db: what every stage answered, what models said, and why things went. A cache: safe to delete.

SQLite with a write-ahead log, synced at every commit, one writer. Keys are hashes of content, so a row is right for
ever, and another run's store can be read for what it knows. docs/architecture.md describes the tables.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import database
from pipeline.records import Drop

BORROW_AT_ONCE = 1024  # rows of reused runs that wait in memory for a commit


@dataclass(frozen=True, slots=True)
class Result:
    """What one stage answered for one clip, and the changes it made as bytes of `records.to_blob`."""

    key: str
    clip: str
    stage: str
    output: str
    drops: tuple[Drop, ...]
    blob: bytes


@dataclass(frozen=True, slots=True)
class Failure:
    """A clip that fails at a stage and would again: kept under the stage's key."""

    key: str
    clip: str
    stage: str
    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """What is looked up of a result: the hash of the record after it, and how many objects went, by reason."""

    output: str
    counts: dict[str, int]


@dataclass(frozen=True, slots=True)
class Remembered:
    """What a model said of one part of a clip (a prompt, a box): `scope` is the hash of the model and its settings."""

    clip: str
    scope: str
    part: str
    blob: bytes


@dataclass(frozen=True, slots=True)
class Aside:
    """A picture that is not in the dataset: which stage set it aside, and why."""

    name: str
    stage: str
    reason: str
    detail: str = ""


class Store:
    """One run's store; `reuse` are other runs' stores, read only: what they know is copied when it is used.

    With `read_only` nothing is written, whatever its state: raises `ConfigError` where it cannot be read.
    """

    def __init__(self, path: Path | None, reuse: Sequence[Path] = (), read_only: bool = False) -> None:
        self.path = path
        with database.explained(path):
            self._db = database.connect_read_only(path) if path and read_only else database.connect(path)
            self._others = [database.connect_read_only(other) for other in reuse]
        self._borrowed: list[tuple[str, Sequence[Any]]] = []
        self._borrowed_of: set[str] = set()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Fold the log into the file and let go of it."""
        for db in (*self._others, self._db):
            db.close()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """All writes inside the block are one commit: on disk when it ends, or not at all."""
        with database.explained(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                for table, values in self._borrowed:
                    marks = ", ".join("?" * len(values))
                    self._db.execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", values)
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # a full disk may have ended it already
                    self._db.execute("ROLLBACK")
                raise
            self._borrowed.clear()

    # Files

    def seen(self) -> dict[str, tuple[str, list[Any]]]:
        """What is known of files: path -> (stamp, plain values of `sources.Seen`); the own store's word goes last."""
        known: dict[str, tuple[str, list[Any]]] = {}
        for db in (*reversed(self._others), self._db):
            rows = db.execute("SELECT path, stamp, seen FROM files")
            known.update({path: (stamp, json.loads(seen)) for path, stamp, seen in rows})
        return known

    def remember_files(self, rows: Iterable[tuple[str, str, list[Any]]]) -> None:
        """Remember what looking at files has shown: (path, stamp, plain values)."""
        self._db.executemany(
            "INSERT OR REPLACE INTO files VALUES (?, ?, ?)", ((p, s, json.dumps(form)) for p, s, form in rows)
        )

    # Results

    def result(self, key: str) -> Found | Failure | None:
        """What is under a key, no blob opened; what a reused run has is copied with the next commit."""
        row = self._db.execute("SELECT key, clip, stage, output, counts FROM results WHERE key = ?", (key,)).fetchone()
        for other in () if row else self._others:
            row = other.execute("SELECT * FROM results WHERE key = ?", (key,)).fetchone()
            if row is not None:
                self._borrow(row)
                break
        if row is None:
            return None
        key, clip, stage, output, counts = row[:5]
        said = json.loads(counts)
        return Found(output, said) if output is not None else Failure(key, clip, stage, *said)

    def _borrow(self, row: Sequence[Any]) -> None:
        """Copy a result of another run, and what models said of its clip; a store in memory copies nothing."""
        if self.path is not None:
            self._borrowed.append(("results", row))
            self.borrow_memory([row[1]])

    def borrow_memory(self, clips: Iterable[str]) -> None:
        """Copy what models said of clips in reused runs, once each, with the next commit."""
        if self.path is None or not self._others:
            return
        for clip in [clip for clip in clips if clip not in self._borrowed_of]:
            self._borrowed_of.add(clip)
            for other in self._others:
                said = other.execute("SELECT * FROM memory WHERE clip = ?", (clip,))
                self._borrowed += [("memory", row) for row in said]
        if len(self._borrowed) >= BORROW_AT_ONCE:
            with self.writing():
                pass

    def blob(self, key: str) -> bytes:
        """The changes that a stage made: bytes of `records.to_blob`; raises `KeyError`."""
        return bytes(self._column("blob", key))

    def drops(self, key: str) -> list[Drop]:
        """What went at a stage; raises `KeyError`."""
        return [Drop(*drop) for drop in json.loads(self._column("drops", key))]

    def stage(self, key: str) -> str:
        """The stage that a result is of; raises `KeyError`."""
        return str(self._column("stage", key))

    def _column(self, column: str, key: str) -> Any:
        for db in (self._db, *self._others):
            row = db.execute(f"SELECT {column} FROM results WHERE key = ?", (key,)).fetchone()
            if row is not None:
                return row[0]
        raise KeyError(key)

    def add(self, results: Iterable[Result | Failure], remembered: Iterable[Remembered] = ()) -> None:
        """Keep results and what models said; inside `writing`."""
        self._db.executemany("INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?, ?, ?)", map(_row, results))
        self._db.executemany(
            "INSERT OR REPLACE INTO memory VALUES (?, ?, ?, ?)",
            ((m.clip, m.scope, m.part, m.blob) for m in remembered),
        )

    def memory(self, clip: str, scopes: Sequence[str]) -> dict[tuple[str, str], bytes]:
        """What models with these scopes said of a clip: (scope, part) -> bytes; the own store's word goes first."""
        found: dict[tuple[str, str], bytes] = {}
        marks = ", ".join("?" * len(scopes))
        for db in (*reversed(self._others), self._db):
            rows = db.execute(
                f"SELECT scope, part, blob FROM memory WHERE clip = ? AND scope IN ({marks})",
                (clip, *scopes),
            )
            found.update({(scope, part): bytes(blob) for scope, part, blob in rows})
        return found

    # Films on their way

    def state(self, film: str, keys: Sequence[str]) -> tuple[str, bytes] | None:
        """What the latest of some results has left for the next segment of its film: its key, and the state."""
        kept: dict[str, bytes] = {}
        for db in (*reversed(self._others), self._db):
            kept.update(db.execute("SELECT key, blob FROM states WHERE film = ?", (film,)))
        latest = next((key for key in reversed(keys) if key in kept), None)
        return None if latest is None else (latest, kept[latest])

    def keep_state(self, film: str, key: str, blob: bytes) -> None:
        """Keep what a result leaves for the next segment; the film's state before goes. Inside `writing`."""
        self._db.execute("INSERT OR REPLACE INTO states VALUES (?, ?, ?)", (film, key, blob))

    def forget_state(self, film: str) -> None:
        """The film is at its end. Inside `writing`."""
        self._db.execute("DELETE FROM states WHERE film = ?", (film,))

    # The run as it stands

    def pictures(self) -> dict[str, tuple[str, list[list[str]]]]:
        """The pictures and films of the run in the order of names: name -> (what it is, the keys of each part)."""
        rows = self._db.execute("SELECT name, record, chain FROM pictures ORDER BY name")
        return {name: (record, json.loads(chain)) for name, record, chain in rows}

    def set_pictures(self, rows: dict[str, tuple[str, list[list[str]]]]) -> None:
        """Say which pictures and films the run has; only what differs is written."""
        before = self.pictures()
        self._db.executemany("DELETE FROM pictures WHERE name = ?", ((name,) for name in before.keys() - rows.keys()))
        self._db.executemany(
            "INSERT OR REPLACE INTO pictures VALUES (?, ?, ?)",
            (
                (name, record, json.dumps(chain))
                for name, (record, chain) in rows.items()
                if before.get(name) != (record, chain)
            ),
        )

    def aside(self) -> list[Aside]:
        """The pictures that are not in the dataset, in the order of names."""
        return [Aside(*row) for row in self._db.execute("SELECT * FROM aside ORDER BY name")]

    def set_aside(self, rows: Iterable[Aside]) -> None:
        """Say which pictures are not in the dataset."""
        wanted = {(a.name, a.stage, a.reason, a.detail) for a in rows}
        before = set(self._db.execute("SELECT * FROM aside"))
        self._db.executemany("DELETE FROM aside WHERE name = ?", ((row[0],) for row in before - wanted))
        self._db.executemany("INSERT OR REPLACE INTO aside VALUES (?, ?, ?, ?)", sorted(wanted - before))

    def notes(self) -> list[tuple[str, str, str]]:
        """What happened to the run as a whole: (stage, reason, detail)."""
        return list(self._db.execute("SELECT * FROM notes ORDER BY stage, reason, detail"))

    def note(self, rows: Iterable[tuple[str, str, str]]) -> None:
        """Note what happened to the run as a whole."""
        self._db.executemany("INSERT OR IGNORE INTO notes VALUES (?, ?, ?)", rows)

    def forget_notes(self, reason: str) -> None:
        """Take back all notes of a reason. Inside `writing`."""
        self._db.execute("DELETE FROM notes WHERE reason = ?", (reason,))

    def counts(self) -> dict[str, int]:
        """How many results each stage has here, of whatever settings."""
        return dict(self._db.execute("SELECT stage, count(*) FROM results GROUP BY stage"))


def _row(result: Result | Failure) -> tuple[Any, ...]:
    if isinstance(result, Failure):
        return result.key, result.clip, result.stage, None, json.dumps([result.reason, result.detail]), None, None
    counts = json.dumps(Counter(drop.reason for drop in result.drops), sort_keys=True)
    drops = json.dumps([[d.row, d.reason, d.survivor, d.detail, d.at] for d in result.drops], separators=(",", ":"))
    return result.key, result.clip, result.stage, result.output, counts, drops, result.blob
