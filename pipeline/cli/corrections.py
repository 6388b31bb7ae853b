"""The commands of corrections: make a file of them from a dataset that was edited in another tool."""

import json
from pathlib import Path

import click

from pipeline.cli.asking import AS_JSON
from pipeline.cli.group import main
from pipeline.errors import CheckFailed, ConfigError

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@main.group()
def corrections() -> None:
    """People's decisions about what a run found: take them over from another tool."""


@corrections.command("import")
@click.argument("dataset", type=click.Path(exists=True, path_type=Path))
@click.option("--run", "run_folder", required=True, type=FOLDER, metavar="RUN", help="The run it was made from.")
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="As corrections/x.jsonl.")
@click.option("--from", "name", metavar="FORMAT", help="The dataset's format. [told by its files]")
@click.option("--accept", is_flag=True, help="Say of what was left as it is that it is right.")
@click.option(
    "--changed-below",
    "below",
    type=click.FloatRange(0, 1),
    metavar="IOU",
    help="A mask that overlaps by less was changed. [1 where the format keeps every pixel, else 0.95]",
)
@click.option("--by", default="", metavar="NAME", help="Who edited it; for people.")
@AS_JSON
def import_(
    dataset: Path,
    run_folder: Path,
    out: Path,
    name: str | None,
    accept: bool,
    below: float | None,
    by: str,
    as_json: bool,
) -> None:
    """Compare an edited dataset (COCO, YOLO, Label Studio...) with its run, and write what people changed."""
    from pipeline.compare.edits import edits
    from pipeline.compare.pairs import opened
    from pipeline.config import load
    from pipeline.process import write_whole
    from pipeline.report.datasets import problem_lines
    from pipeline.report.summary import table

    if out.exists():
        raise ConfigError(f"{out}: is there already; what people decided is only added to, choose another name")
    with opened(run_folder) as run:
        found = edits(run, load(run_folder / "config.yaml"), dataset, name, accept, below, by)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(out, "".join(f"{line.to_line()}\n" for line in found.lines))
    said = {"place": str(out), "pictures": found.pictures, "absent": found.absent, "corrections": found.counts}
    rows = [("pictures", f"{found.pictures} compared, {found.absent} of the run are not in the dataset")]
    rows += [(kind, str(count)) for kind, count in found.counts.items()]
    click.echo(json.dumps(said) if as_json else table(f"wrote {out}", rows))
    for line in problem_lines(found.problems):
        click.echo(f"masklet: left out: {line}", err=True)
    if found.problems:
        raise CheckFailed(f"{dataset}: {len(found.problems)} things could not be taken over; all else is in {out}")
