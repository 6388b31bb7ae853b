"""A run's dataset that people edited in another tool, as corrections: what they took away, named otherwise, redrew.

Objects are told by their uid where the tool has kept it, else by picture and overlap, as two runs' are.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline import masks, media
from pipeline.compare.objects import Object, matched, objects
from pipeline.compare.pairs import Run
from pipeline.config import Config
from pipeline.corrections import Box, Correction
from pipeline.errors import BadDataset
from pipeline.formats import Masks, Problem, format_of
from pipeline.formats.sniff import format_at
from pipeline.geometry import as_boxes, paired_iou
from pipeline.labelled import Labelled, labelled
from pipeline.records import Clip, Instances

CHANGED = {Masks.EXACT: 1.0, Masks.OUTLINES: 0.95, Masks.BOXES: 0.9}
"""IoU below which a mask, or a box, was changed: an outline is drawn anew by every tool, and loses a few pixels."""


@dataclass(slots=True)
class Edits:
    """The corrections, the pictures compared, those the dataset lacks, and what of it could not be taken over."""

    lines: list[Correction] = field(default_factory=list)
    pictures: int = 0
    absent: int = 0
    problems: list[Problem] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """How many lines of each kind."""
        return dict(sorted(Counter(line.do for line in self.lines).items()))


def edits(
    run: Run,
    config: Config,
    place: Path,
    name: str | None = None,
    accept: bool = False,
    below: float | None = None,
    by: str = "",
) -> Edits:
    """Compare an edited dataset with the run it came from; `accept` also says which objects were left as they are.

    Pictures that the dataset lacks are passed over. Raises `BadDataset` where none is the run's.
    """
    format_ = format_of(name or format_at(place))
    limit = CHANGED[format_.masks] if below is None else below
    of_run = {one.whole.id: one for one in labelled(run.store) if not one.whole.is_film}
    by_name = {media.export_name(one.whole): one for one in of_run.values()}
    reading = format_.read(place)
    out = Edits()
    for clip in reading.clips:
        one = of_run.get(clip.id) or by_name.get(clip.name)
        why = _unlike(clip, one)
        if why or one is None:
            out.problems.append(Problem(clip.name, why, "give the dataset that was made from this run"))
            continue
        out.pictures += 1
        lines = list(_Comparison(one.replayed(run.store), clip, limit, accept, by).lines())
        out.lines += [line for line in lines if not line.to or line.to in config.ontology.names]
        out.problems += [
            Problem(clip.name, f"class {line.to!r} is not in the run's ontology", "add it there, and import again")
            for line in lines
            if line.to and line.to not in config.ontology.names
        ]
    out.problems += reading.problems
    out.absent = len(of_run) - out.pictures
    if not out.pictures:
        raise BadDataset(f"{place}: has no picture of the run {run.folder}; give a dataset that was made from it")
    return out


def _unlike(clip: Clip, one: Labelled | None) -> str:
    """Why a picture cannot be compared; '' where it can."""
    if clip.is_film:
        return "is a film; films are corrected by track, in a line of their own"
    if one is None:
        return "is no picture of the run"
    if clip.frames[0].size_hw != one.whole.frames[0].size_hw:
        (h, w), (own_h, own_w) = clip.frames[0].size_hw, one.whole.frames[0].size_hw
        return f"has {h} x {w} (h x w) pixels in the dataset, and {own_h} x {own_w} in the run"
    return ""


@dataclass(slots=True)
class _Comparison:
    """A picture of the run, and what people made of it."""

    was: Clip
    now: Clip
    limit: float
    accept: bool
    by: str

    def lines(self) -> Iterator[Correction]:
        """The corrections that lead from the one to the other."""
        before, after = objects(self.was), objects(self.now)
        found = self.now.found[0]
        crowds = {row for row, said in enumerate(found.extra or ()) if said.get("iscrowd") == 1}
        pairs = dict(self._pairs(before, after, [row for row in range(len(after)) if row not in crowds]))
        for row, one in enumerate(before):
            if row not in pairs:
                yield self._line(row, one, "reject")
                continue
            changes = list(self._changes(row, one, pairs[row], after[pairs[row]]))
            yield from changes
            if self.accept and not changes:
                yield self._line(row, one, "accept")
        for row in range(len(after)):
            if row not in pairs.values() and row not in crowds:
                yield self._said("add", to=after[row].name, **_shape(found, row))

    def _pairs(
        self, before: Sequence[Object], after: Sequence[Object], rows: Sequence[int]
    ) -> Iterator[tuple[int, int]]:
        """Which object is which: by uid where they overlap, by overlap, and by uid where one was moved.

        A uid alone may be of a run before, since it counts the objects of a class.
        """
        extra = self.now.found[0].extra or ({},) * len(after)
        uids = [str(said.get("uid")) for said in extra]  # anything, in a dataset of others
        by_uid = {one.uid: row for row, one in enumerate(before)}
        named = {by_uid.pop(uids[row]): row for row in rows if uids[row] in by_uid}
        pairs = {row: other for row, other in named.items() if _overlap(before[row], after[other])}
        left = [row for row in range(len(before)) if row not in pairs]
        others = [row for row in rows if row not in pairs.values()]
        for i, j, _ in matched([before[row] for row in left], [after[row] for row in others]):
            pairs[left[i]] = others[j]
        taken = set(pairs.values())
        yield from pairs.items()
        yield from ((row, other) for row, other in named.items() if row not in pairs and other not in taken)

    def _changes(self, row: int, one: Object, other_row: int, other: Object) -> Iterator[Correction]:
        """What is another in the dataset: the class, the mask, or where it only has boxes the box."""
        if other.name != one.name:
            yield self._line(row, one, "relabel", to=other.name)
        (code, size_hw), (drawn, _) = one.seen[0], other.seen[0]
        shape = _shape(self.now.found[0], other_row)
        if "mask" in shape:
            iou = float(masks.iou([code], [drawn], size_hw)[0, 0])
            if iou < self.limit:
                yield self._line(row, one, "mask", **shape)
        elif paired_iou(masks.boxes([code], size_hw), as_boxes([shape["box"]]))[0] < CHANGED[Masks.BOXES]:
            yield self._line(row, one, "box", **shape)

    def _line(self, row: int, one: Object, do: str, **said: Any) -> Correction:
        """A line about a row of the run."""
        x0, y0, x1, y1 = self.was.found[0].boxes_xyxy[row].astype(float).round(3).tolist()
        return self._said(do, uid=one.uid, class_was=one.name, box_was=(x0, y0, x1, y1), **said)

    def _said(self, do: str, to: str = "", **said: Any) -> Correction:
        about: dict[str, Any] = {
            "version": 1,
            "picture": self.was.id,
            "name": self.was.name,
            "do": do,
            "class": to,
            "by": self.by,
        }
        return Correction(**about, **said)


def _overlap(one: Object, other: Object) -> bool:
    (code, size_hw), (drawn, _) = one.seen[0], other.seen[0]
    return bool(masks.iou([code], [drawn], size_hw)[0, 0] > 0)


def _shape(found: Instances, row: int) -> dict[str, str | Box]:
    """The mask of a row, or its box where it has none."""
    code = found.masks[row] if found.masks is not None else None
    if code:
        return {"mask": code.decode("ascii")}
    x0, y0, x1, y1 = found.boxes_xyxy[row].astype(float).round(3).tolist()
    return {"box": (x0, y0, x1, y1)}
