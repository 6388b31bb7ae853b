"""Runs over films: whatever way they come about they leave the same bytes, and nothing is computed twice."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from driving import dataset, here, save_pictures
from film_runs import (
    ALL,
    CUT,
    EVERY,
    FRAMES,
    KEYS,
    SEGMENTS,
    computed,
    drawn,
    everything,
    films,
    followed,
    of,
    outlook,
    run,
    save_film,
    save_folder,
    save_toys,
    stops_at,
)

from pipeline import engine, media


@pytest.fixture
def one():
    """A film of 40 frames with a cut."""
    return save_film(Path("films/a.mkv"))


@pytest.fixture
def two(one):
    save_film(Path("films/b.mkv"), shade=20)
    return one.parent


@pytest.fixture
def finished(one):
    """A run over it that is done."""
    summary, lines = run()
    assert computed(summary) == (FRAMES,) * 6
    assert (len(of(lines, "detect")), len(of(lines, "track"))) == (KEYS, SEGMENTS)
    assert followed(lines) == list(range(FRAMES))
    return one


def test_what_is_in_the_films_of_these_tests(finished):
    """Two objects in each of two scenes, in every key frame."""
    (clip,) = films().values()
    keys = [frame.index for frame in clip.frames if frame.index in {*range(0, CUT, EVERY), *range(CUT, FRAMES, EVERY)}]
    seen = {
        frame.index: found.track_ids.tolist()
        for frame, found in zip(clip.frames, clip.found, strict=True)
        if len(found)
    }
    assert seen == {index: [1, 2] if index < CUT else [3, 4] for index in keys}


# The same bytes, however it came about


@pytest.mark.usefixtures("two")
def test_the_same_bytes_in_segments_of_any_length():
    run(ALL, out="whole")
    whole = everything("whole")
    assert len(whole) > 4 * FRAMES
    for how in ({"segment": 1}, {"segment": 14, "in_flight": 3}, {"segment": 240}):
        summary, _ = run(ALL, {"run": how}, out=str(how))
        assert computed(summary) == (2 * FRAMES,) * 6
        assert everything(str(how)) == whole


def test_a_run_takes_up_what_another_knows(one):
    run(out="whole")
    run(stops_at(CUT + 8), out="half")
    summary, lines = run(reuse=["half"])
    assert everything() == everything("whole")
    assert of(lines, "track") == [list(range(CUT + 7, CUT + 13)), list(range(CUT + 13, FRAMES))]
    assert of(lines, "detect") == [[37], [39]]  # what was asked of the segment that failed is remembered
    shutil.rmtree("half")  # what was used is copied
    summary, lines = run({"ontology": {"big": ["dark"]}})
    assert (computed(summary)[0], of(lines, "detect")) == (FRAMES, [])


def test_of_two_states_the_later_one_is_taken_up(one):
    run(stops_at(CUT + 8), out="far")
    run(stops_at(CUT + 7))
    _, lines = run(reuse=["far"])
    assert of(lines, "track")[0][0] == CUT + 7


# Only what a change touches

N, S, K = FRAMES, SEGMENTS, KEYS
NOTHING = (0,) * 6
EVERYTHING = (N,) * 6


def renamed():
    Path("films/a.mkv").rename("films/c.mkv")


def moved():
    Path("films").rename("moved")
    Path("films").symlink_to("moved")


@pytest.mark.parametrize(
    ("change", "through", "detected", "segments"),
    [
        ({}, NOTHING, 0, 0),  # the same command again
        (renamed, NOTHING, 0, 0),
        (moved, NOTHING, 0, 0),
        ({"run": {"batch": 2, "in_flight": 2}}, NOTHING, 0, 0),
        ({"track": {"sure": 0.35}}, (0, 0, 0, 0, 0, N), 0, 0),
        ({"track": {"detections": 30}}, (0, 0, 0, 0, 0, N), 0, 0),
        ({"dedupe": {"same_class_iou": 0.8}}, (0, 0, 0, N, 0, 0), 0, 0),  # which says what it said before
        ({"select": {"threshold": 0.5}}, (0, N, N, N, N, N), 0, S),
        ({"ontology": {"large": {"prompts": ["dark"], "threshold": 0.5}}}, (0, N, N, N, N, N), 0, S),  # a class's own
        ({"ontology": {"big": ["dark"]}}, EVERYTHING, 0, S),  # a class renamed
        ({"track": {"inner": {"backend": "iou", "keep": 3}}}, (0, 0, 0, 0, N, N), 0, S),
        ({"track": {"every": 1}}, EVERYTHING, N - K, 7),  # only key frames never seen
        ({"track": {"every": 4}}, EVERYTHING, 0, 5),  # segments of 9, 8 and 6, and of 9 and 8
        ({"run": {"segment": 240}}, EVERYTHING, 0, 2),
        ({"source": {"every": 2}}, (20,) * 6, 4, 4),  # of 12 frames and of 8; the second scene begins with frame 24
    ],
)
@pytest.mark.usefixtures("finished")
def test_only_what_a_change_touches_is_computed(change, through, detected, segments):
    how = {} if callable(change) else change
    if callable(change):
        change()
    planned = outlook(how)
    summary, lines = run(how)
    assert computed(summary) == through
    assert (len(of(lines, "detect")), len(of(lines, "track"))) == (detected, segments)
    opened = {line["what"] for line in lines if line["what"].startswith("open")}
    assert opened - {"open segment"} == {f"open {what}" for what, n in (("detect", detected), ("track", segments)) if n}
    for stage, frames in zip(summary.stages, through, strict=True):
        assert planned.stale[stage] == frames or (planned.stale[stage] > frames and not planned.exact[stage])
    assert planned.asked["detect"] == detected


def test_back_to_an_old_setting_costs_nothing():
    """The third object is in the first segment alone: what follows has another past, and other numbers."""
    save_film(Path("films/a.mkv"), guest=4)
    run(ALL)
    before = everything()
    run(ALL, {"select": {"threshold": 0.38}})
    run(ALL, {"select": {"threshold": 0.38}}, out="other")
    assert everything() == everything("other") != before
    assert computed(run(ALL)[0]) == NOTHING
    assert everything() == before


def test_the_same_command_again_touches_no_export(finished):
    def stamps():
        return {path: path.stat().st_mtime_ns for path in Path("run/dataset").rglob("*")}

    before = stamps()
    assert run()[1] == []
    assert stamps() == before
    finished.rename("films/c.mkv")
    run()
    assert {name.split("/")[1] for name in dataset("run") if name.endswith(".png")} == {"c"}


def test_of_two_films_only_the_new_one_is_worked_on(finished):
    save_film(Path("films/b.mkv"), shade=20)
    planned = outlook()
    assert (planned.films, planned.frames, planned.stale["track"], planned.asked["detect"]) == (2, 2 * N, N, K)
    summary, lines = run()
    assert computed(summary) == EVERYTHING
    assert {line["name"] for line in lines if "name" in line} == {"b.mkv"}
    assert (summary.films, summary.frames) == (2, 2 * N)


# What is labelled, and what is said of it


def test_pictures_films_and_folders_of_frames_together():
    save_pictures(Path("films"), ["still.png", "more/still.png"])
    save_film(Path("films/more/b.mkv"), shade=20, frames=8)
    save_folder("films/takes/one", range(6))
    save_folder("films/takes/two", range(3, 9))
    folders = {"source": {"frame_folders_fps": 12}}
    summary, _ = run(ALL, folders)
    assert (summary.pictures, summary.films, summary.frames, summary.aside) == (2, 3, 20, {})
    assert set(films()) == {"more/b.mkv", "takes/one", "takes/two"}
    assert [frame.time_s for frame in films()["takes/one"].frames] == [round(at / 12, 6) for at in range(6)]
    summary, lines = run(ALL, {"source": {"frame_folders_fps": 6}})  # other times, and nothing else
    assert (lines, computed(summary)) == ([], NOTHING)
    assert times("takes/one") == [round(at / 6, 6) for at in range(6)]


def times(name):
    """When each frame is shown, as YouTube-VIS's file has it."""
    file = Path("run/dataset/youtube_vis/annotations.json")
    return next(film["time_s"] for film in json.loads(file.read_bytes())["videos"] if name in film["file_names"][0])


