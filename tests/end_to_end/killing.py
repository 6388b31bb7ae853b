"""Kill a run with -9, run the same command again, over and over, and write down what every start did.

Knows a command, its run's folder and its log of counting backends; who uses it judges.
"""

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from driving import dataset, handed

LABELLING = 4  # kills of a round while it labels; one more hits it while it writes the dataset
POLL_S = 0.004
PATIENCE_S = 300
DONE = "SELECT clip FROM results WHERE stage = ? AND output IS NOT NULL"
LAST = "dedupe"
"""The last stage of the pass over pictures."""


@dataclass(frozen=True, slots=True)
class Start:
    """One start of the command: what was committed before and after it, and the pictures that models were handed.

    `killed` says in the midst of what; '' where it ended by itself.
    """

    killed: str
    before: frozenset[str]
    after: frozenset[str]
    handed: tuple[str, ...]

    @property
    def again(self) -> frozenset[str]:
        """Pictures that were committed, and were handed to a model all the same."""
        return self.before & frozenset(self.handed)

    @property
    def lost(self) -> set[str]:
        """Pictures that the kill costs: handed to a model, not committed."""
        return set(self.handed) - self.after


@dataclass(slots=True)
class Round:
    """A run from nothing to its end, with the starts that this took, and the dataset that it left."""

    starts: list[Start] = field(default_factory=list)
    dataset: dict[str, bytes] = field(default_factory=dict)

    @property
    def kills(self) -> list[Start]:
        """The starts that were killed."""
        return [start for start in self.starts if start.killed]


@dataclass(frozen=True, slots=True)
class Victim:
    """The command that is killed: what it is, where it runs, the folder of its run, its log, its number of pictures.

    After a commit a kill waits for up to `pause_s`: about as long as a batch takes. A picture is committed when stage
    `last` has its result, and handed over to any of `counted`; of films, a picture is a segment, and those are 'track'.
    """

    command: Sequence[str]
    desk: Path
    out: Path
    log: Path
    pictures: int
    pause_s: float
    last: str = LAST
    counted: tuple[str, ...] = ("detect", "segment")

    def committed(self) -> frozenset[str]:
        """The ids of the pictures that went through all stages."""
        return committed(self.out, self.last)

    def inside(self, start: Start) -> bool:
        """Whether a kill fell between the first and the last commit of its run."""
        return len(start.before) < len(start.after) < self.pictures


def rounds(victim: Victim, wanted: int, seed: int) -> list[Round]:
    """As many rounds as `wanted` kills take. The seed draws the moments."""
    dice = random.Random(seed)
    done: list[Round] = []
    left = wanted
    while left > 0:
        done.append(one_round(victim, min(left, LABELLING + 1), dice))
        left -= len(done[-1].kills)
        if len(done) > wanted:
            raise RuntimeError("the run is too short to be killed: give it more pictures, or more to do for each")
    return done


def one_round(victim: Victim, kills: int, dice: random.Random) -> Round:
    """From nothing to the end: kills while it labels, one while it writes if there are several, and a last start."""
    shutil.rmtree(victim.out, ignore_errors=True)
    out = Round()
    labelling = kills - 1 if kills > 1 else kills
    for number in range(labelling):
        now = len(victim.committed())
        step = (victim.pictures - now) // (labelling - number + 1)  # leaves commits for the kills to come
        at, pause_s = now + dice.randint(1, max(1, step)), dice.uniform(0, victim.pause_s)
        out.starts.append(start(victim, "labelling", partial(has_committed, victim.out, at, victim.last), pause_s))
    if kills > labelling:
        new = victim.out / "dataset/coco.new"
        out.starts.append(start(victim, "writing", new.is_dir, dice.uniform(0, 0.02)))
    if out.starts[-1].killed:
        out.starts.append(start(victim, "", lambda: False, 0))
    out.dataset = dataset(victim.out)
    return out


def start(victim: Victim, word: str, ripe: Callable[[], bool], pause_s: float) -> Start:
    """Start the command; kill it, with all of its processes, a pause after the moment is ripe. Raises if it fails."""
    victim.log.unlink(missing_ok=True)
    before = victim.committed()
    process = subprocess.Popen(
        victim.command, cwd=victim.desk, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + PATIENCE_S
    while process.poll() is None and not ripe() and time.monotonic() < deadline:
        time.sleep(POLL_S)
    time.sleep(pause_s)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    _, words = process.communicate()
    if process.returncode not in (0, -signal.SIGKILL):
        raise RuntimeError(f"the command ended with {process.returncode}: {words.decode()}")
    killed = word if process.returncode else ""
    ids = tuple(line["id"] for line in handed(victim.log) if line["what"] in victim.counted)
    return Start(killed, before, victim.committed(), ids)


def committed(run_folder: Path, last: str = LAST) -> frozenset[str]:
    """The ids of the pictures that came to the last stage, by a copy of the store: looking at it changes nothing."""
    store = run_folder / "run.db"
    if not store.is_file():
        return frozenset()
    with tempfile.TemporaryDirectory() as place:
        for suffix in ("", "-wal"):
            part = store.with_name(store.name + suffix)
            if part.is_file():
                shutil.copy(part, place)
        with closing(sqlite3.connect(Path(place) / store.name)) as db:
            return frozenset(clip for (clip,) in db.execute(DONE, (last,)))


def has_committed(run_folder: Path, pictures: int, last: str = LAST) -> bool:
    """Whether a run that is alive has brought so many pictures to their end."""
    try:
        with closing(sqlite3.connect(f"file:{run_folder / 'run.db'}?mode=ro", uri=True)) as db:
            return len(db.execute(DONE, (last,)).fetchall()) >= pictures
    except sqlite3.OperationalError:  # not there yet, or no tables in it
        return False
