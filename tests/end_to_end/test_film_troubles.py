"""Runs over films in which something goes wrong, or which are killed: what was done is not done again."""

import shutil
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest
from counting import LOG
from driving import MASKLET, counting_backends, dataset, handed, here, masklet, save_pictures
from film_runs import (
    CUT,
    FRAMES,
    SEGMENTS,
    aside,
    computed,
    everything,
    followed,
    of,
    outlook,
    run,
    save_film,
    save_folder,
    save_toys,
    stops_at,
)
from killing import Victim, has_committed, rounds

from pipeline import engine
from pipeline.ledger import entries
from pipeline.store import Store


@pytest.fixture
def one():
    """A film of 40 frames with a cut."""
    return save_film(Path("films/a.mkv"))


@pytest.fixture
def two(one):
    save_film(Path("films/b.mkv"), shade=20)
    return one.parent


def test_a_state_that_is_lost_costs_its_scene(one):
    run(out="whole")
    for frame, again in ((15, 0), (CUT + 8, CUT)):
        run(stops_at(frame), out=str(frame))
        planned = outlook(out=str(frame))
        with closing(sqlite3.connect(f"{frame}/run.db")) as db, db:
            assert db.execute("DELETE FROM states").rowcount == 1
        assert outlook(out=str(frame)).stale["track"] == FRAMES - again > planned.stale["track"]
        summary, lines = run(out=str(frame))
        assert followed(lines) == list(range(again, FRAMES))
        assert computed(summary)[4] == FRAMES - again
        assert everything(str(frame)) == everything("whole")


@pytest.mark.usefixtures("two")
def test_a_film_that_fails_costs_itself_alone():
    save_pictures(Path("films"), ["still.png"])
    run(out="whole")
    summary, _ = run({"track": {"fails_on": "a.mkv", "fails_from": 15}})
    assert (summary.pictures, summary.films, summary.aside) == (1, 1, {"backend_failed": 1})
    assert aside() == [("a.mkv", "track", "backend_failed")]
    with Store(Path("run/run.db")) as store:
        (row,) = [entry for entry in entries(store) if entry.picture == "a.mkv"]
    assert "no luck with this film" in row.why
    assert set(dataset("run")) < set(dataset("whole"))
    summary, lines = run()
    assert of(lines, "track")[0][0] == 13  # what was followed stays
    assert (aside(), everything()) == ([], everything("whole"))


@pytest.mark.parametrize(("words", "code"), [((), 0), (("--max-quarantined", 1), 0), (("--max-quarantined", 0), 3)])
@pytest.mark.usefixtures("two")
def test_the_exit_code_and_the_ledger_of_a_film_that_fails(words, code):
    failing = 'track={backend: "counting:Tracker", fails_on: a.mkv}'
    assert here("run", *FAKES, failing, "--out", "run", *words).returncode == code
    assert (
        here("status", "run", "--ledger").stdout.splitlines()[0].startswith("a.mkv: track: a model or library failed")
    )


@pytest.mark.usefixtures("one")
def test_a_run_in_which_every_film_fails_ends_all_the_same():
    formats = {"export": {"formats": ["coco", "imagefolder", "parquet", "sav", "sav_png", "yolo_seg", "youtube_vis"]}}
    summary, _ = run(formats, stops_at(0))
    assert {name: said["pictures"] for name, said in summary.datasets.items()} == dict.fromkeys(
        formats["export"]["formats"], 0
    )


@pytest.mark.usefixtures("two")
def test_a_process_that_dies_costs_its_film_alone():
    save_pictures(Path("films"), ["still.png"])
    run(out="whole")
    said = {"track": {"fails_on": "a.mkv", "fails_from": 15, "dies": True}}
    summary, _ = run(said, {"run": {"workers": 2}})
    assert (summary.pictures, summary.films) == (1, 1)
    assert aside() == [("a.mkv", "", "worker_died")]
    summary, lines = run()
    assert of(lines, "track")[0][0] == 13
    assert (aside(), everything()) == ([], everything("whole"))


class AfterTheFirst(engine.Nobody):
    """Does something once, when the first segment of a film is committed."""

    def __init__(self, action):
        self.action = action

    def step(self, pictures, objects=0, aside=0):
        self.action()
        self.action = lambda: None


def written_over():
    Path("films/a.mkv").write_bytes(Path("other.mkv").read_bytes())


def replaced():
    shutil.copy("other.mkv", "films/new")
    Path("films/new").replace("films/a.mkv")


