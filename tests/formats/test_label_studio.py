"""Label Studio: its brush, its tasks, and what of other people's exports is read."""

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import torture
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline import masks
from pipeline.errors import BadDataset, BadRecord
from pipeline.formats import brush, format_of, label_studio
from pipeline.ontology import Category, Ontology

LABEL_STUDIO = format_of("label_studio")
SIZE_HW = (4, 5)


@given(arrays(np.bool_, st.tuples(st.integers(1, 20), st.integers(1, 20))))
def test_a_mask_comes_back(mask):
    code = masks.encode(mask)
    assert brush.decode(brush.encode(code, mask.shape), mask.shape) == code


@pytest.mark.parametrize("side", [1, 63, 64, 65, 300])
def test_runs_of_every_length(side):
    """Packets end at 8, 16, 256 and 65536 values; a pixel is four values."""
    for shade in (False, True):
        mask = np.full((side, side), shade)
        mask[side // 2, side // 3 :] = not shade
        code = masks.encode(mask)
        assert brush.decode(brush.encode(code, mask.shape), mask.shape) == code


def packed(*numbers_and_bits):
    """Numbers with their width as Label Studio's list, after the usual head of 4 x 5 pixels."""
    head = [(80, 32), (7, 5), (2, 4), (3, 4), (7, 4), (15, 4)]
    bits = "".join(f"{number:0{width}b}" for number, width in (*head, *numbers_and_bits))
    bits += "0" * (-len(bits) % 8)
    return [int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)]


def series(length, value):
    return [(1, 1), (2, 2), (length - 1, 8), (value, 8)]


def each(*values):
    return [(0, 1), (0, 2), (len(values) - 1, 3), *((value, 8) for value in values)]


@pytest.mark.parametrize(
    ("rle", "area"),
    [
        (packed(*series(80, 0)), 0),
        (packed(*series(80, 255)), 20),
        (packed(*series(76, 0), *each(0, 0, 0, 255)), 1),  # values one by one; only alpha counts
        (packed(*series(76, 0), *each(9, 9, 9, 0)), 0),
        (packed(*series(76, 0), *series(4, 1)), 1),  # the SDK's mask2rle writes masks of 0 and 1
    ],
)
def test_what_others_write(rle, area):
    assert masks.area(brush.decode(rle, SIZE_HW)) == area


@pytest.mark.parametrize(
    ("rle", "said"),
    [
        (None, "no list of numbers"),
        ("AAA", "no list of numbers"),
        ([0, 256], "no list of numbers"),
        ([0, 1.0], "no list of numbers"),
        ([], "no head"),
        ([0] * 9, "no head"),
        (packed(), "ends before"),
        (packed(*series(79, 0)), "ends before"),
        (packed(*series(81, 0)), "goes on behind"),
        ([0, 0, 0, 81, *packed(*series(80, 0))[4:]], "of 81 values, the picture has 80"),
        ([255, 255, 255, 255, *packed(*series(80, 0))[4:]], "of 4294967295 values"),
    ],
)
def test_what_is_no_brush(rle, said):
    with pytest.raises(BadRecord, match=said):
        brush.decode(rle, SIZE_HW)


@pytest.fixture
def written(tmp_path):
    """A film's frame of two classes with identities, on the side val."""
    (tmp_path / "pictures").mkdir()
    found = torture.found([masks.encode(mask) for mask in list(torture.shapes().values())[:2]], ["dog", "<b>&\"'"])
    clip = torture.picture(tmp_path / "pictures", "a b.png", replace(found, track_ids=np.array([3, 7])))
    ontology = Ontology([Category(name="<b>&\"'", color="#ff8800"), Category(name="dog")])
    (tmp_path / "out").mkdir()
    LABEL_STUDIO.write([replace(clip, side="val")], ontology, tmp_path / "out")
    return tmp_path / "out", clip


