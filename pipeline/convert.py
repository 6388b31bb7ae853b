"""A dataset into another format: a run whose source is a dataset, and which has no model.

The masks, boxes, scores and tracks that a dataset has are records like any others; what it has no pictures for, or
says wrongly, and what the other format has no room for, is told and left out.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline import films, media
from pipeline.errors import BadDataset, BadMedia, ConfigError
from pipeline.export import Exported, written
from pipeline.formats import Format, Masks, Problem, Reading, format_of
from pipeline.formats.sniff import format_at
from pipeline.ontology import Category, Ontology
from pipeline.reasons import in_words
from pipeline.records import FILM, Clip, Frame, clip_id, sha256_of

NAMELESS = "object"
"""The class of objects that have none, in formats that need one."""
Known = dict[str, films.Film | None]
"""What looking at clips once has shown, by name: of each film its frames; None for what is damaged."""


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
    frames: str | None = None,
    every: int = 1,
) -> Converted:
    """Write the dataset at `place` (of the format `was`) to `out` as format `to`, clip by clip.

    `frames` and `every` as in `export.written`. Raises `BadDataset` where nothing can be read or taken over,
    `ConfigError` where one would be written into the other, `CheckFailed` where what was written is not what was read.
    """
    was = was or format_at(place)
    _refuse(place, out)
    old, new = format_of(was), format_of(to)
    problems: list[Problem] = []
    known: Known = {}
    unread: list[Reading] = []

    def clips() -> Iterator[Clip]:
        again, taken = not unread, 0
        if again:
            _empty(Path(folder))
        reading = old.read_with_pictures(place, Path(folder)) if again else unread.pop()
        problems.clear()
        for clip in looked_at(reading, problems, known, again):
            tick()
            taken += 1
            yield _fitting(clip, new, problems)
            if not new.late and Path(folder) in Path(clip.path).parents:
                Path(clip.path).unlink()
        problems.extend(reading.problems)
        if problems and not taken:
            raise BadDataset(f"{place}: nothing can be taken over: {problems[0]}")

    made = sha256_of(["convert", was, to, new.version])
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out.parent, prefix=f"{out.name}.pictures.") as folder:
        first = old.read_with_pictures(place, Path(folder))
        unread.append(first)
        exported = written(clips, ontology_of(first), to, out, made, hard_link, frames, every)
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


def _empty(folder: Path) -> None:
    """Remove the pictures that stayed because they were read late."""
    shutil.rmtree(folder)
    folder.mkdir()


def _fitting(clip: Clip, new: Format, problems: list[Problem]) -> Clip:
    """The clip with what the new format has room for; what it has none for is told."""
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
    reading: Reading, problems: list[Problem], known: Known | None = None, again: bool = False
) -> Iterator[Clip]:
    """Each clip whose picture or film is there and whole, known by its content; the others become problems.

    Pictures and films are decoded, and what that shows is `known` where clips are looked at `again`. A film is taken as
    far as it can be decoded.
    """
    known = {} if known is None else known
    for clip in reading.clips:
        try:
            if clip.is_film:
                yield _film_looked_at(clip, known, problems)
            elif clip.name in known and again:
                raise BadMedia("cut_or_damaged")
            else:
                yield _looked_at(clip, decode=not again)
        except BadMedia as error:
            known.setdefault(clip.name, None)
            problems.append(Problem(clip.name, in_words(error.reason, error.detail), "put a whole one there"))
        except BadDataset as error:
            problems.append(Problem(clip.name, *error.args))


def _looked_at(clip: Clip, decode: bool) -> Clip:
    """A picture by its content. Raises `BadMedia`, and `BadDataset(what, mend)` where it is another than was said."""
    _check_there(clip, "picture")
    content = media.read_bytes(clip.path)
    probe = media.probe(content)
    _check_size(clip.frames[0], probe.size_hw, "picture")
    if decode:
        media.decode(content)
    return replace(clip, id=clip_id(content), rewrite=probe.rewrite)


def _film_looked_at(clip: Clip, known: Known, problems: list[Problem]) -> Clip:
    """A film by its content, with the frames that can be had. Raises as `_looked_at`."""
    _check_there(clip, "film")
    if clip.name not in known:
        known[clip.name] = films.folder(clip.path, fps=1) if Path(clip.path).is_dir() else films.probe(clip.path)
    film = known[clip.name]
    if film is None:
        raise BadMedia("cut_or_damaged")
    sizes = {frame.index: frame.size_hw for frame in film.frames}
    there = [at for at, frame in enumerate(clip.frames) if frame.index in sizes]
    for at in there:
        _check_size(clip.frames[at], sizes[clip.frames[at].index], "film")
    if len(there) < len(clip.frames):
        which = next(frame.index for frame in clip.frames if frame.index not in sizes)
        lacking = f"{len(clip.frames) - len(there)} of {len(clip.frames)} frames cannot be had, the first {which}"
        told = f"{lacking} ({film.damaged})" if film.damaged else lacking
        if not there:
            raise BadDataset(told, "put the whole film there")
        problems.append(Problem(clip.name, told, "put the whole film there"))
    kept = tuple(clip.frames[at] for at in there), tuple(clip.found[at] for at in there if clip.found)
    return replace(clip, id=media.film_id(clip.path), frames=kept[0], found=kept[1], rewrite=FILM)


def _check_there(clip: Clip, what: str) -> None:
    if not Path(clip.path).exists():
        raise BadDataset(f"the {what} is not there", "put it back, or take it out of the dataset")


def _check_size(frame: Frame, size_hw: tuple[int, int], what: str) -> None:
    """Raise `BadDataset(what, mend)` where a picture has another size than the dataset says."""
    if size_hw != frame.size_hw:
        h, w = frame.size_hw
        raise BadDataset(
            f"the dataset says {h} x {w} (h x w) pixels, the {what} is upright {size_hw[0]} x {size_hw[1]}",
            f"correct the size, or turn the {what}",
        )
