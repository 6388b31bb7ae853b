"""A dataset into another format: a run whose source is a dataset, and which has no model.

The masks, boxes, scores and tracks that a dataset has are records like any others; what it has no pictures for, or
says wrongly, and what the other format has no room for, is told and left out.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline import media
from pipeline.errors import BadDataset, BadMedia, ConfigError
from pipeline.export import Exported, written
from pipeline.formats import Format, Masks, Problem, Reading, format_of
from pipeline.formats.sniff import format_at
from pipeline.ontology import Category, Ontology
from pipeline.reasons import in_words
from pipeline.records import Clip, clip_id, sha256_of

NAMELESS = "object"
"""The class of objects that have none, in formats that need one."""


@dataclass(slots=True)
class Converted:
    """What came of it: the dataset written, what of the other one is not in it, and what else is to be said."""

    was: str
    exported: Exported
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def convert(
    place: Path,
    out: Path,
    to: str,
    was: str | None = None,
    hard_link: bool = False,
    tick: Callable[[], None] = lambda: None,
) -> Converted:
    """Write the dataset at `place` (of the format `was`) to `out` as format `to`, clip by clip.

    Raises `BadDataset` where nothing can be read or taken over, `ConfigError` where one would be written into the
    other, `CheckFailed` where what was written is not what was read.
    """
    was = was or format_at(place)
    _refuse(place, out)
    old, new = format_of(was), format_of(to)
    problems: list[Problem] = []
    damaged: set[str] = set()
    unread: list[Reading] = []

    def clips() -> Iterator[Clip]:
        again, taken = not unread, 0
        reading = old.read_with_pictures(place, Path(folder)) if again else unread.pop()
        problems.clear()
        for clip in looked_at(reading, problems, damaged, again):
            tick()
            fitting = _fitting(clip, new, to, problems)
            if fitting is not None:
                taken += 1
                yield fitting
            if Path(folder) in Path(clip.path).parents:
                Path(clip.path).unlink()
        problems.extend(reading.problems)
        if problems and not taken:
            raise BadDataset(f"{place}: nothing can be taken over: {problems[0]}")

    made = sha256_of(["convert", was, to, new.version])
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out.parent, prefix=f"{out.name}.pictures.") as folder:
        first = old.read_with_pictures(place, Path(folder))
        unread.append(first)
        exported = written(clips, ontology_of(first), to, out, made, hard_link)
    return Converted(was, exported, problems, first.notes)


def _refuse(place: Path, out: Path) -> None:
    if not out.resolve().name:
        raise ConfigError(f"{out}: is the root; choose a folder of its own")
    if out.resolve().is_relative_to(place.resolve()) or place.resolve().is_relative_to(out.resolve()):
        raise ConfigError(f"{out}: lies in {place}, or the other way round; choose a place of its own")


def ontology_of(reading: Reading) -> Ontology:
    """The classes of a dataset with their numbers, of which ours begin at 1; the first of a name counts."""
    numbers: dict[str, int] = {}
    for number, name in sorted(reading.names.items()):
        numbers.setdefault(name or NAMELESS, number)
    numbers = numbers or {NAMELESS: 1}
    shift = max(0, 1 - min(numbers.values()))
    # no model is asked, so prompts need only differ: names that differ in a blank are two classes, too
    return Ontology(Category(name=name, id=number + shift, prompts=(str(number),)) for name, number in numbers.items())


def _fitting(clip: Clip, new: Format, to: str, problems: list[Problem]) -> Clip | None:
    """The clip with what the new format has room for; what it has none for is told."""
    if len(clip.frames) > 1 and not new.films:
        problems.append(Problem(clip.name, f"is a film, and {to} has pictures only", "youtube_vis and sav have films"))
        return None
    if Path(clip.path).is_dir():
        problems.append(Problem(clip.name, "is a film in a folder of frames", "give the film as a file"))
        return None
    found = []
    for one in clip.found:
        masked = one.masks or (None,) * len(one)
        shown = one.visible if one.visible is not None else [True] * len(one)
        rows = [row for row, code in enumerate(masked) if code or not shown[row] or new.masks == Masks.BOXES]
        if len(rows) < len(one):
            boxes = f"{len(one) - len(rows)} of {len(one)} objects have a box and no mask"
            problems.append(Problem(clip.name, boxes, "yolo_box takes boxes; detect.backend=boxes makes masks of them"))
        found.append(replace(one.take(rows), names=tuple(one.names[row] or NAMELESS for row in rows)))
    return replace(clip, found=tuple(found))


def looked_at(
    reading: Reading, problems: list[Problem], damaged: set[str] | None = None, again: bool = False
) -> Iterator[Clip]:
    """Each clip whose picture is there and whole, known by its content; the others become problems.

    Pictures are decoded; where clips are looked at `again`, those that were damaged before are.
    """
    damaged = set() if damaged is None else damaged
    for clip in reading.clips:
        try:
            if clip.name in damaged and again:
                raise BadMedia("cut_or_damaged")
            yield _looked_at(clip, decode=not again)
        except BadMedia as error:
            damaged.add(clip.name)
            problems.append(Problem(clip.name, in_words(error.reason, error.detail), "put a whole one there"))
        except BadDataset as error:
            problems.append(Problem(clip.name, *error.args))


def _looked_at(clip: Clip, decode: bool) -> Clip:
    """A clip by its content. Raises `BadMedia`, and `BadDataset(what, mend)` where it is another than was said."""
    if not Path(clip.path).exists():
        raise BadDataset("the picture is not there", "put it back, or take it out of the dataset")
    if len(clip.frames) > 1:
        if Path(clip.path).is_dir():
            return clip
        with media.open_regular(clip.path) as file:
            if not media.film_kind(file.read(media.HEAD)):
                raise BadMedia("not_a_picture", "nor a film")
        return replace(clip, id=media.film_id(clip.path))
    content = media.read_bytes(clip.path)
    probe = media.probe(content)
    if probe.size_hw != clip.frames[0].size_hw:
        h, w = clip.frames[0].size_hw
        raise BadDataset(
            f"the dataset says {h} x {w} (h x w) pixels, the picture is upright"
            f" {probe.size_hw[0]} x {probe.size_hw[1]}",
            "correct the size, or turn the picture",
        )
    if decode:
        media.decode(content)
    return replace(clip, id=clip_id(content), rewrite=probe.rewrite)
