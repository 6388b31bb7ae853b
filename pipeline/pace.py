"""How fast a run works, stage by stage, and how long another one would take at that rate."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.jobs import Answer
from pipeline.plan import Work
from pipeline.stages import Stage

Rates = dict[str, dict[str, Any]]
"""Stage -> `per_s`, pictures or frames a second, and `model`, the hash of the model that was so fast."""


@dataclass(slots=True)
class Spent:
    """Seconds that stages took, the pictures or frames that they took them for, and the seconds that went by."""

    began: float
    seconds: Counter[str] = field(default_factory=Counter)
    pictures: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)
    ended: float = 0.0

    def add(self, answer: Answer, now: float) -> None:
        """So much went into an answer that is there now."""
        self.seconds.update(answer.seconds)
        self.pictures.update(answer.pictures)
        self.asked.update(answer.asked)
        self.ended = now


class Pace:
    """Takes down the answers of a run. The first of each worker are not counted, if there are more: it opens models."""

    def __init__(self, workers: int, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock, self._cold = clock, workers
        self._all, self._warm = Spent(clock()), Spent(0.0)

    def answered(self, answer: Answer) -> None:
        """An answer is there."""
        now = self._clock()
        self._all.add(answer, now)
        self._cold -= 1
        if self._cold < 0:
            self._warm.add(answer, now)
        else:
            self._warm.began = now

    def rates(self, stages: Sequence[Stage]) -> Rates:
        """How fast each stage was, as its share of the time that went by, however many worked at once."""
        spent = self._warm if self._warm.seconds else self._all
        share = (spent.ended - spent.began) / (spent.seconds.total() or 1)
        rates: Rates = {}
        for stage in stages:
            count = (spent.asked if stage.scope else spent.pictures)[stage.name]
            if count and (seconds := spent.seconds[stage.name] * share) > 0:
                rates[stage.name] = {"per_s": float(f"{count / seconds:.4g}"), "model": stage.scope[:16]}
        return rates


def seconds_for(work: Work, stages: Sequence[Stage], rates: Mapping[str, Mapping[str, Any]]) -> float | None:
    """How long some work would take; `None` where it needs a stage whose rate, with its model, is not known."""
    scopes = {stage.name: stage.scope[:16] for stage in stages}
    seconds = 0.0
    for name, stale in work.stale.items():
        count = work.asked[name] if scopes[name] else stale
        rate = rates.get(name)
        if count and (rate is None or rate.get("model") != scopes[name]):
            return None
        seconds += count / rate["per_s"] if count and rate else 0.0
    return seconds


def in_words(seconds: float) -> str:
    """A time that is not known exactly.

    >>> [in_words(s) for s in (0.2, 41, 170, 5400, 20_000, 400_000)]
    ['less than a second', '41 s', '3 min', '90 min', '5.6 h', '4.6 days']
    """
    if seconds < 1:
        return "less than a second"
    for unit, size, most in (("s", 1, 100), ("min", 60, 100)):
        if seconds / size < most:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"
