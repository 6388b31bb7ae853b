"""Frames a second of an object that is followed, SAM 2.1 of four sizes: on a GPU, on one core and on two.

    python benchmarks/tracking_sizes.py

Random weights of full size, which take as long as any, at 1024 x 1024: a frame on which the object's memory is full,
from pixels in main memory to its map of logits there. What every object shares (`see`) and what each costs (`step`) are
timed apart, too. Beside them is what SAM 2's own README says: on an A100, compiled, torch 2.5.1, one object, frames
that are decoded and resized already (github.com/facebookresearch/sam2, README.md and sam2/benchmark.py).
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import bench
import random_models
import sam2_films
from bench import Figure
from tracking_objects import FULL, full_memory

from pipeline.runners.local import settle
from pipeline.seams import Device
from pipeline.trackers.sam2_memory import open_follower

CLAIM = "frames a second of one object that is followed, SAM 2.1"
README = {"tiny": 91.2, "hiera_small": 84.8, "base_plus": 64.1, "large": 39.5}
"""What SAM 2's README says of these sizes (its table of the checkpoints of SAM 2.1)."""

CPU = ("float32", "plain")
CUDA = ("bfloat16", "compiled")


def main(sizes: Sequence[str] = tuple(README), repeats: int = 2, results: Path = bench.RESULTS) -> int:
    import torch

    ways = {"one core": ("cpu", 1, *CPU), "two cores": ("cpu", 2, *CPU)}
    if torch.cuda.is_available():
        ways["GPU"] = ("cuda:0", 1, *CUDA)
        print(f"on {torch.cuda.get_device_name()}, torch {torch.__version__}")
    else:
        print("tracking_sizes: no CUDA device here; nothing is measured on a GPU")
    figures = []
    for size in sizes:
        with tempfile.TemporaryDirectory() as place:
            folder = random_models.build("sam2", Path(place) / size, size)
            said = {way: asked(folder, repeats, *how) for way, how in ways.items()}
        figures += [each for way, seconds in said.items() for each in figures_of(f"{size}, {way}", seconds)]
        figures += [Figure(f"{size}, SAM 2's README, an A100", README[size], "frames/s")] if size in README else []
    return bench.conclude("tracking_sizes", CLAIM, figures, results)


def figures_of(who: str, seconds: Mapping[str, float]) -> list[Figure]:
    return [
        Figure(f"{who}", 1 / seconds["frame"], "frames/s"),
        Figure(f"{who}: what objects share", seconds["see"], "s"),
        Figure(f"{who}: the object", seconds["step"], "s"),
    ]


def asked(*how: Any) -> dict[str, float]:
    """What a process of its own says: threads and pages are set once."""
    command = [sys.executable, __file__, *map(str, how)]
    said: dict[str, float] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    return said


def child(folder: str, repeats: str, device: str, threads: str, dtype: str, speed: str) -> dict[str, float]:
    """Seconds of a frame, and of its two parts, by the clock on the wall."""
    settle(threads=int(threads), keep_pages=True)
    model = open_follower(Path(folder), dtype, Device(device, int(threads)), compiled=speed == "compiled")
    model.objects = 1  # a GPU has calls of eight, the last filled up, of which one object pays all
    rgb = sam2_films.drifting(FULL + 1)
    full = full_memory(model, rgb, 1)

    def see() -> Any:
        seen = model.see(rgb[FULL])
        seen.projected.flatten()[0].item()  # a GPU is waited for
        return seen

    seen = see()
    return {
        "see": bench.median_s(see, int(repeats)),
        "step": bench.median_s(lambda: model.step(full, FULL, seen), int(repeats)),
        "frame": bench.median_s(lambda: model.step(full, FULL, model.see(rgb[FULL])), int(repeats)),
    }


if __name__ == "__main__":
    if sys.argv[1:]:
        print(json.dumps(child(*sys.argv[1:])))
    else:
        sys.exit(main())
