"""Against transformers' `propagate_in_video_iterator`, on weights lively enough to show a fault.

Three objects, one of them added at the ninth frame, and a bias under which objects are lost and found again. The
reference remembers each object by itself (`memory_of_each_object`): as it is, its answers depend on the others.
"""

from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import pytest
from random_models import cached
from sam2_films import Reference, drifting, followed, memory_of_each_object

from pipeline.pretrained import torch_device
from pipeline.seams import Device
from pipeline.toyworld.films import film
from pipeline.trackers.sam2_memory import Seed, open_follower
from pipeline.trackers.sam2_state import Track

BOUND = 1e-4  # of the reference's least range of logits in a frame
LIVELY = 0.2  # the least range at which the bound means something
CPU = Device("cpu", 1)
FRAMES, ADDED = 24, 8
LOSES, TINY_LOSES = -0.325, -0.0405
"""The bias of the object score at which the small random model, and that of full size, loses objects and finds them."""
TINY_SAM2 = Path(__file__).parents[2] / "checkpoints" / "tiny-sam2"


def box(*xyxy):
    return Seed(np.array(xyxy, np.float32))


def patches(backward):
    """A film of patches, and boxes: two where it begins, one more eight frames on."""
    first, later = {1: box(10, 10, 60, 50), 2: box(60, 30, 120, 90)}, {3: box(30, 40, 90, 80)}
    return drifting(FRAMES), at_frames(first, later, backward)


def toys(backward):
    """A toy film in which things leave and come back, and true boxes."""
    toy = film(1, 3, "leaving", FRAMES)
    marked = at_frames((0, 2), (1,), backward)
    seeds = {at: {row: Seed(toy.found[at].boxes_xyxy[row]) for row in rows} for at, rows in marked.items()}
    return toy.rgb, seeds


def at_frames(first, later, backward):
    return {FRAMES - 1: first, FRAMES - 1 - ADDED: later} if backward else {0: first, ADDED: later}


@lru_cache(maxsize=2)
def rival(folder, bias):
    from transformers import Sam2VideoModel

    torch_device(CPU)  # threads and matmul precision as ours
    return biased(Sam2VideoModel.from_pretrained(folder).eval(), bias)


@lru_cache(maxsize=2)
def follower_of(folder, bias):
    opened = open_follower(folder, "float32", CPU)
    biased(opened.parts.model, bias)
    return opened


def biased(model, bias):
    if bias is not None:
        model.mask_decoder.pred_obj_score_head.proj_out.bias.data.fill_(bias)
    return model


@lru_cache(maxsize=8)
def expected(folder, bias, play, backward, each_by_itself=True):
    model = rival(folder, bias)
    plain = model._batch_encode_memories
    if each_by_itself:
        memory_of_each_object(model)
    try:
        return Reference(model).follow(*play(backward), backward)
    finally:
        model._batch_encode_memories = plain


@lru_cache(maxsize=4)
def ours(folder, bias, play, backward):
    return followed(follower_of(folder, bias), *play(backward), backward)


def difference(said, reference):
    """The largest difference of maps and scores, in the least range of a frame.

    Maps of objects that are not there are -1024 all over: they have no range, and to take one for the other is a
    difference of hundreds.
    """
    assert {frame: set(each) for frame, each in said.items()} == {frame: set(each) for frame, each in reference.items()}
    pairs = [(said[frame][number], other) for frame, each in reference.items() for number, other in each.items()]
    there = [[it.logits for it in each.values() if it.presence > 0] for each in reference.values()]
    ranges = [float(np.ptp(logits)) for logits in there if logits]
    largest = max(max(np.abs(own.logits - it.logits).max(), abs(own.presence - it.presence)) for own, it in pairs)
    lost, least = sum(it.presence <= 0 for _, it in pairs), min(abs(it.presence) for _, it in pairs)
    print(
        f"ranges {min(ranges):.3f} to {max(ranges):.3f}, largest difference {largest / min(ranges):.1e} of the least;"
    )
    print(f"{lost} of {len(pairs)} lost, no score is nearer to 0 than {least:.4f}")
    assert min(ranges) >= LIVELY
    return float(largest / min(ranges))


DIRECTIONS = pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
SMALL = (lambda: cached("sam2")), LOSES, patches
HOURS = [pytest.mark.hours, pytest.mark.timeout(7200)]  # one, of one core


@DIRECTIONS
@pytest.mark.parametrize(
    ("folder", "bias", "play"),
    [
        pytest.param(*SMALL, id="for tests"),
        pytest.param(lambda: TINY_SAM2, None, toys, id="trained"),
        pytest.param(lambda: cached("sam2", "tiny"), TINY_LOSES, patches, id="tiny", marks=HOURS),
    ],
)
def test_three_objects_as_one_after_another(folder, bias, play, backward):
    said = ours(folder(), bias, play, backward)
    assert difference(said, expected(folder(), bias, play, backward)) <= BOUND


