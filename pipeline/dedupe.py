"""Objects in one frame: every object once, with a clean mask.

Knows masks, classes and scores; no pixels and no model. What a person drew stays as it is. Every tie is
broken by what a row says, never by where it stands: the order in which a detector answers does not matter.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from pipeline import cleaning, masks
from pipeline.records import CORRECTED, Change, Drop, Instances, of_people

VERSION = 2

Codes = tuple[bytes | None, ...]
Pixels = NDArray[np.float64]
Losses = dict[int, tuple[str, int]]
"""Loser -> why, and to whom. Numbers are ranks: 0 is the surest row."""

TWINS = ("same_class_twin", "same_class_other_prompt", "other_class_twin")
PERSONS = "persons_twin"


class Rules(BaseModel):
    """When two rows are one object; null or 1.0 switches a rule off.

    Measured on true masks, 64 COCO photos: of 1400 pairs of one class none has an IoU above 0.06, and none
    lies in the other by more than 0.20; of 3497 pairs of two classes one has an IoU above 0.6: 0.73.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    same_class_iou: float | None = Field(
        default=0.7,
        gt=0,
        le=1,
        description="mask IoU above which two rows of one class and one prompt are one object. High: the "
        "detector has already compared the boxes of a prompt.",
    )
    other_prompt_iou: float | None = Field(
        default=0.5,
        gt=0,
        le=1,
        description="mask IoU above which two rows of one class and two prompts are one object. Lower: "
        "nothing has compared them yet, and two prompts give one object two boxes that differ more.",
    )
    other_class_iou: float | None = Field(
        default=0.9,
        gt=0,
        le=1,
        description="mask IoU above which two rows of two classes are one object. High: a vest and who wears "
        "it truly overlap.",
    )
    part_of: float | None = Field(
        default=0.9,
        gt=0,
        le=1,
        description="share of a mask, from which on it counts as inside a larger one of its class: only one "
        "of the two is meant. Below 1: masks differ along their edges.",
    )
    filled: float | None = Field(
        default=0.5,
        gt=0,
        le=1,
        description="share of the larger mask, from which on the surer ones inside it are the objects, and "
        "it is a group or a loose outline; below, they are parts of it. A head fills little of a person.",
    )
    speck_fraction: float = Field(
        default=0.01,
        ge=0,
        le=1,
        description="a loose part or a hole goes if it has less than this share of the mask and fewer pixels "
        "than speck_px; 0 switches it off. Small: behind a pole an object has two true parts.",
    )
    speck_px: int = Field(
        default=64,
        ge=0,
        description="a loose part or a hole goes if it has fewer pixels than this and less than "
        "speck_fraction; 0 switches it off. 8 x 8 pixels: a labeller draws nothing smaller.",
    )


def dedupe(found: Instances, rules: Rules) -> Change:
    """Keep every object once, rows in their order, masks clean; say of every other row who took its place.

    The surest row is a person's, then by score, area, box and name. Twins: a row too much like a surer one
    goes. Parts: of a row and those of its class inside it the larger stays, whatever the scores, unless surer
    ones fill it; then it is a group or a loose outline and goes. A labeller wants the person, not the head
    that the detector is surer of, and the ten boats, not the harbour. A person's row never goes. Rows without
    a mask are left alone.
    """
    codes = _tidy(found, rules)
    order, area_px = _surest_first(found, codes)
    ranked = replace(found, masks=codes).take(order)
    shared_px = _shared_px(ranked, area_px)
    losses = _twins(ranked, shared_px, rules)
    losses |= _parts(ranked, shared_px, rules, losses)
    reasons = {order[loser]: (losses[loser][0], order[_survivor(loser, losses)]) for loser in losses}
    kept = tuple(row for row in range(len(found)) if row not in reasons)
    tidy = tuple(codes[row] for row in kept)
    changed = found.masks is not None and tidy != tuple(found.masks[row] for row in kept)
    drops = tuple(Drop(row, *reasons[row]) for row in sorted(reasons))
    return Change({"masks": tidy} if changed else {}, kept, drops)


def _tidy(found: Instances, rules: Rules) -> Codes:
    """Clean every mask but those that a person drew of specks and pinholes."""
    codes = found.masks or (None,) * len(found)
    if not (rules.speck_fraction and rules.speck_px):
        return codes
    return tuple(
        cleaning.clean(code, found.size_hw, rules.speck_fraction, rules.speck_px) if code and not drawn else code
        for code, drawn in zip(codes, _drawn(found), strict=True)
    )


