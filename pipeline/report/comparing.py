"""Two runs beside each other, and what a gate says, for people: tables on a terminal, and Markdown for a CI's page."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.compare.diff import CLASS_COLUMNS, OBJECTS, OTHERWISE, PICTURES, Diff, Difference
from pipeline.compare.gate import Judgement, Verdict
from pipeline.report.summary import in_one_line, table

NOTHING = "nothing differs"
LONGEST = 60  # characters of a setting that are shown
SPECIAL = re.compile(r"([\\`*_{}\[\]<>|~#&])")
IN_BOTH = ("both", "relabelled")
FAILING = 20
"""Things that break a rule and are listed; the others are counted."""


@dataclass(frozen=True, slots=True)
class Section:
    """A table with a title; where `head` is '' all over, the cells are words and not figures."""

    title: str
    rows: Sequence[tuple[str, ...]]
    head: tuple[str, ...] = ()


def show_diff(diff: Diff) -> str:
    """What differs, as tables."""
    title = f"{diff.was} -> {diff.now}"
    if diff.nothing:
        return f"{title}\n{NOTHING}"
    return "\n\n".join([title, *(table(part.title, part.rows, part.head) for part in _sections(diff))])


def markdown_diff(diff: Diff) -> str:
    """What differs, as Markdown."""
    title = f"### masklet diff: {escaped(diff.was)} → {escaped(diff.now)}"
    if diff.nothing:
        return f"{title}\n\n{NOTHING}\n"
    return "\n\n".join([title, *map(_markdown, _sections(diff))]) + "\n"


def _sections(diff: Diff) -> Iterator[Section]:
    sides = {"pictures": diff.pictures, "films": diff.films}
    there = {name: counts for name, counts in sides.items() if counts.total()}
    kinds = [what for what in (*IN_BOTH, *PICTURES) if any(counts[what] for counts in there.values())]
    rows = [(_in_words(what), *(str(counts[what]) for counts in there.values())) for what in kinds]
    parts = [
        Section("in the runs", rows, ("", *there)),
        Section("objects, in what both have", [(what, str(n)) for what, n in sorted(diff.objects.items(), key=_order)]),
        _classes(diff),
        _counts("dropped", diff.drops),
        _counts("set aside", diff.aside),
        Section("settings", [(key, _value(was), _value(now)) for key, (was, now) in diff.settings.items()]),
        *_examples(diff),
    ]
    return (part for part in parts if part.rows)


def _order(count: tuple[str, int]) -> int:
    return OBJECTS.index(count[0])


def _in_words(what: str) -> str:
    return {
        "both": "in both, name and content",
        "relabelled": "of them and of the renamed: other labels",
        "changed": "other content under the same name",
    }.get(what, what)


def _classes(diff: Diff) -> Section:
    """Objects by class: what the datasets have, and what became of those that are not the same."""
    columns = [one for one in CLASS_COLUMNS if one in ("was", "is") or any(c[one] for c in diff.classes.values())]
    rows = [(name or "(no class)", *(str(counts[one]) for one in columns)) for name, counts in diff.classes.items()]
    return Section("objects by class ('was' and 'is': in the datasets)", rows, ("", *columns))


def _counts(title: str, both: Mapping[str, tuple[int, int]]) -> Section:
    return Section(title, [(key, str(was), str(now)) for key, (was, now) in both.items()], ("", "was", "is"))


def _value(value: Any) -> str:
    text = "-" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def _examples(diff: Diff) -> Iterator[Section]:
    counts = diff.objects + diff.pictures + diff.films
    for what in (*PICTURES, *OBJECTS, OTHERWISE):
        some = diff.examples.get(what, [])
        more = f", the worst {len(some)} of {counts[what]}" if counts[what] > len(some) else ""
        yield Section(f"{what}{more}", [(line_of(one),) for one in some])


def show_difference(one: Difference) -> str:
    """A difference in a line."""
    return in_one_line(f"{one.what}: {line_of(one)}")


def line_of(one: Difference) -> str:
    """Where a difference is, and what it is."""
    if one.what == OTHERWISE:
        return f"{one.picture}: the records differ in words, boxes or order, the objects do not"
    if one.what in PICTURES:
        sides = [", ".join(f"{n} {name}" for name, n in side.items()) for side in (one.classes_was, one.classes)]
        objects = f": {' -> '.join(side or 'no object' for side in sides)}" if one.what == "changed" else ""
        objects = objects or "".join(f": {side}" for side in sides if side)
        return (f"{one.was} -> " if one.was else "") + one.picture + objects
    label = (one.uid_was or one.uid).partition("/")[2]
    became = f" became {one.class_}" if one.what == "reclassified" else ""
    iou = "" if one.iou in (None, 1) else f", IoU {one.iou:.2f}"
    scores = [f"{score:.2f}" for score in dict.fromkeys((one.score_was, one.score)) if score is not None]
    return f"{one.picture}: {label}{became}{iou}" + (f", score {' -> '.join(scores)}" if scores else "")


def show_gate(judged: Judgement) -> str:
    """A line a rule, and under it what breaks it."""
    rows = [("ok" if one.ok else "FAILED", one.rule, _limit(one), _found(one)) for one in judged.verdicts]
    lines = [f"{one.rule}: {words}" for one in judged.failed for words in listed(one)]
    said = table(title_of(judged), [("", "rule", "limit", "found"), *rows])
    return "\n".join([said, *(["", *map(in_one_line, lines)] if lines else [])])


def markdown_gate(judged: Judgement) -> str:
    """The same as Markdown, fit for a CI's page."""
    rows = [(one.rule, _limit(one), _found(one), "passed" if one.ok else "FAILED") for one in judged.verdicts]
    failing = [f"- **{one.rule}**: {escaped(words)}" for one in judged.failed for words in listed(one)]
    sign = "✅" if judged.ok else "❌"
    part = _markdown(Section("", rows, ("rule", "limit", "found", "")))
    return (
        "\n\n".join(
            [f"### {sign} masklet {escaped(title_of(judged))}", *(["\n".join(failing)] if failing else []), part]
        )
        + "\n"
    )


