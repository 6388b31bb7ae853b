"""Datasets from the command line: validate and convert, what they say and how they end."""

import json
import signal
from pathlib import Path

import pytest
from driving import here
from test_convert import changed, small, spoilt


@pytest.fixture
def dataset():
    """A sound COCO dataset: `coco`."""
    return small(Path.cwd(), names=("dog", "cat"))


def with_another(dataset):
    """A second picture, that is sound."""
    data = json.loads((dataset / "annotations/instances_default.json").read_text())
    data["images"].append(data["images"][0] | {"id": 2, "file_name": "b.png"})
    (dataset / "annotations/instances_default.json").write_text(json.dumps(data))
    (dataset / "images/b.png").write_bytes((dataset / "images/a.png").read_bytes())


def test_a_sound_dataset(dataset):
    said = here("validate", "coco")
    assert (said.returncode, said.stderr) == (0, "")
    assert [line.split() for line in said.stdout.splitlines()] == [
        ["coco"],
        ["format", "coco"],
        ["pictures", "1"],
        ["objects", "2"],
        ["classes", "1", "cat,", "1", "dog"],
        ["problems", "0"],
    ]


def test_an_unsound_dataset_ends_in_5(dataset):
    changed(dataset, lambda data: spoilt(data, "annotations", bbox=[500, 0, 1, 1]))
    said = here("validate", "coco")
    assert (said.returncode, said.stderr) == (5, "masklet: coco: 2 problems\n")
    assert said.stdout.splitlines()[-2:] == [
        (
            "instances_default.json: annotation 1: bbox [500, 0, 1, 1] has no area inside the picture;"
            " correct it, or remove the annotation"
        ),
        "class 'dog': has no object; label some, or take the class out",
    ]


def test_many_problems_are_counted(dataset):
    changed(dataset, lambda d: d["annotations"].extend({"id": number, "image_id": 9} for number in range(9, 99)))
    said = here("validate", "coco")
    assert said.stdout.splitlines()[-1] == "and 70 more; --json lists all"
    assert len(json.loads(here("validate", "coco", "--json").stdout)["problems"]) == 90


def test_converted(dataset):
    said = here("convert", "coco", "out", "--to", "coco_polygon")
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.splitlines() == [
        "coco -> out",
        "pictures   1",
        "objects    2",
        "read back  2 objects, IoU 1 for every one",
    ]
    assert here("validate", "out").returncode == 0
    assert json.loads(Path("out.export_fidelity.json").read_text())["ok"]


def test_what_is_left_out_is_told_and_ends_in_5(dataset):
    with_another(dataset)
    (dataset / "images/a.png").unlink()
    said = here("convert", "coco", "out", "--to", "coco")
    assert said.returncode == 5
    assert said.stderr.splitlines() == [
        "masklet: left out: a.png: the picture is not there; put it back, or take it out of the dataset",
        "masklet: coco: 1 thing could not be taken over; all else is in out",
    ]
    assert json.loads(here("convert", "coco", "out", "--to", "coco", "--json").stdout)["problems"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["validate", "nothing"], 2, "Path 'nothing' does not exist"),
        (["validate", "."], 2, "masklet: .: no dataset of a format that masklet knows; say which with --from (coco,"),
        (["validate", "coco", "--from", "cocoa"], 2, "masklet: no format 'cocoa'; did you mean coco?"),
        (
            ["validate", "coco", "--from", "youtube_vis"],
            2,
            "no annotation file; a YouTube-VIS dataset has annotations.json",
        ),
        (["convert", "coco", "out", "--to", "papyrus"], 2, "masklet: no format 'papyrus'"),
        (["convert", "coco", "coco/x", "--to", "coco"], 2, "coco/x: lies in coco, or the other way round"),
        (["convert", "coco", "pictures", "--to", "coco"], 2, "pictures: is there and was not published by masklet"),
        (["convert", "coco", "out"], 2, "Missing option '--to'"),
    ],
)
def test_bad_input_is_one_line(dataset, words, code, said):
    ended = here(*words)
    assert (ended.returncode, ended.stdout) == (code, "")
    assert said in ended.stderr
    assert len(ended.stderr.splitlines()) == 1 or "Usage" in ended.stderr


def test_a_second_time_it_is_replaced(dataset):
    assert [here("convert", "coco", "out", "--to", "coco").returncode for _ in range(2)] == [0, 0]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_midway_nothing_is_left(request, dataset, monkeypatch, number, code):
    from pipeline import media

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background has it ignored
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    with monkeypatch.context() as patch:
        patch.setattr(media, "export", lambda *_: signal.raise_signal(number))
        said = here("convert", "coco", "out", "--to", "coco")
    assert (said.returncode, said.stdout, said.stderr.count("\n")) == (code, "", 1)
    assert sorted(path.name for path in Path.cwd().iterdir()) == ["coco", "pictures"]


def test_a_second_dataset_takes_the_place_of_the_first_here(dataset, monkeypatch):
    place = Path("elsewhere")
    place.mkdir()
    monkeypatch.chdir(place)
    assert here("convert", "../coco", ".", "--to", "coco").returncode == 0
