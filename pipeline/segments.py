"""A film as clips: scenes, and in each of them segments, which are worked on one after the other.

Scenes are told by what changes in the pictures. A segment ends on a key frame: what is born there is followed
back inside it, so that the length of segments changes nothing. Knows frames, not pixels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pipeline.records import Clip, Frame, sha256_of


@dataclass(frozen=True, slots=True)
class Reel:
    """A film as it is worked on: the clip of all its frames, and those of its segments, scene by scene."""

    whole: Clip
    scenes: tuple[tuple[Clip, ...], ...]

    def segments(self) -> Iterator[tuple[int, Clip]]:
        """All segments in order, each with the number of its scene."""
        return ((number, clip) for number, scene in enumerate(self.scenes) for clip in scene)


def sampled(frames: Sequence[Frame], every: int = 1, fps: float | None = None) -> list[Frame]:
    """Every so many frames, of those the first at or after each tick of a clock of `fps` a second.

    >>> [f.index for f in sampled([Frame(i, i / 24, (1, 1)) for i in range(12)], 2, 6)]
    [0, 4, 8]
    """
    chosen: list[Frame] = []
    tick = 0
    for frame in frames[::every]:
        if fps is None or frame.time_s * fps >= tick - 1e-6:
            chosen.append(frame)
            tick = int(frame.time_s * fps + 1e-6) + 1 if fps else 0
    return chosen


def reel(whole: Clip, cuts: Sequence[int], every: int, length: int) -> Reel:
    """Cut a film into scenes and segments: every scene has a key frame every so many frames, the first one included.

    `whole` is the clip of the film with the frames that are wanted, `cuts` are the numbers of frames that begin a
    scene. `length` is that of segments in frames, and becomes the next multiple of `every`; the first segment of a
    scene has one frame more.
    """
    length = -(-length // every) * every
    bounds = (next((at for at, frame in enumerate(whole.frames) if frame.index >= cut), None) for cut in cuts)
    begins = sorted({0, *(at for at in bounds if at is not None)})
    out = []
    for begin, end in zip(begins, [*begins[1:], len(whole.frames)], strict=True):
        frames = [replace(frame, key=at % every == 0) for at, frame in enumerate(whole.frames[begin:end])]
        ends = [*range(length + 1, len(frames), length), len(frames)]
        out.append(tuple(segment(whole, frames[a:b], bool(a)) for a, b in zip([0, *ends], ends, strict=False)))
    return Reel(whole, tuple(out))


def segment(whole: Clip, frames: Sequence[Frame], goes_on: bool) -> Clip:
    """Some frames of a film; `goes_on` from a segment before."""
    about = [whole.id, goes_on, [[frame.index, frame.key] for frame in frames]]
    return replace(whole, id=sha256_of(about)[:32], frames=tuple(frames))


def key_frame(clip: Clip, at: int, film: str) -> Clip:
    """A frame of a segment as a picture, under an id that does not depend on the segment; `film` is the film's id."""
    frame = clip.frames[at]
    about = sha256_of([film, frame.index])
    return replace(clip, id=about[:32], frames=(frame,), found=clip.found[at : at + 1])


def key_frames(clip: Clip, film: str) -> Iterator[Clip]:
    """The key frames of a segment, each as `key_frame`."""
    return (key_frame(clip, at, film) for at, frame in enumerate(clip.frames) if frame.key)
