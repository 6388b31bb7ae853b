"""J and F of 20 objects in 100 frames take seconds.

    python benchmarks/j_and_f.py

CPU time of one thread, from records. Ours: `j_and_f`, with objects and tracks of the same numbers, and with tracks that
have to be paired with objects first. The other is davis2017-evaluation's way, step by step as its code does it: masks,
their outlines and the outlines made thick by a disk (OpenCV), all on whole frames. It is timed on every tenth frame and
counted up; what it says there must be what ours says, to the last bit.
"""

import sys
import time
from math import ceil, hypot
from pathlib import Path

import bench
import numpy as np
from bench import Figure
from numpy.typing import NDArray

from pipeline import masks
from pipeline.evaluate.j_and_f import compared, j_and_f
from pipeline.records import Clip, Frame, Instances

CLAIM = "CPU of one thread for J and F of 20 objects in 100 frames, from records"
SIZES = {"480p": (480, 854), "1080p": (1080, 1920)}
SECONDS_AT_MOST = 10.0

Bits = NDArray[np.bool_]
Size = tuple[int, int]


def main(objects: int = 20, length: int = 100, every: int = 10, results: Path = bench.RESULTS) -> int:
    import cv2

    cv2.setNumThreads(1)
    figures = []
    for name, size_hw in SIZES.items():
        meant, found = films(objects, length, size_hw)
        j_and_f(film_of(meant, slice(0, 2)), film_of(found, slice(0, 2)))  # nothing is cold
        same = seconds(lambda a=meant, b=found: j_and_f(a, b, "all", "ids"))
        paired = seconds(lambda a=meant, b=found: j_and_f(a, b, "all", "any"))
        sample = [film_of(film, slice(0, length, every)) for film in (meant, found)]
        whole = seconds(lambda two=sample: [whole_frames(*pair) for pair in pairs(*two)])
        whole *= length / len(sample[0].frames)
        differ = max(abs(np.subtract(compared(*pair), whole_frames(*pair))).max() for pair in pairs(*sample))
        limit = SECONDS_AT_MOST if name == "480p" else None
        figures += [
            Figure(f"{name}: ours", same, "s", at_most=limit),
            Figure(f"{name}: ours, and who answers for whom", paired, "s"),
            Figure(f"{name}: whole frames", whole, "s"),
            Figure(f"{name}: whole frames over ours", whole / same, ""),
            Figure(f"{name}: largest difference", float(differ), "", at_most=0.0),
        ]
    return bench.conclude("j_and_f", CLAIM, figures, results)


def seconds(work) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def films(objects: int, length: int, size_hw: Size) -> tuple[Clip, Clip]:
    """Moving objects with wobbly outlines, and the same a little aside and with another wobble, as a tracker sees them.

    Their radius is a twentieth to a quarter of the frame's height.
    """
    dice = np.random.default_rng(1)
    start = dice.uniform(0.2, 0.8, (objects, 2)) * size_hw
    step = dice.normal(0, size_hw[0] / 400, (objects, 2))
    radius = dice.uniform(0.05, 0.25, objects) * size_hw[0]
    out = []
    for off in (0.0, size_hw[0] / 200):
        wobble = dice.uniform(0, 2 * np.pi, (objects, 5))
        found = []
        for at in range(length):
            centers = np.clip(start + at * step + off, 0, np.array(size_hw) - 1)
            codes = [blob(*one, size_hw) for one in zip(centers, radius, wobble + at / 20, strict=True)]
            boxes = masks.boxes(codes, size_hw)
            names = ("thing",) * objects
            found.append(Instances(size_hw, boxes, names, masks=codes, track_ids=np.arange(objects) + 1))
        frames = tuple(Frame(at, at / 24, size_hw) for at in range(length))
        out.append(Clip("film", "film", "film", frames, None, tuple(found)))
    return out[0], out[1]


def blob(center_yx: NDArray[np.float64], radius: float, wobble: NDArray[np.float64], size_hw: Size) -> bytes:
    y0, x0 = np.maximum(center_yx - 1.3 * radius, 0).astype(int)
    y1, x1 = np.minimum(center_yx + 1.3 * radius, size_hw).astype(int)
    y, x = np.ogrid[y0:y1, x0:x1]
    y, x = y - center_yx[0], x - center_yx[1]
    angle = np.arctan2(y, x).astype(np.float32)
    edge = 1 + sum(0.05 * np.sin((k + 2) * angle + np.float32(phase)) for k, phase in enumerate(wobble))
    return masks.encode_crop(np.hypot(y, x) <= radius * edge, (x0, y0), size_hw)


def film_of(film: Clip, part: slice) -> Clip:
    return Clip(film.id, film.name, film.path, film.frames[part], None, film.found[part])


def pairs(meant: Clip, found: Clip) -> list[tuple[bytes, bytes, Size]]:
    both = zip(meant.found, found.found, strict=True)
    return [(a, b, one.size_hw) for one, other in both for a, b in zip(one.masks, other.masks, strict=True)]


def whole_frames(true: bytes, got: bytes, size_hw: Size) -> tuple[float, float]:
    import cv2

    a, b = masks.decode(true, size_hw), masks.decode(got, size_hw)
    reach = ceil(0.008 * hypot(*size_hw))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disk = (x**2 + y**2 <= reach**2).astype(np.uint8)
    lines = [outline(mask) for mask in (a, b)]
    thick = [cv2.dilate(line.astype(np.uint8), disk) for line in lines]
    precision = float((lines[1] * thick[0]).sum() / lines[1].sum())
    recall = float((lines[0] * thick[1]).sum() / lines[0].sum())
    f = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return float((a & b).sum() / (a | b).sum()), f


def outline(mask: Bits) -> Bits:
    right, below, between = np.zeros_like(mask), np.zeros_like(mask), np.zeros_like(mask)
    right[:, :-1], below[:-1], between[:-1, :-1] = mask[:, 1:], mask[1:], mask[1:, 1:]
    out = mask ^ right | mask ^ below | mask ^ between
    out[-1] = mask[-1] ^ right[-1]
    out[:, -1] = mask[:, -1] ^ below[:, -1]
    out[-1, -1] = False
    return out


if __name__ == "__main__":
    sys.exit(main())
