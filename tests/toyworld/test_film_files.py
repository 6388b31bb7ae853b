"""Films as files: what is coded is what was drawn, nearly; the truth is exact; the same seed gives the same bytes."""

import subprocess
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline import films, toyworld
from pipeline.evaluate.film_truth import evaluate_film_run
from pipeline.formats import format_of
from pipeline.formats.sniff import format_at
from pipeline.toyworld import EVERY, STORIES
from pipeline.toyworld.film_files import coded, planes

SEED, FRAMES = 10_000_000, 24


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Five films, one of each story, and their truth."""
    place = tmp_path_factory.mktemp("world")
    toyworld.write_films(place, SEED, len(STORIES), FRAMES)
    return place


def drawn(number, frames=FRAMES):
    return toyworld.film(SEED, number, STORIES[number % len(STORIES)], frames, kinds=EVERY)


def hashes(place):
    files = sorted(path for path in place.rglob("*") if path.is_file())
    return {path.relative_to(place).as_posix(): sha256(path.read_bytes()).hexdigest() for path in files}


def truth_of(place):
    reading = format_of(format_at(place / "truth")).read(place / "truth")
    clips = {clip.name: clip for clip in reading.clips}
    assert reading.problems == []
    return clips


def test_what_is_written(world):
    assert list(hashes(world)) == [
        *(f"films/0{number}_{story}.mp4" for number, story in enumerate(STORIES)),
        *(f"truth/0{number}_{story}_auto.json" for number, story in enumerate(STORIES)),
        "truth/masklet.jsonl",
    ]


def test_a_browser_can_play_it(world):
    with av.open(str(world / "films/00_wandering.mp4")) as container:
        stream = container.streams.video[0]
        coder = stream.codec_context
        assert (coder.name, coder.profile, coder.pix_fmt) == ("h264", "High", "yuv420p")
        assert (coder.height, coder.width, stream.average_rate) == (192, 256, 24)
        assert (coder.colorspace, coder.color_range) == (6, 1)


@pytest.mark.parametrize("number", range(len(STORIES)))
def test_a_film_is_what_was_drawn(world, number):
    meant, path = drawn(number), world / f"films/0{number}_{STORIES[number]}.mp4"
    seen = films.probe(str(path))
    assert [frame.time_s for frame in seen.frames] == [round(at / 24, 6) for at in range(FRAMES)]
    assert (seen.cuts, seen.damaged) == (meant.cuts, "")
    decoded = np.stack(list(films.decode(str(path)))).astype(int)
    away = np.abs(decoded - meant.rgb)
    assert away.mean() < 3.6
    assert (away.max(axis=3) > 40).mean() < 0.01  # on the edges of colours
    for late, early in ((decoded[1:], meant.rgb[:-1]), (decoded[:-1], meant.rgb[1:])):
        assert np.abs(late - early).mean() > 3.8  # a frame too late or too early would be seen
    assert np.abs(decoded[..., ::-1] - meant.rgb).mean() > 3.8  # and so would another order of colours


@pytest.mark.parametrize("number", range(len(STORIES)))
def test_the_truth_is_exact(world, number):
    meant, name = drawn(number), f"0{number}_{STORIES[number]}.mp4"
    clip = truth_of(world)[name]
    assert list(clip.frames) == list(films.probe(str(world / "films" / name)).frames)
    assert list(map(_shown, clip.found)) == list(map(_shown, meant.found))


def _shown(found):
    """Identity -> class and mask of all that is in sight."""
    rows = zip(found.track_ids.tolist(), found.names, found.masks, strict=True)
    return {track: (name, code) for track, name, code in rows if code is not None}


def test_a_run_that_finds_the_truth_is_perfect_and_one_a_frame_late_is_not(world):
    found = truth_of(world)
    scores = evaluate_film_run(found, world / "truth")
    assert (scores.over_all["j_and_f"], scores.over_all["idf1"], scores.over_all["switches"]) == (1, 1, 0)
    assert (len(scores.per_film), scores.frames_absent, scores.absent, scores.notes) == (5, 0, (), ())
    late = {name: _late(clip) for name, clip in found.items()}
    assert evaluate_film_run(late, world / "truth").over_all["j"] < 0.95


def _late(clip):
    return replace(clip, found=(clip.found[0], *clip.found[:-1]))


def test_the_same_seed_gives_the_same_bytes_in_any_process(world, tmp_path):
    program = (
        f"from pathlib import Path; from pipeline import toyworld; toyworld.write_films(Path('w'), {SEED}, 5, {FRAMES})"
    )
    subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, check=True, env={"PYTHONPATH": str(Path(__file__).parents[2])}
    )
    assert hashes(tmp_path / "w") == hashes(world)


def test_what_is_as_it_should_be_is_left_alone_and_what_differs_is_written_again(tmp_path):
    toyworld.write_films(tmp_path, 1, 3, 4)
    known = hashes(tmp_path)
    whole, cut = tmp_path / "films/00_wandering.mp4", tmp_path / "films/01_twins.mp4"
    stamp = whole.stat().st_mtime_ns
    cut.write_bytes(cut.read_bytes()[:500])
    (tmp_path / "films/02_hiding.mp4").unlink()
    toyworld.write_films(tmp_path, 1, 3, 4)
    assert hashes(tmp_path) == known
    assert whole.stat().st_mtime_ns == stamp


def test_films_of_an_earlier_call_go_and_nobody_elses(tmp_path):
    toyworld.write_films(tmp_path, 1, 3, 4)
    (tmp_path / "films/my_own.mp4").write_bytes(b"mine")
    toyworld.write_films(tmp_path, 1, 1, 4)
    assert list(hashes(tmp_path)) == [
        "films/00_wandering.mp4",
        "films/my_own.mp4",
        "truth/00_wandering_auto.json",
        "truth/masklet.jsonl",
    ]
    assert list(truth_of(tmp_path)) == ["00_wandering.mp4"]


def test_parts_of_a_match(tmp_path):
    toyworld.write_films(tmp_path, 1, 2, 6, match=True)
    clips = truth_of(tmp_path)
    assert list(clips) == ["00_match.mp4", "01_match.mp4"]
    assert set(clips["00_match.mp4"].found[0].names) == {"player", "referee", "ball"}
    assert films.probe(str(tmp_path / "films/01_match.mp4")).frames[5].size_hw == (240, 416)


COLORS = [  # red, green, blue; brightness and colours by ITU-R BT.601, from 16 to 235
    ((0, 0, 0), (16, 128, 128)),
    ((255, 255, 255), (235, 128, 128)),
    ((255, 0, 0), (82, 90, 240)),
    ((0, 255, 0), (144, 54, 34)),
    ((0, 0, 255), (41, 240, 110)),
]


@pytest.mark.parametrize(("rgb", "yuv"), COLORS)
def test_colors(rgb, yuv):
    brightness, one, other = yuv
    assert planes(np.full((2, 4, 3), rgb, np.uint8)).tolist() == [[brightness] * 4] * 2 + [[one, one, other, other]]


def test_brightness_is_a_pixels_own_and_colors_are_of_four():
    rgb = np.zeros((2, 4, 3), np.uint8)
    rgb[0, 0], rgb[:, 2:] = 255, (255, 0, 0)
    assert planes(rgb).tolist() == [[235, 16, 82, 82], [16, 16, 82, 82], [128, 90, 128, 240]]


def test_a_film_of_one_frame():
    assert len(coded(np.zeros((1, 16, 16, 3), np.uint8))) > 100
