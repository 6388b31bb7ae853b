"""Masks come back from every format: real photos there and back, beside what other tools make of them.

    python benchmarks/round_trips.py [PYTHON]

64 photos of COCO with 542 objects, from `../shared/data/coco64`. Each format of masklet, then supervision's COCO and
YOLO, and ultralytics' `convert_coco`, where PYTHON is of an environment that has ultralytics (it brings torchvision).
An object that is not there overlaps by 0; one that came back in pieces, by its best piece.
"""

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import bench
import numpy as np
from bench import Figure

from pipeline import masks
from pipeline.convert import looked_at
from pipeline.formats import FORMATS, Masks, coco, format_of
from pipeline.ontology import Category, Ontology
from pipeline.records import Clip

CLAIM = "overlap of 542 masks of 64 photos with themselves, there and back"
PHOTOS = Path(__file__).parents[2] / "shared/data/coco64"

Objects = Mapping[tuple[str, str], list[bytes]]
"""(picture's stem, class) -> masks."""

ULTRALYTICS = r"""
import json, sys, os
from pathlib import Path
os.environ |= {"YOLO_AUTOINSTALL": "false", "YOLO_OFFLINE": "1", "YOLO_CONFIG_DIR": sys.argv[3]}
import numpy as np
from PIL import Image
from pycocotools import mask as coco
from ultralytics.data.converter import convert_coco
from ultralytics.data.utils import polygon2mask
place, out, names = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[4])
convert_coco(str(place / "annotations"), str(out), use_segments=True, cls91to80=False)
for label in sorted(out.rglob("labels/**/*.txt")):
    w, h = Image.open(place / "images" / f"{label.stem}.jpg").size
    for row in label.read_text().splitlines():
        number, *values = row.split()
        polygon = np.array(values, np.float64).reshape(-1, 2) * (w, h)
        mask = polygon2mask((h, w), [polygon.reshape(-1)], color=1) if len(values) > 4 else np.zeros((h, w), np.uint8)
        code = coco.encode(np.asfortranarray(mask))["counts"].decode()
        print(json.dumps([label.stem, names[int(number)], code]))
"""


def main(python: str | None = None, results: Path = bench.RESULTS) -> int:
    with TemporaryDirectory() as place:
        figures = compared(Path(place), python)
    return bench.conclude("round_trips", CLAIM, figures, results)


def compared(place: Path, python: str | None) -> list[Figure]:
    reading = coco.read(PHOTOS)
    clips = list(looked_at(reading, reading.problems))
    ontology = Ontology(Category(name=name) for name in reading.names.values())
    sizes = {Path(clip.name).stem: clip.frames[0].size_hw for clip in clips}
    meant = by_picture(clips)
    figures = []
    mean: dict[str, float] = {}
    for name in sorted(name for name in FORMATS if format_of(name).masks != Masks.BOXES):
        (place / name).mkdir()
        format_of(name).write(iter(clips), ontology, place / name)
        told = ious(meant, by_picture(format_of(name).read(place / name).clips), sizes)
        mean[name] = float(told.mean())
        least = {"at_least": 1.0} if format_of(name).masks == Masks.EXACT else {}
        figures += [Figure(f"{name}: lowest", float(told.min()), "IoU", **least), *lines(name, told)]
    others = {"supervision, COCO": supervision_coco(clips, place), "supervision, YOLO": supervision_yolo(clips, place)}
    if python:
        others["ultralytics, convert_coco"] = ultralytics(place, python, ontology.names)
    for name, found in others.items():
        told = ious(meant, found, sizes)
        mean[name] = float(told.mean())
        figures += [Figure(f"{name}: lowest", float(told.min()), "IoU"), *lines(name, told)]
    best = max(mean[name] for name in others if name != "supervision, COCO")
    return [
        *figures,
        Figure("yolo_seg over the best other YOLO, on average", mean["yolo_seg"] / best, "times", at_least=1.0),
        Figure("coco: crowds made of objects", crowds(place / "coco"), "objects", at_most=0),
        Figure("supervision, COCO: crowds made of objects", crowds(place / "supervision_coco"), "objects"),
    ]