@DIRECTIONS
def test_objects_are_lost_and_found_again(backward):
    frames = list(expected(cached("sam2"), LOSES, patches, backward).values())
    for number in (1, 2, 3):
        there = [each[number].presence > 0 for each in frames if number in each]
        assert False in there[1:]
        assert True in there[there.index(False, 1) :]


@DIRECTIONS
def test_the_reference_as_it_is_mixes_objects(backward):
    """All memories of the frame where the third is added are binarised (`is_mask_from_pts=any(...)`): not so ours."""
    mixed = expected(cached("sam2"), LOSES, patches, backward, each_by_itself=False)
    assert difference(ours(cached("sam2"), LOSES, patches, backward), mixed) > BOUND


@contextmanager
def changed(parameter, value):
    kept = parameter.data.clone()
    parameter.data.copy_(value)
    yield
    parameter.data.copy_(kept)


def with_entries(change, state):
    """A state whose entries are `change(age, entry)`, an age counted at the next frame; `None` drops one."""
    tracks = {}
    for number, track in state.tracks.items():
        of = []
        for entries in (track.given, track.found):
            aged = {at: change((state.now - at) * state.direction + 1, entry) for at, entry in entries.items()}
            of.append({at: entry for at, entry in aged.items() if entry is not None})
        tracks[number] = Track(*of)
    return replace(state, tracks=tracks)


def without_maps(age, entry):
    return replace(entry, memory=None if entry.memory is None else entry.memory * 0)


def without_the_oldest_pointer(age, entry):
    return None if age == 15 else entry


FAULTS = ["none", "memory zeroed", "fifteen pointers", "six memories", "temporal encodings shifted", "occlusion unsaid"]


@pytest.mark.parametrize("fault", FAULTS)
def test_the_bound_tells_faults(fault):
    follower = follower_of(cached("sam2"), LOSES)
    model, limits, how = follower.parts.model, follower.limits, {}
    codes, hidden = model.memory_temporal_positional_encoding, model.occlusion_spatial_embedding_parameter
    touched = changed(hidden, hidden)
    match fault:
        case "memory zeroed":
            how = {"between": partial(with_entries, without_maps)}
        case "fifteen pointers":
            how = {"between": partial(with_entries, without_the_oldest_pointer)}
        case "six memories":
            follower.limits = replace(limits, memories=6)
        case "temporal encodings shifted":
            touched = changed(codes, codes.roll(1, 0))
        case "occlusion unsaid":
            touched = changed(hidden, hidden * 0)
    with touched:
        said = followed(follower, *patches(False), **how)
    follower.limits = limits
    assert (difference(said, expected(cached("sam2"), LOSES, patches, False)) <= BOUND) == (fault == "none")


def corner(value=True):
    mask = np.zeros((96, 128), bool)
    mask[10:40, 20:70] = value
    return Seed(mask=mask)


CLICKS = np.array([[30, 20, 1], [100, 70, -1]], np.float32)
KINDS = {
    "click": Seed(points=CLICKS[:1]),  # the best of three masks
    "clicks": Seed(points=CLICKS),
    "box": box(10, 10, 60, 50),
    "box and clicks": Seed(np.array([10, 10, 60, 50], np.float32), CLICKS),
    "mask": corner(),
    "mask of nothing": corner(False),
}


def test_every_kind_of_seed():
    rgb, seeds = drifting(4), {0: dict(enumerate(KINDS.values()))}
    follower, reference = follower_of(cached("sam2"), 1.0), Reference(rival(cached("sam2"), 1.0)).follow(rgb, seeds)
    assert difference(followed(follower, rgb, seeds), reference) <= BOUND


@pytest.mark.parametrize("attended", [-1, 1, 2, 3])
def test_objects_marked_again(attended):
    """Given frames within the last six and far from them, all or some of them looked at (max_cond_frame_num)."""
    rgb, follower, model = drifting(14), follower_of(cached("sam2"), 1.0), rival(cached("sam2"), 1.0)
    seeds = {
        0: {1: box(10, 10, 60, 50), 2: box(60, 30, 120, 90)},
        2: {1: KINDS["mask"]},
        3: {1: KINDS["clicks"]},
        11: {1: box(20, 20, 70, 60), 2: KINDS["mask"]},
    }
    limits, all_attended = follower.limits, followed(follower, rgb, seeds)
    follower.limits, model.config.max_cond_frame_num = replace(limits, attended=attended), attended
    said = followed(follower, rgb, seeds)
    plain = model._batch_encode_memories
    reference = Reference(memory_of_each_object(model)).follow(rgb, seeds)
    follower.limits, model.config.max_cond_frame_num, model._batch_encode_memories = limits, -1, plain
    assert difference(said, reference) <= BOUND
    assert (difference(said, all_attended) > BOUND) == (attended in (1, 2, 3))
