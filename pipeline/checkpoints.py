"""Names to weights: where a model's files are, and the hash that names them. Knows no model.

A name is a file or folder, one in a folder `checkpoints/`, or a Hub id with a revision behind an @ if wanted:
`facebook/sam2.1-hiera-small@main`. Looking never downloads; `fetch` does.
"""

import hashlib
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from pipeline.errors import ModelMissing, first_line
from pipeline.shipped import candidates, roots

FOLDER = "checkpoints"
HUB_ID = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?")
FILES = ("*.json", "*.safetensors", "*.txt", "*.model")
"""What a checkpoint is made of; pickles are none of it."""

SETTLED_S = 2.0
"""A file that changed less long ago may change again within the same tick of its clock."""


def weights_file(name: str) -> Path:
    """Find a file of weights, as given or in a folder `checkpoints/`; raises `ModelMissing`."""
    for place in candidates(name, FOLDER, ()):
        if os.access(place, os.R_OK):
            return place
    if Path(name).is_absolute():
        raise ModelMissing(f"{name}: no such file that can be read; give the path of a file of weights")
    raise ModelMissing(
        f"{name}: no such file that can be read in {_looked()}, nor in {FOLDER}/ of these;"
        f" put it into {FOLDER}/ or give its path"
    )


def folder(name: str) -> Path:
    """Find a checkpoint in the Hub's layout on this machine; raises `ModelMissing` with what would get it."""
    local = next((place for place in _folders(name) if place.is_dir()), None)
    place = local or _in_cache(name)
    if place is None:
        raise ModelMissing(_how_to_get(name))
    if not (place / "config.json").is_file():
        raise ModelMissing(f"{name}: {place} has no config.json; a model is a folder as on the Hugging Face Hub")
    if not any(place.glob("*.safetensors")):
        raise ModelMissing(f"{name}: {place} has no *.safetensors; pickled weights are not read")
    return place


def fetch(name: str) -> None:
    """Download a Hub id that is not on this machine; raises `ModelMissing` if it cannot be had."""
    if any(place.is_dir() for place in _folders(name)) or _in_cache(name) is not None:
        return
    hub = HUB_ID.fullmatch(name)
    if hub is None or _offline():
        raise ModelMissing(_how_to_get(name))
    from huggingface_hub import snapshot_download

    with _one_line(name):
        snapshot_download(hub["repo"], revision=hub["revision"], allow_patterns=list(FILES))


def commit(name: str) -> str | None:
    """The Hub's commit of a checkpoint that came from there, else None."""
    place = folder(name)
    return place.name if place.parent.name == "snapshots" else None


def settings(place: Path, file: str = "config.json") -> dict[str, Any]:
    """One of a checkpoint's JSON files; raises `ModelMissing` where it is none."""
    try:
        form = json.loads((place / file).read_bytes())
    except (OSError, ValueError) as error:
        raise ModelMissing(f"{place / file}: cannot be read: {error}") from error
    if not isinstance(form, dict):
        raise ModelMissing(f"{place / file}: want a JSON object")
    return form


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
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "masklet" / "sha256"


def _folders(name: str) -> Iterator[Path]:
    """Where on this machine a checkpoint of this name would lie, best first."""
    yield Path(name)
    for root in roots():
        yield root / name
        yield root / FOLDER / name


def _in_cache(name: str) -> Path | None:
    """The folder of a Hub id that was downloaded before, whole."""
    hub = HUB_ID.fullmatch(name)
    if not hub:
        return None
    from huggingface_hub import snapshot_download

    try:
        place = Path(snapshot_download(hub["repo"], revision=hub["revision"], local_files_only=True))
    except (OSError, ValueError):  # not there: LocalEntryNotFoundError is both
        return None
    whole = (place / "config.json").is_file() and any(place.glob("*.safetensors"))
    return place if whole else None


def _how_to_get(name: str) -> str:
    hub = HUB_ID.fullmatch(name)
    if not hub:
        return f"{name}: no such folder in {_looked()}, nor in {FOLDER}/ of these; give a folder or a Hub id"
    revision = f" --revision {hub['revision']}" if hub["revision"] else ""
    command = f"hf download {hub['repo']}{revision}"
    if _offline():
        return f"{name}: not on this machine, and HF_HUB_OFFLINE is set; with a network: {command}"
    return f"{name}: not on this machine; `masklet run` downloads it, or: {command}"


def _looked() -> str:
    return ", ".join(str(root) for root in roots())


def _offline() -> bool:
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


@contextmanager
def _one_line(name: str) -> Iterator[None]:
    """Whatever goes wrong on the way from the Hub, in one line."""
    try:
        yield
    except Exception as error:
        raise ModelMissing(
            f"{name}: cannot be downloaded: {first_line(error)}; or put its files into {FOLDER}/{name}"
        ) from error
