"""The command line: parse, call, print. The only place that catches our errors and turns them into exit codes.

Imports wait until a command needs them: `masklet --help` costs no more than click. Results go to stdout, words for
people to stderr.
"""

import errno
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline import __version__
from pipeline.errors import CheckFailed, ConfigError, MaskletError

if TYPE_CHECKING:
    from pipeline.config import Config
    from pipeline.store import Store

DEFAULT_CONFIG = "florence2_sam2"
"""What a run is, where no config is named."""

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


class Edge(click.Group):
    """The group at which an error of ours becomes its message and its exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except MaskletError as error:
            for line in str(error).splitlines() or [type(error).__name__]:
                click.echo(f"masklet: {line}", err=True)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo("masklet: stopped", err=True)
            ctx.exit(130)
        except Exception as error:
            if type(error).__module__ == "sqlite3":
                click.echo(f"masklet: run.db cannot be used: {error}; it is only a cache, delete it", err=True)
                ctx.exit(1)
            if getattr(error, "errno", None) == errno.ENOSPC:
                click.echo("masklet: the disk is full; make room and run the same command again", err=True)
                ctx.exit(12)
            if isinstance(error, OSError) and error.filename:
                click.echo(f"masklet: {error.filename}: {error.strerror}", err=True)
                ctx.exit(2)
            raise


@click.group(cls=Edge, context_settings=CONTEXT)
@click.version_option(__version__, prog_name="masklet")
def main() -> None:
    """Words in, training datasets out.

    masklet turns a folder of pictures and an ontology (classes, and the words for them) into a dataset with masks.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small matrices; more threads only spin
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # to look for them opens every installed package
    if "" not in sys.path:
        sys.path.insert(0, "")  # a config may name module:Class from the working folder


def _about_the_run(command: Any) -> Any:
    """The arguments that say what a run is."""
    for option in (
        click.argument("words", nargs=-1, metavar="[CONFIG] [SOURCE] [KEY=VALUE]..."),
        click.option(
            "--source", metavar="PATH", help="The source, said otherwise: a folder of pictures, one, or a list."
        ),
        click.option(
            "--ontology", metavar="FILE|WORDS", help="A YAML file, a name that masklet carries, or 'dog, cat'."
        ),
        click.option("--out", metavar="DIR", help="Where the run lives. [outputs/NAME-OF-CONFIG, else -OF-SOURCE]"),
        click.option("--limit", type=click.IntRange(1), metavar="N", help="Only the first N pictures."),
        click.option("--json", "as_json", is_flag=True, help="Results for machines, on stdout."),
    ):
        command = option(command)
    return command


def _asked_for(
    words: tuple[str, ...], source: str | None, ontology: str | None, out: str | None
) -> "tuple[Config, Path]":
    """The configuration that a command line means, and the run's folder."""
    from pipeline.config import load

    overrides = [word for word in words if "=" in word]
    names = [word for word in words if "=" not in word]
    configs = [name for name in names if not _is_source(name)]
    places = [name for name in names if _is_source(name)] + ([source] if source is not None else [])
    if len(configs) > 1 or len(places) > 1 or not (configs or places):
        raise click.UsageError("name a source, a config or both, as in: masklet run photos/ --ontology 'dog, cat'")
    overrides += [f"source.path={json.dumps(place)}" for place in places]
    if ontology is not None:
        overrides.append(f"ontology={json.dumps(ontology)}")
    config = load(configs[0] if configs else DEFAULT_CONFIG, overrides)
    return config, Path(out) if out else Path("outputs") / Path([*configs, *places][0]).absolute().stem


def _is_source(name: str) -> bool:
    """Whether a word on the command line is a place of pictures: it is there, and no config has its name."""
    from pipeline.shipped import candidates

    suffixes = (".yaml", ".yml")
    if name.endswith(suffixes) or not Path(name).exists():
        return False
    return name.endswith("/") or not any(file.suffix in suffixes for file in candidates(name, "configs", suffixes))


@main.command()
@_about_the_run
@click.option("--reuse", multiple=True, metavar="RUN", help="Look results up in another run too (repeatable).")
@click.option("--workers", type=click.IntRange(1), metavar="N", help="Processes. [run.workers]")
@click.option("--max-quarantined", type=click.IntRange(0), metavar="N", help="Exit 3 if more pictures are set aside.")
@click.option("--fail-on-empty", is_flag=True, help="Exit 4 if there is no picture.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing: as `masklet plan`.")
def run(
    words: tuple[str, ...],
    source: str | None,
    ontology: str | None,
    out: str | None,
    limit: int | None,
    as_json: bool,
    reuse: tuple[str, ...],
    workers: int | None,
    max_quarantined: int | None,
    fail_on_empty: bool,
    dry_run: bool,
) -> None:
    """Label pictures and write a dataset. The same command again goes on where it stopped."""
    from pipeline import engine
    from pipeline.progress import Progress
    from pipeline.quiet import library_noise_to
    from pipeline.report.summary import judge, show

    if workers is not None:
        words = (*words, f"run.workers={workers}")
    config, place = _asked_for(words, source, ontology, out)
    if dry_run:
        _show_plan(config, place, limit, as_json)
        return
    _warn(config)
    with library_noise_to(place / "libraries.log"), Progress() as progress:
        summary = engine.run(config, place, [Path(other) for other in reuse], limit, progress)
    click.echo(json.dumps(summary.to_json(), ensure_ascii=False) if as_json else show(summary, place))
    judge(summary, place, max_quarantined, fail_on_empty)


