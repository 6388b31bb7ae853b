"""A dataset into another format: what is taken over, and what is told where it cannot be."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torture

from pipeline.convert import NAMELESS, convert, ontology_of
from pipeline.errors import BadDataset, CheckFailed, ConfigError
from pipeline.formats import Reading, coco
from pipeline.ontology import Category, Ontology


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """A COCO dataset that no format likes."""
    place = tmp_path_factory.mktemp("coco")
    coco.write(iter(torture.clips(tmp_path_factory.mktemp("pictures"))), torture.ontology(), place)
    return place


def small(folder, *, count=1, names=("dog",), shape="disc"):
    """A COCO dataset of so many pictures, `a.png` first."""
    pictures, place = folder / "pictures", folder / "coco"
    pictures.mkdir()
    place.mkdir()
    codes = [torture.masks.encode(torture.shapes()[shape])] * len(names)
    clips = [torture.picture(pictures, f"{'abc'[at]}.png", torture.found(codes, names), at) for at in range(count)]
    coco.write(iter(clips), Ontology(Category(name=name) for name in dict.fromkeys(names)), place)
    return place


def changed(place, change):
    data = json.loads((place / "annotations/instances_default.json").read_text())
    change(data)
    (place / "annotations/instances_default.json").write_text(json.dumps(data))


@pytest.mark.parametrize("to", ["coco", "youtube_vis", "sav", "sav_png", "imagefolder", "parquet"])
def test_there_and_back_it_is_the_same(dataset, tmp_path, to):
    """Formats that keep every pixel: COCO -> there -> COCO, pictures and all."""
    done = convert(dataset, tmp_path / "there", to)
    assert (done.was, done.problems) == ("coco", [])
    back = convert(tmp_path / "there", tmp_path / "back", "coco")
    assert (back.was, back.problems) == (to, [])
    assert objects(tmp_path / "back") == objects(dataset)
    assert pictures(tmp_path / "back") == pictures(dataset)


def objects(place):
    data = json.loads((place / "annotations/instances_default.json").read_text())
    names = {one["id"]: one["name"] for one in data["categories"]}
    files = {one["id"]: one["file_name"] for one in data["images"]}
    rows = [
        (files[one["image_id"]], names[one["category_id"]], one["segmentation"], one.get("score"))
        for one in data["annotations"]
    ]
    return list(names.values()), sorted(files.values()), rows


def pictures(place):
    return {path.relative_to(place): path.read_bytes() for path in (place / "images").rglob("*") if path.is_file()}


def test_what_outlines_lose_is_told(tmp_path):
    place = small(tmp_path, shape="thin ring")
    said = r"1 of 1 below 0.9, lowest IoU 0.\d+ \(.* in a.png\); .*/out.export_fidelity.json names every object"
    with pytest.raises(CheckFailed, match=said):
        convert(place, tmp_path / "out", "coco_polygon")
    told = json.loads((tmp_path / "out.export_fidelity.json").read_text())
    assert (told["ok"], len(told["poor"])) == (False, 1)
    assert not (tmp_path / "out").exists()


def spoilt(data, kind, **columns):
    data[kind][0] |= columns


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda d: spoilt(d, "images", width=127),
            "annotation 1: the mask's size is [96, 128], the picture's [96, 127]",
        ),
        (
            lambda d: spoilt(d, "images", file_name="gone.png"),
            "gone.png: the picture is not there; put it back, or take it out of the dataset",
        ),
        (lambda d: spoilt(d, "annotations", category_id=7), "annotation 1: category_id 7 is not among the categories"),
    ],
)
def test_what_cannot_be_taken_over_is_told(tmp_path, change, said):
    place = small(tmp_path, count=2)
    changed(place, change)
    done = convert(place, tmp_path / "out", "coco")
    assert any(said in str(problem) for problem in done.problems), done.problems
    assert done.exported.objects == 1
    assert (tmp_path / "out/manifest.json").exists()  # all else is there


def test_pictures_of_another_size_are_told(tmp_path):
    place = small(tmp_path, count=2)
    changed(place, lambda data: (spoilt(data, "images", height=95), data["annotations"].clear()))
    (problem,) = convert(place, tmp_path / "out", "coco").problems
    assert str(problem) == (
        "a.png: the dataset says 95 x 128 (h x w) pixels, the picture is upright 96 x 128;"
        " correct the size, or turn the picture"
    )


def test_where_nothing_can_be_taken_over_the_old_dataset_stays(tmp_path):
    place = small(tmp_path)
    convert(place, tmp_path / "out", "coco")
    before = pictures(tmp_path / "out")
    (place / "images").rename(place / "imgs")
    said = "nothing can be taken over: a.png: the picture is not there; put it back, or take it out of the dataset"
    with pytest.raises(BadDataset, match=re.escape(said)):
        convert(place, tmp_path / "out", "coco")
    assert pictures(tmp_path / "out") == before != {}


def test_a_cut_picture_is_told(tmp_path):
    place = small(tmp_path, count=2)
    (place / "images/a.png").write_bytes((place / "images/a.png").read_bytes()[:-30])
    done = convert(place, tmp_path / "out", "coco")
    assert str(done.problems[0]).startswith("a.png: the file is cut short or damaged")
    assert (done.exported.pictures, list(pictures(tmp_path / "out"))) == (1, [Path("images/b.png")])


def test_objects_without_a_mask_are_told_where_one_is_needed(tmp_path):
    place = small(tmp_path, count=2, names=("dog", "cat"))
    changed(place, lambda data: spoilt(data, "annotations", segmentation=None))
    done = convert(place, tmp_path / "out", "coco")
    assert [str(problem) for problem in done.problems] == [
        "a.png: 1 of 2 objects have a box and no mask; yolo_box takes boxes; detect.backend=boxes makes masks of them"
    ]
    assert done.exported.objects == 3
    done = convert(place, tmp_path / "boxes", "yolo_box")
    assert (done.problems, done.exported.objects) == ([], 4)


def test_crowds_are_left_out_where_they_would_be_objects(tmp_path):
    place = small(tmp_path, count=2, names=("dog", "cat"))
    changed(place, lambda data: spoilt(data, "annotations", iscrowd=1))
    done = convert(place, tmp_path / "out", "yolo_seg")
    assert (done.problems, done.exported.objects) == ([], 3)
    assert done.exported.unsaid == {"scores": 3, "crowds left out": 1}
    assert convert(place, tmp_path / "coco2", "coco").exported.objects == 4


@pytest.mark.parametrize(
    ("numbers", "where"), [((2017,), "images"), ((2017,), "val2017"), ((2017,), "images/val2017"), ((2017,), ".")]
)
def test_pictures_where_others_have_them(tmp_path, numbers, where):
    """COCO's own layout is `annotations/instances_val2017.json` beside `val2017`."""
    place = small(tmp_path)
    (place / "annotations/instances_default.json").rename(place / "annotations/instances_val2017.json")
    content = (place / "images/a.png").read_bytes()
    (place / "images/a.png").unlink()
    (place / where).mkdir(exist_ok=True, parents=True)
    (place / where / "a.png").write_bytes(content)
    assert convert(place, tmp_path / "out", "coco").problems == []


