import hashlib
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from random_models import cached
from sam2_films import drifting, followed

from pipeline import masks
from pipeline.errors import ModelMissing
from pipeline.seams import Device
from pipeline.trackers.sam2_memory import Follower, Seed, open_follower, prompt_of
from pipeline.trackers.sam2_state import Entry, State, Track, nearest

CPU = Device("cpu", 1)
RGB = drifting(40)
MASK = np.zeros((96, 128), bool)
MASK[10:40, 20:70] = True
SEEDS = [  # of every kind
    Seed(np.array([10, 10, 60, 50], np.float32)),
    Seed(np.array([60, 30, 120, 90], np.float32)),
    Seed(points=np.array([[30, 20, 1]], np.float32)),
    Seed(points=np.array([[80, 60, 1], [5, 5, -1]], np.float32)),
    Seed(np.array([20, 40, 60, 90], np.float32), np.array([[40, 60, 1]], np.float32)),
    Seed(mask=MASK),
    Seed(np.array([0, 0, 30, 30], np.float32)),
]
MAP, POINTER = 16 * 16 * 64 * 2, 128 * 4  # bytes of the small model: a bfloat16 map, a float32 pointer


@pytest.fixture(scope="module")
def follower():
    return open_follower(cached("sam2"), "float32", CPU)


@pytest.fixture(scope="module")
def seen(follower):
    return [follower.see(rgb) for rgb in RGB]


def begun(follower, seen, seeds=SEEDS, frames=1):
    """A state after some frames, with objects 0, 1, ... of the first."""
    state = follower.begin((96, 128))
    for frame in range(frames):
        state, _ = follower.step(state, frame, seen[frame], {} if frame else dict(enumerate(seeds)))
    return state


def same(one, other):
    """Whether two sets of answers are the same bits."""
    return set(one) == set(other) and all(
        np.array_equal(one[n].logits, other[n].logits)
        and (one[n].presence, one[n].iou) == (other[n].presence, other[n].iou)
        for n in one
    )


@pytest.mark.parametrize("objects", [1, 4])
@pytest.mark.parametrize("backward", [False, True])
def test_an_object_alone_and_among_seven(follower, objects, backward):
    """Whatever the others are, wherever they began, and whoever is asked for with it."""
    chunked = Follower(follower.parts.model, follower.scaling, objects)
    start, later = (4, 2) if backward else (0, 2)
    marked = {start: dict(enumerate(SEEDS[:5])), later: {5: SEEDS[5], 6: SEEDS[6], 0: SEEDS[1]}}
    together = followed(chunked, RGB[:5], marked, backward)
    for number in (0, 2, 4, 5):
        own = {at: {number: seeds[number]} for at, seeds in marked.items() if number in seeds}
        alone = followed(chunked, RGB[:5], own, backward)
        assert all(same({number: together[at][number]}, answers) for at, answers in alone.items())


def test_larger_calls_say_the_same(follower):
    """As on CUDA: not the same bits, the same answers."""
    chunked = Follower(follower.parts.model, follower.scaling, 8)
    seeds = {0: dict(enumerate(SEEDS))}
    one, eight = followed(follower, RGB[:5], seeds), followed(chunked, RGB[:5], seeds)
    for at, answers in one.items():
        for number, answer in answers.items():
            other = eight[at][number]
            assert np.abs(answer.logits - other.logits).max() <= 1e-4 * np.ptp(answer.logits)
            assert other.presence == pytest.approx(answer.presence, abs=1e-4)
            assert other.iou == pytest.approx(answer.iou, abs=1e-4)


@pytest.mark.parametrize("objects", [1, 3])
def test_every_call_of_the_model_has_the_same_rows(follower, seen, monkeypatch, objects):
    rows = []
    chunked, decoder = Follower(follower.parts.model, follower.scaling, objects), follower.parts.model.mask_decoder
    plain = decoder.forward
    monkeypatch.setattr(decoder, "forward", lambda **each: rows.append(len(each["image_embeddings"])) or plain(**each))
    begun(chunked, seen, SEEDS, frames=2)
    assert set(rows) == {objects}


def test_a_picture_is_encoded_once_for_all_objects(follower, monkeypatch):
    calls, encoder = [], follower.parts.model.vision_encoder
    plain = encoder.forward
    monkeypatch.setattr(encoder, "forward", lambda *some, **each: calls.append(1) or plain(*some, **each))
    followed(follower, RGB[:3], {0: dict(enumerate(SEEDS)), 2: {0: SEEDS[1]}})
    assert len(calls) == 3


