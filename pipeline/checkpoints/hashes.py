"""The hash of what a model is made of: a file of any size is read once, until it changes."""

import hashlib
import json
import os
import re
import time
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

FILES = ("*.json", "*.safetensors", "*.txt", "*.model")
"""What a checkpoint is made of; pickles are none of it."""

SETTLED_S = 2.0
"""A file that changed less long ago may change again within the same tick of its clock."""


def sha256_of_folder(place: Path) -> str:
    """Hash a checkpoint: the names and contents of all that it is made of, wherever it lies; raises `OSError`."""
    files = sorted({file for pattern in FILES for file in place.glob(pattern)}, key=lambda file: file.name)
    lines = (f"{file.name} {sha256_of_file(file)}\n" for file in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def sha256_of_file(path: str | Path) -> str:
    """Hash a file's bytes: 64 hex digits. Large files are read once, until they change; raises `OSError`."""
    file = Path(path).resolve()
    now = file.stat()
    return _hashed(file, now.st_size, now.st_mtime_ns, now.st_ino)


def cache_home() -> Path:
    """Where masklet keeps what it can make again."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "masklet"


@lru_cache(maxsize=256)
def _hashed(file: Path, size: int, mtime_ns: int, inode: int) -> str:
    """The hash of a file, from the notes of earlier processes if it is as it was."""
    stamp = [str(file), size, mtime_ns, inode]
    note = _notes() / hashlib.sha256(os.fsencode(file)).hexdigest()[:32]
    with suppress(OSError, ValueError, TypeError):
        *known, digest = json.loads(note.read_bytes())
        if known == stamp and re.fullmatch("[0-9a-f]{64}", digest):
            return str(digest)
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if size >= 2**20 and time.time() - mtime_ns / 1e9 > SETTLED_S:
        with suppress(OSError):  # no room or no right to write: it is read again next time
            note.parent.mkdir(parents=True, exist_ok=True)
            new = note.with_suffix(f".{os.getpid()}")
            new.write_text(json.dumps([*stamp, digest]))
            new.replace(note)
    return digest


def _notes() -> Path:
    """Where hashes are remembered between processes."""
    return cache_home() / "sha256"
