"""Where on this machine a name's files are, and how to get them from the Hub. Knows no model."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.checkpoints import hub, meta_files
from pipeline.checkpoints.known import KNOWN
from pipeline.errors import ModelMissing
from pipeline.shipped import candidates, roots

FOLDER = "checkpoints"


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
    """Find a checkpoint in the Hub's layout on this machine; raises `ModelMissing` with what would get it.

    A .pt file of SAM 2 is converted when it is first asked for.
    """
    place = found(name)
    if place.is_file():
        return meta_files.folder_of(place)
    if not (place / "config.json").is_file():
        raise ModelMissing(f"{name}: {place} has no config.json; a model is a folder as on the Hugging Face Hub")
    if not any(place.glob("*.safetensors")):
        raise ModelMissing(f"{name}: {place} has no *.safetensors; pickled weights are not read")
    return place


def found(name: str) -> Path:
    """The folder or .pt file that a name stands for, as it lies on this machine; raises `ModelMissing`."""
    place = _local(name) or hub.in_cache(name)
    if place is not None:
        return place
    if hub.wanted(name) or name in KNOWN:
        raise ModelMissing(hub.how_to_get(name))
    if _is_pt(name):
        raise ModelMissing(f"{name}: no such file in {_looked()}, nor in {FOLDER}/ of these; give the path of a file")
    raise ModelMissing(f"{name}: no such folder in {_looked()}, nor in {FOLDER}/ of these; give a folder or a Hub id")


def fetch(name: str) -> None:
    """Download a model of the Hub that is not on this machine; raises `ModelMissing` if it cannot be had."""
    if _local(name) is None and hub.in_cache(name) is None:
        if hub.wanted(name) is None:
            found(name)
        hub.download(name)


def commit(name: str) -> str | None:
    """The Hub's commit of a checkpoint that came from there, else None."""
    place = found(name)
    snapshot = place if place.is_dir() else place.parent
    return snapshot.name if snapshot.parent.name == "snapshots" else None


def settings(place: Path, file: str = "config.json") -> dict[str, Any]:
    """One of a checkpoint's JSON files; raises `ModelMissing` where it is none."""
    try:
        form = json.loads((place / file).read_bytes())
    except (OSError, ValueError) as error:
        raise ModelMissing(f"{place / file}: cannot be read: {error}") from error
    if not isinstance(form, dict):
        raise ModelMissing(f"{place / file}: want a JSON object")
    return form


def _local(name: str) -> Path | None:
    """The folder or the .pt file of this name: as given, then in a folder `checkpoints/`."""
    for place in _folders(name):
        if place.is_dir():
            return place
    return next(candidates(name, FOLDER, ()), None) if _is_pt(name) else None


def _folders(name: str) -> Iterator[Path]:
    """Where on this machine a checkpoint of this name would lie, best first."""
    yield Path(name)
    for root in roots():
        yield root / name
        yield root / FOLDER / name


def _is_pt(name: str) -> bool:
    return name.lower().endswith(".pt")


def _looked() -> str:
    return ", ".join(dict.fromkeys(map(str, roots())))
