"""Overlays: the right frames at the right times, in a form that plays, with the right colours in the right places."""

import gc
import itertools
import os
import struct
import subprocess
import sys
import weakref
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import supervision as sv
from drawing import instances, square
from PIL import Image

from pipeline import films, masks, media, overlay, reasons
from pipeline.errors import BadMedia
from pipeline.films import frames_of
from pipeline.records import Clip, Frame, clip_id

SIZE_HW = (60, 80)
FACTOR = 6  # 80 pixels are enlarged to 480
GREY = 128
COLORS = [sv.Color.from_hex(color).as_rgb() for color in overlay.COLORS]
EVEN = range(8)
UNEVEN = (0, 1, 2, 10, 11, 30, 31, 32)


def shade(number, size_hw=SIZE_HW):
    """A grey picture that says which frame it is: how bright its last 4 rows are."""
    rgb = np.full((*size_hw, 3), GREY, np.uint8)
    rgb[-4:] = 20 * (number % 12) + 10
    return rgb


def number_in(rgb):
    """Which frame an overlay of `shade` shows."""
    return round((rgb[-12:-4].mean() - 10) / 20)


def made_film(path, count=8, size_hw=SIZE_HW, times=EVEN, pix_fmt="yuv444p"):
    """A film of shades at these 24ths of a second, as a clip in which nothing is found."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24, options={"crf": "1"})
        stream.height, stream.width, stream.pix_fmt = *size_hw, pix_fmt
        stream.codec_context.time_base = stream.time_base = Fraction(1, 24)
        for number, time in zip(range(count), times, strict=False):
            frame = av.VideoFrame.from_ndarray(shade(number, size_hw), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 24)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return Clip(media.film_id(str(path)), path.name, str(path), films.probe(str(path)).frames)


def made_folder(path, count=8, fps=6):
    """The same, a picture a frame."""
    path.mkdir()
    for number in range(count):
        Image.fromarray(shade(number)).save(path / f"{number:05}.png")
    return Clip(media.film_id(str(path)), path.name, str(path), films.folder(str(path), fps).frames)


def box_at(number):
    """A square that moves 5 pixels to the right a frame."""
    return (5 + 5 * number, 20, 25 + 5 * number, 40)


def moving(clip):
    """The clip with the square found in it."""
    boxes = [box_at(number) for number in range(len(clip.frames))]
    found = [instances([box], size_hw=SIZE_HW, masks=[square(*box, SIZE_HW)], track_ids=[2]) for box in boxes]
    return replace(clip, found=tuple(found))


def written(clip, to="out/overlay.mp4"):
    """The overlay of a clip: its file, and all its frames as (time in seconds, (h, w, 3) RGB)."""
    to = Path(to)
    overlay.film(clip, to)
    with av.open(str(to.absolute())) as container:
        return to, [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]


def colored(rgb):
    """Where an overlay of grey pictures has colour, labels left out: they stand above row 20."""
    rgb = rgb.astype(int)
    return (rgb.max(-1) - rgb.min(-1) > 30)[20 * FACTOR :]


def share(rgb, number):
    """Overlap (IoU) of what has colour in a frame and the square as it is in frame `number`."""
    meant = np.zeros(rgb.shape[:2], bool)
    x0, y0, x1, y1 = (FACTOR * side for side in box_at(number))
    meant[y0:y1, x0:x1] = True
    seen, meant = colored(rgb), meant[20 * FACTOR :]
    return (seen & meant).sum() / (seen | meant).sum()


def in_place(frames):
    """Whether each frame has the square of that frame, and not that of one beside it."""
    own = [share(rgb, number) for number, (_, rgb) in enumerate(frames)]
    beside = [share(rgb, number + by) for number, (_, rgb) in enumerate(frames) for by in (-1, 1)]
    return min(own) > 0.9 and max(beside) < 0.75


def boxes_of_file(path):
    """The boxes that an MP4 is made of, in order: name and content."""
    content = path.read_bytes()
    while content:
        length, name = struct.unpack(">I4s", content[:8])
        yield name.decode(), content[8:length]
        content = content[length:]


@pytest.mark.parametrize("times", [EVEN, UNEVEN])
def test_frames_and_times_are_the_films_own(tmp_path, times):
    clip = made_film(tmp_path / "a.mp4", times=times)
    _, frames = written(clip)
    assert [number_in(rgb) for _, rgb in frames] == list(range(8))
    assert [time for time, _ in frames] == pytest.approx([time / 24 for time in times], abs=1e-5)


@pytest.mark.parametrize("times", [(0, 3600), (0, 0.001, 0.002), (5, 5, 4), (0, 5000, 10000)])
def test_films_of_odd_pace(tmp_path, times):
    clip = made_folder(tmp_path / "film", len(times))
    clip = replace(clip, frames=tuple(replace(one, time_s=at) for one, at in zip(clip.frames, times, strict=True)))
    to, frames = written(clip)
    meant = [tick / overlay.CLOCK for tick in overlay.ticks_of(clip.frames)]
    assert [time for time, _ in frames] == pytest.approx(meant, abs=1e-5)
    with av.open(str(to)) as container:
        assert container.streams.video[0].codec_context.extradata[3] <= 42  # level 4.2: what every phone plays


def test_a_part_of_a_film_begins_with_its_own_first_frame(tmp_path):
    clip = made_film(tmp_path / "a.mp4", times=UNEVEN)
    _, frames = written(replace(clip, frames=clip.frames[1:8:2]))
    assert [number_in(rgb) for _, rgb in frames] == [1, 3, 5, 7]
    assert [time for time, _ in frames] == pytest.approx([0, 9 / 24, 29 / 24, 31 / 24], abs=1e-5)


def test_a_folder_of_frames(tmp_path):
    _, frames = written(made_folder(tmp_path / "film"))
    assert [number_in(rgb) for _, rgb in frames] == list(range(8))
    assert [time for time, _ in frames] == pytest.approx([number / 6 for number in range(8)], abs=1e-5)


@pytest.mark.parametrize(("times", "length"), [(EVEN, 8 / 24), (UNEVEN, 33 / 24), ([0], 1 / 24)])
def test_the_last_frame_is_shown_as_long_as_the_one_before(tmp_path, times, length):
    to, frames = written(made_film(tmp_path / "a.mp4", len(times), times=times))
    assert len(frames) == len(times)
    with av.open(str(to)) as container:
        assert container.duration / av.time_base == pytest.approx(length, abs=0.001)


SIZES = [  # of a film and of its overlay: narrow ones enlarged by a whole factor, large ones made smaller, all even
    ((60, 80), (360, 480)),
    ((96, 128), (384, 512)),
    ((175, 301), (350, 602)),
    ((271, 481), (272, 482)),
    ((1080, 1920), (720, 1280)),
    ((1500, 64), (1280, 56)),
    ((8, 2000), (6, 1280)),
    ((2, 2), (480, 480)),
]


@pytest.mark.parametrize(("size_hw", "shown"), SIZES)
def test_the_form_is_one_that_browsers_play(tmp_path, size_hw, shown):
    to, frames = written(made_film(tmp_path / "a.mp4", 2, size_hw))
    assert [rgb.shape[:2] for _, rgb in frames] == [shown] * 2
    with av.open(str(to)) as container:
        [stream] = container.streams
        kind = stream.codec_context
        assert (kind.name, kind.pix_fmt, kind.profile, kind.has_b_frames) == ("h264", "yuv420p", "High", False)
        assert (kind.colorspace, kind.color_range) == (1, 1)
    names = [name for name, _ in boxes_of_file(to)]
    assert names.index("moov") < names.index("mdat")


def test_an_odd_side_gets_a_line_more_and_is_not_stretched(tmp_path):
    size_hw = (271, 481)
    rgb = np.zeros((*size_hw, 3), np.uint8)
    rgb[:, ::2] = 255
    Path("film").mkdir()
    Image.fromarray(rgb).save("film/0.png")
    [(_, seen)] = written(Clip("", "film", "film", (Frame(0, 0.0, size_hw),)))[1]
    assert seen.shape == (272, 482, 3)
    assert np.abs(seen[:-1, :-1].astype(int) - rgb).mean() < 12
    assert np.abs(seen[:, -1].astype(int) - seen[:, -2]).mean() < 12


def test_same_input_same_bytes_and_no_clock(tmp_path):
    clip = moving(made_film(tmp_path / "a.mp4", times=UNEVEN))
    first, second = (written(clip, name)[0] for name in ("1.mp4", "2.mp4"))
    assert first.read_bytes() == second.read_bytes()
    assert b" threads=1 " in first.read_bytes()  # as x264 says itself; with more, bytes depend on how many
    head = dict(boxes_of_file(first))["moov"]
    for name in (b"mvhd", b"tkhd", b"mdhd"):
        at = head.index(name) + 8  # behind name, version and flags: when it was made, and when changed
        assert head[at : at + 8] == bytes(8)


def test_no_byte_depends_on_what_lay_in_memory(tmp_path):
    made_film(tmp_path / "a.mp4")
    code = """