def crowds(place: Path) -> int:
    """Objects that COCOeval does not count: none of the truth's 542 is a crowd."""
    path = next(place.rglob("*.json"))
    said = json.loads(path.read_text(encoding="utf-8"))["annotations"]
    return sum(annotation["iscrowd"] for annotation in said)


def lines(name: str, told: np.ndarray) -> list[Figure]:
    return [
        Figure(f"{name}: on average", float(told.mean()), "IoU"),
        Figure(f"{name}: below 0.9", int((told < 0.9).sum()), "objects"),
        Figure(f"{name}: lost", int((told == 0).sum()), "objects"),
    ]


def by_picture(clips: Iterable[Clip]) -> Objects:
    out: dict[tuple[str, str], list[bytes]] = {}
    for clip in clips:
        for name, code in zip(clip.found[0].names, clip.found[0].masks or (), strict=True):
            out.setdefault((Path(clip.name).stem, name), []).append(code or masks.NOTHING)
    return out


def ious(meant: Objects, found: Objects, sizes: Mapping[str, tuple[int, int]]) -> np.ndarray:
    """Of every object with the one of its class that overlaps most, one with one."""
    from scipy.optimize import linear_sum_assignment

    out = []
    for key, codes in meant.items():
        overlap = masks.iou(codes, found.get(key, []), sizes[key[0]]).reshape(len(codes), -1)
        rows, columns = linear_sum_assignment(overlap, maximize=True)
        best = np.zeros(len(codes))
        best[rows] = overlap[rows, columns]
        out.append(best)
    return np.concatenate(out)


def supervision_dataset(clips: list[Clip]) -> "object":
    import supervision as sv

    classes = list(coco.read(PHOTOS).names.values())
    annotations = {}
    for clip in clips:
        found = clip.found[0]
        decoded = [masks.decode(code or masks.NOTHING, found.size_hw) for code in found.masks or ()]
        annotations[clip.path] = (
            sv.Detections(
                xyxy=np.array(masks.boxes([code or b"" for code in found.masks or ()], found.size_hw)),
                mask=np.stack(decoded),
                class_id=np.array([classes.index(name) for name in found.names]),
            )
            if len(found)
            else sv.Detections.empty()
        )
    return sv.DetectionDataset(classes, [clip.path for clip in clips], annotations)


def supervision_coco(clips: list[Clip], place: Path) -> Objects:
    import supervision as sv

    at = place / "supervision_coco"
    supervision_dataset(clips).as_coco(str(at / "images"), str(at / "annotations.json"))
    return of_supervision(
        sv.DetectionDataset.from_coco(str(at / "images"), str(at / "annotations.json"), force_masks=True)
    )


def supervision_yolo(clips: list[Clip], place: Path) -> Objects:
    import supervision as sv

    at = place / "supervision_yolo"
    supervision_dataset(clips).as_yolo(str(at / "images"), str(at / "labels"), str(at / "data.yaml"))
    return of_supervision(
        sv.DetectionDataset.from_yolo(str(at / "images"), str(at / "labels"), str(at / "data.yaml"), force_masks=True)
    )


def of_supervision(read: "object") -> Objects:
    out: dict[tuple[str, str], list[bytes]] = {}
    for path, _, found in read:
        for number, mask in zip(found.class_id, [] if found.mask is None else np.asarray(found.mask), strict=True):
            out.setdefault((Path(path).stem, read.classes[number]), []).append(masks.encode(mask))
    return out


def ultralytics(place: Path, python: str, names: Iterable[str]) -> Objects:
    """`convert_coco` of masklet's own COCO, drawn by ultralytics."""
    where = [str(place / "coco"), str(place / "ultralytics"), str(place), json.dumps(list(names))]
    said = subprocess.run([python, "-c", ULTRALYTICS, *where], check=True, stdout=subprocess.PIPE, text=True)
    out: dict[tuple[str, str], list[bytes]] = {}
    for stem, name, code in rows(said.stdout):
        out.setdefault((stem, name), []).append(code.encode())
    return out


def rows(text: str) -> Iterator[tuple[str, str, str]]:
    """The JSON lines among what ultralytics prints."""
    for line in text.splitlines():
        if line.startswith("["):
            yield json.loads(line)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
