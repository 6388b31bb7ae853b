"""What each rule of a gate looks at in a run and its baseline."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.compare.objects import QUALITY
from pipeline.compare.pairs import Run
from pipeline.compare.rules import Rules
from pipeline.compare.tally import Figures, mean_of
from pipeline.config import load
from pipeline.evaluate.film_truth import evaluate_film_run
from pipeline.evaluate.of_run import evaluate_run
from pipeline.labelled import Films
from pipeline.outcome import Summary


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that a rule looks at: what was found, whether that may be, and words on it."""

    found: float
    ok: bool
    words: str


def at_most(found: float, limit: float, words: str) -> Case:
    """What may not be more; differences of means are compared to six digits."""
    return Case(found, round(found, 6) <= limit, words)


def at_least(found: float, limit: float, words: str) -> Case:
    """What may not be less."""
    return Case(found, round(found, 6) >= limit, words)


@dataclass(frozen=True, slots=True)
class Facts:
    """All that rules are judged by; `asked_for` are the classes that the run looks for."""

    run: Run
    rules: Rules
    asked_for: Sequence[str]
    figures: Figures

    @property
    def steady(self) -> list[str]:
        """The classes that the run looks for, with enough objects in the baseline to have a drift."""
        was, least = self.figures.was, self.rules.count_from
        return [name for name in sorted(self.asked_for) if was.objects(name) >= least]


# Each gives what a rule looks at: (facts, limit) -> cases


def _min_pictures(facts: Facts, limit: int) -> Iterator[Case]:
    n = facts.figures.now.pictures
    yield at_least(n, limit, f"{n} pictures, of {facts.run.summary.get('files', 0)} files in the source")


def _pictures_drop(facts: Facts, limit: float) -> Iterator[Case]:
    gone, before = facts.figures.gone, facts.figures.was.pictures
    drop = 100 * gone / before if before else 0.0
    yield at_most(drop, limit, f"{gone} of {before} pictures are gone, the first is {facts.figures.first_gone}")


def _quarantined(facts: Facts, limit: int) -> Iterator[Case]:
    aside: dict[str, int] = facts.run.summary.get("aside", {})
    n = Summary(aside=aside).quarantined
    reasons = ", ".join(f"{count} {why}" for why, count in aside.items() if Summary(aside={why: 1}).quarantined)
    yield at_most(n, limit, f"{n} files were set aside ({reasons}); see `masklet status {facts.run.folder} --ledger`")


def _empty_rate(facts: Facts, limit: float) -> Iterator[Case]:
    now = facts.figures.now
    words = f"{now.empty} of {now.pictures} pictures have no object, as {facts.figures.emptied}"
    yield at_most(now.empty_rate, limit, words)


def _empty_rise(facts: Facts, limit: float) -> Iterator[Case]:
    now, was = facts.figures.now, facts.figures.was
    rise = now.empty_rate - was.empty_rate
    words = f"{was.empty_rate:.1%} -> {now.empty_rate:.1%} of pictures have no object, as {facts.figures.emptied}"
    yield at_most(rise, limit, words)


def _min_count(facts: Facts, limits: Mapping[str, int]) -> Iterator[Case]:
    for name, least in limits.items():
        n = facts.figures.now.objects(name)
        yield at_least(n, least, f"{name}: {_objects(n)}, {least} are wanted{_most(facts.figures.fewer, name)}")


def _max_count(facts: Facts, limits: Mapping[str, int]) -> Iterator[Case]:
    for name, most in limits.items():
        n = facts.figures.now.objects(name)
        yield at_most(n, most, f"{name}: {_objects(n)}, {most} are allowed{_most(facts.figures.more, name)}")


def _count_drop(facts: Facts, limit: float) -> Iterator[Case]:
    for name in facts.steady:
        drop = -_change(facts, name)
        yield at_most(drop, limit, _counts(facts, name) + _most(facts.figures.fewer, name))


def _count_rise(facts: Facts, limit: float) -> Iterator[Case]:
    for name in facts.steady:
        rise = _change(facts, name)
        yield at_most(rise, limit, _counts(facts, name) + _most(facts.figures.more, name))


def _change(facts: Facts, name: str) -> float:
    """By how many percent a class has grown."""
    was, now = facts.figures.was.objects(name), facts.figures.now.objects(name)
    return 100 * (now - was) / was


def _counts(facts: Facts, name: str) -> str:
    was, now = facts.figures.was.objects(name), facts.figures.now.objects(name)
    return f"{name}: {was} -> {_objects(now)} ({_change(facts, name):+.1f} %)"


def _objects(n: int) -> str:
    return f"{n} object{'' if n == 1 else 's'}"


def _most(where: Mapping[str, Any], name: str) -> str:
    return f", most in {where[name]}" if str(where.get(name, "")) else ""


