"""Average precision of boxes or masks, as COCO defines it: pycocotools' COCOeval on our records.

Knows no files: truth and what was found are records, matched by the names of pictures and of classes.
"""

import io
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline import masks
from pipeline.errors import BadRecord
from pipeline.formats import Reading
from pipeline.records import Clip, Instances, empty

Kind = Literal["box", "mask"]
BoxesFrom = Literal["detector", "mask"]
Annotate = Callable[[Instances, int], dict[str, Any]]
Figures = dict[str, float | int | None]
Table = NDArray[np.float64]

DIGITS = 6  # COCOeval divides by 1 + eps, and 1.000 should be 1
USUAL_DETECTIONS = 100  # COCO's limit a picture, and the 100 of AR100


@dataclass(frozen=True, slots=True)
class Scores:
    """COCO's figures, each from 0 to 1; None where there is no truth to measure against.

    ap                            mean over classes and over the IoU thresholds .50, .55 ... .95
    ap50, ap75                    at one threshold
    ap_small, _medium, _large     of objects below 32 x 32 pixels, up to 96 x 96, above
    ar100                         recall with 100 detections a picture and class, mean as for ap
    per_class                     name -> ap, ap50, ar100, objects, detections
    objects, crowds, detections   in the pictures and classes judged; a crowd is neither hit nor miss
    pictures                      judged: in the truth and in the run
    absent                        in the truth and not in the run: not judged
    """

    ap: float | None
    ap50: float | None
    ap75: float | None
    ap_small: float | None
    ap_medium: float | None
    ap_large: float | None
    ar100: float | None
    per_class: dict[str, Figures]
    objects: int
    crowds: int
    detections: int
    pictures: int
    absent: int


def average_precision(
    truth: Iterable[Clip] | Reading,
    found: Mapping[str, Instances],
    kind: Kind,
    boxes_from: BoxesFrom = "detector",
    classes: Collection[str] | None = None,
    max_detections: int = USUAL_DETECTIONS,
) -> Scores:
    """Judge what was found, by picture name, on the classes that the truth has and `classes` names, or all.

    Boxes are the detector's, or those of the masks; the truth's are its own. A row without a score counts as 1.
    Of each class, the best `max_detections` in a picture are looked at. Raises `BadRecord` where a row needs a
    mask and has none, and where truth and run disagree about the size of a picture.
    """
    clips = truth.clips if isinstance(truth, Reading) else truth
    known = {clip.name: clip.found[0] if clip.found else empty(clip.frames[0].size_hw) for clip in clips}
    judged = [name for name in sorted(known) if name in found]
    named = {name for picture in judged for name in known[picture].names}
    names = sorted(named if classes is None else named & set(classes))
    meant = _coco(judged, known, names, partial(_true, kind=kind))
    got = _coco(judged, found, names, partial(_row, kind=kind, boxes_from=boxes_from))
    for one, other in zip(meant["images"], got["images"], strict=True):
        if one != other:
            raise BadRecord(f"{one['file_name']}: the truth is of another size than the picture")
    precision, recall = _evaluated(meant, got, kind, max_detections)
    true = Counter((row["category_id"], row["iscrowd"]) for row in meant["annotations"])
    detected = Counter(row["category_id"] for row in got["annotations"])
    return Scores(
        ap=_mean(precision[..., 0]),
        ap50=_mean(precision[0, ..., 0]),
        ap75=_mean(precision[5, ..., 0]),
        ap_small=_mean(precision[..., 1]),
        ap_medium=_mean(precision[..., 2]),
        ap_large=_mean(precision[..., 3]),
        ar100=_mean(recall),
        per_class={
            name: _of_class(precision[:, :, k, 0], recall[:, k])
            | {"objects": true[k + 1, 0], "detections": detected[k + 1]}
            for k, name in enumerate(names)
        },
        objects=sum(n for (_, crowd), n in true.items() if not crowd),
        crowds=sum(n for (_, crowd), n in true.items() if crowd),
        detections=detected.total(),
        pictures=len(judged),
        absent=len(known) - len(judged),
    )


def _of_class(precision: Table, recall: Table) -> Figures:
    return {"ap": _mean(precision), "ap50": _mean(precision[0]), "ar100": _mean(recall)}


def _coco(
    pictures: Sequence[str], found: Mapping[str, Instances], names: Sequence[str], annotation: Annotate
) -> dict[str, list[dict[str, Any]]]:
    """A COCO dataset in memory; pictures, classes and annotations are numbered from 1, in order."""
    numbers = {name: number for number, name in enumerate(names, 1)}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image, picture in enumerate(pictures, 1):
        h, w = found[picture].size_hw
        images.append({"id": image, "file_name": picture, "height": h, "width": w})
        for row, name in enumerate(found[picture].names):
            if name in numbers:
                own = {"id": len(annotations) + 1, "image_id": image, "category_id": numbers[name]}
                annotations.append(own | annotation(found[picture], row))
    categories = [{"id": number, "name": name} for name, number in numbers.items()]
    return {"images": images, "annotations": annotations, "categories": categories}


def _row(found: Instances, row: int, kind: Kind, boxes_from: BoxesFrom) -> dict[str, Any]:
    """What COCOeval compares in a row. Its size is the mask's where masks are judged, else the box's."""
    code = found.masks[row] if found.masks is not None else None
    if code is None and "mask" in (kind, boxes_from):
        raise BadRecord(f"row {row} ({found.names[row]}) has no mask; judge the detector's boxes instead")
    box = masks.box(code, found.size_hw) if code and boxes_from == "mask" else found.boxes_xyxy[row]
    x0, y0, x1, y1 = (float(side) for side in box)
    return {
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "segmentation": {"size": list(found.size_hw), "counts": code},
        "area": masks.area(code) if code and kind == "mask" else (x1 - x0) * (y1 - y0),
        "score": 1.0 if found.scores is None else float(found.scores[row]),
    }


def _true(found: Instances, row: int, kind: Kind) -> dict[str, Any]:
    """A row of the truth: its own box; its size is always the mask's, where it has one."""
    annotation = _row(found, row, kind, "detector")
    if found.masks is not None and (code := found.masks[row]) is not None:
        annotation["area"] = masks.area(code)
    annotation["iscrowd"] = int(found.extra is not None and found.extra[row].get("iscrowd") == 1)
    return annotation


def _evaluated(
    meant: Mapping[str, Any], got: Mapping[str, Any], kind: Kind, max_detections: int
) -> tuple[Table, Table]:
    """COCOeval's tables at our limit of detections, -1 where there is no truth.

    Precision by IoU threshold, recall level, class and range of areas: (T, R, K, A). Recall with 100 detections,
    of objects of all sizes: (T, K).
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with redirect_stdout(io.StringIO()):
        sides = []
        for dataset in (meant, got):
            side = COCO()
            side.dataset = dataset
            side.createIndex()
            sides.append(side)
        judge = COCOeval(*sides, iouType="segm" if kind == "mask" else "bbox")
        judge.params.maxDets = limits = sorted({USUAL_DETECTIONS, max_detections})
        judge.evaluate()
        judge.accumulate()
    precision, recall = judge.eval["precision"], judge.eval["recall"]
    return precision[..., limits.index(max_detections)], recall[:, :, 0, limits.index(USUAL_DETECTIONS)]


def _mean(table: Table) -> float | None:
    """The mean of the cells that have truth."""
    cells = table[table > -1]
    return round(float(cells.mean()), DIGITS) if cells.size else None
