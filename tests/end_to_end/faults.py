"""What can go wrong in the midst of a run: the process dies at a commit or a rename, or the disk is full from there on.

A site is a call that changes what is on the disk: a file opened to be written, renamed, linked or removed, a folder
made or removed, a sync, and whatever SQLite is told that begins or ends a commit.
"""

import builtins
import errno
import io
import os
import signal
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

CALLS = ("rename", "replace", "link", "symlink", "mkdir", "rmdir", "unlink", "remove", "fsync")
"""Of the module `os`, which `pathlib`, `shutil` and `tempfile` call by these names."""
COMMITS = ("BEGIN", "COMMIT", "ROLLBACK", "PRAGMA journal_mode")
WRITES = set("wax+")

At = Callable[[], None]


def die() -> None:
    """As `kill -9` does: nothing is flushed, no handler runs."""
    os.kill(os.getpid(), signal.SIGKILL)


def fill(balloon: Path) -> None:
    """Write a file until its disk has no byte left."""
    handle = os.open(balloon, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for size in (1 << 20, 1 << 12, 1):
        try:
            while os.write(handle, bytes(size)):
                pass
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
    os.close(handle)


class Sites:
    """Counts the sites of this process and writes the name of each to `log`; does something at number `at`, from 1."""

    def __init__(self, log: int, at: int = 0, when: str = "before", action: At = die) -> None:
        self.log, self.at, self.when, self.action = log, at, when, action
        self.count = 0

    def watch(self) -> None:
        """From now on, in this process, for good."""
        for name in CALLS:
            setattr(os, name, self.around(name, getattr(os, name)))
        plain = builtins.open
        builtins.open = io.open = partial(self.opened, plain)  # type: ignore[assignment]
        sqlite3.connect = partial(sqlite3.connect, factory=partial(_Connection, self))  # type: ignore[assignment]

    def around(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """The call as a site."""

        def site(*args: Any, **more: Any) -> Any:
            return self.at_site(name, partial(call, *args, **more))

        return site

    def opened(self, call: Callable[..., Any], file: Any, mode: str = "r", *args: Any, **more: Any) -> Any:
        """`open`, which is a site where it may write."""
        opening = partial(call, file, mode, *args, **more)
        return self.at_site("open", opening) if WRITES & set(mode) else opening()

    def at_site(self, name: str, call: Callable[[], Any]) -> Any:
        """Do the call, and before or after it what is to happen here."""
        self.count += 1
        here = self.count == self.at
        os.write(self.log, f"{name}\n".encode())
        if here and self.when == "before":
            self.action()
        try:
            return call()
        finally:
            if here and self.when == "after":
                self.action()


class _Connection(sqlite3.Connection):
    """A connection of which commits, and the end, are sites."""

    def __init__(self, sites: Sites, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.sites = sites

    def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
        call = partial(super().execute, sql, *args)
        return self.sites.at_site(sql.split(maxsplit=1)[0], call) if sql.startswith(COMMITS) else call()

    def executescript(self, sql: str) -> sqlite3.Cursor:
        return self.sites.at_site("script", partial(super().executescript, sql))

    def close(self) -> None:
        self.sites.at_site("close", super().close)
