"""Checkpoints of random weights in the Hub's file layout: what tests and benchmarks load where no real weights are.

`cached("sam2")` is a folder for `from_pretrained`; the kinds and their sizes are in SIZES. Every size but "small" has
the dimensions of a released model.
"""

import hashlib
import os
import tempfile
from pathlib import Path

import random_models_clip
import random_models_florence2
import random_models_grounding
import random_models_owlv2
import random_models_sam2

# SAM 2.1's own Small is "hiera_small", as "small" is the one for tests.
SIZES = {
    "clip": ("small", "base"),
    "florence2": ("small", "base", "large"),
    "grounding_dino": ("small", "tiny"),
    "mm_grounding_dino": ("small", "tiny"),
    "owlv2": ("small", "base"),
    "siglip": ("small",),
    "sam2": ("small", "tiny", "hiera_small", "base_plus", "large"),
}
# Read at import: a file edited while a process runs must not name what the old source made.
_SOURCE = b"".join(file.read_bytes() for file in sorted(Path(__file__).parent.glob("random_models*.py")))

enliven = random_models_sam2.enliven_sam2
florence_that_answers = random_models_florence2.florence_that_answers


def build(kind: str, folder: Path, size: str = "small", seed: int = 0) -> Path:
    """Write a checkpoint of this kind and size into the folder and give the folder; the same seed, the same bytes."""
    import torch

    if size not in SIZES[kind]:
        raise ValueError(f"{kind} has no size '{size}'; it has {', '.join(SIZES[kind])}")
    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        match kind:
            case "clip" | "siglip":
                random_models_clip.build_clip(kind, folder, size, seed)
            case "florence2":
                random_models_florence2.build_florence2(folder, size, seed)
            case "owlv2":
                random_models_owlv2.build_owlv2(folder, size, seed)
            case "sam2":
                random_models_sam2.build_sam2(folder, size, seed)
            case _:
                random_models_grounding.build_grounding(kind, folder, size, seed)
    return folder


def cached(kind: str, size: str = "small") -> Path:
    """Give the folder of such a checkpoint, built once for all processes of this user and this source."""
    folder = _shelf() / f"{kind}-{size}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix="building-") as place:
            built = build(kind, Path(place) / folder.name, size)
            try:
                built.rename(folder)
            except OSError:  # another process was first
                if not folder.is_dir():
                    raise
    return folder


def _shelf() -> Path:
    """Give the folder that changes with the source of these files and the libraries that make the weights."""
    from importlib.metadata import version

    made_by = hashlib.sha256(f"{version('torch')} {version('transformers')}".encode() + _SOURCE)
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "")
    return Path(tempfile.gettempdir()) / f"masklet-random-models-{user}" / made_by.hexdigest()[:16]
