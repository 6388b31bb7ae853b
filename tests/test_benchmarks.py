"""Benchmarks still run: each once on next to nothing. Their bars are not for here."""

import importlib
import json
import re
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
NAMES = sorted(path.stem for path in BENCHMARKS.glob("*.py"))
sys.path.append(str(BENCHMARKS))
import run  # noqa: E402

SLOW = dict.fromkeys(("florence2_recall", "memory_of_films", "pipeline_models"), pytest.mark.slow)


@pytest.fixture(autouse=True)
def on_the_path(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@pytest.mark.parametrize("name", [pytest.param(name, marks=SLOW.get(name, ())) for name in run.QUICK])
def test_a_benchmark_runs_and_keeps_its_figures(name, tmp_path, capsys):
    results = tmp_path / "results"
    assert importlib.import_module(name).main(**run.QUICK[name], results=results) in (0, 1)
    kept = json.loads((results / f"{name}.json").read_text())
    assert any({"at_most", "at_least"} & figure.keys() for figure in kept["figures"])
    assert kept["claim"] in capsys.readouterr().out
    assert str(Path.home()) not in json.dumps(kept)


def test_sizes_that_have_no_bars_are_measured(tmp_path, capsys):
    assert importlib.import_module("tracking_sizes").main(("small",), 1, tmp_path) == 0
    figures = json.loads((tmp_path / "tracking_sizes.json").read_text())["figures"]
    assert [each["what"] for each in figures if each["unit"] == "frames/s"][:2] == [
        "small, one core",
        "small, two cores",
    ]
    assert all(each["value"] > 0 for each in figures)
    assert len(figures) >= 6


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_imports(name):
    importlib.import_module(name)


@pytest.mark.parametrize(
    ("value", "bars", "holds"),
    [
        (1.0, {}, True),  # no bar
        (1.0, {"at_most": 1.0}, True),
        (1.1, {"at_most": 1.0}, False),
        (0.97, {"at_least": 0.97}, True),
        (0.96, {"at_least": 0.97}, False),
    ],
)
def test_a_bar(value, bars, holds, tmp_path, capsys):
    bench = importlib.import_module("bench")
    assert bench.conclude("it", "a claim", [bench.Figure("what", value, "s", **bars)], tmp_path) == (0 if holds else 1)
    assert ("DOES NOT HOLD" in capsys.readouterr().out) is not holds
    assert json.loads((tmp_path / "it.json").read_text())["holds"] is holds


def test_the_readme_has_a_line_for_every_benchmark():
    for name in set(NAMES) - set(run.SHARED):
        file, claim, figures, _ = run.line(name).strip("|\n").split(" | ")
        assert name in file
        assert claim.endswith(".")
        assert figures


def test_the_readme_is_made_of_the_figures_kept(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(run, "HERE", tmp_path)
    monkeypatch.setattr(run, "RESULTS", tmp_path / "results")
    (tmp_path / "one.py").write_text('"""A claim.\n\nMore words."""\n')
    importlib.import_module("bench").conclude("one", "c", [bar("ratio", 0.9), bar("share", 0.99)], tmp_path / "results")
    assert run.main(["--page"]) == 0
    page = (tmp_path / "README.md").read_text("utf-8")
    said = "ratio 0.9 (at least 0.97: does not hold); share 0.99 (at least 0.97)"
    assert f"| [one](one.py) | A claim. | {said} | " in page
    assert "\nMeasured on: " in page


def bar(what, value):
    return importlib.import_module("bench").Figure(what, value, "", at_least=0.97)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--help"], 0, "--quick"),
        (["memroy"], 2, "no benchmark memroy; have boxes_of_a_picture, "),
        (["kills", "--quick"], 2, "no benchmark kills --quick; have boxes_of_a_picture, "),
    ],
)
def test_asking_for_benchmarks(words, code, said, capsys):
    with pytest.raises(SystemExit) as ended:
        run.main(words)
    assert ended.value.code == code
    assert said in "".join(capsys.readouterr())


def test_quick_keeps_nothing(capfd):
    before = {path: path.stat().st_mtime_ns for path in BENCHMARKS.rglob("*.[jm]*")}
    assert run.main(["export", "--quick"]) == 0
    assert re.search(r"^export: (.|\n)*\nexport +\d+ s  ran\n$", capfd.readouterr().out, re.MULTILINE)
    assert {path: path.stat().st_mtime_ns for path in BENCHMARKS.rglob("*.[jm]*")} == before
