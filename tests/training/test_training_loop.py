import json
import shutil
import sys
from pathlib import Path

import pytest
import torch

from training import florence2, loop, owlv2, sam2


@pytest.fixture(autouse=True)
def as_many_threads_as_before():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def run(module, monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["training", "--steps", "100", "--batch", "1", *words])
    module.main()


def weights(name):
    return torch.load(Path("outputs/training") / name / "state.pt", weights_only=True)["model"]


@pytest.mark.parametrize(
    ("module", "options"),
    [
        (owlv2, ()),
        (florence2, ()),
        (sam2, ("--clips-from", "1", "--clips", "1")),  # a picture and a clip
    ],
)
def test_a_run_taken_up_again_is_the_run_that_never_stopped(module, options, monkeypatch, capsys):
    run(module, monkeypatch, "--name", "whole", "--until", "2", *options)
    for until in ("1", "2"):
        run(module, monkeypatch, "--name", "parts", "--until", until, *options)
    whole, parts = weights("whole"), weights("parts")
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[key], parts[key]) for key in whole)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert [line["step"] for line in lines] == [2, 1, 2]


def test_a_state_that_was_kept_is_gone_on_from(monkeypatch, capsys):
    monkeypatch.setattr(loop, "KEPT", Path("kept"))
    for words in (("--until", "1"), ("--keep",)):
        run(owlv2, monkeypatch, "--name", "run", *words)
    shutil.rmtree("outputs")  # another machine
    run(owlv2, monkeypatch, "--name", "run", "--until", "2")
    run(owlv2, monkeypatch, "--name", "whole", "--until", "2")
    whole, again = weights("whole"), weights("run")
    apart = max((whole[key] - again[key]).abs().max() for key in whole)
    assert apart < 1e-5, apart  # moments were bfloat16; without them it is 3e-5
    lines = [json.loads(line) for line in Path("outputs/training/run/curve.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2]


@pytest.mark.parametrize(
    ("step", "share"),
    [
        (0, 0.1),  # the first of ten steps up
        (9, 1.0),
        (50, 1.0),  # level
        (75, 1.0),
        (80, 0.8),  # down over the last quarter
        (99, 0.04),
        (100, 0.01),  # never zero
    ],
)
def test_the_rate_of_a_step(step, share):
    assert loop.rate(step, loop.Plan(steps=100, lr=2.0, warmup=10)) == pytest.approx(2.0 * share)


def test_a_part_that_not_every_step_has_is_averaged_over_those_that_have_it():
    assert loop.means([{"loss": 1.0, "film": 4.0}, {"loss": 2.0}]) == {"loss": 1.5, "film": 4.0}


def test_matrices_decay_and_nothing_else():
    optimizer = loop.optimizer_of(torch.nn.Linear(3, 2), loop.Plan(steps=1, lr=1.0))
    assert [(len(group["params"]), group["weight_decay"]) for group in optimizer.param_groups] == [(1, 0.05), (1, 0.0)]
