"""Measure a run over films against truth on the disk: any dataset that masklet reads, or a DAVIS folder."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path

from pipeline.errors import BadDataset
from pipeline.evaluate import davis
from pipeline.evaluate.j_and_f import Pairing, Rules
from pipeline.evaluate.of_films import Scores, evaluate_films
from pipeline.formats import Reading, format_of
from pipeline.formats.naming import stem
from pipeline.formats.sniff import format_at
from pipeline.records import Clip

NAMES = 3
"""Names that are told of each side where none is on both."""


def evaluate_film_run(
    found: Mapping[str, Clip], truth: Path, rules: Rules = "all", pairing: Pairing = "class"
) -> Scores:
    """Judge a run's films, by name, against truth; a film of each is in memory at a time, if `found` reads them so.

    By default all frames are judged, for a run from words is given no mask. Where no object of the truth has a class,
    `pairing` by class becomes 'any'. A film has the name that it has in the run, or `Names` knows it by. Raises
    `BadDataset` where the truth cannot be read, or has no film of the run, `BadRecord` as `evaluate_films` does.
    """
    reading = davis.read(truth) if davis.is_davis(truth) else format_of(format_at(truth)).read(truth)
    clips, classes = _with_classes(reading)
    if pairing == "class" and not classes:
        pairing = "any"
    known = Names(found)
    meant = (replace(clip, name=known.of(clip.name)) for clip in clips)
    scores = evaluate_films(meant, found, rules, pairing)
    if not scores.per_film:
        raise BadDataset(_nothing(truth, scores.absent, found, reading))
    return replace(scores, notes=tuple(_notes(scores, found, reading)))


def has_films(truth: Path) -> bool:
    """Whether truth is of films: a DAVIS folder, or a dataset in a format for them."""
    return davis.is_davis(truth) or format_of(format_at(truth)).films


def _with_classes(reading: Reading) -> tuple[Iterator[Clip], bool]:
    """The clips, and whether an object of them has a class; they are looked at up to the first that does."""
    seen: list[Clip] = []
    for clip in reading.clips if reading.names else ():
        seen.append(clip)
        if any(name for found in clip.found for name in found.names):
            return chain(seen, reading.clips), True
    return chain(seen, reading.clips), False


class Names:
    """The names of a run's films, by which those of a truth are found.

    >>> names = Names(["day/match.mp4", "480p/bear", "a.1", "a.2"])
    >>> names.of("day/match.mp4"), names.of("day/match"), names.of("bear"), names.of("JPEGImages/480p/bear.mp4")
    ('day/match.mp4', 'day/match.mp4', '480p/bear', '480p/bear')

    What could be two films, or lies in another folder, is none of them.

    >>> names.of("a"), names.of("night/match.mp4"), names.of("a.3")
    ('a', 'night/match.mp4', 'a.3')
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = set(names)
        self._by_last: dict[str, set[str]] = defaultdict(set)
        for name in self._names:
            for last in _with_and_without_suffix(name.rpartition("/")[2]):
                self._by_last[last].add(name)

    def of(self, name: str) -> str:
        """The run's name for a film of the truth; its own name, where the run has none.

        A suffix may be missing on either side, as SA-V's ids have none; else folders in front may be.
        """
        last = _with_and_without_suffix(name.rpartition("/")[2])
        near = {name} & self._names or set().union(*(self._by_last.get(one, ()) for one in last))
        for same in (_same, _same_end):
            fits = [one for one in near if same(name, one)]
            if fits:
                return fits[0] if len(fits) == 1 else name
        return name


def _with_and_without_suffix(name: str) -> set[str]:
    return {name, stem(name)} if name else {name}


def _same(one: str, other: str) -> bool:
    return one in _with_and_without_suffix(other) or other in _with_and_without_suffix(one)


def _same_end(one: str, other: str) -> bool:
    a, b = one.split("/"), other.split("/")
    length = min(len(a), len(b))
    return _same("/".join(a[-length:]), "/".join(b[-length:]))


def _nothing(truth: Path, meant: Iterable[str], found: Iterable[str], reading: Reading) -> str:
    """Why nothing can be judged."""
    sides = [f"{side} has {_some(sorted(names))}" for side, names in (("the truth", meant), ("the run", found))]
    first = f" (it has problems, the first: {reading.problems[0]})" if reading.problems else ""
    return f"{truth}: none of its films is in the run{first}: {', '.join(sides)}; give the films the same names"


def _some(names: list[str]) -> str:
    """The first names.

    >>> _some(["a", "b", "c", "d"]), _some([])
    ("'a', 'b', 'c' and 1 more", 'none')
    """
    more = f" and {len(names) - NAMES} more" if len(names) > NAMES else ""
    return ", ".join(map(repr, names[:NAMES])) + more if names else "none"


def _notes(scores: Scores, found: Iterable[str], reading: Reading) -> Iterator[str]:
    """What was not judged, besides frames and films of the truth that the run has not."""
    others = sorted(set(found) - scores.per_film.keys())
    if others:
        yield f"the truth has no such film of the run: {_some(others)}"
    if reading.problems:
        yield f"{len(reading.problems)} things in the truth cannot be read, the first: {reading.problems[0]}"