def test_what_a_task_says(written):
    place, clip = written
    (task,) = json.loads((place / "tasks.json").read_bytes())
    (prediction,) = task["predictions"]
    first = prediction["result"][0]
    assert task["data"] == {
        "image": "/data/local-files/?d=images/val/a%20b.png",
        "name": "a b.png",
        "clip": clip.id,
        "side": "val",
    }
    assert (prediction["model_version"], prediction["score"]) == ("masklet", 0.5)
    assert first["meta"] == {"uid": f"{clip.id}/dog/0", "track_id": 3}
    assert (first["original_width"], first["original_height"]) == torture.SIZE_HW[::-1]
    assert first["value"]["brushlabels"] == ["dog"]


def test_the_labelling_interface_is_xml_that_says_the_classes(written):
    labels = ET.parse(written[0] / "labels.xml").getroot().iter("Label")
    assert [label.attrib for label in labels] == [
        {"value": "<b>&\"'", "background": "#ff8800"},
        {"value": "dog"},
    ]


def test_identities_and_the_side_come_back(written):
    place, clip = written
    (read,) = LABEL_STUDIO.read(place).clips
    assert (read.id, read.name, read.side, read.found[0].track_ids.tolist()) == (clip.id, "a b.png", "val", [3, 7])
    assert Path(read.path).is_file()


def test_a_name_that_xml_has_not():
    with pytest.raises(BadRecord, match="a character that XML has not"):
        label_studio.labelling_interface(Ontology([Category(name="a\x01b")]))


BRUSH = {"format": "rle", "rle": brush.encode(masks.encode(np.eye(4, 5, dtype=bool)), SIZE_HW), "brushlabels": ["dog"]}


def region(type_="brushlabels", value=None, **more):
    value = BRUSH if value is None else value
    return {"id": "r", "type": type_, "original_height": 4, "original_width": 5, "value": value} | more


def task(*regions, annotations=None, **data):
    data = data or {"image": "/data/upload/1/0123abcd-cat.jpg"}
    return {"data": data, "annotations": [{"result": list(regions)}] if annotations is None else annotations}


def read(tmp_path, *tasks):
    (tmp_path / "tasks.json").write_text(json.dumps(tasks))
    reading = LABEL_STUDIO.read(tmp_path)
    return list(reading.clips), list(map(str, reading.problems)), reading.names


@pytest.mark.parametrize(
    ("one", "area", "box"),
    [
        (region(), 4, [0, 0, 4, 4]),
        (region("polygonlabels", {"points": [[0, 0], [40, 0], [40, 50], [0, 50]], "polygonlabels": ["dog"]}), 4, None),
        (
            region("rectanglelabels", {"x": 20, "y": 0, "width": 40, "height": 50, "rectanglelabels": ["dog"]}),
            None,
            [1, 0, 3, 2],
        ),
    ],
)
def test_the_shapes_of_others(tmp_path, one, area, box):
    (clip,), problems, names = read(tmp_path, task(one))
    (found,) = clip.found
    assert (problems, names, clip.name, found.names) == ([], {1: "dog"}, "cat.jpg", ("dog",))
    assert (masks.area(found.masks[0]) if found.masks else None) == area
    assert box is None or found.boxes_xyxy[0].tolist() == box