def one_frame_written_over():
    Path("films/a/00008.png").write_bytes(Path("films/a/00031.png").read_bytes())  # the next segment sees it


@pytest.mark.parametrize(
    ("name", "change"),
    [
        pytest.param("a.mkv", written_over, id="written over"),
        pytest.param("a.mkv", replaced, id="replaced", marks=pytest.mark.slow),
        pytest.param("a.mkv", lambda: Path("films/a.mkv").unlink(), id="gone"),
        pytest.param("a", one_frame_written_over, id="a frame written over"),
        pytest.param("a", lambda: Path("films/a/00030.png").unlink(), id="a frame gone", marks=pytest.mark.slow),
        pytest.param("a", lambda: shutil.rmtree("films/a"), id="all frames gone", marks=pytest.mark.slow),
    ],
)
def test_a_film_that_changes_meanwhile_is_told(name, change):
    save_film(Path("films/b.mkv"), shade=20)
    save_film(Path("other.mkv"), shade=10)
    save_film(Path("films/a.mkv")) if name == "a.mkv" else save_folder("films/a", range(FRAMES))
    kept = Path("kept")
    shutil.copytree("films", kept)
    folders = {"source": {"frame_folders_fps": 24}}
    run(folders, out="whole")
    summary, _ = run(folders, watch=AfterTheFirst(change))
    assert (summary.films, aside()) == (1, [(name, "open", "changed")])
    shutil.rmtree("films")
    shutil.copytree(kept, "films")
    run(folders)
    assert (aside(), everything()) == ([], everything("whole"))  # nothing is remembered of other bytes


# Killed, and stopped


@pytest.fixture
def victim(one, tmp_path):
    """A slow run over a film: 7 commits, 60 ms from one to the next."""
    counting_backends(tmp_path)
    return of_a_film(tmp_path, SEGMENTS, "counting:Tracker", *FAKES, "track.sleep_s=0.01", pause_s=0.08)


FAKES = [
    *(
        "photos_yolox",
        "source.path=films",
        "detect={backend: blobs:Blobs}",
        "segment={backend: fake}",
        "select.threshold=0.3",
    ),
    *('ontology={"large": ["dark"]}', "track.every=2", "run.segment=6"),
]


def of_a_film(desk, segments, tracker, *words, pause_s):
    command = [MASKLET, "run", *words[:1], "--out", "killed", f'track.backend="{tracker}"', *words[1:]]
    return Victim(command, desk, desk / "killed", desk / LOG, segments, pause_s, "track", ("track",))


def uninterrupted(victim):
    """The dataset of the same command, left alone, in another folder."""
    result = masklet(*victim.command[1:], "--out", "whole", cwd=victim.desk)
    assert result.returncode == 0, result.stderr
    return dataset(victim.desk / "whole")


def kill(victim, times, inside, seed=1):
    """Kill it over and over: the dataset is the same, and of what was done a segment at most is done again."""
    whole = uninterrupted(victim)
    done = rounds(victim, times, seed)
    starts = [start for a_round in done for start in a_round.starts]
    kills = [start for start in starts if start.killed]
    assert len(kills) == times
    assert sum(map(victim.inside, kills)) >= inside
    assert all(a_round.dataset == whole for a_round in done)
    assert [start.again for start in starts if start.again] == []
    assert max(len(kill.lost) for kill in kills) <= 1  # a kill costs a segment at most


def test_three_kills(victim):
    kill(victim, times=3, inside=2)


def test_a_run_that_is_asked_to_stop_goes_on(victim):
    whole = uninterrupted(victim)
    victim.log.unlink()
    process = subprocess.Popen(victim.command, cwd=victim.desk, stderr=subprocess.PIPE, text=True)
    while not has_committed(victim.out, 2, "track") and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, words = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert "masklet: stopped with 1 pictures and films to go; run the same command again to go on" in words
    assert 2 <= len(of(handed(victim.log), "track")) < SEGMENTS
    assert masklet(*victim.command[1:], cwd=victim.desk).returncode == 0
    assert dataset(victim.out) == whole
    assert followed(handed(victim.log)) == list(range(FRAMES))  # nothing twice


# With SAM 2

SAM2 = ["demo", "source.path=films", 'track.inner={backend: "sam2", model: "tiny-sam2"}']


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_ten_kills_with_sam2(tmp_path):
    save_toys("cut", frames=96)
    counting_backends(tmp_path)
    victim = of_a_film(tmp_path, 4 + 4, "counting:MaskTracker", *SAM2, "run.segment=16", pause_s=1.5)
    kill(victim, times=10, inside=8)
