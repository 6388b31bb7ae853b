"""Beside its models, a 1080p photo with 20 objects costs at most 20 ms of one core.

    python benchmarks/cpu_a_picture.py

CPU time of one thread: decode, one resize to the model's square, 20 maps to run-length codes, and the journal: all
that the stages and the store do with the answers, in commits of 8. Dedupe is listed apart. Shown with the allocator
as it comes, and as the engine sets it: keeping its pages.
"""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import bench
import simulated
from bench import Figure

from pipeline import dedupe, engine
from pipeline.config import Config
from pipeline.media import Picture
from pipeline.plan import survey
from pipeline.records import Clip, Instances
from pipeline.runners.local import settle
from pipeline.segmenters import SegmenterOptions
from pipeline.store import Store
from pipeline.work import Job, Worker

AT_MOST_MS = 20.0
BATCH = 8
SIZE_HW = (1080, 1920)


class Answered(SegmenterOptions):
    """A segmenter that has its answer already, so that what is left is the journal."""

    looks = False

    def open(self, device: object) -> "Answered":  # noqa: ARG002 - it has no use for one
        return self

    def segment(self, pictures: Sequence[Picture], found: Sequence[Instances]) -> list[Instances]:
        return [answers[p.size_hw] for p in pictures]