def _vanished(facts: Facts, limit: int) -> Iterator[Case]:
    was, now = facts.figures.was, facts.figures.now
    names = [name for name in facts.asked_for if was.objects(name) and not now.objects(name)]
    told = (f"{name} ({_objects(was.objects(name))}{_most(facts.figures.fewer, name)})" for name in names)
    yield at_most(len(names), limit, f"no object any more of {', '.join(told)}")


def _appeared(facts: Facts, limit: int) -> Iterator[Case]:
    was, now = facts.figures.was, facts.figures.now
    names = [name for name in now.classes if not was.objects(name)]
    told = (f"{name} ({_objects(now.objects(name))}{_most(facts.figures.more, name)})" for name in sorted(names))
    yield at_most(len(names), limit, f"new: {', '.join(told)}")


def _drift(facts: Facts, limit: float, columns: Sequence[str], word: str) -> Iterator[Case]:
    for name in facts.steady:
        for column in columns if facts.figures.now.objects(name) >= facts.rules.count_from else ():
            was, now = (mean_of(side, name, column) for side in (facts.figures.was, facts.figures.now))
            if was is not None and now is not None:
                words = f"{name}: mean {word.format(column)} {was:.3f} -> {now:.3f} ({now - was:+.3f})"
                yield at_most(abs(now - was), limit, words)


def _changed_objects(facts: Facts, limit: float) -> Iterator[Case]:
    both, of = facts.figures.changes, facts.figures.compared
    share = both.total() / of if of else 0.0
    told = ", ".join(f"{n} {what.removesuffix(' object')}" for what, n in sorted(both.items()))
    words = f"{share:.1%} of {of} objects in pictures of both runs: {told}; most in {facts.figures.most_changed}"
    yield at_most(share, limit, words)


def _fidelity(facts: Facts, limit: float, figure: str) -> Iterator[Case]:
    for name, dataset in facts.run.summary.get("datasets", {}).items():
        told = dataset["fidelity"]
        worst = "".join(f"; worst is {uid} in {picture} ({iou:.3f})" for uid, picture, iou, _ in told["worst"][:1])
        words = f"{name}: IoU {told[figure]:.4f} of what was read back with what was meant{worst}"
        yield at_least(told[figure], limit, words)


def _ap50(facts: Facts, limit: float) -> Iterator[Case]:
    config = load(facts.run.folder / "config.yaml")
    scores = evaluate_run(config, facts.run.store, Path(str(facts.rules.truth)))
    mask = scores["kinds"]["mask"]
    yield _against_truth(facts, mask["ap50"], limit, "AP50", mask["per_class"], "ap50", scores["pictures"])


def _j_and_f(facts: Facts, limit: float) -> Iterator[Case]:
    scores = evaluate_film_run(Films(facts.run.store), Path(str(facts.rules.truth)))
    found = scores.over_all["j_and_f"]
    yield _against_truth(facts, found, limit, "J&F", scores.per_film, "j_and_f", len(scores.per_film))


def _against_truth(
    facts: Facts, found: float | None, limit: float, word: str, parts: Mapping[str, Any], key: str, judged: int
) -> Case:
    """A figure over all, and the class or film in which it is lowest; what cannot be judged is 0."""
    if found is None:
        return Case(
            0.0, False, f"{facts.rules.truth}: nothing of the run can be judged by it ({judged} pictures match)"
        )
    known = {name: own[key] for name, own in parts.items() if own.get(key) is not None}
    lowest = min(known, key=lambda name: (known[name], name), default="")
    worst = f", lowest {known[lowest]:.3f} of {lowest}" if lowest else ""
    return at_least(found, limit, f"{word} {found:.3f} over {judged} pictures or films{worst}")


Cases = Callable[[Facts, Any], Iterator[Case]]

CHECKS: Mapping[str, tuple[Cases, bool]] = {
    "min_pictures": (_min_pictures, True),
    "pictures_drop": (_pictures_drop, False),
    "quarantined": (_quarantined, False),
    "empty_rate": (_empty_rate, False),
    "empty_rise": (_empty_rise, False),
    "min_count": (_min_count, True),
    "max_count": (_max_count, False),
    "count_drop": (_count_drop, False),
    "count_rise": (_count_rise, False),
    "vanished": (_vanished, False),
    "appeared": (_appeared, False),
    "score_drift": (partial(_drift, columns=("score",), word="{}"), False),
    "quality_drift": (partial(_drift, columns=QUALITY, word="quality ({})"), False),
    "changed_objects": (_changed_objects, False),
    "fidelity_min": (partial(_fidelity, figure="min_iou"), True),
    "fidelity_mean": (partial(_fidelity, figure="mean_iou"), True),
    "ap50": (_ap50, True),
    "j_and_f": (_j_and_f, True),
}
"""By rule: what it looks at, and whether its worst is the lowest."""
