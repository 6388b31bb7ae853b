"""Benchmarks still run: each once on next to nothing. Their bars are not for here."""

import importlib
import json
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
NAMES = sorted(path.stem for path in BENCHMARKS.glob("*.py"))


@pytest.fixture(autouse=True)
def on_the_path(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@pytest.mark.parametrize(
    ("name", "small"),
    [
        ("boxes_of_a_picture", {"size": "small", "rounds": 1}),
        ("calibrate", {"learn": 4, "others": 2}),
        ("decoder_boxes", {"size": "small", "boxes": 8, "repeats": 1}),
        ("florence2_classes", {"size": "small", "rounds": 1}),
        ("masks_to_codes", {"size_hw": (90, 120), "repeats": 1}),
        ("cpu_a_picture", {"pictures": 16, "size_hw": (90, 120)}),
        ("export", {"pictures": 2, "repeats": 1}),
        ("memory", {"few": 2, "many": 4}),
        pytest.param(*("memory_of_films", {"frames": 48, "few": 41, "theirs": 19, "live": 19}), marks=pytest.mark.slow),
        ("near_duplicates", {"scenes": 2, "photos": 0, "counts": (500,)}),
        ("pipeline_ratio", {"pictures": 8, "rounds": 1, "least": {(90, 120): 0.5}}),
        ("startup", {"pictures": 2, "repeats": 1}),
        ("toy_films", {"films": 1, "matches": 1, "frames": 9}),
        ("tracking_objects", {"size": "small", "objects": (1, 2), "rounds": 1}),
        ("verify", {"pictures": 2}),
    ],
)
def test_a_benchmark_runs_and_keeps_its_figures(name, small, tmp_path, capsys):
    results = tmp_path / "results"
    assert importlib.import_module(name).main(**small, results=results) in (0, 1)
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
    run = importlib.import_module("run")
    for name in set(NAMES) - set(run.SHARED):
        file, claim, figures = run.line(name).strip("|\n").split(" | ")
        assert name in file
        assert claim.endswith(".")
        assert figures
