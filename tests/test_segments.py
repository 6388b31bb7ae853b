"""A film as clips: scenes, segments that end on key frames, and which frames are taken at all."""

import pytest

from pipeline.records import FILM, Clip, Frame
from pipeline.segments import key_frame, reel, sampled


def film(count, step=1):
    return Clip("f1", "a.mp4", "/a.mp4", tuple(Frame(at * step, at * step / 24, (4, 6)) for at in range(count)), FILM)


def shape(made):
    """Scenes as text: each segment's frames, '*' behind a key frame."""
    return [
        [" ".join(f"{frame.index}{'*' if frame.key else ''}" for frame in clip.frames) for clip in scene]
        for scene in made.scenes
    ]


@pytest.mark.parametrize(
    ("count", "cuts", "every", "length", "scenes"),
    [
        (1, (), 2, 4, [["0*"]]),
        (4, (), 2, 4, [["0* 1 2* 3"]]),
        (5, (), 2, 4, [["0* 1 2* 3 4*"]]),  # the first segment has one frame more
        (6, (), 2, 4, [["0* 1 2* 3 4*", "5"]]),
        (9, (), 2, 3, [["0* 1 2* 3 4*", "5 6* 7 8*"]]),  # its length is a multiple of `every`
        (6, (3,), 2, 4, [["0* 1 2*"], ["3* 4 5*"]]),  # a cut begins with a key frame
        (6, (0, 3, 5), 4, 4, [["0* 1 2"], ["3* 4"], ["5*"]]),
        (4, (9,), 2, 4, [["0* 1 2* 3"]]),  # a cut behind the last frame that is wanted
        (3, (), 1, 1, [["0* 1*", "2*"]]),
    ],
)
def test_scenes_and_segments(count, cuts, every, length, scenes):
    assert shape(reel(film(count), cuts, every, length)) == scenes


def test_a_cut_lies_before_the_next_frame_that_is_wanted():
    assert shape(reel(film(5, step=3), (4,), 2, 4)) == [["0* 3"], ["6* 9 12*"]]


def test_segments_have_ids_of_their_own_frames():
    """The same frames have one id, whatever the film is called; other frames, keys or beginnings have another."""
    made = [reel(film(9), cuts, every, 4) for cuts, every in (((), 2), ((), 2), ((5,), 2), ((), 4))]
    ids = [[clip.id for _, clip in one.segments()] for one in made]
    assert ids[0] == ids[1]
    assert len({*ids[0], *ids[2], *ids[3]}) == 5
    assert ids[0][0] == ids[2][0]  # 0 to 4 are the same in both


def test_a_key_frame_has_an_id_whatever_segment_it_is_in():
    whole, cut = ([clip for _, clip in reel(film(9), (), 2, length).segments()] for length in (8, 4))
    assert key_frame(whole[0], 6, "f1").id == key_frame(cut[1], 1, "f1").id
    assert key_frame(whole[0], 6, "f1").id != key_frame(whole[0], 4, "f1").id
    assert key_frame(whole[0], 6, "f1").frames == (whole[0].frames[6],)


@pytest.mark.parametrize(
    ("times", "every", "fps", "taken"),
    [
        (range(8), 1, None, [0, 1, 2, 3, 4, 5, 6, 7]),
        (range(8), 3, None, [0, 3, 6]),
        (range(8), 1, 12, [0, 2, 4, 6]),  # times are in 24ths of a second
        (range(8), 1, 48, [0, 1, 2, 3, 4, 5, 6, 7]),  # more than there are
        (range(8), 1, 10, [0, 3, 5]),  # the first at or after each tick: 2.4, 4.8, 7.2
        ([0, 1, 2, 20, 21, 22, 40], 1, 12, [0, 2, 3, 5, 6]),  # a variable rate: after a gap the clock goes on
        (range(8), 2, 12, [0, 2, 4, 6]),
    ],
)
def test_frames_that_are_taken(times, every, fps, taken):
    frames = [Frame(at, time / 24, (4, 6)) for at, time in enumerate(times)]
    assert [frame.index for frame in sampled(frames, every, fps)] == taken
