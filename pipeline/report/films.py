"""What labelled films are worth, for people: tables on a terminal."""

from pipeline.evaluate.identity import Figures
from pipeline.evaluate.of_films import Scores
from pipeline.report.summary import table

SHARES = {"j_and_f": "J&F", "j": "J", "f": "F", "idf1": "IDF1", "hota": "HOTA"}
COUNTS = {"objects": "objects", "switches": "switches", "fragments": "fragments", "lost": "lost", "false": "false"}
RULES = {
    "davis2017": "as DAVIS 2017: without the first and the last frame of a film",
    "sav": "as SA-V: without the first and the last frame of an object",
    "all": "in every frame of the truth",
}
WORST = 5
"""Objects that are listed: those with the lowest J&F."""


def show_film_scores(scores: Scores) -> str:
    """J&F and identity over all, by film and by class, the worst objects, and what was not judged."""
    head = ("", *SHARES.values(), *COUNTS.values())
    rows = [_row("all", scores.over_all), *(_row(film, one) for film, one in scores.per_film.items())]
    classes = [_row(name or "(no class)", one) for name, one in scores.per_class.items()]
    judged = sorted((one for one in scores.objects if one.frames), key=lambda one: one.figures["j_and_f"] or 0)
    worst = [
        (f"{one.film} {one.number} {one.name}".rstrip(), str(one.track or "-"), *_shares(one.figures, ("j", "f")))
        for one in judged[:WORST]
    ]
    parts = [table(f"{len(rows) - 1} films against truth, J and F {RULES[scores.rules]}", rows, head)]
    if classes:
        parts.append(table("by class", classes, head))
    if worst:
        parts.append(table("the worst objects", worst, ("", "track", "J", "F")))
    if scores.frames_absent:
        parts.append(
            f"{scores.frames_absent} of {scores.frames} frames of the truth are not in the run: nothing found there"
        )
    if scores.absent:
        parts.append(f"{len(scores.absent)} films of the truth are not in the run, and were not judged")
    return "\n\n".join(parts)


def _row(name: str, figures: Figures) -> tuple[str, ...]:
    return (name, *_shares(figures, tuple(SHARES)), *(str(figures.get(key, "-")) for key in COUNTS))


def _shares(figures: Figures, keys: tuple[str, ...]) -> list[str]:
    return ["-" if (value := figures.get(key)) is None else f"{value:.3f}" for key in keys]
