"""Objects of a film are followed for half of what transformers' session spends.

    python benchmarks/tracking_objects.py

SAM 2.1 tiny at full size, random weights, CPU time of one thread for a frame on which all memories are full. Three
processes: ours; transformers' session on the same weights, as it is shipped; and with our settings of matrix products
and pages. They take turns, so that what else the machine does is in all of them. Memories are filled by what one frame
left, which costs as much as many. That memory does not grow is memory_of_films.py.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
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
from pipeline.trackers.sam2_state import State, Track

CLAIM = "CPU of one thread for a frame of a film, SAM 2.1 tiny"
CPU = Device("cpu", 1)
FULL = 17  # the frame on which an object remembers as much as it ever will
OBJECTS = (1, 2, 4, 8, 16)
MANY = 8
AT_LEAST, AT_LEAST_ALIKE = 2.0, 1.3
AT_MOST = 1.05
WHO = ("ours", "theirs", "theirs, our settings")


def main(size: str = "tiny", objects: Sequence[int] = OBJECTS, rounds: int = 3, results: Path = bench.RESULTS) -> int:
    said: dict[str, list[dict[str, float]]] = {who: [] for who in WHO}
    for _ in range(rounds):
        for who in WHO:
            said[who].append(asked(who, size, *objects))
    ours, theirs, alike = ({n: median(each[n] for each in said[who]) for n in said[who][0]} for who in WHO)
    figures = [Figure("a frame, what all objects share", ours["seen"], "s")]
    for n in map(str, objects):
        figures += [
            Figure(f"{n} objects: a frame", ours[n], "s"),
            Figure(f"{n} objects: transformers over ours", theirs[n] / ours[n], "", at_least=AT_LEAST),
            Figure(f"{n} objects: the same, our settings", alike[n] / ours[n], "", at_least=AT_LEAST_ALIKE),
        ]
    few, many = objects[0], min(MANY, objects[-1])
    share = (ours[str(many)] - ours["seen"]) / many / ((ours[str(few)] - ours["seen"]) / few)
    figures.append(Figure(f"an object among {many} over alone", share, "", at_most=AT_MOST))
    return bench.conclude("tracking_objects", CLAIM, figures, results)


def asked(*how: Any) -> dict[str, float]:
    """What a process of its own says: settings are a process's."""
    command = [sys.executable, __file__, *map(str, how)]
    said: dict[str, float] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    return said


def child(who: str, size: str, *objects: str) -> dict[str, float]:
    """CPU seconds of the frame on which memories are full, for each number of objects; ours, `seen` of them for all."""
    import torch

    torch.set_num_threads(1)
    if who != "theirs":
        settle(threads=1, keep_pages=True)
    model, rgb, said = opened(who, size), sam2_films.drifting(FULL + 1), {}
    if who == "theirs, our settings":
        torch_device(CPU)
    frame_of = ours_full if isinstance(model, Follower) else theirs_full
    for n in objects:
        said[n] = cpu_s(frame_of(model, rgb, int(n)))
    if isinstance(model, Follower):
        said["seen"] = cpu_s(lambda: model.see(rgb[FULL]))
    return said


def cpu_s(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def opened(who: str, size: str) -> Any:
    from transformers import Sam2VideoModel

    folder = random_models.cached("sam2", size)
    if who == "ours":
        return open_follower(folder, "float32", CPU)
    return sam2_films.Reference(Sam2VideoModel.from_pretrained(folder).eval())


def seeds(n: int) -> dict[int, Seed]:
    """Boxes of n objects."""
    corners = np.random.default_rng(n).uniform(0, 60, (n, 2))
    return {number: Seed(np.array([x, y, x + 50, y + 35], np.float32)) for number, (x, y) in enumerate(corners)}


def ours_full(model: Follower, rgb: Any, n: int) -> Any:
    full = full_memory(model, rgb, n)
    return lambda: model.step(full, FULL, model.see(rgb[FULL]))


def full_memory(model: Follower, rgb: Any, n: int) -> State:
    """What is remembered of n objects before frame FULL: of frames 0 and 1, and what frame 1 left 15 times more."""
    state, _ = model.step(model.begin(rgb.shape[1:3]), 0, model.see(rgb[0]), seeds(n))
    state, _ = model.step(state, 1, model.see(rgb[1]))
    tracks = {
        number: Track(track.given, dict.fromkeys(range(1, FULL), track.found[1])).kept(FULL - 1, 1, model.limits)
        for number, track in state.tracks.items()
    }
    return replace(state, now=FULL - 1, tracks=tracks)


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


if __name__ == "__main__":
    if sys.argv[1:]:
        print(json.dumps(child(*sys.argv[1:])))
    else:
        sys.exit(main())
