"""What was found as supervision has it: `Detections`, and `DetectionDataset` of many pictures."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline import masks
from pipeline.records import Clip, Instances

if TYPE_CHECKING:
    from supervision import DetectionDataset, Detections


def detections_of(found: Instances, classes: Sequence[str], compact: bool = False) -> "Detections":
    """The rows in sight; `class_id` is the place of the class in `classes`.

    A box is its mask's, as in datasets. Masks are (N, H, W) bool, or supervision's `CompactMask`.
    """
    import supervision as sv

    found = found.in_sight()
    codes = [code or masks.NOTHING for code in found.masks or [None] * len(found)]
    boxes_xyxy = found.boxes_xyxy.copy()
    masked = [row for row, code in enumerate(codes) if masks.area(code)]
    boxes_xyxy[masked] = masks.boxes([codes[row] for row in masked], found.size_hw)
    columns: dict[str, Any] = {}
    if found.masks is not None:
        columns["mask"] = _compact(codes, boxes_xyxy, found.size_hw) if compact else _dense(codes, found.size_hw)
    if found.track_ids is not None:
        columns["tracker_id"] = found.track_ids.copy()
    if found.scores is not None:
        columns["confidence"] = found.scores.copy()
    return sv.Detections(
        boxes_xyxy,
        class_id=np.array([classes.index(name) for name in found.names], np.int64),
        data={"class_name": np.array(found.names, np.str_)},
        **columns,
    )


def _dense(codes: Sequence[bytes], size_hw: masks.Size) -> masks.Bits:
    out = np.zeros((len(codes), *size_hw), np.bool_)
    for row, code in enumerate(codes):
        crop, (x, y) = masks.decode_crop(code, size_hw)
        out[row, y : y + crop.shape[0], x : x + crop.shape[1]] = crop
    return out


def _compact(codes: Sequence[bytes], boxes_xyxy: Any, size_hw: masks.Size) -> Any:
    import supervision as sv

    nothing = masks.encode(np.zeros(size_hw, np.bool_))
    rles = [{"size": size_hw, "counts": nothing if code == masks.NOTHING else code} for code in codes]
    return sv.CompactMask.from_coco_rle(rles, boxes_xyxy, size_hw)


def dataset_of(clips: Iterable[Clip], classes: Sequence[str]) -> "DetectionDataset":
    """Still pictures as supervision's dataset, by the paths of their files; masks stay run lengths."""
    import supervision as sv

    found = {clip.path: detections_of(clip.found[0], classes, compact=True) for clip in clips}
    return sv.DetectionDataset(list(classes), list(found), found)
