"""Batches on a Ray cluster: actors hold the models, Ray decides where they are, answers come to the one writer.

What an actor or a node takes with it is handed to another. Pixels are not sent: each node reads the same files at the
same paths.
"""

import logging
import os
import pickle
import signal
import socket
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pipeline.config import Run
from pipeline.crew import Crew
from pipeline.errors import ConfigError
from pipeline.jobs import Answer
from pipeline.runners import Batch, Batches, Outcome, WorkerDied, film_of, some
from pipeline.runners.local import settle
from pipeline.runners.ray_worker import Hands, made_of, witness

TRIES = 2
"""How often a batch is handed out before it is said to have killed those who had it; the engine then tries its
pictures one by one."""
STARTS = 3
"""How many actors in a row may fail to start."""
PLACED_WITHIN_S = 300.0
"""How long the cluster may have no room for a single actor: nodes that are started on demand take minutes."""
ANSWERS_WITHIN_S = 10.0
"""How long a cluster's address may take to answer: Ray itself would try for minutes."""
OBJECT_STORE_BYTES = 200 * 2**20
"""Of a cluster on this machine: answers are small, and taken at once."""
PASSED_ON = ("OPENBLAS_NUM_THREADS", "HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME")
"""Variables of the environment that an actor has from here."""

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".*",  # what it would print of other processes; they keep logs
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # or it warns of what it will do one day
}
"""Read when Ray is first imported. Standard output is for results."""


class OnRay:
    """At `run.ray_address`, or in a cluster that is started on this machine and ends with the run."""

    def __init__(self, settings: Run, alone: bool = False) -> None:
        if find_spec("ray") is None:
            raise ConfigError("run.runner: ray is not installed; pip install 'masklet[ray]'")
        if settings.device.startswith("cuda:"):
            raise ConfigError(f"run.device: {settings.device}: Ray hands out GPUs; say run.device=cuda")
        self.settings = settings
        self.workers = 1 if alone else settings.workers
        self.at_once = 1 if alone else settings.batches_in_flight
        self.ahead = 1 if alone else min(self.at_once + 1, 4)

    def map(self, open_crew: Callable[[], Crew], batches: Batches) -> Iterator[Outcome]:
        """Each batch with its answer, as they come; `WorkerDied` for one that was lost with `TRIES` actors."""
        waiting = iter(batches)
        left = deque(_Load(batch) for batch in some(waiting, 1))
        if not left:
            return
        with connected(self.settings, self.workers) as ray:
            prepare = partial(settle, self.settings.threads, self.settings.keep_pages)
            gang = _Gang(ray, self, pickle.dumps((prepare, open_crew)), witness(left[0].batch))
            while True:
                gang.fill()
                left += [_Load(batch) for batch in some(waiting, max(gang.room() - len(left), not left))]
                while left and gang.hand(left[0]):
                    left.popleft()
                if not left and not gang.busy:
                    return
                for load, answer in gang.answers():
                    if answer is not None:
                        yield load.batch, answer
                    elif load.tries < TRIES:
                        left.appendleft(load)
                    else:
                        yield load.batch, WorkerDied()


@dataclass(slots=True)
class _Load:
    """A batch, and how often it was handed out."""

    batch: Batch
    tries: int = 0


@dataclass(slots=True, eq=False)
class _Worker:
    """An actor, and how many batches it has in hand."""

    actor: Any
    in_hand: int = 0


