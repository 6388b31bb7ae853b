"""GrabCut makes masks that are worth more than filled boxes.

    python benchmarks/grabcut_truth_boxes.py

True boxes of 64 COCO photos, masks against COCO's polygons: mean IoU of GrabCut is at least 0.60, and above
that of the filled box and of the ellipse in the box. Exits with 1 where it is not. Needs ../shared/data beside
the repository.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline import masks
from pipeline.formats import coco
from pipeline.media import Picture
from pipeline.records import Instances
from pipeline.seams import Device
from pipeline.segmenters.fake import Fake
from pipeline.segmenters.grabcut import Grabcut

PHOTOS = (Path(__file__).parents[1] / "../shared/data/coco64").resolve()
AT_LEAST = 0.60

Photo = tuple[Picture, Instances, Sequence[bytes | None]]
"""A photo, its true boxes, its true masks."""
Segment = Callable[[Picture, Instances], Sequence[bytes | None] | None]


def main() -> int:
    if not PHOTOS.is_dir():
        print(f"needs {PHOTOS}: real photos that are not part of the repository", file=sys.stderr)
        return 1
    truth = list(photos())
    grabcut, fake = Grabcut().open(Device()), Fake().open(Device())
    segmenters: dict[str, Segment] = {
        "GrabCut": lambda picture, rows: grabcut.segment([picture], [rows])[0].masks,
        "filled box": lambda picture, rows: fake.segment([picture], [rows])[0].masks,
        "filled ellipse": lambda _, rows: [ellipse(box, rows.size_hw) for box in rows.boxes_xyxy],
    }
    scores = {name: measured(name, segment, truth) for name, segment in segmenters.items()}
    best = scores.pop("GrabCut")
    return 0 if best >= AT_LEAST and best > max(scores.values()) else 1


def photos() -> Iterator[Photo]:
    """Read the photos in the order of their file."""
    import cv2

    for clip in coco.read(PHOTOS / "instances.json").clips:
        found = clip.found[0]
        if found.masks:
            rgb = cv2.imdecode(np.fromfile(clip.path, np.uint8), cv2.IMREAD_COLOR_RGB)
            yield (
                Picture.of(np.asarray(rgb, np.uint8)),
                Instances(found.size_hw, found.boxes_xyxy, found.names),
                found.masks,
            )


def measured(name: str, segment: Segment, truth: Sequence[Photo]) -> float:
    """Mean IoU over all objects; prints it, and the time."""
    overlaps: list[float] = []
    seconds = 0.0
    for picture, rows, true in truth:
        start = time.perf_counter()
        codes = segment(picture, rows) or ()
        seconds += time.perf_counter() - start
        overlaps += [masks.iou([a], [b], rows.size_hw)[0, 0] for a, b in zip(codes, true, strict=True) if a and b]
    mean, ms_a_box = float(np.mean(overlaps)), 1000 * seconds / len(overlaps)
    print(f"{name:15} mean IoU {mean:.3f}  {ms_a_box:5.1f} ms a box  ({len(overlaps)} boxes)")
    return mean


def ellipse(box_xyxy: NDArray[np.float32], size_hw: tuple[int, int]) -> bytes:
    """Encode the ellipse that touches the box's edges: (4,) -> code."""
    x, y = np.arange(size_hw[1]) + 0.5, np.arange(size_hw[0]) + 0.5
    x0, y0, x1, y1 = box_xyxy
    return masks.encode(np.hypot(((2 * y - y0 - y1) / (y1 - y0))[:, None], (2 * x - x0 - x1) / (x1 - x0)) <= 1)


if __name__ == "__main__":
    sys.exit(main())
