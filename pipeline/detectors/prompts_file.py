"""A prompts file: JSON lines that say where objects are, written by hand or by any other program.

One object a line: {"picture": "a/b.jpg", "class": "dog"} with one or more of "box": [x0, y0, x1, y1],
"points": [[x, y, 1], [x, y, -1]] (1 is on the object, -1 is not), "mask": {"size": [h, w], "counts": "..."}
(COCO's compressed run lengths), and a "score" from 0 to 1 where there is one. Pixels of the upright picture.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pipeline import geometry, masks
from pipeline.errors import BadRecord, ConfigError
from pipeline.formats.foreign import MAX_SIDE_PX

BOM = b"\xef\xbb\xbf"

Pixels = Annotated[float, Field(ge=0, le=MAX_SIDE_PX)]
Side = Annotated[int, Field(ge=1, le=MAX_SIDE_PX)]
Corners = tuple[Pixels, Pixels, Pixels, Pixels]
Point = tuple[Pixels, Pixels, Literal[1, -1]]


@dataclass(frozen=True, slots=True)
class Given:
    """One object that somebody else found; `size_hw` of the picture it was found in, where that is known."""

    prompt: str
    box_xyxy: tuple[float, float, float, float] | None
    points: tuple[tuple[float, float, int], ...] = ()
    mask: bytes | None = None
    size_hw: tuple[int, int] | None = None
    score: float | None = None
    annotation: int | None = None


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class _Mask(_Strict):
    size: tuple[Side, Side]
    counts: str = Field(pattern="^[0-o]+$")

    @model_validator(mode="after")
    def _fills_its_size(self) -> "_Mask":
        try:
            code = masks.validate(self.counts.encode("ascii"), self.size)
        except BadRecord as error:
            raise ValueError(str(error).removeprefix("mask: ")) from error
        if not masks.area(code):
            raise ValueError("the mask is empty; remove it")
        return self


class _Line(_Strict):
    picture: str = Field(min_length=1)
    prompt: str = Field(alias="class", min_length=1)
    box: Corners | None = None
    points: tuple[Point, ...] = ()
    mask: _Mask | None = None
    score: float | None = Field(default=None, ge=0, le=1)

    @model_validator(mode="after")
    def _marks_an_object(self) -> "_Line":
        if self.box is not None and not geometry.proper(geometry.as_boxes(self.box))[0]:
            raise ValueError("box: want x0 < x1 and y0 < y1")
        if self.box is None and self.mask is None and not any(sign > 0 for _, _, sign in self.points):
            raise ValueError("want a box, a mask, or a point on the object")
        return self

    def given(self) -> Given:
        """In our terms; a mask alone brings its own box."""
        if self.mask is None:
            return Given(self.prompt, self.box, self.points, score=self.score)
        code, size_hw = self.mask.counts.encode("ascii"), self.mask.size
        box = self.box or masks.box(code, size_hw)
        return Given(self.prompt, box, self.points, code, size_hw, self.score)


def read(path: Path) -> dict[str, list[Given]]:
    """Read what is said of each picture, by name; raises `ConfigError` with every bad line."""
    found: dict[str, list[Given]] = {}
    problems: list[str] = []
    with path.open("rb") as lines:
        for number, text in enumerate(lines, 1):
            if not text.strip(BOM + b" \t\r\n"):
                continue
            try:
                line = _Line.model_validate_json(text.removeprefix(BOM))
                found.setdefault(line.picture, []).append(line.given())
            except ValidationError as error:
                problems += [f"{path}:{number}: {problem}" for problem in _in_words(error)]
    if problems:
        raise ConfigError(problems)
    return found


def _in_words(error: ValidationError) -> Iterator[str]:
    for problem in error.errors(include_url=False, include_input=False):
        key = ".".join(str(part) for part in problem["loc"])
        what = problem["msg"].removeprefix("Value error, ")
        yield f"{key}: {what}" if key else what
