"""Where batches are worked on: the seam."""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

Batch = TypeVar("Batch")
Answer = TypeVar("Answer")


class Runner(Protocol):
    """Takes batches to where the models are, and answers back; any order, since everything is keyed."""

    def map(
        self, open_worker: Callable[[], Callable[[Batch], Answer]], batches: Iterable[Batch]
    ) -> Iterator[tuple[Batch, Answer | Exception]]:
        """Each batch with its answer, or with what went wrong with it as a whole (a worker that died)."""
        ...
