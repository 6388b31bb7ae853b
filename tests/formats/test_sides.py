"""Split datasets: every format puts a picture on its side, and gives it back, whatever it is called."""

import json
from dataclasses import replace
from pathlib import Path

import filming
import pytest
import torture

from pipeline.errors import BadDataset
from pipeline.formats import FORMATS, coco, fidelity, format_of, sides, yolo
from pipeline.formats.sniff import format_at
from pipeline.ontology import Category, Ontology

TURNS = ("train", "val", "train", "test")
TRAPS = ("train/a.png", "val/val/a.png", "val/a.png", "images/train/a.png", "z.png")
"""Names that look like sides."""


@pytest.fixture(scope="module")
def meant(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    clips = torture.clips(folder)
    clips += [replace(clips[at], name=name) for at, name in enumerate(TRAPS)]
    clips = sorted(clips, key=lambda clip: clip.name)
    return [replace(clip, side=TURNS[at % 4]) for at, clip in enumerate(clips)]


@pytest.fixture(scope="module", params=sorted(FORMATS))
def written(request, meant, tmp_path_factory):
    format_, place = format_of(request.param), tmp_path_factory.mktemp(request.param)
    format_.write(iter(meant), torture.ontology(), place)
    return format_, place


def test_every_format_gives_sides_back(written, meant):
    format_, place = written
    check = fidelity.compare(meant, format_.read(place), format_.masks, format_.stems)
    assert (check.lost, check.extra, check.wrong_class, check.wrong_side, check.problems) == ((), (), (), (), ())
    assert check.pictures == len(meant)
    read = [(clip.name, clip.side) for clip in format_.read(place).clips]
    assert read == sorted(read) or format_.films  # SA-V has the order of its ids


def test_pixels_are_found_where_they_are_said_to_be(written, meant, tmp_path):
    from pipeline.formats.naming import named
    from pipeline.media import clip_id

    format_, place = written
    contents = {name: clip.id for name, clip in named(meant, format_.stems)}
    for clip in format_.read_with_pictures(place, tmp_path).clips:
        assert clip_id(Path(clip.path).read_bytes()) == contents[clip.name]


def test_a_split_dataset_tells_what_it_is(written):
    format_, place = written
    assert format_of(format_at(place)).read == format_.read


@pytest.mark.parametrize("only", sides.SIDES)
def test_all_on_one_side_is_a_dataset_too(only, meant, tmp_path):
    for name in FORMATS:
        format_, place = format_of(name), tmp_path / name
        place.mkdir()
        clips = [replace(clip, side=only) for clip in meant[:3]]
        format_.write(iter(clips), torture.ontology(), place)
        check = fidelity.compare(clips, format_.read(place), format_.masks, format_.stems)
        assert (check.lost, check.extra, check.wrong_side, check.problems) == ((), (), (), ()), name


@pytest.mark.parametrize("name", [name for name in sorted(FORMATS) if format_of(name).films])
def test_films_have_sides(name, tmp_path):
    (tmp_path / name).mkdir()
    ontology = Ontology(Category(name=word) for word in ("dog", "cat"))
    path = filming.film_file(tmp_path / "a.mkv", [filming.drawn(number) for number in range(6)])
    folder = filming.frames_folder(tmp_path / "b", [filming.drawn(number, shade=9) for number in range(6)])
    clips = [filming.clip(path, "a.mkv", range(6)), filming.clip(folder, "b", range(6))]
    clips = [replace(clip, side=side) for clip, side in zip(clips, ("val", "train"), strict=True)]
    format_ = format_of(name)
    format_.write(iter(clips), ontology, tmp_path / name)
    check = fidelity.compare(clips, format_.read(tmp_path / name), format_.masks, format_.stems)
    assert (check.ok, check.wrong_side) == (True, ()), check


LAYOUT = {  # format -> what a trainer looks for
    "coco": ("annotations/instances_train.json", "annotations/instances_val.json", "images/val/a.png"),
    "coco_results": ("results_test.json", "annotations/instances_test.json"),
    "yolo_seg": ("images/val/a.png", "labels/val/a.txt", "data.yaml"),
    "imagefolder": ("train/metadata.jsonl", "validation/metadata.jsonl", "validation/a.png", "test/metadata.jsonl"),
    "parquet": ("data/train-00000-of-00001.parquet", "data/validation-00000-of-00001.parquet"),
    "sav": ("train.txt", "val.txt", "test.txt", "a_auto.json"),
    "sav_png": ("train.txt", "val.txt", "test.txt", "Annotations_6fps/a/000/00000.png"),
    "youtube_vis": ("train/annotations.json", "val/annotations.json", "val/images/a.png"),
}


@pytest.mark.parametrize("name", LAYOUT)
def test_a_side_is_where_trainers_look(name, meant, tmp_path):
    by_name = {clip.name: clip for clip in meant}
    sided = (("A.png", "train"), ("a.png", "val"), ("z.png", "test"))
    clips = [replace(by_name[own], side=side) for own, side in sided]
    format_of(name).write(iter(clips), torture.ontology(), tmp_path)
    assert [path for path in LAYOUT[name] if not (tmp_path / path).is_file()] == []


def test_coco_numbers_are_ranks_over_all_sides(meant, tmp_path):
    for place, clips in (("whole", [replace(clip, side="") for clip in meant]), ("split", meant)):
        (tmp_path / place).mkdir()
        coco.write(iter(clips), torture.ontology(), tmp_path / place)
    whole = json.loads((tmp_path / "whole/annotations/instances_default.json").read_text())
    parts = [json.loads(path.read_text()) for path in sorted((tmp_path / "split/annotations").iterdir())]
    for key in ("images", "annotations"):
        assert sorted((one for part in parts for one in part[key]), key=lambda one: one["id"]) == whole[key]
    assert all(part["categories"] == whole["categories"] for part in parts)
    for part in parts:
        assert {one["image_id"] for one in part["annotations"]} <= {one["id"] for one in part["images"]}


@pytest.mark.parametrize("name", ["imagefolder", "parquet"])
def test_datasets_has_the_splits(name, meant, tmp_path):
    from datasets import load_dataset

    (tmp_path / name).mkdir()
    clips = [clip for clip in meant if clip.name in ("A.png", *TRAPS)]
    format_of(name).write(iter(clips), torture.ontology(), tmp_path / name)
    loaded = load_dataset(str(tmp_path / name), cache_dir=str(tmp_path / "cache"))
    said = {sides.WORDS[split]: len(rows) for split, rows in loaded.items()}
    assert said == {side: sum(clip.side == side for clip in clips) for side in sides.SIDES}


def test_val_without_pictures_is_train_for_ultralytics(meant, tmp_path):
    clips = [replace(clip, side=("train", "test")[at % 2]) for at, clip in enumerate(meant[:6])]
    yolo.YOLO_SEG.write(iter(clips), torture.ontology(), tmp_path)
    assert (tmp_path / "data.yaml").read_text().splitlines()[:6] == [
        "# Made by masklet.",
        "# No picture is on the side val: those of train stand in for it.",
        "train: images/train",
        "val: images/train",
        "test: images/test",
        "names:",
    ]
    check = fidelity.compare(clips, yolo.read(tmp_path), yolo.YOLO_SEG.masks, stems=True)
    assert (check.ok, check.wrong_side) == (True, ())


def test_a_picture_on_another_side_is_told(meant, tmp_path):
    coco.write(iter(meant), torture.ontology(), tmp_path)
    moved = [replace(clip, side="val" if clip.name == "A.png" else clip.side) for clip in meant]
    assert moved != meant
    check = fidelity.compare(moved, coco.read(tmp_path))
    assert (check.ok, check.wrong_side, check.lost) == (False, ("A.png",), ())
    assert str(check) == "1 on another side (first: A.png)"


def test_sides_with_other_classes_are_no_dataset(meant, tmp_path):
    coco.write(iter(meant), torture.ontology(), tmp_path)
    path = tmp_path / "annotations/instances_val.json"
    path.write_text(path.read_text().replace('"name": "dog"', '"name": "wolf"'))
    with pytest.raises(BadDataset, match=r"instances_val.json: has other categories than instances_train.json; name "):
        coco.read(tmp_path)
    assert sum(clip.side == "" for clip in coco.read(path).clips) == sum(clip.side == "val" for clip in meant)


def test_names_that_two_sides_have(meant, tmp_path):
    """Datasets of others: the second to be read is named by its side, too."""
    (one,) = [clip for clip in meant if clip.name == "a.png"]
    whole = tmp_path / "whole"
    (whole / "annotations").mkdir(parents=True)
    for side in ("train", "val"):
        (tmp_path / side).mkdir()
        coco.write([replace(one, side=side)], torture.ontology(), tmp_path / side)
        name = f"annotations/instances_{side}.json"
        (tmp_path / side / name).rename(whole / name)
    assert [(clip.name, clip.side) for clip in coco.read(whole).clips] == [("a.png", "train"), ("val/a.png", "val")]
