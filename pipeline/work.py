"""Take a batch of clips through the stages, wherever a runner puts it.

Knows nothing of the store: a `Job` carries in what is remembered, a `Done` carries out what is new. When a batch fails
it is tried again picture by picture, so that one bad picture costs one picture; when memory runs out, the model is
called with half as many.
"""

import gc
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from typing import Any

from pipeline.errors import BackendError, BadMedia, BadRecord, MaskletError, ModelMissing, out_of_memory
from pipeline.media import Picture
from pipeline.records import Change, Clip, Instances, to_blob
from pipeline.sources import REMEMBERED
from pipeline.stages import Batch, Memory, Stage
from pipeline.store import Failure, Remembered, Result

READING = 2  # threads that decode the pictures of a batch


@dataclass(frozen=True, slots=True)
class Job:
    """A clip to be worked on from stage number `first`, with what models said of it: (scope, part) -> bytes."""

    clip: Clip
    first: int
    memory: Mapping[tuple[str, str], bytes] = field(default_factory=dict)


@dataclass(slots=True)
class Done:
    """A clip that went through: its results, what models said of it, and how many objects it has now."""

    name: str
    results: list[Result] = field(default_factory=list)
    remembered: list[Remembered] = field(default_factory=list)
    objects: int = 0


@dataclass(slots=True)
class Failed:
    """A clip that did not: at which stage and why, and what there is to keep.

    That is what the stages before it answered, and the failure itself, if the clip would fail again the same way.
    """

    name: str
    stage: str
    reason: str
    detail: str
    results: list[Result | Failure] = field(default_factory=list)
    remembered: list[Remembered] = field(default_factory=list)


class StageFailed(Exception):
    """What a stage raised on a batch; which clip is to blame is found by trying one by one."""

    def __init__(self, stage: Stage, error: Exception) -> None:
        super().__init__(str(error))
        self.stage, self.error = stage, error


@dataclass(slots=True)
class Answer:
    """What came of a batch: one outcome a job, and notes for the ledger.

    By stage: the seconds it took, the clips it worked on, and those of them that its model was asked about.
    """

    outcomes: list[Done | Failed] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    pictures: dict[str, int] = field(default_factory=dict)
    asked: dict[str, int] = field(default_factory=dict)
    notes: list[tuple[str, str, str]] = field(default_factory=list)

    def spent(self, stage: str, seconds: float, pictures: int, asked: int) -> None:
        """Add the time that some clips took."""
        self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds
        self.pictures[stage] = self.pictures.get(stage, 0) + pictures
        self.asked[stage] = self.asked.get(stage, 0) + asked

    def add(self, other: "Answer") -> None:
        """Put another answer below this one."""
        self.outcomes += other.outcomes
        self.notes += other.notes
        for stage, seconds in other.seconds.items():
            self.spent(stage, seconds, other.pictures[stage], other.asked[stage])


