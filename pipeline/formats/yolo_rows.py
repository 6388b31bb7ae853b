"""The rows of a label of YOLO: `class xc yc w h`, or `class x1 y1 x2 y2 x3 y3...`, as shares of the picture's sides.

Everything is checked before OpenCV sees it.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline import geometry, masks
from pipeline.errors import BadRecord
from pipeline.formats import Problem
from pipeline.records import Instances, empty

MAX_BYTES = 1 << 25  # of a label
MAX_LINE = 1 << 23  # characters: 400 000 vertices
MAX_ROWS = 100_000
MAX_WORD = 60  # characters of a number
MAX_DRAWN_PX = 1 << 33
"""Of all polygons of a picture, as many pixels as take the same time: 300 of 28 megapixels, or 20 seconds."""
OUTSIDE = 0.01  # ultralytics leaves out the whole picture where more is outside

Numbers = NDArray[np.float64]
Row = tuple[str, geometry.Boxes | None, bytes | None]
"""Class, box of a row that is one, code of a row that is a polygon."""


def objects(
    path: Path, where: str, size_hw: masks.Size, names: Mapping[int, str], problems: list[Problem]
) -> Instances:
    """The objects of a label: boxes, masks for rows that are polygons, and for each the source 'yolo'."""
    try:
        lines = _lines(path)
    except (OSError, ValueError) as error:
        problems.append(Problem(where, f"cannot be read: {error}", "write one object a line, as UTF-8"))
        return empty(size_hw)
    rows = list(_rows(lines, where, size_hw, names, problems))
    if len({code is None for _, _, code in rows}) > 1:
        problems.append(Problem(where, "boxes beside polygons; ultralytics leaves the picture out", "keep one kind"))
    return _instances(rows, size_hw)


def _lines(path: Path) -> list[str]:
    """The lines of a text file; raises `ValueError` for what is too large or no text."""
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    lines = content.decode("utf-8-sig").splitlines()
    if len(content) > MAX_BYTES or len(lines) > MAX_ROWS:
        raise ValueError(f"more than {MAX_BYTES} bytes or {MAX_ROWS} lines")
    return lines


def _rows(
    lines: Iterable[str], where: str, size_hw: masks.Size, names: Mapping[int, str], problems: list[Problem]
) -> Iterator[Row]:
    seen: dict[bytes, int] = {}
    left_px: float = MAX_DRAWN_PX
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            values = _values(line)
            name = _name(values[0], names)
            before = seen.setdefault(values.astype(np.float32).tobytes(), number)
            if before != number:
                raise BadRecord(f"the same as line {before}; ultralytics drops it", "remove one")
            if len(values) == 5:
                yield name, _box(values[1:], size_hw), None
                continue
            corner, bits, cost_px = _polygon(values[1:], size_hw, left_px)
            left_px -= cost_px
            yield name, None, masks.encode_crop(bits, corner, size_hw)
        except BadRecord as error:
            problems.append(Problem(f"{where}:{number}", *error.args))


def _values(line: str) -> Numbers:
    """The numbers of a row: (N,), of which the first is the class."""
    if len(line) > MAX_LINE:
        raise BadRecord(f"more than {MAX_LINE} characters", "give fewer vertices")
    words = line.split()
    count = len(words)
    if count != 5 and (count < 7 or count % 2 == 0):
        raise BadRecord(f"{count} columns", "give a class, and a box (4 numbers) or x and y of three vertices or more")
    try:
        values = [float(word) for word in words if len(word) <= MAX_WORD]
    except ValueError as error:
        raise BadRecord(str(error), "give numbers") from error
    if len(values) < count or not all(map(math.isfinite, values)):
        raise BadRecord("a number is too long, or is none", "give finite numbers")
    array = np.array(values, np.float64)
    low, high = array[1:].min(), array[1:].max()
    if low < -OUTSIDE or high > 1 + OUTSIDE:
        worst = low if low < -OUTSIDE else high
        raise BadRecord(f"{worst:.6g} is outside the picture", "give shares of its sides, from 0 to 1")
    return array


def _name(value: float, names: Mapping[int, str]) -> str:
    name = names.get(int(value)) if value == int(value) else None
    if name is None:
        raise BadRecord(f"class {value:.6g} is not in names", f"give a number from 0 to {max(names, default=0)}")
    return name


def _box(values: Numbers, size_hw: masks.Size) -> geometry.Boxes:
    """Centre and size as shares to our box inside the picture: (4,) -> (4,)."""
    centre, size = values.reshape(2, 2) * size_hw[::-1]
    inside = geometry.clip_boxes(geometry.as_boxes(np.concatenate([centre - size / 2, centre + size / 2])), size_hw)
    if not geometry.proper(inside)[0]:
        raise BadRecord("the box has no area inside the picture", "correct it, or remove the row")
    return np.asarray(inside[0])


def _polygon(values: Numbers, size_hw: masks.Size, left_px: float) -> tuple[tuple[int, int], masks.Bits, float]:
    """A polygon as ultralytics draws it: (2 * N,) -> the corner x, y of its own box, its mask there, and what it cost.

    Coordinates are cut to whole pixels; what is on the lower or right edge of the picture is drawn outside. OpenCV
    sorts the sides that cross a line of pixels, so that time grows with the square of their number.
    """
    import cv2

    limit = np.array(size_hw[::-1], np.float32)
    pixels = (values.astype(np.float32).reshape(-1, 2) * limit).clip(0, limit).astype(np.int32)
    low, high = pixels.min(axis=0), np.minimum(pixels.max(axis=0) + 1, size_hw[::-1])
    w, h = np.maximum(high - low, 0).tolist()
    outline_px = float(np.abs(pixels - np.roll(pixels, 1, axis=0)).max(axis=1).sum())
    cost_px = w * h + outline_px**2 / (5 * max(h, 1))  # measured with sides from anywhere to anywhere
    if cost_px > left_px:
        raise BadRecord("the picture's polygons, with this one, are too much to draw", "give fewer vertices")
    bits = np.zeros((h, w), np.uint8)
    if bits.size:
        cv2.fillPoly(bits, [pixels - low], 1)
    if not bits.any():
        raise BadRecord("the polygon has no pixel inside the picture", "correct it, or remove the row")
    return (int(low[0]), int(low[1])), bits.view(np.bool_), cost_px


def _instances(rows: Sequence[Row], size_hw: masks.Size) -> Instances:
    """The rows as columns; a mask's box is its own. There are masks if one row has one."""
    if not rows:
        return empty(size_hw)
    codes = tuple(code for _, _, code in rows)
    drawn = masks.boxes([code for code in codes if code is not None], size_hw)
    boxes_xyxy = np.zeros((len(rows), 4), np.float32)
    is_mask = np.array([code is not None for code in codes])
    boxes_xyxy[is_mask] = drawn
    if not is_mask.all():
        boxes_xyxy[~is_mask] = [box for _, box, _ in rows if box is not None]
    return Instances(
        size_hw,
        boxes_xyxy,
        tuple(name for name, _, _ in rows),
        masks=codes if is_mask.any() else None,
        source=("yolo",) * len(rows),
    )
