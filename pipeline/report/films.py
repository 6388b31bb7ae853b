"""What labelled films are worth, for people: tables on a terminal."""

from collections.abc import Mapping

from pipeline.evaluate.identity import Figures
from pipeline.evaluate.of_films import Scores
from pipeline.report.summary import table

SHARES = {"j_and_f": "J&F", "j": "J", "f": "F", "idf1": "IDF1", "hota": "HOTA"}
COUNTS = {"objects": "objects", "switches": "switches", "fragments": "fragments", "lost": "lost", "false": "false"}
RULES = {
    "davis2017": "as DAVIS 2017: without the first and the last frame of a film",
    "sav": "as SA-V: without the first and the last frame of an object",
    "all": "in every frame",
}
WHO = {"ids": "by number", "class": "by class", "any": "whatever their class"}
WORST = 5
"""Objects that are listed: those with the lowest J&F."""
SIDE_BY_SIDE = {"j_and_f": "J&F", "idf1": "IDF1", "switches": "switches"}


def show_film_scores(scores: Scores, beside: Mapping[str, Scores] | None = None) -> str:
    """J&F and identity over all, by film and by class, the worst objects, and what was not judged.

    Scores of other runs may stand `beside`, under their names.
    """
    head = ("", *SHARES.values(), *COUNTS.values())
    rows = [_row("all", scores.over_all), *(_row(film, one) for film, one in scores.per_film.items())]
    classes = [_row(name or "(no class)", one) for name, one in scores.per_class.items()]
    judged = sorted((one for one in scores.objects if one.frames), key=lambda one: one.figures["j_and_f"] or 0)
    worst = [
        (
            f"{one.film} {one.number} {one.name}".rstrip(),
            str(one.track or "-"),
            _told(one.figures["j"]),
            _told(one.figures["f"]),
        )
        for one in judged[:WORST]
    ]
    said = f"{len(rows) - 1} films against truth, tracks {WHO[scores.pairing]}, J and F {RULES[scores.rules]}"
    parts = [table(said, rows, head)]
    if beside:
        parts.append(_side_by_side(scores, beside))
    if set(scores.per_class) - {""}:
        parts.append(table("by class", classes, head))
    if worst:
        parts.append(table("the worst objects", worst, ("", "track", "J", "F")))
    if scores.frames_absent:
        parts.append(
            f"{scores.frames_absent} of {scores.frames} frames of the truth are not in the run, and were not judged"
        )
    if scores.absent:
        parts.append(f"{len(scores.absent)} films of the truth are not in the run, and were not judged")
    return "\n\n".join([*parts, *scores.notes])


def _side_by_side(scores: Scores, beside: Mapping[str, Scores]) -> str:
    """The figures that matter most, of this run and of others, over all and by film."""
    runs = [scores, *beside.values()]
    head = ("", *(f"{word} {name}".rstrip() for word in SIDE_BY_SIDE.values() for name in ("", *beside)))
    films = dict.fromkeys(film for one in runs for film in one.per_film)
    lines = [("all", [one.over_all for one in runs])] + [(f, [one.per_film.get(f, {}) for one in runs]) for f in films]
    rows = [(name, *(_told(one.get(key)) for key in SIDE_BY_SIDE for one in each)) for name, each in lines]
    return table(f"beside {', '.join(beside)}", rows, head)


def _row(name: str, figures: Figures) -> tuple[str, ...]:
    return (name, *(_told(figures.get(key)) for key in (*SHARES, *COUNTS)))


def _told(value: float | int | None) -> str:
    """A share with three digits, a count as it is, '-' for nothing to judge."""
    return "-" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)
