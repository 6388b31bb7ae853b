"""The pictures of the page: a whole picture, or the part around a small object, with overlays and without."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import geometry, masks, pixels
from pipeline.media import Rgb
from pipeline.overlay import Painter, numbers_of, scaled
from pipeline.records import Instances

Window = tuple[int, int, int, int]
"""Whole pixels of a picture: (x0, y0, x1, y1), half-open."""

LONGEST_PX, ENLARGED = 640, 4
"""No side of a picture of the page is longer; a small one is enlarged, at most so many times."""
JPEG_QUALITY = 75
AROUND, LEAST_SHARE, MOST_SHARE = 3.0, 0.25, 0.7
"""A part of a picture is so many times as wide and as high as its object, and at least this share of the picture's
sides; where that is most of the picture, all of it is shown."""


@dataclass(frozen=True, slots=True)
class View:
    """A drawn picture: its files, what part of what frame it shows, how large, and the masks in it."""

    file: str
    plain: str
    window: Window
    hw: masks.Size
    rows: tuple[tuple[int, str | None], ...]
    """(row of the frame, code of its mask at the view's size)"""


def around(found: Instances, row: int) -> Window:
    """The part of a frame in which a row is looked at; row -1: all of it."""
    h, w = found.size_hw
    whole = (0, 0, w, h)
    if row < 0:
        return whole
    x0, y0, x1, y1 = _box(found, row)
    span_w, span_h = max(AROUND * (x1 - x0), LEAST_SHARE * w), max(AROUND * (y1 - y0), LEAST_SHARE * h)
    span_w, span_h = min(w, max(span_w, span_h)), min(h, max(span_h, span_w / 2))
    if span_w > MOST_SHARE * w and span_h > MOST_SHARE * h:
        return whole
    middle_x, middle_y = (x0 + x1) / 2, (y0 + y1) / 2
    left = min(max(0, round(middle_x - span_w / 2)), w - round(span_w))
    top = min(max(0, round(middle_y - span_h / 2)), h - round(span_h))
    return left, top, left + round(span_w), top + round(span_h)


def _box(found: Instances, row: int) -> tuple[float, ...]:
    """What has to be seen of a row: its box and its mask."""
    box = found.boxes_xyxy[row].tolist()
    code = None if found.masks is None else found.masks[row]
    if not code or not masks.area(code):
        return tuple(box)
    x0, y0, x1, y1 = masks.box(code, found.size_hw)
    return min(box[0], x0), min(box[1], y0), max(box[2], x1), max(box[3], y1)


def shown_hw(window: Window) -> masks.Size:
    """How large a part is shown: -> (h, w).

    >>> shown_hw((0, 0, 128, 96)), shown_hw((0, 0, 4000, 3000))
    ((384, 512), (480, 640))
    """
    w, h = window[2] - window[0], window[3] - window[1]
    factor = min(ENLARGED, LONGEST_PX / max(w, h))
    return max(1, round(h * factor)), max(1, round(w * factor))


def part(found: Instances, window: Window, hw: masks.Size) -> tuple[Instances, list[int]]:
    """What of a frame is seen in a part of it that is shown with `hw` pixels, in these; and which rows that is.

    Rows keep their numbers as identities, where they have none, so that labels say the same in every part.
    """
    x0, y0, x1, y1 = window
    size_hw = y1 - y0, x1 - x0
    scale = np.tile([hw[1] / size_hw[1], hw[0] / size_hw[0]], 2).astype(np.float32)
    boxes = geometry.clip_boxes((found.boxes_xyxy - np.array([x0, y0, x0, y0], np.float32)) * scale, hw)
    seen = geometry.proper(boxes)
    if found.visible is not None:
        seen &= found.visible
    rows = np.flatnonzero(seen).tolist()
    codes = [None if found.masks is None else found.masks[row] for row in rows]
    numbers = numbers_of(found)
    shown = Instances(
        hw,
        boxes[rows],
        tuple(found.names[row] for row in rows),
        masks=tuple(code and scaled(cut(code, found.size_hw, window), size_hw, hw) for code in codes),
        track_ids=numbers[rows],
    )
    return shown, rows


def cut(code: bytes, size_hw: masks.Size, window: Window) -> bytes:
    """The code of a mask in a part of its picture.

    >>> masks.box(cut(masks.encode(np.ones((4, 4), bool)), (4, 4), (1, 1, 3, 4)), (3, 2))
    (0, 0, 2, 3)
    """
    crop, (x, y) = masks.decode_crop(code, size_hw)
    x0, y0, x1, y1 = window
    inside = crop[max(0, y0 - y) : max(0, y1 - y), max(0, x0 - x) : max(0, x1 - x)]
    if not inside.size:
        return masks.encode(np.zeros((y1 - y0, x1 - x0), np.bool_))
    return masks.encode_crop(inside, (max(0, x - x0), max(0, y - y0)), (y1 - y0, x1 - x0))


class Album:
    """Draws views into a folder, numbered as they come; one that was drawn already is not drawn again."""

    def __init__(self, page_folder: Path, inside: str) -> None:
        self.page_folder, self.inside = page_folder, inside
        self.views: list[View] = []
        self.bytes = 0

    def draw(self, rgb: Rgb, found: Instances, window: Window) -> int:
        """Draw a part of a frame, (H, W, 3), with the rows in it; gives the view's number. Raises `BadMedia`."""
        hw = shown_hw(window)
        inside, rows = part(found, window, hw)
        small = _resized(rgb[window[1] : window[3], window[0] : window[2]], hw)
        stem = f"{self.inside}/{len(self.views) + 1:05}"
        painted = Painter(hw, hw).painted(small, inside)
        self._write(f"{stem}.jpg", painted)
        self._write(f"{stem}p.jpg", small[..., ::-1])
        coded = tuple(
            (row, code.decode() if code else None) for row, code in zip(rows, inside.masks or (), strict=True)
        )
        self.views.append(View(f"{stem}.jpg", f"{stem}p.jpg", window, hw, coded))
        return len(self.views) - 1

    def _write(self, file: str, bgr: Any) -> None:
        cv2 = pixels.opencv()
        _, content = cv2.imencode(".jpg", np.ascontiguousarray(bgr), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        (self.page_folder / file).write_bytes(content.tobytes())
        self.bytes += len(content)


def _resized(rgb: Rgb, hw: masks.Size) -> Rgb:
    cv2 = pixels.opencv()
    how = cv2.INTER_AREA if hw[0] < rgb.shape[0] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(np.ascontiguousarray(rgb), hw[::-1], interpolation=how), np.uint8)


def only(found: Instances, rows: Sequence[int]) -> Instances:
    """Some rows of a frame, which keep their numbers."""
    return replace(found, track_ids=numbers_of(found)).take(np.array(rows, np.int64))