@main.command()
@_about_the_run
def plan(
    words: tuple[str, ...], source: str | None, ontology: str | None, out: str | None, limit: int | None, as_json: bool
) -> None:
    """Say what a run would compute, and what is known already."""
    config, place = _asked_for(words, source, ontology, out)
    _show_plan(config, place, limit, as_json)


@main.command()
@_about_the_run
def check(
    words: tuple[str, ...], source: str | None, ontology: str | None, out: str | None, limit: int | None, as_json: bool
) -> None:
    """Check a configuration, its models and its source, without computing anything."""
    from pipeline import sources
    from pipeline.report.summary import table

    config, place = _asked_for(words, source, ontology, out)
    stages = config.stages()
    for stage in stages:
        stage.identity()  # needs every file of weights
    files = sources.files(config.source, apart_from=place)[:limit]
    warnings = _warn(config, place)
    said = {
        "source": f"{config.source.path}: {len(files)} files",
        "classes": ", ".join(f"{number} {name}" for name, number in config.ontology.numbers().items()),
        "detect": config.backends["detect"],
        "segment": config.backends["segment"],
        "device": f"{config.run.on.name}, {config.run.threads} thread(s)",
        "formats": ", ".join(config.export.formats),
        "out": str(place),
    }
    click.echo(json.dumps({**said, "warnings": warnings}) if as_json else table("ready to run", list(said.items())))


