"""A process that works in a folder: alone there, stoppable, and leaving small files whole."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from errno import ENOSPC
from pathlib import Path
from types import FrameType

from filelock import FileLock, Timeout

from pipeline.errors import ConfigError, Interrupted, Locked


def write_whole(path: Path, text: str) -> None:
    """Put a small file in place in one step."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


@contextmanager
def alone_in(out: Path) -> Iterator[None]:
    """Hold the folder against other live processes; a dead one's lock is nobody's."""
    lock = FileLock(out / "run.lock", timeout=0)
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise Locked(f"{out}: another masklet is at work here; wait for it, or choose another --out") from error
    except OSError as error:
        if error.errno == ENOSPC:
            raise
        raise ConfigError(f"{out}: cannot be written: {error.strerror}; choose another --out") from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def ending_at_sigterm() -> Iterator[None]:
    """SIGTERM raises `Interrupted` inside the block, so that what is half made goes."""

    def end(number: int, _: FrameType | None) -> None:
        raise Interrupted("stopped; the same command begins anew", number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@dataclass(slots=True)
class Stop:
    """The signal that asked the run to end, or 0."""

    signal: int = 0


@contextmanager
def stoppable() -> Iterator[Stop]:
    """SIGINT and SIGTERM end the run after the work in hand; a second one ends the process.

    They are the main thread's: a run in another one is not stopped by them.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def ask(number: int, _: FrameType | None) -> None:
        if stop.signal:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        stop.signal = number

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
