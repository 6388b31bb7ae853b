"""Take a segment of a film through the stages: detections on its key frames, then the tracker over all of it.

Knows nothing of the store, as `work` does not, and decodes a frame when it is looked at.
"""

import time
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Lock

from pipeline import media
from pipeline.errors import BadMedia
from pipeline.films import Reader, pictures_of
from pipeline.jobs import Answer, Done, Following, Job, StageFailed
from pipeline.media import Picture
from pipeline.models import Models, blamed
from pipeline.pixels import Rgb
from pipeline.records import Change, Clip, to_blob
from pipeline.segments import key_frame
from pipeline.stages import Batch, Stage, Track
from pipeline.store import Remembered, Result
from pipeline.work import failed_at, memory_of

KEY_FRAMES = 8
"""Key frames that are in memory at once, and asked for together."""
AHEAD = 4
"""Frames that are decoded ahead of the tracker."""
OPEN = 8
"""Films that are open at once; of each two readers, one for key frames and one for all."""
Stamp = tuple[tuple[str, int, int, int], ...]
"""Of each file of a film: name, size, time, inode."""
NOTHING = Change({}, ())
"""What stages before the tracker say of a frame that is no key frame."""


class FilmWorker:
    """The stages of the pass over films, but the last. Segments may come from several threads, of a film one by one."""

    def __init__(self, stages: Sequence[Stage], models: Models) -> None:
        self.stages, self.models = stages, models
        self._readers: OrderedDict[tuple[str, str], tuple[Stamp, Reader]] = OrderedDict()
        self._opening = Lock()

    def __call__(self, job: Job) -> Answer:
        """The one outcome. Raises only what concerns every film: a model that cannot be had."""
        answer, done = Answer(), Done(job.clip.name)
        try:
            self._through(job, done, answer)
            answer.outcomes.append(done)
        except StageFailed as failed:
            if isinstance(failed.error, BadMedia):
                done.remembered.clear()  # it may be of other bytes
            answer.outcomes.append(failed_at(job, failed, done))
        return answer

    def _through(self, job: Job, done: Done, answer: Answer) -> None:
        clip, digest = job.clip, job.clip.digest()
        at = job.following
        assert at is not None  # a film's job
        for stage in self.stages[job.first : job.until]:
            began = time.perf_counter()
            key = stage.film_key(clip, digest, at.key)
            with blamed(stage), self._unchanged(clip, stage):
                if isinstance(stage, Track):
                    changes, state = self._followed(stage, clip, at)
                    done.left, asked = Following(at.film, key, state), len(clip.frames)
                else:
                    changes, asked = self._on_key_frames(stage, clip, job, done, answer)
            clip = clip.after(changes)
            digest = clip.digest()
            drops = tuple(drop for change in changes for drop in change.drops)
            done.results.append(Result(key, clip.id, stage.name, digest, drops, to_blob(changes)))
            answer.spent(stage.name, time.perf_counter() - began, len(clip.frames), asked)
        done.objects = sum(len(found.in_sight()) for found in clip.found)

    def _frame(self, view: Clip, film: str, stage: Stage) -> Rgb:
        return self._reader(view, film, stage).frame(view.frames[0].index)

    def _followed(self, stage: Track, clip: Clip, at: Following) -> tuple[list[Change], bytes]:
        pictures: Iterator[Rgb] = iter(())
        if stage.looks:
            pictures = _ahead(self._reader(clip, at.film, stage), [frame.index for frame in clip.frames])
        return stage.follow(clip, pictures, at.state, partial(self.models.of, stage))

    def _on_key_frames(
        self, stage: Stage, clip: Clip, job: Job, done: Done, answer: Answer
    ) -> tuple[list[Change], int]:
        """A change a frame of the segment, and how many key frames the stage's model was asked about."""
        assert job.following is not None
        film = job.following.film
        changes = [NOTHING] * len(clip.frames)
        asked: set[str] = set()
        keys = [at for at, frame in enumerate(clip.frames) if frame.key]
        for begin in range(0, len(keys), KEY_FRAMES):
            some = keys[begin : begin + KEY_FRAMES]
            views = [key_frame(clip, at, film) for at in some]
            memory = memory_of(stage, [job])
            pictures = [Picture(view, partial(self._frame, view, film, stage)) for view in views]
            for view, picture in zip(views, pictures, strict=True):
                if stage.looks and stage.will_ask(view, memory):
                    picture.rgb  # noqa: B018 - looking at it decodes it, in the order of frames
            model, ask = partial(self.models.of, stage), partial(self.models.ask, stage, answer.notes)
            said = stage.changes(Batch(views, pictures, memory, model, ask))
            for at, change in zip(some, said, strict=True):
                changes[at] = replace(change, drops=tuple(replace(drop, at=at) for drop in change.drops))
            done.remembered += [Remembered(id_, stage.scope, part, blob) for (id_, part), blob in memory.new.items()]
            asked |= {id_ for id_, _ in memory.new}
        return changes, len(asked)

    def _reader(self, clip: Clip, film: str, stage: Stage) -> Reader:
        """A film's reader for a stage, which stands where the last segment has left it. Raises `BadMedia`."""
        name = (clip.path, stage.name)
        with self._opening:
            if name not in self._readers:
                stamp = _stamp(clip.path)
                media.check_film(clip.path, film)
                self._readers[name] = stamp, Reader(clip.path)
            self._readers.move_to_end(name)
            while len(self._readers) > 2 * OPEN:
                self._readers.popitem(last=False)[1][1].close()
            return self._readers[name][1]

    @contextmanager
    def _unchanged(self, clip: Clip, stage: Stage) -> Iterator[None]:
        """Raise `BadMedia`, 'changed' if the film was written meanwhile, whatever was made of it or went wrong."""
        try:
            yield
        finally:
            stamp, reader = self._readers.get((clip.path, stage.name), (None, None))
            if reader is not None and stamp != _stamp(clip.path):
                self._readers.pop((clip.path, stage.name), None)
                reader.close()
                raise BadMedia("changed", "written while it was read")


def _stamp(path: str) -> Stamp:
    """What changes when a film is written, or a picture of one that is a folder."""
    try:
        files = pictures_of(Path(path)) if Path(path).is_dir() else [Path(path)]
        return tuple((file.name, s.st_size, s.st_mtime_ns, s.st_ino) for file, s in ((f, f.stat()) for f in files))
    except OSError:
        return ()


def _ahead(reader: Reader, numbers: Sequence[int]) -> Iterator[Rgb]:
    """Frames by number, decoded by a thread while the ones before are looked at."""
    waiting: deque[Future[Rgb]] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="frames") as pool:
        left = iter(numbers)
        for number in left:
            waiting.append(pool.submit(reader.frame, number))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
