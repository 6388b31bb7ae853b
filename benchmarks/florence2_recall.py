"""Florence-2 asked once more, of a mirrored picture, finds more; what it finds both times is seldom made up.

    python benchmarks/florence2_recall.py

The tiny Florence-2 on toy pictures that it has not learnt from, asked for the seven shapes and for five things that no
scene has, as it learnt (an answer may be empty) and as the released ones do (every question is answered with a box).
The figures are of the boxes of a dataset, above the default threshold and after dedupe; a false alarm is a box of a
class that is not in the picture. Beside it: two prompts a class, pooled; the picture smaller, and in tiles; and all
objects (`<OD>`) as a gate, which is worth no more than the model's own list of objects. Seconds are CPU, one thread,
the model's opening included.
"""

import sys
import tempfile
import time
from pathlib import Path

import bench
from bench import Figure
from verify import ABSENT, SEED, Found, alarms, run

from pipeline import toyworld
from pipeline.evaluate.average_precision import average_precision
from pipeline.evaluate.calibrate import Judged, figures, matched
from pipeline.formats import coco
from pipeline.toyworld.words import SHAPE_WORDS

CLAIM = "toy pictures, the tiny Florence-2"
LEARNT, EAGER = "florence2", "verify:Eager"
ASKED = "detect={{backend: '{}', model: tiny-florence2, score: label, max_new_tokens: 64, {}}}"
TILED = (
    "detect={{backend: tiled, side_px: 144, "
    "detector: {{backend: '{}', model: tiny-florence2, score: label, max_new_tokens: 64}}}}"
)
ROWS = {
    "as learnt": (LEARNT, ASKED, ""),
    "as learnt, two prompts": (LEARNT, ASKED, ""),
    "as learnt, mirrored": (LEARNT, ASKED, "mirrored: true"),
    "as learnt, mirrored, agreed": (LEARNT, ASKED, "mirrored: true, agreed: true"),
    "as learnt, smaller": (LEARNT, ASKED, "scales: [0.7]"),
    "as learnt, tiles": (LEARNT, TILED, ""),
    "as learnt, gate": (LEARNT, ASKED, "gate: true"),
    "answers all": (EAGER, ASKED, ""),
    "answers all, two prompts": (EAGER, ASKED, ""),
    "answers all, mirrored": (EAGER, ASKED, "mirrored: true"),
    "answers all, mirrored, agreed": (EAGER, ASKED, "mirrored: true, agreed: true"),
    "answers all, gate": (EAGER, ASKED, "gate: true"),
}
"""What is asked: the backend, its section of a configuration, and the options in it."""

COLUMNS = {"AP50": "", "recall": "", "precision": "", "false alarms": "a picture", "CPU": "s a picture"}
GAIN, ALARMS = 0.02, 0.5
"""Mirrored, AP50 rises by at least so much; and of the false alarms of a model that answers all at most this share is
left where both pictures have to agree."""


def main(pictures: int = 60, results: Path = bench.RESULTS) -> int:
    with tempfile.TemporaryDirectory() as place:
        scenes = Path(place) / "scenes"
        toyworld.write(scenes, SEED, pictures)
        rows = {
            name: measured(scenes, Path(place) / name, section.format(backend, options), "two" in name)
            for name, (backend, section, options) in ROWS.items()
        }
    print(f"{'':<30}" + "".join(f"{name:>14}" for name in COLUMNS))
    for name, row in rows.items():
        print(f"{name:<30}" + "".join(f"{value:>14.3f}" for value in row))
    said = [
        Figure(f"{name}: {column}", value, unit)
        for name, row in rows.items()
        for (column, unit), value in zip(COLUMNS.items(), row, strict=True)
    ]
    plain, agreed = rows["answers all"], rows["answers all, mirrored, agreed"]
    gain = rows["as learnt, mirrored"][0] - rows["as learnt"][0]
    said.append(Figure("as learnt, mirrored: AP50 gained", gain, "", at_least=GAIN))
    said.append(Figure("answers all, agreed: false alarms left", agreed[3] / max(plain[3], 1e-9), "", at_most=ALARMS))
    return bench.conclude("florence2_recall", CLAIM, said, results)


def measured(scenes: Path, out: Path, detect: str, two: bool) -> tuple[float, ...]:
    """The columns of a row of the table."""
    began = time.process_time()
    found = run(scenes, out, [detect, *([two_prompts()] if two else [])]).kept
    spent = (time.process_time() - began) / len(found)
    clips = list(coco.read(scenes / "truth.json").clips)
    truth = {clip.name: clip.found[0] for clip in clips}
    shapes = of_shapes(found, truth)
    right = figures(Judged.of(shapes), 0.0)
    ap50 = float(average_precision(clips, found, "box").ap50 or 0)
    return ap50, right.recall or 0.0, right.precision or 0.0, alarms(found, truth), spent


def of_shapes(found: Found, truth: Found) -> list[Judged]:
    """Every class of every picture, judged: the shapes, and what is never there."""
    names = [*toyworld.ontology().names, *ABSENT]
    return [matched(rows, truth[picture], name) for picture, rows in found.items() for name in names]


def two_prompts() -> str:
    """The same classes, each shape by two words."""
    classes = {**SHAPE_WORDS, **{name: (name,) for name in ABSENT}}
    return "ontology={" + ", ".join(f"{name}: [{', '.join(words)}]" for name, words in classes.items()) + "}"


if __name__ == "__main__":
    sys.exit(main())