@dataclass(slots=True)
class _Gang:
    """The actors of a run: those that are ready, those that start, who has what."""

    ray: Any
    runner: OnRay
    crew: bytes
    witness: tuple[str, int]
    ready: list[_Worker] = field(default_factory=list)
    starting: dict[Any, _Worker] = field(default_factory=dict)
    busy: dict[Any, tuple[_Worker, _Load]] = field(default_factory=dict)
    films: dict[str, _Worker] = field(default_factory=dict)
    failed: int = 0

    def fill(self) -> None:
        """Ask for as many actors as are wanted; Ray starts each where there is room."""
        about = Path.cwd(), self.witness, made_of(), self.crew
        while len(self.ready) + len(self.starting) < self.runner.workers:
            environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
            options = self.needs() | {"max_concurrency": self.runner.at_once, "scheduling_strategy": "SPREAD"}
            actor = self.ray.remote(Hands).options(**options, runtime_env={"env_vars": environment}).remote()
            self.starting[actor.begin.remote(*about)] = _Worker(actor)

    def needs(self) -> dict[str, float]:
        """What Ray has to set aside for an actor."""
        settings = self.runner.settings
        return {"num_cpus": settings.threads, "num_gpus": 1 if settings.on.kind == "cuda" else 0}

    def room(self) -> int:
        """How many more batches may be handed out."""
        return sum(max(self.runner.ahead - worker.in_hand, 0) for worker in self.ready)

    def hand(self, load: _Load) -> bool:
        """Give a batch to an actor, if one has room: a film's to where it is open, unless it would wait there."""
        film = film_of(load.batch)
        idlest = min(self.ready, key=lambda one: one.in_hand, default=None)
        if idlest is None or idlest.in_hand >= self.runner.ahead:
            return False
        worker = self.films.get(film, idlest)
        if worker not in self.ready or (worker.in_hand and not idlest.in_hand):
            worker = idlest
        if film:
            self.films[film] = worker
        load.tries += 1
        worker.in_hand += 1
        self.busy[worker.actor.work.remote(load.batch)] = worker, load
        return True

    def answers(self) -> Iterator[tuple[_Load, Answer | Exception | None]]:
        """Wait until something comes: batches with their answers, `None` where an actor was lost with it."""
        limit = None if self.ready else PLACED_WITHIN_S
        done, _ = self.ray.wait([*self.busy, *self.starting], num_returns=1, timeout=limit)
        if not done:
            wanted = ", ".join(f"{n:g} {name[4:-1].upper()}" for name, n in self.needs().items() if n)
            has = {name: amount for name, amount in self.ray.cluster_resources().items() if name in ("CPU", "GPU")}
            raise ConfigError(f"run.runner: the Ray cluster has no room for a worker: want {wanted}, it has {has}")
        for one in done:
            if one in self.starting:
                self.begun(one)
            else:
                worker, load = self.busy.pop(one)
                worker.in_hand -= 1
                yield load, self.taken(one, worker)

    def begun(self, one: Any) -> None:
        """An actor is ready, or says why it cannot be; one that is lost is replaced, a few times."""
        worker = self.starting.pop(one)
        try:
            problem = self.ray.get(one)
        except self.ray.exceptions.RayError as error:
            self.failed += 1
            if self.failed >= STARTS:
                raise ConfigError(f"run.runner: no worker can start on Ray: {last_line(error)}") from error
            return
        if problem is not None:
            raise problem
        self.failed = 0
        self.ready.append(worker)

    def taken(self, one: Any, worker: _Worker) -> Answer | Exception | None:
        """An answer; `None` where the actor, its node, or the answer itself is lost, and the actor is given up."""
        try:
            return self.ray.get(one)  # type: ignore[no-any-return]
        except self.ray.exceptions.RayTaskError as error:
            return error  # type: ignore[no-any-return]
        except self.ray.exceptions.RayError:
            if worker in self.ready:
                self.ready.remove(worker)
                self.ray.kill(worker.actor)
            return None


@contextmanager
def connected(settings: Run, workers: int) -> Iterator[Any]:
    """Ray, quiet, and the signals as they were; a cluster that was started for the run ends with the block."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    ray = import_module("ray")
    before = signal.getsignal(signal.SIGTERM)
    try:
        _begin(ray, settings, workers)
        signal.signal(signal.SIGTERM, before)  # Ray's own would end the run without a commit
        yield ray
    finally:
        ray.shutdown()
        signal.signal(signal.SIGTERM, before)


def _begin(ray: Any, settings: Run, workers: int) -> None:
    own = {"num_cpus": workers * settings.threads, "object_store_memory": OBJECT_STORE_BYTES}
    how: Mapping[str, Any] = {} if settings.ray_address else {**own, "include_dashboard": False}
    host, _, port = settings.ray_address.rpartition(":")
    try:
        if host:
            socket.create_connection((host, int(port)), ANSWERS_WITHIN_S).close()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ray.init(settings.ray_address or "local", log_to_driver=False, logging_level=logging.CRITICAL, **how)
    except Exception as error:  # of many kinds
        where = settings.ray_address or "this machine"
        raise ConfigError(f"run.ray_address: no Ray cluster at {where}: {last_line(error)}") from error
    if not settings.ray_address and settings.on.kind == "cuda" and not ray.cluster_resources().get("GPU"):
        raise ConfigError("run.device: Ray sees no GPU on this machine; say run.device=cpu")


def last_line(error: BaseException) -> str:
    """What Ray says of a failure: the reason stands at the end of many lines."""
    lines: Sequence[str] = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__
