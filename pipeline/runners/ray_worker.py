"""An actor on Ray: looks whether its node can work as the run's own machine would, opens the models, works."""

import os
import pickle
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from pipeline import __version__
from pipeline.crew import Crew
from pipeline.errors import ConfigError
from pipeline.jobs import Answer
from pipeline.runners import Batch
from pipeline.versions import libraries


class Hands:
    """An actor: works on batches in a process of its own, wherever Ray has put it."""

    def __init__(self) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a signal from the terminal is the run's affair
        self._crew: Crew | None = None

    def begin(self, home: Path, witness: tuple[str, int], wanted: dict[str, str], crew: bytes) -> Exception | None:
        """Look whether this node can work as the run's own machine would, and get ready; or say why not."""
        node = f"Ray node {socket.gethostname()}"
        if made_of() != wanted:
            return ConfigError(f"{node}: {differing(made_of(), wanted)}; install the same versions on every node")
        if not home.is_dir() or size_of(witness[0]) != witness[1]:
            lacks = witness[0] if home.is_dir() else home
            return ConfigError(f"{node}: {lacks} is not there as it is here; every node needs the same files and paths")
        os.chdir(home)
        sys.path.insert(0, "")  # a config may name module:Class from the working folder
        prepare, open_crew = pickle.loads(crew)
        prepare()
        self._crew = open_crew()
        return None

    def work(self, batch: Batch) -> Answer | Exception:
        """An answer, or what went wrong with the batch as a whole."""
        assert self._crew is not None
        try:
            return self._crew(batch)
        except Exception as error:
            return error


def made_of() -> dict[str, str]:
    """What has to be the same on every node, for the same bytes."""
    return {"masklet": __version__, **libraries()}


def differing(here: Mapping[str, str], wanted: Mapping[str, str]) -> str:
    """The first version that is not the one wanted, in words."""
    name = next(name for name in sorted({*here, *wanted}) if here.get(name) != wanted.get(name))
    return f"{name} is {here.get(name, 'not installed')}, and {wanted.get(name, 'not installed')} where the run is"


def witness(batch: Batch) -> tuple[str, int]:
    """A file of the source and its size: who sees it sees the others, too."""
    path = batch[0].clip.path
    return path, size_of(path)


def size_of(path: str) -> int:
    """Bytes of a file; 0 for a folder, -1 where nothing is."""
    try:
        return 0 if Path(path).is_dir() else Path(path).stat().st_size
    except OSError:
        return -1
