"""Six classes asked of Florence-2 take 3.5 times less CPU than a call of transformers' generate for each.

    python benchmarks/florence2_classes.py

Florence-2-base at full size, random weights, one thread, greedy, answers of 30 tokens: random weights stop at once or
never. The loop is transformers' own example: processor and `generate` once a class. Ours is the `florence2` detector:
the picture is looked at once, and the classes answer together. The tokens are compared, and have to be the same. Both
with our matmul setting, then the loop as it comes.
"""

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import bench
import numpy as np
import random_models
from bench import Figure

from pipeline.detectors.florence2 import Florence2
from pipeline.media import Picture
from pipeline.runners.local import settle
from pipeline.seams import Device

CLAIM = "CPU of one thread for six classes of a picture, Florence-2-base, 30 tokens each"
AT_LEAST = 3.5
TOKENS = 30
CLASSES = ("dog", "cat", "person", "car", "traffic light", "red ball")

Tokens = list[tuple[int, ...]]


def main(size: str = "base", rounds: int = 2, results: Path = bench.RESULTS) -> int:
    import torch

    folder = random_models.cached("florence2", size)
    settle(threads=1, keep_pages=True)
    detector = Florence2(model=str(folder), max_new_tokens=TOKENS).open(Device("cpu", 1))
    fast = torch.get_float32_matmul_precision()
    detector.calls.model.generation_config.min_new_tokens = TOKENS
    picture = Picture.of(bench.pink_noise((480, 640), np.random.default_rng(1)))
    one_by_one = loop(folder, picture, detector)
    ours_said, ours = best_s(lambda: together(detector, picture), rounds)
    loop_said, alike = best_s(one_by_one, rounds)
    torch.set_float32_matmul_precision("highest")
    _, shipped = best_s(one_by_one, rounds)
    torch.set_float32_matmul_precision(fast)
    figures = [
        Figure("generate for each class, as it comes", shipped, "s"),
        Figure("generate for each class, our setting", alike, "s"),
        Figure("masklet", ours, "s"),
        Figure("our setting on both sides", alike / ours, "times", at_least=AT_LEAST),
        Figure("as shipped", shipped / ours, "times"),
        Figure("answers that differ", sum(a != b for a, b in zip(ours_said, loop_said, strict=True)), "", at_most=0),
    ]
    return bench.conclude("florence2_classes", CLAIM, figures, results)


def best_s(way: Callable[[], Tokens], rounds: int) -> tuple[Tokens, float]:
    """What a way answers, and the least CPU seconds of some rounds; the first warms up and is not counted."""
    said, taken = way(), []
    for _ in range(rounds):
        began = time.process_time()
        way()
        taken.append(time.process_time() - began)
    return said, min(taken)


def together(detector: Any, picture: Picture) -> Tokens:
    """The detector as it is; the tokens are taken down on the way."""
    said: Tokens = []
    answer = detector.calls.answer

    def watched(readings: Sequence[Any]) -> Any:
        answers = answer(readings)
        said.extend(one.tokens for one in answers)
        return answers

    detector.calls.answer = watched
    try:
        detector.detect([picture], CLASSES)
    finally:
        detector.calls.answer = answer
    return said


def loop(folder: Path, picture: Picture, detector: Any) -> Callable[[], Tokens]:
    """Transformers' example, with a model of its own."""
    import torch
    from transformers import Florence2ForConditionalGeneration, Florence2Processor

    model = Florence2ForConditionalGeneration.from_pretrained(folder).eval()
    model.generation_config = detector.calls.model.generation_config
    processor = Florence2Processor(detector.processor, detector.tokenizer)

    def one_by_one() -> Tokens:
        said = []
        for name in CLASSES:
            task = f"<OPEN_VOCABULARY_DETECTION>{name}"
            inputs = processor(text=task, images=picture.rgb, return_tensors="pt", input_data_format="channels_last")
            with torch.inference_mode():
                said.append(tuple(model.generate(**inputs)[0, 1:].tolist()))
        return said

    return one_by_one


if __name__ == "__main__":
    sys.exit(main())
