"""On a GPU, SAM 2.1 of four sizes answers so many pictures a second, in bfloat16.

    python benchmarks/sam2_on_cuda.py

At batch 10, as the table of SAM 2's own README is made: pictures of 1024 x 1024 that are decoded already, one box each.
From `Sam2Image.embed` to maps of logits in main memory: preprocessing and copies are in it. Random weights: they do not
change the time. That bfloat16 gives the same masks is checked: of the pixels that are surely in or out at float32, at
most 1 in 100 may change sides. Where there is no CUDA device nothing is measured and no figures are kept.
"""

import sys
import time
from pathlib import Path

import bench
import numpy as np
import random_models
from bench import Figure
from numpy.typing import NDArray

from pipeline.sam2_image import PROMPTS_A_CALL, Prompt, Sam2Image, open_sam2
from pipeline.seams import Device

CLAIM = "SAM 2.1 on a GPU, bfloat16, batches of 10"
BATCH = 10
SIZES = ("tiny", "hiera_small", "base_plus", "large")
CHANGE_AT_MOST = 0.01
BOX = Prompt(np.array([300, 300, 700, 700], np.float32))


def main(batches: int = 20, results: Path = bench.RESULTS) -> int:
    import torch

    if not torch.cuda.is_available():
        print("sam2_on_cuda: no CUDA device here; nothing was measured")
        return 0
    dice = np.random.default_rng(1)
    pictures = [bench.pink_noise((1024, 1024), dice) for _ in range(BATCH)]
    figures = []
    for size in SIZES:
        model = on_cuda(size, "bfloat16")
        figures.append(Figure(f"{size}: pictures a second", a_second(model, pictures, batches), ""))
        exact, half = (logits_of(each, pictures[:2]) for each in (on_cuda(size, "float32"), model))
        sure = np.abs(exact) > 0.1 * np.abs(exact).max()
        changed = float(((exact > 0) != (half > 0))[sure].mean())
        figures.append(Figure(f"{size}: pixels that change sides", changed, "", at_most=CHANGE_AT_MOST))
    peak = torch.cuda.max_memory_allocated() / 2**20
    figures.append(Figure("peak memory of the GPU", peak, "MB"))
    print(f"on {torch.cuda.get_device_name()}, torch {torch.__version__}")
    return bench.conclude("sam2_on_cuda", CLAIM, figures, results)


def on_cuda(size: str, number_format: str) -> Sam2Image:
    opened = open_sam2(random_models.cached("sam2", size), number_format, Device("cuda:0", 1))
    return Sam2Image(opened.model, opened.scaling, BATCH, PROMPTS_A_CALL["cuda"])


def a_second(model: Sam2Image, pictures: list[NDArray[np.uint8]], batches: int) -> float:
    for _ in range(3):
        logits_of(model, pictures)
    began = time.perf_counter()
    for _ in range(batches):
        logits_of(model, pictures)
    return batches * len(pictures) / (time.perf_counter() - began)


def logits_of(model: Sam2Image, pictures: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
    return np.stack([model.decode(embedding, [BOX])[0][0, 0] for embedding in model.embed(pictures)])


if __name__ == "__main__":
    sys.exit(main())