def test_a_file_named_from_where_it_lies(tmp_path, monkeypatch):
    place = small(tmp_path)
    monkeypatch.chdir(place / "annotations")
    assert convert(Path("instances_default.json"), tmp_path / "out", "coco").problems == []


@pytest.mark.parametrize("out", ["coco", "coco/new", "."])
def test_a_dataset_is_not_written_into_another(tmp_path, out):
    place = small(tmp_path)
    with pytest.raises(ConfigError, match="or the other way round; choose a place of its own"):
        convert(place, tmp_path / out, "coco")


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        ({1: "dog", 3: "cat"}, {"dog": 1, "cat": 3}),
        ({0: "dog", 1: "cat"}, {"dog": 1, "cat": 2}),
        ({-3: "dog", 1: "cat"}, {"dog": 1, "cat": 5}),
        ({4: "dog", 7: "dog"}, {"dog": 4}),
        ({1: "dog", 2: "dog "}, {"dog": 1, "dog ": 2}),
        ({1: ""}, {NAMELESS: 1}),
        ({}, {NAMELESS: 1}),
    ],
)
def test_classes_keep_their_numbers(names, numbers):
    assert ontology_of(Reading(names, iter([]))).numbers() == numbers


def test_objects_without_a_class_get_one(tmp_path):
    """SA-V knows no classes, and its files may come without ours beside them."""
    convert(small(tmp_path), tmp_path / "sav", "sav")
    (tmp_path / "sav/masklet.jsonl").unlink()
    convert(tmp_path / "sav", tmp_path / "back", "coco")
    assert objects(tmp_path / "back")[0] == [NAMELESS]


def test_a_fault_of_the_writer_is_found(tmp_path, monkeypatch):
    place = small(tmp_path, names=("dog", "cat"))
    write = coco.COCO.write

    def loses_a_row(clips, *where, **how):
        return write((replace(one, found=(one.found[0].take([0]),)) for one in clips), *where, **how)

    monkeypatch.setattr(coco, "COCO", replace(coco.COCO, write=loses_a_row))
    with pytest.raises(CheckFailed, match=re.escape("1 lost (first: ")):
        convert(place, tmp_path / "out", "coco")
    assert not (tmp_path / "out").exists()
