"""A box costs SAM 2's decoder no more among 64 than alone.

    python benchmarks/decoder_boxes.py

SAM 2.1 tiny at full size, random weights, CPU time of one thread. Alone: the model called with one box. Among 64: as
masklet calls it, in chunks of a fixed shape. Shown for other chunks too: without an allocator that keeps its pages,
large ones cost more a box, page fault by page fault.
"""

import sys
import time
from pathlib import Path

import bench
import numpy as np
import random_models
from bench import Figure

from pipeline.runners.local import settle
from pipeline.sam2_image import PROMPTS_A_CALL, Prompt, Sam2Image, open_sam2
from pipeline.seams import Device

CLAIM = "CPU of one thread for one box in SAM 2.1 tiny's decoder"
AT_MOST = 1.1
BOXES = 64
CHUNKS = (1, PROMPTS_A_CALL["cpu"], 16, 64)


def main(size: str = "tiny", boxes: int = BOXES, repeats: int = 3, results: Path = bench.RESULTS) -> int:
    settle(threads=1, keep_pages=True)
    opened = open_sam2(random_models.cached("sam2", size), "float32", Device("cpu", 1))
    rgb = bench.pink_noise((480, 640), np.random.default_rng(1))
    (embedding,) = opened.embed([rgb])
    corners = np.random.default_rng(1).uniform(0, 300, (boxes, 2))
    prompts = [Prompt(np.array([x, y, x + 120, y + 100], np.float32)) for x, y in corners]
    ms: dict[int, float] = {}
    for chunk in CHUNKS:
        model = Sam2Image(opened.model, opened.scaling, 1, chunk)
        asked = prompts[:8] if chunk == 1 else prompts
        spent = bench.median_s(lambda m=model, a=asked: m.decode(embedding, a), repeats, time.process_time)  # type: ignore[misc]
        ms[chunk] = 1000 * spent / len(asked)
    ours = PROMPTS_A_CALL["cpu"]
    figures = [Figure(f"a box, {chunk} a call", spent, "ms") for chunk, spent in ms.items()]
    figures.append(Figure(f"among {boxes} over alone", ms[ours] / ms[1], "", at_most=AT_MOST))
    return bench.conclude("decoder_boxes", CLAIM, figures, results)


if __name__ == "__main__":
    sys.exit(main())
