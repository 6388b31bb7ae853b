"""What the clock says, and what files say of their age, changes nothing but what is looked at again."""

import json
import os
import time
from pathlib import Path

import pytest
from driving import dataset, here, save_pictures

DAY_S = 86400
YEAR_S = 365 * DAY_S
NAMES = ["a.png", "b.png", "c.png"]
RUN = [
    *("run", "photos_yolox", "--ontology", "dog, cat", "--source", "pictures", "--json"),
    *("detect={backend: fake}", "segment={backend: fake}"),
]


def run(out="run"):
    """A run; how many pictures it computed."""
    said = here(*RUN, "--out", out)
    assert said.returncode == 0, said.stderr
    return int(json.loads(said.stdout)["stages"]["detect"]["computed"])


@pytest.fixture(autouse=True)
def finished():
    save_pictures(Path("pictures"), NAMES)
    assert run() == 3


@pytest.mark.parametrize("moved_s", [-20 * YEAR_S, -1, DAY_S, 20 * YEAR_S])
def test_a_clock_that_was_set(monkeypatch, moved_s):
    before = dataset("run")
    now, now_ns = time.time, time.time_ns
    monkeypatch.setattr(time, "time", lambda: now() + moved_s)
    monkeypatch.setattr(time, "time_ns", lambda: now_ns() + moved_s * 10**9)
    assert run() == 0
    assert run("anew") == 3
    assert dataset("run") == dataset("anew") == before


@pytest.mark.parametrize("moved_s", [-20 * YEAR_S, 20 * YEAR_S])
def test_files_of_another_age(moved_s):
    """They are read again, and known by their content: nothing is computed."""
    before = dataset("run")
    for name in NAMES:
        os.utime(Path("pictures", name), (time.time() + moved_s,) * 2)
    assert run() == 0
    assert dataset("run") == before


def test_a_picture_that_is_replaced_by_an_older_one():
    save_pictures(Path("pictures"), ["b.png"], first=7)
    os.utime("pictures/b.png", (0, 0))
    assert run() == 1
    assert run("anew") == 3
    assert dataset("run") == dataset("anew")
