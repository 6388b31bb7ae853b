"""Near duplicates are found as well as imagededup's hashes find them, and a million hashes are joined in seconds.

    python benchmarks/near_duplicates.py [PYTHON]

Pictures changed in ten ways, and saved in another format: scenes of the toy world, and the photos of
../shared/data/coco64 beside the repository, if they are there. Then ../shared/data/near_duplicates. A pair is right if
both are of one picture. imagededup is judged on the same files, where PYTHON is of an environment that has it; of it
the hashes alone, not its network.
"""

import json
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import bench
import cv2
import numpy as np
from bench import Figure
from numpy.typing import NDArray

from pipeline import choose, hamming, media, toyworld
from pipeline.errors import BadMedia

CLAIM = "near duplicates are found as imagededup's hashes find them, and a million hashes are joined in seconds"
SHARED = Path(__file__).parents[2] / "shared/data"
DISTANCE = 4
"""What docs/refresh.md advises."""
AT_MOST_S = {10_000: 0.05, 100_000: 0.5, 1_000_000: 30.0}
AT_MOST_MB = 1000
LEAST = {"toy scenes": 0.55, "photos": 0.6, "near_duplicates": 0.5, "near_duplicates, upright": 1.0}
"""Recall of all pairs of a picture and its changes, at the distance advised: imagededup's PHash has 0.57 and 0.63."""

NUMBERED = {"alpha_channel_image.png": "ukbench00120"}
TURNED = ("_hflip", "_rotation")
"""What no such hash is made to find: in the names of `near_duplicates`."""

Rgb = NDArray[np.uint8]
Files = Mapping[str, str]
"""Path -> which picture it is of."""


def main(
    python: str | None = None,
    scenes: int = 40,
    photos: int = 64,
    counts: Sequence[int] = tuple(AT_MOST_S),
    results: Path = bench.RESULTS,
) -> int:
    figures = [figure for count in counts for figure in joined(count)]
    with TemporaryDirectory() as place:
        sets = {"toy scenes": changed(Path(place) / "scenes", drawn(scenes))}
        if (SHARED / "coco64").is_dir() and photos:
            paths = sorted((SHARED / "coco64/images").iterdir())[:photos]
            sets["photos"] = changed(Path(place) / "photos", [media.decode(path.read_bytes()) for path in paths])
            sets["near_duplicates"] = theirs()
            sets["near_duplicates, upright"] = {
                path: of for path, of in theirs().items() if not any(turned in path for turned in TURNED)
            }
        for name, files in sets.items():
            figures += judged(name, files, python)
    return bench.conclude("near_duplicates", CLAIM, figures, results)


def drawn(count: int) -> list[Rgb]:
    return [toyworld.scenes.scene(8, number).rgb for number in range(count)]


def flipped(rgb: Rgb) -> Rgb:
    return rgb[:, ::-1]


def turned(rgb: Rgb) -> Rgb:
    h, w = rgb.shape[:2]
    turn = cv2.getRotationMatrix2D((w / 2, h / 2), 2, 1)
    return cv2.warpAffine(rgb, turn, (w, h), borderMode=cv2.BORDER_REPLICATE)


def cropped(rgb: Rgb) -> Rgb:
    h, w = rgb.shape[:2]
    return rgb[round(h * 0.05) :, round(w * 0.05) :]


