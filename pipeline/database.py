"""SQLite as masklet uses it: the tables, how a file is opened, and what its errors mean to a person."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import ConfigError, DiskFull

SCHEMA_VERSION = 2

SCHEMA = """
CREATE TABLE IF NOT EXISTS meta     (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS files    (path TEXT PRIMARY KEY, stamp TEXT, seen TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS results  (key TEXT PRIMARY KEY, clip TEXT, stage TEXT, output TEXT, counts TEXT, drops TEXT,
                                     blob BLOB);
CREATE TABLE IF NOT EXISTS memory   (clip TEXT, scope TEXT, part TEXT, blob BLOB, PRIMARY KEY (clip, scope, part))
                                    WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pictures (name TEXT PRIMARY KEY, record TEXT, chain TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS states   (film TEXT PRIMARY KEY, key TEXT, blob BLOB) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS aside    (name TEXT PRIMARY KEY, stage TEXT, reason TEXT, detail TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS notes    (stage TEXT, reason TEXT, detail TEXT, PRIMARY KEY (stage, reason, detail))
                                    WITHOUT ROWID;
"""


def connect(path: Path | None) -> sqlite3.Connection:
    """Open for writing; a store of another schema, or a damaged one, is moved aside and begun anew."""
    db = sqlite3.connect(path or ":memory:", isolation_level=None, timeout=30)
    try:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone() is None:  # else nothing is written
            version = f"INSERT INTO meta VALUES ('schema', '{SCHEMA_VERSION}');"
            db.executescript(f"BEGIN IMMEDIATE; {SCHEMA} {version} COMMIT;")
        fits = db.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone() == (str(SCHEMA_VERSION),)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError) or path is None:
            db.close()
            raise
        fits = False
    if fits or path is None:
        return db
    db.close()
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.replace(path.with_name(f"{path.name}.unreadable{suffix}"))
    return connect(path)


def a_run(folder: Path) -> Path:
    """The folder, if it is a run's; raises `ConfigError`, which names a run that is in it."""
    if not (folder / "run.db").is_file():
        inside = next(iter(sorted(folder.glob("*/run.db"))), None)
        such = f", such as {inside.parent}" if inside else ""
        raise ConfigError(f"{folder}: no run.db there; name the folder of a run{such}")
    return folder


def connect_read_only(path: Path) -> sqlite3.Connection:
    """Open another run's store for reading; raises `ConfigError` where that cannot be."""
    a_run(path.parent)
    closed = not os.access(path.parent, os.W_OK) and not path.with_name(path.name + "-wal").exists()
    how = "immutable=1" if closed else "mode=ro"  # SQLite reads a log beside files of its own, which it has to make
    try:
        db = sqlite3.connect(f"{path.resolve().as_uri()}?{how}", uri=True)
        row = db.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
    except sqlite3.DatabaseError as error:
        raise ConfigError(f"{path.parent}: its run.db cannot be read: {error}") from error
    if row != (str(SCHEMA_VERSION),):
        raise ConfigError(f"{path.parent}: its run.db is of another version of masklet")
    return db


@contextmanager
def explained(path: Path | None) -> Iterator[None]:
    """Turn SQLite's words about the disk into ours."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if "disk is full" in str(error) or "disk I/O" in str(error):
            raise DiskFull(f"{path}: the disk is full; make room and run the same command again") from error
        if "unable to open" in str(error) or "readonly" in str(error):
            raise ConfigError(f"{path}: cannot be written; choose another --out") from error
        raise
    except sqlite3.DatabaseError as error:
        raise ConfigError(f"{path}: is damaged; delete it, it is only a cache ({error})") from error
