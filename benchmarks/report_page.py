"""The page of 10 000 pictures opens within 3 s, has at most 30 MB, and its memory does not grow with the pictures.

    python benchmarks/report_page.py

A run over 64 pictures, 640 x 480, 20 objects each, whose records stand in the store under 10 000 names. `masklet
report` runs in a process of its own. The page is opened in Chromium by playwright, where both are there: until the
pictures that are in sight are decoded.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import bench
import simulated
from bench import Figure

CLAIM = "masklet report on a run of 640 x 480, 20 objects a picture"
OPENS_S, MEGABYTES, AT_MOST_MB = 3.0, 30.0, 0.05
DISTINCT = 64
IN_SIGHT = """Promise.all([...document.querySelectorAll('#gallery img')]
    .filter(img => img.getBoundingClientRect().top < innerHeight).map(img => img.decode())).then(all => all.length)"""


def main(few: int = 1_000, many: int = 10_000, results: Path = bench.RESULTS) -> int:
    with TemporaryDirectory() as place:
        run = Path(place, "run")
        bench.draw_pictures(Path(place, "pictures"), min(few, DISTINCT), (480, 640))
        said = [made(run, pictures) for pictures in (few, many)]
        figures = [Figure(f"seconds, {many} pictures", said[1]["seconds"], "s")]
        figures.append(Figure("page and pictures", said[1]["bytes"] / 1e6, "MB", at_most=MEGABYTES))
        figures += [
            Figure(f"peak memory, {n} pictures", one["peak_mb"], "MB") for n, one in zip((few, many), said, strict=True)
        ]
        slope = (said[1]["peak_mb"] - said[0]["peak_mb"]) / (many - few)
        figures.append(Figure("growth", slope, "MB a picture", at_most=AT_MOST_MB))
        opened_s = seconds_to_open(run / "report.html")
        if opened_s is not None:
            figures.append(Figure("opened in Chromium", opened_s, "s", at_most=OPENS_S))
    return bench.conclude("report_page", CLAIM, figures, results)


def made(run: Path, pictures: int) -> dict[str, float]:
    """Make the page of a run that has so many pictures: seconds, bytes, peak memory in MB."""
    from pipeline import engine

    if not run.exists():
        engine.run(simulated.config(run.parent / "pictures", formats=("coco",)), run)
    multiply(run / "run.db", pictures)
    done = subprocess.run([sys.executable, __file__, run], check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout))


def multiply(db: Path, pictures: int) -> None:
    """Let the pictures of a store stand in it so many times, under other names."""
    from pipeline.store import Store

    with Store(db) as store:
        own = [*store.pictures().values()][:DISTINCT]
        rows = {}
        for number in range(pictures):
            text, keys = own[number % len(own)]
            head, parts = json.loads(text)
            head[1] = name = f"{number:06}.jpg"
            parts = [json.dumps([json.loads(part)[0], name, *json.loads(part)[2:]]) for part in parts]
            rows[name] = json.dumps([head, parts]), keys
        with store.writing():
            store.set_pictures(rows)


def seconds_to_open(page: Path) -> float | None:
    """Until every picture in sight is decoded; None where there is no browser to drive."""
    try:
        from pages import browser, browser_there
    except ImportError:
        return None
    if not browser_there():
        return None
    try:
        with browser() as chromium:
            tab = chromium.new_page(viewport={"width": 1360, "height": 900})
            began = time.perf_counter()
            tab.goto(page.as_uri())
            assert tab.evaluate(IN_SIGHT)
            return time.perf_counter() - began
    except ImportError:  # no playwright
        return None


def report(run: Path) -> int:
    """In a process of its own: the command, then what it took as JSON on stdout."""
    from click.testing import CliRunner

    from pipeline.cli import main as masklet

    began = time.perf_counter()
    result = CliRunner().invoke(masklet, ["report", str(run), "--json"])
    seconds = time.perf_counter() - began
    assert result.exit_code == 0, result.output
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    peak_kb = next(line.split()[1] for line in lines if line.startswith("VmHWM"))
    said = {"seconds": seconds, "peak_mb": int(peak_kb) * 1024 / 1e6, "bytes": json.loads(result.stdout)["bytes"]}
    print(json.dumps(said))
    return 0


if __name__ == "__main__":
    sys.exit(report(Path(sys.argv[1])) if sys.argv[1:] else main())
