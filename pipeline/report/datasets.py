"""Datasets for people: what was written, how faithful it is, and what is wrong with one."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.convert import Converted
from pipeline.formats import Problem
from pipeline.report.summary import fidelity_rows, in_one_line, table
from pipeline.validate import Validated

SAID = 20
"""Problems that are listed; the others are counted."""


def show_converted(done: Converted, dataset: Mapping[str, Any]) -> str:
    """What a conversion wrote."""
    rows = [(key, str(dataset[key])) for key in ("pictures", "objects")]
    notes = [("note", note) for note in done.notes]
    return table(f"{done.was} -> {dataset['place']}", [*rows, *fidelity_rows(dataset), *notes])


def show_validated(said: Validated) -> str:
    """What a dataset has, and what is wrong with it."""
    rows = [("format", said.format), ("pictures", str(said.pictures)), ("objects", str(said.objects))]
    classes = [f"{count} {name or '(no class)'}" for name, count in said.by_class.items()]
    rows.append(("classes", ", ".join(classes) or "-"))
    rows += [("note", note) for note in said.notes]
    rows.append(("problems", str(len(said.problems))))
    return "\n".join([table(said.place, rows), *problem_lines(said.problems)])


def problem_lines(problems: Sequence[Problem]) -> list[str]:
    """The first problems, a line each, and how many more there are."""
    lines = [in_one_line(str(problem)) for problem in problems[:SAID]]
    more = len(problems) - len(lines)
    return [*lines, *([f"and {more} more; --json lists all"] if more else [])]
