"""The `auto_annotate` of ultralytics on masklet's engine: a folder of pictures to a .txt of polygons for each.

from pipeline.ultralytics import auto_annotate
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline import api
from pipeline.detectors import DETECTORS
from pipeline.detectors.yolo_network import opened
from pipeline.errors import BadRecord, ConfigError, ModelMissing
from pipeline.formats import without_crowds
from pipeline.formats.yolo import polygon_rows
from pipeline.process import write_whole
from pipeline.seams import Device, lookup
from pipeline.segmenters import SEGMENTERS

DETECTOR, SAM = "yolo11x.pt", "facebook/sam2.1-hiera-base-plus"
RUN = "masklet"
"""The run lives in a folder of this name in the output folder; it is safe to delete."""


def auto_annotate(
    data: str | Path,
    det_model: str = DETECTOR,
    sam_model: str = SAM,
    device: str = "",
    conf: float = 0.25,
    iou: float = 0.45,
    imgsz: int = 640,
    max_det: int = 300,
    classes: Sequence[int] | None = None,
    output_dir: str | Path | None = None,
    *,
    ontology: Any = None,
    options: Mapping[str, Any] | None = None,
) -> "api.Run":
    """Label the pictures of a folder: `output_dir` gets NAME.txt for each in which something is found.

    A line is a class as `det_model` numbers it, and a polygon in shares of the picture's sides. `classes` keeps some
    numbers; they stay what they are. For a detector that is asked by words, `ontology` says them, numbered from 0.
    `options` are words of the command line: a .pt file is a pickle, and wants {"detect.allow_pickle": True}; another
    backend is {"detect.backend": "yolox"}. Called again, it goes on. Raises `MaskletError`.
    """
    source = Path(data)
    out = Path(output_dir) if output_dir else source.parent / f"{source.stem}_auto_annotate_labels"
    words: dict[str, Any] = {"detect.backend": "yolo", "detect.model": det_model, "select.threshold": conf}
    words |= {"segment.backend": "sam2"}
    words |= {"run.device": device} if device else {}
    words |= options or {}
    own: dict[str, dict[str, Any]] = {
        "detect": {"nms": iou, "side_px": imgsz, "max_objects": max_det},
        "segment": {"model": sam_model},
    }
    words = _known(words, own) | words
    asked = _asked(words, ontology)
    numbers = {name: number for number, name in enumerate(asked)}
    wanted = {name: said for name, said in asked.items() if classes is None or numbers[name] in classes}
    if not wanted:
        raise ConfigError(f"classes: {classes}: the model has 0 to {len(asked) - 1}")
    run = api.annotate(source, wanted, None, out / RUN, options=words)
    write_labels(_labels(run, numbers), out)
    return run


def write_labels(labels: Iterable[tuple[str, str]], out: Path) -> None:
    """Write each file that has lines, and take away those without; raises `BadRecord` for one of two pictures."""
    names: set[str] = set()
    for name, lines in labels:
        if name in names:
            raise BadRecord(f"{out / name}: two pictures would have this file of labels; rename one")
        names.add(name)
        label = out / name
        label.parent.mkdir(parents=True, exist_ok=True)
        if lines:
            write_whole(label, lines)
        else:
            label.unlink(missing_ok=True)


def _known(words: Mapping[str, Any], own: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Those options of a detector and a segmenter that these have, as words."""
    tables = {"detect": DETECTORS, "segment": SEGMENTERS}
    kinds = {section: lookup(words[f"{section}.backend"], tables[section], section) for section in own}
    return {
        f"{section}.{key}": value
        for section, options in own.items()
        for key, value in options.items()
        if key in kinds[section].model_fields
    }


def _asked(words: dict[str, Any], ontology: Any) -> dict[str, Any]:
    """The classes in the model's order, as an ontology's mapping; a closed-set model's are put into `words`, too."""
    if ontology is not None:
        made = api.configured(".", ontology, None, words).ontology
        return {name: said for name, said in made.to_json().items() if name in made.names}
    kind = lookup(words["detect.backend"], DETECTORS, "detector")
    if "names" in kind.model_fields:
        words.setdefault("detect.names", _names_in(words))
        return {name: {} for name in words["detect.names"]}
    own = {key.removeprefix("detect."): value for key, value in words.items() if key.startswith("detect.")}
    vocabulary = kind(**{key: value for key, value in own.items() if key != "backend"}).vocabulary()
    if vocabulary is None:
        raise ConfigError(f"{words['detect.model']}: is asked by words; say them: ontology='dog, cat'")
    return {name: {} for name in vocabulary}


def _names_in(words: Mapping[str, Any]) -> list[str]:
    """The classes that a YOLO file says it has; raises `ModelMissing`, also for a pickle that is not allowed."""
    kind = lookup(words["detect.backend"], DETECTORS, "detector")
    said = {key: words[f"detect.{key}"] for key in ("model", "allow_pickle") if f"detect.{key}" in words}
    names = opened(kind(**said).file(), Device()).names
    if not names:
        raise ModelMissing(f"{words['detect.model']}: has no classes of its own; say them: ontology='dog, cat'")
    return list(names)


def _labels(run: "api.Run", numbers: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    """The .txt of each still picture: its name, and its lines."""
    for clip in run:
        fitting = None if clip.is_film else without_crowds(clip)
        if fitting is not None:
            (rows,) = polygon_rows([(clip.name, fitting)], numbers, Counter())
            yield str(PurePosixPath(clip.name).with_suffix(".txt")), b"".join(rows).decode("ascii")
