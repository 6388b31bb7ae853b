"""The command that makes the page people look at."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from pipeline.cli.asking import AS_JSON, RUN, store_of
from pipeline.cli.group import main


@main.command()
@RUN
@click.option("--most", default=200, show_default=True, type=click.IntRange(10, 5000), help="Pictures it shows.")
@click.option("--films", default=20, show_default=True, type=click.IntRange(0, 1000), help="Films it plays.")
@click.option("--seed", default=1, show_default=True, help="Another seed draws other pictures by lot.")
@AS_JSON
def report(run_folder: Path, most: int, films: int, seed: int, as_json: bool) -> None:
    """Make report.html: figures, galleries with the worst first, films, and corrections by key and click. Offline."""
    from pipeline.config import load
    from pipeline.outcome import read_summary
    from pipeline.progress import Progress
    from pipeline.report import page

    config = load(run_folder / "config.yaml")
    with store_of(run_folder) as store, Progress() as progress:
        summary = read_summary(run_folder)
        done = page.write(run_folder, store, config, summary, most, films, seed, progress)
    click.echo(json.dumps(asdict(done), ensure_ascii=False) if as_json else done.page)
