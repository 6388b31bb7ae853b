"""What a foreign annotation says, checked by us before any C code sees it.

pycocotools reads past the end of a bad code, and asks for gigabytes where a vertex is far away. Everything
here takes a value out of somebody's JSON and gives it back in our form, or raises `BadRecord(what, mend)`.
"""

import math
from collections.abc import Mapping
from reprlib import repr as short
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import geometry, masks
from pipeline.errors import BadRecord

MAX_SIDE_PX = 65_535  # what a JPEG can have
MAX_PICTURE_PX = 2**30
FAR_PX = 1e9  # further out than any picture reaches, and no float32 overflows
MAX_OUTLINE_PX = 2_000_000  # pycocotools keeps five points of 16 bytes a pixel of outline
MAX_LEVELS = 20  # of lists in lists that we keep and do not look into
MAX_POLYGONS = 100_000  # of one object
AT_ONCE = 64  # polygons merged in a call; pycocotools goes through all before for each


def whole_number(item: Mapping[str, Any], key: str) -> int:
    """The whole number under `key`; a JSON writer may have made 7.0 of 7."""
    value = item.get(key)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadRecord(f"{key} is {short(value)}", "make it a whole number")
    return value


def text(item: Mapping[str, Any], key: str) -> str:
    """The words under `key`: not empty, valid Unicode."""
    value = item.get(key)
    if not isinstance(value, str) or not value.strip() or not _is_unicode(value):
        raise BadRecord(f"{key} is {short(value)}", "make it a text")
    return value


def _is_unicode(value: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in value)


def size_hw(item: Mapping[str, Any]) -> tuple[int, int]:
    """Height and width of a picture."""
    h, w = whole_number(item, "height"), whole_number(item, "width")
    if min(h, w) < 1 or max(h, w) > MAX_SIDE_PX or h * w > MAX_PICTURE_PX:
        raise BadRecord(f"a picture of {short(h)} x {short(w)} (h x w) pixels", "give its real size")
    return h, w


def is_plain(value: Any, levels: int = MAX_LEVELS) -> bool:
    """Whether a parsed JSON value can be kept: no NaN, no half character, 64 bits, not nested without end."""
    if isinstance(value, dict):
        return all(map(_is_unicode, value)) and is_plain(list(value.values()), levels)
    if isinstance(value, list):
        return levels > 0 and all(is_plain(inner, levels - 1) for inner in value)
    if isinstance(value, str):
        return _is_unicode(value)
    return -(2**63) <= value < 2**64 if isinstance(value, int) else value is None or math.isfinite(value)


def numbers(value: Any) -> NDArray[np.float64]:
    """A flat list of finite numbers: (N,)."""
    try:
        if isinstance(value, list) and all(type(number) in (int, float) for number in value):
            array = np.array(value, np.float64)
            if np.isfinite(array).all():
                return array
    except OverflowError:
        pass
    raise BadRecord(f"{short(value)} is no list of finite numbers")


def box_xyxy(bbox: Any, size_hw: tuple[int, int]) -> geometry.Boxes:
    """COCO's [x, y, width, height] as our box inside the picture: -> (4,)."""
    values = numbers(bbox)
    if len(values) != 4:
        raise BadRecord(f"bbox has {len(values)} numbers", "give x, y, width and height")
    inside = geometry.clip_boxes(geometry.xywh_to_xyxy(values.clip(-FAR_PX, FAR_PX)), size_hw)
    if not geometry.proper(inside)[0]:
        raise BadRecord(f"bbox {short(bbox)} has no area inside the picture", "correct it, or remove the annotation")
    return np.asarray(inside[0])


def mask(segmentation: Any, size_hw: tuple[int, int]) -> bytes | None:
    """COCO's segmentation as a code: run lengths, packed or plain, or polygons; None where there is none."""
    if segmentation is None or segmentation == []:
        return None
    if isinstance(segmentation, list):
        code = _polygons(segmentation, size_hw)
    elif isinstance(segmentation, dict):
        code = run_lengths(segmentation, size_hw)
    else:
        raise BadRecord(f"segmentation is {short(segmentation)}", "give polygons or run lengths")
    if not masks.area(code):
        raise BadRecord("the mask is empty", "remove the annotation")
    return code


def run_lengths(segmentation: Mapping[str, Any], size_hw: tuple[int, int]) -> bytes:
    """COCO's run lengths as a code, perhaps of no pixel: packed or plain, of the picture's size."""
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if size != list(size_hw):
        raise BadRecord(f"the mask's size is {short(size)}, the picture's {list(size_hw)}", "make the two agree")
    if not isinstance(counts, str):
        runs, area_px = numbers(counts), size_hw[0] * size_hw[1]
        if ((runs < 0) | (runs > area_px) | (runs % 1 > 0)).any() or runs.sum() != area_px:
            raise BadRecord("the mask's run lengths do not fill the picture")
        return masks.pack(runs.astype(np.int64))
    if not counts.isascii():
        raise BadRecord("mask: not a run-length code")
    return masks.validate(counts.encode("ascii"), size_hw)


def _polygons(polygons: list[Any], size_hw: tuple[int, int]) -> bytes:
    """All polygons of an object as one mask, as pycocotools draws them."""
    from pycocotools import mask as coco

    h, w = size_hw
    outlines = [_outline(polygon, size_hw) for polygon in polygons]
    if len(outlines) > MAX_POLYGONS or sum(_length_px(outline) for outline in outlines) > MAX_OUTLINE_PX:
        raise BadRecord("polygons too many or too long to draw", "give run lengths instead")
    drawn = coco.frPyObjects([outline.reshape(-1).tolist() for outline in outlines], h, w)
    while len(drawn) > 1:
        drawn = [coco.merge(drawn[i : i + AT_ONCE]) for i in range(0, len(drawn), AT_ONCE)]
    code: bytes = drawn[0]["counts"]
    return code


def _outline(polygon: Any, size_hw: tuple[int, int]) -> NDArray[np.float64]:
    """One polygon's vertices x, y, at most one picture away from the picture: -> (N, 2)."""
    values = numbers(polygon)
    if len(values) < 6 or len(values) % 2:
        raise BadRecord(f"a polygon has {len(values)} numbers", "give x and y of three vertices or more")
    limit = np.array([size_hw[1], size_hw[0]], np.float64)
    return values.reshape(-1, 2).clip(-limit, 2 * limit)


def _length_px(outline: NDArray[np.float64]) -> float:
    """The longer side of every edge, summed."""
    return float(np.abs(outline - np.roll(outline, 1, axis=0)).max(axis=1).sum())
