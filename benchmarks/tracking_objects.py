"""Objects of a film are followed for half of what transformers' session spends, and in memory that does not grow.

    python benchmarks/tracking_objects.py

SAM 2.1 tiny at full size, random weights, CPU time of one thread for a frame on which all memories are full. Three
processes: ours; transformers' session on the same weights, as it is shipped; and with our settings of matrix products
and pages. Memories are filled by what one frame left, which costs as much as many. Memory is resident memory, with a
model of 256 x 256 pixels.
"""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import bench
import numpy as np
import random_models
import sam2_films
from bench import Figure

from pipeline.pretrained import torch_device
from pipeline.runners.local import settle
from pipeline.seams import Device
from pipeline.trackers.sam2_memory import Follower, Seed, open_follower
from pipeline.trackers.sam2_state import Track

CLAIM = "CPU of one thread and memory for a frame of a film, SAM 2.1"
CPU = Device("cpu", 1)
FULL = 17  # the frame on which an object remembers as much as it ever will
OBJECTS = (1, 4, 16)
AT_LEAST, AT_LEAST_ALIKE = 2.0, 1.3
AT_MOST, AT_MOST_MB = 1.05, 0.02
WHO = ("ours", "theirs", "theirs, our settings")


def main(
    size: str = "tiny",
    objects: Sequence[int] = OBJECTS,
    repeats: int = 3,
    frames: int = 600,
    results: Path = bench.RESULTS,
) -> int:
    ours, theirs, alike = (asked("time", who, size, repeats, *objects) for who in WHO)
    figures = [Figure("a frame, what all objects share", ours["seen"], "s")]
    for n in map(str, objects):
        figures += [
            Figure(f"{n} objects: a frame", ours[n], "s"),
            Figure(f"{n} objects: transformers over ours", theirs[n] / ours[n], "", at_least=AT_LEAST),
            Figure(f"{n} objects: the same, our settings", alike[n] / ours[n], "", at_least=AT_LEAST_ALIKE),
        ]
    few, *_, many = objects
    share = (ours[str(many)] - ours["seen"]) / many / ((ours[str(few)] - ours["seen"]) / few)
    figures += [
        Figure(f"an object among {many} over alone", share, "", at_most=AT_MOST),
        Figure("memory", asked("grow", "ours", frames)["MB"], "MB a frame", at_most=AT_MOST_MB),
        Figure("memory of transformers' session", asked("grow", "theirs", min(frames, 60))["MB"], "MB a frame"),
    ]
    return bench.conclude("tracking_objects", CLAIM, figures, results)


def asked(what: str, who: str, *how: Any) -> dict[str, float]:
    """What a process of its own says: pages that were used and freed would hide what grows."""
    command = [sys.executable, __file__, what, who, *map(str, how)]
    said: dict[str, float] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    return said


def child(what: str, who: str, *how: str) -> dict[str, float]:
    import torch

    torch.set_num_threads(1)
    if who != "theirs":
        settle(threads=1, keep_pages=True)
    if what == "grow":
        return {"MB": growth_mb(opened(who, "small"), frames=int(how[0]))}
    size, repeats, *objects = how
    model = opened(who, size)
    if who == "theirs, our settings":
        torch_device(CPU)
    return timed(model, [int(n) for n in objects], int(repeats))


def opened(who: str, size: str) -> Any:
    from transformers import Sam2VideoModel

    folder = random_models.cached("sam2", size)
    if who == "ours":
        return open_follower(folder, "float32", CPU)
    return sam2_films.Reference(Sam2VideoModel.from_pretrained(folder).eval())


def timed(model: Any, objects: Sequence[int], repeats: int) -> dict[str, float]:
    """Seconds of the frame on which memories are full, for each number of objects; `seen` of them for all, ours."""
    rgb, said = sam2_films.drifting(FULL + 1), {}
    for n in objects:
        taken = []
        for _ in range(repeats):
            frame = ours_full(model, rgb, n) if isinstance(model, Follower) else theirs_full(model, rgb, n)
            began = time.process_time()
            frame()
            taken.append(time.process_time() - began)
        said[str(n)] = median(taken)
    if isinstance(model, Follower):
        said["seen"] = bench.median_s(lambda: model.see(rgb[FULL]), repeats, time.process_time)
    return said


def seeds(n: int) -> dict[int, Seed]:
    """Boxes of n objects."""
    corners = np.random.default_rng(n).uniform(0, 60, (n, 2))
    return {number: Seed(np.array([x, y, x + 50, y + 35], np.float32)) for number, (x, y) in enumerate(corners)}


def ours_full(model: Follower, rgb: Any, n: int) -> Any:
    """The frame to be timed, after frames 0 and 1, and what frame 1 left fourteen times more."""
    state, _ = model.step(model.begin(rgb.shape[1:3]), 0, model.see(rgb[0]), seeds(n))
    state, _ = model.step(state, 1, model.see(rgb[1]))
    tracks = {
        number: Track(track.given, dict.fromkeys(range(1, FULL), track.found[1])).kept(FULL - 1, 1, model.limits)
        for number, track in state.tracks.items()
    }
    full = replace(state, now=FULL - 1, tracks=tracks)
    return lambda: model.step(full, FULL, model.see(rgb[FULL]))


def theirs_full(reference: sam2_films.Reference, rgb: Any, n: int) -> Any:
    session = reference.session(rgb)
    for number, seed in seeds(n).items():
        reference.mark(session, 0, number, seed)
    for frame in (0, 1):
        reference.model(session, frame_idx=frame)
    for kept in session.output_dict_per_obj.values():
        found = kept["non_cond_frame_outputs"]
        found.update(dict.fromkeys(range(1, FULL), found[1]))
    return lambda: reference.model(session, frame_idx=FULL)


def growth_mb(model: Any, frames: int) -> float:
    """Growth of resident memory with four objects from the time when memories are full, MB a frame."""
    rgb = sam2_films.drifting(60)
    resident = []
    if isinstance(model, Follower):
        state = model.begin(rgb.shape[1:3])
        for frame in range(frames):
            state, _ = model.step(state, frame, model.see(rgb[frame % len(rgb)]), {} if frame else seeds(4))
            resident.append(resident_mb())
    else:
        resident = [resident_mb() for _ in model.steps(rgb[:frames], {0: seeds(4)})]
    return float(np.polyfit(np.arange(frames - FULL), resident[FULL:], 1)[0])


def resident_mb() -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS"))) * 1024 / 1e6


if __name__ == "__main__":
    if sys.argv[1:]:
        print(json.dumps(child(*sys.argv[1:])))
    else:
        sys.exit(main())