from test_overlay import Clip, Path, films, moving, overlay
overlay.film(moving(Clip("", "a.mp4", "a.mp4", films.probe("a.mp4").frames)), Path("overlay.mp4"))
"""
    seen = set()
    for filling in "012":  # glibc's: what memory is filled with, before it is used and after
        here = os.environ | {"PYTHONPATH": str(Path(__file__).parent), "MALLOC_PERTURB_": filling}
        subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=here, check=True)
        seen.add((tmp_path / "overlay.mp4").read_bytes())
    assert len(seen) == 1


@pytest.mark.parametrize("times", [EVEN, UNEVEN])
def test_a_mask_is_on_its_pixels_in_its_frame(tmp_path, times):
    clip = moving(made_film(tmp_path / "a.mp4", times=times))
    assert in_place(written(clip)[1])
    later = replace(clip, found=clip.found[:1] + clip.found[:-1])  # the check sees masks that come a frame late
    assert not in_place(written(later)[1])


def test_a_mask_is_half_its_color_with_an_outline_in_full(tmp_path):
    for rgb in (rgb for _, rgb in written(moving(made_film(tmp_path / "a.mp4", 1)))[1]):
        x0, y0, x1, y1 = (FACTOR * side for side in box_at(0))
        middle, edge = rgb[y0 + 12 : y1 - 12, x0 + 12 : x1 - 12], rgb[y1 - 1, x0 + 12 : x1 - 12]
        assert np.abs(middle - (np.array(COLORS[1]) + GREY) / 2).max() < 8
        assert np.abs(edge.mean(0) - COLORS[1]).max() < 25  # a line of three pixels: chroma has half the resolution
        assert np.abs(rgb[y1 + 12 :, :, :].mean(-1)[: 6 * FACTOR] - GREY).max() < 8


def test_lines_have_a_rim_that_is_seen_on_an_object_of_their_color():
    rgb = np.full((*SIZE_HW, 3), COLORS[1], np.uint8)
    code = square(5, 20, 25, 40, SIZE_HW)
    for codes in ([code], [None]):
        bgr = overlay.Painter(SIZE_HW).painted(
            rgb, instances([(5, 20, 25, 40)], size_hw=SIZE_HW, masks=codes, track_ids=[2])
        )
        across = (bgr[30 * FACTOR] == 0).all(-1)
        assert across[5 * FACTOR - 4 : 5 * FACTOR + 4].any()
        assert across[25 * FACTOR - 4 : 25 * FACTOR + 4].any()
        assert across.sum() < 10


def test_a_row_without_a_mask_is_a_box():
    bgr = overlay.Painter(SIZE_HW).painted(shade(0), instances([(5, 20, 25, 40)], size_hw=SIZE_HW, track_ids=[2]))
    rows, columns = np.nonzero((bgr == COLORS[1][::-1]).all(-1)[20 * FACTOR :])
    left, right, bottom = 5 * FACTOR, 25 * FACTOR - 1, 20 * FACTOR - 1  # its first and last pixels
    beyond = {left - columns.min(), columns.max() - right, rows.max() - bottom}
    assert beyond in ({1}, {2})  # half a line, as OpenCV draws it, and on all sides the same
    assert (bgr[20 * FACTOR + 12 : 40 * FACTOR - 12, left + 12 : right - 12] == GREY).all()


@pytest.mark.parametrize("to_hw", [(60, 80), (360, 480), (21, 28), (45, 60), (61, 79)])
def test_a_mask_is_scaled_by_the_middles_of_pixels(to_hw):
    dice = np.random.default_rng(0)
    for corner in (0, 7, 30):
        mask = np.zeros(SIZE_HW, bool)
        mask[corner : corner + 25, 2 * corner : 2 * corner + 20] = dice.random((25, 20)) > 0.4
        seen = masks.decode(overlay.scaled(masks.encode(mask), SIZE_HW, to_hw), to_hw)
        rows, columns = (
            [int((number + Fraction(1, 2)) * of / to) for number in range(to)]
            for of, to in zip(SIZE_HW, to_hw, strict=True)
        )
        assert (seen == mask[rows][:, columns]).all()


def test_a_track_keeps_its_color_wherever_its_row_is(tmp_path):
    clip = made_film(tmp_path / "a.mp4")
    at = {1: (5, 20, 25, 40), 2: (30, 20, 50, 40), 14: (55, 20, 75, 40)}  # 14 is 2 again: there are 12 colours
    found = []
    for ids, _ in zip(itertools.cycle(itertools.permutations(at)), clip.frames, strict=False):
        codes = [square(*at[one], size_hw=SIZE_HW) for one in ids]
        found.append(instances([at[one] for one in ids], size_hw=SIZE_HW, masks=codes, track_ids=ids))
    for _, rgb in written(replace(clip, found=tuple(found)))[1]:
        for one, (x0, y0, x1, y1) in at.items():
            middle = rgb[FACTOR * y0 + 12 : FACTOR * y1 - 12, FACTOR * x0 + 12 : FACTOR * x1 - 12]
            assert np.abs(middle.mean((0, 1)) - (np.array(COLORS[(one - 1) % 12]) + GREY) / 2).max() < 6


def test_colors_that_follow_each_other_are_far_apart():
    for one, other in itertools.pairwise([*COLORS, *COLORS[:2]]):
        assert np.linalg.norm(np.subtract(one, other)) > 120  # of 441
    assert len(set(COLORS)) == len(COLORS) == 12


def luminance(rgb):
    """How bright a colour looks, 0 to 1: WCAG 2.2, relative luminance."""
    c = np.array(rgb) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]


@pytest.mark.parametrize("track_id", range(1, 13))
def test_words_can_be_read_on_every_color(track_id):
    found = instances([(40, 30, 60, 50)], size_hw=SIZE_HW, track_ids=[track_id])
    bgr = overlay.Painter(SIZE_HW).painted(shade(6), found)[: 30 * FACTOR - 5]  # above the box
    black, white = bgr.max(-1).min() < 40, bgr.min(-1).max() > 215  # of which the picture has neither
    assert black != white
    low, high = sorted([luminance(COLORS[track_id - 1]), float(white)])
    assert (high + 0.05) / (low + 0.05) > 4.5  # what WCAG asks of small print


def test_what_is_not_visible_draws_nothing(tmp_path):
    clip = made_film(tmp_path / "a.mp4")
    plain = written(clip)[1]
    found = moving(clip).found
    gone = instances([(0, 0, 0, 0)], size_hw=SIZE_HW, masks=[None], track_ids=[2], visible=[False])
    hidden = replace(clip, found=tuple(gone if 2 <= number < 5 else one for number, one in enumerate(found)))
    for number, ((_, without), (_, rgb)) in enumerate(zip(plain, written(hidden)[1], strict=True)):
        changed = np.abs(rgb.astype(int) - without).max() > 30
        assert changed == (not 2 <= number < 5)


LABELS = [  # columns, and the labels of the two rows
    ({"names": ("dog", "ginger cat"), "track_ids": [3, 12]}, ["dog #3", "ginger cat #12"]),
    ({"names": ("", "dog"), "track_ids": [3, 4]}, ["#3", "dog #4"]),
    ({"names": ("", "dog")}, ["#1", "dog #2"]),
]


@pytest.mark.parametrize(("columns", "labels"), LABELS)
def test_labels(monkeypatch, columns, labels):
    seen = []
    monkeypatch.setattr(sv.LabelAnnotator, "annotate", lambda self, scene, at, texts, **colors: seen.append(texts))
    found = instances([(1, 1, 9, 9), (20, 20, 30, 30)], size_hw=SIZE_HW, **columns)
    overlay.Painter(SIZE_HW).painted(shade(1), found)
    assert seen == [labels]


def test_a_label_is_in_the_picture_even_at_the_edge():
    for box in ((0, 0, 10, 10), (70, 0, 80, 10), (70, 50, 80, 60)):
        bgr = overlay.Painter(SIZE_HW).painted(shade(6), instances([box], size_hw=SIZE_HW, track_ids=[1]))
        label = (bgr == COLORS[0][::-1]).all(-1).sum()
        assert label > 1.5 * 4 * 10 * FACTOR * overlay.LINE_PX  # more than the lines of the box


@pytest.mark.parametrize("code", [None, square(0, 0, 0, 0, SIZE_HW), square(5, 5, 6, 6, SIZE_HW)])
def test_masks_of_next_to_nothing_do_not_stop_it(code):
    bgr = overlay.Painter(SIZE_HW).painted(shade(6), instances([(4, 4, 9, 9)], size_hw=SIZE_HW, masks=[code]))
    assert (bgr[6 * 5 : 6 * 6, 6 * 4 : 6 * 9].max(-1) != bgr[6 * 5 : 6 * 6, 6 * 4 : 6 * 9].min(-1)).any()


def test_a_mask_that_vanishes_in_a_smaller_picture_leaves_its_label():
    size_hw = (1080, 1920)
    found = instances([(900, 500, 901, 501)], size_hw=size_hw, masks=[square(900, 500, 901, 501, size_hw)])
    assert overlay.Painter(size_hw).painted(shade(6, size_hw), found).std(-1).max() > 30


def test_a_frame_of_another_size_is_fitted_in(tmp_path):
    clip = made_folder(tmp_path / "film", 2)
    Image.fromarray(shade(1, (60, 40))).save(tmp_path / "film/00001.png")
    clip = replace(clip, frames=films.folder(clip.path, 6).frames)
    assert [frame.size_hw for frame in clip.frames] == [(60, 80), (60, 40)]
    found = tuple(
        instances([(10, 20, 30, 40)], size_hw=frame.size_hw, masks=[square(10, 20, 30, 40, frame.size_hw)])
        for frame in clip.frames
    )
    for (_, rgb), right in zip(written(replace(clip, found=found))[1], (GREY, 0), strict=True):
        assert np.abs(rgb[150:160, 400:470].astype(int) - right).max() < 8
        assert colored(rgb)[12:108, 72:168].all()
        assert not colored(rgb)[140:, :].any()


def test_one_frame_is_in_memory_at_a_time(tmp_path, monkeypatch):
    alive, most = [], []

    def watched(clip):
        for rgb in frames_of(clip):
            gc.collect()
            alive.append(weakref.ref(rgb))
            most.append(sum(one() is not None for one in alive))
            yield rgb

    monkeypatch.setattr(overlay, "frames_of", watched)
    overlay.film(moving(made_film(tmp_path / "a.mp4")), Path("a.mp4"))
    assert len(most) == 8
    assert max(most) <= 2  # the one before goes when the next is there


def remove(clip):
    Path(clip.path).unlink()


def cut_short(clip):
    made_film(Path(clip.path), 30, times=range(30))


def another_size(clip):
    made_film(Path(clip.path), 8, (48, 64))


def no_film(clip):
    Path(clip.path).write_text("not a film any more")


BAD = [
    (remove, r"not_a_file: a\.mp4: not a regular file .*\(No such file or directory\)"),
    (
        cut_short,
        r"changed: a\.mp4: the file changed or vanished while the run was going on; run again \(.* no frame 30 any",
    ),
    (another_size, r"changed: a\.mp4: .*\(a frame has \(48, 64\) \(h, w\) pixels now, \(60, 80\) before\)"),
    (no_film, r"not_a_picture: a\.mp4: not a picture"),
]


@pytest.mark.parametrize(("harm", "said"), BAD)
def test_a_film_that_changed_is_said_and_leaves_what_was_there(tmp_path, harm, said):
    clip = made_film(tmp_path / "a.mp4", 40, times=range(40))  # more than the encoder keeps to itself
    to = tmp_path / "out/a.mp4"
    to.parent.mkdir()
    to.write_text("the overlay of the last run")
    harm(clip)
    with pytest.raises(BadMedia, match=said) as caught:
        overlay.film(clip, to)
    assert caught.value.reason in reasons.PICTURES
    assert {path.name: path.read_text() for path in to.parent.iterdir()} == {to.name: "the overlay of the last run"}


def test_what_a_kill_left_is_in_nobodys_way(tmp_path):
    clip = made_film(tmp_path / "a.mp4")
    Path("a.mp4.part").write_text("half a film")
    written(clip, "a.mp4")
    assert not Path("a.mp4.part").exists()


def test_a_name_with_a_colon_is_no_protocol(tmp_path):
    assert written(made_film(tmp_path / "a.mp4", 1), "http:a%03d.mp4")[0].is_file()


def made_picture(path, rgb):
    Image.fromarray(rgb).save(path)
    content = path.read_bytes()
    return Clip(clip_id(content), path.name, str(path), (Frame(0, 0.0, rgb.shape[:2]),))


def test_a_still_picture(tmp_path):
    clip = moving(made_picture(tmp_path / "a.png", shade(6)))
    for name in ("1.jpg", "2.jpg"):
        overlay.picture(clip, Path(name))
    content = Path("1.jpg").read_bytes()
    rgb = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert content[:3] == media.JPEG
    assert content == Path("2.jpg").read_bytes()
    assert (rgb.shape, number_in(rgb)) == ((360, 480, 3), 6)
    assert share(rgb, 0) > 0.9
    assert share(rgb, 1) < 0.75


def test_a_still_picture_that_changed(tmp_path):
    clip = made_picture(tmp_path / "a.png", shade(6))
    made_picture(tmp_path / "a.png", shade(5))
    with pytest.raises(BadMedia, match=r"changed: a\.png: .*other bytes than when the run began"):
        overlay.picture(clip, Path("a.jpg"))
    assert not Path("a.jpg").exists()


def test_a_real_film(shared_data):
    path = str(shared_data / "bad_inputs/synthetic/vfr.mp4")
    film = films.probe(path)
    _, frames = written(Clip(media.film_id(path), "vfr.mp4", path, film.frames))
    assert [time for time, _ in frames] == pytest.approx([frame.time_s for frame in film.frames], abs=1e-5)
    for (_, rgb), own in zip(frames, films.decode(path), strict=True):
        assert rgb.shape == (360, 640, 3)
        assert np.abs(cv2.resize(rgb, (320, 180), interpolation=cv2.INTER_AREA).astype(int) - own).mean() < 6
