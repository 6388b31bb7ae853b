"""Take a batch of clips through the stages, wherever a runner puts it.

Knows nothing of the store: a `Job` carries in what is remembered, a `Done` carries out what is new. When a batch fails
it is tried again picture by picture, so that one bad picture costs one picture; when memory runs out, the model is
called with half as many.
"""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

from pipeline.errors import BadMedia, MaskletError, out_of_memory
from pipeline.jobs import Answer, Done, Failed, Job, StageFailed
from pipeline.media import Picture
from pipeline.models import Models, blamed
from pipeline.records import to_blob
from pipeline.sources import REMEMBERED
from pipeline.stages import Batch, Memory, Stage
from pipeline.store import Failure, Remembered, Result

READING = 2  # threads that decode the pictures of a batch


class Worker:
    """The stages of the pass over pictures. Batches may come from several threads."""

    def __init__(self, stages: Sequence[Stage], models: Models) -> None:
        self.stages, self.models = stages, models
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
                answer.outcomes.append(failed_at(jobs[0], failed, done[0]))
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
            model, ask = partial(self.models.of, stage), partial(self.models.ask, stage, answer.notes)
            batch = Batch([clips[i] for i in rows], [pictures[i] for i in rows], memory, model, ask)
            with blamed(stage):
                changes = stage.changes(batch)
            for i, change in zip(rows, changes, strict=True):
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


def failed_at(job: Job, failed: StageFailed, done: Done) -> Failed:
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


def memory_of(stage: Stage, jobs: Sequence[Job]) -> Memory:
    """What a stage's model said of the pictures, or key frames, of some jobs."""
    return Memory(
        {(id_, part): blob for job in jobs for (id_, scope, part), blob in job.memory.items() if scope == stage.scope}
    )
