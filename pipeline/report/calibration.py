"""What calibration does, class by class: a table on a terminal."""

from collections.abc import Sequence

from pipeline.evaluate.calibrate import Figures, Learnt
from pipeline.report.summary import table

HEAD = ("", "objects", "threshold", "precision", "recall", "F1", "ECE")


def show_calibration(learnt: Learnt) -> str:
    """Every figure before and after, on the pictures that it was learnt from."""
    rows = [
        (row.name, str(row.objects), *_both(row.before, row.after, "*" if row.pooled else "")) for row in learnt.rows
    ]
    told = [table(f"learnt from {learnt.pictures} pictures, before > after", rows, HEAD)]
    pooled = [row.name for row in learnt.rows if row.pooled]
    if pooled:
        told.append(f"* too few objects, or none found: the threshold of all classes together ({', '.join(pooled)})")
    if learnt.constant is not None:
        told.append(f"every score is the same, {learnt.constant:g}: no threshold can tell right from wrong")
    return "\n".join(told)


def _both(before: Figures, after: Figures, mark: str) -> Sequence[str]:
    names = ("threshold", "precision", "recall", "f1", "ece")
    pairs = [(getattr(before, name), getattr(after, name)) for name in names]
    first, *others = [" > ".join("-" if value is None else f"{value:.3f}" for value in pair) for pair in pairs]
    return (first + mark, *others)
