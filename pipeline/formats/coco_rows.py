"""The annotations of a picture as COCO's JSON, all of them at once: a dataset has millions.

Written by hand where a row says what most say, and by `json` where it says more: `json.dumps` of every row takes seven
times as long. Keys are sorted; the two ways write the same.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import repeat
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from pipeline import masks
from pipeline.formats.writing import mask_of, named_in_errors, number_of
from pipeline.outlines import area_px, outlines
from pipeline.records import Clip, Instances, uids

QUALITY = ("iou", "stability", "agreement")  # the columns of `Instances.quality`


def rows(clip: Clip, found: Instances, numbers: Mapping[str, int], filled: Counter[str] | None = None) -> list[str]:
    """Each row's annotation without its own number and its picture's.

    Masks are run lengths, or polygons on the edges of pixels where `filled` counts the holes that those have no way to
    say. Raises `BadRecord` for an object without a mask or of a class that is not exported.
    """
    if not len(found):
        return []
    codes, areas, boxes_xywh, classes = _measured(clip, found, numbers)
    if filled is None:
        segmentations = _run_lengths(codes, found.size_hw)
    else:
        segmentations, areas = _polygons(codes, found.size_hw, filled)
    columns = (areas, _attributes(found), boxes_xywh, classes, _crowds(found), _scores(found), segmentations)
    return [
        f'"area": {area}, "attributes": {said}, "bbox": [{box}], "category_id": {number}, "iscrowd": {crowd},'
        f'{score} "segmentation": {segmentation}}}'
        for area, said, box, number, crowd, score, segmentation in zip(*columns, strict=True)
    ]


def parsed(clip: Clip, found: Instances, numbers: Mapping[str, int]) -> list[dict[str, Any]]:
    """`rows` as mappings, for formats that put them together in another way."""
    return [orjson.loads("{" + row) for row in rows(clip, found, numbers)]


def _run_lengths(codes: Sequence[bytes], size_hw: masks.Size) -> list[str]:
    """Codes as JSON; of all their characters only the backslash is special there."""
    end = f'", "size": [{size_hw[0]}, {size_hw[1]}]}}'
    texts = b" ".join(codes).decode("ascii").replace("\\", "\\\\").split(" ")
    return [f'{{"counts": "{text}{end}' for text in texts]


def _polygons(codes: Sequence[bytes], size_hw: masks.Size, filled: Counter[str]) -> tuple[list[str], list[int]]:
    """Polygons as JSON, and the pixels in them: holes are filled, and counted."""
    segmentations, areas = [], []
    for code in codes:
        outer, holes = outlines(code, size_hw)
        segmentations.append(str([ring.reshape(-1).tolist() for ring in outer]))
        areas.append(int(sum(map(area_px, outer))))
        filled["holes filled"] += len(holes)
    return segmentations, areas


def _measured(
    clip: Clip, found: Instances, numbers: Mapping[str, int]
) -> tuple[Sequence[bytes], list[int], list[str], list[int]]:
    """Codes, pixels, boxes (x, y, width, height) and class numbers of all rows."""
    classes = [numbers.get(name) for name in found.names]
    codes = found.masks or ()
    if len(codes) != len(found) or None in codes or None in classes:
        _blame(clip, found, numbers)
    areas, boxes_xywh = masks.measured(codes, found.size_hw)  # type: ignore[arg-type]
    if 0 in areas:
        _blame(clip, found, numbers)
    return codes, areas, _numbers(boxes_xywh), classes  # type: ignore[return-value]


def _blame(clip: Clip, found: Instances, numbers: Mapping[str, int]) -> None:
    """Raise the `BadRecord` of the first row that has no mask or no class."""
    for row, uid in enumerate(uids(clip.id, found)):
        with named_in_errors(uid, clip):
            mask_of(found, row)
            number_of(found, row, numbers)


def _numbers(rows: NDArray[Any]) -> list[str]:
    """Each row of numbers as JSON, without the brackets: (N, K) -> N. float32 in its shortest form."""
    text = orjson.dumps(np.ascontiguousarray(rows), option=orjson.OPT_SERIALIZE_NUMPY).decode("ascii")
    return text[2:-2].replace(",", ", ").split("], [")


def _crowds(found: Instances) -> Sequence[int]:
    if found.extra is None:
        return [0] * len(found)
    return [int(extra.get("iscrowd") == 1) for extra in found.extra]


def _scores(found: Instances) -> Sequence[str]:
    if found.scores is None:
        return [""] * len(found)
    return [f' "score": {score},' for score in _numbers(found.scores[:, None])]


def _attributes(found: Instances) -> Iterable[str]:
    """Where rows come from; what a foreign dataset said comes first and gives way to what we know."""
    boxes = _numbers(found.boxes_xyxy)
    columns = [column or repeat(None) for column in (found.prompts, found.score_kind, found.source)]
    if found.extra is None and found.quality is None:
        return [f'{{"detector_box": [{box}]{said}}}' for box, said in zip(boxes, map(_short, *columns), strict=False)]
    qualities = repeat(None) if found.quality is None else found.quality
    return map(_long, found.extra or repeat({}), qualities, boxes, *columns)


@lru_cache(maxsize=4096)
def _short(prompt: str | None, score_kind: str | None, source: str | None) -> str:
    said = {"prompt": prompt, "score_kind": score_kind, "source": source}
    return "".join(f', "{key}": {json.dumps(text)}' for key, text in said.items() if text is not None)


def _long(extra: Mapping[str, Any], quality: Any, box: str, *texts: str | None) -> str:
    attributes = {key: value for key, value in extra.items() if key != "iscrowd"}
    known = zip(("prompt", "score_kind", "source"), texts, strict=True)
    attributes |= {key: text for key, text in known if text is not None} | {"detector_box": json.loads(f"[{box}]")}
    if quality is not None:
        values = zip(QUALITY, quality, strict=True)
        attributes["quality"] = {key: round(float(value), 4) for key, value in values if not np.isnan(value)}
    return json.dumps(attributes, sort_keys=True, allow_nan=False)
