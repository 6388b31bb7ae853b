"""Batches on this machine: in this process with threads, or in processes of their own."""

import ctypes
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from functools import partial
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any

from pipeline.config import Run
from pipeline.crew import Crew
from pipeline.jobs import Answer
from pipeline.media import Picture
from pipeline.runners import Batch, Batches, Outcome, WorkerDied, film_of, some

VISIBLE = "CUDA_VISIBLE_DEVICES"
"""The variable that says which GPUs a process sees; what it sees is numbered from 0."""
M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8  # glibc, malloc.h


def runner(settings: Run, alone: bool = False) -> "Here | Processes":
    """What a config means on this machine; with several processes, each has a GPU of its own, as far as there are."""
    prepare = partial(settle, settings.threads, settings.keep_pages)
    gpus = visible_gpus(os.environ) if settings.any_gpu else []
    if alone:
        return Processes(1, prepare, ahead=1, gpus=gpus)
    if settings.workers > 1:
        return Processes(settings.workers, prepare, gpus=gpus)
    return Here(settings.batches_in_flight, prepare)


def visible_gpus(environment: Mapping[str, str], devices: Path = Path("/dev")) -> list[str]:
    """The GPUs that this process may use, by what CUDA_VISIBLE_DEVICES calls them; torch is not asked."""
    said = environment.get(VISIBLE)
    if said is not None:
        return [name.strip() for name in said.split(",") if name.strip()]
    return [str(number) for number, _ in enumerate(devices.glob("nvidia[0-9]*"))]


class Here:
    """In this process: one thread reads pictures ahead, `in_flight` batches are in the models' hands.

    A batch is handed over only when fewer than `in_flight` are not yet answered, and an answer is taken (and committed)
    before the next is handed over: a kill costs at most that many batches.
    """

    def __init__(self, in_flight: int = 1, settle: Callable[[], None] = lambda: None) -> None:
        self.in_flight, self.settle = in_flight, settle

    def map(self, open_crew: Callable[[], Crew], batches: Batches) -> Iterator[Outcome]:
        """Each batch with its answer, as they come."""
        waiting = iter(batches)
        read: deque[tuple[Batch, Future[list[Picture]]]] = deque()
        busy: dict[Future[Answer], Batch] = {}
        crew: Crew | None = None
        with (
            ThreadPoolExecutor(1, thread_name_prefix="read") as reading,
            ThreadPoolExecutor(self.in_flight, thread_name_prefix="work") as working,
        ):
            while True:
                for batch in some(waiting, self.in_flight + 1 - len(read)):
                    if crew is None:
                        self.settle()
                        crew = open_crew()
                    read.append((batch, reading.submit(crew.read, batch)))
                while read and crew and len(busy) < self.in_flight:
                    batch, pictures = read.popleft()
                    busy[working.submit(_work_on, crew, batch, pictures)] = batch
                if not busy:
                    return
                for done in wait(busy, return_when=FIRST_COMPLETED).done:
                    yield busy.pop(done), _answer(done)


def _work_on(crew: Crew, batch: Batch, pictures: Future[list[Picture]]) -> Answer:
    return crew(batch, pictures.result())


class Processes:
    """In `workers` processes, each with its own models; one that dies takes only its batches with it.

    The segments of a film go to the process that had those before: there it is open, and stands where they ended.
    """

    def __init__(
        self,
        workers: int,
        settle: Callable[[], None],
        ahead: int = 2,
        film_of: Callable[[Batch], str] = film_of,
        gpus: Sequence[str] = (),
    ) -> None:
        self.workers, self.settle, self.ahead, self.film_of = workers, settle, ahead, film_of
        self.gpus = [gpus[number % len(gpus)] if gpus else "" for number in range(workers)]

    def map(self, open_crew: Callable[[], Crew], batches: Batches) -> Iterator[Outcome]:
        """Each batch with its answer, as they come; `WorkerDied` for those of a process that died."""
        waiting = iter(batches)
        busy: dict[Future[Answer], tuple[_Process, Batch]] = {}
        films: dict[str, int] = {}
        with ExitStack() as stack:
            crew = [_Process(open_crew, self.settle, gpu) for gpu in self.gpus]
            for one in crew:
                stack.callback(one.stop)
            while True:
                for batch in some(waiting, self.workers * self.ahead - len(busy)):
                    idlest = min(range(self.workers), key=lambda n: sum(crew[n] is one for one, _ in busy.values()))
                    film = self.film_of(batch)
                    number = films.setdefault(film, idlest) if film else idlest
                    busy[crew[number].submit(batch)] = crew[number], batch
                if not busy:
                    return
                for done in wait(busy, return_when=FIRST_COMPLETED).done:
                    yield busy.pop(done)[1], _answer(done)


class _Process:
    """One process; when it dies, the next batch gets a new one."""

    def __init__(self, open_crew: Callable[[], Crew], settle: Callable[[], None], gpu: str) -> None:
        self._begin = open_crew, settle, gpu
        self._pool = self._new()

    def _new(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(1, get_context("spawn"), initializer=_begin, initargs=self._begin)

    def submit(self, batch: Batch) -> "Future[Answer]":
        try:
            return self._pool.submit(_work_here, batch)
        except BrokenProcessPool:
            self.stop()
            self._pool = self._new()
            return self._pool.submit(_work_here, batch)

    def stop(self) -> None:
        self._pool.shutdown()


def _answer(done: "Future[Answer]") -> Answer | Exception:
    error = done.exception()
    if isinstance(error, BrokenProcessPool):
        return WorkerDied()
    if error is not None and not isinstance(error, Exception):
        raise error
    return error or done.result()


_crew: Crew | None = None


def _begin(open_crew: Callable[[], Crew], settle: Callable[[], None], gpu: str) -> None:
    """In a new process: signals are the parent's affair, and so is life; of the GPUs it sees its own."""
    global _crew  # noqa: PLW0603 - a process has one worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with_parent()
    if gpu:
        os.environ[VISIBLE] = gpu
    settle()
    _crew = open_crew()


def _work_here(batch: Batch) -> Answer:
    assert _crew is not None
    return _crew(batch)


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
    parent = parent_process()
    if parent is not None and os.getppid() != parent.pid:  # it died while this process was starting
        signal.raise_signal(signal.SIGKILL)


def settle(threads: int, keep_pages: bool) -> None:
    """Set what is set once a process: OpenCV's threads, and an allocator that keeps its pages.

    Arrays of a megabyte come and go with every object. By default glibc gives each back to the system and takes it
    again, page fault by page fault: up to a quarter of a picture's CPU time (benchmarks/cpu_a_picture.py). All threads
    take from one arena: what a thread has for itself ends at 64 MB, and is given back all the same, which costs SAM 2 a
    tenth of its time (benchmarks/pipeline_models.py).
    """
    import cv2

    cv2.setNumThreads(threads)
    if keep_pages and sys.platform == "linux":
        libc: Any = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            libc.mallopt(M_MMAP_MAX, 0)
            libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
            libc.mallopt(M_ARENA_MAX, 1)
