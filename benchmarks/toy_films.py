"""From words to tracks: toy films through `masklet run`, from the tiny OWLv2 and the tiny SAM 2, beside a baseline.

    python benchmarks/toy_films.py

Twenty films of 120 frames, of five stories in turn, with a seed that nothing was learnt from: things that wander, look
alike, hide, leave and come back, and a scene cut, where tracks begin anew. Then five parts of a toy futsal match: ten
players who look alike in two teams, a referee, and a ball of six pixels. The baseline has the same detector on every
frame, the same SAM 2 for masks, and boxes and masks matched from frame to frame; no memory.
"""

import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import bench
from bench import Figure

from pipeline import engine, toyworld
from pipeline.config import load
from pipeline.evaluate.film_truth import evaluate_film_run
from pipeline.evaluate.of_films import Scores
from pipeline.labelled import Films
from pipeline.report.films import show_film_scores
from pipeline.store import Store

CLAIM = "toy films from words alone: tiny OWLv2 every 8 frames, tiny SAM 2, the life-cycle"
SEED = 10_000_000
J_AND_F, IDF1, SWITCHES = 0.75, 0.85, 0.05
BASELINE = ["track={backend: iou, every: 1}"]
MATCH = ["ontology=toyfutsal", "track.every=4"]


@dataclass(frozen=True, slots=True)
class Run:
    """What a run over films came to."""

    scores: Scores
    frames_a_second: float

    def figures(self, who: str, bars: bool) -> list[Figure]:
        said = self.scores.over_all
        lowest = {"at_least": J_AND_F}, {"at_least": IDF1}, {"at_most": SWITCHES}
        of_film, of_identity, of_switches = lowest if bars else ({}, {}, {})
        return [
            Figure(f"{who}: J&F", said["j_and_f"], "", **of_film),
            Figure(f"{who}: IDF1", said["idf1"], "", **of_identity),
            Figure(f"{who}: switches of a track of the truth", said["switches"] / said["objects"], "", **of_switches),
            Figure(f"{who}: frames a second", self.frames_a_second, ""),
        ]


def main(films: int = 20, matches: int = 5, frames: int = 120, results: Path = bench.RESULTS) -> int:
    with tempfile.TemporaryDirectory() as place:
        ours = labelled(Path(place) / "toy", films, frames, False, [])
        baseline = labelled(Path(place) / "toy", films, frames, False, BASELINE)
        match = labelled(Path(place) / "match", matches, frames, True, MATCH)
        match_baseline = labelled(Path(place) / "match", matches, frames, True, [MATCH[0], *BASELINE])
    print(show_film_scores(ours.scores, {"baseline": baseline.scores}) + "\n")
    print(show_film_scores(match.scores, {"baseline": match_baseline.scores}) + "\n")
    figures = [*ours.figures("toy films", bars=True), *baseline.figures("baseline", bars=False)]
    worst = min(said["j_and_f"] for said in ours.scores.per_film.values())
    figures += [Figure("toy films: objects", ours.scores.over_all["objects"], ""), Figure("worst film: J&F", worst, "")]
    for who, run in (("futsal", match), ("futsal, baseline", match_baseline)):
        figures += run.figures(who, bars=False)
        players, ball = (run.scores.per_class[name] for name in ("player", "ball"))
        figures.append(Figure(f"{who}: IDF1 of players", players["idf1"], ""))
        figures.append(Figure(f"{who}: switches of a player", players["switches"] / players["objects"], ""))
        figures.append(Figure(f"{who}: recall of the ball", ball["recall"], ""))
    return bench.conclude("toy_films", CLAIM, figures, results)


def labelled(place: Path, films: int, frames: int, match: bool, overrides: list[str]) -> Run:
    """Draw films, label them, and judge."""
    toyworld.write_films(place, SEED, films, frames, match)
    config = load("demo", [f"source.path={place / 'films'}", "export.formats=[]", *overrides])
    with tempfile.TemporaryDirectory() as out:
        began = time.perf_counter()
        summary = engine.run(config, Path(out))
        seconds = time.perf_counter() - began
        with Store(Path(out) / "run.db") as store:
            scores = evaluate_film_run(Films(store), place / "truth")
    return Run(scores, summary.frames / seconds)


if __name__ == "__main__":
    sys.exit(main())
