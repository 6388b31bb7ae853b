"""The commands that compare: what differs between two runs, and whether a run is fit to be used."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.asking import AS_JSON, RUN
from pipeline.cli.group import main
from pipeline.errors import CheckFailed

if TYPE_CHECKING:
    from pipeline.compare.gate import Judgement

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)


@main.command()
@click.argument("first", metavar="A", type=FOLDER)
@click.argument("second", metavar="B", type=FOLDER)
@click.option("--rows", is_flag=True, help="Every difference of pictures and objects, a line each.")
@click.option("--moved", default=0.9, show_default=True, type=click.FloatRange(0, 1), help="Moved is below this IoU.")
@click.option("--markdown", is_flag=True, help="Markdown on stdout, for a CI's page.")
@AS_JSON
def diff(first: Path, second: Path, rows: bool, moved: float, markdown: bool, as_json: bool) -> None:
    """Say what differs between two runs: pictures, objects, classes, what was dropped, settings. Judges nothing."""
    from pipeline.compare import diff as differing
    from pipeline.compare.pairs import opened
    from pipeline.report.comparing import markdown_diff, show_diff, show_difference

    with opened(first) as was, opened(second) as now:
        if rows:
            for one in differing.all_differences(was, now, moved):
                click.echo(json.dumps(one.to_json(), ensure_ascii=False) if as_json else show_difference(one))
            return
        found = differing.diff(was, now, moved)
    if as_json:
        click.echo(json.dumps(found.to_json(), ensure_ascii=False))
    else:
        click.echo(markdown_diff(found) if markdown else show_diff(found), nl=not markdown)


@main.command()
@RUN
@click.argument("rules", nargs=-1, metavar="[RULES.yaml] [RULE=LIMIT]...")
@click.option("--baseline", type=FOLDER, metavar="RUN", help="The run to compare with, such as yesterday's.")
@click.option("--junit", type=FILE, metavar="FILE", help="Write the verdicts as JUnit's XML.")
@click.option("--markdown", type=FILE, metavar="FILE", help="Write them as Markdown, for a CI's page.")
@AS_JSON
def gate(
    run_folder: Path,
    rules: tuple[str, ...],
    baseline: Path | None,
    junit: Path | None,
    markdown: Path | None,
    as_json: bool,
) -> None:
    """Judge a run by rules, and exit 5 if it breaks one.

    Without rules, those of every night; docs/ci.md has all.
    """
    from pipeline.report import comparing
    from pipeline.report.junit import junit as as_junit
    from pipeline.report.summary import in_one_line

    judged = _judged(run_folder, rules, baseline)
    if junit:
        junit.write_text(as_junit(judged), encoding="utf-8")
    if markdown:
        markdown.write_text(comparing.markdown_gate(judged), encoding="utf-8")
    click.echo(json.dumps(judged.to_json(), ensure_ascii=False) if as_json else comparing.show_gate(judged))
    if not judged.ok:
        lines = [f"{one.rule}: {in_one_line(one.failing[0])}" for one in judged.failed]
        raise CheckFailed("\n".join([comparing.title_of(judged), *lines]))


def _judged(run_folder: Path, words: tuple[str, ...], baseline: Path | None) -> "Judgement":
    from contextlib import ExitStack

    from pipeline import yamls
    from pipeline.compare.gate import judge
    from pipeline.compare.pairs import opened
    from pipeline.compare.rules import read
    from pipeline.ontology import Ontology

    with ExitStack() as stack:
        run = stack.enter_context(opened(run_folder))
        names = Ontology.from_document(yamls.read(run_folder / "config.yaml"), ("ontology",)).names
        rules = read(words, names, baseline is not None)
        before = stack.enter_context(opened(baseline)) if baseline else None
        return judge(run, before, rules, names)
