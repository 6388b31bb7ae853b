"""A run's figures for people: tables on a terminal. The figures themselves are summary.json's."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import pace
from pipeline.errors import NothingToDo, TooManyQuarantined
from pipeline.labelled import how_many
from pipeline.ledger import entries
from pipeline.plan import Work
from pipeline.reasons import in_words
from pipeline.report import corrections, sides
from pipeline.store import Store

if TYPE_CHECKING:
    from pipeline.outcome import Summary

WIDEST = 60  # characters to which a column is filled up; a longer cell just goes on
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def table(title: str, rows: Sequence[tuple[str, ...]], head: tuple[str, ...] = ()) -> str:
    """Rows of text under a title, as text; with a head, the columns but the first are figures, set to the right.

    By hand: `masklet plan` answers within half a second, and a library that draws tables takes a tenth of it.
    """
    lines = [tuple(map(in_one_line, row)) for row in ([head] if head else []) + list(rows)]
    widths = [min(max(map(len, column)), WIDEST) for column in zip(*lines, strict=True)]
    aligned = [
        "  ".join(f"{cell:{'>' if head and number else '<'}{widths[number]}}" for number, cell in enumerate(line))
        for line in lines
    ]
    return "\n".join([in_one_line(title), *(line.rstrip() for line in aligned)])


def in_one_line(text: str) -> str:
    r"""Control characters written out: the name of a file or a class moves no cursor and begins no line.

    >>> in_one_line("a\nb\x1b[31m.jpg")
    'a\\nb\\x1b[31m.jpg'
    """
    return CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def show(summary: "Summary", out: Path, asked: Sequence[str] = ()) -> str:
    """What a run did: pictures, objects, classes of those asked for that are nowhere, what was computed, what went."""
    empty = "" if summary.files else "; there is nothing in the source"
    rows = [("pictures", f"{summary.pictures} of {summary.files} files{empty}")]
    if summary.partition:
        rows.append(("part", f"{summary.partition}; nothing is exported: --reuse all parts in a run of the whole"))
    if summary.films:
        rows.append(("films", f"{summary.films}, of {summary.frames} frames"))
    for name, dataset in summary.datasets.items():
        rows.append((name, f"{dataset['objects']} objects in {dataset['place']}"))
        rows.append(("", _in_line(dataset["by_class"])))
        rows += sides.rows(dataset)
        rows += fidelity_rows(dataset)
    rows.append(("not found", _nowhere(summary, asked)))
    what = _what(summary.pictures, summary.films)
    for stage, did in summary.stages.items():
        rate = f", {did['computed'] / did['seconds']:.1f}/s" if did["computed"] and did["seconds"] else ""
        rows.append((stage, f"{did['computed']:.0f} {what} computed{rate}, model asked about {did['asked']:.0f}"))
    for reason, count in summary.aside.items():
        rows.append(("set aside", f"{count}: {in_words(reason)}"))
    for stage, reasons in summary.drops.items():
        rows += [("dropped", f"{count} at {stage}: {in_words(reason)}") for reason, count in reasons.items()]
    rows += corrections.rows(summary.corrections)
    rows += corrections.note_rows(summary.notes)
    return table(f"{out}", [row for row in rows if row[1]])


def _nowhere(summary: "Summary", asked: Sequence[str], most: int = 5) -> str:
    """The classes that no dataset has an object of; '' where every class has one, or nothing was exported."""
    found = {name for dataset in summary.datasets.values() for name in dataset["by_class"]}
    lost = [name for name in asked if name not in found]
    if not lost or not summary.files or not summary.datasets:
        return ""
    return f"{len(lost)} of {len(asked)} classes: {', '.join(lost[:most])}{'...' if len(lost) > most else ''}"


def _what(pictures: int, films: int) -> str:
    """What goes through stages."""
    return "pictures" if not films else "pictures and frames" if pictures else "frames"


def fidelity_rows(dataset: Mapping[str, Any]) -> list[tuple[str, str]]:
    """How what was read back overlaps with what was meant, what the format cannot say, and the worst objects."""
    told = dataset["fidelity"]
    rows = [("read back", f"{told['objects']} objects, IoU {_ious(told)}" if told["objects"] else "no object")]
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


def _in_line(counts: Mapping[str, int], most: int = 12) -> str:
    common = Counter(counts).most_common()
    more = f", and {len(common) - most} more classes" if len(common) > most else ""
    return ", ".join(f"{n} {name}" for name, n in common[:most]) + more


def judge(summary: "Summary", out: Path, max_quarantined: int | None, fail_on_empty: bool) -> None:
    """Raise for what the user asked to be told by an exit code."""
    if fail_on_empty and not summary.pictures and not summary.films:
        raise NothingToDo(f"no picture or film reached the dataset, of {summary.files} files in the source")
    if max_quarantined is not None and summary.quarantined > max_quarantined:
        raise TooManyQuarantined(
            f"{summary.quarantined} files were set aside, {max_quarantined} are allowed;"
            f" see `masklet status {out} --ledger`"
        )


def show_work(work: Work, as_json: bool, seconds: float | None = None) -> str:
    """What a run would compute, and how long that took last time, if that is known."""
    if as_json:
        said = {one.name: getattr(work, one.name) for one in fields(work)}  # asdict breaks a Counter
        return json.dumps(said | {"seconds": seconds if seconds is None else round(seconds, 3)})
    rows = []
    for stage, exact in work.exact.items():
        most = "" if exact else "at most "
        rows.append((stage, f"{most}{work.stale[stage]}", f"{most}{work.asked[stage]}"))
    films = f"{work.films} films of {work.frames} frames, " if work.films else ""
    head = f"{work.pictures} pictures, {films}{work.aside.total()} files set aside"
    what = _what(work.pictures, work.films)
    planned = table(
        head + ("; nothing to do" if work.nothing else ""),
        rows,
        ("stage", f"{what} to compute", "to ask the model about"),
    )
    return "\n".join([planned, *_how_long(work, what, seconds)])


def _how_long(work: Work, what: str, seconds: float | None) -> list[str]:
    """A line, if there is something to do and its rate is known."""
    if work.nothing or seconds is None:
        return []
    most = "" if all(work.exact[name] for name in work.stale) else "at most "
    rate = max(work.stale.values()) / max(seconds, 1e-9)
    how_fast = f" at the last run's {rate:.2g} {what} a second" if seconds >= 1 else ""
    about = "about " if seconds >= 1 else ""
    return [f"{most}{about}{pace.in_words(seconds)}{how_fast}"]


def show_status(out: Path, store: Store, summary: Mapping[str, Any], as_json: bool) -> str:
    """What a run has by now: committed results by stage, and what is set aside."""
    aside = store.aside()
    datasets = {name: dataset["objects"] for name, dataset in summary.get("datasets", {}).items()}
    pictures, films = how_many(store)
    said: dict[str, Any] = {
        "pictures": pictures,
        "films": films,
        "results": store.counts(),
        "aside": dict(sorted(Counter(a.reason for a in aside).items())),
        "datasets": datasets,
        "notes": list(summary.get("notes", ())),
    }
    split = {name: one for name, one in summary.get("datasets", {}).items() if one.get("sides")}
    if split:
        said["sides"] = {name: dataset["sides"] for name, dataset in split.items()}
    if told := summary.get("corrections", {}):
        said["corrections"] = told
    if as_json:
        return json.dumps(said)
    rows = [("pictures", str(pictures)), ("films", str(films)), ("results in the store", _in_line(store.counts()))]
    rows += [("dataset", f"{name}: {objects} objects") for name, objects in datasets.items()]
    rows += [(a.name, in_words(a.reason, a.detail)) for a in aside]
    rows += corrections.rows(told)
    rows += corrections.note_rows(said["notes"])
    parts = [table(str(out), rows)]
    for names, one in sides.alike(split):
        parts.append(table(f"{', '.join(names)}: share of each class by side", *sides.shares(one)))
        parts += ["\n".join(in_one_line(line) for _, line in off)] if (off := sides.rows(one, most=None)[1:]) else []
    return "\n\n".join(parts)


def show_ledger(store: Store, as_json: bool) -> Iterator[str]:
    """Everything that went, a line each."""
    for entry in entries(store):
        if as_json:
            yield json.dumps(asdict(entry), ensure_ascii=False)
            continue
        box = "" if entry.box_xyxy is None else " at " + ",".join(f"{v:.0f}" for v in entry.box_xyxy)
        score = "" if entry.score is None else f" {entry.score:.2f}"
        stayed = f"; {entry.survivor} stayed" if entry.survivor else ""
        where = entry.picture if entry.frame is None else f"{entry.picture}, frame {entry.frame}"
        parts = (where, entry.stage, f"{entry.name}{score}{box}".strip(), f"{entry.why}{stayed}")
        yield in_one_line(": ".join(part for part in parts if part))


def show_scores(scores: Mapping[str, Any], beside: Mapping[str, Any] | None = None) -> str:
    """AP, AP50 and AR by kind, and AP50 by class; kinds of another run may stand `beside`."""
    kinds = {**scores["kinds"], **(beside or {})}
    rows = [(kind, *(_share(said[figure]) for figure in ("ap", "ap50", "ar100"))) for kind, said in kinds.items()]
    by_class = [
        (name, str(own["objects"]), *(_share(said["per_class"][name]["ap50"]) for said in kinds.values()))
        for name, own in kinds["mask"]["per_class"].items()
    ]
    parts = [
        table(f"against the truth of {scores['pictures']} pictures", rows, ("", "AP", "AP50", "AR100")),
        table("AP50 by class", by_class, ("", "objects", *kinds)),
        f"{scores['lost_to_empty_mask']} objects were lost to an empty mask",
    ]
    if scores["pictures_absent"]:
        parts.append(f"{scores['pictures_absent']} pictures of the truth are not in the run, and were not judged")
    return "\n\n".join(parts)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