def test_an_answer_has_a_mask_or_says_that_nothing_is_there(follower, seen):
    _, answers = follower.step(follower.begin((96, 128)), 0, seen[0], {5: SEEDS[5], 6: Seed(mask=MASK & False)})
    there, gone = answers[5], answers[6]
    assert masks.areas([masks.encode_logits(there.logits, (96, 128))])[0] == pytest.approx(MASK.sum(), rel=0.1)
    assert masks.areas([masks.encode_logits(gone.logits, (96, 128))]) == [0]
    assert (there.presence, gone.presence, there.iou) == (10, -10, 1)
    assert (there.logits.shape, there.logits.dtype) == ((64, 64), np.float32)


@pytest.mark.parametrize("objects", [1, 3])
def test_what_is_settled_is_remembered(follower, seen, objects):
    """All objects of a frame claim together; who loses half goes on with half, who loses all is lost."""
    chunked, asked = Follower(follower.parts.model, follower.scaling, objects), []
    half = np.arange(64) < 32

    def settle(claims):
        asked.append(claims)
        return {**claims, 1: claims[1] & half, 2: claims[2] & False}

    state = begun(chunked, seen, SEEDS[:6])
    plain, free = chunked.step(state, 1, seen[1])
    settled, less = chunked.step(state, 1, seen[1], settle=settle)
    (claims,) = asked
    assert sorted(claims) == [0, 1, 2, 3, 4, 5]
    assert all(np.array_equal(claims[n], free[n].logits > 0) for n in claims)
    assert all(claims[n].any() for n in (1, 2))
    assert same({n: free[n] for n in (0, 3, 4, 5)}, {n: less[n] for n in (0, 3, 4, 5)})
    assert np.array_equal(less[1].logits > 0, claims[1] & half)
    assert (less[2].logits.max() <= 0, less[2].presence) == (True, -10)
    for number, (mask, pointer) in enumerate([(1, 1), (0, 1), (0, 0), (1, 1), (1, 1), (1, 1)]):
        one, other = (state.tracks[number].found[1] for state in (plain, settled))
        assert ((one.memory == other.memory).all().item(), (one.pointer == other.pointer).all().item()) == (
            bool(mask),
            bool(pointer),
        )


def test_memory_is_constant_once_it_is_full(follower, seen):
    state, sizes, stored = begun(follower, seen), [], []
    for frame in range(1, 40):
        state, _ = follower.step(state, frame, seen[frame])
        sizes.append(state.nbytes)
        stored.append(len(state.stored()))
    assert set(sizes[15:]) == {7 * (7 * MAP + 16 * POINTER)}
    assert sizes == sorted(sizes)
    assert len(set(stored[15:])) == 1
    far = replace(state, now=10**6, tracks={number: later(track) for number, track in state.tracks.items()})
    assert len(far.stored()) == stored[-1]


def later(track):
    """The same track as far on in a film as frame numbers have seven digits."""
    given, found = ({frame + 10**6: entry for frame, entry in of.items()} for of in (track.given, track.found))
    return replace(track, given=given, found=found)


def test_an_object_of_the_released_models_costs_less_than_four_megabytes():
    assert 7 * (64 * 64 * 64 * 2) + 16 * 256 * 4 < 4_000_000


def test_an_entry_holds_no_more_than_it_shows(follower, seen):
    chunked = Follower(follower.parts.model, follower.scaling, 4)
    for state in (begun(chunked, seen, frames=3), chunked.restored(begun(chunked, seen, frames=3).stored())):
        for track in state.tracks.values():
            for entry in [*track.given.values(), *track.found.values()]:
                assert all(tensor.untyped_storage().nbytes() == tensor.nbytes for tensor in entry.tensors)


def test_refreshes_are_bounded(follower, seen):
    state = follower.begin((96, 128))
    for frame in range(40):
        state, _ = follower.step(state, frame, seen[frame], {0: SEEDS[frame % 2]} if frame % 3 == 0 else {})
        assert state.nbytes <= (7 + 3) * MAP + (16 + 3) * POINTER
    assert list(state.tracks[0].given) == [0, 33, 36, 39]  # the first, and the newest three
    assert 30 in state.tracks[0].found


