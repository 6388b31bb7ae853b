"""The figures of the page, as its template shows them."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline import __version__
from pipeline.config import Config
from pipeline.reasons import in_words
from pipeline.report import corrections, sides
from pipeline.report.page.figures import Figures, by_class
from pipeline.report.summary import fidelity_rows
from pipeline.report.warn import warnings
from pipeline.store import Store

LISTED = 100
"""Files that were set aside are listed by name, so many of them."""
CLASSES = 60
"""So many classes have a bar; the others are counted."""

Rows = list[tuple[str, str]]


def figures_shown(
    run: Path, store: Store, config: Config, summary: Mapping[str, Any], figures: Figures, trouble: Mapping[str, str]
) -> dict[str, Any]:
    """Everything that the template needs."""
    aside = store.aside()
    classes = by_class(figures, config.ontology.numbers())
    return {
        "run": run.absolute().name,
        "version": __version__,
        "tiles": tiles(figures, len(aside)),
        "classes": classes[:CLASSES],
        "more_classes": len(classes) - CLASSES,
        "most": max((count for _, count, _ in classes), default=0) or 1,
        "histograms": figures.histograms(),
        "datasets": datasets(summary),
        "stages": stages(summary),
        "backends": [(stage, name) for stage, name in config.backends.items() if name],
        "lost": [(stage, in_words(reason), count) for (stage, reason), count in sorted(figures.lost.items())],
        "aside": [(in_words(reason), count) for reason, count in sorted(Counter(a.reason for a in aside).items())],
        "files": [(a.name, in_words(a.reason, a.detail)) for a in aside[:LISTED]],
        "more_files": len(aside) - LISTED,
        "warnings": warnings(config),
        "notes": list(summary.get("notes", ())),
        "trouble": sorted(trouble.items()),
        "corrections": corrections.rows(summary.get("corrections", {})),
    }


def tiles(figures: Figures, aside: int) -> list[tuple[str, int]]:
    """The few figures at the top; what is nothing is not said."""
    said = [
        ("pictures", figures.pictures),
        ("films", figures.films),
        ("frames", figures.frames),
        ("objects", figures.objects),
        ("tracks", figures.tracks),
        ("classes found", len(figures.classes)),
        ("with nothing in them", figures.empty),
        ("objects dropped", figures.lost.total()),
        ("files set aside", aside),
    ]
    return [(name, count) for name, count in said if count or name == "objects"]


def datasets(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each dataset: what it has, on which sides, how faithful it is."""
    said = []
    for name, dataset in summary.get("datasets", {}).items():
        rows: Rows = [("pictures", str(dataset["pictures"])), ("objects", str(dataset["objects"]))]
        rows += sides.rows(dataset) + fidelity_rows(dataset)
        said.append({"name": name, "ok": dataset["fidelity"]["ok"], "rows": rows})
    return said


def stages(summary: Mapping[str, Any]) -> list[tuple[str, str, str, str, str]]:
    """Each stage: computed, a model asked about, seconds, a second."""
    return [
        (
            name,
            f"{did['computed']:.0f}",
            f"{did['asked']:.0f}",
            f"{did['seconds']:.1f}",
            f"{did['computed'] / did['seconds']:.1f}" if did["computed"] and did["seconds"] else "",
        )
        for name, did in summary.get("stages", {}).items()
    ]
