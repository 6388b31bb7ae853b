import json
import subprocess
import sys

import pytest

from pipeline.errors import ConfigError, Locked
from pipeline.formats.publish import MANIFEST, changed, made_from, publish, repair

OLD = {"annotations.json": "old", "images/a.png": "A", "gone/b.png": "B"}
NEW = {"annotations.json": "new", "images/a.png": "A", "images/día/犬.png": "C"}


def publish_files(place, files, key):
    with publish(place, key) as new:
        for name, content in files.items():
            (new / name).parent.mkdir(parents=True, exist_ok=True)
            (new / name).write_text(content)


def publish_half(place, error):
    with publish(place, "half") as new:
        (new / "annotations.json").write_text("half")
        raise error


def content(place):
    """Every file below `place` but the manifest, and that nothing else is beside it."""
    assert list(place.parent.iterdir()) == [place]
    files = [path for path in place.rglob("*") if path.is_file() and path.name != MANIFEST]
    return {path.relative_to(place).as_posix(): path.read_text() for path in files}


@pytest.fixture
def place(tmp_path):
    """Where a dataset goes: in a folder of its own."""
    (tmp_path / "dataset").mkdir()
    return tmp_path / "dataset" / "coco v1.0"


def test_a_dataset_appears_with_its_manifest(place):
    publish_files(place, OLD, "key 1")
    assert content(place) == OLD
    assert made_from(place) == "key 1"
    manifest = json.loads((place / MANIFEST).read_text("ascii"))
    assert list(manifest["files"]) == sorted(OLD)
    assert manifest["files"]["images/a.png"] == "559aead08264d5795d3909718cdd05abd49572e84fe55590eef31a88a08fdffd"
    assert changed(place) == []


def test_a_dataset_is_replaced_whole(place):
    publish_files(place, OLD, "1")
    publish_files(place, NEW, "2")
    assert content(place) == NEW
    assert made_from(place) == "2"


def test_the_same_files_give_the_same_manifest(place):
    publish_files(place, OLD, "1")
    first = (place / MANIFEST).read_bytes()
    publish_files(place, dict(reversed(OLD.items())), "1")
    assert (place / MANIFEST).read_bytes() == first


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("before", [OLD, None])
def test_what_fails_changes_nothing(error, before, place):
    if before:
        publish_files(place, before, "1")
    with pytest.raises(error):
        publish_half(place, error)
    if before:
        assert content(place) == before
    else:
        assert list(place.parent.iterdir()) == []


def test_a_damaged_dataset_is_noticed(place):
    publish_files(place, OLD, "1")
    (place / "images" / "a.png").write_text("other")
    (place / "gone" / "b.png").unlink()
    (place / "new.txt").write_text("")
    assert changed(place) == ["gone/b.png", "images/a.png", "new.txt"]


STRANGERS = [  # what is at the place, and whether it is in the way
    ({"photo.jpg": "mine"}, True),  # somebody's folder
    ({"manifest.json": '{"name": "a browser extension"}'}, True),  # somebody else's manifest
    ({"manifest.json": "[]"}, True),
    ({"manifest.json": '{"made_from": "1", "fi'}, True),  # cut short
    ({}, False),  # an empty folder
]


@pytest.mark.parametrize(("files", "refused"), STRANGERS)
def test_what_masklet_did_not_publish_is_not_replaced(files, refused, place):
    place.mkdir()
    for name, text in files.items():
        (place / name).write_text(text)
    assert made_from(place) is None
    if refused:
        with pytest.raises(ConfigError, match=r"coco v1\.0: is there and was not published by masklet; move it"):
            publish_files(place, NEW, "1")
        assert {path.name: path.read_text() for path in place.iterdir()} == files
        assert list(place.parent.iterdir()) == [place]
    else:
        publish_files(place, NEW, "1")
        assert content(place) == NEW


