"""What training would trip over in a dataset."""

import json

import pytest
import torture
from test_convert import changed, small, spoilt

from pipeline.formats import coco
from pipeline.validate import validate


def test_a_dataset_of_ours_is_sound(tmp_path):
    said = validate(small(tmp_path, names=("dog", "cat")))
    assert (said.format, said.pictures, said.objects, said.by_class) == ("coco", 1, 2, {"cat": 1, "dog": 1})
    assert said.problems == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: spoilt(d, "annotations", category_id=7), "annotation 1: category_id 7 is not among the categories"),
        (lambda d: spoilt(d, "annotations", id=2), "annotation 2: another one has the same id; give every one its own"),
        (
            lambda d: spoilt(d, "annotations", bbox=[200, 0, 5, 5]),
            "annotation 1: bbox [200, 0, 5, 5] has no area inside",
        ),
        (lambda d: spoilt(d, "annotations", segmentation=[[1, 1, 2, 2]]), "annotation 1: a polygon has 4 numbers"),
        (lambda d: spoilt(d, "images", file_name="gone.png"), "gone.png: the picture is not there; put it back"),
        (lambda d: spoilt(d, "images", width=64), "a.png: the dataset says 96 x 64 (h x w) pixels, the picture is"),
        (lambda d: spoilt(d, "images", file_name="../a.png"), "file name '../a.png' leads out of the dataset"),
        (lambda d: d["categories"].append({"id": 9, "name": "emu"}), "class 'emu': has no object; label some"),
        (lambda d: spoilt(d, "categories", name=""), "category 1: name is ''; make it a text"),
    ],
)
def test_what_is_wrong_is_told(tmp_path, change, said):
    place = small(tmp_path, names=("dog", "cat"))
    changed(place, change)
    assert any(said in str(problem) for problem in validate(place).problems)


def test_a_damaged_picture_is_told(tmp_path):
    place = small(tmp_path)
    (place / "images/a.png").write_bytes(b"<html>")
    (problem,) = validate(place).problems  # the class may well have objects there
    assert str(problem).startswith("a.png: not a picture in a format that masklet reads")


def test_what_no_format_likes_is_sound_all_the_same(tmp_path):
    pictures, place = tmp_path / "pictures", tmp_path / "coco"
    pictures.mkdir()
    place.mkdir()
    coco.write(iter(torture.clips(pictures)), torture.ontology(), place)
    assert validate(place).problems == []


def test_it_is_plain_values(tmp_path):
    place = small(tmp_path)
    changed(place, lambda data: data["categories"].append({"id": 9, "name": "emu"}))
    told = json.loads(json.dumps(validate(place).to_json()))
    assert told["problems"] == [
        {"where": "class 'emu'", "what": "has no object", "mend": "label some, or take the class out"}
    ]