@main.command()
@click.argument("run_folder", metavar="RUN", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--ledger", is_flag=True, help="List everything that did not reach the dataset, and why.")
@click.option("--json", "as_json", is_flag=True, help="Results for machines, on stdout.")
def status(run_folder: Path, ledger: bool, as_json: bool) -> None:
    """Say what a run has, and what was set aside."""
    from pipeline.engine import read_summary
    from pipeline.report.summary import show_ledger, show_status

    with _store_of(run_folder) as store:
        if ledger:
            for line in show_ledger(store, as_json):
                click.echo(line)
        else:
            click.echo(show_status(run_folder, store, read_summary(run_folder), as_json))


@main.command()
@click.argument("run_folder", metavar="RUN", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--format", "name", required=True, metavar="NAME", help="A format: see `masklet ls`.")
@click.option("--json", "as_json", is_flag=True, help="Results for machines, on stdout.")
def export(run_folder: Path, name: str, as_json: bool) -> None:
    """Write a run's records as a dataset, once more or in another format."""
    from pipeline import engine
    from pipeline.config import load
    from pipeline.report.summary import fidelity_rows, table

    config = load(run_folder / "config.yaml", [f"export.formats=[{json.dumps(name)}]"])
    exported = engine.export_again(config, run_folder, name)
    rows = [(key, str(exported[key])) for key in ("place", "pictures", "objects")] + fidelity_rows(exported)
    click.echo(json.dumps(exported) if as_json else table(f"wrote {name}", rows))


@main.command()
@click.argument("dataset", type=click.Path(exists=True, path_type=Path))
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--to", required=True, metavar="FORMAT", help="The format to write: see `masklet ls`.")
@click.option("--from", "was", metavar="FORMAT", help="The dataset's own format. [told by its files]")
@click.option("--hard-link", is_flag=True, help="Pictures share their bytes with the old dataset's.")
@click.option("--json", "as_json", is_flag=True, help="Results for machines, on stdout.")
def convert(dataset: Path, out: Path, to: str, was: str | None, hard_link: bool, as_json: bool) -> None:
    """Write a dataset in another format, read it back, and say what differs. No model runs."""
    from dataclasses import asdict

    from pipeline import convert as conversion
    from pipeline.process import ending_at_sigterm
    from pipeline.quiet import library_noise_to
    from pipeline.report.datasets import problem_lines, show_converted

    out = out if out.name else out.resolve()
    with ending_at_sigterm(), library_noise_to(out.parent / f"{out.name}.libraries.log"):
        done = conversion.convert(dataset, out, to, was, hard_link)
    said = asdict(done.exported)
    click.echo(json.dumps(asdict(done), ensure_ascii=False) if as_json else show_converted(done, said))
    for line in problem_lines(done.problems):
        click.echo(f"masklet: left out: {line}", err=True)
    if done.problems:
        raise CheckFailed(f"{dataset}: {_count(done.problems, 'thing')} could not be taken over; all else is in {out}")


@main.command()
@click.argument("dataset", type=click.Path(exists=True, path_type=Path))
@click.option("--from", "name", metavar="FORMAT", help="The dataset's format. [told by its files]")
@click.option("--json", "as_json", is_flag=True, help="Results for machines, on stdout.")
def validate(dataset: Path, name: str | None, as_json: bool) -> None:
    """Say what training would trip over in a dataset, where, and how to mend it."""
    from pipeline import validate as validation
    from pipeline.report.datasets import show_validated

    said = validation.validate(dataset, name)
    click.echo(json.dumps(said.to_json(), ensure_ascii=False) if as_json else show_validated(said))
    if said.problems:
        raise CheckFailed(f"{dataset}: {_count(said.problems, 'problem')}")


@main.command()
@click.argument("run_folder", metavar="RUN", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--truth", required=True, metavar="COCO.json", help="A COCO file or dataset with the truth.")
@click.option("--json", "as_json", is_flag=True, help="Results for machines, on stdout.")
def evaluate(run_folder: Path, truth: str, as_json: bool) -> None:
    """Measure a run against truth: AP, AP50 and AR of the detector's boxes, the masks' boxes, and the masks."""
    from pipeline.config import load
    from pipeline.evaluate.of_run import evaluate_run
    from pipeline.report.summary import show_scores

    config = load(run_folder / "config.yaml")
    with _store_of(run_folder) as store:
        scores = evaluate_run(config, store, Path(truth))
    click.echo(json.dumps(scores, ensure_ascii=False) if as_json else show_scores(scores))


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Results for machines, on stdout.")
def ls(as_json: bool) -> None:
    """List what can be named: detectors, segmenters, formats, configs, ontologies."""
    from pipeline.detectors import DETECTORS
    from pipeline.formats import FORMATS
    from pipeline.report.summary import table
    from pipeline.segmenters import SEGMENTERS
    from pipeline.shipped import shipped

    names = {
        "detectors": sorted(DETECTORS),
        "segmenters": sorted(SEGMENTERS),
        "formats": sorted(FORMATS),
        "configs": shipped("configs"),
        "ontologies": shipped("ontologies"),
    }
    rows = [(kind, ", ".join(known)) for kind, known in names.items()]
    click.echo(json.dumps(names) if as_json else table("what can be named", rows))


@main.command()
@click.option("--out", default="outputs/demo", show_default=True, metavar="DIR", help="Where the demo lives.")
@click.option("--pictures", default=32, show_default=True, type=click.IntRange(1, 10_000), help="Scenes to draw.")
@click.option("--seed", default=1, show_default=True, help="The same seed draws the same scenes.")
@click.option("--json", "as_json", is_flag=True, help="Results for machines, on stdout.")
def demo(out: str, pictures: int, seed: int, as_json: bool) -> None:
    """Draw pictures, label them from words, and measure how right it is, beside GrabCut. Offline, in seconds."""
    from pipeline import engine, toyworld
    from pipeline.config import load
    from pipeline.evaluate.of_run import evaluate_run
    from pipeline.progress import Progress
    from pipeline.quiet import library_noise_to
    from pipeline.report.summary import show, show_scores

    place, scenes = Path(out), Path(out) / "scenes"
    toyworld.write(scenes, seed, pictures)
    truth = scenes / "truth.json"
    overrides = [f"source.path={json.dumps(str(scenes / 'images'))}"]
    config = load("demo", overrides)
    baseline = load("demo", [*overrides, "segment={backend: grabcut}"])
    with library_noise_to(place / "libraries.log"), Progress() as progress:
        summary = engine.run(config, place, watch=progress)
        engine.run(baseline, place / "grabcut", [place], watch=progress)
    with _store_of(place) as store:
        scores = evaluate_run(config, store, truth)
    with _store_of(place / "grabcut") as store:
        simple = evaluate_run(baseline, store, truth)
    if as_json:
        said = {"summary": summary.to_json(), "scores": scores, "grabcut": simple}
        click.echo(json.dumps(said, ensure_ascii=False))
    else:
        click.echo(show(summary, place) + "\n" + show_scores(scores, {"mask of GrabCut": simple["kinds"]["mask"]}))


def _count(things: Sequence[object], word: str) -> str:
    return f"{len(things)} {word}{'' if len(things) == 1 else 's'}"


def _store_of(run_folder: Path) -> "Store":
    from pipeline.store import Store

    if not (run_folder / "run.db").is_file():
        raise ConfigError(f"{run_folder}: no run.db there; name the folder of a run")
    return Store(run_folder / "run.db")


def _warn(config: "Config", place: Path | None = None) -> list[str]:
    """Say on stderr what is allowed and probably not meant."""
    from pipeline.report.warn import warnings

    said = warnings(config, place)
    for warning in said:
        click.echo(f"masklet: warning: {warning}", err=True)
    return said


def _show_plan(config: "Config", place: Path, limit: int | None, as_json: bool) -> None:
    from pipeline.plan import outlook, survey
    from pipeline.report.summary import show_work
    from pipeline.store import Store

    db = place / "run.db"
    store = Store(None, [db] if db.is_file() else [])
    work = outlook(survey(config, store, place, limit), config.stages(), store)
    click.echo(show_work(work, as_json))