def title_of(judged: Judgement) -> str:
    """What came of it, in a line."""
    beside = f" against {judged.baseline}" if judged.baseline else ""
    rules = f"{len(judged.verdicts)} rule{'' if len(judged.verdicts) == 1 else 's'}"
    came = f"{len(judged.failed)} of {rules} failed" if judged.failed else f"{rules} passed"
    return f"gate: {judged.run}{beside}: {came}"


def listed(one: Verdict) -> list[str]:
    """What breaks a rule, the worst first, and how many more there are."""
    more = len(one.failing) - FAILING
    return [*one.failing[:FAILING], *([f"and {more} more; --json lists all"] if more > 0 else [])]


def _limit(one: Verdict) -> str:
    if isinstance(one.limit, Mapping):
        return ", ".join(f"{name} {limit}" for name, limit in one.limit.items())
    return _figure(one.limit)


def _found(one: Verdict) -> str:
    return "nothing to judge" if one.found is None else _figure(one.found)


def _figure(value: float) -> str:
    """A count as it is, anything else to six digits."""
    return str(value) if isinstance(value, int) else f"{value:g}"


def _markdown(part: Section) -> str:
    """A table, or a list where there is one column, with its title in bold."""
    title = [f"**{escaped(part.title)}**", ""] if part.title else []
    width = len(part.rows[0])
    if width == 1:
        return "\n".join([*title, *(f"- {escaped(cell)}" for (cell,) in part.rows)])
    head = part.head or ("",) * width
    align = ["---"] + ["---:" if part.head and part.title else "---"] * (width - 1)
    lines = [_cells(map(escaped, head)), _cells(align), *(_cells(map(escaped, row)) for row in part.rows)]
    return "\n".join([*title, *lines])


def _cells(cells: Any) -> str:
    return f"| {' | '.join(cells)} |"


def escaped(text: str) -> str:
    r"""Text that Markdown shows as it is: one line, no mark, no tag, no cell.

    >>> escaped("a_b|c\n<i>")
    'a\\_b\\|c\\\\n\\<i\\>'
    """
    return SPECIAL.sub(r"\\\1", in_one_line(text))
