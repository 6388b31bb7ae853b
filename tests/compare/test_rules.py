"""Rules from a file and the command line, and every problem of them at once."""

from pathlib import Path

import pytest

from pipeline.compare.checks import CHECKS
from pipeline.compare.rules import AGAINST_BASELINE, AGAINST_TRUTH, BY_CLASS, NIGHTLY, SETTINGS, Rules, read
from pipeline.errors import ConfigError

CLASSES = ("dog", "cat", "traffic light")


def given(words, baseline=True, **files):
    for name, text in files.items():
        Path(f"{name}.yaml").write_text(text)
    return read(words, CLASSES, baseline)


@pytest.mark.parametrize(
    ("words", "file", "asked"),
    [
        ([], "", dict(NIGHTLY)),
        (["count_from=3"], "", dict(NIGHTLY)),  # how, and not what
        (["empty_rate=0.2"], "", {"empty_rate": 0.2}),  # a rule, and those of every night are not meant
        (["gate.yaml"], "count_drop: 10", {"count_drop": 10}),
        (["gate.yaml", "count_drop=20"], "count_drop: 10", {"count_drop": 20}),
        (["count_drop=20", "gate.yaml"], "count_drop: 10", {"count_drop": 20}),  # whatever the order
        (["gate.yaml", "min_count.cat=2"], "min_count: {dog: 1}", {"min_count": {"dog": 1, "cat": 2}}),
        (["min_count={dog: 1, traffic light: 2}"], "", {"min_count": {"dog": 1, "traffic light": 2}}),
        (["min_count.traffic light=2"], "", {"min_count": {"traffic light": 2}}),
        (["gate.yaml", "count_drop=null"], "count_drop: 10\nvanished: 0", {"vanished": 0}),
        (["vanished=0", "quarantined=0"], "", {"vanished": 0, "quarantined": 0}),  # no limit is not 0
        (["ap50=0.5", "truth=truth.json"], "", {"ap50": 0.5}),
    ],
)
def test_what_is_asked(words, file, asked):
    rules = given(words, gate=file)
    assert {name: getattr(rules, name) for name in rules.asked()} == asked


@pytest.mark.parametrize(
    ("words", "file", "said"),
    [
        (["emty_rate=1"], "", ["emty_rate=1: emty_rate: unknown key; did you mean empty_rate?"]),
        (["empty_rate=20"], "", ["empty_rate=20: empty_rate: input should be less than or equal to 1 (got 20)"]),
        (["min_count.dgo=1"], "", ["min_count.dgo=1: min_count.dgo: the run has no such class; did you mean dog?"]),
        (["min_count=3"], "", ["min_count=3: min_count: input should be a valid dictionary (got 3)"]),
        (["min_count=3", "min_count.dog=1"], "", ["min_count.dog=1: min_count is 3, which has nothing below it"]),
        (["ap50=0.5"], "", ["ap50=0.5: ap50: needs truth=PATH"]),
        (["gate.yml"], "", ["gate.yml: no such file; write KEY=VALUE, or name a YAML file of rules"]),
        (
            ["gate.yaml", "b.yaml"],
            "",
            ["gate.yaml, b.yaml: want one file of rules; put them into one, or write KEY=VALUE"],
        ),
        (["gate.yaml"], "- 1", ["gate.yaml: want rules, as in `count_drop: 30`, got [1]"]),
        (["gate.yaml", "a=1"], "- 1", ["gate.yaml: want rules, as in `count_drop: 30`, got [1]"]),
        (
            ["gate.yaml", "quarantined=-1"],
            "vanishd: 0\ncount_drop: x\nmax_count: {dog: 1, car: 2}\nj_and_f: 0.5",
            [
                "gate.yaml:2: count_drop: input should be a valid number, unable to parse string as a number (got 'x')",
                "quarantined=-1: quarantined: input should be greater than or equal to 0 (got -1)",
                "gate.yaml:1: vanishd: unknown key; did you mean vanished?",
                "gate.yaml:4: j_and_f: needs truth=PATH",
                "gate.yaml:3: max_count.car: the run has no such class; did you mean cat?",
            ],
        ),
    ],
)
def test_every_problem_at_once(words, file, said):
    with pytest.raises(ConfigError) as caught:
        given(words, gate=file)
    assert sorted(caught.value.problems) == sorted(said)


def test_without_a_baseline():
    with pytest.raises(
        ConfigError, match=r"no rule, and no --baseline to compare with; .*\(min_pictures, .*empty_rate="
    ):
        given([], baseline=False)
    with pytest.raises(ConfigError) as caught:
        given(["vanished=0", "empty_rate=0.1", "count_drop=3"], baseline=False)
    assert caught.value.problems == [
        "count_drop=3: count_drop: needs --baseline RUN",
        "vanished=0: vanished: needs --baseline RUN",
    ]
    assert given(["empty_rate=0.1"], baseline=False).asked() == ["empty_rate"]


def test_every_rule_is_checked_and_described():
    """In the model, in the checks, in docs/ci.md: the same rules."""
    rules = [name for name in Rules.model_fields if name not in SETTINGS]
    assert list(CHECKS) == rules
    assert {*AGAINST_BASELINE, *AGAINST_TRUTH, *BY_CLASS, *NIGHTLY} <= set(rules)
    page = (Path(__file__).parents[2] / "docs/ci.md").read_text(encoding="utf-8")
    assert [name for name in Rules.model_fields if f"| `{name}` |" not in page] == []
    told = {name: f"| `{name}` | {limit:g} |" for name, limit in NIGHTLY.items()}
    assert [line for line in told.values() if line not in page] == []