def test_objects_come_and_go(follower, seen):
    state, _ = follower.step(follower.begin((96, 128)), 0, seen[0], {7: SEEDS[0]})
    state, answers = follower.step(state, 1, seen[1], {3: SEEDS[1]})
    assert list(answers) == [7, 3]
    state, answers = follower.step(state, 2, seen[2], forget=[7])
    assert list(answers) == list(state.tracks) == [3]
    state, answers = follower.step(state, 3, seen[3], {3: SEEDS[2]}, forget={3})
    assert (list(state.tracks[3].given), dict(state.tracks[3].found)) == ([3], {})  # begun anew
    state, answers = follower.step(state, 4, seen[4], forget={3, 99})
    assert (answers, dict(state.tracks)) == ({}, {})


def test_a_second_step_on_a_frame_is_for_what_is_marked(follower, seen):
    """So a keyframe is followed first, and what a detector saw there is marked then."""
    before = begun(follower, seen, frames=3)
    followed_first, _ = follower.step(before, 3, seen[3])
    after, answers = follower.step(followed_first, 3, seen[3], {1: SEEDS[5]})
    assert list(answers) == [1]
    at_once, _ = follower.step(before, 3, seen[3], {1: SEEDS[5]})
    assert after.stored() == at_once.stored()
    assert 3 in after.tracks[1].given
    assert 3 not in after.tracks[1].found


def test_a_step_leaves_the_state_before_it_alone(follower, seen):
    state = begun(follower, seen, frames=4)
    stored = state.stored()
    answers = [follower.step(state, 4, seen[4], {0: SEEDS[3]}, forget=[1])[1] for _ in range(2)]
    assert same(*answers)
    assert state.stored() == stored


@pytest.mark.parametrize(("backward", "frame"), [(False, 2), (True, 4)])
def test_a_film_is_followed_in_one_direction(follower, seen, backward, frame):
    state, _ = follower.step(follower.begin((96, 128), backward=backward), 3, seen[3], {1: SEEDS[0]})
    with pytest.raises(ValueError, match=f"frame {frame} lies behind 3; a film is followed in one direction"):
        follower.step(state, frame, seen[frame])


def test_turned_round(follower, seen):
    """A track that was born on frame 5 goes back from there, as one that was begun backward does."""
    state = begun(follower, seen, SEEDS[:2], frames=5)
    state, _ = follower.step(state, 5, seen[5], {2: SEEDS[2]})
    born, _ = follower.step(follower.begin((96, 128), backward=True), 5, seen[5], {2: SEEDS[2]})
    turned = state.turned([2])
    for frame in (4, 3):
        turned, back = follower.step(turned, frame, seen[frame])
        born, expected = follower.step(born, frame, seen[frame])
        assert same(back, expected)


@pytest.mark.parametrize(("frames", "span"), [(None, 15), (2, 1), (16, 15), (500, 15)])
def test_the_span_of_pointers(follower, frames, span):
    assert follower.begin((9, 9), frames).span == span


GOES_ON = """
import sys
from hashlib import sha256
from pathlib import Path
import test_sam2_memory as here
follower = here.open_follower(here.cached("sam2"), "float32", here.CPU)
state = follower.restored(Path(sys.argv[1]).read_bytes())
print(here.gone_on(follower, state, [follower.see(rgb) for rgb in here.RGB[:9]]))
"""


def gone_on(follower, state, seen):
    """The hash of answers and states of three frames more, on which an object comes and one goes."""
    said = hashlib.sha256()
    for frame in (6, 7, 8):
        seeds, gone = ({9: SEEDS[3]}, [0]) if frame == 7 else ({}, [])
        state, answers = follower.step(state, frame, seen[frame], seeds, gone)
        for number, answer in answers.items():
            said.update(f"{number} {answer.presence!r} {answer.iou!r}".encode() + answer.logits.tobytes())
        said.update(state.stored())
    return said.hexdigest()


def test_a_new_process_goes_on_to_the_bit(follower, seen, tmp_path):
    state = begun(follower, seen, frames=6)
    stored = tmp_path / "state"
    stored.write_bytes(state.stored())
    path = [str(Path(__file__).parents[at]) for at in (0, 1, 2)]
    code = f"import sys; sys.path[:0] = {path}\n{GOES_ON}"
    answer = subprocess.run([sys.executable, "-c", code, stored], check=True, stdout=subprocess.PIPE, text=True)
    assert answer.stdout.strip() == gone_on(follower, state, seen)


@pytest.mark.parametrize("frames", [0, 1, 8, 20])
def test_stored_and_taken_up(follower, seen, frames):
    state = begun(follower, seen, SEEDS[:2], frames) if frames else follower.begin((96, 128), 9, backward=True)
    again = follower.restored(state.stored())
    assert again.stored() == state.stored()
    assert (again.size_hw, again.direction, again.span, again.now) == (
        state.size_hw,
        state.direction,
        state.span,
        state.now,
    )
    assert [list(track.given) for track in again.tracks.values()] == [list(t.given) for t in state.tracks.values()]