def marked(rgb: Rgb) -> Rgb:
    out = rgb.copy()
    h, w = rgb.shape[:2]
    cv2.putText(out, "masklet", (w // 20, h - h // 20), cv2.FONT_HERSHEY_SIMPLEX, w / 400, (255, 255, 255), 2)
    return cv2.addWeighted(out, 0.6, rgb, 0.4, 0)


def noisy(rgb: Rgb) -> Rgb:
    noise = np.random.default_rng(0).normal(0, 10, rgb.shape)
    return (rgb + noise).clip(0, 255).astype(np.uint8)


CHANGES: dict[str, tuple[Callable[[Rgb], Rgb], str, int]] = {  # kind -> what is done, suffix, JPEG quality
    "resize": (lambda rgb: cv2.resize(rgb, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), "jpg", 95),
    "quality": (lambda rgb: rgb, "jpg", 30),
    "crop": (cropped, "jpg", 95),
    "brightness": (lambda rgb: cv2.convertScaleAbs(rgb, alpha=1, beta=30), "jpg", 95),
    "contrast": (lambda rgb: cv2.convertScaleAbs(rgb, alpha=0.7, beta=38), "jpg", 95),
    "flip": (flipped, "jpg", 95),
    "rotate": (turned, "jpg", 95),
    "watermark": (marked, "jpg", 95),
    "blur": (lambda rgb: cv2.GaussianBlur(rgb, (0, 0), 2), "jpg", 95),
    "noise": (noisy, "jpg", 95),
    "format": (lambda rgb: rgb, "webp", 80),
}
QUALITY = {"jpg": cv2.IMWRITE_JPEG_QUALITY, "webp": cv2.IMWRITE_WEBP_QUALITY, "png": cv2.IMWRITE_PNG_COMPRESSION}


def changed(place: Path, pictures: Sequence[Rgb]) -> Files:
    """Write each picture, and it changed in every way: `<number>/<kind>.<suffix>`."""
    files = {}
    for number, rgb in enumerate(pictures):
        folder = place / f"{number:03d}"
        folder.mkdir(parents=True)
        for kind, (change, suffix, quality) in ({"original": (lambda rgb: rgb, "png", 3)} | CHANGES).items():
            path = folder / f"{kind}.{suffix}"
            bgr = np.ascontiguousarray(change(rgb)[:, :, ::-1])
            path.write_bytes(cv2.imencode(f".{suffix}", bgr, [QUALITY[suffix], quality])[1].tobytes())
            files[str(path)] = f"{number:03d}"
    return files


def theirs() -> Files:
    """The pictures of `near_duplicates`: those of one number are one picture, and one has no number in its name."""
    files = {}
    for path in sorted((SHARED / "near_duplicates").rglob("*")):
        if path.is_file() and path.suffix not in (".pkl", "", ".svg"):
            try:
                media.decode(path.read_bytes())
            except BadMedia:
                continue
            number = re.match(r"ukbench\d+", NUMBERED.get(path.name, path.name))
            files[str(path)] = number[0] if number else path.name
    return files


def judged(name: str, files: Files, python: str | None) -> list[Figure]:
    """How many pairs each hash finds at each distance, and how many of them are right."""
    began = time.process_time()
    ours = [choose.hash_of(media.decode(Path(path).read_bytes())) for path in files]
    ms = (time.process_time() - began) * 1000 / len(files)
    figures = [Figure(f"{name}: decode and hash", ms, "ms CPU a picture")]
    hashes = {"masklet": np.array(ours, np.uint64)} | (imagededup(list(files), python) if python else {})
    for method, values in hashes.items():
        for distance in (0, DISTANCE, hamming.MOST):
            precision, recall, by_kind = pairs(values, files, distance)
            advised = (method, distance) == ("masklet", DISTANCE)
            bars = {"at_least": 0.99} if advised else {}
            figures.append(Figure(f"{name}: {method}, distance {distance}: precision", precision, "of pairs", **bars))
            figures.append(
                Figure(
                    f"{name}: {method}, distance {distance}: recall",
                    recall,
                    "of pairs",
                    at_least=LEAST.get(name) if advised else None,
                )
            )
            if by_kind and distance == DISTANCE and "Hash" not in method.replace("PHash", ""):
                figures += [
                    Figure(f"{name}: {method}, distance {distance}: {kind}", share, "of originals")
                    for kind, share in by_kind.items()
                ]
    return figures


def pairs(values: NDArray[np.uint64], files: Files, distance: int) -> tuple[float, float, dict[str, float]]:
    """Precision and recall of all pairs within the distance, and which changes of the original are found."""
    bits = np.bitwise_count(values[:, None] ^ values[None, :])
    of = np.array(list(files.values()))
    same, found = of[:, None] == of[None, :], bits <= distance
    upper = np.triu(np.ones_like(found), 1)
    right = int((found & same & upper).sum())
    precision = right / max(int((found & upper).sum()), 1)
    kinds = [Path(path).stem for path in files]
    originals = {of[at]: at for at, kind in enumerate(kinds) if kind == "original"}
    by_kind = {
        kind: float(np.mean([found[at, originals[of[at]]] for at, own in enumerate(kinds) if own == kind]))
        for kind in (CHANGES if originals else ())
    }
    return precision, right / int((same & upper).sum()), by_kind


IMAGEDEDUP = r"""
import json, sys, warnings
from unittest.mock import MagicMock
warnings.simplefilter("ignore")
network = ("imagededup.methods.cnn", "imagededup.utils.models", "imagededup.utils.plotter")
sys.modules |= {name: MagicMock() for name in network}  # which is not asked
from imagededup.methods import AHash, DHash, PHash, WHash
files = json.loads(sys.stdin.read())
print(json.dumps({kind.__name__: [kind(verbose=False).encode_image(image_file=path) for path in files]
                  for kind in (PHash, DHash, AHash, WHash)}))
"""


def imagededup(files: list[str], python: str) -> dict[str, NDArray[np.uint64]]:
    asked = [python, "-c", IMAGEDEDUP]
    done = subprocess.run(asked, input=json.dumps(files), stdout=subprocess.PIPE, text=True, check=True)
    told = json.loads(done.stdout)
    return {
        f"imagededup {kind}": np.array([int(text, 16) for text in texts], np.uint64) for kind, texts in told.items()
    }


def joined(count: int) -> list[Figure]:
    """The join over hashes of which a fifth is near another; of few of them, whether it answers as all pairs do."""
    dice = np.random.default_rng(count)
    values = dice.integers(0, 2**64, count, dtype=np.uint64)
    near = dice.permutation(count)[: count // 5]
    turned = values[dice.integers(0, count, len(near))]
    for _ in range(8):
        bit = np.uint64(1) << dice.integers(0, 64, len(near)).astype(np.uint64)
        turned = np.where(dice.random(len(near)) < 0.5, turned ^ bit, turned)
    values[near] = turned
    figures = []
    for distance in (DISTANCE, hamming.MOST):
        began = time.process_time()
        survivors = hamming.survivors(values, distance)
        seconds = time.process_time() - began
        figures.append(Figure(f"{count} hashes, distance {distance}", seconds, "s CPU", at_most=AT_MOST_S.get(count)))
        if count <= 10_000:
            wrong = int((survivors != all_pairs(values, distance)).sum())
            figures.append(Figure(f"{count} hashes, distance {distance}: unlike all pairs", wrong, "hashes", at_most=0))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    most = AT_MOST_MB if count == max(AT_MOST_S) else None
    return [*figures, Figure(f"{count} hashes: most memory", peak, "MB", at_most=most)]


def all_pairs(values: NDArray[np.uint64], distance: int) -> NDArray[np.int64]:
    """What the join has to answer, hash by hash."""
    out = np.full(len(values), -1, np.int64)
    kept = np.zeros(0, np.int64)
    for at, value in enumerate(values):
        near = np.flatnonzero(np.bitwise_count(values[kept] ^ value) <= distance)
        if len(near):
            out[at] = kept[near[0]]
        else:
            kept = np.append(kept, at)
    return out


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