class Worker:
    """The stages with their models, opened once, when first needed. Batches may come from several threads."""

    def __init__(self, stages: Sequence[Stage]) -> None:
        self.stages = stages
        self._models: dict[str, Any] = {}
        self._most: dict[str, int] = {}  # stage -> pictures a call, once memory has run out
        self._opening = Lock()
        self._decoding = ThreadPoolExecutor(READING, thread_name_prefix="decode")

    def read(self, jobs: Sequence[Job]) -> list[Picture]:
        """The pictures of a batch, decoded ahead where a model is going to look at them."""
        pictures = [Picture(job.clip) for job in jobs]
        wanted = [picture for job, picture in zip(jobs, pictures, strict=True) if self._will_look(job)]
        if wanted:
            list(self._decoding.map(_decoded, wanted))
        return pictures

    def _will_look(self, job: Job) -> bool:
        stage = self.stages[job.first]
        looks = any(later.looks for later in self.stages[job.first :])
        return looks and stage.will_ask(job.clip, memory_of(stage, [job]))

    def _must_decode(self, job: Job, picture: Picture) -> None:
        """Refuse a damaged picture also where no backend comes to look at it, because nothing was found in it."""
        if self._will_look(job):
            try:
                picture.rgb  # noqa: B018 - looking at it decodes it, unless it is decoded already
            except Exception as error:
                raise StageFailed(self.stages[job.first], error) from error

    def __call__(self, jobs: Sequence[Job], pictures: Sequence[Picture] | None = None) -> Answer:
        """One outcome a job. Raises only what concerns every picture: a model that cannot be had."""
        answer = Answer()
        pictures = self.read(jobs) if pictures is None else pictures
        done = [Done(job.clip.name) for job in jobs]
        try:
            self._together(jobs, pictures, done, answer)
            answer.outcomes += done
        except StageFailed as failed:
            if len(jobs) == 1:
                answer.outcomes.append(_failed(jobs[0], failed, done[0]))
            else:
                answer = Answer(notes=answer.notes)  # nothing else is left of the attempt
                for job, picture in zip(jobs, pictures, strict=True):
                    answer.add(self([job], [picture]))
        return answer

    def _together(self, jobs: Sequence[Job], pictures: Sequence[Picture], done: Sequence[Done], answer: Answer) -> None:
        """All stages, each for the clips that are stale from it on, into `done`; raises `StageFailed`."""
        for job, picture in zip(jobs, pictures, strict=True):
            self._must_decode(job, picture)
        clips = [job.clip for job in jobs]
        digests = [clip.digest() for clip in clips]
        for number, stage in enumerate(self.stages):
            rows = [i for i, job in enumerate(jobs) if job.first <= number]
            if not rows:
                continue
            began = time.perf_counter()
            memory = memory_of(stage, [jobs[i] for i in rows])
            model, ask = partial(self._model, stage), partial(self._ask, stage, answer.notes)
            batch = Batch([clips[i] for i in rows], [pictures[i] for i in rows], memory, model, ask)
            for i, change in zip(rows, self._changes(stage, batch), strict=True):
                key = stage.key(clips[i], digests[i])
                before, clips[i] = clips[i], clips[i].after([change])
                digests[i] = digests[i] if clips[i] is before else clips[i].digest()
                result = Result(key, clips[i].id, stage.name, digests[i], change.drops, to_blob([change]))
                done[i].results.append(result)
            row_of = {clips[i].id: i for i in rows}
            for (clip_id, part), blob in memory.new.items():
                done[row_of[clip_id]].remembered.append(Remembered(clip_id, stage.scope, part, blob))
            answer.spent(
                stage.name, time.perf_counter() - began, len(rows), len({clip_id for clip_id, _ in memory.new})
            )
        for clip, outcome in zip(clips, done, strict=True):
            outcome.objects = len(clip.found[0])

    def _changes(self, stage: Stage, batch: Batch) -> list[Change]:
        try:
            return stage.changes(batch)
        except Exception as error:
            if _concerns_all(error):
                raise
            raise StageFailed(stage, error) from error

    def _model(self, stage: Stage) -> Any:
        with self._opening:
            if stage.name not in self._models:
                try:
                    self._models[stage.name] = stage.open()
                except Exception as error:
                    if _concerns_all(error):
                        raise
                    said = f"{type(error).__name__}: {error}"
                    raise ModelMissing(f"{stage.name}: its backend cannot be opened: {said}") from error
            return self._models[stage.name]

    def _ask(
        self,
        stage: Stage,
        notes: list[tuple[str, str, str]],
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


def _failed(job: Job, failed: StageFailed, done: Done) -> Failed:
    """Why a clip alone did not go through; a damaged file is remembered, anything else is tried again."""
    stage, error = failed.stage, failed.error
    results: list[Result | Failure] = [*done.results]
    if isinstance(error, BadMedia):
        key = stage.key(job.clip, done.results[-1].output if done.results else job.clip.digest())
        if error.reason in REMEMBERED:
            results.append(Failure(key, job.clip.id, stage.name, error.reason, error.detail))
        return Failed(job.clip.name, "open", error.reason, error.detail, results, done.remembered)
    reason = "out_of_memory" if out_of_memory(error) else "backend_failed"
    said = str(error) if isinstance(error, MaskletError) else f"{type(error).__name__}: {error}"
    return Failed(job.clip.name, stage.name, reason, " ".join(said.split())[:500], results, done.remembered)


def _decoded(picture: Picture) -> None:
    """Decode now; what goes wrong is met again, and told, by the stage that looks."""
    with suppress(Exception):
        picture.rgb  # noqa: B018 - looking at it decodes it


def _concerns_all(error: Exception) -> bool:
    """Whether an error is of the run, not of a picture: a model that cannot be had, a configuration, a full disk."""
    return isinstance(error, MaskletError) and not isinstance(error, (BadMedia, BadRecord, BackendError))


def memory_of(stage: Stage, jobs: Sequence[Job]) -> Memory:
    """What a stage's model said of the clips of some jobs."""
    return Memory(
        {
            (job.clip.id, part): blob
            for job in jobs
            for (scope, part), blob in job.memory.items()
            if scope == stage.scope
        }
    )


def _free_memory() -> None:
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
