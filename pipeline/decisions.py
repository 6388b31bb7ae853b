"""Which row of a picture, or which object of a film, each correction is about, and what becomes of it.

A pure function of rows and lines: no model, no files. A row is told by where it is, its class and its uid, since
another model, or another threshold, may have moved it or taken it away.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import orjson
from numpy.typing import NDArray

from pipeline import geometry, masks
from pipeline.corrections import KINDS, Box, Correction, digest
from pipeline.errors import BadRecord
from pipeline.records import Instances, uids

SAME_IOU = 0.5
"""Boxes that overlap so much are of one row, and masks of one class of one object: COCO's lowest threshold of a hit."""

TWIN_IOU = {True: 0.7, False: 0.5}
"""Masks of one class, of one prompt or of two, that overlap so much are one object: dedupe's own limits."""


@dataclass(slots=True)
class Object:
    """An object that people may decide about. `row` is None for one that is new, or not found any more.

    `names` and `boxes` are all that it was known by, the last name counts. `mask`, `box` and `points` are a person's.
    """

    row: int | None
    names: list[str]
    boxes: list[Box]
    uid: str = ""
    score: float = 1.0
    done: set[str] = field(default_factory=set)
    lines: list[Correction] = field(default_factory=list)
    rejected: bool = False
    mask: bytes | None = None
    box: Box | None = None
    points: NDArray[np.float32] | None = None

    @property
    def name(self) -> str:
        """Its class by now."""
        return self.names[-1]

    @property
    def kinds(self) -> str:
        """What people did to it, as in 'relabel+points'."""
        return "+".join(kind for kind in KINDS if kind in self.done)

    @property
    def place(self) -> str:
        """What and where it is, in words."""
        return f"{self.name} at " + ",".join(f"{v:.0f}" for v in self.boxes[0])

    @property
    def is_changed(self) -> bool:
        """Whether a person made or changed its mask or its class."""
        return bool(self.done - {"accept", "reject"}) or self.row is None

    def take(self, line: Correction) -> None:
        """Do what a line says."""
        self.done.add(line.do)
        self.lines.append(line)
        self.rejected = line.do == "reject"
        if line.to and line.do in ("relabel", "add"):
            self.names.append(line.to)
        if line.do in ("mask", "box", "add"):
            self.mask, self.box, self.points = (line.mask.encode() or None), line.box, None
            self.done |= {"mask"} if line.mask else {"box"} if line.box else set()
        if line.points and line.do in ("points", "add"):
            self.points = np.array(line.points, np.float32)
            self.done.add("points")


@dataclass(slots=True)
class Decided:
    """What becomes of a picture: the objects that people decided about, those applied, and what could not be.

    `too` are other rows with the class and the place of one decided about: row -> that object's row.
    """

    objects: list[Object] = field(default_factory=list)
    too: dict[int, int] = field(default_factory=dict)
    applied: list[Correction] = field(default_factory=list)
    missed: list[tuple[Correction, str]] = field(default_factory=list)

    def by_class(self) -> list[tuple[str, str]]:
        """What people did to each object, as (the class it had, 'rejected')."""
        return [(one.names[0], kind) for one in self.objects for kind in sorted({line.kind for line in one.lines})]

    def told(self) -> bytes:
        """What came of the lines, without their files: those applied, those that were not and why, and the classes."""
        missed = [[digest([line]), why] for line, why in self.missed]
        return orjson.dumps([[digest([line]) for line in self.applied], missed, self.by_class()])


def decided(clip_id: str, found: Instances, lines: Sequence[Correction], classes: Collection[str]) -> Decided:
    """Apply lines, one after the other, to the rows of a picture; `classes` are those that a dataset may have."""
    out = Decided()
    known = _rows(clip_id, found)
    for line in lines:
        why = _unfit(line, found.size_hw)
        one = None if why or line.do == "add" else matched(line, known)
        if not why and one is None and line.do != "reject":
            one, why = _made(line, found.size_hw, classes)
            known += [one] if one else []
        if why:
            out.missed.append((line, why))
            continue
        if one:
            one.take(line)
            one.boxes += _boxes_of(line, found.size_hw)
        out.applied.append(line)
    out.objects = [one for one in known if one.done]
    out.too = _twins(found, out.objects)
    return out


def matched(line: Correction, known: Iterable[Object]) -> Object | None:
    """The object a line is about: of its class, overlapping most, of its uid, the surest; None where there is none."""
    if line.box_was is None:
        return next((one for one in known if line.uid and one.uid == line.uid), None)
    best, least = None, (False, 0.0, False, 0.0)
    for one in known:
        iou = float(geometry.box_iou(geometry.as_boxes([line.box_was]), geometry.as_boxes(one.boxes)).max())
        rank = (line.class_was in one.names, round(iou, 3), bool(line.uid) and one.uid == line.uid, one.score)
        if iou >= SAME_IOU and (best is None or rank > least):
            best, least = one, rank
    return best


