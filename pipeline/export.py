"""The last stage, over the whole run: records to a dataset, read back and compared.

A dataset is whole or absent, and replaces the one before only when what was read back is what was meant.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipeline import split
from pipeline.config import Config
from pipeline.errors import CheckFailed
from pipeline.formats import dataset_card, fidelity, format_of, publish
from pipeline.labelled import Labelled
from pipeline.ontology import Ontology
from pipeline.records import CONSTANT, Clip, Instances, sha256_of
from pipeline.stills import Stills
from pipeline.store import Store

ALIKE = "frames left out: they look like one of their film before them"


@dataclass(slots=True)
class Exported:
    """What a dataset has: plain values for summary.json."""

    place: str
    made_from: str
    pictures: int = 0
    objects: int = 0
    rewritten: int = 0
    by_class: dict[str, int] = field(default_factory=dict)
    fidelity: dict[str, Any] = field(default_factory=dict)
    unsaid: dict[str, int] = field(default_factory=dict)
    sides: dict[str, dict[str, Any]] = field(default_factory=dict)


def made_from(config: Config, name: str, done: Mapping[str, Labelled]) -> str:
    """The hash of all that a dataset depends on: pictures by name and content, records, class numbers, the format."""
    return sha256_of(
        {
            "format": [name, format_of(name).version],
            "how": config.export.model_dump(mode="json", exclude={"formats"}),
            "numbers": config.ontology.numbers(),
            "active": sorted(config.ontology.names),
            "pictures": [[one.whole.name, one.whole.id, one.digest] for one in done.values()],
            **({"models": models_of(config)} if format_of(name).card else {}),
            **({"near": config.choose.near} if config.choose.near is not None else {}),
            **({"split": config.split.model_dump(mode="json")} if config.split.asked else {}),
        }
    )


def models_of(config: Config) -> list[tuple[str, str, str]]:
    """What made the labels, for the card of a dataset: stage, model, licence; raises `ModelMissing`."""
    said = ((stage, options.provenance()) for stage, options in config.models().items())
    return [row for stage, about in said for row in _models_in(stage, about)]


def _models_in(stage: str, about: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """The model that a provenance tells of, and those in it."""
    name = about.get("model") or about.get("file") or about.get("library")
    if name:
        commit = f" at {about['commit']}" if about.get("commit") else ""
        yield stage, f"{Path(name).name if Path(name).is_absolute() else name}{commit}", about.get("licence", "unknown")
    for key, inner in about.items():
        if isinstance(inner, Mapping):
            yield from _models_in(f"{stage}, {key.replace('_', ' ')}", inner)


def up_to_date(config: Config, name: str, place: Path, done: Mapping[str, Labelled]) -> bool:
    """Whether the dataset at `place` is what exporting would give."""
    publish.repair(place)
    return publish.made_from(place) == made_from(config, name, done)


def export(
    config: Config,
    name: str,
    place: Path,
    done: Mapping[str, Labelled],
    store: Store,
    tick: Callable[[], None] = lambda: None,
) -> Exported:
    """Write the run's records as format `name` to `place`; raises `CheckFailed` if reading back shows a difference."""

    def records() -> Iterator[Clip]:
        for one in done.values():
            tick()
            clip = replace(one.replayed(store), side=split.side_of(one.whole, config.split))
            yield replace(clip, found=tuple(map(without_constants, clip.found)))

    made = made_from(config, name, done)
    how = config.export
    models = models_of(config) if format_of(name).card else []
    near = config.choose.near
    out = written(records, config.ontology, name, place, made, how.hard_link, how.frames, how.every, models, near)
    out.sides = split.told(config.split.asked, out.sides)
    return out


def written(
    records: Callable[[], Iterator[Clip]],
    ontology: Ontology,
    name: str,
    place: Path,
    made_from: str,
    hard_link: bool = False,
    frames: str | None = None,
    every: int = 1,
    models: Sequence[tuple[str, str, str]] = (),
    near: int | None = None,
) -> Exported:
    """Write clips as format `name` to `place`, and read them back; they are asked for twice, and are the same.

    Frames of films become pictures of the kind `frames` ('png', 'jpg', or as the format has them); where the format has
    pictures only, each n-th frame becomes one, and with `near` none that looks like one of its film before it
    (`choose`). `models` (stage, model, licence) are told in its card. Raises `CheckFailed` where reading shows a
    difference, and leaves what is at `place` as it was.
    """
    out = Exported(str(place), made_from)
    format_ = format_of(name)
    left_out: set[str] = set()
    crowds: dict[str, int] = {}

    def fitting(stills: Stills) -> Iterator[Clip]:
        clips = records() if format_.films else (one for clip in records() for one in stills.of(clip))
        for clip in clips:
            fit = format_.fit(clip)
            if fit is None:
                left_out.add(clip.name)
                continue
            if fit is not clip:
                crowds[clip.name] = in_sight(clip).total() - in_sight(fit).total()
            yield fit

    def counted(stills: Stills) -> Iterator[Clip]:
        by_class: dict[str, Counter[str]] = {}
        pictures: Counter[str] = Counter()
        for clip in fitting(stills):
            out.rewritten += clip.rewrite is not None and not clip.is_film
            pictures[clip.side] += 1
            by_class.setdefault(clip.side, Counter()).update(in_sight(clip))
            yield clip
        whole = sum(by_class.values(), Counter[str]())
        out.pictures, out.objects, out.by_class = pictures.total(), whole.total(), dict(sorted(whole.items()))
        out.sides = {
            side: {"pictures": pictures[side], "by_class": dict(sorted(counts.items()))}
            for side, counts in sorted(by_class.items())
            if side
        }

    with publish.publish(place, made_from) as new:
        with TemporaryDirectory(dir=new, prefix=".frames.") as folder:
            stills = Stills(Path(folder), frames or "png", every, format_.late, near)
            out.unsaid = dict(format_.write_frames(frames)(counted(stills), ontology, new, hard_link=hard_link))
        dataset_card.add_models(new, models)
        gone = {ALIKE: stills.alike, format_.unfit: len(left_out), "crowds left out": sum(crowds.values())}
        out.unsaid |= {words: count for words, count in gone.items() if count}
        check = fidelity.compare(fitting(stills), format_.read(new), format_.masks, format_.stems)
        out.fidelity = check.to_json()
        told(place).write_text(json.dumps(out.fidelity, indent=1) + "\n", encoding="utf-8")
        if not check.ok:
            raise CheckFailed(
                f"export to {name}: what was read back is not what was meant: {check}; {place} is as it was;"
                f" {told(place)} names every object"
                + ("" if check.kept else "; formats with run lengths keep every pixel")
            )
    return out


def without_constants(found: Instances) -> Instances:
    """The rows without their scores, where all of these are a constant that says nothing of any row."""
    return replace(found, scores=None) if found.score_kind and set(found.score_kind) == {CONSTANT} else found


def in_sight(clip: Clip) -> Counter[str]:
    """How many objects of each class a clip has; one in several frames counts in each."""
    counts = Counter[str]()
    for found in clip.found:
        counts.update(found.in_sight().names)
    return counts


def told(place: Path) -> Path:
    """Where it is told how faithful the dataset at `place` is, or the one that would have replaced it."""
    return place.with_name(f"{place.name}.export_fidelity.json")
