"""The memory of a run grows by at most 0.05 MB a picture.

    python benchmarks/memory.py

Peak resident memory of whole runs, sources to a COCO dataset read back, each in a process of its own: 500 pictures, and
2000.
"""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import bench
import simulated
from bench import Figure

CLAIM = "peak memory of a whole run, 640 x 480, 20 objects a picture"
AT_MOST_MB = 0.05
FEW = 500


def main(few: int = FEW, many: int = 4 * FEW, results: Path = bench.RESULTS) -> int:
    with TemporaryDirectory() as place:
        peaks_mb = [peak_mb(Path(place, str(pictures)), pictures) for pictures in (few, many)]
    figures = [Figure(f"{n} pictures", mb, "MB") for n, mb in zip((few, many), peaks_mb, strict=True)]
    slope = (peaks_mb[1] - peaks_mb[0]) / (many - few)
    figures.append(Figure("growth", 1000 * slope, "MB in 1000 pictures"))
    figures.append(Figure("growth a picture", slope, "MB", at_most=AT_MOST_MB))
    return bench.conclude("memory", CLAIM, figures, results)


def peak_mb(place: Path, pictures: int) -> float:
    """Peak resident memory of a run over so many pictures, no two alike."""
    place.mkdir()
    bench.draw_pictures(place / "pictures", pictures, (480, 640))
    said = subprocess.run([sys.executable, __file__, place], check=True, stdout=subprocess.PIPE, text=True)
    return float(said.stdout)


def run(place: Path) -> int:
    """In a process of its own: a whole run, then its peak in MB on stdout."""
    from pipeline import engine

    engine.run(simulated.config(place / "pictures", formats=("coco",)), place / "run")
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    peak_kb = next(line.split()[1] for line in lines if line.startswith("VmHWM"))  # ru_maxrss is the parent's, too
    print(int(peak_kb) * 1024 / 1e6)
    return 0


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[1])) if sys.argv[1:] else main())
