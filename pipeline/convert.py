"""A dataset into another format: a run whose source is a dataset, and which has no model.

The masks, boxes, scores and tracks that a dataset has are records like any others; what it has no pictures for, or
says wrongly, is told and left out.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline import media
from pipeline.errors import BadMedia, ConfigError
from pipeline.export import Exported, written
from pipeline.formats import Problem, Reading, format_of
from pipeline.formats.sniff import format_at
from pipeline.ontology import Category, Ontology
from pipeline.reasons import in_words
from pipeline.records import Clip, clip_id, sha256_of

NAMELESS = "object"
"""The class of objects that have none, in formats that need one."""


@dataclass(slots=True)
class Converted:
    """What came of it: the dataset written, and what of the other one is not in it."""

    was: str
    exported: Exported
    problems: list[Problem] = field(default_factory=list)


def convert(
    place: Path,
    out: Path,
    to: str,
    was: str | None = None,
    hard_link: bool = False,
    tick: Callable[[], None] = lambda: None,
) -> Converted:
    """Write the dataset at `place` (of the format `was`) to `out` as format `to`, clip by clip.

    Raises `BadDataset` where nothing can be read, `ConfigError` where one would be written into the other,
    `CheckFailed` where what was written is not what was read.
    """
    was = was or format_at(place)
    if out.resolve().is_relative_to(place.resolve()) or place.resolve().is_relative_to(out.resolve()):
        raise ConfigError(f"{out}: lies in {place}, or the other way round; choose a place of its own")
    problems: list[Problem] = []

    def clips() -> Iterator[Clip]:
        reading = format_of(was).read_with_pictures(place, Path(folder))
        problems.clear()
        for clip in looked_at(reading, problems):
            tick()
            yield _with_classes(clip)
        problems.extend(reading.problems)

    made = sha256_of(["convert", was, to, format_of(to).version])
    ontology = ontology_of(format_of(was).read(place))
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out.parent, prefix=f"{out.name}.pictures.") as folder:
        exported = written(clips, ontology, to, out, made, hard_link)
    return Converted(was, exported, problems)


def ontology_of(reading: Reading) -> Ontology:
    """The classes of a dataset with their numbers, of which ours begin at 1; the first of a name counts."""
    numbers: dict[str, int] = {}
    for number, name in sorted(reading.names.items()):
        numbers.setdefault(name or NAMELESS, number)
    shift = 1 if 0 in numbers.values() else 0
    if not numbers:
        numbers[NAMELESS] = 1
    return Ontology(Category(name=name, id=number + shift) for name, number in numbers.items())


def _with_classes(clip: Clip) -> Clip:
    if all(all(found.names) for found in clip.found):
        return clip
    found = (replace(one, names=tuple(name or NAMELESS for name in one.names)) for one in clip.found)
    return replace(clip, found=tuple(found))


def looked_at(reading: Reading, problems: list[Problem]) -> Iterator[Clip]:
    """Each clip whose picture is there, known by its content; the others become problems."""
    for clip in reading.clips:
        if not Path(clip.path).exists():
            lost = "the picture is not there"
            problems.append(Problem(clip.name, lost, "put it back, or take it out of the dataset"))
            continue
        if len(clip.frames) > 1:
            yield replace(clip, id=media.film_id(clip.path))
            continue
        try:
            content = media.read_bytes(clip.path)
            probe = media.probe(content)
        except BadMedia as error:
            problems.append(Problem(clip.name, in_words(error.reason, error.detail), "put a whole picture there"))
            continue
        told = clip.frames[0].size_hw
        if probe.size_hw != told:
            real = f"{probe.size_hw[0]} x {probe.size_hw[1]}"
            problems.append(
                Problem(
                    clip.name,
                    f"the dataset says {told[0]} x {told[1]} (h x w) pixels, the picture is upright {real}",
                    "correct the size, or turn the picture",
                )
            )
            continue
        yield replace(clip, id=clip_id(content), rewrite=probe.rewrite)
