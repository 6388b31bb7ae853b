"""A million annotations are written in seconds, and in constant memory.

    python benchmarks/million_annotations.py

Synthetic squares and discs over 100 000 pictures of 640 x 480, annotations alone: COCO's run lengths and YOLO-seg's
polygons, beside `json.dump` of the same COCO file. Processor time, less that of making the records, in memory where
there is such a folder: what a disk takes for 100 000 small files is not ours.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import bench
import numpy as np
from bench import Figure

from pipeline import masks
from pipeline.formats import coco, yolo
from pipeline.ontology import Ontology
from pipeline.records import Clip, Frame, Instances

CLAIM = "a million annotations over 100 000 pictures, beyond making the records"
COCO_US, YOLO_US, GROWTH_MB = 3.0, 15.0, 50.0
PICTURES, ROWS, POOL = 100_000, 10, 997
SIZE_HW = (480, 640)
NAMES = ("dog", "cat", "bird", "dog", "cat") * 2


def main(pictures: int = PICTURES, results: Path = bench.RESULTS) -> int:
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else None) as place:
        told = {what: alone(what, pictures, Path(place)) for what in ("records", "coco", "yolo", "json")}
    lines = pictures * ROWS

    def beyond(what: str) -> float:
        return 1e6 * (told[what]["s"] - told["records"]["s"]) / lines

    figures = [
        Figure("annotations", lines, ""),
        Figure("making the records", 1e6 * told["records"]["s"] / lines, "us each"),
        Figure("COCO, run lengths", beyond("coco"), "us each", at_most=COCO_US),
        Figure("json.dump of the same COCO file", 1e6 * told["json"]["s"] / lines, "us each"),
        Figure("YOLO-seg", beyond("yolo"), "us each", at_most=YOLO_US),
        Figure("COCO, memory over that of the records", growth(told, "coco"), "MB", at_most=GROWTH_MB),
        Figure("YOLO-seg, memory over that of the records", growth(told, "yolo"), "MB", at_most=GROWTH_MB),
    ]
    return bench.conclude("million_annotations", CLAIM, figures, results)


def growth(told: dict[str, dict[str, float]], what: str) -> float:
    return told[what]["mb"] - told["records"]["mb"]


def alone(what: str, pictures: int, place: Path) -> dict[str, float]:
    """Seconds and peak MB of one part, in a process of its own."""
    command = [sys.executable, __file__, what, str(pictures), str(place)]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(said.stdout))


def part(what: str, pictures: int, place: Path) -> dict[str, float]:
    """Do one part; gives its seconds of processor time and the process's peak memory."""
    ontology = Ontology.parse("dog, cat, bird")
    rows = pool()
    whole = json.loads((place / "a.json").read_text()) if what == "json" else {}
    began = time.process_time()
    if what == "records":
        for _ in clips(pictures, rows):
            pass
    elif what == "coco":
        coco.write_annotations(clips(pictures, rows), ontology, place / "a.json")
    elif what == "json":
        with (place / "b.json").open("w") as file:
            json.dump(whole, file)
    else:
        (place / "yolo").mkdir()
        yolo.write_labels(((clip.name, clip) for clip in clips(pictures, rows)), ontology, place / "yolo")
    taken = time.process_time() - began
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    peak_kb = next(line.split()[1] for line in lines if line.startswith("VmHWM"))
    return {"s": taken, "mb": int(peak_kb) * 1024 / 1e6}


def pool() -> list[tuple[tuple[int, int, int, int], bytes]]:
    """Boxes and codes of squares and discs of 8 to 40 pixels."""
    dice = np.random.default_rng(0)
    y, x = np.mgrid[: SIZE_HW[0], : SIZE_HW[1]]
    made = []
    for number in range(POOL):
        down, right, radius = dice.uniform((21, 21, 4), (SIZE_HW[0] - 21, SIZE_HW[1] - 21, 20))
        away = np.hypot(y - down, x - right) if number % 2 else np.maximum(abs(y - down), abs(x - right))
        code = masks.encode(away < radius)
        made.append((masks.box(code, SIZE_HW), code))
    return made


def clips(pictures: int, rows: list[tuple[tuple[int, int, int, int], bytes]]) -> Iterator[Clip]:
    """Pictures with ten objects each."""
    frames = (Frame(0, 0.0, SIZE_HW),)
    scores = np.full(ROWS, 0.5, np.float32)
    for number in range(pictures):
        chosen = [rows[(number * ROWS + row * 101) % POOL] for row in range(ROWS)]
        found = Instances(
            SIZE_HW,
            np.array([box for box, _ in chosen], np.float32),
            NAMES,
            scores=scores,
            masks=tuple(code for _, code in chosen),
            source=("simulated",) * ROWS,
        )
        yield Clip(f"{number:032x}", f"{number:06}.jpg", f"/{number:06}.jpg", frames, None, (found,))


if __name__ == "__main__":
    if sys.argv[1:]:
        print(json.dumps(part(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))))
    else:
        sys.exit(main())
