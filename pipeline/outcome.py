"""What a run leaves: its pictures and films as they stand, datasets, summary.json, and what made it.

Knows the store and the folder of a run; no model is asked anything.
"""

import json
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pipeline import __version__
from pipeline.config import Config
from pipeline.export import export
from pipeline.heeded import heeded
from pipeline.jobs import Failed
from pipeline.labelled import Labelled, labelled
from pipeline.pace import Rates
from pipeline.plan import Survey, chain
from pipeline.process import alone_in, write_whole
from pipeline.reasons import in_words
from pipeline.reels import way
from pipeline.stages import Stage
from pipeline.store import Aside, Failure, Store
from pipeline.versions import libraries

NO_FAULT = ("duplicate", "near_duplicate", "other_part")
"""Reasons for which a file is set aside, and nothing is wrong with it."""
Counts = Counter[tuple[str, str]]


@dataclass(slots=True)
class Summary:
    """What a run did and what it left: the figures of summary.json."""

    files: int = 0
    pictures: int = 0
    films: int = 0
    frames: int = 0
    aside: dict[str, int] = field(default_factory=dict)
    drops: dict[str, dict[str, int]] = field(default_factory=dict)
    stages: dict[str, dict[str, float]] = field(default_factory=dict)
    rates: Rates = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    datasets: dict[str, dict[str, Any]] = field(default_factory=dict)
    corrections: dict[str, Any] = field(default_factory=dict)
    partition: str = ""

    @property
    def quarantined(self) -> int:
        """Files that should have been pictures of the dataset and are not; duplicates are no fault."""
        return sum(n for reason, n in self.aside.items() if reason not in NO_FAULT)

    def to_json(self) -> dict[str, Any]:
        """Plain values, versioned."""
        return {"version": 1, "masklet": __version__, **asdict(self)}


def settle(
    found: Survey,
    failed: Sequence[Failed],
    stages: Sequence[Stage],
    film_stages: Sequence[Stage],
    store: Store,
    summary: Summary,
) -> dict[str, Labelled]:
    """Write down the run as it stands: its pictures and films with their results, and what is set aside.

    The figures go into `summary`.
    """
    aside = [*found.aside, *(Aside(f.name, f.stage, f.reason, f.detail) for f in failed)]
    told = {a.name for a in aside}
    counts: Counts = Counter()
    done: dict[str, Labelled] = {}

    def refused(name: str, failure: Failure | None) -> None:
        if failure and name not in told:
            aside.append(Aside(name, "open", failure.reason, failure.detail))

    for clip in found.clips:
        so_far = chain(clip, stages, store, counts)
        refused(clip.name, so_far.failure)
        if len(so_far.keys) == len(stages):
            done[clip.name] = Labelled(clip, ((clip, so_far),))
    for at in (way(reel, film_stages, store, counts) for reel in found.reels):
        refused(at.reel.whole.name, at.failure)
        if at.whole:
            done[at.reel.whole.name] = at.labelled
    done = dict(sorted(done.items()))
    people = heeded(stages, film_stages, done, store)
    with store.writing():
        store.set_pictures({name: one.to_row() for name, one in done.items()})
        store.set_aside(aside)
        store.forget_notes("frames_missing")  # films may have been mended, or gone
        store.note(("choose", "frames_missing", f"{name}: {said}") for name, said in found.damaged.items())
        store.forget_notes("not_applied")
        store.note(("correct", "not_applied", f"{name}: {where}: {why}") for name, where, why in people.missed)
    summary.corrections = people.to_json()
    _summarise(found, done, aside, counts, store, summary)
    return done


def _summarise(
    found: Survey, done: Mapping[str, Labelled], aside: Sequence[Aside], counts: Counts, store: Store, summary: Summary
) -> None:
    """The figures of the run as it stands."""
    films = {reel.whole.name for reel in found.reels} & done.keys()
    summary.files = len(found.clips) + len(found.reels) + len(found.aside)
    summary.pictures = len(done) - len(films)
    summary.films = len(films)
    summary.frames = sum(len(done[name].whole.frames) for name in films)
    summary.aside = dict(sorted(Counter(a.reason for a in aside).items()))
    for (stage, reason), n in sorted(counts.items()):
        summary.drops.setdefault(stage, {})[reason] = n
    summary.notes = [f"{stage}: {in_words(reason, detail)}" for stage, reason, detail in store.notes()]


def export_again(config: Config, out: Path, name: str) -> dict[str, Any]:
    """Write a run's records as one format, whatever the run's own formats are; gives what the dataset has.

    Needs the source and the store, and no model.
    """
    with alone_in(out), Store(out / "run.db") as store:
        done = {one.whole.name: one for one in labelled(store)}
        exported = asdict(export(config, name, out / "dataset" / name, done, store))
        summary = read_summary(out)
        summary.setdefault("datasets", {})[name] = exported
        write_summary(out, summary)
        return exported


def read_summary(out: Path) -> dict[str, Any]:
    """A run's summary.json, or nothing where there is none that can be read."""
    try:
        return dict(json.loads((out / "summary.json").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def known_rates(out: Path, reuse: Sequence[Path] = ()) -> Rates:
    """How fast a run's stages were when they last had work, or those of the runs that it reuses."""
    return {name: rate for run in (*reversed(reuse), out) for name, rate in read_summary(run).get("rates", {}).items()}


def write_summary(out: Path, summary: Mapping[str, Any]) -> None:
    """Put a run's summary.json in place."""
    write_whole(out / "summary.json", json.dumps(summary, indent=1, ensure_ascii=False) + "\n")


def made_with(config: Config) -> dict[str, Any]:
    """What made a run: versions, and for each backend what its options stand for."""
    return {
        "masklet": __version__,
        "python": platform.python_version(),
        "libraries": libraries(),
        "device": asdict(config.run.on),
        "models": {name: options.provenance() for name, options in config.models().items()},
    }
