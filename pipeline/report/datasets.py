"""Datasets for people: what was written, how faithful it is, and what is wrong with one."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.convert import Converted
from pipeline.formats import Problem
from pipeline.report.summary import in_one_line, table
from pipeline.validate import Validated

SAID = 20
"""Problems that are listed; the others are counted."""


def fidelity_rows(dataset: Mapping[str, Any]) -> list[tuple[str, str]]:
    """How what was read back overlaps with what was meant, what the format cannot say, and the worst objects."""
    told = dataset["fidelity"]
    rows = [("read back", f"{told['objects']} objects, IoU {_ious(told)}")]
    poor = len(told["poor"])
    if poor:
        rows.append(("", f"{poor} below 0.9"))
    rows += [("worst", f"{iou:.3f} {uid} in {picture}") for uid, picture, iou, _ in told["worst"][:5]]
    rows += [("not said", f"{count} {words}") for words, count in dataset.get("unsaid", {}).items()]
    return rows


def _ious(told: Mapping[str, Any]) -> str:
    if told["min_iou"] == 1:
        return "1 for every one"
    return f"{told['min_iou']:.3f} at least, {told['median_iou']:.3f} in the middle, {told['mean_iou']:.3f} on average"


def show_converted(done: Converted, dataset: Mapping[str, Any]) -> str:
    """What a conversion wrote."""
    rows = [(key, str(dataset[key])) for key in ("pictures", "objects")]
    return table(f"{done.was} -> {dataset['place']}", [*rows, *fidelity_rows(dataset)])


def show_validated(said: Validated) -> str:
    """What a dataset has, and what is wrong with it."""
    rows = [("format", said.format), ("pictures", str(said.pictures)), ("objects", str(said.objects))]
    rows.append(("classes", ", ".join(f"{count} {name}" for name, count in said.by_class.items()) or "-"))
    rows.append(("problems", str(len(said.problems))))
    return "\n".join([table(said.place, rows), *problem_lines(said.problems)])


def problem_lines(problems: Sequence[Problem]) -> list[str]:
    """The first problems, a line each, and how many more there are."""
    lines = [in_one_line(str(problem)) for problem in problems[:SAID]]
    more = len(problems) - len(lines)
    return [*lines, *([f"and {more} more; --json lists all"] if more else [])]
