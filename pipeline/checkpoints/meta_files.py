"""A .pt file of Meta's SAM 2 to a folder in the Hub's layout, kept under the hash of the file.

The file is a pickle: it is opened for tensors only (`weights_only`), and in no other way if that fails.
"""

import json
import os
import pickle
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.checkpoints import hub, meta_sam2
from pipeline.checkpoints.hashes import cache_home, sha256_of_file
from pipeline.checkpoints.meta_sam2 import NEW_IN_2_1
from pipeline.errors import ModelMissing, first_line

VERSION = 1
"""Raised when a converted folder changes."""

RECORD = "converted.json"
"""What a converted folder says of itself: the file that it was made from, and the hash of its weights."""

WEIGHTS = "model.safetensors"


def folder_of(file: Path) -> Path:
    """The folder that a .pt file stands for: converted when first asked for, then kept; raises `ModelMissing`."""
    place = cache_home() / "sam2" / f"{sha256_of_file(file)}-{VERSION}"
    if not place.is_dir():
        write(file, place)
    return place


def write(file: Path, place: Path) -> None:
    """Convert a .pt file to the new folder `place`, which is whole or absent; raises `ModelMissing`."""
    weights = read(file)
    size = meta_sam2.size_of(weights)
    if size is None:
        raise ModelMissing(
            f"{file}: its weights are not those of SAM 2 or 2.1, in any of Meta's four sizes; {hub.again(file.name)}"
        )
    config = meta_sam2.config(size, NEW_IN_2_1 in weights)
    out = meta_sam2.converted(weights)
    if problem := misfit(out, config):
        raise ModelMissing(f"{file}: looks like Meta's SAM 2 {size}, but {problem}; {hub.again(file.name)}")
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=".converting.") as folder:
        new = Path(folder) / place.name
        _fill(new, file, config, out)
        if not place.is_dir():  # another process may have been first
            new.rename(place)


def read(file: Path) -> dict[str, Any]:
    """The tensors under `model` in a .pt file, by Meta's names; nothing in it is run. Raises `ModelMissing`."""
    import torch

    if not zipfile.is_zipfile(file):
        raise ModelMissing(f"{file}: is not what torch.save writes, or was cut off; {hub.again(file.name)}")
    try:
        saved = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise ModelMissing(
            f"{file}: holds more than tensors, which could run code; it was not opened; {hub.again(file.name)}"
        ) from error
    except Exception as error:
        raise ModelMissing(
            f"{file}: is not what torch.save writes: {first_line(error)}; {hub.again(file.name)}"
        ) from error
    weights = saved.get("model") if isinstance(saved, dict) else None
    if not isinstance(weights, dict) or not all(isinstance(each, torch.Tensor) for each in weights.values()):
        raise ModelMissing(f"{file}: want weights under 'model', as in Meta's files of SAM 2; {hub.again(file.name)}")
    return weights


def misfit(weights: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    """Say where weights are not exactly those that transformers' model has, in names and shapes; '' if they are."""
    import torch
    from transformers import Sam2VideoConfig, Sam2VideoModel

    with torch.device("meta"):
        wanted = Sam2VideoModel(Sam2VideoConfig(**config)).state_dict()
    found: dict[str, list[str]] = {
        "are missing": [name for name in wanted if name not in weights],
        "are left over": [name for name in weights if name not in wanted],
        "have another shape": [
            name for name in wanted if name in weights and wanted[name].shape != weights[name].shape
        ],
    }
    return ", ".join(f"{len(names)} {what} (first {min(names)})" for what, names in found.items() if names)


def _fill(new: Path, file: Path, config: Mapping[str, Any], weights: Mapping[str, Any]) -> None:
    from safetensors.torch import save_file

    new.mkdir()
    save_file({name: each.contiguous() for name, each in weights.items()}, new / WEIGHTS, {"format": "pt"})
    record = {"source_sha256": sha256_of_file(file), "converter": VERSION, "sha256": sha256_of_file(new / WEIGHTS)}
    for name, form in {"config": config, "preprocessor_config": meta_sam2.PREPROCESSOR, "converted": record}.items():
        (new / f"{name}.json").write_text(json.dumps(form, indent=2) + "\n", encoding="ascii")
    for path in new.iterdir():  # or a power failure would leave a folder that looks whole
        with path.open("rb") as written:
            os.fsync(written.fileno())
