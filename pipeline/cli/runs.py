"""The commands of a run: run it, say what it would do, check it, say how it stands, export it again."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.asking import AS_JSON, RUN, about_the_run, asked_for, store_of, warn
from pipeline.cli.group import main
from pipeline.partition import Part

if TYPE_CHECKING:
    from pipeline.config import Config

REUSE = click.option("--reuse", multiple=True, metavar="RUN", help="Look results up in another run too (repeatable).")
PARTITION = click.option(
    "--partition",
    metavar="I/N",
    callback=lambda _, __, said: Part.parse(said) if said else None,
    help="Label one of N parts, export nothing; a run that reuses all parts has the dataset.",
)


@main.command()
@about_the_run
@REUSE
@PARTITION
@click.option("--runner", type=click.Choice(["local", "ray"]), help="Where batches run. [run.runner]")
@click.option("--ray-address", metavar="HOST:PORT", help="A Ray cluster, else one on this machine. [run.ray_address]")
@click.option("--workers", type=click.IntRange(1), metavar="N", help="Processes. [run.workers]")
@click.option("--max-quarantined", type=click.IntRange(0), metavar="N", help="Exit 3 if more files are set aside.")
@click.option("--fail-on-empty", is_flag=True, help="Exit 4 if there is no picture and no film.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing: as `masklet plan`.")
def run(
    words: tuple[str, ...],
    source: str | None,
    ontology: str | None,
    out: str | None,
    limit: int | None,
    as_json: bool,
    reuse: tuple[str, ...],
    partition: Part | None,
    runner: str | None,
    ray_address: str | None,
    workers: int | None,
    max_quarantined: int | None,
    fail_on_empty: bool,
    dry_run: bool,
) -> None:
    """Label pictures and films, and write a dataset. The same command again goes on where it stopped.

    SOURCE is a folder, a file, or a .txt with one path a line. CONFIG is a YAML file or a name that `masklet ls` has;
    without one it is florence2_sam2. KEY=VALUE goes over the config, as in select.threshold=0.5.
    """
    from pipeline import engine
    from pipeline.progress import Progress
    from pipeline.quiet import library_noise_to
    from pipeline.report.summary import judge, show

    given = {"workers": workers, "runner": runner, "ray_address": ray_address}
    words += tuple(f"run.{key}={json.dumps(value)}" for key, value in given.items() if value is not None)
    config, place = asked_for(words, source, ontology, out, partition)
    if dry_run:
        show_plan(config, place, limit, as_json, reuse, partition)
        return
    warn(config, place)
    with library_noise_to(place / "libraries.log"), Progress() as progress:
        summary = engine.run(config, place, [Path(other) for other in reuse], limit, progress, partition)
    click.echo(
        json.dumps(summary.to_json(), ensure_ascii=False) if as_json else show(summary, place, config.ontology.names)
    )
    judge(summary, place, max_quarantined, fail_on_empty)


@main.command()
@about_the_run
@REUSE
@PARTITION
def plan(
    words: tuple[str, ...],
    source: str | None,
    ontology: str | None,
    out: str | None,
    limit: int | None,
    as_json: bool,
    reuse: tuple[str, ...],
    partition: Part | None,
) -> None:
    """Say what a run would compute, how long that took last time, and what is known already."""
    config, place = asked_for(words, source, ontology, out, partition)
    show_plan(config, place, limit, as_json, reuse, partition)


@main.command()
@about_the_run
def check(
    words: tuple[str, ...], source: str | None, ontology: str | None, out: str | None, limit: int | None, as_json: bool
) -> None:
    """Check a configuration, its models and its source, without computing anything."""
    from pipeline import sources
    from pipeline.report.summary import table

    config, place = asked_for(words, source, ontology, out)
    for stage in [*config.stages(), *config.film_stages()]:
        stage.identity()  # needs every file of weights
    files = sources.files(config.source, apart_from=place)[:limit]
    warnings = warn(config, place)
    said = {
        "source": f"{config.source.path}: {len(files)} files",
        "classes": ", ".join(f"{number} {name}" for name, number in config.ontology.numbers().items()),
        **config.backends,
        **({"corrections": f"{len(config.corrections.lines)} lines"} if config.corrections else {}),
        "device": f"{config.run.on.name}, {config.run.threads} thread(s)",
        "formats": ", ".join(config.export.formats),
        "out": str(place),
    }
    click.echo(json.dumps({**said, "warnings": warnings}) if as_json else table("ready to run", list(said.items())))


@main.command()
@RUN
@click.option("--ledger", is_flag=True, help="List everything that did not reach the dataset, and why.")
@AS_JSON
def status(run_folder: Path, ledger: bool, as_json: bool) -> None:
    """Say what a run has, and what was set aside."""
    from pipeline.outcome import read_summary
    from pipeline.report.summary import show_ledger, show_status

    with store_of(run_folder) as store:
        if ledger:
            for line in show_ledger(store, as_json):
                click.echo(line)
        else:
            click.echo(show_status(run_folder, store, read_summary(run_folder), as_json))


@main.command()
@RUN
@click.option("--format", "name", required=True, metavar="NAME", help="A format: see `masklet ls`.")
@AS_JSON
def export(run_folder: Path, name: str, as_json: bool) -> None:
    """Write a run's records as a dataset, once more or in another format."""
    from pipeline import outcome
    from pipeline.config import load
    from pipeline.report.summary import fidelity_rows, table

    config = load(run_folder / "config.yaml", [f"export.formats=[{json.dumps(name)}]"])
    exported = outcome.export_again(config, run_folder, name)
    rows = [(key, str(exported[key])) for key in ("place", "pictures", "objects")] + fidelity_rows(exported)
    click.echo(json.dumps(exported) if as_json else table(f"wrote {name}", rows))


def show_plan(
    config: "Config", place: Path, limit: int | None, as_json: bool, reuse: Sequence[str], part: Part | None
) -> None:
    """Say what a run would do."""
    from pipeline import pace, reels
    from pipeline.outcome import known_rates
    from pipeline.plan import outlook, survey
    from pipeline.report.summary import show_work
    from pipeline.store import Store

    db = place / "run.db"
    others = [Path(other) for other in reuse]
    store = Store(None, [*([db] if db.is_file() else []), *(other / "run.db" for other in others)])
    found = survey(config, store, place, limit, part=part)
    stages, film_stages = config.stages(), config.film_stages()
    work = reels.outlook(outlook(found, stages, store), found.reels, film_stages, store)
    seconds = pace.seconds_for(work, [*stages, *film_stages], known_rates(place, others))
    click.echo(show_work(work, as_json, seconds))
