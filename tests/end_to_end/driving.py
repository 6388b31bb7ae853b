"""Run masklet as its users do, and look at what it leaves."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import counting
import numpy as np

MASKLET = shutil.which("masklet", path=str(Path(sys.executable).parent)) or "masklet"


def masklet(*words, cwd=None, env=None, timeout_s=120):
    """The real command in a process of its own, to its end."""
    command = [MASKLET, *map(str, words)]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=timeout_s)


def counting_backends(folder):
    """Put `counting.py` into a working folder, where a config finds it."""
    shutil.copy(counting.__file__, folder / "counting.py")


def handed(log=Path(counting.LOG)):
    """Every line that counting backends wrote: dicts of what, name, id, asked."""
    return [json.loads(line) for line in log.read_text().splitlines()] if log.is_file() else []


def dataset(run_folder):
    """Every file of a run's COCO dataset: name -> bytes."""
    place = Path(run_folder) / "dataset/coco"
    return {path.relative_to(place).as_posix(): path.read_bytes() for path in sorted(place.rglob("*")) if path.is_file()}


def annotations(run_folder):
    """A run's COCO file, as plain values."""
    return json.loads((Path(run_folder) / "dataset/coco/annotations.json").read_bytes())


def save_pictures(folder, names, size_hw=(24, 32), first=0):
    """Small pictures of noise, no two alike, as PNG whatever they are called."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names, first):
        rgb = np.random.default_rng(number).integers(0, 256, (*size_hw, 3), np.uint8)
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rgb).save(path, format="PNG")