def _rows(clip_id: str, found: Instances) -> list[Object]:
    """The rows, each with the detector's box and that of its mask."""
    codes = found.masks or (None,) * len(found)
    tight = masks.boxes([code or masks.NOTHING for code in codes], found.size_hw)
    own = zip(uids(clip_id, found), found.names, found.boxes_xyxy.tolist(), tight.tolist(), strict=True)
    scores = [1.0] * len(found) if found.scores is None else found.scores.tolist()
    return [
        Object(row, [name], [tuple(box), *([tuple(around)] if any(around) else [])], uid, scores[row])
        for row, (uid, name, box, around) in enumerate(own)
    ]


def _unfit(line: Correction, size_hw: tuple[int, int]) -> str:
    """Why a line cannot be of a picture of this size; '' where it can."""
    h, w = size_hw
    if line.track is not None or line.frame is not None:
        return "it names a track, and the picture is no film"
    if line.mask:
        try:
            masks.validate(line.mask.encode(), size_hw)
        except BadRecord as error:
            return str(error)
        if not masks.area(line.mask.encode()):
            return "mask: it is empty; reject the object instead"
    if line.box and not geometry.proper(geometry.clip_boxes(geometry.as_boxes([line.box]), size_hw))[0]:
        return "box: it lies outside the picture"
    if any(not (0 <= x <= w and 0 <= y <= h) for x, y, _ in line.points):
        return "points: one of them lies outside the picture"
    return ""


def _boxes_of(line: Correction, size_hw: tuple[int, int]) -> list[Box]:
    """The boxes by which an object is known once a line was applied."""
    return [*([line.box] if line.box else []), *([masks.box(line.mask.encode(), size_hw)] if line.mask else [])]


def _made(line: Correction, size_hw: tuple[int, int], classes: Collection[str]) -> tuple[Object | None, str]:
    """The object that a line adds, or that it is about and that is not found any more; or why there can be none."""
    name = line.to or line.class_was
    if name not in classes:
        said = f"its class {name!r} is not in the ontology" if name else "the line names no class to make it anew with"
        return None, f"its row is not there any more, and {said}"
    if line.do == "add":
        around = [(x - 1, y - 1, x + 1, y + 1) for x, y, _ in line.points]
        return Object(None, [name], _boxes_of(line, size_hw) or around), ""
    box = geometry.clip_boxes(geometry.as_boxes([line.box_was or (0, 0, 0, 0)]), size_hw)
    if line.box_was is None or not geometry.proper(box)[0]:
        return None, "its row is not there any more, and the line has no box in the picture to make it anew with"
    x0, y0, x1, y1 = box[0].tolist()
    return Object(None, [line.class_was, name], [(x0, y0, x1, y1)], box=(x0, y0, x1, y1)), ""


def _twins(found: Instances, objects: Sequence[Object]) -> dict[int, int]:
    """Rows that nobody decided about, of the class and at the place of one decided about: row -> that one's row.

    Without them, what a person rejected or called otherwise would come back as its twin, which dedupe had taken away.
    Those of a row that was accepted as it is dedupe takes away once more.
    """
    decided_rows = {one.row: one for one in objects if one.row is not None}
    changed = [row for row, one in decided_rows.items() if one.rejected or one.is_changed]
    codes, prompts = found.masks or (None,) * len(found), found.prompts or ("",) * len(found)
    out: dict[int, int] = {}
    for row in changed:
        others = [other for other in range(len(found)) if other not in decided_rows and other not in out]
        alike = [other for other in others if found.names[other] == found.names[row] and codes[other]]
        code = codes[row]
        if code and alike:
            iou = masks.iou([code], [codes[other] or masks.NOTHING for other in alike], found.size_hw)[0]
            limits = [TWIN_IOU[prompts[other] == prompts[row]] for other in alike]
            out |= {other: row for other, share, least in zip(alike, iou, limits, strict=True) if share >= least}
    return out


def decided_tracks(seen: dict[int, Instances], names: dict[int, str], lines: Sequence[Correction]) -> Decided:
    """Apply lines to the objects of a film: `seen` are its rows in the frames that lines name, `names` its tracks.

    An object's `row` is the number of its track.
    """
    known = {number: Object(number, [name], []) for number, name in names.items()}
    out = Decided()
    for line in lines:
        one = _track(line, seen, known)
        if line.track is None and line.frame is None:
            out.missed.append((line, "the picture is a film, and the line names no `track` of it"))
        elif one is None and line.do != "reject":
            out.missed.append((line, "no object of the film is there any more"))
        else:
            out.applied.append(line)
            if one:
                one.take(line)
    out.objects = [one for one in known.values() if one.done]
    return out


def _track(line: Correction, seen: dict[int, Instances], known: dict[int, Object]) -> Object | None:
    """The track a line is about: what is where it says in the frame it names; without a box, the track's number."""
    if line.frame is None or line.box_was is None:
        return known.get(line.track or 0)
    found = seen.get(line.frame)
    if found is None or found.track_ids is None:
        return None
    best, least = None, (False, 0.0, False)
    iou = geometry.box_iou(geometry.as_boxes([line.box_was]), found.boxes_xyxy)[0]
    for number, share in zip(found.track_ids.tolist(), iou.tolist(), strict=True):
        rank = (line.class_was in known[number].names, round(share, 3), number == line.track)
        if share >= SAME_IOU and (best is None or rank > least):
            best, least = known[number], rank
    return best
