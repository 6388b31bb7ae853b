"""Six films of DAVIS 2016, seeded by YOLOX's detections: J&F of the tiny SAM 2, and of baselines with no such model.

    python benchmarks/davis2016.py

Words in, masks out: YOLOX-nano finds COCO's 80 classes on key frames, and nobody says which object is meant. DAVIS has
one object a film, without a class: the track that fits it best is judged, whatever its class, in all frames but the
first and the last. A rider on his bike is one object there and two tracks here, of which one is judged. No bar: the
tiny SAM 2 has seen drawn shapes only. Films and detector are real data that lies beside the repository.
"""

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import bench
from bench import Figure
from places import SHARED_DATA

from pipeline import engine
from pipeline.config import load
from pipeline.evaluate.film_truth import evaluate_film_run
from pipeline.evaluate.of_films import Scores
from pipeline.labelled import Films
from pipeline.report.films import show_film_scores
from pipeline.store import Store

CLAIM = "J&F of six films of DAVIS 2016 from YOLOX-nano's detections, the track that fits best"
FILMS = SHARED_DATA / "davis2016"
DETECTOR = SHARED_DATA / "models/yolox_nano/yolox_nano.onnx"
WAYS = {
    "tiny SAM 2": ["segment.backend=fake", "track={backend: sam2, model: tiny-sam2, every: 8}"],
    "boxes": ["segment.backend=fake", "track={backend: iou, every: 1}"],
    "GrabCut": ["segment.backend=grabcut", "track={backend: iou, every: 1}"],
}
"""Who follows, and who makes masks: the tiny SAM 2 makes its own, from YOLOX's boxes on every eighth frame; the others
have YOLOX on every frame, and no masks but the boxes, or GrabCut's."""


def main(ways: Sequence[str] = tuple(WAYS), limit: int | None = None, results: Path = bench.RESULTS) -> int:
    if not FILMS.is_dir():
        print("davis2016: needs ../shared/data beside the repository: real films that are not part of it")
        return 0
    scores, figures = {}, []
    for way in ways:
        began = time.perf_counter()
        scores[way] = labelled_by(WAYS[way], limit)
        seconds = time.perf_counter() - began
        per_film = scores[way].per_film.items()
        figures += [Figure(f"{way}: {name.rpartition('/')[2]}", said["j_and_f"], "J&F") for name, said in per_film]
        figures.append(Figure(f"{way}: all", scores[way].over_all["j_and_f"], "J&F"))
        figures.append(Figure(f"{way}: frames a second", scores[way].frames / seconds, ""))
    (first, ours), *others = scores.items()
    print(first + "\n" + show_film_scores(ours, dict(others)) + "\n")
    return bench.conclude("davis2016", CLAIM, figures, results)


def labelled_by(way: Sequence[str], limit: int | None) -> Scores:
    """Run over the films, and judge."""
    source = f"source={{path: {FILMS / 'JPEGImages/480p'}, frame_folders_fps: 24}}"
    config = load("photos_yolox", [source, f"detect.model={DETECTOR}", "export.formats=[sav]", *way])
    with tempfile.TemporaryDirectory() as out:
        engine.run(config, Path(out), limit=limit)
        with Store(Path(out) / "run.db") as store:
            return evaluate_film_run(Films(store), FILMS / "Annotations/480p", "davis2017", "any")


if __name__ == "__main__":
    sys.exit(main())
