"""Run masklet as its users do, and look at what it leaves."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import blobs
import counting
import numpy as np

MASKLET = shutil.which("masklet", path=str(Path(sys.executable).parent)) or "masklet"


def masklet(
    *words: object, cwd: Path | None = None, env: Mapping[str, str] | None = None, timeout_s: float = 120
) -> "subprocess.CompletedProcess[str]":
    """The real command in a process of its own, to its end."""
    command = [MASKLET, *map(str, words)]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=timeout_s)


def counting_backends(folder: Path) -> None:
    """Put `counting.py`, and a detector of what is dark, into a working folder, where a config finds them."""
    for module in (counting, blobs):
        shutil.copy(str(module.__file__), folder)


def handed(log: Path = Path(counting.LOG)) -> list[dict[str, Any]]:
    """Every line that counting backends wrote: dicts of what, name, id, frames (their numbers), asked."""
    return [json.loads(line) for line in log.read_text().splitlines()] if log.is_file() else []


def dataset(run_folder: Path | str, name: str = "coco") -> dict[str, bytes]:
    """Every file of a run's COCO dataset, or of another one, of all with '': name -> bytes."""
    place = Path(run_folder) / "dataset" / name
    return {
        path.relative_to(place).as_posix(): path.read_bytes() for path in sorted(place.rglob("*")) if path.is_file()
    }


def annotations(run_folder: Path | str) -> dict[str, Any]:
    """A run's COCO file, as plain values."""
    return dict(json.loads((Path(run_folder) / "dataset/coco/annotations/instances_default.json").read_bytes()))


def save_pictures(folder: Path, names: Iterable[str], size_hw: tuple[int, int] = (24, 32), first: int = 0) -> None:
    """Small pictures of noise, no two alike, as PNG whatever they are called."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names, first):
        rgb = np.random.default_rng(number).integers(0, 256, (*size_hw, 3), np.uint8)
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rgb).save(path, format="PNG")


@dataclass(frozen=True, slots=True)
class Said:
    """What a command said and how it ended."""

    returncode: int
    stdout: str
    stderr: str


def here(*words: object) -> Said:
    """The same command in this process, which is quicker; what it changes in the process is put back."""
    from click.testing import CliRunner

    from pipeline.cli import main

    path, environment = sys.path.copy(), os.environ.copy()
    try:
        result = CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)
    finally:
        sys.path[:] = path
        os.environ.clear()
        os.environ.update(environment)
    return Said(result.exit_code, result.stdout, result.stderr)
