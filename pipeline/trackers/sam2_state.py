"""What SAM 2 remembers of the objects of a film: a few frames each, however long the film is.

A frame on which an object was marked is *given*; one on which the model found it by itself is *found*. Which of them
a later frame looks at, and where in time it takes them to be, is `_gather_memory_frame_outputs` and
`_get_object_pointers` of transformers' modeling_sam2_video.py; what no later frame can look at is dropped at once.
Nothing here computes: tensors are kept, counted, stored and taken up again.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is looked at and kept, as a model's config.json says, and `refreshes`, which is ours.

    `memories`: maps a frame looks at, the given ones counted as one (num_maskmem). `pointers`: the span of pointers in
    frames (max_object_pointers_in_encoder). `attended`: given frames looked at, the nearest in time, -1 for all
    (max_cond_frame_num). `refreshes`: given frames kept beside an object's first; an older one counts as found.
    """

    memories: int
    pointers: int
    attended: int
    refreshes: int


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """What a frame left of an object: a pointer (C,), and a map (h x w, 64) while a later frame may look at it."""

    pointer: Any
    memory: Any | None

    @property
    def tensors(self) -> list[Any]:
        """The one or two of them."""
        return [self.pointer] if self.memory is None else [self.pointer, self.memory]


Aged = list[tuple[int, Entry]]
"""Entries, each with how many frames ago it was; 0 for the map of a given frame, wherever it is."""


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """One object: frame number -> what it left, in the order in which the frames came."""

    given: Mapping[int, Entry]
    found: Mapping[int, Entry]

    def memories(self, now: int, direction: int, limits: Limits) -> Aged:
        """The maps that frame `now` looks at: the given ones, then the last few, the oldest first."""
        attended, others = nearest(self.given, now, limits.attended)
        latest = {**others, **self.found}
        ages = range(limits.memories - 1, 0, -1)
        found = [(age, latest[now - age * direction]) for age in ages if now - age * direction in latest]
        return [(0, entry) for entry in attended.values()] + found

    def pointers(self, now: int, direction: int, limits: Limits) -> Aged:
        """The pointers that frame `now` looks at: of all given frames that it comes after, then the last few."""
        given = [((now - frame) * direction, entry) for frame, entry in self.given.items()]
        ages = range(1, limits.pointers)
        found = [(age, self.found[now - age * direction]) for age in ages if now - age * direction in self.found]
        return [(age, entry) for age, entry in given if age >= 0] + found

    def marked(self, now: int, entry: Entry, direction: int, limits: Limits) -> "Track":
        """With a given frame more, whatever was found on it."""
        given = {**self.given, now: entry}
        found = {frame: each for frame, each in self.found.items() if frame != now}
        while len(given) > 1 + limits.refreshes:
            oldest = list(given)[1]
            found[oldest] = given.pop(oldest)
        return Track(given, found).kept(now, direction, limits)

    def followed(self, now: int, entry: Entry, direction: int, limits: Limits) -> "Track":
        """With a found frame more."""
        return Track(self.given, {**self.found, now: entry}).kept(now, direction, limits)

    def kept(self, now: int, direction: int, limits: Limits) -> "Track":
        """Without what the frame after `now` and all later ones do not look at."""
        ages = {frame: (now - frame) * direction + 1 for frame in self.found}
        found = {
            frame: entry if ages[frame] < limits.memories else replace(entry, memory=None)
            for frame, entry in self.found.items()
            if ages[frame] < limits.pointers
        }
        return Track(self.given, found)


def nearest(given: Mapping[int, Entry], now: int, at_most: int) -> tuple[Mapping[int, Entry], Mapping[int, Entry]]:
    """Given frames to look at, and the others: the nearest before `now`, the nearest not before it, then by distance.

    `_select_closest_cond_frames` of modeling_sam2_video.py.
    """
    if at_most == -1 or len(given) <= at_most:
        return given, {}
    before = max((frame for frame in given if frame < now), default=None)
    after = min((frame for frame in given if frame >= now), default=None)
    chosen = [frame for frame in (before, after) if frame is not None]
    rest = sorted((frame for frame in given if frame not in chosen), key=lambda frame: abs(frame - now))
    chosen += rest[: at_most - len(chosen)]
    return {frame: given[frame] for frame in chosen}, {
        frame: entry for frame, entry in given.items() if frame not in chosen
    }


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """What is remembered of all objects after frame `now` (`None` before the first); a step makes a new one.

    `direction` is 1, or -1 backward. `span` is what the ages of pointers are divided by.
    """

    size_hw: tuple[int, int]
    direction: int
    span: int
    now: int | None
    tracks: Mapping[int, Track]

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        return sum(int(tensor.nbytes) for entry in self._entries() for tensor in entry.tensors)

    def turned(self, only: Collection[int]) -> "State":
        """The other way through the film from here: some objects, and of them what was given."""
        tracks = {number: Track(track.given, {}) for number, track in self.tracks.items() if number in only}
        return replace(self, direction=-self.direction, tracks=tracks)

    def stored(self) -> bytes:
        """As bytes (safetensors); the same state, the same bytes, and no more of them as frame numbers grow."""
        import torch
        from safetensors.torch import save

        tracks = [
            [number, *([entry.memory is not None for entry in of.values()] for of in (track.given, track.found))]
            for number, track in self.tracks.items()
        ]
        about = {"size_hw": self.size_hw, "direction": self.direction, "span": self.span, "tracks": tracks}
        frames = [frame for track in self.tracks.values() for of in (track.given, track.found) for frame in of]
        tensors = {
            "about": torch.frombuffer(bytearray(json.dumps(about).encode()), dtype=torch.uint8),
            "frames": torch.tensor([-1 if self.now is None else self.now, *frames]),
        }
        pointers = [entry.pointer for entry in self._entries()]
        memories = [entry.memory for entry in self._entries() if entry.memory is not None]
        for name, some in (("pointers", pointers), ("memories", memories)):
            if some:
                tensors[name] = torch.stack(some).cpu()
        return save(tensors)

    @classmethod
    def restored(cls, stored: bytes, device: Any = "cpu") -> "State":
        """A state out of its bytes, on a device."""
        from safetensors.torch import load

        tensors = load(stored)
        about = json.loads(tensors["about"].numpy().tobytes())
        now, *numbers = tensors["frames"].tolist()
        frames = iter(numbers)
        pointers, memories = (iter(tensors[name]) if name in tensors else iter(()) for name in ("pointers", "memories"))

        def entry(has_memory: bool) -> Entry:
            kept = [next(some).to(device, copy=True) for some in (pointers, memories)[: 1 + has_memory]]
            return Entry(kept[0], kept[1] if has_memory else None)

        tracks = {
            number: Track(*({next(frames): entry(has_memory) for has_memory in of} for of in (given, found)))
            for number, given, found in about["tracks"]
        }
        return cls(tuple(about["size_hw"]), about["direction"], about["span"], None if now < 0 else now, tracks)

    def _entries(self) -> list[Entry]:
        return [entry for track in self.tracks.values() for of in (track.given, track.found) for entry in of.values()]
