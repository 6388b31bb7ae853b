"""How long a run will take, from how fast the last one was."""

import asking
import pytest

from pipeline import dedupe
from pipeline.jobs import Answer
from pipeline.ontology import Category, Ontology
from pipeline.outcome import known_rates, write_summary
from pipeline.pace import Pace, seconds_for
from pipeline.plan import Work
from pipeline.report.summary import show_work
from pipeline.seams import Device
from pipeline.stages import Dedupe, Detect

DETECT = Detect(asking.Independent(), Ontology((Category(name="dog"),)), Device())
OTHER = Detect(asking.Independent(weights="other"), Ontology((Category(name="dog"),)), Device())
STAGES = [DETECT, Dedupe(dedupe.Rules())]
MODEL = DETECT.scope[:16]


def spent(detect, dedupe_, pictures=10, asked=10):
    return Answer(
        seconds={"detect": detect, "dedupe": dedupe_},
        pictures={"detect": pictures, "dedupe": pictures},
        asked={"detect": asked},
    )


def rates(workers, *answers):
    """The rates after answers that came at these times."""
    times = iter([0.0, *(when for when, _ in answers)])
    pace = Pace(workers, lambda: next(times))
    for _, answer in answers:
        pace.answered(answer)
    return {name: rate["per_s"] for name, rate in pace.rates(STAGES).items()}


@pytest.mark.parametrize(
    ("workers", "answers", "expected"),
    [
        (1, [], {}),
        (1, [(5, spent(4, 1))], {"detect": 2.5, "dedupe": 10}),  # 10 pictures in 4 of 5 s
        (1, [(60, spent(59, 1)), (65, spent(4, 1))], {"detect": 2.5, "dedupe": 10}),  # the first opens the model
        (2, [(9, spent(8, 1)), (10, spent(8, 1)), (12.5, spent(4, 1))], {"detect": 5, "dedupe": 20}),  # two at once
        (1, [(1, spent(1, 1)), (6, spent(4, 1, asked=0))], {"dedupe": 10}),  # remembered: that is no rate
        (1, [(1, spent(1, 1)), (6, spent(4, 1, asked=5))], {"detect": 1.25, "dedupe": 10}),
    ],
)
def test_rates(workers, answers, expected):
    assert rates(workers, *answers) == expected


def work(detect=0, asked=0, dedupe_=0, exact=True):
    out = Work(100)
    if detect:
        out.add(DETECT, detect, asked, exact)
    if dedupe_:
        out.add(STAGES[1], dedupe_, 0, exact)
    return out


KNOWN = {"detect": {"per_s": 2.0, "model": MODEL}, "dedupe": {"per_s": 50.0, "model": ""}}


@pytest.mark.parametrize(
    ("todo", "known", "seconds"),
    [
        (work(), {}, 0),
        (work(100, 100, 100), KNOWN, 52),
        (work(100, 10, 100), KNOWN, 7),  # the others are remembered
        (work(100, 0, 100), {"dedupe": KNOWN["dedupe"]}, 2),  # a model that is not asked needs no rate
        (work(100, 1, 100), {"dedupe": KNOWN["dedupe"]}, None),
        (work(100, 100), KNOWN | {"detect": {"per_s": 2.0, "model": "another"}}, None),
    ],
)
def test_an_estimate(todo, known, seconds):
    assert seconds_for(todo, STAGES, known) == seconds


def test_another_model_has_no_rate():
    assert seconds_for(work(100, 100), [OTHER, STAGES[1]], KNOWN) is None


@pytest.mark.parametrize(
    ("todo", "seconds", "line"),
    [
        (work(100, 100), None, None),
        (work(), 0, None),
        (work(360, 360), 171.4, "about 3 min at the last run's 2.1 pictures a second"),
        (work(360, 360, exact=False), 171.4, "at most about 3 min at the last run's 2.1 pictures a second"),
        (work(dedupe_=100), 0.01, "less than a second"),
    ],
)
def test_what_a_plan_says_of_it(todo, seconds, line):
    last = show_work(todo, False, seconds).splitlines()[-1]
    assert (last == line) if line else ("second" not in last)


def test_rates_are_a_runs_own_or_those_of_runs_that_it_reuses(tmp_path):
    for run, said in {"own": {"detect": 1}, "first": {"detect": 2, "track": 2}, "second": {"track": 3, "x": 3}}.items():
        (tmp_path / run).mkdir()
        write_summary(tmp_path / run, {"rates": said})
    assert known_rates(tmp_path / "own", [tmp_path / "first", tmp_path / "second"]) == {"detect": 1, "track": 2, "x": 3}
    assert known_rates(tmp_path / "nowhere") == {}