def _drawn(found: Instances) -> list[bool]:
    """Tell whose masks are a person's own: not where a person only said the class, or where to look."""
    source = found.source or ("",) * len(found)
    extra = found.extra or ({},) * len(found)
    return [
        one == "human" and "mask" in said.get(CORRECTED, "mask").split("+")
        for one, said in zip(source, extra, strict=True)
    ]


def _surest_first(found: Instances, codes: Codes) -> tuple[list[int], Pixels]:
    """Rank the rows that have a mask and give their areas; rows that tie are equal in all that counts."""
    machine = ~of_people(found)
    scores = np.zeros(len(found)) if found.scores is None else found.scores
    prompts = found.prompts or ("",) * len(found)
    boxes = found.boxes_xyxy.tolist()
    masked = [(row, code) for row, code in enumerate(codes) if code is not None]
    keys = sorted(
        (machine[row], -scores[row], -area, boxes[row], found.names[row], prompts[row], code, row)
        for (row, code), area in zip(masked, masks.areas([code for _, code in masked]), strict=True)
    )
    return [key[-1] for key in keys], np.array([-key[2] for key in keys], np.float64)


def _shared_px(ranked: Instances, area_px: Pixels) -> Pixels:
    """Count the pixels that every two rows share; on the diagonal are their areas: N rows, (N,) -> (N, N).

    `masks.covered` compares boxes first, and runs only where boxes meet.
    """
    codes = [code for code in ranked.masks or () if code is not None]
    return np.asarray(np.round(masks.covered(codes, codes, ranked.size_hw) * area_px[:, None]))


def _limit(threshold: float | None) -> float:
    return np.inf if threshold is None or threshold == 1 else threshold


def _twins(ranked: Instances, shared_px: Pixels, rules: Rules) -> Losses:
    """Find, surest row first, who is too much like rows that stay, and which of them most."""
    kind = _kinship(ranked)
    limits = [_limit(iou) for iou in (rules.same_class_iou, rules.other_prompt_iou, rules.other_class_iou)]
    area_px = shared_px.diagonal()
    iou = shared_px / np.maximum(area_px[:, None] + area_px - shared_px, 1)
    alike = iou > np.array(limits)[kind]
    human = of_people(ranked)
    stays = np.zeros(len(ranked), np.bool_)
    losses: Losses = {}
    for row in range(len(ranked)):
        rivals = np.flatnonzero(alike[row] & stays)
        stays[row] = human[row] or not rivals.size
        if not stays[row]:
            winner = int(rivals[np.argmax(iou[row, rivals])])
            losses[row] = PERSONS if human[winner] else TWINS[kind[row, winner]], winner
    return losses


def _kinship(ranked: Instances) -> NDArray[np.int64]:
    """Compare rows, 0: one class and prompt, 1: one class, two prompts, 2: two classes: N rows -> (N, N)."""
    names = np.array(ranked.names, object)
    prompts = np.array(ranked.prompts or ("",) * len(ranked), object)
    two_prompts = np.where(prompts[:, None] != prompts, 1, 0)
    return np.asarray(np.where(names[:, None] != names, 2, two_prompts))


def _parts(ranked: Instances, shared_px: Pixels, rules: Rules, gone: Losses) -> Losses:
    """Find who lies in a larger row of its class, or is that larger row and goes.

    From the smallest row up, so that what still lies in a row never lies in one another.
    """
    area_px = np.maximum(shared_px.diagonal(), 1)
    inside = (shared_px / area_px[:, None] >= _limit(rules.part_of)) & (_kinship(ranked) < 2)
    human = of_people(ranked)
    seen = np.zeros(len(ranked), np.bool_)
    losses: Losses = {}
    for row in sorted(set(range(len(ranked))) - set(gone), key=lambda row: (area_px[row], -row)):
        parts = np.flatnonzero(inside[:, row] & seen)
        surer = parts[parts < row]
        fill = 1.0 if human[surer].any() else shared_px[surer, row].sum() / area_px[row]
        seen[row] = human[row] or fill < _limit(rules.filled)
        if seen[row]:
            seen[parts] = human[parts]
            losses |= dict.fromkeys(parts[~human[parts]].tolist(), ("part_of_another", row))
        else:
            losses[row] = "around_others", int(surer[np.argmax(shared_px[surer, row])])
    return losses


def _survivor(loser: int, losses: Losses) -> int:
    """Follow a loser to who stays in the end: its winner may have lost later."""
    while loser in losses:
        loser = losses[loser][1]
    return loser
