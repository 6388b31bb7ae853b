"""A folder that is whole or absent, and the manifest that says so.

A dataset is made in `PLACE.new`; its manifest, with the hash of every file, is written last. Then the old one
moves to `PLACE.old`, the new one to `PLACE`, and the old one goes. Meanwhile `PLACE.publishing` stands
beside them: only where it stands are `.new` and `.old` ours to touch; its lock says that the publisher lives.

Promised: whenever the process is killed, after `repair` the old or the new dataset is at `PLACE`, whole. When
the power fails, the manifest is on the disk (fsync) and other files may not be: `changed` says which.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError, Locked

MANIFEST = "manifest.json"


@contextmanager
def publish(place: Path, made_from: str) -> Iterator[Path]:
    """Yield the empty folder `PLACE.new`; when the block ends well it becomes `place`, else nothing changes.

    Raises `ConfigError` where that would replace what masklet did not publish, `Locked` where another process
    is publishing there.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    _refuse_strangers(place)
    with _alone(place):
        _refuse_stranger(place)
        new = _beside(place, "new")
        new.mkdir()
        yield new
        _write_manifest(new, made_from)
        if place.exists():
            place.rename(_beside(place, "old"))
        new.rename(place)
        _sync(place.parent)


def repair(place: Path) -> None:
    """Put right what a killed publisher left: the last whole dataset is at `place`, and nothing is beside it.

    Does nothing where nothing was left, or where the publisher is alive.
    """
    if _beside(place, "publishing").exists():
        try:
            with _alone(place):
                pass
        except Locked:
            pass


def made_from(place: Path) -> str | None:
    """What the dataset at `place` was made from, as its manifest says; None where masklet published none."""
    manifest = _manifest(place)
    return None if manifest is None else str(manifest["made_from"])


def changed(place: Path) -> list[str]:
    """The files that were altered, removed or added since the dataset was published."""
    manifest = _manifest(place)
    then, now = {} if manifest is None else manifest["files"], _hashes(place)
    return sorted(name for name in {*then, *now} if then.get(name) != now.get(name))


def _beside(place: Path, suffix: str) -> Path:
    return place.with_name(f"{place.name}.{suffix}")


def _refuse_stranger(place: Path) -> None:
    """Raise `ConfigError` where something is that we did not publish; an empty folder may go."""
    if place.is_symlink() or place.is_file() or (place.is_dir() and any(place.iterdir()) and made_from(place) is None):
        raise ConfigError(f"{place}: is there and was not published by masklet; move it, or choose another place")


def _refuse_strangers(place: Path) -> None:
    """Raise `ConfigError` where the names we need beside `place` are somebody else's."""
    for path in (_beside(place, "new"), _beside(place, "old")):
        if path.exists() and not _beside(place, "publishing").exists():
            raise ConfigError(f"{path}: is in the way and was not left by masklet; move it")


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    """Hold the sign beside `place`; everything is put right before and after. Raises `Locked`."""
    from filelock import FileLock, Timeout

    sign = _beside(place, "publishing")
    lock = FileLock(sign)
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise Locked(f"{place}: another process is writing it; wait for it to end") from error
    try:
        _put_right(place)
        try:
            yield
        finally:
            _put_right(place)
            sign.unlink()
    finally:
        lock.release()


def _put_right(place: Path) -> None:
    """Leave one dataset: the one at `place`, else the old one. What is half made or half deleted goes."""
    new, old = _beside(place, "new"), _beside(place, "old")
    if old.exists() and not place.exists():
        old.rename(place)
    for rest in (new, old):
        if rest.exists():
            shutil.rmtree(rest)


def _write_manifest(place: Path, made_from: str) -> None:
    """Write the hashes of all files, and see it to the disk."""
    manifest = {"made_from": made_from, "files": _hashes(place)}
    with (place / MANIFEST).open("w", encoding="ascii", newline="\n") as file:
        json.dump(manifest, file, indent=1, sort_keys=True)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    _sync(place)


def _manifest(place: Path) -> dict[str, Any] | None:
    try:
        manifest = json.loads((place / MANIFEST).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    ours = isinstance(manifest, dict) and "made_from" in manifest and isinstance(manifest.get("files"), dict)
    return manifest if ours else None


def _hashes(place: Path) -> dict[str, str]:
    """Every file's path below `place`, with '/', and its sha256; the manifest itself is left out."""
    found: dict[str, str] = {}
    for path in sorted(place.rglob("*")):
        name = path.relative_to(place).as_posix()
        if path.is_file() and name != MANIFEST:
            with path.open("rb") as file:
                found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def _sync(folder: Path) -> None:
    """See to the disk which names a folder has."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
