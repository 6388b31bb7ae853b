"""Writing a dataset, reading it back and comparing it costs at most 3 ms an object.

    python benchmarks/export.py

COCO, from a store that a run has filled. Pictures are small, so that copying them does not hide the objects; copying
is shown apart.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import bench
import simulated
from bench import Figure

from pipeline import engine, media, outcome
from pipeline.labelled import labelled
from pipeline.store import Store

CLAIM = "time to write COCO, read it back and compare it"
AT_MOST_MS = 3.0


def main(pictures: int = 150, repeats: int = 3, results: Path = bench.RESULTS) -> int:
    with TemporaryDirectory() as place:
        source = bench.draw_pictures(Path(place, "pictures"), pictures, (240, 320))
        out, config = Path(place, "run"), simulated.config(source)
        engine.run(config, out)
        export_s = bench.median_s(lambda: outcome.export_again(config, out, "coco"), repeats)
        copy_s = bench.median_s(lambda: copy_pictures(out), repeats)
        objects = outcome.read_summary(out)["datasets"]["coco"]["objects"]
    figures = [
        Figure("objects", objects, ""),
        Figure("copying pictures alone", 1000 * copy_s / objects, "ms an object"),
        Figure("everything", 1000 * export_s / objects, "ms an object", at_most=AT_MOST_MS),
    ]
    return bench.conclude("export", CLAIM, figures, results)


def copy_pictures(out: Path) -> None:
    """What an export does with the pictures of a run."""
    with Store(out / "run.db") as store, TemporaryDirectory(dir=out) as place:
        for one in labelled(store):
            media.export_picture(one.whole, Path(place, one.whole.name))


if __name__ == "__main__":
    sys.exit(main())
