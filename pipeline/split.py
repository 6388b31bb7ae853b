"""Which side of a dataset a picture is on, for ever: the hash of its group decides, and nothing else does.

A film is a group, or what a pattern finds in names, or else a picture alone. So more data moves no picture, and there
is nothing to store. Classes are not balanced over the sides: that would move pictures. How they came out is told.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from pipeline.formats.sides import SIDES
from pipeline.records import Clip

OFF = 0.05
"""A class of which a side has so much more or less than was asked for is named."""


def _compiles(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"{text!r} is no pattern: {error}") from error
    return text


Pattern = Annotated[str, AfterValidator(_compiles)]
"""A pattern of Python's re that is looked for in names, as text."""


class Rules(BaseModel):
    """How much of a dataset is on which side; without val and test, it is not split."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: float | None = Field(None, gt=0, le=1, description="what is left, and may be left out")
    val: float = Field(0.0, ge=0, lt=1, description="share of the groups: pictures and films")
    test: float = Field(0.0, ge=0, lt=1)
    group: Pattern = Field(
        "",
        description="a pattern (Python's re) looked for in the picture's name: what it finds, or its first group in"
        " parentheses, stays together on one side, as in ^(.*?)/ for folders",
    )
    salt: str = Field("", description="another text gives another split")

    @model_validator(mode="after")
    def _one_whole(self) -> "Rules":
        left = 1 - self.val - self.test
        if left <= 0:
            raise ValueError(f"val and test are {self.val + self.test:g}, which leaves nothing to train on")
        if self.train is not None and abs(self.train - left) > 1e-6:
            raise ValueError(f"train, val and test are {self.train + self.val + self.test:g}; make it 1")
        return self

    @property
    def asked(self) -> dict[str, float]:
        """Side -> the share that was asked for; nothing where there is no split."""
        shares = {"train": round(1 - self.val - self.test, 9), "val": self.val, "test": self.test}
        return {side: shares[side] for side in SIDES if shares[side]} if self.val or self.test else {}


def side_of(clip: Clip, rules: Rules) -> str:
    """The side that a picture or a film is on; '' where there is no split."""
    if not rules.asked:
        return ""
    at = share_of(group_of(clip, rules.group), rules.salt)
    return "val" if at < rules.val else "test" if at >= 1 - rules.test else "train"


def group_of(clip: Clip, pattern: str) -> str:
    """What a clip must not be parted from: what the pattern finds in its name, or else its own content."""
    found = re.search(pattern, clip.name) if pattern else None
    if found is None:
        return f"content {clip.id}"
    return f"name {found[1] if found.re.groups and found[1] is not None else found[0]}"


def share_of(group: str, salt: str = "") -> float:
    """A number from 0 to 1 (not 1) that is the group's for ever.

    >>> round(share_of("name a"), 3), round(share_of("name b"), 3)
    (0.139, 0.076)
    """
    digest = hashlib.sha256(f"{salt}\0{group}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def told(asked: Mapping[str, float], sides: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """What is on each side, those without a picture too: the share asked for, pictures, objects by class."""
    nothing: dict[str, Any] = {"pictures": 0, "by_class": {}}
    names = [side for side in SIDES if side in asked or side in sides]
    return {side: {"asked": asked.get(side), **nothing, **sides.get(side, {})} for side in names}


def shares(sides: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Class -> side -> the share of its objects that are on it."""
    classes = sorted({name for said in sides.values() for name in said["by_class"]})
    totals = {name: sum(said["by_class"].get(name, 0) for said in sides.values()) for name in classes}
    return {
        name: {side: said["by_class"].get(name, 0) / totals[name] for side, said in sides.items()} for name in classes
    }


def uneven(sides: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A sentence for each class and side that are more than 5 points off what was asked for, and each empty side."""
    out = [f"{side} has no picture: there are too few" for side, said in sides.items() if not said["pictures"]]
    for name, by_side in shares(sides).items():
        total = sum(said["by_class"].get(name, 0) for said in sides.values())
        for side, share in by_side.items():
            asked = sides[side]["asked"]
            if asked is not None and round(abs(share - asked), 9) > OFF:
                count = sides[side]["by_class"].get(name, 0)
                out.append(f"{side} has {count} of {total} {name!r}: {share:.0%}, {asked:.0%} were asked for")
    return out
