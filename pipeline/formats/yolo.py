"""YOLO as ultralytics 8.4 reads it: `images/`, `labels/` and `data.yaml`; one polygon or one box an object.

ultralytics draws a polygon by cutting its coordinates to whole pixels and `cv2.fillPoly`, which draws the outline, too.
So vertices are the centres of a mask's outer pixels, and what it draws is the mask; `bridges` says what parts cost.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from itertools import count, repeat
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from pipeline import masks
from pipeline.errors import BadRecord
from pipeline.formats import Format, Masks, strips, without_crowds
from pipeline.formats.bridges import polygon
from pipeline.formats.sides import below
from pipeline.formats.writing import mask_of, named_in_errors, number_of, numbers_of, still, together, with_pictures
from pipeline.formats.yolo_files import IMAGES, SUFFIXES, YAML, label_of, suffix
from pipeline.formats.yolo_reading import SMALLEST_PX, read
from pipeline.ontology import Ontology
from pipeline.records import Clip, Instances, uids

__all__ = ["YOLO_BOX", "YOLO_SEG", "read", "write", "write_labels"]

HEAD = """\
# Made by masklet. No split was asked for: train and val are the same pictures.
train: images
val: images
names:
"""
NO_VAL = "# No picture is on the side val: those of train stand in for it.\n"
FINE_PX = 4096
"""In pictures with a longer side, a box has 8 digits: 6 are a hundredth of a pixel there."""
BYTES = 9
"""Of a coordinate of a pixel's centre and the space behind it, as in `0.123456 `."""

AT_ONCE = 64
"""Objects whose outlines are traced together: a picture with a few costs mostly calls."""

Pictures = list[tuple[str, Clip]]
"""Clips of one size, with their names in the dataset."""
Rows = Callable[[Pictures, Mapping[str, int], Counter[str]], Iterable[list[bytes]]]
"""Each picture's objects as lines; counts what those have no way to say."""


def write(
    clips: Iterable[Clip], ontology: Ontology, place: Path, hard_link: bool = False, *, rows: Rows
) -> dict[str, int]:
    """Write pictures, labels and data.yaml into the empty folder `place`, each clip looked at once, few in memory.

    Raises `BadRecord` for an object that such a line cannot say, or of a class that is not exported, `BadMedia` for a
    picture that changed since it was looked at.
    """
    (place / IMAGES).mkdir()
    return write_labels(with_pictures(clips, place / IMAGES, hard_link, stems=True), ontology, place, rows)


def write_labels(
    pictures: Iterable[tuple[str, Clip]], ontology: Ontology, place: Path, rows: Rows | None = None
) -> dict[str, int]:
    """Write labels (polygons, unless told otherwise) and data.yaml, for pictures of the names given."""
    numbers = {name: number for number, name in enumerate(numbers_of(ontology))}
    unsaid = Counter[str]()
    folders: set[str] = set()
    sides: set[str] = set()
    for group in together(pictures, lambda clip: clip.frames[0].size_hw, AT_ONCE):
        for _, clip in group:
            found = still(clip)
            unsaid["scores"] += len(found) * (found.scores is not None)
            unsaid["identities"] += len(found) * (found.track_ids is not None)
        for (name, clip), lines in zip(group, (rows or polygon_rows)(group, numbers, unsaid), strict=True):
            path = f"{place}{label_of(f'/{IMAGES}/{below(clip.side, name)}')}"
            sides.add(clip.side)
            folder = path.rpartition("/")[0]
            if folder not in folders:
                Path(folder).mkdir(parents=True, exist_ok=True)
                folders.add(folder)
            try:
                with open(path, "xb") as file:  # noqa: PTH123 - a million of these; Path is slow
                    file.write(b"".join(lines))
            except FileExistsError:
                raise BadRecord(f"{clip.name}: its label would be another picture's; rename it") from None
    if any(sides):
        (place / IMAGES / "train").mkdir(parents=True, exist_ok=True)
    head = _head_of(sides) if any(sides) else HEAD
    (place / YAML).write_text(head + "".join(map(_entry, numbers.values(), numbers)), encoding="utf-8", newline="\n")
    return dict(+unsaid)


