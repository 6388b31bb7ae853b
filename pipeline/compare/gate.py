"""Is a run fit to be used: rules, what was found, and which class or picture is to blame."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.compare.checks import CHECKS, Facts
from pipeline.compare.pairs import Run
from pipeline.compare.rules import Rules
from pipeline.compare.tally import figures

DIGITS = 4


@dataclass(frozen=True, slots=True)
class Verdict:
    """A rule, its limit, the worst value found (None where there was nothing to judge), and all that breaks it."""

    rule: str
    limit: float | Mapping[str, int]
    found: float | None
    ok: bool
    failing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a gate says of a run."""

    run: str
    baseline: str | None
    verdicts: tuple[Verdict, ...]

    @property
    def ok(self) -> bool:
        """Whether no rule is broken."""
        return all(one.ok for one in self.verdicts)

    @property
    def failed(self) -> list[Verdict]:
        """The rules that are broken."""
        return [one for one in self.verdicts if not one.ok]

    def to_json(self) -> dict[str, Any]:
        """Plain values, versioned."""
        return {"version": 1, "ok": self.ok, **asdict(self)}


def judge(run: Run, baseline: Run | None, rules: Rules, asked_for: Sequence[str]) -> Judgement:
    """Judge a run by rules; raises `BadDataset` where a truth cannot be read."""
    beside = figures(run.store, baseline.store if baseline else None, rules.moved_iou)
    facts = Facts(run, rules, asked_for, beside)
    verdicts = [_verdict(name, facts) for name in rules.asked()]
    return Judgement(str(run.folder), str(baseline.folder) if baseline else None, tuple(verdicts))


def _verdict(rule: str, facts: Facts) -> Verdict:
    """Of a rule: the worst case counts, and those that break it are told, the worst first."""
    cases, lowest = CHECKS[rule]
    limit = getattr(facts.rules, rule)
    found = sorted(cases(facts, limit), key=lambda case: (case.ok, case.found if lowest else -case.found))
    value = round(found[0].found, DIGITS) if found else None
    return Verdict(
        rule, limit, value, all(case.ok for case in found), tuple(case.words for case in found if not case.ok)
    )
