"""Run every benchmark, one after another, each in a process of its own; exit with 1 if a bar does not hold.

    python benchmarks/run.py [NAME ...]
"""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
SHARED = ("bench", "simulated", "run")  # no claims of their own


def main(names: list[str]) -> int:
    known = sorted(path.stem for path in HERE.glob("*.py") if path.stem not in SHARED)
    failed = [name for name in names or known if not holds(name)]
    print(f"bars that do not hold: {', '.join(failed)}" if failed else "every bar holds")
    return 1 if failed else 0


def holds(name: str) -> bool:
    """Whether a benchmark ends well; it prints its own table."""
    ended = subprocess.run([sys.executable, str(HERE / f"{name}.py")], check=False)
    print(flush=True)
    return ended.returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
