"""Where batches are worked on: the seam, and which runner a config means."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Protocol

from pipeline.config import Run
from pipeline.crew import Crew
from pipeline.jobs import Answer, Job

Batch = Sequence[Job]
Outcome = tuple[Batch, Answer | Exception]
Batches = Iterable[Batch | None]
"""`None` says that an answer has to come before there is another: the next segment of a film needs what one leaves."""


class WorkerDied(Exception):
    """Whoever had a batch in hand is gone."""


class Runner(Protocol):
    """Takes batches to where the models are, and answers back; any order, since everything is keyed."""

    def map(self, open_crew: Callable[[], Crew], batches: Batches) -> Iterator[Outcome]:
        """Each batch with its answer, or with what went wrong with it as a whole: `WorkerDied`, and all else."""
        ...


def runner_of(settings: Run, alone: bool = False) -> Runner:
    """Where a config wants batches to run; `alone` is one at a time, in a process that works on nothing else.

    Raises `ConfigError` where that needs what is not installed.
    """
    if settings.runner == "ray":
        from pipeline.runners.ray import OnRay

        return OnRay(settings, alone)
    from pipeline.runners import local

    return local.runner(settings, alone)


def some(waiting: Iterator[Batch | None], most: int) -> Iterator[Batch]:
    """Batches, so many at most, or up to where an answer has to come first."""
    for batch in islice(waiting, most):
        if batch is None:
            return
        yield batch


def film_of(batch: Batch) -> str:
    """The film that a batch is of; '' for pictures."""
    return batch[0].following.film if batch[0].following else ""
