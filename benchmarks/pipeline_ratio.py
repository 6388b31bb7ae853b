"""Everything but the model hides behind the model.

    python benchmarks/pipeline_ratio.py

The real engine, sources to last commit, with a device that takes 15 ms a picture and does nothing else; pictures are
really decoded, resized, turned into masks, deduplicated and journalled meanwhile. The time from the first batch
handed to the segmenter to the last commit, against a bare loop over the device, in turns.

A bar does not hold if no round reaches it: whoever else uses the machine can make a round worse and never better. The
median and the CPU time a picture say how much that was: of 30 ms that two cores have for a picture here, 1080p takes
20 on an idle machine.
"""

import statistics
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import bench
import simulated
from bench import Figure

from pipeline import engine

CLAIM = "bare loop over the device / the whole pipeline, 20 objects a picture, 3 batches in flight"
LEAST = {(480, 640): 0.97, (1080, 1920): 0.95}  # by size (h, w)
MS_A_PICTURE = 15.0
BATCHES = (4, 8)
ROUNDS = 3


class Commits(engine.Nobody):
    """Remembers when the last batch was committed."""

    last = 0.0

    def step(self, pictures: int, objects: int = 0, aside: int = 0) -> None:
        self.last = time.perf_counter()


def main(
    pictures: int = 400,
    rounds: int = ROUNDS,
    least: Mapping[tuple[int, int], float] = LEAST,
    results: Path = bench.RESULTS,
) -> int:
    figures = []
    with TemporaryDirectory() as place:
        for size_hw, bar in least.items():
            h, w = size_hw
            source = bench.draw_pictures(Path(place, f"{w}x{h}"), pictures, size_hw)
            for batch in BATCHES:
                what = f"{w} x {h}, batches of {batch}"
                began = time.process_time()
                bare, whole = in_turns(source, pictures, batch, rounds)
                cpu_ms = 1000 * (time.process_time() - began) / (rounds * pictures)
                ratios = [b / p for b, p in zip(bare, whole, strict=True)]
                figures.append(Figure(f"{what}: bare loop", statistics.median(bare), "s"))
                figures.append(Figure(f"{what}: pipeline", statistics.median(whole), "s"))
                figures.append(Figure(f"{what}: CPU a picture", cpu_ms, "ms"))
                figures.append(Figure(f"{what}: median ratio", statistics.median(ratios), ""))
                figures.append(Figure(f"{what}: best ratio", max(ratios), "", at_least=bar))
    return bench.conclude("pipeline_ratio", CLAIM, figures, results)


def in_turns(source: Path, pictures: int, batch: int, rounds: int) -> tuple[list[float], list[float]]:
    """Seconds of the bare loop and of the pipeline, one after the other, so many times."""
    bare, whole = [], []
    for _ in range(rounds):
        bare.append(bare_s(pictures, batch))
        whole.append(pipeline_s(source, batch))
    return bare, whole


def bare_s(pictures: int, batch: int) -> float:
    """Seconds of a loop that only hands batches to the device."""
    device = simulated.Simulation(MS_A_PICTURE)
    began = time.perf_counter()
    for begin in range(0, pictures, batch):
        device.forward(min(batch, pictures - begin))
    return time.perf_counter() - began


def pipeline_s(source: Path, batch: int) -> float:
    """Seconds from the first batch in the segmenter's hands to the last commit."""
    watch = Commits()
    simulated.began_at.clear()
    with TemporaryDirectory(dir=source.parent) as out:
        engine.run(simulated.config(source, MS_A_PICTURE, batch=batch, in_flight=3), Path(out, "run"), watch=watch)
    return watch.last - min(simulated.began_at)


if __name__ == "__main__":
    sys.exit(main())
