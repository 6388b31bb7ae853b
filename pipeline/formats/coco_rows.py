"""The annotations of a picture as COCO's JSON, all of them at once: a dataset has millions.

Written by hand where a row says what most say, and by `json` where it says more: `json.dumps` of every row takes seven
times as long. Keys are sorted; the two ways write the same. An identity is said twice: as `track_id` of the annotation,
where TAO and trackers that read COCO have it, and among the attributes, where CVAT and datumaro do.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain, count, islice, repeat
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from pipeline import masks
from pipeline.formats.writing import mask_of, named_in_errors, number_of
from pipeline.outlines import area_px, outlines
from pipeline.records import Clip, Instances, uids

QUALITY = ("iou", "stability", "agreement")  # the columns of `Instances.quality`


Found = Sequence[tuple[Clip, Instances]]
"""Pictures with what was found in each: all have scores or none has, and all are short of words or none is."""


def alike(found: Instances) -> tuple[bool, bool]:
    """Pictures of which this is the same can be written together: an annotation costs a third less then."""
    return found.scores is None, found.extra is None and found.quality is None


def rows(
    pictures: Found, numbers: Mapping[str, int], first: int = 1, picture: int = 1, filled: Counter[str] | None = None
) -> str:
    """The annotations of pictures, numbered from `first` and `picture` on, each behind a comma and a line's end.

    Masks are run lengths, or polygons on the edges of pixels where `filled` counts the holes that those have no way to
    say. Raises `BadRecord` for an object without a mask or of a class that is not exported.
    """
    owners = [number for number, (_, found) in enumerate(pictures, picture) for _ in found.names]
    if not owners:
        return ""
    sizes = [found.size_hw for _, found in pictures for _ in found.names]
    codes, areas, boxes_xywh, classes = _measured(pictures, sizes, numbers)
    if filled is None:
        segmentations = _run_lengths(codes, sizes)
    else:
        segmentations, areas = _polygons(codes, sizes, filled)
    boxes, detector_boxes, scores = _numbers([found for _, found in pictures], boxes_xywh)
    tracks = _tracks([found for _, found in pictures])
    attributes = chain.from_iterable(_attributes(pictures, detector_boxes, tracks))
    crowds = chain.from_iterable(_crowds(found) for _, found in pictures)
    columns = (count(first), owners, areas, attributes, boxes, classes, crowds, scores, segmentations, tracks)
    return "".join(
        [
            f',\n{{"id": {own}, "image_id": {owner}, "area": {area}, "attributes": {said}, "bbox": [{box}],'
            f' "category_id": {number}, "iscrowd": {crowd},{score} "segmentation": {segmentation}{track}}}'
            for own, owner, area, said, box, number, crowd, score, segmentation, track in zip(*columns, strict=False)
        ]
    )


def parsed(clip: Clip, found: Instances, numbers: Mapping[str, int]) -> list[dict[str, Any]]:
    """`rows` of a picture as mappings, for formats that put them together in another way."""
    said: list[dict[str, Any]] = orjson.loads(f"[{rows([(clip, found)], numbers)[1:]}]")
    return said


def _run_lengths(codes: Sequence[bytes], sizes: Sequence[masks.Size]) -> list[str]:
    """Codes as JSON; of all their characters only the backslash is special there."""
    texts = b" ".join(codes).decode("ascii").replace("\\", "\\\\").split(" ")
    return [f'{{"counts": "{text}", "size": [{h}, {w}]}}' for text, (h, w) in zip(texts, sizes, strict=True)]


def _polygons(codes: Sequence[bytes], sizes: Sequence[masks.Size], filled: Counter[str]) -> tuple[list[str], list[int]]:
    """Polygons as JSON, and the pixels in them: holes are filled, and counted."""
    segmentations, areas = [], []
    for code, size_hw in zip(codes, sizes, strict=True):
        outer, holes = outlines(code, size_hw)
        segmentations.append(str([ring.reshape(-1).tolist() for ring in outer]))
        areas.append(int(sum(map(area_px, outer))))
        filled["holes filled"] += len(holes)
    return segmentations, areas


def _measured(
    pictures: Found, sizes: Sequence[masks.Size], numbers: Mapping[str, int]
) -> tuple[Sequence[bytes], list[int], NDArray[np.int64], list[int]]:
    """Codes, pixels, boxes (x, y, width, height) and class numbers of all rows."""
    classes = [numbers.get(name) for _, found in pictures for name in found.names]
    codes = [code for _, found in pictures for code in found.masks or (None,) * len(found)]
    if None in codes or None in classes:
        _blame(pictures, numbers)
    areas, boxes_xywh = masks.measured(codes, sizes)  # type: ignore[arg-type]
    if 0 in areas:
        _blame(pictures, numbers)
    return codes, areas, boxes_xywh, classes  # type: ignore[return-value]


def _blame(pictures: Found, numbers: Mapping[str, int]) -> None:
    """Raise the `BadRecord` of the first row that has no mask or no class."""
    for clip, found in pictures:
        for row, uid in enumerate(uids(clip.id, found)):
            with named_in_errors(uid, clip):
                mask_of(found, row)
                number_of(found, row, numbers)


def _numbers(found: Sequence[Instances], boxes_xywh: NDArray[np.int64]) -> tuple[list[str], list[str], list[str]]:
    """Boxes of masks, boxes of the detector, and scores as JSON, the boxes without brackets; float32 in short forms."""
    scored = found[0].scores is not None
    scores = np.concatenate([one.scores for one in found]) if scored else ()
    columns = [boxes_xywh, np.concatenate([one.boxes_xyxy for one in found]), scores]
    text = orjson.dumps(columns, option=orjson.OPT_SERIALIZE_NUMPY).decode("ascii")
    boxes, detector_boxes, rest = text.replace(",", ", ")[3:-2].split("]], [", 2)
    told = [f' "score": {score},' for score in rest.split(", ")] if scored else [""] * len(boxes_xywh)
    return boxes.split("], ["), detector_boxes[1:].split("], ["), told


def _tracks(found: Sequence[Instances]) -> list[str]:
    """What is said last of each row: who it is, where that is known."""
    said: list[str] = []
    for one in found:
        known = one.track_ids
        said += [""] * len(one) if known is None else [f', "track_id": {number}' for number in known.tolist()]
    return said


def _crowds(found: Instances) -> Sequence[int]:
    if found.extra is None:
        return [0] * len(found)
    return [int(extra.get("iscrowd") == 1) for extra in found.extra]


def _attributes(pictures: Found, detector_boxes: Iterable[str], tracks: Iterable[str]) -> Iterator[Iterable[str]]:
    """Where rows come from; what a foreign dataset said comes first and gives way to what we know."""
    boxes = zip(detector_boxes, tracks, strict=True)
    for _, found in pictures:
        some = islice(boxes, len(found))
        columns = [column or repeat(None) for column in (found.prompts, found.score_kind, found.source)]
        if found.extra is None and found.quality is None:
            said = zip(some, map(_short, *columns), strict=False)
            yield [f'{{"detector_box": [{box}]{more}{track}}}' for (box, track), more in said]
        else:
            qualities = repeat(None) if found.quality is None else found.quality
            yield map(_long, found.extra or repeat({}), qualities, some, *columns)


@lru_cache(maxsize=4096)
def _short(prompt: str | None, score_kind: str | None, source: str | None) -> str:
    said = {"prompt": prompt, "score_kind": score_kind, "source": source}
    return "".join(f', "{key}": {json.dumps(text)}' for key, text in said.items() if text is not None)


def _long(extra: Mapping[str, Any], quality: Any, box_and_track: tuple[str, str], *texts: str | None) -> str:
    attributes = {key: value for key, value in extra.items() if key != "iscrowd"}
    known = zip(("prompt", "score_kind", "source"), texts, strict=True)
    box, track = box_and_track
    attributes |= {key: text for key, text in known if text is not None}
    attributes |= json.loads(f'{{"detector_box": [{box}]{track}}}')
    if quality is not None:
        values = zip(QUALITY, quality, strict=True)
        attributes["quality"] = {key: round(float(value), 4) for key, value in values if not np.isnan(value)}
    return json.dumps(attributes, sort_keys=True, allow_nan=False)
