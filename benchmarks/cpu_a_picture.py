"""Beside its models, a 1080p photo with 20 objects costs at most 20 ms of one core.

    python benchmarks/cpu_a_picture.py

CPU time of one thread: decode, one resize to the model's square, 20 maps to run-length codes, and the journal: all
that the stages and the store do with the models' answers, in commits of 8. Dedupe is listed apart. Shown with the
allocator as it comes, and as the engine sets it: keeping its pages.
"""

import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import bench
import simulated
from bench import Figure

from pipeline import engine
from pipeline.dedupe import Rules, dedupe
from pipeline.jobs import Done, Job
from pipeline.media import Picture
from pipeline.models import Models
from pipeline.plan import survey
from pipeline.records import Clip, Instances
from pipeline.runners.local import settle
from pipeline.segmenters import SegmenterOptions
from pipeline.store import Store
from pipeline.work import Worker

CLAIM = "CPU of one thread for a 1080p photo with 20 objects, without models"
AT_MOST_MS = 20.0
COUNTED = ("decode", "resize", "masks", "journal")
BATCH = 8


class Answered(SegmenterOptions):
    """A segmenter that has its answers already: what is left of its stage is the journal."""

    looks = False

    def open(self, device: Any) -> "Answered":
        return self

    def segment(self, pictures: Sequence[Picture], found: Sequence[Instances]) -> list[Instances]:
        return [replace(rows, masks=answer(rows.size_hw).masks) for rows in found]


@lru_cache(1)
def answer(size_hw: tuple[int, int]) -> Instances:
    return simulated.with_masks(simulated.boxes_in(size_hw, ("dog",)))


def main(pictures: int = 80, size_hw: tuple[int, int] = (1080, 1920), results: Path = bench.RESULTS) -> int:
    with TemporaryDirectory() as place:
        source = bench.draw_pictures(Path(place, "pictures"), pictures, size_hw)
        settle(threads=1, keep_pages=False)
        as_it_comes = parts_ms(source)
        settle(threads=1, keep_pages=True)
        ours = parts_ms(source)
    figures = [Figure(part, ms, "ms") for part, ms in ours.items()]
    figures.append(Figure("total without dedupe", total(ours), "ms", at_most=AT_MOST_MS))
    figures.append(Figure("the same, allocator as it comes", total(as_it_comes), "ms"))
    return bench.conclude("cpu_a_picture", CLAIM, figures, results)


def total(ms: dict[str, float]) -> float:
    return sum(ms[part] for part in COUNTED)


def parts_ms(source: Path) -> dict[str, float]:
    """CPU milliseconds a picture of each part, the median of batches; the first warms up and is not counted."""
    config = replace(simulated.config(source), segment=Answered())
    with TemporaryDirectory() as place, Store(Path(place, "run.db")) as store:
        clips = survey(config, store).clips
        worker = Worker(config.stages(), Models())
        spent = [work(clips[begin : begin + BATCH], worker, store) for begin in range(0, len(clips), BATCH)][1:]
    return {part: 1000 * statistics.median(s[part] for s in spent) / BATCH for part in spent[0]}


def work(clips: Sequence[Clip], worker: Worker, store: Store) -> dict[str, float]:
    """A batch on its way, as the engine takes it: CPU seconds of each part."""
    spent: dict[str, float] = {}
    pictures = [Picture(clip) for clip in clips]
    with clocked(spent, "decode"):
        for picture in pictures:
            picture.rgb  # noqa: B018 - looking at it decodes it
    with clocked(spent, "resize"):
        for picture in pictures:
            simulated.resized(picture)
    found = [simulated.boxes_in(picture.size_hw, ("dog", "cat", "bird")) for picture in pictures]
    with clocked(spent, "masks"):
        masked = [simulated.with_masks(rows) for rows in found]
    with clocked(spent, "dedupe"):
        for rows in masked:
            dedupe(rows, Rules())
    answer(pictures[0].size_hw)
    with clocked(spent, "journal"):
        said = worker([Job(clip, 0) for clip in clips], pictures)
        engine.commit(store, said)
    assert all(isinstance(outcome, Done) and outcome.objects for outcome in said.outcomes)
    spent["journal"] -= spent["dedupe"]  # which is in it once more
    return spent


@contextmanager
def clocked(spent: dict[str, float], part: str) -> Iterator[None]:
    """Add the CPU time of the block to `spent`."""
    began = time.process_time()
    yield
    spent[part] = time.process_time() - began


if __name__ == "__main__":
    sys.exit(main())
