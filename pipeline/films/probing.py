"""What decoding a film once shows: its frames, their times, its scenes, and what is damaged."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline import masks, media, pixels
from pipeline.errors import BadMedia
from pipeline.films.decoding import decoded, numbered, opened, upright
from pipeline.records import Frame

if TYPE_CHECKING:
    from av.container import InputContainer

SMALL = (32, 18)
"""Width and height of the pictures that scene cuts are told by."""
CUT = 0.05
"""Mean change of a small picture, of its whole range, from which on two frames may be of different scenes: cuts of toy
films change .06 to .23, frames within scenes .02 there, and up to .14 in DAVIS's, where all frames around do too."""
TIMES_USUAL = 4.0
"""A cut changes the picture so many times as much as the frames around it do: in real scenes at most 2.8 times."""
TIMES_BESIDE = 2.0
"""And so many times as much as the frame before or after it: a flash changes twice, what moves fast more often."""


@dataclass(frozen=True, slots=True)
class Film:
    """What decoding a film once has shown.

    frames    all that decode, with their times from the first one on, in seconds
    cuts      numbers of the frames that begin a scene; 0 is not among them
    damaged   why frames are missing, in words; '' where none are known to be
    """

    frames: tuple[Frame, ...]
    cuts: tuple[int, ...]
    damaged: str = ""

    def to_json(self) -> list[Any]:
        """Plain values for the store: sizes once, and again where they change."""
        frames: list[list[Any]] = []
        size_hw = None
        for frame in self.frames:
            frames.append([frame.index, frame.time_s, *([] if frame.size_hw == size_hw else frame.size_hw)])
            size_hw = frame.size_hw
        return [frames, list(self.cuts), self.damaged]

    @classmethod
    def from_json(cls, form: list[Any]) -> "Film":
        """From the store's plain values."""
        rows, cuts, damaged = form
        frames: list[Frame] = []
        for index, time_s, *size in rows:
            frames.append(Frame(index, time_s, (size[0], size[1]) if size else frames[-1].size_hw))
        return cls(tuple(frames), tuple(cuts), damaged)


def probe(path: str, max_pixels: int = media.MAX_PIXELS, tick: Callable[[], None] = lambda: None) -> Film:
    """Decode a film once; `tick` is called with every frame, and may raise.

    Raises `BadMedia` where no frame can be had.
    """
    frames: list[Frame] = []
    changes = _Changes()
    with opened(path) as (container, trouble):
        for picture in decoded(container, trouble):
            tick()
            size_hw = upright(picture)
            if size_hw[0] * size_hw[1] > max_pixels:
                shown = f"{size_hw[0]} x {size_hw[1]} (h x w) pixels"
                raise BadMedia("too_large", f"{shown}; at most {max_pixels} are read")
            frames.append(Frame(len(frames), _seconds(picture, frames), size_hw))
            changes.add(size_hw, _small(picture))
        claimed, until_s = _claimed(container), _claimed_s(container)
    if not frames:
        raise BadMedia("cut_or_damaged", trouble[0] if trouble else "a film without a frame")
    damage = _damage(trouble, len(frames), claimed) or _cut_short(frames, until_s)
    start = frames[0].time_s
    frames = [Frame(one.index, round(one.time_s - start, 6), one.size_hw) for one in frames]
    return Film(tuple(frames), tuple(changes.cuts()), damage)


def _seconds(picture: Any, before: list[Frame]) -> float:
    """When a frame is shown; one that does not say comes as long after the last as that came after its own."""
    last = before[-1].time_s if before else 0.0
    if picture.time is not None and (not before or picture.time > last):
        return float(picture.time)
    step = last - before[-2].time_s if len(before) > 1 else 1 / 24
    return last + step if before else 0.0


def _small(picture: Any) -> NDArray[np.uint8]:
    small = picture.reformat(width=SMALL[0], height=SMALL[1], format="rgb24", interpolation="AREA")
    return np.asarray(small.to_ndarray())


