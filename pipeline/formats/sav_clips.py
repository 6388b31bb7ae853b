"""A clip as SA-V knows it: an id, a file or a folder with its pixels, and masklets, an object in every frame.

A still picture is a film of one frame. Knows no format.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import cache
from itertools import count, pairwise
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from pipeline import masks
from pipeline.errors import BadRecord
from pipeline.formats import sav_sidecar
from pipeline.formats.naming import frames_folder, named, stem
from pipeline.formats.writing import mask_of, named_in_errors, named_in_media_errors, number_of, numbers_of
from pipeline.ontology import Ontology
from pipeline.records import Clip, Instances, clip_id, empty, uids

UNSAFE = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029.]|^\s|\s$")
"""What no id has: lists have an id a line, and SAM 2 takes what follows a dot for a suffix (vos_raw_dataset.py)."""
MAX_LAST_BYTES = 255 - len("_manual.json")
MAX_ID_BYTES = 1024  # a path has 4096
SUFFIX = re.compile(r"\.[a-z0-9]{1,8}")
NO_SUFFIX = ".bin"  # for what has none that could stand in front of nothing else
UNSEEN = "objects in sight in no frame"


class Masklet(NamedTuple):
    """An object through a film: its identity, its class, and for each frame its code and its row, None out of sight."""

    track_id: int
    name: str
    codes: Sequence[bytes]
    rows: Sequence[int | None]


Put = Callable[[str, Clip, list[Masklet]], None]
"""Writes the masklets of the clip with an id."""
PutPixels = Callable[[Clip, Path], object]
"""Writes the film or the picture of a clip to a file, or the film's frames to a folder."""


def write_clips(
    clips: Iterable[Clip],
    ontology: Ontology,
    place: Path,
    put: Put,
    file_of: Callable[[str, str, Clip], str],
    put_pixels: PutPixels | None,
    told: Callable[[Clip], Clip] = lambda clip: clip,
    listed: str = "",
) -> dict[str, int]:
    """Write each clip by `put`, the sidecar, and the pixels to where `file_of` says for id and name.

    Without `put_pixels` those stay where they are. `told` gives a clip its frames' numbers in the dataset. Ids are
    listed in `<side>.txt`, those without a side in `<listed>.txt`, if that is given. Answers as `Write` does.
    """
    numbers, unseen = numbers_of(ontology), 0
    with ExitStack() as files:
        side = files.enter_context((place / sav_sidecar.FILE).open("w", encoding="ascii", newline="\n"))
        lists = cache(
            lambda name: files.enter_context((place / f"{name}.txt").open("w", encoding="utf-8", newline="\n"))
        )
        side.write(sav_sidecar.head(numbers))
        if listed:
            lists(listed)
        for video_id, name, clip in with_ids(clips, told):
            found = masklets(clip, numbers)
            seen = [one for one in found if any(row is not None for row in one.rows)]
            unseen += len(found) - len(seen)
            file = file_of(video_id, name, clip)
            if put_pixels:
                with named_in_media_errors(clip):
                    put_pixels(clip, place / file)
            put(video_id, told(clip), seen)
            if clip.side or listed:
                lists(clip.side or listed).write(f"{video_id}\n")
            side.write(_line(video_id, name, file, told(clip), seen))
    return {UNSEEN: unseen} if unseen else {}


def with_ids(
    clips: Iterable[Clip], told: Callable[[Clip], Clip] = lambda clip: clip
) -> Iterator[tuple[str, str, Clip]]:
    """Each clip with its id and its name in the dataset, in the order given: (id, name, clip).

    The id is the name without its suffix, which a folder has not. Of two that would have one id, the later moves into
    the folder `2`, or the next one; so does a clip whose id is where the picture or a frame of another is, numbered as
    `told` does.
    """
    taken: set[str] = set()
    for name, clip in named(clips):
        first = video_id(frames_folder(name, clip) if clip.is_film else stem(name))
        in_a_file = clip.is_film and not in_pictures(clip)
        for choice in (f"{number}/{first}" if number > 1 else first for number in count(1)):
            pictures = () if in_a_file else (f"{choice}/{frame.index:05d}" for frame in told(clip).frames)
            places = {choice, *pictures}
            if taken.isdisjoint(places):
                break
        taken |= places
        yield choice, name, clip


def in_pictures(clip: Clip) -> bool:
    """Whether a film is frames, a file each: it was already, or has other frames than every n-th, all SA-V can say."""
    return clip.is_film and (Path(clip.path).is_dir() or not is_regular(clip))


