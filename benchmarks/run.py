"""Run every benchmark, one after another, each in a process of its own; exit with 1 if a bar does not hold.

Each prints its table and keeps its figures in results/, with the machine, its load and the versions of libraries;
README.md is written anew from them.
"""

import argparse
import ast
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import bench

HERE = Path(__file__).parent
RESULTS = HERE / "results"
SHARED = ("bench", "simulated", "run")  # no claims of their own

QUICK: dict[str, dict[str, Any]] = {
    "boxes_of_a_picture": {"size": "small", "rounds": 1},
    "calibrate": {"learn": 4, "others": 2},
    "clicks": {"objects": 4},
    "cpu_a_picture": {"pictures": 16, "size_hw": (90, 120)},
    "decoder_boxes": {"size": "small", "boxes": 8, "repeats": 1},
    "export": {"pictures": 2, "repeats": 1},
    "florence2_classes": {"size": "small", "rounds": 1},
    "florence2_recall": {"pictures": 1},
    "masks_to_codes": {"size_hw": (90, 120), "repeats": 1},
    "memory": {"few": 2, "many": 4},
    "memory_of_films": {"frames": 48, "few": 41, "theirs": 19, "live": 19},
    "near_duplicates": {"scenes": 2, "photos": 0, "counts": (500,)},
    "one_class_added": {"pictures": 6, "few": 1, "size": "small"},
    "pipeline_models": {"photos": 2, "block": 1, "sizes": ("small", "small")},
    "pipeline_ratio": {"pictures": 8, "rounds": 1, "least": {(90, 120): 0.5}},
    "report_page": {"few": 2, "many": 4},
    "startup": {"pictures": 2, "repeats": 1},
    "toy_films": {"films": 1, "matches": 1, "frames": 9},
    "tracking_objects": {"size": "small", "objects": (1, 2), "rounds": 1},
    "verify": {"pictures": 2},
}
"""What a benchmark's `main` is given to be done in seconds; its figures mean nothing then. The others need photos,
films or a GPU, or are as they are."""

README = """\
# Benchmarks

One file a claim. Each runs alone, `python benchmarks/NAME.py`, or all together, `python benchmarks/run.py`, which also
writes this page. A figure on the wrong side of its bar ends in exit code 1; bars are not lowered. The last figures are
in `results/NAME.json`, with the processor, its load and the versions of libraries. Run them on a machine that has
nothing else to do.

| file | claim | last figures | load |
|---|---|---|---|
"""


def main(words: list[str]) -> int:
    known = sorted(path.stem for path in HERE.glob("*.py") if path.stem not in SHARED)
    asked = arguments(words, known)
    if asked.page:
        write_page(known)
        return 0
    chosen = asked.names or [name for name in known if not asked.quick or name in QUICK]
    print(machine_in_words(bench.machine()), end="\n\n", flush=True)
    ended = {name: run(name, asked.quick) for name in chosen}
    if not asked.quick:
        write_page(known)
    for name, (how, seconds) in ended.items():
        print(f"{name:<24}{seconds:>8.0f} s  {how}")
    return 1 if {how for how, _ in ended.values()} & {"failed", "DOES NOT HOLD"} else 0


def arguments(words: list[str], known: list[str]) -> argparse.Namespace:
    """What is asked for; exits with 2 where that is nothing we have."""
    parser = argparse.ArgumentParser(prog="benchmarks/run.py", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which; all, if none is named: {', '.join(known)}")
    parser.add_argument(
        "--quick", action="store_true", help="each on next to nothing, to see that it runs; keeps nothing"
    )
    parser.add_argument("--page", action="store_true", help="run nothing; write README.md from the figures kept")
    asked = parser.parse_args(words)
    able = [name for name in known if not asked.quick or name in QUICK]
    for name in asked.names:
        if name not in able:
            parser.error(f"no benchmark {name}{' --quick' if asked.quick else ''}; have {', '.join(able)}")
    return asked


def run(name: str, quick: bool) -> tuple[str, float]:
    """How a benchmark ended, which prints its own table, and after how many seconds."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as place:
        results = Path(place) if quick else RESULTS
        before = written(results, name)
        given = f"**{QUICK.get(name)}, results=Path({place!r})"
        small = f"import sys, {name}; from pathlib import Path; sys.exit({name}.main({given}))"
        command = ["-c", small] if quick else [str(HERE / f"{name}.py")]
        code = subprocess.run([sys.executable, *command], check=False, cwd=HERE if quick else None).returncode
        measured = written(results, name) != before
    print(flush=True)
    if not measured:
        return ("failed" if code else "nothing to measure here"), time.perf_counter() - began
    return ("ran" if quick else "DOES NOT HOLD" if code else "holds"), time.perf_counter() - began


def written(results: Path, name: str) -> int:
    """When a benchmark's figures were written, in nanoseconds; 0 where there are none."""
    file = results / f"{name}.json"
    return file.stat().st_mtime_ns if file.is_file() else 0


def write_page(known: list[str]) -> None:
    """README.md, from what is kept."""
    machines = {machine_in_words(one["machine"]) for name in known if (one := kept(name))}
    made = "".join(f"\nMeasured on: {one}.\n" for one in sorted(machines))
    (HERE / "README.md").write_text(README + "".join(map(line, known)) + made, encoding="utf-8")


def kept(name: str) -> dict[str, Any]:
    """The figures of a benchmark's last run; nothing where none are kept."""
    file = RESULTS / f"{name}.json"
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else {}


def line(name: str) -> str:
    """A benchmark's row: the first line of what its file says, its figures that have a bar, and the machine's load."""
    claim = (ast.get_docstring(ast.parse((HERE / f"{name}.py").read_text(encoding="utf-8"))) or "").partition("\n")[0]
    last = kept(name)
    figures = last.get("figures", [])
    said = "; ".join(in_words(figure) for figure in figures if {"at_most", "at_least"} & figure.keys())
    none = f"no bars: results/{name}.json" if figures else "none kept"
    load = last["machine"]["load_average_1_min"] if last else ""
    return f"| [{name}]({name}.py) | {claim} | {said or none} | {load} |\n"


def in_words(figure: dict[str, Any]) -> str:
    """A figure and its bar.

    >>> in_words({"what": "growth", "value": 0.0312, "unit": "MB", "at_most": 0.05})
    'growth 0.0312 MB (at most 0.05)'
    >>> in_words({"what": "ratio", "value": 0.9, "unit": "", "at_least": 0.97})
    'ratio 0.9 (at least 0.97: does not hold)'
    """
    value = figure["value"]
    bar = "".join(f", {side.replace('_', ' ')} {figure[side]}" for side in ("at_most", "at_least") if side in figure)
    holds = figure.get("at_least", value) <= value <= figure.get("at_most", value)
    said = f"{bar[2:]}{'' if holds else ': does not hold'}"
    return f"{figure['what']} {value:.4g} {figure['unit']}".rstrip() + f" ({said})"


def machine_in_words(machine: dict[str, Any]) -> str:
    """A machine in a line, without its load.

    >>> machine_in_words({"processor": "EPYC", "cores": 2, "python": "3.11.7", "libraries": {"numpy": "2.4"}})
    'EPYC, 2 cores, Python 3.11.7, numpy 2.4'
    """
    libraries = "".join(f", {name} {version}" for name, version in machine["libraries"].items())
    return f"{machine['processor']}, {machine['cores']} cores, Python {machine['python']}{libraries}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
