"""When an object of a film begins, goes on, is lost, comes back and ends. Knows decisions; knows no model.

On a keyframe detections meet the objects that are followed. Every threshold is a field of `Rules`, with its meaning.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline.trackers import TrackerOptions

Overlap = NDArray[np.float64]


class Rules(TrackerOptions):
    """How objects live; overlaps are of masks.

    The defaults were found on toy films (benchmarks/toy_films.py) of other seeds than those that are reported.
    """

    match_iou: float = Field(0.5, ge=0, le=1, description="a detection that overlaps so much is the object")
    refresh_iou: float = Field(0.8, ge=0, le=1, description="and from here on its box is remembered as well")
    covered: float = Field(0.7, ge=0, le=1, description="a detection so far inside an object in sight is no new one")
    double_iou: float = Field(0.7, gt=0, le=1, description="of detections that overlap so much the surest counts")
    spill: float = Field(
        0.1, ge=0, description="what of a mask lies so many sides of its box outside of it is another thing's"
    )
    reach: float = Field(
        1.0, gt=0, description="what of a mask lies so many times an object's size away from it is another thing's"
    )
    rest: float = Field(0.3, ge=0, le=1, description="less of an object, cut off in what two claim, is the other's")
    keep: int = Field(96, ge=0, description="frames for which an object out of sight is looked out for")
    likeness: float = Field(0.7, ge=-1, le=1, description="how like an object out of sight one is that comes back")
    whole: float = Field(0.9, gt=0, le=1, description="a mask of so much of the picture is refused after a loss")


@dataclass(slots=True)
class Life:
    """What is known of an object: when it was born and last in sight, the scores of each class, how often it was found.

    It was last out of sight after frame `left` and before frame `back`. Frames are counted from the scene's first. `px`
    is the size of its mask when it was last found.
    """

    born: int
    seen: int
    votes: Counter[str] = field(default_factory=Counter)
    looks: int = 0
    left: int = -1
    back: int = -1
    px: int = 0

    def sight(self, frame: int) -> None:
        """It is in sight."""
        if frame - self.seen > 1:
            self.left, self.back = self.seen, frame
        self.seen = max(self.seen, frame)

    def away_at(self, frame: int) -> bool:
        """Whether it was out of sight then, the last time that it was."""
        return self.left < frame < self.back

    def look(self, frame: int, name: str, score: float, px: int) -> None:
        """A detection is this object, with a mask of `px` pixels."""
        self.votes[name] += score  # type: ignore[assignment]  # votes are weighed
        self.looks += 1
        self.px = px
        self.sight(frame)

    @property
    def name(self) -> str:
        """The class with most votes, the first of equals."""
        return max(self.votes, key=lambda name: self.votes[name], default="")

    @property
    def first_name(self) -> str:
        """The class that it was born with."""
        return next(iter(self.votes), "")

    def to_json(self) -> dict[str, object]:
        """Plain values, for the state that is stored."""
        return asdict(self) | {"votes": dict(self.votes)}

    @classmethod
    def from_json(cls, form: Mapping[str, object]) -> "Life":
        """From plain values."""
        life = cls(**form)  # type: ignore[arg-type]
        life.votes = Counter(life.votes)
        return life


def doubles(iou: Overlap, scores: Sequence[float], rules: Rules) -> dict[int, int]:
    """Detections of what a surer one has found, the first of equals, and that one: (D, D)."""
    order = sorted(range(len(scores)), key=lambda row: (-scores[row], row))
    out: dict[int, int] = {}
    for at, row in enumerate(order):
        surer = [other for other in order[:at] if other not in out and iou[row, other] >= rules.double_iou]
        if surer:
            out[row] = surer[0]
    return out


def matched(iou: Overlap, same_class: NDArray[np.bool_], rules: Rules) -> dict[int, int]:
    """Detection -> object, one with one, those of one class first: (D, T), (D, T)."""
    return _paired(iou + 0.2 * same_class, iou >= rules.match_iou)


def returned(likeness: Overlap, same_class: NDArray[np.bool_], rules: Rules) -> dict[int, int]:
    """Detection -> object out of sight that it is like, one with one: (D, T), (D, T)."""
    return _paired(likeness + 1, same_class & (likeness >= rules.likeness))


def _paired(worth: Overlap, allowed: NDArray[np.bool_]) -> dict[int, int]:
    """Row -> column, the pairs that are worth most together, of those allowed."""
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(np.where(allowed, worth, 0), maximize=True)
    return {int(row): int(column) for row, column in zip(rows, columns, strict=True) if allowed[row, column]}


def own_iou(both: Overlap, looks: Overlap, objects: Overlap, were: Overlap, among: Overlap, rules: Rules) -> Overlap:
    """Overlap of detections and objects where what an object has of other detections does not count: -> (D, T).

    So one that has run over onto its twin is still itself; but one that is as large as it was is not two, whose halves
    were found. In pixels: `both` (D, T) is what they have in common, `looks` (D,) are detections, `objects` (T,)
    objects, and `were` when they were last found; `among` (D, D) is the share of each detection in the others.
    """
    others = (np.maximum(among, among.T) < rules.covered) @ both
    left = np.maximum(np.maximum(objects - others, np.minimum(objects, were)), both)
    return np.asarray(both / np.maximum(looks[:, None] + left - both, 1))


def grown(holds: Overlap, same_class: NDArray[np.bool_], rules: Rules) -> NDArray[np.bool_]:
    """Detections that have one object of their class inside, and no other: it was half hidden: (D, T), (D, T).

    `holds` is the share of objects in detections.
    """
    inside = same_class & (holds >= rules.covered)
    return np.asarray(inside & (inside.sum(axis=1, keepdims=True) == 1))


def may_be(in_sight: Life, away: Life) -> bool:
    """Whether an object in sight may be the one that is out of sight: it was born since."""
    return in_sight.born > away.seen


def twins(iou: Overlap, lives: Sequence[Life], rules: Rules) -> set[int]:
    """Objects that have come to lie on others, of which each has been looked at less often: (T, T)."""
    out: set[int] = set()
    for one in range(len(lives)):
        for other in range(one + 1, len(lives)):
            if iou[one, other] >= rules.refresh_iou and not out & {one, other}:
                older = (lives[one].looks, -lives[one].born) >= (lives[other].looks, -lives[other].born)
                out.add(other if older else one)
    return out