def test_several_films_at_once(follower):
    seeds = {0: dict(enumerate(SEEDS[:3]))}
    expected = followed(follower, RGB[:4], seeds)
    with ThreadPoolExecutor(3) as pool:
        calls = [pool.submit(followed, follower, RGB[:4], seeds) for _ in range(4)]
        assert all(same(call.result()[at], answers) for call in calls for at, answers in expected.items())


def test_bfloat16(follower):
    half = open_follower(cached("sam2"), "bfloat16", CPU)
    seeds = {0: dict(enumerate(SEEDS))}
    exact, rounded = followed(follower, RGB[:4], seeds), followed(half, RGB[:4], seeds)
    for at, answers in exact.items():
        for number, answer in answers.items():
            logits = rounded[at][number].logits
            assert logits.dtype == np.float32
            assert np.abs(logits - answer.logits).mean() < 0.05 * np.ptp(answer.logits)
    state = begun(half, [half.see(rgb) for rgb in RGB[:3]], frames=3)
    assert half.restored(state.stored()).stored() == state.stored()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # torch's own, of compilers
def test_compiled():
    compiled = open_follower(cached("sam2"), "float32", CPU, compiled=True)
    plain = open_follower(cached("sam2"), "float32", CPU)
    seeds = {0: dict(enumerate(SEEDS[:2]))}
    said, expected = followed(compiled, RGB[:10], seeds), followed(plain, RGB[:10], seeds)
    for at, answers in expected.items():
        for number, answer in answers.items():
            assert np.abs(said[at][number].logits - answer.logits).max() <= 1e-3 * np.ptp(answer.logits)


@pytest.mark.parametrize(
    ("seed", "marks"),
    [  # a film of 100 x 200 pixels, a square of 64
        (Seed([50, 25, 100, 50]), [[16, 16, 2], [32, 32, 3]]),
        (Seed(points=[[100, 25, 1], [0, 50, -1]]), [[32, 16, 1], [0, 32, 0]]),  # -1, off the object, is SAM 2's 0
        (Seed([0, 0, 200, 100], [[100, 50, 1]]), [[0, 0, 2], [64, 64, 3], [32, 32, 1]]),  # the box goes first
    ],
)
def test_seeds_are_scaled_to_the_square(seed, marks):
    given = (None if part is None else np.array(part, np.float32) for part in (seed.box_xyxy, seed.points))
    assert prompt_of(Seed(*given), (100, 200), 64).tolist() == np.array(marks, np.float32).tolist()


@pytest.mark.parametrize("parts", [{}, {"box_xyxy": [0, 0, 9, 9], "mask": MASK}, {"points": [[1, 1, 1]], "mask": MASK}])
def test_a_seed_is_one_thing(parts):
    with pytest.raises(ValueError, match="a box, points, or both; or a mask by itself"):
        Seed(**parts)


@pytest.mark.parametrize(
    ("given", "at_most", "chosen"),
    [  # looked at from frame 10
        ([0, 5, 20], -1, [0, 5, 20]),
        ([0, 5, 20], 3, [0, 5, 20]),
        ([0, 5, 20, 30], 2, [5, 20]),  # the nearest before, and after
        ([0, 5, 20, 30], 3, [5, 20, 0]),  # then by distance, the first of equals by age
        ([0, 3, 7], 1, [7]),
        ([0, 3, 7], 2, [7, 3]),
        ([12, 20, 30], 2, [12, 20]),
    ],
)
def test_the_nearest_given_frames(given, at_most, chosen):
    entries = {frame: Entry(frame, None) for frame in given}
    near, others = nearest(entries, 10, at_most)
    assert list(near) == chosen
    assert set(others) == set(given) - set(chosen)


def test_a_state_of_nothing_costs_nothing():
    state = State((4, 4), 1, 15, None, {5: Track({}, {})})
    assert state.nbytes == 0
    assert replace(state, tracks={}).turned([5]).direction == -1


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ('"model_type": "sam2"', "says that it is sam2; the sam2 tracker opens sam2_video"),
        ('"model_type": "florence2"', "says that it is florence2; the sam2 tracker opens sam2_video"),
    ],
)
def test_another_model_is_refused(tmp_path, said, error):
    folder = shutil.copytree(cached("sam2"), tmp_path / "other")
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"model_type": "sam2_video"', said))
    with pytest.raises(ModelMissing, match=error):
        open_follower(folder, "float32", CPU)
