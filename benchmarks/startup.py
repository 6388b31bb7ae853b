"""What computes nothing answers at once.

    python benchmarks/startup.py

`masklet --help` takes at most 0.2 s more than Python itself; `masklet check` and `masklet plan` on 64 photos take at
most 0.5 s as whole processes. Each once before, then the median of 7. The photos are those of ../shared/data beside
the repository, or drawn where it is absent.
"""

import subprocess
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import bench
from bench import Figure

CLAIM = "seconds of whole processes"
HELP_AT_MOST_S, PLAN_AT_MOST_S = 0.2, 0.5
PHOTOS = (Path(__file__).parents[1] / "../shared/data/coco64/images").resolve()
MASKLET = [sys.executable, "-c", "from pipeline.cli import main; main()"]
CONFIG = "ontology: coco80\ndetect: {backend: fake}\nsegment: {backend: grabcut}\n"


def main(pictures: int = 64, repeats: int = 7, results: Path = bench.RESULTS) -> int:
    with TemporaryDirectory() as place:
        config = Path(place, "config.yaml")
        config.write_text(CONFIG, encoding="utf-8")
        photos = PHOTOS if PHOTOS.is_dir() else bench.draw_pictures(Path(place, "photos"), pictures, (480, 640))
        about = [str(config), "--source", str(photos), "--out", str(Path(place, "run")), "--limit", str(pictures)]
        python_s = process_s([sys.executable, "-c", "pass"], repeats)
        help_s = process_s([*MASKLET, "--help"], repeats)
        check_s, plan_s = (process_s([*MASKLET, verb, *about], repeats) for verb in ("check", "plan"))
    figures = [
        Figure("python -c pass", python_s, "s"),
        Figure("masklet --help, less that", help_s - python_s, "s", at_most=HELP_AT_MOST_S),
        Figure("masklet check", check_s, "s", at_most=PLAN_AT_MOST_S),
        Figure("masklet plan", plan_s, "s", at_most=PLAN_AT_MOST_S),
    ]
    return bench.conclude("startup", CLAIM, figures, results)


def process_s(command: list[str], repeats: int) -> float:
    """Median seconds of a process, from start to end."""
    start = partial(subprocess.run, command, check=True, stdout=subprocess.DEVNULL)
    return bench.median_s(start, repeats)


if __name__ == "__main__":
    sys.exit(main())
