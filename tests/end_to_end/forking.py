"""Commands in forks of a process that has imported all they need: hundreds of runs that are killed cost a minute.

`Nursery` starts this file as that process. It takes a request a line, does it in a fork, and answers with a line.
"""

import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any

import faults

UNSHARED = ("unshare", "--user", "--map-root-user", "--mount", "--")
"""A command that may mount: in namespaces of its own, which end with it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to a command: at its `site`, from 1, before or after the call; or so long after its start.

    It dies, or, with a `balloon`, the disk of that file is full from then on.
    """

    site: int = 0
    when: str = "before"
    after_s: float | None = None
    balloon: str = ""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended: its exit code, or less the signal; what it said; its sites, as far as it came."""

    code: int
    out: str
    err: str
    sites: list[str] = field(default_factory=list)
    seconds: float = 0.0
    cpu_s: float = 0.0

    @property
    def killed(self) -> bool:
        """Whether it was killed."""
        return self.code == -signal.SIGKILL


class Nursery:
    """The process that forks, with the working folder that it was started in. To be used in a `with`."""

    def __init__(self, before: Sequence[str] = ()) -> None:
        asked = [*before, sys.executable, __file__]
        path = os.pathsep.join([*sys.path, os.environ.get("PYTHONPATH", "")])
        self.process = subprocess.Popen(
            asked, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}
        )

    def __enter__(self) -> "Nursery":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate()

    def run(self, *words: object, fault: Fault | None = None) -> Ended:
        """A command of masklet, to its end."""
        return Ended(**self.ask("run", list(map(str, words)), asdict(fault or Fault())))

    def files(self, folder: str) -> dict[str, str]:
        """Every file and folder below a folder: name -> sha256, or ''."""
        return dict(self.ask("files", folder))

    def known(self, folder: str) -> dict[str, str]:
        """What a run's store knows: the key of each result -> the clip that it is of."""
        return dict(self.ask("known", folder))

    def ask(self, what: str, *how: Any) -> Any:
        """Anything that `DOES` names."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"what": what, "how": how}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def serve() -> None:
    """Do what is asked until nobody asks any more."""
    warm()
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(DOES[request["what"]](*request["how"])), flush=True)


def warm() -> None:
    """Import what a run imports, so that no fork has to."""
    import av  # noqa: F401
    import cv2  # noqa: F401
    import imagehash  # noqa: F401

    from pipeline import engine, reels  # noqa: F401
    from pipeline.cli import main  # noqa: F401
    from pipeline.formats import coco, sav, yolo  # noqa: F401

    sys.path.insert(0, "")


def run(words: Sequence[str], fault: Mapping[str, Any]) -> dict[str, Any]:
    """The command in a fork of this process; what it says goes to files, since pipes would fill."""
    this = Fault(**fault)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, tempfile.TemporaryFile() as log:
        began = time.monotonic()
        if not (child := os.fork()):
            _be(words, this, out, err, log.fileno())
        if this.after_s is not None:
            _kill_after(child, this.after_s)
        _, status, used = os.wait4(child, 0)
        seconds, cpu_s = time.monotonic() - began, used.ru_utime + used.ru_stime
        said, complained, sites = ((file.seek(0), file.read().decode())[1] for file in (out, err, log))
        code = os.waitstatus_to_exitcode(status)
        return asdict(Ended(code, said, complained, sites.splitlines(), seconds, cpu_s))


def _be(words: Sequence[str], fault: Fault, out: IO[bytes], err: IO[bytes], log: int) -> None:
    """The fork: a command, and then nothing more."""
    from pipeline.cli import main

    os.dup2(out.fileno(), 1)
    os.dup2(err.fileno(), 2)
    action = partial(faults.fill, Path(fault.balloon)) if fault.balloon else faults.die
    faults.Sites(log, fault.site, fault.when, action).watch()
    code = 1
    try:
        main(list(words))
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _kill_after(child: int, seconds: float) -> None:
    """Kill the process so long after its start, if it lives so long."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)


def files(folder: str) -> dict[str, str]:
    """Every file and folder below a folder: name -> sha256, or ''."""
    below = sorted(Path(folder).rglob("*"))
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in below
    }


def known(folder: str) -> dict[str, str]:
    """The key of each result -> the clip that it is of, by a copy of the store: looking at it changes nothing."""
    store = Path(folder, "run.db")
    with tempfile.TemporaryDirectory() as place:
        for part in store.parent.glob("run.db*"):
            shutil.copy(part, place)
        with closing(sqlite3.connect(Path(place, store.name))) as db:
            if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'results'").fetchone() is None:
                return {}
            return dict(db.execute("SELECT key, clip FROM results"))


def remove(path: str) -> None:
    """A file, or a folder with all that is in it."""
    place = Path(path)
    shutil.rmtree(place, ignore_errors=True) if place.is_dir() else place.unlink(missing_ok=True)


def mount(*words: str) -> str:
    """Mount a file system, as the command of that name does; '' or what is in the way."""
    return subprocess.run(["mount", *words], check=False, capture_output=True, text=True).stderr


DOES = {"run": run, "files": files, "known": known, "remove": remove, "mount": mount}

if __name__ == "__main__":
    serve()