def test_a_file_or_a_link_is_not_replaced_either(place, tmp_path):
    place.write_text("a file")
    with pytest.raises(ConfigError, match="was not published by masklet"):
        publish_files(place, NEW, "1")
    place.unlink()
    place.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="was not published by masklet"):
        publish_files(place, NEW, "1")


@pytest.mark.parametrize("suffix", ["new", "old"])
def test_a_backup_that_somebody_made_stays(suffix, place):
    publish_files(place, OLD, "1")
    backup = place.with_name(f"{place.name}.{suffix}")
    place.rename(backup)  # as one does
    repair(place)
    with pytest.raises(ConfigError, match=rf"v1\.0\.{suffix}: is in the way and was not left by masklet; move it"):
        publish_files(place, NEW, "2")
    assert made_from(backup) == "1"


def test_two_publishers_do_not_meet(place):
    publish_files(place, OLD, "1")
    with publish(place, "2") as new:
        (new / "annotations.json").write_text("new")
        repair(place)  # a reader passes by: nothing was left, somebody is at work
        with pytest.raises(Locked, match="another process is writing it; wait for it to end"), publish(place, "3"):
            pass
    assert content(place) == {"annotations.json": "new"}


KILLER = """
import json, os, shutil, sys
from pathlib import Path
from pipeline.formats.publish import publish, repair, made_from, changed
import filelock

os.fsync = lambda handle: None  # a kill is no power cut, and waiting for the disk is slow
STEPS = {"os.rename", "os.mkdir", "os.rmdir", "os.remove", "open", "shutil.rmtree"}

def publish_files(place, files, key):
    with publish(place, key) as new:
        for name, content in files.items():
            (new / name).parent.mkdir(parents=True, exist_ok=True)
            (new / name).write_text(content)

def kill_at(step):
    left = [step]
    def hook(event, arguments):
        if event in STEPS:
            left[0] -= 1
            if left[0] == 0:
                os._exit(9)
    sys.addaudithook(hook)

def whole(place):
    files = [path for path in place.rglob("*") if path.is_file() and path.name != "manifest.json"]
    return {path.relative_to(place).as_posix(): path.read_text() for path in files} if place.exists() else None

place, old, new = Path(sys.argv[1]), json.loads(sys.argv[2]), json.loads(sys.argv[3])
for step in range(1, 1000):
    shutil.rmtree(place.parent, ignore_errors=True)
    place.parent.mkdir()
    if old is not None:
        publish_files(place, old, "old")
    if not (child := os.fork()):
        kill_at(step)
        publish_files(place, new, "new")
        os._exit(0)
    killed = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    if not (child := os.fork()):  # a repair that is killed as well
        kill_at(step % 7 + 1)
        repair(place)
        os._exit(0)
    os.waitpid(child, 0)
    repair(place)
    beside = sorted(path.name for path in place.parent.iterdir())
    print(json.dumps([killed, made_from(place), whole(place), changed(place) if place.exists() else [], beside]))
    publish_files(place, new, "again")
    assert whole(place) == new and made_from(place) == "again"
    if not killed:
        break
"""


@pytest.mark.parametrize("before", [OLD, None])
def test_killed_at_any_step_the_old_or_the_new_is_there_whole(before, place):
    asked = [sys.executable, "-c", KILLER, str(place), json.dumps(before), json.dumps(NEW)]
    ran = subprocess.run(asked, capture_output=True, text=True)
    assert ran.stderr == ""
    *outcomes, last = map(json.loads, ran.stdout.splitlines())
    old = ["old", before, [], [place.name]] if before else [None, None, [], []]
    new = ["new", NEW, [], [place.name]]
    assert last == [False, *new]  # the one that was not killed
    states = [state for _, *state in outcomes]
    assert all(killed for killed, *_ in outcomes)
    assert all(state in (old, new) for state in states)
    assert states == sorted(states, key=lambda state: state == new)  # first always the old one, then always the new
    assert 10 < states.count(old) < len(states)