def test_the_newest_annotation_counts_and_no_skipped_one(tmp_path):
    other = region(value=BRUSH | {"brushlabels": ["cat"]})
    annotations = [{"result": [region()]}, {"result": [other]}, {"result": [], "was_cancelled": True}]
    predicted = {"data": {"image": "b.jpg"}, "annotations": [], "predictions": [{"result": [region()]}]}
    (first, second), problems, _ = read(tmp_path, task(annotations=annotations), predicted)
    assert (first.found[0].names, second.found[0].names, problems) == (("cat",), ("dog",), [])


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ({"image": "/data/local-files/?d=photos/images/day%201/a.jpg"}, "day 1/a.jpg"),
        ({"image": "/data/local-files/?d=photos/a.jpg"}, "a.jpg"),
        ({"image": "s3://bucket/x/b.jpg"}, "b.jpg"),
        ({"photo": "https://host/c%20d.jpg?token=1"}, "c d.jpg"),
        ({"image": "x.jpg", "name": "day 1/y.jpg"}, "day 1/y.jpg"),
    ],
)
def test_what_a_picture_is_called(tmp_path, data, name):
    (clip,), problems, _ = read(tmp_path, task(region(), **data))
    assert (clip.name, problems) == (name, [])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (7, "task at index 0: is no JSON object"),
        ({"image": "a.jpg"}, "has no data; export as JSON, not as JSON-MIN"),
        (task(region(), name="../a.jpg"), "leads out of the dataset"),
        (task(), "has no region, and its picture cannot be read"),
        (task(region("keypointlabels")), "cat.jpg: region 'r': is of the type 'keypointlabels'"),
        (task(region(image_rotation=90)), "is turned"),
        (task(region(), region(original_width=6)), r"was drawn at (4, 6) (h, w), the picture has (4, 5)"),
        (task(region(value=BRUSH | {"brushlabels": []})), "its label [] is no class"),
        (task(region(value=BRUSH | {"brushlabels": [["dog"]]})), "its label [['dog']] is no class"),
        (task(region(), image="http://[x/a.jpg"), "image is no address: Invalid IPv6 URL; give the picture's path"),
        (task(region(value=BRUSH | {"rle": [1]})), "rle has no head"),
        (task(region(value={"brushlabels": ["dog"]})), "rle is no list"),
        (task(region("polygonlabels", {"points": [[0, 0, 0]], "polygonlabels": ["dog"]})), "points are [[0, 0, 0]]"),
        (task(region("polygonlabels", {"points": [[0, 0]], "polygonlabels": ["dog"]})), "a polygon has 2 numbers"),
        (task(region("rectanglelabels", {"rectanglelabels": ["dog"]})), "is no list of finite numbers"),
        (task(region(score=2)), "score is 2"),
        (task(region(), None), "region at index 1: is no JSON object"),
    ],
)
def test_what_cannot_be_read_is_a_problem(tmp_path, wrong, said):
    clips, problems, _ = read(tmp_path, wrong, task(region(), image="good.jpg"))
    assert (len(problems), said in problems[0]) == (1, True), problems
    assert clips[-1].name == "good.jpg"


def test_a_picture_that_is_there_twice(tmp_path):
    _, problems, _ = read(tmp_path, task(region()), task(region()))
    assert problems == ["tasks.json: task at index 1: another task has the picture 'cat.jpg'; merge the two"]


def test_a_label_that_the_interface_has_not(tmp_path):
    (tmp_path / "labels.xml").write_text('<View><BrushLabels><Label value="cat"/></BrushLabels></View>')
    _, problems, names = read(tmp_path, task(region()))
    assert names == {1: "cat"}
    assert "its label ['dog'] is no class of the labelling interface; add it there" in problems[0]


@pytest.mark.parametrize(
    ("tasks", "interface", "said"),
    [
        ("{}", "", "is no list of Label Studio's tasks"),
        ("[{]", "", "is no list of Label Studio's tasks"),
        ("[" * 100_000, "", "is no list of Label Studio's tasks"),
        ("[]", "<View>", "labels.xml: is no labelling interface"),
        ("[]", '<!DOCTYPE a [<!ENTITY b "c">]><View/>', "defines what it is made of"),
    ],
)
def test_what_is_no_dataset(tmp_path, tasks, interface, said):
    (tmp_path / "tasks.json").write_text(tasks)
    if interface:
        (tmp_path / "labels.xml").write_text(interface)
    with pytest.raises(BadDataset, match=said):
        LABEL_STUDIO.read(tmp_path)
