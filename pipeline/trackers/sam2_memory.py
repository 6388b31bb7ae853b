"""SAM 2 through a film: all its objects a frame further, by what is remembered of them.

Ravi et al., "SAM 2: Segment Anything in Images and Videos", 2024. The same answers as transformers'
`propagate_in_video_iterator`, which keeps every frame for ever and asks for one object after another; here memory is
bounded (`sam2_state`) and objects are asked for together (`sam2_parts`). Knows arrays; knows no films and no records.
"""

from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.pixels import Rgb
from pipeline.pretrained import model_type, opened
from pipeline.sam2_image import Floats, Scaling, filled, fits, scaling_of, slices, squared
from pipeline.seams import Device
from pipeline.trackers.sam2_parts import Found, Parts, Seen
from pipeline.trackers.sam2_state import Entry, Limits, State, Track

OBJECTS_A_CALL = {"cpu": 1, "cuda": 8}
"""The model is called for these many, always: the last call is filled up. Another number gives other last bits."""

REFRESHES = 3
"""Given frames kept beside an object's first: each is a map more, 0.5 MB and a seventh of the time of SAM 2.1."""

Claims = Mapping[int, NDArray[np.bool_]]
"""Object -> the cells that the model takes to be its own: (h, w) of a map of logits."""

Settle = Callable[[Claims], Claims]
"""Decides which of them are."""

Said = tuple[Sequence[int], Found, bool]
"""Some objects, what is said of them, and whether they were given."""

BOX = (2, 3)  # labels of the corners of a box, as the video processor of transformers writes them
NO_TRACK = Track({}, {})


@dataclass(frozen=True, slots=True, eq=False)
class Seed:
    """What marks an object on a frame, in pixels of the film: a box, points, or both; or a mask by itself.

    `box_xyxy` is (4,); `points` is (K, 3) of x, y, sign: +1 on the object, -1 off it; `mask` is (H, W) bool.
    """

    box_xyxy: NDArray[np.float32] | None = None
    points: NDArray[np.float32] | None = None
    mask: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        if (self.mask is None) == (self.box_xyxy is None and self.points is None):
            raise ValueError("a seed is a box, points, or both; or a mask by itself")


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """An object on a frame.

    `logits` (h, w) is a map for `masks.encode_logits`, negative all over where the object is not there; `presence` is
    SAM 2's object score, a logit, above 0 where it is; `iou` is what the model thinks of its mask, 0 to 1.
    """

    logits: Floats
    presence: float
    iou: float


def open_follower(
    folder: Path, number_format: str, device: Device, refreshes: int = REFRESHES, compiled: bool = False
) -> "Follower":
    """Load SAM 2 or 2.1 of any size with its memory; raises `ModelMissing`.

    `compiled`: by torch.compile, which takes minutes at first and changes the last bits.
    """
    model_type(folder, ("sam2_video",), "the sam2 tracker")
    scaling = scaling_of(folder)
    model = opened("Sam2VideoModel", folder, number_format, device)
    fits(scaling, model, folder)
    follower = Follower(model, scaling, OBJECTS_A_CALL[device.kind], refreshes)
    if compiled:
        _compile(follower.parts)
    return follower


