"""The commands of datasets: write one in another format, say what is wrong with one."""

import json
from collections.abc import Sequence
from pathlib import Path

import click

from pipeline.cli.asking import AS_JSON
from pipeline.cli.group import main
from pipeline.errors import CheckFailed


@main.command()
@click.argument("dataset", type=click.Path(exists=True, path_type=Path))
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--to", required=True, metavar="FORMAT", help="The format to write: see `masklet ls`.")
@click.option("--from", "was", metavar="FORMAT", help="The dataset's own format. [told by its files]")
@click.option("--frames", type=click.Choice(["png", "jpg"]), help="What frames of films become.")
@click.option("--every", type=click.IntRange(1), default=1, show_default=True, help="Of a film, one of N frames.")
@click.option("--hard-link", is_flag=True, help="Pictures share their bytes with the old dataset's.")
@AS_JSON
def convert(
    dataset: Path,
    out: Path,
    to: str,
    was: str | None,
    frames: str | None,
    every: int,
    hard_link: bool,
    as_json: bool,
) -> None:
    """Write a dataset in another format, read it back, and say what differs. No model runs."""
    from dataclasses import asdict

    from pipeline import convert as conversion
    from pipeline.process import ending_at_sigterm
    from pipeline.quiet import library_noise_to
    from pipeline.report.datasets import problem_lines, show_converted

    out = out if out.name else out.resolve()
    with ending_at_sigterm(), library_noise_to(out.parent / f"{out.name}.libraries.log"):
        done = conversion.convert(dataset, out, to, was, hard_link, frames=frames, every=every)
    said = asdict(done.exported)
    click.echo(json.dumps(asdict(done), ensure_ascii=False) if as_json else show_converted(done, said))
    for line in problem_lines(done.problems):
        click.echo(f"masklet: left out: {line}", err=True)
    if done.problems:
        raise CheckFailed(f"{dataset}: {_count(done.problems, 'thing')} could not be taken over; all else is in {out}")


@main.command()
@click.argument("dataset", type=click.Path(exists=True, path_type=Path))
@click.option("--from", "name", metavar="FORMAT", help="The dataset's format. [told by its files]")
@AS_JSON
def validate(dataset: Path, name: str | None, as_json: bool) -> None:
    """Say what training would trip over in a dataset, where, and how to mend it."""
    from pipeline import validate as validation
    from pipeline.report.datasets import show_validated

    said = validation.validate(dataset, name)
    click.echo(json.dumps(said.to_json(), ensure_ascii=False) if as_json else show_validated(said))
    if said.problems:
        raise CheckFailed(f"{dataset}: {_count(said.problems, 'problem')}")


def _count(things: Sequence[object], word: str) -> str:
    return f"{len(things)} {word}{'' if len(things) == 1 else 's'}"
