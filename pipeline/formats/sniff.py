"""Which format a dataset is in, told by its files."""

from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import BadDataset
from pipeline.formats import FORMATS, json_stream
from pipeline.formats.sides import SIDES

PATTERNS = {
    "sav_png": ("Annotations_6fps",),
    "yolo": ("data.yaml", "data.yml", "*.yaml", "*.yml"),
    "imagefolder": ("metadata.jsonl", "*/metadata.jsonl"),
    "parquet": ("*.parquet", "data/*.parquet"),
    "sav": ("*_auto.json", "**/*_auto.json"),
    "sav_manual": ("*_manual.json", "**/*_manual.json"),
    "coco_results": ("results.json", *(f"results_{side}.json" for side in SIDES)),
}
"""The first of these that is there tells; else it is what a JSON file in the folder says."""


def format_at(place: Path) -> str:
    """The name of the format of the dataset at `place`; raises `BadDataset` where nothing tells."""
    if not place.exists():
        raise BadDataset(f"{place}: no such file or folder; name a dataset")
    if (place / "run.db").is_file():
        datasets = [str(path) for path in sorted((place / "dataset").glob("*")) if path.is_dir()]
        raise BadDataset(f"{place}: a run; name a dataset of it ({', '.join(datasets) or 'it has none'})")
    found = next(_told(place), None)
    if found is None:
        raise BadDataset(
            f"{place}: no dataset of a format that masklet knows; say which with --from ({', '.join(sorted(FORMATS))})"
        )
    return found


def _told(place: Path) -> Iterator[str]:
    if place.is_dir():
        for name, patterns in PATTERNS.items():
            if any(next(place.glob(pattern), None) for pattern in patterns):
                yield _yolo(place) if name == "yolo" else name
        files = sorted([*place.glob("*.json"), *place.glob("annotations/*.json")])
        files += [path for side in SIDES for path in place.glob(f"{side}/annotations.json")]
    else:
        files = [place]
        if place.name == "results.json":
            yield "coco_results"
        known = {".yaml": "yolo_seg", ".yml": "yolo_seg", ".parquet": "parquet", ".jsonl": "imagefolder"}
        if place.suffix in known:
            yield known[place.suffix]
    yield from filter(None, map(_json, files))


def _yolo(place: Path) -> str:
    """Whether the first label of a YOLO dataset is a polygon or a box of four numbers."""
    for path in sorted([*place.glob("labels/**/*.txt"), *place.glob("*/labels/**/*.txt")]):
        with path.open("rb") as file:
            row = file.readline(1 << 16).split()
        if row:
            return "yolo_box" if len(row) == 5 else "yolo_seg"
    return "yolo_seg"


def _json(path: Path) -> str | None:
    """What a JSON file is, by the first of its lists that tells; no more of it is read."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            head = file.read(1 << 12)
            if '"video_id"' in head and '"masklet"' in head:
                return "sav_manual" if path.name.endswith("_manual.json") else "sav"
            file.seek(0)
            if head.lstrip().startswith("["):
                first = next(json_stream.items(file), None)
                tasks = (
                    isinstance(first, dict) and "data" in first and ("predictions" in first or "annotations" in first)
                )
                return "label_studio" if tasks else None
            for key, items in json_stream.lists(file):
                if key in ("images", "videos"):
                    return "coco" if key == "images" else "youtube_vis"
                first = next(items, None)
                if key == "annotations" and isinstance(first, dict):
                    return "youtube_vis" if "segmentations" in first else "coco"
                for _ in items:
                    pass
    except (OSError, ValueError, RecursionError):
        pass
    return None