def is_regular(clip: Clip) -> bool:
    """Whether a clip's frames are every n-th of the film, from the first."""
    last, steps = clip.frames[-1].index, max(len(clip.frames) - 1, 1)
    return all(frame.index == at * (last // steps) for at, frame in enumerate(clip.frames))


def video_id(name: str) -> str:
    """The name without dots and line ends, short enough to put `_manual.json` behind it.

    >>> video_id("day 1/a.b")
    'day 1/a_b'
    """
    path = PurePosixPath(name)
    last = path.name.encode()[:MAX_LAST_BYTES].decode(errors="ignore")
    whole = UNSAFE.sub("_", str(path.with_name(last)))
    return whole if len(whole.encode()) <= MAX_ID_BYTES else UNSAFE.sub("_", last)


def suffix(name: str) -> str:
    """The name's suffix as SAM 2 looks for it, `.jpg` for all JPEGs; never one of an annotation file.

    >>> suffix("a.JPEG"), suffix("a"), suffix("a.json")
    ('.jpg', '.bin', '.bin')
    """
    found = PurePosixPath(name).suffix.lower()
    if not SUFFIX.fullmatch(found) or found in (".json", ".jsonl"):
        return NO_SUFFIX
    return ".jpg" if found == ".jpeg" else found


def masklets(clip: Clip, numbers: Mapping[str, int]) -> list[Masklet]:
    """The objects of a clip in the order of their identities; without any, those of a picture are 1 to N.

    Raises `BadRecord` for an object in sight without a mask, of a class that is not in `numbers` (nor ''), or that is
    not one object: two rows of one frame, or of two classes.
    """
    size_hw = clip.frames[0].size_hw
    if any(frame.size_hw != size_hw for frame in clip.frames):
        raise BadRecord(f"{clip.name}: its frames have more than one size")
    if any(frame.index >= next_.index for frame, next_ in pairwise(clip.frames)):
        raise BadRecord(f"{clip.name}: its frames are not in order")
    frames = clip.found or (empty(size_hw),) * len(clip.frames)
    rows: dict[int, list[int | None]] = {}
    for at, found in enumerate(frames):
        for track, row in _rows(clip, found, numbers).items():
            rows.setdefault(track, [None] * len(frames))[at] = row
    nothing = masks.pack(np.array([size_hw[0] * size_hw[1]]))
    return [
        Masklet(
            track, _name(clip, frames, at), [_code(f, row) or nothing for f, row in zip(frames, at, strict=True)], at
        )
        for track, at in sorted(rows.items())
    ]


def _rows(clip: Clip, found: Instances, numbers: Mapping[str, int]) -> dict[int, int | None]:
    """Identity -> row of one frame, None for a row that is not in sight."""
    if found.track_ids is not None:
        tracks = found.track_ids.tolist()
    elif clip.is_film and len(found):
        raise BadRecord(f"{clip.name}: a film whose objects have no track_ids")
    else:
        tracks = list(range(1, len(found) + 1))
    out: dict[int, int | None] = {}
    for row, (track, uid) in enumerate(zip(tracks, uids(clip.id, found), strict=True)):
        with named_in_errors(uid, clip):
            if track in out:
                raise BadRecord(f"another object of its frame has the track_id {track}, too")
            if found.names[row]:
                number_of(found, row, numbers)
            in_sight = found.visible is None or bool(found.visible[row])
            if in_sight:
                mask_of(found, row)
            out[track] = row if in_sight else None
    return out


def _name(clip: Clip, frames: Sequence[Instances], at: Sequence[int | None]) -> str:
    names = {frames[frame].names[row]: frame for frame, row in reversed(list(enumerate(at))) if row is not None}
    if len(names) > 1:
        (one, first), (other, second) = sorted(names.items(), key=lambda item: item[1])[:2]
        raise BadRecord(f"{clip.name}: an object is {one!r} in frame {first} and {other!r} in frame {second}")
    return next(iter(names), "")


def _code(found: Instances, row: int | None) -> bytes | None:
    return None if row is None or found.masks is None else found.masks[row]


def _line(video_id: str, name: str, file: str, clip: Clip, seen: list[Masklet]) -> str:
    """What the sidecar says of a clip."""
    objects = [_told(clip, one) for one in seen]
    frames = [[frame.index, frame.time_s] for frame in clip.frames]
    size = list(clip.frames[0].size_hw)
    side = {"side": clip.side} if clip.side else {}
    return sav_sidecar.line(
        {"video_id": video_id, "name": name, "file": file, **side, "size": size, "frames": frames, "objects": objects}
    )


def _told(clip: Clip, one: Masklet) -> dict[str, Any]:
    """What the sidecar says of an object: words as in the first frame in which it is in sight, scores of each."""
    out: dict[str, Any] = {"track_id": one.track_id, "name": one.name}
    frame, row = next((frame, row) for frame, row in enumerate(one.rows) if row is not None)
    for key in sav_sidecar.TEXTS:
        column = getattr(clip.found[frame], key)
        if column is not None:
            out[key] = column[row]
    if clip.found[frame].scores is not None:
        out["scores"] = [_score(found, row) for found, row in zip(clip.found, one.rows, strict=True)]
    return out


def _score(found: Instances, row: int | None) -> float | None:
    return None if row is None or found.scores is None else round(float(found.scores[row]), 4)


assert len(clip_id(b"")) == 32  # of sha256, so that a film can be checked without holding it
