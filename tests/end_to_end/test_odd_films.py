"""Odd, cut and empty films through whole runs: each is a track dataset in every format, or has a clear reason."""

import json
import re
import shutil

import av
import numpy as np
import odd_films
import pytest
from driving import here, masklet
from filming import drawn

from pipeline import pixels
from pipeline.formats import FORMATS
from pipeline.labelled import Films
from pipeline.store import Store

FAKES = ["--ontology", "dog, cat", "detect={backend: fake}", "segment={backend: fake}"]
EVERY_FORMAT = f"export.formats=[{', '.join(FORMATS)}]"
SMALL, LARGE, LARGER = (24, 32), (48, 64), (72, 96)
OURS = re.compile(r"(labelling|writing \w+): \d+/\d+, ")

FILMS = {  # name: when its frames are shown, in 24ths of a second; their sizes
    "bgra.mkv": ([0, 1], [LARGE]),
    "cut.mkv": ([0, 1, 2, 3], [SMALL]),
    "gbrp16le.mkv": ([0, 1], [LARGE]),
    "gray.mkv": ([0, 1], [LARGE]),
    "gray16le.mkv": ([0, 1], [LARGE]),
    "now_and_then.mkv": ([0, 1, 2, 12, 13, 40], [LARGE]),
    "one_damaged": ([0, 1, 2, 4, 5], [SMALL]),
    "one_frame.mkv": ([0], [SMALL]),
    "six_frames.mkv": ([0, 1, 2, 3, 4, 5], [SMALL]),
    "three_frames.mkv": ([0, 1, 2], [SMALL]),
    "two_sizes.ts": ([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], [LARGE, LARGER]),
    "yuva420p.mkv": ([0, 1], [LARGE]),
}
MISSING = {
    "cut.mkv": "4 frames can be decoded, until 0.12 s; the file says 0.38 s",
    "one_damaged": "5 frames can be decoded; 00003.png: cut_or_damaged",
}
ASIDE = {
    "all_damaged": ("not_a_picture", "a folder without a picture"),
    "no_bytes.mp4": ("empty_file", ""),
    "no_frame_decodes.mp4": ("cut_or_damaged", "a part cannot be decoded: Invalid data found when processing input"),
    "no_index.mp4": ("cut_or_damaged", "Invalid data found when processing input"),
    "sound.mp4": ("not_a_picture", "a file without pictures: sound"),
    "the_same_six.mkv": ("duplicate", "of six_frames.mkv"),
    "windows.wmv": ("not_a_picture", "a film in a container that is not read"),
}
FRAMES = sum(len(ticks) for ticks, _ in FILMS.values())
ONE_SIZE = ("sav", "sav_manual", "sav_png", "youtube_vis")
"""Formats in which a film has one size."""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run over films made here: its words, its folder, and what the command said."""
    desk = tmp_path_factory.mktemp("odd")
    odd_films.write(desk / "films")
    words = ["run", "photos_yolox", "--source", desk / "films", "--out", desk / "run", "--json", *FAKES]
    words += ["track={backend: iou}", "source.frame_folders_fps=24", EVERY_FORMAT]
    return words, desk / "run", masklet(*words, cwd=desk, timeout_s=300)


def films_of(place):
    """The films of a run."""
    with Store(place / "run.db") as store:
        return dict(Films(store))


def ledger(place):
    """The rows of whole films: name -> reason and detail."""
    rows = [json.loads(line) for line in here("status", place, "--ledger", "--json").stdout.splitlines()]
    return {row["picture"]: (row["reason"], row["detail"]) for row in rows if row["stage"] == "choose"}


def times_of(clip):
    return [frame.time_s for frame in clip.frames]


def test_every_film_is_labelled_or_has_a_reason(run):
    said, films = run[2], films_of(run[1])
    assert (said.returncode, [line for line in said.stderr.splitlines() if not OURS.match(line)]) == (0, [])
    summary = json.loads(said.stdout)
    assert (summary["films"], summary["frames"], summary["files"]) == (len(FILMS), FRAMES, len(FILMS) + len(ASIDE))
    sizes = {name: list(dict.fromkeys(frame.size_hw for frame in clip.frames)) for name, clip in films.items()}
    assert sizes == {name: sizes_hw for name, (_, sizes_hw) in FILMS.items()}
    assert all(len(found) == 2 and all(found.masks) for clip in films.values() for found in clip.found)


@pytest.mark.parametrize("name", FILMS)
def test_a_frame_has_its_own_time(run, name):
    times = [tick / 24 for tick in FILMS[name][0]]
    assert times_of(films_of(run[1])[name]) == pytest.approx(times, abs=1e-3)  # Matroska counts milliseconds


def test_what_is_missing_is_said(run):
    missing = {name: ("frames_missing", said) for name, said in MISSING.items()}
    assert ledger(run[1]) == ASIDE | missing
    notes = [
        f"choose: a film is labelled as far as it can be decoded ({name}: {said})" for name, said in MISSING.items()
    ]
    assert json.loads(run[2].stdout)["notes"] == notes
    assert json.loads(here("status", run[1], "--json").stdout)["notes"] == notes
    lines = here("status", run[1], "--ledger").stdout.splitlines()
    assert len(lines) == len(ASIDE) + len(MISSING)
    assert f"one_damaged: choose: a film is labelled as far as it can be decoded ({MISSING['one_damaged']})" in lines


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_takes_them(run, name):
    made = json.loads(run[2].stdout)["datasets"][name]
    left_out = len(FILMS["two_sizes.ts"][0]) if name in ONE_SIZE else 0
    assert made["objects"] == 2 * (FRAMES - left_out)
    assert made["unsaid"].get("films left out: their frames have several sizes", 0) == bool(left_out)
    assert here("validate", run[1] / "dataset" / name).returncode == 0


@pytest.mark.parametrize("name", FILMS)
def test_a_frame_is_as_it_was_drawn(run, name):
    with pixels.pillow().open(run[1] / "dataset/coco/images" / name.partition(".")[0] / "00000.png") as opened:
        shown = np.array(opened, np.float64)
    times = FILMS[name][1][0][0] // SMALL[0]
    meant = np.kron(drawn(0), np.ones((times, times, 1))).astype(np.float64)
    if name.startswith("gray"):
        meant = np.repeat(meant @ [[0.299], [0.587], [0.114]], 3, axis=2)  # ITU-R BT.601
    assert np.abs(shown - meant).mean() < 1  # coding costs 0.5; the next frame would be 2.6, red for blue 5


def test_again_nothing_is_computed(run):
    again = json.loads(here(*run[0]).stdout)
    assert {did["computed"] for did in again["stages"].values()} == {0}
    assert again["datasets"] == json.loads(run[2].stdout)["datasets"]


# Real ones

REAL = {  # name: frames, size, seconds until the last one
    "01_dog.mp4": (289, (720, 1280), 9.6096),
    "02_cups.mp4": (300, (720, 1280), 9.9766),
    "av1_video.mkv": (125, (360, 640), 4.96),
    "bedroom.mp4": (200, (540, 960), 6.6333),
    "bitflips_2000.mp4": (245, (720, 1280), 10.25),
    "h264_10bits.mp4": (30, (200, 200), 0.9667),
    "h265_video.mp4": (10, (128, 128), 0.9),
    "judo.mp4": (117, (480, 640), 4.64),
    "mpeg4.avi": (48, (180, 320), 1.9583),
    "odd_dims_301x175_yuv444.mp4": (48, (175, 301), 1.9583),
    "rotated_display_matrix_90.mp4": (48, (320, 180), 1.9583),
    "truncated_30pct.mp4": (36, (720, 1280), 1.4583),
    "vfr.mp4": (24, (180, 320), 1.875),
}
INVALID = "a part cannot be decoded: Invalid data found when processing input"
REAL_MISSING = {
    "bitflips_2000.mp4": f"245 frames can be decoded; {INVALID}, and 1 more",
    "truncated_30pct.mp4": f"36 frames can be decoded; {INVALID}",
}
REAL_ASIDE = {
    "empty.jpg": ("empty_file", ""),
    "html_error_page.jpg": ("not_a_picture", "HTML or XML: perhaps a page that says why the download failed"),
    "nasa_13013.mp4.audio.mp3": ("not_a_picture", "sound"),
}

SOME_FORMATS = ("coco", "yolo_seg", "sav", "sav_png", "youtube_vis", "parquet")


@pytest.fixture(scope="module")
def real(shared_data, tmp_path_factory):
    """A finished run over real films, of which YOLOX finds what it knows: its folder, and its summary."""
    pytest.importorskip("onnxruntime")
    desk = tmp_path_factory.mktemp("real")
    for folder in ("videos", "bad_inputs/video", "bad_inputs/synthetic"):
        shutil.copytree(shared_data / folder, desk / "films", copy_function=shutil.copyfile, dirs_exist_ok=True)
    shutil.copyfile(shared_data / "judo_multi_object/example.mp4", desk / "films/judo.mp4")
    words = ["run", "photos_yolox", "--source", desk / "films", "--out", desk / "run", "--json", "track={backend: iou}"]
    words += ["segment={backend: fake}", f"detect.model={shared_data / 'models/yolox_nano/yolox_nano.onnx'}"]
    said = masklet(*words, f"export.formats=[{', '.join(SOME_FORMATS)}]", "export.every=24", cwd=desk, timeout_s=1200)
    assert said.returncode == 0, said.stderr
    return desk / "run", json.loads(said.stdout)


def decoded(path):
    """Every frame that PyAV decodes, packet by packet."""
    with av.open(str(path)) as container:
        packets = container.demux(video=0)
        while True:
            try:
                yield from next(packets).decode()
            except StopIteration:
                return
            except av.FFmpegError:
                continue


def test_what_is_mended_is_no_longer_said_to_be_missing(tmp_path, monkeypatch):
    """A cut film is replaced by a whole one of the same name."""
    monkeypatch.chdir(tmp_path)
    odd_films.write(tmp_path / "all")
    cut = next(name for name in MISSING if (tmp_path / "all" / name).is_file())
    whole = next(name for name in FILMS if name not in MISSING and (tmp_path / "all" / name).is_file())
    (tmp_path / "films").mkdir()
    words = ["run", "photos_yolox", "--source", "films", "--out", "run", "--json", *FAKES, "track={backend: iou}"]
    notes = []
    for name in (cut, whole):
        shutil.copyfile(tmp_path / "all" / name, tmp_path / "films" / cut)
        notes.append(json.loads(masklet(*words, cwd=tmp_path).stdout)["notes"])
    assert [len(some) for some in notes] == [1, 0]


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_real_films(real):
    place, summary = real
    films = films_of(place)
    seen = {name: (len(c.frames), c.frames[0].size_hw, round(c.frames[-1].time_s, 4)) for name, c in films.items()}
    assert seen == REAL
    assert ledger(place) == REAL_ASIDE | {name: ("frames_missing", said) for name, said in REAL_MISSING.items()}
    assert (summary["pictures"], summary["films"]) == (2, len(REAL))  # and a photo, and the first frame of a GIF
    persons = {name for name, clip in films.items() if any("person" in found.names for found in clip.found)}
    assert persons == REAL.keys() - {"av1_video.mkv", "h264_10bits.mp4", "h265_video.mp4"}  # test patterns
    for name, clip in films.items():
        shown = [frame.time for frame in decoded(place.parent / "films" / name)]
        assert times_of(clip) == pytest.approx([time - shown[0] for time in shown], abs=1e-6), name
    uneven = np.diff(times_of(films["vfr.mp4"]))
    assert uneven.max() > 2.9 * uneven.min()


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_real_films_in_datasets(real):
    """Those of films have every frame, those of pictures one of 24; what is in the photo and the GIF comes on top."""
    counts = [[len(found.in_sight()) for found in clip.found] for clip in films_of(real[0]).values()]
    every, some = sum(map(sum, counts)), sum(sum(count[::24]) for count in counts)
    stills = {
        name: made["objects"] - (every if name in ONE_SIZE else some) for name, made in real[1]["datasets"].items()
    }
    assert stills.keys() == set(SOME_FORMATS)
    assert len(set(stills.values())) == 1
    assert 0 < stills["coco"] < 10


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_turned_film_is_upright(real):
    """As OpenCV, which turns it by itself, has it."""
    capture = pixels.opencv().VideoCapture(str(real[0].parent / "films/rotated_display_matrix_90.mp4"))
    with pixels.pillow().open(real[0] / "dataset/coco/images/rotated_display_matrix_90/00000.png") as opened:
        assert np.abs(np.array(opened, np.int64)[..., ::-1] - capture.read()[1]).max() <= 2
