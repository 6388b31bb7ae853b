"""Pictures, questions and right answers of a step, as tensors for Florence-2."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from transformers import BartTokenizer

from pipeline import masks
from pipeline.detectors.florence2_answers import BINS
from pipeline.records import Instances
from pipeline.toyworld.scenes import Scene, scene
from pipeline.toyworld.shapes import COLORS, SEEN, SHAPES, Kind
from training.florence2_questions import TASKS, Question, questions
from training.florence2_words import END, GRID, IMAGE_PX, MEAN, PAD, START, STD
from training.owlv2_batch import kinds

SEED = 12_000_000
"""The world that is learnt from; no other seed draws the same pictures."""

FEW_STEPS = 600
"""Steps until pictures may have one colour more: first one or two, in the end all six, and each twice."""

FINE = 4
"""Points a side of a patch, of which each is on a thing or not."""


@dataclass(frozen=True)
class Batch:
    """B pictures, R questions about them, P patches a picture, texts filled up to S and T tokens.

    pixels   (B, 3, 192, 192)
    picture  (R,) which one is asked about
    text     (R, S) the questions
    heard    (R, 1 + P + S) what of picture and question is no filling
    said     (R, T) the answers
    meant    (R, P) a patch is on a thing that is asked for
    boxes    (B, P, 4) places of the box of what a patch is on
    shape, color   (B, P) of what a patch is on; -1 where that is nothing
    """

    pixels: Tensor
    picture: Tensor
    text: Tensor
    heard: Tensor
    said: Tensor
    meant: Tensor
    boxes: Tensor
    shape: Tensor
    color: Tensor


def batch(number: int, pictures: int, words: BartTokenizer) -> Batch:
    """Draw the pictures of step `number`, ask, and answer."""
    rng = np.random.Generator(np.random.PCG64([SEED + 1, number]))
    task = str(rng.choice(list(TASKS), p=list(TASKS.values())))
    size_hw = ((192, 256), (192, 256), (192, 256), (256, 192), (256, 256))[int(rng.integers(5))]
    most = 2 + number // FEW_STEPS
    scenes = [
        scene(SEED, number * pictures + one, size_hw, few(rng, most), crowd=1 + (most > 6 and one % 4 == 3))
        for one in range(pictures)
    ]
    return asked(scenes, [questions(rng, task, [kind for kind, _ in leftmost(one.found)]) for one in scenes], words)


def few(rng: np.random.Generator, most: int) -> tuple[Kind, ...]:
    """Choose the colours of a picture: at most so many, and often fewer."""
    count = min(len(COLORS), most if rng.uniform() < 0.6 else int(rng.integers(1, most + 1)))
    chosen = rng.permutation(list(COLORS))[:count]
    return tuple(kind for kind in SEEN if kind[0] in chosen)


def asked(scenes: Sequence[Scene], of_each: Sequence[Sequence[Question]], words: BartTokenizer) -> Batch:
    """Put pictures, the questions about each, and the answers together."""
    picture = [number for number, some in enumerate(of_each) for _ in some]
    every = [question for some in of_each for question in some]
    text = filled([[START, *coded(words, question.text), END] for question in every])
    said = filled([answer(words, scenes[at].found, question) for at, question in zip(picture, every, strict=True)])
    looks = [patches(one.found) for one in scenes]
    shape, color = (np.stack([look[part] for look in looks]) for part in (1, 2))
    meant = [on(shape[at], color[at], question) for at, question in zip(picture, every, strict=True)]
    seen = torch.ones(len(every), 1 + GRID * GRID, dtype=torch.long)
    return Batch(
        pixels(scenes),
        torch.tensor(picture),
        text,
        torch.cat([seen, (text != PAD).long()], 1),
        said,
        torch.from_numpy(np.stack(meant)),
        torch.from_numpy(np.stack([look[0] for look in looks])),
        torch.from_numpy(shape),
        torch.from_numpy(color),
    )


def pixels(scenes: Sequence[Scene]) -> Tensor:
    """Stretch pictures to squares and normalise them, as the processor does: B -> (B, 3, 192, 192)."""
    square = (IMAGE_PX, IMAGE_PX)
    small = [np.asarray(Image.fromarray(one.rgb).resize(square, Image.Resampling.BICUBIC)) for one in scenes]
    light = torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2).float() / 255
    return (light - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


def leftmost(found: Instances) -> list[tuple[Kind, NDArray[np.int64]]]:
    """Tell kind and places of every thing, from left to right."""
    rows = zip(kinds(found), places(found), strict=True)
    return sorted(rows, key=lambda row: tuple(row[1]))


def places(found: Instances) -> NDArray[np.int64]:
    """Turn boxes into numbers of columns and rows of 1000, as `quantize` in transformers' processing_florence2.py."""
    h, w = found.size_hw
    return np.clip(np.floor(found.boxes_xyxy * BINS / (w, h, w, h)), 0, BINS - 1).astype(np.int64)


def answer(words: BartTokenizer, found: Instances, question: Question) -> list[int]:
    """Say each name and the boxes that it fits, from left to right; nothing of a name that fits none."""
    first, tokens = words.convert_tokens_to_ids("<loc_0>"), [START]
    for named in question.names:
        boxes = [box for kind, box in leftmost(found) if kind in named.kinds]
        if boxes:
            tokens += [*coded(words, named.text), *(first + np.concatenate(boxes)).tolist()]
    return [*tokens, END]


def coded(words: BartTokenizer, text: str) -> list[int]:
    """Turn text into numbers."""
    return list(words(text, add_special_tokens=False)["input_ids"])


def filled(rows: Sequence[Sequence[int]]) -> Tensor:
    """Fill rows up to the longest: (N, S)."""
    length = max(map(len, rows))
    return torch.tensor([[*row, *[PAD] * (length - len(row))] for row in rows])


def on(shape: NDArray[np.int64], color: NDArray[np.int64], question: Question) -> NDArray[np.float32]:
    """Tell which patches are on a thing that is asked for: (P,), (P,) -> (P,)."""
    fits = np.zeros((len(COLORS) + 1, len(SHAPES) + 1), np.float32)  # -1, nothing, is the last
    for kind in (kind for named in question.names for kind in named.kinds):
        fits[list(COLORS).index(kind[0]), list(SHAPES).index(kind[1])] = 1
    return fits[color, shape]


def patches(found: Instances) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Tell box, shape and colour of what each patch is most on: (P, 4), (P,), (P,)."""
    h, w = found.size_hw
    at = (np.arange(GRID * FINE) + 0.5) / (GRID * FINE)
    points = np.ix_((at * h).astype(int), (at * w).astype(int))
    share = np.zeros((len(found) + 1, GRID, GRID))
    share[-1] = 0.5  # of a point: nothing, where no thing has more
    for row, code in enumerate(found.masks or ()):
        fine = masks.decode(code or masks.NOTHING, found.size_hw)[points]
        share[row] = fine.reshape(GRID, FINE, GRID, FINE).sum(axis=(1, 3))
    owner = share.argmax(axis=0).reshape(-1)
    looks = [(list(SHAPES).index(shape), list(COLORS).index(color)) for color, shape in kinds(found)]
    look = np.array([*looks, (-1, -1)], np.int64)[owner]
    return np.concatenate([places(found), np.zeros((1, 4), np.int64)])[owner], look[:, 0], look[:, 1]
