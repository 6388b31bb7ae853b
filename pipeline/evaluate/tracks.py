"""What a film's record says, object by object: each identity, its class, and its mask in every frame."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline import masks
from pipeline.errors import BadRecord
from pipeline.records import Clip, Instances


@dataclass(frozen=True, slots=True)
class Track:
    """One identity through a film.

    number   its `track_ids`
    name     the class that most of its rows have, the first of two that are as common
    codes    index of frame -> code of its mask, None where it is out of sight; a frame without a row of it is missing
    """

    number: int
    name: str
    codes: dict[int, bytes | None]


def tracks_of(clip: Clip) -> dict[int, Track]:
    """Every identity of a film by its number, in order.

    Raises `BadRecord` for rows without an identity, for two rows of one identity in a frame, and for a row in sight
    without a mask.
    """
    codes: dict[int, dict[int, bytes | None]] = {}
    names: dict[int, Counter[str]] = {}
    for frame, found in zip(clip.frames, clip.found, strict=bool(clip.found)):
        for number, name, code in _rows(found, f"{clip.name}, frame {frame.index}"):
            there = codes.setdefault(number, {})
            if frame.index in there:
                raise BadRecord(f"{clip.name}, frame {frame.index}: two rows of track {number}")
            there[frame.index] = code
            names.setdefault(number, Counter())[name] += 1
    return {number: Track(number, names[number].most_common(1)[0][0], codes[number]) for number in sorted(codes)}


def _rows(found: Instances, where: str) -> Iterator[tuple[int, str, bytes | None]]:
    """Identity, class and mask of each row of a frame; a mask of no pixel is none."""
    if not len(found):
        return
    if found.track_ids is None:
        raise BadRecord(f"{where}: objects have no track_ids")
    codes = found.masks or (None,) * len(found)
    areas_px = masks.areas([masks.NOTHING if code is None else code for code in codes])
    for row, (number, name) in enumerate(zip(found.track_ids.tolist(), found.names, strict=True)):
        if codes[row] is None and (found.visible is None or found.visible[row]):
            raise BadRecord(f"{where}: track {number} ({name}) is in sight and has no mask")
        yield number, name, codes[row] if areas_px[row] else None


def frames_of(meant: Clip, found: Clip) -> dict[int, tuple[int, int]]:
    """The frames to judge, which are the truth's that the run has looked at: index in the film -> size (h, w).

    Raises `BadRecord` where truth and run disagree about the size of one.
    """
    sizes = {frame.index: frame.size_hw for frame in found.frames}
    for frame in meant.frames:
        if sizes.get(frame.index, frame.size_hw) != frame.size_hw:
            raise BadRecord(f"{meant.name}, frame {frame.index}: the truth is of another size than the film")
    return {frame.index: frame.size_hw for frame in meant.frames if frame.index in sizes}
