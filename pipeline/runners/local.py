"""Batches on this machine: in this process with threads, or in processes of their own."""

import ctypes
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import chain, islice
from multiprocessing import get_context, parent_process
from typing import Any

from pipeline.media import Picture
from pipeline.work import Answer, Job, Worker

Batch = Sequence[Job]
Outcome = tuple[Batch, Answer | Exception]

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # glibc, malloc.h


class Here:
    """In this process: one thread reads pictures ahead, `in_flight` batches are in the models' hands.

    A batch is handed over only when fewer than `in_flight` are not yet answered, and an answer is taken (and committed)
    before the next is handed over: a kill costs at most that many batches.
    """

    def __init__(self, in_flight: int = 1) -> None:
        self.in_flight = in_flight

    def map(self, open_worker: Callable[[], Worker], batches: Iterable[Batch]) -> Iterator[Outcome]:
        """Each batch with its answer, as they come."""
        waiting = iter(batches)
        read: deque[tuple[Batch, Future[list[Picture]]]] = deque()
        busy: dict[Future[Answer], Batch] = {}
        worker: Worker | None = None
        with (
            ThreadPoolExecutor(1, thread_name_prefix="read") as reading,
            ThreadPoolExecutor(self.in_flight, thread_name_prefix="work") as working,
        ):
            while True:
                for batch in islice(waiting, self.in_flight + 1 - len(read)):
                    worker = worker or open_worker()
                    read.append((batch, reading.submit(worker.read, batch)))
                while read and worker and len(busy) < self.in_flight:
                    batch, pictures = read.popleft()
                    busy[working.submit(_work_on, worker, batch, pictures)] = batch
                if not busy:
                    return
                for done in wait(busy, return_when=FIRST_COMPLETED).done:
                    yield busy.pop(done), _answer(done)


def _work_on(worker: Worker, batch: Batch, pictures: Future[list[Picture]]) -> Answer:
    return worker(batch, pictures.result())


class Processes:
    """In `workers` processes, each with its own models; a process that dies takes only its batches with it."""

    def __init__(self, workers: int, settle: Callable[[], None], ahead: int = 2) -> None:
        self.workers, self.settle, self.ahead = workers, settle, ahead

    def map(self, open_worker: Callable[[], Worker], batches: Iterable[Batch]) -> Iterator[Outcome]:
        """Each batch with its answer, as they come; `BrokenProcessPool` for those that were in a pool that broke."""
        waiting = iter(batches)
        broken = True
        while broken:
            broken = False
            with ProcessPoolExecutor(
                self.workers, get_context("spawn"), initializer=_begin, initargs=(open_worker, self.settle)
            ) as pool:
                busy: dict[Future[Answer], Batch] = {}
                while True:
                    for batch in islice(waiting, 0 if broken else self.workers * self.ahead - len(busy)):
                        try:
                            busy[pool.submit(_work_here, batch)] = batch
                        except BrokenProcessPool:  # since the last answer: the next pool gets the batch
                            broken, waiting = True, chain([batch], waiting)
                            break
                    if not busy:
                        break
                    for done in wait(busy, return_when=FIRST_COMPLETED).done:
                        answer = _answer(done)
                        broken = broken or isinstance(answer, BrokenProcessPool)
                        yield busy.pop(done), answer


def _answer(done: "Future[Answer]") -> Answer | Exception:
    error = done.exception()
    if error is not None and not isinstance(error, Exception):
        raise error
    return error or done.result()


_worker: Worker | None = None


def _begin(open_worker: Callable[[], Worker], settle: Callable[[], None]) -> None:
    """In a new process: signals are the parent's affair, and so is life."""
    global _worker  # noqa: PLW0603 - a process has one worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with_parent()
    settle()
    _worker = open_worker()


def _work_here(batch: Batch) -> Answer:
    assert _worker is not None
    return _worker(batch)


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
    parent = parent_process()
    if parent is not None and os.getppid() != parent.pid:  # it died while this process was starting
        signal.raise_signal(signal.SIGKILL)


def settle(threads: int, keep_pages: bool) -> None:
    """Set what is set once a process: OpenCV's threads, and an allocator that keeps its pages.

    Arrays of a megabyte come and go with every object. By default glibc gives each back to the system and takes it
    again, page fault by page fault: up to a quarter of a picture's CPU time (benchmarks/cpu_a_picture.py).
    """
    import cv2

    cv2.setNumThreads(threads)
    if keep_pages and sys.platform == "linux":
        libc: Any = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            libc.mallopt(M_MMAP_MAX, 0)
            libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
