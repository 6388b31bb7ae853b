"""Run every benchmark, one after another, each in a process of its own; exit with 1 if a bar does not hold.

    python benchmarks/run.py [NAME ...]

Each prints its table and keeps its figures in results/; README.md is written anew from them.
"""

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE / "results"
SHARED = ("bench", "simulated", "run")  # no claims of their own

README = """\
# Benchmarks

One file a claim. Each runs alone, `python benchmarks/NAME.py`, or all together, `python benchmarks/run.py`, which also
writes this page. A figure on the wrong side of its bar ends in exit code 1; bars are not lowered. The last figures are
in `results/NAME.json`, with the processor, its load and the versions of libraries. Run them on a machine that has
nothing else to do.

| file | claim | last figures |
|---|---|---|
"""


def main(names: list[str]) -> int:
    known = sorted(path.stem for path in HERE.glob("*.py") if path.stem not in SHARED)
    failed = [name for name in names or known if not holds(name)]
    (HERE / "README.md").write_text(README + "".join(map(line, known)), encoding="utf-8")
    print(f"bars that do not hold: {', '.join(failed)}" if failed else "every bar holds")
    return 1 if failed else 0


def holds(name: str) -> bool:
    """Whether a benchmark ends well; it prints its own table."""
    ended = subprocess.run([sys.executable, HERE / f"{name}.py"], check=False)
    print(flush=True)
    return ended.returncode == 0


def line(name: str) -> str:
    """A benchmark's row: the first line of what its file says, and its figures that have a bar."""
    claim = (ast.get_docstring(ast.parse((HERE / f"{name}.py").read_text(encoding="utf-8"))) or "").partition("\n")[0]
    kept = RESULTS / f"{name}.json"
    figures = json.loads(kept.read_text(encoding="utf-8"))["figures"] if kept.is_file() else []
    said = "; ".join(in_words(figure) for figure in figures if {"at_most", "at_least"} & figure.keys())
    none = f"no bars: results/{name}.json" if figures else "none kept"
    return f"| [{name}]({name}.py) | {claim} | {said or none} |\n"


def in_words(figure: dict[str, Any]) -> str:
    """A figure and its bar.

    >>> in_words({"what": "growth", "value": 0.0312, "unit": "MB", "at_most": 0.05})
    'growth 0.0312 MB (at most 0.05)'
    """
    bar = "".join(f", {side.replace('_', ' ')} {figure[side]}" for side in ("at_most", "at_least") if side in figure)
    return f"{figure['what']} {figure['value']:.4g} {figure['unit']}".rstrip() + f" ({bar[2:]})"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
