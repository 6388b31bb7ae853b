"""The last stage, over the whole run: records to a dataset, read back and compared.

A dataset is whole or absent, and replaces the one before only when what was read back is what was meant.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipeline.config import Config
from pipeline.errors import CheckFailed
from pipeline.formats import fidelity, format_of, publish
from pipeline.labelled import Labelled
from pipeline.ontology import Ontology
from pipeline.records import Clip, sha256_of
from pipeline.stills import Stills
from pipeline.store import Store


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


def made_from(config: Config, name: str, done: Mapping[str, Labelled]) -> str:
    """The hash of all that a dataset depends on: pictures by name and content, records, class numbers, the format."""
    return sha256_of(
        {
            "format": [name, format_of(name).version],
            "how": config.export.model_dump(mode="json", exclude={"formats"}),
            "numbers": config.ontology.numbers(),
            "active": sorted(config.ontology.names),
            "pictures": [[one.whole.name, one.whole.id, one.digest] for one in done.values()],
        }
    )


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
            yield one.replayed(store)

    made = made_from(config, name, done)
    how = config.export
    return written(records, config.ontology, name, place, made, how.hard_link, how.frames, how.every)


def written(
    records: Callable[[], Iterator[Clip]],
    ontology: Ontology,
    name: str,
    place: Path,
    made_from: str,
    hard_link: bool = False,
    frames: str | None = None,
    every: int = 1,
) -> Exported:
    """Write clips as format `name` to `place`, and read them back; they are asked for twice, and are the same.

    Frames of films become pictures of the kind `frames` ('png', 'jpg', or as the format has them); where the format has
    pictures only, each n-th frame becomes one. Raises `CheckFailed` where reading shows a difference, and leaves what
    is at `place` as it was.
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
        by_class: Counter[str] = Counter()
        for clip in fitting(stills):
            out.pictures += 1
            out.rewritten += clip.rewrite is not None and not clip.is_film
            by_class.update(in_sight(clip))
            yield clip
        out.objects, out.by_class = by_class.total(), dict(sorted(by_class.items()))

    with publish.publish(place, made_from) as new:
        with TemporaryDirectory(dir=new, prefix=".frames.") as folder:
            stills = Stills(Path(folder), frames or "png", every, format_.late)
            out.unsaid = dict(format_.write_frames(frames)(counted(stills), ontology, new, hard_link=hard_link))
        if left_out:
            out.unsaid["pictures left out: training would pass them over"] = len(left_out)
        if sum(crowds.values()):
            out.unsaid["crowds left out"] = sum(crowds.values())
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


def in_sight(clip: Clip) -> Counter[str]:
    """How many objects of each class a clip has; one in several frames counts in each."""
    counts = Counter[str]()
    for found in clip.found:
        counts.update(found.in_sight().names)
    return counts


def told(place: Path) -> Path:
    """Where it is told how faithful the dataset at `place` is, or the one that would have replaced it."""
    return place.with_name(f"{place.name}.export_fidelity.json")
