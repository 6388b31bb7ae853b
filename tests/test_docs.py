"""What the documents tell people to write and to type works."""

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipeline import cli
from pipeline.config import load
from pipeline.ontology import Ontology

HOME = Path(__file__).parents[1]
README, BACKENDS, FILMS = HOME / "README.md", HOME / "docs/add-a-backend.md", HOME / "docs/films.md"


def blocks(document, language):
    return re.findall(rf"```{language}\n(.*?)```", document.read_text(encoding="utf-8"), re.DOTALL)


def typed(*words):
    result = CliRunner().invoke(cli.main, words)
    assert result.exit_code == 0, result.stderr
    return result


def test_the_backend_of_the_page_runs_as_the_page_says(monkeypatch):
    (code,) = blocks(BACKENDS, "python")
    Path("blobs.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(".")
    typed("demo", "--pictures", "2", "--films", "0")
    command = re.search(r"^masklet (run demo .*)$", BACKENDS.read_text(encoding="utf-8"), re.MULTILINE)[1]
    assert re.search(r"^pictures +2 of 2 files$", typed(*command.split(), "--out", "blobs").stdout, re.MULTILINE)


def test_the_ontology_of_the_readme():
    (text,) = blocks(README, "yaml")
    Path("toys.yaml").write_text(text, encoding="utf-8")
    toys = Ontology.parse("toys.yaml")
    assert toys.names == ("dog", "cat", "goalkeeper")
    assert toys.numbers() == {"dog": 1, "cat": 2, "goalkeeper": 7, "ball": 3}


@pytest.mark.parametrize(
    "document",
    [
        README,
        BACKENDS,
        HOME / "docs/architecture.md",
        HOME / "docs/models.md",
        HOME / "docs/datasets.md",
        FILMS,
        HOME / "docs/ci.md",
        HOME / "docs/corrections.md",
        HOME / "docs/refresh.md",
        HOME / "docs/quickstart.md",
        HOME / "docs/adding-a-class.md",
        HOME / "docs/labelling-a-folder.md",
        HOME / "docs/many-machines.md",
        HOME / "docs/report.md",
        HOME / "docs/python.md",
        HOME / "docs/round-trips.md",
        HOME / "benchmarks/README.md",
    ],
)
def test_links_lead_somewhere(document):
    links = re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8"))
    assert [link for link in links if "://" not in link and not (document.parent / link).exists()] == []


@pytest.mark.parametrize("path", sorted((HOME / "configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_config_that_ships_is_sound_and_says_how_to_run_it(path):
    load(path, [] if "\nontology:" in path.read_text(encoding="utf-8") else ["ontology=dog"])
    assert run_commands(path)


def run_commands(document):
    """The commands to run something that a document shows, in full."""
    text = document.read_text(encoding="utf-8").replace("\\\n#", "").replace("\\\n", "")
    return [
        line for line in re.findall(r"^(?:#   )?masklet ((?:run|demo)\b.*)$", text, re.MULTILINE) if "..." not in line
    ]


SHOWN = [
    (path, line) for path in (README, FILMS, *sorted((HOME / "configs").glob("*.yaml"))) for line in run_commands(path)
]


@pytest.mark.parametrize(("document", "line"), SHOWN, ids=[f"{path.stem}: {line}" for path, line in SHOWN])
def test_every_command_that_is_shown_means_something(document, line):
    for folder in ("photos", "films"):
        Path(folder).mkdir()
    verb, *words = shlex.split(line, comments=True)
    result = CliRunner().invoke(cli.main, ["plan", *words] if verb == "run" else [verb, "--help"])
    assert result.exit_code in (0, 11), result.stderr  # 11: understood, and the model is not on this machine
