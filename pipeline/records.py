"""The data model: what flows from the first stage to the last.

A `Clip` is a still picture (or a segment of a film): where the pixels are, never the pixels. `Instances` is what was
found in one frame, as parallel columns. A stage answers with a `Change`: which rows stay, what their columns become,
which rows went and why. The store keeps changes; replaying them gives the record back. docs/architecture.md has the
record field by field.
"""

import hashlib
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from pipeline import forms, geometry
from pipeline.errors import BadRecord

RECORD_VERSION = 1  # of the JSON form; another number is recomputed, never misread

FILM = "film"
"""The `rewrite` of a clip of a film: a plain reader of pictures would show none."""

CONSTANT = "constant"
"""The `score_kind` of a row whose detector gave no score: its 1 is none, and no dataset says it."""

Rows = Sequence[int] | NDArray[np.int64]
Unplaced = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a clip: its number (0 for a still), its time in seconds, and its upright size (h, w).

    `key` says whether a detector looks at it: in a film, not at every frame.
    """

    index: int
    time_s: float
    size_hw: tuple[int, int]
    key: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Instances:
    """What was found in one frame: N rows, one an object. `None` is a column not computed yet. Never edited in place.

    boxes_xyxy   (N, 4) float32, pixels, half-open: the detector's box; a row that is not visible has zeros
    names        N class names; '' for no class
    scores       (N,) float32 in [0, 1], 4 digits
    score_kind   N words: what the score means, such as 'class probability'
    prompts      N texts: what the detector was asked when it found the row
    points       N times None or (K, 3) of x, y, sign: +1 on the object, -1 off it
    masks        N times None or a code of pipeline.masks, of the frame's size
    quality      (N, 3) float32: the segmenter's own IoU estimate, stability, IoU of mask's box and box; NaN is unknown
    track_ids    (N,) int64 from 1, one identity through a film
    visible      (N,) bool: false where a track's object is not in sight
    presence     (N,) float32 in [0, 1]: how sure the tracker is that it is
    source       N words: the backend that made the row, or 'human'
    extra        N mappings: what a foreign dataset said, or a detector besides its score

    `unplaced` is no column: what a detector found that has no area inside the picture, as (prompt, words). The detect
    stage turns it into drops; it is not part of the record's digest.
    """

    size_hw: tuple[int, int]
    boxes_xyxy: NDArray[np.float32]
    names: tuple[str, ...]
    scores: NDArray[np.float32] | None = None
    score_kind: tuple[str, ...] | None = None
    prompts: tuple[str, ...] | None = None
    points: tuple[NDArray[np.float32] | None, ...] | None = None
    masks: tuple[bytes | None, ...] | None = None
    quality: NDArray[np.float32] | None = None
    track_ids: NDArray[np.int64] | None = None
    visible: NDArray[np.bool_] | None = None
    presence: NDArray[np.float32] | None = None
    source: tuple[str, ...] | None = None
    extra: tuple[Mapping[str, Any], ...] | None = None
    unplaced: Unplaced = ()

    def __post_init__(self) -> None:
        for name, shape in forms.FLOATS.items():
            column = getattr(self, name)
            self._set(name, None if column is None else forms.rounded(name, column, shape))
        for name, kind in forms.WHOLE.items():
            column = getattr(self, name)
            self._set(name, None if column is None else np.array(column, kind))
        for name in forms.TUPLES:
            column = getattr(self, name)
            self._set(name, None if column is None else tuple(column))
        if self.points is not None:
            self._set(
                "points", tuple(None if row is None else forms.rounded("points", row, (3,)) for row in self.points)
            )
        for name in forms.COLUMNS:
            column = getattr(self, name)
            if column is not None and len(column) != len(self.boxes_xyxy):
                raise BadRecord(f"{name}: want {len(self.boxes_xyxy)} rows, as boxes_xyxy has, got {len(column)}")
        self._check_boxes()
        self._check_values()

    def _set(self, name: str, column: Any) -> None:
        if isinstance(column, np.ndarray):
            column.setflags(write=False)
        object.__setattr__(self, name, column)

    def _check_boxes(self) -> None:
        h, w = self.size_hw
        visible = np.ones(len(self), np.bool_) if self.visible is None else self.visible
        shown = self.boxes_xyxy[visible]
        if self.boxes_xyxy[~visible].any():
            raise BadRecord("boxes_xyxy: want zeros in a row that is not visible")
        if not geometry.proper(shown).all():
            raise BadRecord("boxes_xyxy: want finite x0 < x1 and y0 < y1 in every visible row")
        if len(shown) and ((shown < 0).any() or (shown > np.array([w, h, w, h])).any()):
            raise BadRecord(f"boxes_xyxy: want boxes inside the picture of {h} x {w} (h x w) pixels")
        if self.masks is not None and any(m is not None and not v for m, v in zip(self.masks, visible, strict=True)):
            raise BadRecord("masks: a row that is not visible has no mask")

    def _check_values(self) -> None:
        for name in ("scores", "presence"):
            column = getattr(self, name)
            if column is not None and not ((column >= 0) & (column <= 1)).all():
                raise BadRecord(f"{name}: want numbers from 0 to 1")
        if self.quality is not None and np.isinf(self.quality).any():
            raise BadRecord("quality: want finite numbers, or NaN where unknown")
        if self.points is not None and not all(row is None or np.isfinite(row).all() for row in self.points):
            raise BadRecord("points: want finite numbers")
        if self.track_ids is not None and (self.track_ids < 1).any():
            raise BadRecord("track_ids: want numbers from 1")
        for name in forms.TEXTS:
            if getattr(self, name) is not None:
                forms.check_texts(name, getattr(self, name))
        if self.extra is not None:
            forms.check_plain(self.extra)

    def __len__(self) -> int:
        return len(self.boxes_xyxy)

    def columns(self) -> dict[str, Any]:
        """The columns that exist, by name."""
        return {name: column for name in forms.COLUMNS if (column := getattr(self, name)) is not None}

    def take(self, rows: Rows) -> "Instances":
        """The rows given, in the order given."""
        rows = np.asarray(rows, np.int64)
        if np.array_equal(rows, np.arange(len(self))):
            return self
        taken = {name: forms.take(column, rows) for name, column in self.columns().items()}
        return _checked_before(self.size_hw, taken, self.unplaced)

    def in_sight(self) -> "Instances":
        """The rows that are visible; all, where the record does not say."""
        return self if self.visible is None else self.take(np.flatnonzero(self.visible))

    def digest(self) -> str:
        """The hash of everything in the record: the same rows give the same text, on every machine."""
        return sha256_of({"size_hw": self.size_hw, "columns": forms.to_json(self.columns())})


@lru_cache(maxsize=64)
def empty(size_hw: tuple[int, int]) -> Instances:
    """Nothing found in a frame of `size_hw`."""
    return Instances(size_hw, np.zeros((0, 4), np.float32), ())


def concatenate(parts: Sequence[Instances], size_hw: tuple[int, int]) -> Instances:
    """The rows of all parts, one below the other; a column exists if it exists in every part that has rows."""
    unplaced = tuple(words for part in parts for words in part.unplaced)
    parts = [part for part in parts if len(part)]
    if not parts:
        return replace(empty(size_hw), unplaced=unplaced)
    shared = [name for name in forms.COLUMNS if all(getattr(part, name) is not None for part in parts)]
    joined = {name: forms.join([getattr(part, name) for part in parts]) for name in shared}
    return Instances(size_hw, **joined, unplaced=unplaced)


def _checked_before(size_hw: tuple[int, int], columns: dict[str, Any], unplaced: Unplaced) -> Instances:
    """Rows of a record are a record: they are not rounded and checked once more."""
    found = object.__new__(Instances)
    for name in forms.COLUMNS:
        found._set(name, columns.get(name))
    object.__setattr__(found, "size_hw", size_hw)
    object.__setattr__(found, "unplaced", unplaced)
    return found


@dataclass(frozen=True, slots=True)
class Drop:
    """An object that left: its row in the input (None if it never had one), why, and the input's row that survived.

    `at` is the place of the frame in the clip.
    """

    row: int | None
    reason: str
    survivor: int | None = None
    detail: str = ""
    at: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """What a stage did to one frame.

    `kept` are the rows of the input that stay, in the new order; None says that all rows are new. `columns` are the
    columns set on the rows that stay (all columns, where the rows are new). `drops` are the rows that went.
    """

    columns: dict[str, Any]
    kept: tuple[int, ...] | None = None
    drops: tuple[Drop, ...] = ()

    @classmethod
    def of(cls, found: Instances, drops: Iterable[Drop] = ()) -> "Change":
        """All rows are new: what a detector answers."""
        return cls(found.columns(), None, tuple(drops))

    def applied_to(self, before: Instances) -> Instances:
        """The frame's rows after this change."""
        if self.kept is None:
            return Instances(before.size_hw, **self.columns)
        kept = before.take(self.kept)
        return replace(kept, **self.columns) if self.columns else kept

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; `drops` travel apart, so that counting them opens no record."""
        return {"v": RECORD_VERSION, "kept": self.kept, "columns": forms.to_json(self.columns)}

    @classmethod
    def from_json(cls, form: Mapping[str, Any]) -> "Change":
        """The change again; raises `BadRecord` for a version that is not ours."""
        if form.get("v") != RECORD_VERSION:
            raise BadRecord(f"record version {form.get('v')!r}: this masklet reads {RECORD_VERSION}")
        kept = form["kept"]
        return cls(forms.from_json(form["columns"]), None if kept is None else tuple(kept))


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """A still picture or a segment of a film: where its pixels are, and what was found in each frame.

    `id` is of the content, `name` is the POSIX path below the source, `path` is where the bytes are, and `rewrite` says
    why a plain reader would show the picture differently (None: its bytes can be exported as they are). `side` is where
    a split dataset has it, '' in one that is not split (`formats.sides`).
    """

    id: str
    name: str
    path: str
    frames: tuple[Frame, ...]
    rewrite: str | None = None
    found: tuple[Instances, ...] = field(default=())
    side: str = ""

    @property
    def is_film(self) -> bool:
        """Whether `path` is a film, or a folder with a picture a frame; one of a single frame has to say so."""
        return len(self.frames) > 1 or self.rewrite == FILM

    def after(self, changes: Sequence[Change]) -> "Clip":
        """The clip with one change a frame applied; itself, where that leaves every frame as it is."""
        before = self.found or tuple(empty(frame.size_hw) for frame in self.frames)
        found = tuple(change.applied_to(frame) for change, frame in zip(changes, before, strict=True))
        return self if found == self.found else replace(self, found=found)

    def to_text(self) -> str:
        """Where the picture is and what it is, without what was found: JSON for the store."""
        frames = [[frame.index, frame.time_s, list(frame.size_hw), frame.key] for frame in self.frames]
        return orjson.dumps([self.id, self.name, self.path, frames, self.rewrite]).decode()

    @classmethod
    def from_text(cls, text: str) -> "Clip":
        """The clip again, nothing found."""
        id_, name, path, frames, rewrite = orjson.loads(text)
        return cls(id_, name, path, tuple(Frame(i, t, (h, w), key) for i, t, (h, w), key in frames), rewrite)

    def digest(self) -> str:
        """The hash of what was found, over all frames; the clip's own id before anything was."""
        return sha256_of([self.id, *(found.digest() for found in self.found)])


