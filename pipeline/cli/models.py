"""The commands of models: what is known and what is here, and getting, checking and converting one."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from pipeline.cli.asking import AS_JSON
from pipeline.cli.group import main


@main.group()
def models() -> None:
    """List models, get one, check its files, or convert one of Meta's."""


@models.command("ls")
@AS_JSON
def ls_(as_json: bool) -> None:
    """List the models that masklet knows, and those in checkpoints/, with licences and what is on this machine."""
    from pipeline.checkpoints.listing import listed
    from pipeline.report.summary import table

    rows = [asdict(row) for row in listed()]
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False))
        return
    columns = ("name", "used_by", "licence", "parameters", "here", "good_at")
    head = tuple(column.replace("_", " ") for column in columns)
    click.echo(table("models", [head, *(tuple(row[column] for column in columns) for row in rows)]))


@models.command()
@click.argument("name")
def fetch(name: str) -> None:
    """Download a model that is not on this machine, at its pinned commit, and check it."""
    from pipeline import checkpoints
    from pipeline.checkpoints.verify import verify as check

    checkpoints.fetch(name)
    click.echo(check(name).place)


@models.command()
@click.argument("name", metavar="NAME|FOLDER|FILE")
@click.option("--sha256", metavar="HEX", help="What the whole has to have, as a run's config.yaml says it.")
@AS_JSON
def verify(name: str, sha256: str | None, as_json: bool) -> None:
    """Check that a model's files are whole, as they were published, and of a kind that masklet opens."""
    from pipeline.checkpoints.verify import verify as check
    from pipeline.report.summary import table

    said = asdict(check(name, sha256))
    rows = [(key.replace("_", " "), str(value)) for key, value in said.items()]
    click.echo(json.dumps(said, ensure_ascii=False) if as_json else table("verified", rows))


@models.command()
@click.argument("name", metavar="FILE")
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
def convert(name: str, out: Path) -> None:
    """Write the new folder OUT, in the Hub's layout, from a .pt file of Meta's SAM 2. Nothing in the file is run."""
    from pipeline.checkpoints import meta_files, names
    from pipeline.errors import ConfigError

    if out.exists():
        raise ConfigError(f"{out}: is there already; name a new folder")
    file = names.found(name)
    if not file.is_file():
        raise ConfigError(f"{name}: is a folder already; only a .pt file of Meta's SAM 2 is converted")
    meta_files.write(file, out)
    click.echo(out)
