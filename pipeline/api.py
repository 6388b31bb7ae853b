"""masklet from Python: `annotate` labels a source, `open_run` opens what is there; both give a `Run`.

What a command does, the function does: the same config, the same folder, the same errors (`pipeline.errors`), and
nothing is printed. A run begun in one can be gone on with in the other.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import engine, outcome
from pipeline.config import DEFAULT, Config, load
from pipeline.database import a_run
from pipeline.detections import dataset_of, detections_of
from pipeline.export import export
from pipeline.formats.writing import numbers_of
from pipeline.labelled import how_many, labelled
from pipeline.ontology import Ontology
from pipeline.records import Clip
from pipeline.report import notebook
from pipeline.store import Store

if TYPE_CHECKING:
    from supervision import DetectionDataset, Detections


def annotate(
    source: str | Path,
    ontology: Any = None,
    config: str | Path | None = None,
    out: str | Path | None = None,
    *,
    options: Mapping[str, Any] | None = None,
    reuse: Sequence[str | Path] = (),
    limit: int | None = None,
    watch: engine.Watch | None = None,
) -> "Run":
    """Label pictures and films, and write a dataset, as `masklet run` does; the same call again goes on.

    `ontology` is what `--ontology` takes ('dog, cat', a file, a name), a mapping {class: prompts}, an `Ontology`, or
    autodistill's `CaptionOntology`. `options` are words of the command line: {"select.threshold": 0.5}. Without `out`
    the run lives in outputs/, under the name of the config, else of the source. Raises `MaskletError`.
    """
    made = configured(source, ontology, config, options)
    place = Path(out) if out else Path("outputs") / Path(config or source).absolute().stem
    engine.run(made, place, [Path(other) for other in reuse], limit, watch)
    return Run(place)


def configured(
    source: str | Path, ontology: Any, config: str | Path | None, options: Mapping[str, Any] | None
) -> Config:
    """The configuration that a call means; raises `ConfigError` with every problem."""
    words = {"source.path": str(source), **(options or {})}
    if ontology is not None:
        words["ontology"] = ontology if isinstance(ontology, str | Mapping) else Ontology.of(ontology).to_json()
    return load(config or DEFAULT, [f"{key}={json.dumps(value)}" for key, value in words.items()])


def open_run(place: str | Path) -> "Run":
    """A run that is there; raises `ConfigError` where there is none."""
    return Run(Path(place))


class Run:
    """A run: its pictures and films with what was found in them, read one at a time.

    `len` counts them, a `for` loop gives a `Clip` each in the order of names, `run["a.jpg"]` gives one.
    """

    def __init__(self, place: Path) -> None:
        self.place = a_run(place)

    @cached_property
    def config(self) -> Config:
        """The configuration as run."""
        return load(self.place / "config.yaml")

    @property
    def summary(self) -> dict[str, Any]:
        """What the run did and left: the figures of summary.json."""
        return outcome.read_summary(self.place)

    @property
    def classes(self) -> list[str]:
        """The classes in the order of their numbers; `class_id` counts them from 0."""
        return list(numbers_of(self.config.ontology))

    def __len__(self) -> int:
        with self._store() as store:
            return sum(how_many(store))

    def __iter__(self) -> Iterator[Clip]:
        with self._store() as store:
            for one in labelled(store):
                yield one.replayed(store)

    def __getitem__(self, name: str) -> Clip:
        with self._store() as store:
            for one in labelled(store):
                if one.whole.name == name:
                    return one.replayed(store)
        raise KeyError(name)

    def detections(self, clip: Clip, frame: int = 0) -> "Detections":
        """What was found in a picture, or in the n-th frame of a film, as supervision has it; masks (N, H, W)."""
        return detections_of(clip.found[frame], self.classes)

    def to_supervision(self) -> "DetectionDataset":
        """The pictures as supervision's dataset, which reads their files when asked; masks stay run lengths.

        Frames of films are no files, and are not in it: export them, or ask for `detections` frame by frame.
        """
        return dataset_of((clip for clip in self if not clip.is_film), self.classes)

    def export(self, format: str, place: str | Path | None = None) -> dict[str, Any]:  # noqa: A002 - the word for it
        """Write a dataset (`masklet ls` names the formats) into the run, or at `place`; gives what it has and where.

        It is read back and compared before it is there. Raises `MaskletError`.
        """
        if place is None:
            return outcome.export_again(self.config, self.place, format)
        with self._store() as store:
            done = {one.whole.name: one for one in labelled(store)}
            return asdict(export(self.config, format, Path(place), done, store))

    def __repr__(self) -> str:
        return f"Run({str(self.place)!r}, {len(self)} pictures and films)"

    def _repr_html_(self) -> str:
        """What a notebook shows: counts, and a few pictures with what was found in them."""
        return notebook.html_of(str(self.place), self.summary, self)

    @contextmanager
    def _store(self) -> Iterator[Store]:
        with Store(self.place / "run.db") as store:
            yield store