class _Changes:
    """How much each frame differs from the one before."""

    def __init__(self) -> None:
        self._by: list[float] = []
        self._last: tuple[masks.Size, NDArray[np.uint8]] | None = None

    def add(self, size_hw: masks.Size, small: NDArray[np.uint8]) -> None:
        """Go on with a frame: its size, and its picture made small, (h, w, 3)."""
        by = 0.0
        if self._last is not None:
            size_before, before = self._last
            by = float(np.abs(small.astype(np.int16) - before).mean() / 255) if size_hw == size_before else np.inf
        self._by.append(by)
        self._last = (size_hw, small)

    def cuts(self) -> Iterator[int]:
        """Frames that begin a scene: much changes there, and far more than around; or the size does."""
        by = np.array(self._by)
        for number in np.flatnonzero(by >= CUT):
            before, after = by[max(1, number - 8) : number], by[number + 1 : number + 9]
            around = np.concatenate([before, after])
            beside = max([*before[-1:], *after[:1]], default=0.0)
            usual = float(np.median(around)) if around.size else 0.0
            if by[number] >= max(TIMES_USUAL * usual, TIMES_BESIDE * beside):
                yield int(number)


def _claimed(container: "InputContainer") -> int:
    """How many frames the container says there are; 0 where it does not."""
    return int(container.streams.video[0].frames or 0)


def _claimed_s(container: "InputContainer") -> float:
    """Until when the film goes on, in seconds, as Matroska says in a tag; 0 where the file does not."""
    tags = container.streams.video[0].metadata
    said = next((text for tag, text in tags.items() if tag.upper().startswith("DURATION")), "")
    try:
        hours, minutes, seconds = map(float, said.split(":"))
    except ValueError:
        return 0.0
    return 3600 * hours + 60 * minutes + seconds


def _cut_short(frames: list[Frame], until_s: float) -> str:
    """That a film ends before its time, by more than twice what any two frames are apart; '' where it does not."""
    times = [frame.time_s for frame in frames]
    longest = max((after - before for before, after in pairwise(times)), default=until_s)
    if until_s > times[-1] + 2 * longest:
        return f"{len(frames)} frames can be decoded, until {times[-1]:.2f} s; the file says {until_s:.2f} s"
    return ""


def _damage(trouble: list[str], decoded: int, claimed: int) -> str:
    if trouble:
        more = f", and {len(trouble) - 1} more" if len(trouble) > 1 else ""
        return f"{decoded} frames can be decoded; {trouble[0]}{more}"
    if claimed > decoded:
        return f"{decoded} frames can be decoded, the file says {claimed}"
    return ""


def folder(place: str, fps: float, max_pixels: int = media.MAX_PIXELS, tick: Callable[[], None] = lambda: None) -> Film:
    """A film in pictures, by the numbers in their names (`numbered`), so many numbers a second.

    What is no picture is a frame that is missing, and told in `damaged`. `tick` is called with every frame, and may
    raise. Raises `BadMedia` where there is none.
    """
    cv2 = pixels.opencv()
    frames: list[Frame] = []
    changes = _Changes()
    trouble: list[str] = []
    files = numbered(Path(place))
    first = next(iter(files), 0)
    for number, path in files.items():
        tick()
        try:
            rgb = media.decode(media.read_bytes(str(path)), max_pixels)
        except BadMedia as error:
            trouble.append(f"{path.name}: {error.reason}")
            continue
        size_hw = (rgb.shape[0], rgb.shape[1])
        changes.add(size_hw, cv2.resize(rgb, SMALL, interpolation=cv2.INTER_AREA))
        frames.append(Frame(number, round((number - first) / fps, 6), size_hw))
    if not frames:
        raise BadMedia("not_a_picture", "a folder without a picture")
    cuts = tuple(frames[at].index for at in changes.cuts())
    return Film(tuple(frames), cuts, _damage(trouble, len(frames), 0))
