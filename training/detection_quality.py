"""How good boxes are, quickly, as a training goes: all classes in one list. The figures that count are COCO's."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry import box_iou

THRESHOLDS = np.arange(0.5, 1.0, 0.05)
Label = object


@dataclass
class Tally:
    """Hits and misses of all detections so far, by IoU threshold."""

    scores: list[float] = field(default_factory=list)
    hits: list[NDArray[np.bool_]] = field(default_factory=list)
    objects: int = 0

    def add(
        self,
        found: tuple[NDArray[np.float32], NDArray[np.float32], list[Label]],
        true: tuple[NDArray[np.float32], list[Label]],
    ) -> None:
        """Match the detections (boxes, scores, labels) of a picture with its truth (boxes, labels), best first."""
        boxes, scores, labels = found
        true_boxes, true_labels = true
        self.objects += len(true_labels)
        same = np.array([[one == other for other in true_labels] for one in labels], bool).reshape(
            len(labels), len(true_labels)
        )
        overlap = np.where(same, box_iou(boxes, true_boxes), 0) if len(boxes) and len(true_boxes) else same * 0.0
        free = np.ones((len(THRESHOLDS), len(true_labels)), bool)
        for row in np.argsort(-scores, kind="stable"):
            self.scores.append(float(scores[row]))
            self.hits.append(self._take(overlap[row], free))

    @staticmethod
    def _take(overlap: NDArray[np.float64], free: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Give a detection the best free object, at each threshold."""
        hit = np.zeros(len(THRESHOLDS), bool)
        for number, threshold in enumerate(THRESHOLDS):
            open_overlap = np.where(free[number], overlap, -1)
            if open_overlap.size and open_overlap.max() >= threshold:
                free[number, open_overlap.argmax()] = False
                hit[number] = True
        return hit

    def average_precision(self) -> tuple[float, float]:
        """Give the area under precision and recall: at IoU 0.5, and the mean of all thresholds."""
        if not self.scores or not self.objects:
            return 0.0, 0.0
        order = np.argsort(-np.array(self.scores), kind="stable")
        hits = np.array(self.hits)[order].astype(float)
        found = hits.cumsum(axis=0)
        precision = found / np.arange(1, len(hits) + 1)[:, None]
        best_after = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
        areas = (best_after * hits).sum(axis=0) / self.objects
        return float(areas[0]), float(areas.mean())