@pytest.mark.parametrize(
    ("source", "numbers"),
    [
        ({}, range(12)),
        ({"every": 3}, range(0, 12, 3)),
        ({"fps": 8}, range(0, 12, 3)),  # the film has 24 a second
        ({"fps": 10}, [0, 3, 5, 8, 10]),  # the first at or after each tenth of a second
        ({"every": 2, "fps": 8}, [0, 4, 6, 10]),
    ],
)
def test_the_frames_that_are_asked_for(source, numbers):
    save_film(Path("films/a.mkv"), frames=12)
    summary, _ = run({"source": source, "export": {"formats": ["coco", "youtube_vis"]}})
    (clip,) = films().values()
    assert [frame.index for frame in clip.frames] == list(numbers)
    assert summary.frames == len(clip.frames)
    assert times("a") == [round(number / 24, 3) for number in numbers]  # Matroska has milliseconds
    pictures = [name for name in dataset("run") if name.endswith(".png")]
    assert [int(Path(name).stem) for name in pictures] == list(numbers)
    for name, number in zip(pictures, numbers, strict=True):
        assert (media.decode(dataset("run")[name]) == drawn(number)).all()


class Followed(engine.Nobody):
    """What a progress bar is told."""

    def __init__(self):
        self.said = []

    def begin(self, what, total):
        self.said.append([what, total, 0])

    def step(self, pictures, objects=0, aside=0):
        self.said[-1][2] += pictures


