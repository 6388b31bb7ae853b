"""Films: frames that decode, their times, their scenes; what cannot be decoded is said."""

from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from pipeline import films
from pipeline.errors import BadMedia

SIZE_HW = (48, 64)


def shade(value, size_hw=SIZE_HW):
    """A picture of one grey, with a brighter left half: (H, W, 3)."""
    rgb = np.full((*size_hw, 3), value, np.uint8)
    rgb[:, : size_hw[1] // 2] += 40
    return rgb


def write(path, pictures, times=None, codec="libx264"):
    """A film of these pictures; `times` in 24ths of a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=24)
        h, w = pictures[0].shape[:2]
        stream.width, stream.height, stream.pix_fmt = w, h, "yuv420p"
        stream.codec_context.time_base = stream.time_base = Fraction(1, 24)
        for time, rgb in zip(times or range(len(pictures)), pictures, strict=True):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 24)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return str(path)


GREYS = [20 + 4 * number for number in range(12)]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi", "a.ts"])
def test_frames_come_in_order_with_their_times(tmp_path, name):
    path = write(tmp_path / name, [shade(grey) for grey in GREYS], codec="mpeg4" if name == "a.avi" else "libx264")
    film = films.probe(path)
    assert [frame.index for frame in film.frames] == list(range(12))
    assert [frame.time_s for frame in film.frames] == pytest.approx([number / 24 for number in range(12)], abs=0.002)
    assert {frame.size_hw for frame in film.frames} == {SIZE_HW}
    assert (film.cuts, film.damaged) == ((), "")
    for first in (0, 5, 11):
        seen = [int(rgb[10, 60, 1]) for rgb in films.decode(path, first)]
        assert seen == pytest.approx(GREYS[first:], abs=3)


def test_times_are_those_of_the_frames_not_a_rate(tmp_path):
    times = [0, 1, 2, 10, 11, 30]
    film = films.probe(write(tmp_path / "a.mp4", [shade(90)] * 6, times))
    assert [frame.time_s for frame in film.frames] == pytest.approx([time / 24 for time in times], abs=1e-5)


@pytest.mark.parametrize(
    ("greys", "cuts"),
    [
        ([10] * 8 + [200] * 8, (8,)),
        ([10] * 8 + [200] * 8 + [10] * 8, (8, 16)),
        ([10 + 8 * number for number in range(24)], ()),  # a slow change of light
        ([10] * 8 + [30] * 8, (8,)),  # two scenes that are lit nearly alike: the change is .08 of the range
        ([10] * 8 + [20] * 8, ()),  # .04 is less than a cut changes
        ([10, 200] * 12, ()),  # a flicker is no scene
        ([10] * 8 + [200] + [10] * 8, ()),  # nor is a flash
        ([10] * 8 + [60, 120, 180] + [190] * 8, ()),  # nor something near that passes in a few frames
        ([100] * 24, ()),
    ],
)
def test_scenes(tmp_path, greys, cuts):
    assert films.probe(write(tmp_path / "a.mp4", [shade(grey) for grey in greys])).cuts == cuts


def test_a_film_that_ends_early_is_read_as_far_as_it_goes(tmp_path):
    dice = np.random.default_rng(0)
    pictures = [dice.integers(0, 255, (*SIZE_HW, 3), np.uint8) for _ in range(48)]
    whole = write(tmp_path / "a.mkv", pictures)
    (tmp_path / "cut.mkv").write_bytes((tmp_path / "a.mkv").read_bytes()[:60_000])
    assert (len(films.probe(whole).frames), films.probe(whole).damaged) == (48, "")
    film = films.probe(str(tmp_path / "cut.mkv"))
    assert 5 < len(film.frames) < 40
    until_s = film.frames[-1].time_s
    said = f"{len(film.frames)} frames can be decoded, until {until_s:.2f} s; the file says 2.00 s"
    assert film.damaged == said
    assert len(list(films.decode(str(tmp_path / "cut.mkv")))) == len(film.frames)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not_a_picture"),
        (b"no film at all", "not_a_picture"),
        (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "not_a_picture"),
        (b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41" + b"\0" * 200, "cut_or_damaged"),
        (b"\x1a\x45\xdf\xa3" + b"\0" * 50, "cut_or_damaged"),
    ],
)
def test_what_is_no_film_has_a_reason(tmp_path, content, said):
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(BadMedia, match=said) as raised:
        films.probe(str(path))
    assert "Errno" not in str(raised.value)  # there a number of PyAV's goes up from file to file


def test_too_large(tmp_path):
    path = write(tmp_path / "a.mp4", [shade(90)] * 3)
    with pytest.raises(BadMedia, match=r"too_large: 48 x 64 \(h x w\) pixels; at most 100 are read"):
        films.probe(path, max_pixels=100)


def test_a_folder_of_frames(tmp_path):
    for number, grey in enumerate([10, 12, 14, 16, 200, 202, 204, 206, 208]):
        Image.fromarray(shade(grey)).save(tmp_path / f"{number:05}.png")
    (tmp_path / "notes.txt").write_text("no frame")
    film = films.folder(str(tmp_path), fps=6)
    assert [frame.time_s for frame in film.frames][:3] == pytest.approx([0, 1 / 6, 2 / 6], abs=1e-6)
    assert ([frame.index for frame in film.frames], film.cuts) == (list(range(9)), (4,))
    assert film.damaged == "9 frames can be decoded; notes.txt: not_a_picture"


ODD = [
    ("bad_inputs/synthetic/bitflips_2000.mp4", 245, (720, 1280), 10.25, "245 frames can be decoded; a part cannot"),
    ("bad_inputs/synthetic/truncated_30pct.mp4", 36, (720, 1280), 1.458, "36 frames can be decoded; a part cannot"),
    ("bad_inputs/synthetic/mpeg4.avi", 48, (180, 320), 1.958, ""),
    ("bad_inputs/synthetic/odd_dims_301x175_yuv444.mp4", 48, (175, 301), 1.958, ""),
    ("bad_inputs/synthetic/rotated_display_matrix_90.mp4", 48, (320, 180), 1.958, ""),
    ("bad_inputs/synthetic/vfr.mp4", 24, (180, 320), 1.875, ""),
    ("bad_inputs/video/av1_video.mkv", 125, (360, 640), 4.96, ""),
    ("bad_inputs/video/h264_10bits.mp4", 30, (200, 200), 0.967, ""),
    ("bad_inputs/video/h265_video.mp4", 10, (128, 128), 0.9, ""),
]


@pytest.mark.parametrize(("name", "count", "size_hw", "last_s", "damaged"), ODD)
def test_odd_films(shared_data, name, count, size_hw, last_s, damaged):
    film = films.probe(str(shared_data / name))
    assert (len(film.frames), film.frames[-1].size_hw) == (count, size_hw)
    assert film.frames[-1].time_s == pytest.approx(last_s, abs=0.001)
    assert film.damaged.startswith(damaged)
    assert bool(film.damaged) == bool(damaged)


def test_sound_alone_is_no_film(shared_data):
    with pytest.raises(BadMedia, match="not_a_picture"):
        films.probe(str(shared_data / "bad_inputs/video/nasa_13013.mp4.audio.mp3"))
