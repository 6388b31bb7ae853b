"""What commands ask for: a run to be made, a run that is there, results for machines."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.errors import UnknownName, nearest

if TYPE_CHECKING:
    from pipeline.config import Config
    from pipeline.partition import Part
    from pipeline.store import Store

SUFFIXES = (".yaml", ".yml")
"""How the name of a config may end."""

AS_JSON = click.option("--json", "as_json", is_flag=True, help="Results for machines, on stdout.")
RUN = click.argument(
    "run_folder",
    metavar="RUN",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    callback=lambda _, __, folder: _a_run(folder),
)


def _a_run(folder: Path) -> Path:
    from pipeline.database import a_run

    return a_run(folder)


def about_the_run(command: Any) -> Any:
    """The arguments that say what a run is."""
    for option in (
        click.argument("words", nargs=-1, metavar="[CONFIG] [SOURCE] [KEY=VALUE]..."),
        click.option(
            "--source", metavar="PATH", help="The source, said otherwise: a folder, a file, or a list of files."
        ),
        click.option(
            "--ontology", metavar="FILE|WORDS", help="A YAML file, a name that masklet carries, or 'dog, cat'."
        ),
        click.option("--out", metavar="DIR", help="Where the run lives. [outputs/NAME-OF-CONFIG, else -OF-SOURCE]"),
        click.option("--limit", type=click.IntRange(1), metavar="N", help="Only the first N pictures and films."),
        AS_JSON,
    ):
        command = option(command)
    return command


def asked_for(
    words: tuple[str, ...], source: str | None, ontology: str | None, out: str | None, part: "Part | None" = None
) -> "tuple[Config, Path]":
    """The configuration that a command line means, and the run's folder; parts of a run have one each."""
    from pipeline.config import DEFAULT, load

    overrides = [word for word in words if "=" in word]
    names = [word for word in words if "=" not in word]
    configs = [name for name in names if not _is_source(name)]
    places = [name for name in names if _is_source(name)] + ([source] if source is not None else [])
    if not (configs or places):
        raise click.UsageError("name a source, a config or both, as in: masklet run photos/ --ontology 'dog, cat'")
    _are_there(configs)
    for what, many in (("config", configs), ("source (a folder, a file, or a .txt with one path a line)", places)):
        if len(many) > 1:
            raise click.UsageError(f"name one {what}; there are {len(many)}: {many[0]}, {many[1]}...")
    overrides += [f"source.path={json.dumps(place)}" for place in places]
    if ontology is not None:
        mapping = ontology.lstrip().startswith("{")  # YAML, as in '{dog: {threshold: 0.5}}'
        overrides.append(f"ontology={ontology if mapping else json.dumps(ontology)}")
    config = load(configs[0] if configs else DEFAULT, overrides)
    own = f"-part-{part.number}-of-{part.of}" if part else ""
    return config, Path(out) if out else Path("outputs") / f"{Path([*configs, *places][0]).absolute().stem}{own}"


def _is_source(name: str) -> bool:
    """Whether a word on the command line is a place of pictures: it is there, and no config has its name."""
    from pipeline.shipped import candidates

    if name.endswith(SUFFIXES) or not Path(name).exists():
        return False
    return name.endswith("/") or not any(file.suffix in SUFFIXES for file in candidates(name, "configs", SUFFIXES))


def _are_there(configs: list[str]) -> None:
    """Raise `UnknownName` for a word that is no place and no config, with the nearest of both."""
    from pipeline.shipped import candidates, shipped

    for name in configs:
        if not any(candidates(name, "configs", SUFFIXES)):
            beside = [path.name for path in Path(name).parent.glob("*")]
            close = nearest(Path(name).name, [*beside, *shipped("configs")])
            raise UnknownName(f"{name}: no such folder or file, and no config (`masklet ls` has them){close}")


def store_of(run_folder: Path) -> "Store":
    """The store of a run; raises `ConfigError` where there is none."""
    from pipeline.store import Store

    return Store(_a_run(run_folder) / "run.db", read_only=True)


def warn(config: "Config", place: Path | None = None) -> list[str]:
    """Say on stderr what is allowed and probably not meant."""
    from pipeline.report.warn import warnings

    said = warnings(config, place)
    for warning in said:
        click.echo(f"masklet: warning: {warning}", err=True)
    return said