@pytest.mark.usefixtures("two")
def test_a_limit_counts_films_and_progress_counts_frames():
    save_pictures(Path("films"), ["still.png"])
    watch = Followed()
    summary, _ = run(limit=1, watch=watch)
    assert (summary.pictures, summary.films) == (0, 1)
    assert watch.said[0] == ["labelling", FRAMES, FRAMES]
    run(stops_at(15, "b.mkv"))
    run(watch=(watch := Followed()))
    assert watch.said[0] == ["labelling", FRAMES - 13, FRAMES - 13]  # the picture was done, and two segments
    with closing(sqlite3.connect("run/run.db")) as db:
        assert [name for (name,) in db.execute("SELECT path FROM files WHERE seen LIKE '%still%'")] == []


COMMANDS = [
    "photos_yolox",
    *('ontology={"large": ["dark"]}', "detect={backend: blobs:Blobs}", "segment={backend: fake}", "--source", "films"),
    *("run.segment=6", "--out", "run"),
]


@pytest.mark.usefixtures("two")
def test_what_commands_say_of_films():
    save_pictures(Path("films"), ["still.png"])
    words = [*COMMANDS, "track={backend: iou, every: 2}"]
    assert here("check", *words).stdout.count("iou") == 1
    planned = here("plan", *words).stdout.splitlines()
    assert planned[0] == f"1 pictures, 2 films of {2 * N} frames, 0 files set aside"
    every = f"{2 * N + 1}"
    assert [" ".join(line.replace("at most", "<").split()) for line in planned[2:]] == [
        f"detect {every} {2 * K + 1}",
        f"select < {every} < 0",
        f"segment < {every} < {2 * K + 1}",
        f"dedupe < {every} < 0",
        f"track < {2 * N} < {2 * N}",
        f"identify < {2 * N} < 0",
    ]
    assert here("run", *words, "--dry-run").stdout.splitlines() == planned
    assert here("run", *words).returncode == 0
    assert "nothing to do" in here("plan", *words).stdout
    status = json.loads(here("status", "run", "--json").stdout)
    assert (status["pictures"], status["films"], status["aside"]) == (1, 2, {})
    assert status["results"]["track"] == 2 * SEGMENTS


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_same_bytes_with_sam2_in_segments_of_40_and_120_frames_and_two_processes():
    save_toys("cut", "leaving", frames=130)
    formats = "export.formats=[coco, sav, sav_png, youtube_vis]"
    for out, how in (("40", "run.segment=40"), ("120", "run.segment=120"), ("two", "run.workers=2")):
        said = here("run", "demo", "source.path=films", formats, "--out", out, how)
        assert said.returncode == 0, said.stderr
    assert len(dataset("40", "sav_png")) > 200
    for name in ("coco", "sav", "sav_png", "youtube_vis"):
        assert dataset("40", name) == dataset("120", name) == dataset("two", name)