def _head_of(sides: Collection[str]) -> str:
    """The begin of a data.yaml of a split dataset; ultralytics wants train and val whatever there is."""
    val = "" if "val" in sides else NO_VAL
    folders = {"train": "train", "val": "val" if "val" in sides else "train", "test": "test"}
    lines = [f"{side}: {IMAGES}/{folder}\n" for side, folder in folders.items() if side != "test" or side in sides]
    return f"# Made by masklet.\n{val}{''.join(lines)}names:\n"


def _entry(number: int, name: str) -> str:
    """A class of data.yaml, in quotes: `yes` is a name, too."""
    quoted = yaml.safe_dump(name, default_style='"', allow_unicode=True, width=2**31)
    return f"  {number}: {quoted}"


def polygon_rows(pictures: Pictures, numbers: Mapping[str, int], unsaid: Counter[str]) -> Iterator[list[bytes]]:
    """One closed polygon a line."""
    found = [still(clip) for _, clip in pictures]
    size_hw = found[0].size_hw
    codes = [code or masks.NOTHING for one in found for code in one.masks or [None] * len(one)]
    areas, boxes_xywh = masks.measured(codes, repeat(size_hw))
    if not all(areas):
        _blame(pictures, mask_of)
    rings: list[bytes] = []
    for part in strips.parts(boxes_xywh):
        rings += _rings(codes[part], boxes_xywh[part], size_hw, unsaid)
    left = iter(rings)
    for classes in _classes(pictures, numbers):
        lines = [b"%d %b\n" % (number, next(left)) for number in classes]
        yield lines if len(set(lines)) == len(lines) else _unlike(lines)


def _classes(pictures: Pictures, numbers: Mapping[str, int]) -> list[list[int]]:
    """The number of each object's class, picture by picture."""
    try:
        return [[numbers[name] for name in still(clip).names] for _, clip in pictures]
    except KeyError:
        _blame(pictures, partial(number_of, numbers=numbers))
        raise


def _blame(pictures: Pictures, check: Callable[[Instances, int], object]) -> None:
    """Name the object for which `check` raises `BadRecord`."""
    for _, clip in pictures:
        found = still(clip)
        for row, uid in enumerate(uids(clip.id, found)):
            with named_in_errors(uid, clip):
                check(found, row)


def _unlike(lines: Iterable[bytes]) -> list[bytes]:
    """Lines of which no two are the same, or ultralytics drops one: the first vertex is said once more each time."""
    times = Counter[bytes]()
    out = []
    for line in lines:
        _, x, y = line.split(b" ", 3)[:3]
        out.append(line[:-1] + (b" %b %b" % (x, y)) * times[line] + b"\n")
        times[line] += 1
    return out