def uids(clip_id: str, found: Instances) -> list[str]:
    """The name of every row for diffs, corrections and reports: clip, class and ordinal within the class.

    >>> uids("c1", Instances((9, 9), [[0, 0, 1, 1]] * 3, ("dog", "cat", "dog")))
    ['c1/dog/0', 'c1/cat/0', 'c1/dog/1']
    """
    seen: dict[str, int] = {}
    out = []
    for name in found.names:
        out.append(f"{clip_id}/{name}/{seen.setdefault(name, 0)}")
        seen[name] += 1
    return out


CORRECTED = "corrected"
"""The key of `extra` that says what a person did to a row, as in 'relabel+points'."""


def of_people(found: Instances) -> NDArray[np.bool_]:
    """Which rows are a person's word, made, changed or accepted: no stage may drop or change them: N rows -> (N,)."""
    source = found.source or ("",) * len(found)
    extra = found.extra or ({},) * len(found)
    return np.array([one == "human" or CORRECTED in said for one, said in zip(source, extra, strict=True)], np.bool_)


def clip_id(content: bytes) -> str:
    """The same bytes get the same id, whatever the file is called: 32 hex digits of sha256."""
    return hashlib.sha256(content).hexdigest()[:32]


def sha256_of(value: Any) -> str:
    """The hash of plain JSON values, independent of the order of keys."""
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()


def to_blob(changes: Sequence[Change]) -> bytes:
    """One change a frame to bytes for the store."""
    return zlib.compress(orjson.dumps([change.to_json() for change in changes]), 1)


def from_blob(blob: bytes) -> list[Change]:
    """The changes again; raises `BadRecord` for a form that is not ours."""
    try:
        return [Change.from_json(form) for form in orjson.loads(zlib.decompress(blob))]
    except (zlib.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadRecord(f"a stored record cannot be read: {error}") from error


assert {f.name for f in fields(Instances)} == {"size_hw", "unplaced", *forms.COLUMNS}
