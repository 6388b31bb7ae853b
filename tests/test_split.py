"""Splits: a group is on one side, for ever; how classes came out is told."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from filming import drawn, film_file
from PIL import Image
from pydantic import ValidationError

from pipeline import choose, engine, plan, split
from pipeline.config import Run, from_document
from pipeline.records import FILM, Clip, Frame
from pipeline.report import sides as report
from pipeline.sources import Source
from pipeline.split import Rules, group_of, share_of, side_of, uneven
from pipeline.store import Store
from pipeline.yamls import Document

HALVES = Rules(val=0.3, test=0.2)


def picture(name, id_="c1"):
    return Clip(id_, name, "", (Frame(0, 0.0, (4, 6)),))


@pytest.mark.parametrize(
    ("pattern", "name", "group"),
    [
        ("", "a/b.png", "content c1"),
        ("^([^/]+)/", "a/b.png", "name a"),  # the first parentheses
        ("^[^/]+/", "a/b.png", "name a/"),  # all of it, where there are none
        ("^([^/]+)/", "b.png", "content c1"),  # not found
        (r"cam(\d+)?", "a/cam.png", "name cam"),  # parentheses that found nothing
        (r"cam(\d+)?", "a/cam7.png", "name 7"),
    ],
)
def test_what_stays_together(pattern, name, group):
    assert group_of(picture(name), pattern) == group


def test_a_name_is_no_content():
    assert group_of(picture("c1/x"), "^([^/]+)") != group_of(picture("x"), "")


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ({}, {}),
        ({"train": 1}, {}),
        ({"val": 0.2}, {"train": 0.8, "val": 0.2}),
        ({"test": 0.1}, {"train": 0.9, "test": 0.1}),
        ({"train": 0.8, "val": 0.1, "test": 0.1}, {"train": 0.8, "val": 0.1, "test": 0.1}),
    ],
)
def test_what_is_asked_for(given, asked):
    assert Rules(**given).asked == pytest.approx(asked)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"train": 0.8, "val": 0.1}, "train, val and test are 0.9; make it 1"),
        ({"val": 0.6, "test": 0.4}, "val and test are 1, which leaves nothing to train on"),
        ({"val": 0.9, "test": 0.4}, "val and test are 1.3, which leaves nothing to train on"),
        ({"val": -0.1}, "greater than or equal to 0"),
        ({"group": "("}, r"'\(' is no pattern"),
        ({"valid": 0.1}, "Extra inputs are not permitted"),
    ],
)
def test_what_cannot_be_asked_for(given, said):
    with pytest.raises(ValidationError, match=said):
        Rules(**given)


def sides(rules, count=4000):
    return [side_of(picture("x", f"{number:032x}"), rules) for number in range(count)]


def test_without_a_split_there_are_no_sides():
    assert set(sides(Rules())) == set(sides(Rules(train=1, group="x"))) == {""}


@pytest.mark.parametrize("rules", [HALVES, Rules(val=0.05), Rules(test=0.5), Rules(train=0.8, val=0.1, test=0.1)])
def test_sides_are_as_large_as_asked_for(rules):
    counts = Counter(sides(rules))
    assert counts.keys() == rules.asked.keys()
    assert all(abs(counts[side] / 4000 - share) < 0.02 for side, share in rules.asked.items())


def test_a_larger_share_takes_from_train_alone():
    before, after = sides(HALVES), sides(Rules(val=0.4, test=0.2))
    moved = {(one, other) for one, other in zip(before, after, strict=True) if one != other}
    assert moved == {("train", "val")}


def test_another_salt_is_another_split():
    assert sides(HALVES, 100) != sides(Rules(val=0.3, test=0.2, salt="2"), 100)
    assert share_of("content 1") == pytest.approx(0.403, abs=0.001)  # for ever


# Runs: more data, and near duplicates


def save(name, value):
    path = Path("photos", name)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((24, 32, 3), value, np.uint8)).save(path)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()


def config(**sections):
    base = {"source": {"path": "photos"}, "ontology": {"dog": ["a dog"], "cat": ["a cat"]}}
    models = {"detect": {"backend": "fake"}, "segment": {"backend": "fake"}}
    return from_document(Document("test", base | models | sections))


def dataset(place="out/dataset/coco"):
    """Side -> names of the pictures in it."""
    found = {}
    for path in sorted(Path(place, "annotations").iterdir()):
        names = {image["file_name"] for image in json.loads(path.read_text())["images"]}
        found[path.stem.removeprefix("instances_")] = names
    return found


def side_by_name(found):
    return {name: side for side, names in found.items() for name in names}


def test_more_data_moves_no_picture():
    asked = config(split={"val": 0.3, "test": 0.2})
    for value in range(50):
        save(f"{value:03}.png", value)
    engine.run(asked, Path("out"))
    before = side_by_name(dataset())
    assert set(before.values()) == {"train", "val", "test"}
    for value in range(50, 60):
        save(f"0 new {value}.png", value)  # before the others
    summary = engine.run(asked, Path("out"))
    after = side_by_name(dataset())
    assert len(after) == 60
    assert {name: after[name] for name in before} == before
    told = summary.datasets["coco"]["sides"]
    assert {side: one["pictures"] for side, one in told.items()} == Counter(after.values())
    assert {side: one["asked"] for side, one in told.items()} == {"train": 0.5, "val": 0.3, "test": 0.2}


def test_a_renamed_picture_stays_and_no_split_is_as_it_was():
    for value in range(8):
        save(f"{value}.png", value)
    engine.run(config(split={"val": 0.5}), Path("out"))
    before = side_by_name(dataset())
    Path("photos/3.png").rename("photos/other.png")
    engine.run(config(split={"val": 0.5}), Path("out"))
    assert side_by_name(dataset())["other.png"] == before["3.png"]
    engine.run(config(), Path("out"))
    assert list(dataset()) == ["default"]


def test_no_group_is_on_two_sides():
    for camera in range(12):
        for value in range(3):
            save(f"cam{camera}/{value}.png", camera * 3 + value)
    engine.run(config(split={"val": 0.4, "group": "^(cam[0-9]+)/"}), Path("out"))
    by_camera = {}
    for name, side in side_by_name(dataset()).items():
        by_camera.setdefault(name.split("/")[0], set()).add(side)
    assert len(by_camera) == 12
    assert {len(one) for one in by_camera.values()} == {1}
    assert {side for one in by_camera.values() for side in one} == {"train", "val"}


def test_a_film_is_on_one_side_frame_by_frame():
    for number in range(6):
        film_file(Path(f"photos/f{number}.mkv"), [drawn(frame, shade=number) for frame in range(6)])
    asked = config(track={"backend": "iou"}, split={"val": 0.5}, export={"formats": ["coco", "sav", "youtube_vis"]})
    engine.run(asked, Path("out"))
    frames = side_by_name(dataset())
    by_film = {name.split("/")[0]: side for name, side in frames.items()}
    assert len(frames) == 36
    assert all(by_film[name.split("/")[0]] == side for name, side in frames.items())
    assert set(by_film.values()) == {"train", "val"}
    for side in ("train", "val"):
        ids = Path("out/dataset/sav", f"{side}.txt").read_text().split()
        listed = json.loads(Path("out/dataset/youtube_vis", side, "annotations.json").read_text())["videos"]
        assert sorted(ids) == sorted(Path(video["name"]).stem for video in listed)
        assert {by_film[name] for name in ids} == {side}


HASHES = {20: 0b000000, 40: 0b111111, 30: 0b111, 10: 0xFF << 30, 50: 0xFF << 50}
"""Brightness -> hash: of 20 and 40, which differ by 6 bits, 30 differs by 3 each."""


@pytest.mark.parametrize("number", range(8))
def test_a_new_picture_that_resembles_two_on_different_sides_moves_none(number, monkeypatch):
    """It is left out, or, if its id comes first, the two are; whatever stays is on the side it was on."""
    monkeypatch.setattr(choose, "hash_of", lambda rgb: HASHES[int(rgb[0, 0, 0])])
    salt = next(text for text in map(str, range(99)) if len(old_sides(text)) == 2)
    before = surveyed(salt)
    assert before["20.png"] != before["40.png"]
    rgb = np.full((24, 32, 3), 30, np.uint8)
    rgb[5, 5] = number  # other content, and so another id
    Image.fromarray(rgb).save("photos/new.png")
    after = surveyed(salt)
    assert ({"20.png", "40.png"} <= after.keys()) != ("new.png" in after)
    assert all(after[name] == side for name, side in before.items() if name in after)
    assert after.keys() >= {"10.png", "50.png"}


def old_sides(salt):
    for value in (10, 20, 40, 50):
        save(f"{value}.png", value)
    there = surveyed(salt)
    return {there["20.png"], there["40.png"]}


def surveyed(salt):
    """Name -> side of what is kept."""
    asked = SimpleNamespace(source=Source(path="photos"), choose=choose.Rules(near=4), track=None, run=Run())
    clips = plan.survey(asked, Store(None)).clips
    return {clip.name: side_of(clip, Rules(val=0.5, salt=salt)) for clip in clips}


def test_both_ways_happen_above(monkeypatch):
    monkeypatch.setattr(choose, "hash_of", lambda rgb: HASHES[int(rgb[0, 0, 0])])
    for value in (10, 20, 40, 50):
        save(f"{value}.png", value)
    stayed = set()
    for number in range(8):
        rgb = np.full((24, 32, 3), 30, np.uint8)
        rgb[5, 5] = number
        Image.fromarray(rgb).save("photos/new.png")
        stayed.add("new.png" in surveyed(""))
    assert stayed == {True, False}


# What is told


TOLD = {
    "train": {"asked": 0.8, "pictures": 80, "by_class": {"dog": 80, "cat": 9}},
    "val": {"asked": 0.2, "pictures": 20, "by_class": {"dog": 20, "cat": 1, "owl": 2}},
}


def test_shares_of_each_class():
    assert split.shares(TOLD) == {
        "cat": {"train": 0.9, "val": 0.1},
        "dog": {"train": 0.8, "val": 0.2},
        "owl": {"train": 0.0, "val": 1.0},
    }


def test_what_is_far_from_what_was_asked_for_is_named():
    assert uneven(TOLD) == [
        "train has 9 of 10 'cat': 90%, 80% were asked for",
        "val has 1 of 10 'cat': 10%, 20% were asked for",
        "train has 0 of 2 'owl': 0%, 80% were asked for",
        "val has 2 of 2 'owl': 100%, 20% were asked for",
    ]


@pytest.mark.parametrize(
    ("dogs", "named"),
    [((85, 15), False), ((86, 14), True), ((75, 25), False), ((74, 26), True)],  # more than 5 points
)
def test_five_points(dogs, named):
    counts = {side: TOLD[side] | {"by_class": {"dog": count}} for side, count in zip(TOLD, dogs, strict=True)}
    assert bool(uneven(counts)) is named


def test_a_side_without_pictures_is_named():
    told = split.told({"train": 0.9, "val": 0.1}, {"train": {"pictures": 3, "by_class": {"dog": 3}}})
    assert told["val"] == {"asked": 0.1, "pictures": 0, "by_class": {}}
    assert uneven(told) == [
        "val has no picture: there are too few",
        "train has 3 of 3 'dog': 100%, 90% were asked for",
        "val has 0 of 3 'dog': 0%, 10% were asked for",
    ]


def test_a_run_shows_the_first_of_them():
    assert report.rows({"sides": {}}) == report.rows({}) == []
    rows = report.rows({"sides": TOLD}, most=1)
    assert rows[0] == ("sides", "80 train, 20 val")
    assert rows[1:] == [("", "train has 9 of 10 'cat': 90%, 80% were asked for"), ("", "and 3 more; `masklet status`")]


def test_status_shows_the_table():
    assert report.shares({"sides": TOLD}) == (
        [
            ("asked for", "", "80%", "20%"),
            ("pictures", "100", "80%", "20%"),
            ("cat", "10", "90%", "10%"),
            ("dog", "100", "80%", "20%"),
            ("owl", "2", "0%", "100%"),
        ],
        ("", "all", "train", "val"),
    )


def test_datasets_of_which_the_same_is_said_are_named_together():
    datasets = {"coco": {"sides": TOLD}, "sav": {"sides": {}}, "yolo_seg": {"sides": TOLD}}
    assert [names for names, _ in report.alike(datasets)] == [["coco", "yolo_seg"], ["sav"]]


def test_a_film_is_its_own_group():
    film = Clip("f1", "a.mp4", "", (Frame(0, 0.0, (4, 6)),), FILM)
    assert group_of(film, "") == "content f1" == group_of(replace(film, name="b.mp4"), "")
