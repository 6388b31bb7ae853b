"""What goes to a worker and what comes back: plain values, which can be sent to another process."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.records import Clip
from pipeline.stages import Stage
from pipeline.store import Failure, Remembered, Result


@dataclass(frozen=True, slots=True)
class Following:
    """Where the tracker of a film stands: the film's id, the key of the last segment's result, what it has left.

    At the beginning of a scene the last two are empty.
    """

    film: str
    key: str = ""
    state: bytes = b""


@dataclass(frozen=True, slots=True)
class Job:
    """A clip to be worked on from stage number `first`, with what models said of it; up to `until`, if that is given.

    `memory` is (id, scope, part) -> bytes: of a picture by its own id, of a segment of a film by those of key frames.
    """

    clip: Clip
    first: int
    memory: Mapping[tuple[str, str, str], bytes] = field(default_factory=dict)
    following: Following | None = None
    until: int | None = None


@dataclass(slots=True)
class Done:
    """A clip that went through: its results, what models said of it, how many objects it has now.

    `left` is what a segment leaves for the next one.
    """

    name: str
    results: list[Result] = field(default_factory=list)
    remembered: list[Remembered] = field(default_factory=list)
    objects: int = 0
    left: Following | None = None


@dataclass(slots=True)
class Failed:
    """A clip that did not: at which stage and why, and what there is to keep.

    That is what the stages before it answered, and the failure itself, if the clip would fail again the same way.
    """

    name: str
    stage: str
    reason: str
    detail: str
    results: list[Result | Failure] = field(default_factory=list)
    remembered: list[Remembered] = field(default_factory=list)


class StageFailed(Exception):
    """What a stage raised on a batch; which clip is to blame is found by trying one by one."""

    def __init__(self, stage: Stage, error: Exception) -> None:
        super().__init__(str(error))
        self.stage, self.error = stage, error


@dataclass(slots=True)
class Answer:
    """What came of a batch: one outcome a job, and notes for the ledger.

    By stage: the seconds it took, the clips it worked on, and those of them that its model was asked about.
    """

    outcomes: list[Done | Failed] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    pictures: dict[str, int] = field(default_factory=dict)
    asked: dict[str, int] = field(default_factory=dict)
    notes: list[tuple[str, str, str]] = field(default_factory=list)

    def spent(self, stage: str, seconds: float, pictures: int, asked: int) -> None:
        """Add the time that some clips took."""
        self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds
        self.pictures[stage] = self.pictures.get(stage, 0) + pictures
        self.asked[stage] = self.asked.get(stage, 0) + asked

    def add(self, other: "Answer") -> None:
        """Put another answer below this one."""
        self.outcomes += other.outcomes
        self.notes += other.notes
        for stage, seconds in other.seconds.items():
            self.spent(stage, seconds, other.pictures[stage], other.asked[stage])
