"""The last stage, over the whole run: records to a dataset, read back and compared.

A dataset is whole or absent, and replaces the one before only when what was read back is what was meant.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from pipeline.config import Config
from pipeline.errors import CheckFailed
from pipeline.formats import FORMATS, Format, fidelity, publish
from pipeline.plan import Chain, replayed
from pipeline.records import Clip, sha256_of
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


def made_from(config: Config, name: str, done: Mapping[str, tuple[Clip, Chain]]) -> str:
    """The hash of all that a dataset depends on: pictures by name and content, records, class numbers, the format."""
    return sha256_of(
        {
            "format": [name, _format(name).VERSION, config.export.hard_link],
            "numbers": config.ontology.numbers(),
            "active": sorted(config.ontology.names),
            "pictures": [[clip.name, clip.id, chain.digest] for clip, chain in done.values()],
        }
    )


def up_to_date(config: Config, name: str, place: Path, done: Mapping[str, tuple[Clip, Chain]]) -> bool:
    """Whether the dataset at `place` is what exporting would give."""
    publish.repair(place)
    return publish.made_from(place) == made_from(config, name, done)


def export(
    config: Config,
    name: str,
    place: Path,
    done: Mapping[str, tuple[Clip, Chain]],
    store: Store,
    tick: Callable[[], None] = lambda: None,
) -> Exported:
    """Write the run's records as format `name` to `place`; raises `CheckFailed` if reading back shows a difference."""
    out = Exported(str(place), made_from(config, name, done))
    format_ = _format(name)

    def records() -> Iterator[Clip]:
        for clip, chain in done.values():
            tick()
            yield replayed(clip, chain.keys, store)

    def counted() -> Iterator[Clip]:
        by_class: Counter[str] = Counter()
        for clip in records():
            out.pictures += 1
            out.rewritten += clip.rewrite is not None
            by_class.update(clip.found[0].names)
            yield clip
        out.objects, out.by_class = by_class.total(), dict(sorted(by_class.items()))

    with publish.publish(place, out.made_from) as new:
        format_.write(counted(), config.ontology, new, hard_link=config.export.hard_link)
        check = fidelity.compare(records(), format_.read(new))
        out.fidelity = check.to_json()
        if not check.ok:
            raise CheckFailed(
                f"export to {name}: what was read back is not what was meant: {check}; {place} is as it was"
            )
    return out


def _format(name: str) -> Format:
    return import_module(FORMATS[name])
