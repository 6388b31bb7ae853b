"""Fifty labelled pictures are enough to choose thresholds that are better on two hundred others.

    python benchmarks/calibrate.py

The demo's detector, the tiny OWLv2, on toy pictures of two seeds that nothing was learnt from: `masklet calibrate` on
the first, its file for the second, from the same detections. F1 is of the boxes in the dataset, after dedupe; the
calibration error is of all detections. The masks are filled boxes: only boxes are judged here.
"""

import sys
import tempfile
from pathlib import Path

import bench
from bench import Figure

from pipeline import engine, toyworld
from pipeline.config import Config, load
from pipeline.evaluate.calibrate import (
    Figures,
    Judged,
    Learnt,
    calibrate,
    calibration_error,
    figures,
    judged,
    matched,
    probabilities,
)
from pipeline.formats import coco
from pipeline.labelled import labelled
from pipeline.report.calibration import show_calibration
from pipeline.store import Store

CLAIM = "thresholds learnt from toy pictures, on others"
LEARN_SEED, OTHER_SEED = 21_000_000, 22_000_000
F1_GAIN, ECE_RATIO = 0.0, 0.5


def main(learn: int = 50, others: int = 200, results: Path = bench.RESULTS) -> int:
    with tempfile.TemporaryDirectory() as place:
        here = Path(place)
        toyworld.write(here / "learn", LEARN_SEED, learn)
        toyworld.write(here / "others", OTHER_SEED, others)
        learnt = learn_from(here / "learn")
        file = here / "calibration.yaml"
        file.write_text(learnt.calibration.to_yaml(), encoding="utf-8")
        before, _ = labelled_boxes(here / "others", here / "before")
        after, asked = labelled_boxes(
            here / "others", here / "after", f"select.calibration={file}", reuse=here / "before"
        )
        scored = detections(here / "others", here / "before")
    print(show_calibration(learnt) + "\n")
    raw = calibration_error(scored.scores, scored.hits) or 0.0
    mapped = calibration_error(probabilities(scored, learnt.calibration), scored.hits) or 0.0
    said = [
        Figure("F1 of others, before", before.f1 or 0.0, ""),
        Figure("F1 of others, after", after.f1 or 0.0, ""),
        Figure("F1, gained", (after.f1 or 0.0) - (before.f1 or 0.0), "", at_least=F1_GAIN),
        Figure("precision of others, before", before.precision or 0.0, ""),
        Figure("precision of others, after", after.precision or 0.0, ""),
        Figure("recall of others, before", before.recall or 0.0, ""),
        Figure("recall of others, after", after.recall or 0.0, ""),
        Figure("pictures the detector was asked about again", asked, "pictures", at_most=0),
        Figure("calibration error, scores", raw, ""),
        Figure("calibration error, probabilities", mapped, ""),
        Figure("probabilities over scores", mapped / max(raw, 1e-9), "times", at_most=ECE_RATIO),
    ]
    return bench.conclude("calibrate", CLAIM, said, results)


def configured(scenes: Path, *overrides: str) -> Config:
    """The demo's configuration, with boxes for masks."""
    return load("demo", [f"source.path={scenes / 'images'}", "segment={backend: fake}", "track=null", *overrides])


def learn_from(scenes: Path) -> Learnt:
    """What `masklet calibrate` learns."""
    config, out = configured(scenes), scenes / "run"
    engine.run(config, out)
    with Store(out / "run.db") as store:
        return calibrate(config, store, scenes / "truth.json")


def labelled_boxes(scenes: Path, out: Path, *overrides: str, reuse: Path | None = None) -> tuple[Figures, int]:
    """How right the boxes of the dataset are, and how many pictures the detector was asked about."""
    config = configured(scenes, *overrides)
    summary = engine.run(config, out, [reuse] if reuse else [])
    truth = {clip.name: clip.found[0] for clip in coco.read(scenes / "truth.json").clips}
    with Store(out / "run.db") as store:
        kept = [(one.whole.name, one.replayed(store).found[0]) for one in labelled(store)]
    parts = [matched(rows, truth[picture], name) for picture, rows in kept for name in config.ontology.names]
    return figures(Judged.of(parts), 0.0), int(summary.stages["detect"]["asked"])


def detections(scenes: Path, out: Path) -> Judged:
    """Everything that the detector says."""
    with Store(out / "run.db") as store:
        found, _ = judged(configured(scenes), store, scenes / "truth.json")
    return Judged.of(list(found.values()))


if __name__ == "__main__":
    sys.exit(main())