def _rings(codes: Sequence[bytes], boxes_xywh: masks.Runs, size_hw: masks.Size, unsaid: Counter[str]) -> list[bytes]:
    """The vertices of each mask, x and y as shares of the picture's sides."""
    import cv2

    bits, begins = strips.strip(codes, boxes_xywh, size_hw)
    contours, _ = cv2.findContours(bits, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    counts = np.array(list(map(len, contours)))
    ends = counts.cumsum()
    points = np.concatenate(contours).reshape(-1, 2)  # a strip's masks lie on their sides: y, x
    owner = begins.searchsorted(points[ends - counts, 1], side="right") - 1
    corners = boxes_xywh[:, 1::-1].copy()
    corners[:, 1] -= begins
    text = _text(points + corners[owner].repeat(counts, axis=0), size_hw)
    plain = (np.bincount(owner)[owner] == 1) & (counts > 2) & (boxes_xywh[owner, 2:].min(axis=1) > 1)
    rings = [b""] * len(codes)
    for row, length, end, is_plain in zip(*map(np.ndarray.tolist, (owner, counts, ends, plain)), strict=True):
        if is_plain:
            rings[row] = text[2 * BYTES * (end - length) : 2 * BYTES * end - 1]
    for row in [row for row, ring in enumerate(rings) if not ring]:
        x, y, w, h = boxes_xywh[row].tolist()
        rings[row] = _bridged(bits[begins[row] :][:w, :h].T > 0, (x, y), size_hw, unsaid)
    return rings


def _text(points_yx: NDArray[np.int64], size_hw: masks.Size) -> bytes:
    """Pixels as shares of the picture's sides, x before y: (N, 2) -> 2 * N * BYTES bytes."""
    words = np.empty((len(points_yx), 2), f"S{BYTES}")
    words[:, 0] = _centres(size_hw[1])[points_yx[:, 1]]
    words[:, 1] = _centres(size_hw[0])[points_yx[:, 0]]
    return words.tobytes()


@lru_cache(maxsize=256)  # 9 MB, if all have 4000 pixels
def _centres(side_px: int) -> NDArray[np.bytes_]:
    """The centre of each pixel of a side as a share of it, with six digits and a space.

    >>> _centres(4).tolist()
    [b'0.125000 ', b'0.375000 ', b'0.625000 ', b'0.875000 ']
    """
    millionths = np.rint((np.arange(side_px) + 0.5) / side_px * 1e6).astype(np.int64)
    characters = np.zeros((side_px, BYTES), np.uint8)
    characters[:] = np.frombuffer(b"0.000000 ", np.uint8)
    characters[:, 2:8] += (millionths[:, None] // 10 ** np.arange(5, -1, -1) % 10).astype(np.uint8)
    return characters.view(f"S{BYTES}")[:, 0]


def _bridged(mask: masks.Bits, corner_xy: tuple[int, int], size_hw: masks.Size, unsaid: Counter[str]) -> bytes:
    """The vertices of a mask of several outlines, or of a line; they are not all on pixels' centres."""
    ring, holes, further = polygon(mask)
    unsaid["holes bridged"] += holes
    unsaid["parts bridged"] += further
    shares = ((ring + corner_xy) / size_hw[::-1]).reshape(-1).tolist()
    return " ".join([f"{share:.6f}" for share in shares]).encode()


def box_rows(pictures: Pictures, numbers: Mapping[str, int], unsaid: Counter[str]) -> Iterator[list[bytes]]:
    """One box a line: the mask's, or where there is no mask, the detector's."""
    for (_, clip), classes in zip(pictures, _classes(pictures, numbers), strict=True):
        found = still(clip)
        boxes_xyxy = _boxes(found, unsaid)
        low, high = boxes_xyxy[:, :2], boxes_xyxy[:, 2:]
        shares = np.hstack([low + high, 2 * (high - low)]) / (2 * np.array(found.size_hw * 2)[[1, 0, 3, 2]])
        digits = 6 if max(found.size_hw) <= FINE_PX else 8
        lines: dict[bytes, None] = {}  # no two the same, or ultralytics drops one: the later is a millionth wider
        for number, (x, y, w, h) in zip(classes, shares.tolist(), strict=True):
            begin, end = f"{number} {x:.{digits}f} {y:.{digits}f}", f"{h:.{digits}f}\n"
            wider = (f"{begin} {w + millionths / 1e6:.{digits}f} {end}".encode() for millionths in count())
            lines[next(line for line in wider if line not in lines)] = None
        yield list(lines)


def _boxes(found: Instances, unsaid: Counter[str]) -> NDArray[np.float64]:
    """The box around each mask, else the detector's: (N, 4)."""
    boxes_xyxy = found.boxes_xyxy.astype(np.float64)
    masked = [row for row, code in enumerate(found.masks or ()) if code]
    boxes_xyxy[masked] = masks.boxes([code for code in found.masks or () if code], found.size_hw)
    unsaid["masks written as boxes"] += len(masked)
    return boxes_xyxy


def fit(clip: Clip) -> Clip | None:
    """The clip without crowds, and with a picture that ultralytics takes for one.

    `a.ppm` is written anew; a picture under 10 pixels is none.
    """
    fitting = without_crowds(clip)
    if fitting is None or min(clip.frames[0].size_hw) < SMALLEST_PX:
        return None
    return fitting if clip.rewrite or suffix(clip.name) in SUFFIXES else replace(fitting, rewrite="suffix")


YOLO_SEG = Format(1, partial(write, rows=polygon_rows), read, Masks.OUTLINES, stems=True, fit=fit)
"""Ultralytics' polygons."""
YOLO_BOX = Format(1, partial(write, rows=box_rows), read, Masks.BOXES, stems=True, fit=fit)
"""Ultralytics' boxes."""
