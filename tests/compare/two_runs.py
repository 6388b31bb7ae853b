"""Runs made by hand, for comparing: what is in each picture, and nothing computed."""

from dataclasses import replace
from pathlib import Path

from drawing import instances, square

from pipeline.compare.pairs import Run
from pipeline.labelled import Chain, Labelled
from pipeline.records import Change, Clip, Frame, clip_id, to_blob
from pipeline.store import Result, Store

SIZE_HW = (40, 60)


def rows(*objects, **columns):
    """What was found in a picture: objects are 'dog 1 1 9 9', or 'dog 1 1 9 9 0.8' with a score.

    >>> rows("dog 1 1 9 9", "cat 2 2 4 4 0.5").names
    ('dog', 'cat')
    """
    words = [one.split() for one in objects]
    boxes = [tuple(map(int, one[1:5])) for one in words]
    scores = [float(one[5]) if len(one) > 5 else 0.9 for one in words]
    codes = [square(*box, SIZE_HW) for box in boxes]
    names = tuple(one[0] for one in words)
    return instances(boxes, size_hw=SIZE_HW, **({"names": names, "scores": scores, "masks": codes} | columns))


def picture(name, *objects, content="", **columns):
    """A picture with what was found in it; its content is its name, unless said otherwise."""
    frames = (Frame(0, 0.0, SIZE_HW),)
    id_ = clip_id((content or name).encode())
    return Clip(id_, name, f"/pictures/{name}", frames, None, (rows(*objects, **columns),))


def film(name, *frames):
    """A film: of each frame what is in sight, track by track, as in {1: 'dog 1 1 9 9'}."""
    found = tuple(rows(*seen.values(), track_ids=list(seen)) for seen in frames)
    times = tuple(Frame(number, number / 24, SIZE_HW) for number in range(len(frames)))
    return Clip(clip_id(name.encode()), name, f"/films/{name}", times, "film", found)


def stored(*clips):
    """A store of a run that has these clips."""
    store = Store(None)
    with store.writing():
        for clip in clips:
            changes = [Change.of(found) for found in clip.found]
            store.add([Result(clip.digest(), clip.id, "detect", clip.digest(), (), to_blob(changes))])
        store.set_pictures({clip.name: standing(clip).to_row() for clip in clips})
    return store


def standing(clip):
    return Labelled(replace(clip, found=()), ((replace(clip, found=()), Chain([clip.digest()])),))


def run(*clips, folder="run", config="", **summary):
    """A run that has these clips, and a config.yaml."""
    place = Path(folder)
    place.mkdir(exist_ok=True)
    (place / "config.yaml").write_text(config)
    return Run(place, stored(*clips), summary)
