"""The memory of a run does not grow with a film: what is remembered of an object is bounded, and is all there is.

    python benchmarks/memory_of_films.py

A toy film of 2000 frames through a whole run with the tiny models, and through transformers' own session with the same
weights, the true boxes of the first frame as seeds, and 600 frames. Resident memory of a process each, drawn in
results/memory_of_films.png. The session wants all frames at once, as numbers of 32 bits: that is where it begins, and
what is free again after that is filled up first. What SAM 2 remembers is counted by itself, with and without refreshes.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bench
import numpy as np
import sam2_films
from bench import Figure

from pipeline import engine, films
from pipeline.config import load
from pipeline.seams import Device
from pipeline.toyworld.film_files import coded
from pipeline.toyworld.films import film
from pipeline.trackers.sam2 import Sam2
from pipeline.trackers.sam2_memory import Follower, Seed

CLAIM = "memory of a run over a long film, tiny OWLv2 and tiny SAM 2"
SAM2 = Sam2(model="tiny-sam2")
SEED = 20_000_000
FULL = 17
"""The frame from which on an object remembers as much as it ever will."""
KEY = 8  # frames from one refresh to the next
AT_MOST_MB = 0.02
SAM2_1 = {"cells": 64 * 64, "memory": 64, "pointer": 256}
"""SAM 2.1 of every size at 1024 x 1024 pixels: its coarse grid, and what it keeps of a cell and of an object."""


def main(frames: int = 2000, few: int = 50, theirs: int = 600, live: int = 200, results: Path = bench.RESULTS) -> int:
    drawn = film(SEED, 0, "wandering", frames)
    seeds = {n: Seed(box_xyxy=box) for n, box in enumerate(drawn.found[0].in_sight().boxes_xyxy)}
    follower = SAM2.open(Device("cpu", 1)).follower
    alone, stored = remembered(follower, drawn.rgb[:live], seeds, refreshed=False)
    refreshed, _ = remembered(follower, drawn.rgb[:live], seeds, refreshed=True)
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "films").mkdir()
        (Path(place) / "films/film.mp4").write_bytes(coded(drawn.rgb))
        boxes = json.dumps([seed.box_xyxy.tolist() for seed in seeds.values() if seed.box_xyxy is not None])
        del drawn
        ours = grown("ours", place, few)
        session = grown("theirs", place, theirs, boxes)
    draw(ours["resident"], session["resident"], len(seeds), results)
    tiny = dict(zip(SAM2_1, sizes(follower), strict=True))
    figures = [
        Figure("objects", len(seeds), ""),
        Figure("an object, no refresh", alone[-1] / len(seeds) / 1e6, "MB"),
        Figure("how much that varies from frame 17 on", max(alone[FULL:]) - min(alone[FULL:]), "bytes", at_most=0),
        Figure("and as stored", max(stored[FULL:]) - min(stored[FULL:]), "bytes", at_most=0),
        Figure(
            f"an object, {SAM2.refreshes} refreshes, over its bound",
            max(refreshed) / len(seeds) / bound(SAM2.refreshes, **tiny),
            "",
            at_most=1,
        ),
        *(Figure(f"bound of SAM 2.1, {n} refreshes", bound(n, **SAM2_1) / 1e6, "MB an object") for n in (0, 1, 3)),
        Figure(f"a run, from frame {few} on", ours["growth"], "MB a frame", at_most=AT_MOST_MB),
        Figure("a whole run, dataset written and read back", ours["whole"], "MB a frame"),
        Figure("transformers' session", session["growth"], "MB a frame"),
    ]
    return bench.conclude("memory_of_films", CLAIM, figures, results)


def bound(refreshes: int, cells: int, memory: int, pointer: int) -> int:
    """The most bytes that are remembered of an object: maps of 16 bits, pointers of 32.

    Seven maps a frame looks at, sixteen pointers; a refresh is one of each more.
    """
    return (7 + refreshes) * cells * memory * 2 + (16 + refreshes) * pointer * 4


def sizes(follower: Follower) -> tuple[int, int, int]:
    """Cells of the coarse grid, and what is kept of a cell and of an object."""
    config = follower.parts.model.config
    cells: int = (follower.parts.side // 16) ** 2
    return cells, config.memory_encoder_output_channels, config.memory_attention_hidden_size


def remembered(follower: Follower, rgb: Any, seeds: dict[int, Seed], refreshed: bool) -> tuple[list[int], list[int]]:
    """Bytes after each frame, live and stored, with the objects marked on the first one, or on every key frame."""
    state, live, stored = follower.begin(rgb.shape[1:3]), [], []
    for frame in range(len(rgb)):
        marked = seeds if frame == 0 or (refreshed and frame % KEY == 0) else {}
        state, _ = follower.step(state, frame, follower.see(rgb[frame]), marked)
        live.append(state.nbytes)
        stored.append(len(state.stored()))
    return live, stored


def grown(who: str, place: str, frames: int, *how: str) -> dict[str, Any]:
    """What a process of its own says."""
    command = [sys.executable, __file__, who, place, str(frames), *how]
    said: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    return said


def child(who: str, place: str, frames: str, *boxes: str) -> dict[str, Any]:
    """Resident memory by frame; how much it grows a frame, and the peak of the process does over all, in MB.

    Pages are given back to the system: those that are kept for later would hide what grows.
    """
    import torch

    torch.set_num_threads(1)
    path = Path(place) / "films/film.mp4"
    if who == "theirs":
        resident = of_a_session(path, int(frames), json.loads(boxes[0]))
        return {"resident": resident, "growth": slope(resident, FULL)}
    watch = Watch()
    engine.run(
        load("demo", [f"source.path={path}", "run.segment=40", "run.keep_pages=false"]),
        Path(place) / "run",
        watch=watch,
    )
    (_, first_mb), (last, _) = watch.resident[0], watch.resident[-1]
    whole = (status_mb("VmHWM") - first_mb) / last
    return {"resident": watch.resident, "growth": slope(watch.resident, int(frames)), "whole": whole}


class Watch(engine.Nobody):
    """Notes resident memory whenever a part of a film is labelled: frames so far, MB."""

    def __init__(self) -> None:
        self.what, self.resident = "", list[tuple[int, float]]()

    def begin(self, what: str, total: int) -> None:
        self.what = what

    def step(self, pictures: int, objects: int = 0, aside: int = 0) -> None:
        if self.what == "labelling":
            frames = self.resident[-1][0] if self.resident else 0
            self.resident.append((frames + pictures, status_mb("VmRSS")))


def of_a_session(path: Path, frames: int, boxes: Sequence[Sequence[float]]) -> list[tuple[int, float]]:
    """Resident memory of transformers' session, frame by frame."""
    from itertools import islice

    from transformers import Sam2VideoModel

    model = Sam2VideoModel.from_pretrained(SAM2.folder()).eval()
    seeds = {n: Seed(box_xyxy=np.array(box, np.float32)) for n, box in enumerate(boxes)}
    rgb = np.stack(list(islice(films.decode(str(path)), frames)))
    steps = sam2_films.Reference(model).steps(rgb, {0: seeds})
    return [(out.frame_idx + 1, status_mb("VmRSS")) for out in steps]


def slope(resident: Sequence[tuple[int, float]], first: int) -> float:
    """MB a frame from a frame on, by least squares."""
    frames, mb = zip(*[one for one in resident if one[0] >= first], strict=True)
    return float(np.polyfit(frames, mb, 1)[0])


def status_mb(what: str) -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(what))) * 1024 / 1e6


def draw(ours: Sequence[Sequence[float]], session: Sequence[Sequence[float]], objects: int, results: Path) -> None:
    """Both in one plot."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4.5), dpi=120, layout="constrained")
    for resident, name in ((ours, "masklet run"), (session, "transformers' session")):
        frames, mb = zip(*resident, strict=True)
        axes.plot(frames, mb, label=name, linewidth=2)
    axes.set(xlabel="frames", ylabel="resident memory, MB", title=f"A toy film of {objects} objects, tiny SAM 2, CPU")
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0)
    axes.grid(alpha=0.3)
    axes.legend()
    results.mkdir(parents=True, exist_ok=True)
    figure.savefig(results / "memory_of_films.png", metadata={"Software": None})
    plt.close(figure)


if __name__ == "__main__":
    if sys.argv[1:]:
        print(json.dumps(child(*sys.argv[1:])))
    else:
        sys.exit(main())
