"""The models of a worker: each opened once, when first needed, and asked for less when memory runs out."""

import gc
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any

from pipeline.errors import BackendError, BadMedia, BadRecord, MaskletError, ModelMissing, out_of_memory
from pipeline.jobs import StageFailed
from pipeline.media import Picture
from pipeline.records import Instances
from pipeline.stages import Stage

Notes = list[tuple[str, str, str]]


class Models:
    """Batches may come from several threads."""

    def __init__(self) -> None:
        self._models: dict[str, Any] = {}
        self._most: dict[str, int] = {}  # stage -> pictures a call, once memory has run out
        self._opening = Lock()

    def of(self, stage: Stage) -> Any:
        """The model of a stage; raises `ModelMissing` where it cannot be had."""
        with self._opening:
            if stage.model_name not in self._models:
                try:
                    self._models[stage.model_name] = stage.open()
                except Exception as error:
                    if _concerns_all(error):
                        raise
                    said = f"{type(error).__name__}: {error}"
                    raise ModelMissing(f"{stage.name}: its backend cannot be opened: {said}") from error
            return self._models[stage.model_name]

    def ask(
        self,
        stage: Stage,
        notes: Notes,
        verb: Callable[..., list[Instances]],
        pictures: Sequence[Picture],
        column: Sequence[Any],
    ) -> list[Instances]:
        """Call the model; when memory runs out, with half as many pictures, from then on."""
        out: list[Instances] = []
        while len(out) < len(pictures):
            most = self._most.get(stage.name, len(pictures))
            some = slice(len(out), len(out) + most)
            try:
                answers = verb(pictures[some], column[some])
            except Exception as error:
                size = len(pictures[some])
                if not out_of_memory(error) or size == 1:
                    raise
                self._most[stage.name] = min(size // 2, self._most.get(stage.name, size))  # another thread may be lower
                notes.append((stage.name, "smaller_batch", f"{size} -> {size // 2} pictures a call"))
                _free_memory()
                continue
            if len(answers) != len(pictures[some]):
                raise BackendError(f"{stage.name}: gave {len(answers)} answers for {len(pictures[some])} pictures")
            out += answers
        return out


@contextmanager
def blamed(stage: Stage) -> Iterator[None]:
    """Whatever goes wrong inside the block is the stage's on these clips, unless it concerns every clip."""
    try:
        yield
    except Exception as error:
        if _concerns_all(error):
            raise
        raise StageFailed(stage, error) from error


def _concerns_all(error: Exception) -> bool:
    """Whether an error is of the run, not of a picture: a model that cannot be had, a configuration, a full disk."""
    return isinstance(error, MaskletError) and not isinstance(error, (BadMedia, BadRecord, BackendError))


def _free_memory() -> None:
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
