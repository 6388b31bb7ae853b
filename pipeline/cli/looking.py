"""The commands that look: at a run beside its truth, at its pictures, at what can be named."""

import json
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Literal

import click

from pipeline.cli.asking import AS_JSON, RUN, store_of
from pipeline.cli.group import main


@main.command()
@RUN
@click.option("--truth", required=True, metavar="PATH", help="A COCO file, a dataset with films, or a DAVIS folder.")
@click.option(
    "--rules", type=click.Choice(["all", "davis2017", "sav"]), default="all", help="Frames J and F are of. [all]"
)
@click.option("--any-class", is_flag=True, help="A track of any class may answer for an object of a film.")
@AS_JSON
def evaluate(
    run_folder: Path, truth: str, rules: Literal["all", "davis2017", "sav"], any_class: bool, as_json: bool
) -> None:
    """Measure a run against truth. Pictures: AP, AP50 and AR of boxes and masks. Films: J&F and identities."""
    from pipeline.config import load
    from pipeline.evaluate.film_truth import evaluate_film_run, has_films
    from pipeline.evaluate.of_run import evaluate_run
    from pipeline.labelled import Films
    from pipeline.report.films import show_film_scores
    from pipeline.report.summary import show_scores

    config = load(run_folder / "config.yaml")
    with store_of(run_folder) as store:
        if has_films(Path(truth)):
            of_films = evaluate_film_run(Films(store), Path(truth), rules, "any" if any_class else "class")
            said, shown = asdict(of_films), show_film_scores(of_films)
        else:
            said = evaluate_run(config, store, Path(truth))
            shown = show_scores(said)
    click.echo(json.dumps(said, ensure_ascii=False) if as_json else shown)


@main.command()
@RUN
@click.option("--truth", metavar="PATH", help="A COCO file with labels of some of the run's pictures, 50 or so.")
@click.option("--corrections", is_flag=True, help="Learn from the run's corrections instead of a truth.")
@click.option("--out", metavar="FILE", help="What select.calibration reads. [RUN/calibration.yaml]")
@click.option("--least", type=click.IntRange(1), metavar="N", help="Objects that a class needs for its own. [10]")
@AS_JSON
def calibrate(
    run_folder: Path, truth: str | None, corrections: bool, out: str | None, least: int | None, as_json: bool
) -> None:
    """Learn from labelled pictures which score is enough: a threshold a class, and what scores are worth."""
    from pipeline.config import load
    from pipeline.evaluate.by_people import calibrate_by_people
    from pipeline.evaluate.calibrate import LEAST_OBJECTS, calibrate
    from pipeline.process import write_whole
    from pipeline.report.calibration import show_calibration

    if corrections == bool(truth):
        raise click.UsageError("name what to learn from: --truth PATH, or --corrections")
    config = load(run_folder / "config.yaml")
    place = Path(out) if out else run_folder / "calibration.yaml"
    with store_of(run_folder) as store:
        if truth:
            learnt = calibrate(config, store, Path(truth), least or LEAST_OBJECTS)
        else:
            learnt = calibrate_by_people(config, store, least or LEAST_OBJECTS)
    write_whole(place, learnt.calibration.to_yaml())
    shown = f"{show_calibration(learnt)}\n\nuse it: select.calibration={place}"
    click.echo(json.dumps(asdict(learnt) | {"calibration": str(place)}) if as_json else shown)


@main.command()
@RUN
@click.option("--out", metavar="DIR", help="Where they go. [RUN/overlays]")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Only the first N pictures and films.")
def overlay(run_folder: Path, out: str | None, limit: int | None) -> None:
    """Draw what was found: an MP4 for each film, a JPEG for each picture."""
    from pipeline import overlay as drawing
    from pipeline.labelled import labelled

    place = Path(out) if out else run_folder / "overlays"
    with store_of(run_folder) as store:
        for one in islice(labelled(store), limit):
            clip = one.replayed(store)
            click.echo(drawing.draw(clip, place))


@main.command()
@AS_JSON
def ls(as_json: bool) -> None:
    """List what can be named: detectors, segmenters, verifiers, trackers, formats, configs, ontologies."""
    from pipeline.detectors import DETECTORS
    from pipeline.formats import FORMATS
    from pipeline.report.summary import table
    from pipeline.segmenters import SEGMENTERS
    from pipeline.shipped import shipped
    from pipeline.trackers import TRACKERS
    from pipeline.verifiers import VERIFIERS

    names = {
        "detectors": sorted(DETECTORS),
        "segmenters": sorted(SEGMENTERS),
        "verifiers": sorted(VERIFIERS),
        "trackers": sorted(TRACKERS),
        "formats": sorted(FORMATS),
        "configs": shipped("configs"),
        "ontologies": shipped("ontologies"),
    }
    rows = [(kind, ", ".join(known)) for kind, known in names.items()]
    click.echo(json.dumps(names) if as_json else table("what can be named", rows))
