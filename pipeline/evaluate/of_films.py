"""Measure labelled films against truth: masks by J and F, identities by IDF1, switches, fragments and HOTA."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pipeline.errors import BadRecord
from pipeline.evaluate.identity import Counts, Figures, identity, identity_by_class
from pipeline.evaluate.j_and_f import ObjectScores, Pairing, Rules, j_and_f, statistics
from pipeline.records import Clip

DIGITS = 6


class Film(NamedTuple):
    """What is said of one film; `by_class` is empty unless classes are paired."""

    objects: tuple[ObjectScores, ...]
    kept: Counts
    by_class: dict[str, Counts]
    frames: int
    frames_absent: int


@dataclass(frozen=True, slots=True)
class ObjectFigures:
    """An object of the truth: its film, its number there, its class, the track that answers for it, J and F."""

    film: str
    number: int
    name: str
    track: int | None
    frames: int
    figures: Figures


@dataclass(frozen=True, slots=True)
class Scores:
    """DAVIS's figures and those of identity, each from 0 to 1 but the counts; None where there is nothing to judge.

    j_and_f                   the mean of j and f
    j, f                      mean over objects of their mean over the frames that `rules` say
    j_recall, f_recall        the share of frames above .5, mean over objects
    j_decay, f_decay          first quarter of a film less its last, mean over objects
    idf1, hota, deta, assa    and the counts of `identity.Counts`, in all frames that truth and run have
    objects_judged            objects with frames to judge J and F in

    `over_all` and `per_film` have all of these; `per_class` has those of identity where `pairing` is by class.
    `frames` are the truth's; of them `frames_absent` are those that the run has not looked at, as it takes not every
    frame or cannot decode it: not judged. `absent` are films of the truth that are not in the run: not judged. `notes`
    are words on what else was not.
    """

    rules: Rules
    pairing: Pairing
    over_all: Figures
    per_film: dict[str, Figures]
    per_class: dict[str, Figures]
    objects: tuple[ObjectFigures, ...]
    frames: int
    frames_absent: int
    absent: tuple[str, ...]
    notes: tuple[str, ...] = ()


def evaluate_films(
    meant: Iterable[Clip], found: Mapping[str, Clip], rules: Rules = "davis2017", pairing: Pairing = "class"
) -> Scores:
    """Judge films by name, one at a time. `dataclasses.asdict` of the answer is plain values.

    A film is one clip with all its frames; frames are matched by index. Raises `BadRecord` where an object has no
    identity, or is in sight and has no mask, where truth and run disagree about the size of a
    frame, and where the truth has a film twice.
    """
    films: dict[str, Film] = {}
    absent: list[str] = []
    for clip in meant:
        if clip.name in films or clip.name in absent:
            raise BadRecord(f"{clip.name}: the truth has this film twice")
        if clip.name in found:
            films[clip.name] = _judged(clip, found[clip.name], rules, pairing)
        else:
            absent.append(clip.name)
    every = [one for film in films.values() for one in film.objects]
    return Scores(
        rules=rules,
        pairing=pairing,
        over_all=_figures(every, sum((film.kept for film in films.values()), Counts())),
        per_film={name: _figures(film.objects, film.kept) for name, film in films.items()},
        per_class=_per_class(every, films.values()),
        objects=tuple(
            ObjectFigures(name, one.number, one.name, one.found, len(one.frames), _rounded(_of_object(one)))
            for name, film in films.items()
            for one in film.objects
        ),
        frames=sum(film.frames for film in films.values()),
        frames_absent=sum(film.frames_absent for film in films.values()),
        absent=tuple(absent),
    )


def _judged(meant: Clip, found: Clip, rules: Rules, pairing: Pairing) -> Film:
    of_class = pairing == "class"
    return Film(
        j_and_f(meant, found, rules, pairing),
        identity(meant, found, of_class),
        identity_by_class(meant, found) if of_class else {},
        len(meant.frames),
        len({frame.index for frame in meant.frames} - {frame.index for frame in found.frames}),
    )


def _per_class(objects: Sequence[ObjectScores], films: Collection[Film]) -> dict[str, Figures]:
    """Of every class that the truth has or, where classes are paired, the run."""
    names = {one.name for one in objects} | {name for film in films for name in film.by_class}
    out = {}
    for name in sorted(names):
        kept = [film.by_class[name] for film in films if name in film.by_class]
        out[name] = _figures([one for one in objects if one.name == name], sum(kept, Counts()) if kept else None)
    return out


def _figures(objects: Sequence[ObjectScores], kept: Counts | None) -> Figures:
    return _rounded(_mean(objects) | (kept.figures() if kept else {}))


def _of_object(one: ObjectScores) -> Figures:
    j, f = statistics(one.j), statistics(one.f)
    both = None if j.mean is None or f.mean is None else (j.mean + f.mean) / 2
    return {
        "j_and_f": both,
        "j": j.mean,
        "f": f.mean,
        "j_recall": j.recall,
        "f_recall": f.recall,
        "j_decay": j.decay,
        "f_decay": f.decay,
    }


def _mean(objects: Sequence[ObjectScores]) -> Figures:
    """The mean over objects that have frames to judge, as DAVIS does: a film of many objects counts for more."""
    each = [_of_object(one) for one in objects if one.frames]
    names = each[0] if each else _of_object(ObjectScores(0, "", None, (), np.zeros(0), np.zeros(0)))
    means = {key: float(np.mean([one[key] for one in each])) if each else None for key in names}
    return {**means, "objects_judged": len(each)}


def _rounded(figures: Figures) -> Figures:
    return {key: round(value, DIGITS) if isinstance(value, float) else value for key, value in figures.items()}
