"""What every benchmark shares: pictures to work on, a description of the machine, the table, the bars, the JSON.

A bar is written where its claim is, in the benchmark itself, and is never lowered to be met.
"""

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the command line does, before numpy is first imported
sys.path.append(str(Path(__file__).parents[1] / "tests"))  # random_models: full-size models where no real weights are

import numpy as np
from numpy.typing import NDArray

RESULTS = Path(__file__).parent / "results"
LIBRARIES = ("numpy", "opencv-python-headless", "pillow", "pycocotools", "pydantic", "click", "torch", "transformers")
JPEG_QUALITY = 90
FALL = 1.4
"""Amplitude falls as 1/f**FALL: photos have 0.7 to 1.6 (Field 1987: about 1), the higher the less noise they carry."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of a table: what was measured, how much, of what; `at_most` or `at_least` is its bar."""

    what: str
    value: float
    unit: str
    at_most: float | None = None
    at_least: float | None = None

    @property
    def holds(self) -> bool:
        """Whether the figure is on the right side of its bar; one without a bar always is."""
        above = self.at_least is None or self.value >= self.at_least
        return above and (self.at_most is None or self.value <= self.at_most)

    def __str__(self) -> str:
        bar = "".join(
            f"  {words} {limit:g}: {'holds' if self.holds else 'DOES NOT HOLD'}"
            for words, limit in (("at most", self.at_most), ("at least", self.at_least))
            if limit is not None
        )
        value = f"{self.value:.3f}" if isinstance(self.value, float) else str(self.value)
        return f"  {self.what:<48}{value:>10} {self.unit:<12}{bar}".rstrip()


def conclude(name: str, claim: str, figures: Sequence[Figure], results: Path = RESULTS) -> int:
    """Print the table, keep it as JSON in `results`, and give the exit code: 1 where a bar does not hold."""
    print(f"{name}: {claim}")
    for figure in figures:
        print(figure)
    holds = all(figure.holds for figure in figures)
    said = {"claim": claim, "holds": holds, "figures": [_plain(figure) for figure in figures], "machine": machine()}
    results.mkdir(parents=True, exist_ok=True)
    (results / f"{name}.json").write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
    return 0 if holds else 1


def _plain(figure: Figure) -> dict[str, Any]:
    kept = {key: value for key, value in asdict(figure).items() if value is not None}
    return kept | {"value": round(figure.value, 4)}


def machine() -> dict[str, Any]:
    """What the figures depend on, and nothing that names one machine: processor, load, versions."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "load_average_1_min": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in LIBRARIES},
    }


def _processor() -> str:
    about = Path("/proc/cpuinfo")
    lines = about.read_text(encoding="utf-8").splitlines() if about.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def median_s(work: Callable[[], object], repeats: int, clock: Callable[[], float] = time.perf_counter) -> float:
    """Median seconds of `work`, which is done once more before, so that nothing is cold."""
    work()
    taken = []
    for _ in range(repeats):
        began = clock()
        work()
        taken.append(clock() - began)
    return statistics.median(taken)


def draw_pictures(place: Path, count: int, size_hw: tuple[int, int], seed: int = 1) -> Path:
    """Fill the folder `place` with JPEGs, no two alike: noise with the spectrum of photos, and shapes on it.

    Their bytes are about as many as a photo's, and so is the time to decode them.
    """
    import cv2

    place.mkdir(parents=True)
    dice = np.random.default_rng(seed)
    backdrop = pink_noise(size_hw, dice)
    for number in range(count):
        shift = tuple(int(dice.integers(side)) for side in size_hw)
        bgr = np.roll(backdrop, shift, axis=(0, 1))
        for _ in range(8):
            _draw_shape(bgr, dice)
        _, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        (place / f"{number:06d}.jpg").write_bytes(jpeg.tobytes())
    return place


def pink_noise(size_hw: tuple[int, int], dice: np.random.Generator) -> NDArray[np.uint8]:
    """Noise with the spectrum of a photo, and as grey as most: -> (H, W, 3)."""
    h, w = size_hw
    frequency = np.hypot(np.fft.fftfreq(h)[:, None], np.fft.rfftfreq(w)[None, :])
    frequency[0, 0] = 1
    white = np.fft.rfft2(dice.standard_normal((4, h, w)))
    pink = np.fft.irfft2(white / frequency**FALL, s=size_hw)
    pink = (pink - pink.mean()) / pink.std()
    grey, colors = pink[0], pink[1:]
    photo: NDArray[np.uint8] = (128 + 36 * grey + 8 * colors).clip(0, 255).astype(np.uint8).transpose(1, 2, 0)
    return np.ascontiguousarray(photo)


def _draw_shape(bgr: NDArray[np.uint8], dice: np.random.Generator) -> None:
    import cv2

    h, w = bgr.shape[:2]
    centre = int(dice.integers(w)), int(dice.integers(h))
    axes = int(dice.integers(w // 20, w // 6)), int(dice.integers(h // 20, h // 6))
    color = tuple(int(value) for value in dice.integers(256, size=3))
    cv2.ellipse(bgr, centre, axes, float(dice.integers(180)), 0, 360, color, -1, cv2.LINE_AA)
