"""The demo: pictures and films that masklet draws, labelled from words, and how right that is. Offline."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.asking import AS_JSON, store_of
from pipeline.cli.group import main

if TYPE_CHECKING:
    from pipeline.evaluate.of_films import Scores
    from pipeline.progress import Progress

FILM_FRAMES = 32
"""Frames of a film of the demo: something happens in them, and they take a second or two."""


@main.command()
@click.option("--out", default="outputs/demo", show_default=True, metavar="DIR", help="Where the demo lives.")
@click.option("--pictures", default=32, show_default=True, type=click.IntRange(1, 10_000), help="Scenes to draw.")
@click.option("--films", default=5, show_default=True, type=click.IntRange(0, 100), help="Films to draw.")
@click.option("--seed", default=1, show_default=True, help="The same seed draws the same scenes and films.")
@AS_JSON
def demo(out: str, pictures: int, films: int, seed: int, as_json: bool) -> None:
    """Draw pictures and films, label them from words, and measure how right it is. Offline, in seconds.

    GrabCut's masks of the same pictures stand beside.
    """
    from pipeline.progress import Progress
    from pipeline.quiet import library_noise_to
    from pipeline.report.films import show_film_scores
    from pipeline.report.summary import show_scores

    place = Path(out)
    with library_noise_to(place / "libraries.log"), Progress() as progress:
        said, shown = _pictures(place, seed, pictures, progress)
        if films:
            summary, shown_films, of_films = _films(place, seed, films, progress)
            said |= {"films": summary, "film_scores": asdict(of_films)}
    if as_json:
        click.echo(json.dumps(said, ensure_ascii=False))
        return
    grabcut = {"mask of GrabCut": said["grabcut"]["kinds"]["mask"]}
    click.echo(shown + "\n" + show_scores(said["scores"], grabcut))
    if films:
        click.echo(shown_films + "\n" + show_film_scores(of_films))
        click.echo(f"\nwatch the films in {place / 'films/overlays'}")
    click.echo(f"look at the pictures: masklet report {place}")


def _pictures(place: Path, seed: int, count: int, progress: "Progress") -> tuple[dict[str, Any], str]:
    """Scenes, labelled with SAM 2's masks and with GrabCut's: what is said for machines, and what was done in words."""
    from pipeline import engine, toyworld
    from pipeline.config import load
    from pipeline.evaluate.of_run import evaluate_run
    from pipeline.report.summary import show

    scenes = place / "scenes"
    toyworld.write(scenes, seed, count)
    overrides = [f"source.path={json.dumps(str(scenes / 'images'))}"]
    config = load("demo", overrides)
    baseline = load("demo", [*overrides, "segment={backend: grabcut}"])
    summary = engine.run(config, place, watch=progress)
    engine.run(baseline, place / "grabcut", [place], watch=progress)
    with store_of(place) as store:
        scores = evaluate_run(config, store, scenes / "truth.json")
    with store_of(place / "grabcut") as store:
        simple = evaluate_run(baseline, store, scenes / "truth.json")
    return {"summary": summary.to_json(), "scores": scores, "grabcut": simple}, show(summary, place)


def _films(place: Path, seed: int, count: int, progress: "Progress") -> tuple[dict[str, Any], str, "Scores"]:
    """Films, followed, and drawn on: what was done, for machines and in words, and how right it is."""
    from pipeline import engine, overlay, toyworld
    from pipeline.config import load
    from pipeline.evaluate.film_truth import evaluate_film_run
    from pipeline.labelled import Films
    from pipeline.report.summary import show

    toyworld.write_films(place / "scenes", seed, count, FILM_FRAMES)
    source = json.dumps(str(place / "scenes/films"))
    config = load("demo", [f"source.path={source}", "export.formats=[sav, youtube_vis]"])
    summary = engine.run(config, place / "films", watch=progress)
    with store_of(place / "films") as store:
        films = Films(store)
        for clip in films.values():
            overlay.draw(clip, place / "films/overlays")
        scores = evaluate_film_run(films, place / "scenes/truth")
    return summary.to_json(), show(summary, place / "films"), scores