class Follower:
    """An opened SAM 2 for films; `see` and `step` may be called from several threads, each with states of its own.

    `objects` is how many of them each call of the model has.
    """

    def __init__(self, model: Any, scaling: Scaling, objects: int, refreshes: int = REFRESHES) -> None:
        self.parts, self.scaling, self.objects = Parts(model), scaling, objects
        config = model.config
        self.limits = Limits(
            config.num_maskmem, config.max_object_pointers_in_encoder, config.max_cond_frame_num, refreshes
        )
        self._lock = Lock()

    def begin(self, size_hw: tuple[int, int], frames: int | None = None, backward: bool = False) -> State:
        """Nothing seen yet of a film of this size; `frames` is its length where it is known.

        The model tells the age of pointers as a share of 16 frames, or of the film if that is shorter.
        """
        pointers = self.limits.pointers
        span = (pointers if frames is None else min(frames, pointers)) - 1
        return State(size_hw, -1 if backward else 1, span, None, {})

    def restored(self, stored: bytes) -> State:
        """Take up what `State.stored` gave, on this model's device."""
        return State.restored(stored, self.parts.like.device)

    def see(self, rgb: Rgb) -> Seen:
        """Look at a frame, once for all objects: (H, W, 3)."""
        import torch

        with self._lock, torch.inference_mode():
            square = squared(rgb, self.scaling.side).to(self.parts.like.device)
            return self.parts.see(self.scaling.applied_to(square))

    def step(
        self,
        state: State,
        frame: int,
        seen: Seen,
        seeds: Mapping[int, Seed] = {},
        forget: Collection[int] = (),
        settle: Settle | None = None,
    ) -> tuple[State, dict[int, Answer]]:
        """Go on to a frame: what is remembered after it, and an answer for each object, by its number.

        An object with a seed begins here, or is marked anew: then it is found by the seed alone, and the frame is a
        given one. All others are followed; on the frame where the state is already, they are left as they are. `settle`
        may take cells from objects before they are remembered. Raises `ValueError` for a frame that lies behind.
        """
        import torch

        if state.now is not None and (frame - state.now) * state.direction < 0:
            raise ValueError(f"frame {frame} lies behind {state.now}; a film is followed in one direction")
        tracks = {number: track for number, track in state.tracks.items() if number not in forget}
        followed = [number for number in tracks if number not in seeds and frame != state.now]
        answers: dict[int, Answer] = {}
        with self._lock, torch.inference_mode():
            said = [(*some, False) for some in self._followed(replace(state, tracks=tracks), frame, seen, followed)]
            said += [(*some, True) for some in self._marked(state.size_hw, seen, seeds)]
            for numbers, found, given in self._settled(said, settle) if settle else said:
                for number, entry, answer in self._kept(seen, numbers, found, given):
                    track = tracks.get(number, NO_TRACK)
                    goes_on = track.marked if given else track.followed
                    tracks[number] = goes_on(frame, entry, state.direction, self.limits)
                    answers[number] = answer
        return replace(state, now=frame, tracks=tracks), answers

    def _settled(self, said: Sequence[Said], settle: Settle) -> Iterator[Said]:
        """What is said of all objects of a frame, once it is settled whose is what."""
        import torch

        claims: dict[int, NDArray[np.bool_]] = {}
        for numbers, found, _ in said:
            cells = ((found.logits > 0) & (found.presence > 0)[:, None, None]).cpu().numpy()
            claims |= zip(numbers, cells, strict=False)  # the last call is filled up
        kept = settle(claims)
        for numbers, found, given in said:
            gone = np.stack([claims[number] & ~kept[number] for number in filled(numbers, self.objects)])
            less = self.parts.without(found, torch.from_numpy(gone).to(found.logits.device)) if gone.any() else found
            yield numbers, less, given

    def _followed(
        self, state: State, frame: int, seen: Seen, numbers: Sequence[int]
    ) -> Iterator[tuple[Sequence[int], Found]]:
        """Find objects by memory, those together that have as much of it."""
        how = frame, state.direction, self.limits
        memories = {number: state.tracks[number].memories(*how) for number in numbers}
        pointers = {number: state.tracks[number].pointers(*how) for number in numbers}
        for some in self._calls({number: (len(memories[number]), len(pointers[number])) for number in numbers}):
            rows = filled(some, self.objects)
            found = [memories[number] for number in rows], [pointers[number] for number in rows]
            yield some, self.parts.followed(seen, *found, state.span)

    def _marked(
        self, size_hw: tuple[int, int], seen: Seen, seeds: Mapping[int, Seed]
    ) -> Iterator[tuple[Sequence[int], Found]]:
        """Find what seeds mark, those together that are alike."""
        import torch

        side, device = self.parts.side, self.parts.like.device
        prompts = {number: prompt_of(seed, size_hw, side) for number, seed in seeds.items()}
        kinds = {number: None if seeds[number].mask is not None else len(prompts[number]) for number in seeds}
        for some in self._calls(kinds):
            rows = torch.from_numpy(np.stack([prompts[number] for number in filled(some, self.objects)])).to(device)
            if kinds[some[0]] is None:
                yield some, self.parts.given(seen, masks_squared(rows, side).to(self.parts.like.dtype))
            else:
                yield some, self.parts.marked(seen, rows[:, None, :, :2], rows[:, None, :, 2].to(torch.int32))

    def _calls(self, kinds: Mapping[int, Hashable]) -> Iterator[Sequence[int]]:
        """Objects of one kind, so many at a time: nothing is padded, because the model attends to padding."""
        alike: dict[Hashable, list[int]] = {}
        for number, kind in kinds.items():
            alike.setdefault(kind, []).append(number)
        for numbers in alike.values():
            yield from slices(numbers, self.objects)

    def _kept(
        self, seen: Seen, numbers: Sequence[int], found: Found, given: bool
    ) -> Iterator[tuple[int, Entry, Answer]]:
        """What stays of each object, in tensors of its own, and what is said of it."""
        memories = self.parts.remembered(seen, found, given)
        said = [each.float().cpu().numpy() for each in (found.logits, found.presence, found.iou)]
        for row, number in enumerate(numbers):
            logits, presence, iou = (each[row] for each in said)
            entry = Entry(found.pointers[row].clone(), memories[row].clone())
            yield number, entry, Answer(logits, float(presence), float(iou))


def prompt_of(seed: Seed, size_hw: tuple[int, int], side: int) -> NDArray[Any]:
    """A seed as the model wants it: (P, 3) of x, y in its own square and label, a box first; or the mask, (H, W)."""
    if seed.mask is not None:
        return seed.mask
    h, w = size_hw
    marks = np.zeros((0, 3), np.float32)
    if seed.box_xyxy is not None:
        marks = np.column_stack([seed.box_xyxy.reshape(2, 2), BOX]).astype(np.float32)
    if seed.points is not None:
        marks = np.concatenate([marks, np.column_stack([seed.points[:, :2], seed.points[:, 2] > 0])])
    scaled: NDArray[np.float32] = marks.astype(np.float32) * np.array([side / w, side / h, 1], np.float32)
    return scaled


def masks_squared(masks: Any, side: int) -> Any:
    """Stretch masks to the model's square, as the video processor of transformers does: (B, H, W) -> (B, 1, S, S)."""
    from torch.nn import functional

    wide = masks[:, None].float()
    if wide.shape[-2:] == (side, side):
        return wide
    stretched = functional.interpolate(wide, (side, side), mode="bilinear", align_corners=False, antialias=True)
    return (stretched >= 0.5).float()


def _compile(parts: Parts) -> None:
    """Compile the heavy parts; memory is looked at with more and more tokens until it is full."""
    import torch

    model, recall = parts.model, parts.recall
    model.vision_encoder = torch.compile(model.vision_encoder)
    model.mask_decoder = torch.compile(model.mask_decoder)
    recall.begun = torch.compile(recall.begun)  # type: ignore[method-assign]
    recall.told = torch.compile(recall.told, dynamic=True)  # type: ignore[method-assign]
    model.memory_encoder.memory_fuser = torch.compile(model.memory_encoder.memory_fuser)
    model.memory_encoder.mask_downsampler = torch.compile(model.memory_encoder.mask_downsampler)
