"""Toy films as a tracker meets them: cut into segments, with what a detector that errs would say on key frames."""

from dataclasses import replace

import numpy as np

from pipeline.geometry import clip_boxes, proper
from pipeline.records import Clip, Frame, Instances, clip_id, empty
from pipeline.segmenters.fake import box_mask
from pipeline.segments import reel
from pipeline.toyworld.films import film

SEED = 6


def toy(story, number=0, frames=21, **options):
    """A film, and the clip of its truth."""
    made = film(SEED, number, story, frames, **options)
    shown = tuple(Frame(at, at / 24, found.size_hw) for at, found in enumerate(made.found))
    name = f"{story}{number}.mp4"
    return made, Clip(clip_id(name.encode()), name, f"/films/{name}", shown, None, made.found)


def detected(found, at, jitter_px=0.0, missed=0.0, least=0.3, fill=False):
    """Boxes of the truth of frame `at` with an error at each edge, some of them missed.

    `least` is the lowest score; `fill` makes masks of boxes.
    """
    dice = np.random.default_rng([SEED, at])
    rows = found.in_sight()
    moved = rows.boxes_xyxy + dice.normal(0, 1, rows.boxes_xyxy.shape) * jitter_px
    boxes = clip_boxes(moved.astype(np.float32), found.size_hw)
    kept = np.flatnonzero(proper(boxes) & (dice.random(len(rows)) >= missed))
    codes = tuple(box_mask(box, found.size_hw) for box in boxes[kept]) if fill else None
    scores = dice.uniform(least, 1, len(kept))
    return Instances(found.size_hw, boxes[kept], tuple(rows.names[row] for row in kept), scores=scores, masks=codes)


def scenes(clip, cuts, every, length, seen=lambda at, found: detected(found, at, 1, 0.15, 0.05)):
    """The segments of each scene of a film, with what `seen` says of the key frames: number, truth -> detections."""
    return [
        [
            replace(
                part,
                found=tuple(
                    seen(frame.index, clip.found[frame.index]) if frame.key else empty(frame.size_hw)
                    for frame in part.frames
                ),
            )
            for part in scene
        ]
        for scene in reel(replace(clip, found=()), cuts, every, length).scenes
    ]


def followed(opened, scene, rgb):
    """Each frame of a scene as a tracker leaves it, the drops, and its last state; `opened` gives the tracker."""
    found, drops, state = [], [], b""
    for part in scene:
        changes, state = opened().track(part, (rgb[frame.index] for frame in part.frames), state)
        assert type(state) is bytes
        found += [change.applied_to(before) for change, before in zip(changes, part.found, strict=True)]
        drops += [(part.frames[drop.at].index, drop.row, drop.reason) for change in changes for drop in change.drops]
        assert all(change.kept is None for change in changes)
    return found, drops, state


def film_of(clip, scenes_found):
    """The frames of all scenes as one film: what is found in a later scene has numbers of its own."""
    found, born = [], 0
    for scene in scenes_found:
        ids = [rows.track_ids for rows in scene if rows.track_ids is not None]
        found += [rows if rows.track_ids is None else replace(rows, track_ids=rows.track_ids + born) for rows in scene]
        born += max((int(numbers.max()) for numbers in ids if len(numbers)), default=0)
    return replace(clip, found=tuple(found))
