import os
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torture
import yaml
from drawing import clip, drawn, instances, square
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_bridges import filled

from pipeline import masks
from pipeline.errors import BadDataset, BadRecord
from pipeline.formats import Masks, fidelity, writing, yolo, yolo_rows
from pipeline.formats.yolo_files import label_of
from pipeline.ontology import Category, Ontology
from pipeline.records import Instances

ONTOLOGY = Ontology([Category(name="cat"), Category(name="bird", retired=True), Category(name="dog")])
SIZE_HW = (12, 16)


def rows(found, ontology=ONTOLOGY, of=yolo.polygon_rows):
    """The lines of a picture, and what they have no way to say."""
    from collections import Counter

    numbers = {name: number for number, name in enumerate(ontology.names)}
    unsaid = Counter()
    (lines,) = of([("a.jpg", clip(found))], numbers, unsaid)
    return [line.decode() for line in lines], dict(+unsaid)


def read_rows(tmp_path, text, size_hw=SIZE_HW, names=None):
    """The objects of a label, and what was wrong with it."""
    path, problems = tmp_path / "a.txt", []
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    found = yolo_rows.objects(path, "a.txt", size_hw, names or {0: "cat", 1: "dog"}, problems)
    return found, [str(problem) for problem in problems]


# ---- what is written


LINES = [  # mask of 4 x 8 pixels, what is written: x in eighths, y in quarters
    (drawn("........", ".###....", ".###....", "........"),
     "1 0.187500 0.375000 0.187500 0.625000 0.437500 0.625000 0.437500 0.375000"),
    (drawn("........", "..#.....", "........", "........"),  # one pixel: a square in it
     "1 0.281250 0.312500 0.343750 0.312500 0.343750 0.437500 0.281250 0.437500"),
    (drawn("####....", "........", "........", "........"),  # a line: along both its sides
     "1 0.031250 0.062500 0.093750 0.062500 0.468750 0.187500 0.406250 0.187500"),
]  # fmt: skip


@pytest.mark.parametrize(("mask", "line"), LINES)
def test_vertices_are_centres_of_pixels(mask, line):
    (written,), unsaid = rows(instances([(0, 0, 4, 4)], size_hw=(4, 8), masks=[masks.encode(mask)]))
    assert written[:2] == line[:2]
    assert sorted(pairs(written)) == sorted(pairs(line))
    assert unsaid == {}


def pairs(line):
    words = line.split()
    return list(zip(words[1::2], words[2::2], strict=True))


def test_what_was_bridged_is_counted():
    ring, parts = drawn("###.", "#.#.", "###.", "...."), drawn("#..#", "....", "#...", "....")
    found = instances([(0, 0, 4, 4)] * 3, size_hw=(4, 4), masks=[masks.encode(m) for m in (ring, parts, ring)])
    lines, unsaid = rows(found)
    assert unsaid == {"holes bridged": 2, "parts bridged": 2}
    assert len(lines) == 3


def test_no_two_lines_are_the_same(tmp_path):
    code = square(2, 3, 9, 8, SIZE_HW)
    found = instances([(0, 0, 4, 4)] * 5, size_hw=SIZE_HW, masks=[code] * 5, names=["dog", "dog", "cat", "dog", "cat"])
    for of in (yolo.polygon_rows, yolo.box_rows):
        lines, _ = rows(found, of=of)
        assert len(set(lines)) == 5
        again, problems = read_rows(tmp_path, "".join(lines))
        assert (again.names, problems) == (found.names, [])
        if of is yolo.polygon_rows:
            assert again.masks == found.masks
        else:
            assert np.abs(again.boxes_xyxy - (2, 3, 9, 8)).max() < 0.001


def test_boxes_are_the_masks_or_the_detectors():
    found = instances([(0, 0, 4, 4), (1, 3, 9, 6)], size_hw=SIZE_HW, masks=[square(2, 3, 10, 9, SIZE_HW), None])
    lines, unsaid = rows(found, of=yolo.box_rows)
    assert lines == ["1 0.375000 0.500000 0.500000 0.500000\n", "1 0.312500 0.375000 0.500000 0.250000\n"]
    assert unsaid == {"masks written as boxes": 1}
    lines, unsaid = rows(replace(found, masks=None), of=yolo.box_rows)
    assert (lines[0], unsaid) == ("1 0.125000 0.166667 0.250000 0.333333\n", {})


def test_a_box_in_a_large_picture_has_more_digits(tmp_path):
    size_hw = (8, 20_000)
    found = instances([(12_345, 3, 12_346, 4)], size_hw=size_hw)
    lines, _ = rows(found, of=yolo.box_rows)
    again, _ = read_rows(tmp_path, lines[0], size_hw)
    assert np.abs(again.boxes_xyxy - found.boxes_xyxy).max() < 0.002
    assert lines == ["1 0.61727500 0.43750000 0.00005000 0.12500000\n"]


EMPTY = masks.encode(np.zeros((20, 30), bool))


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({}, "dog/0.*a.jpg.*has no mask"),
        ({"masks": [None]}, "dog/0.*has no mask"),
        ({"masks": [EMPTY]}, "dog/0.*has no mask"),
        ({"masks": [square(1, 1, 5, 5)], "names": ["fox"]}, "fox/0.*'fox' is no class that is exported"),
        ({"masks": [square(1, 1, 5, 5)], "names": ["bird"]}, "bird/0.*is no class"),
    ],
)
def test_a_row_that_cannot_be_exported_is_named(columns, said, tmp_path):
    with pytest.raises(BadRecord, match=said):
        yolo.write_labels([("a.jpg", clip(instances(**columns)))], ONTOLOGY, tmp_path)
    if "fox" in said:
        with pytest.raises(BadRecord, match=said):
            rows(instances(**columns), of=yolo.box_rows)


def test_masks_are_traced_by_the_many_as_one_by_one():
    """Pictures of two sizes, with no, few and many objects of every shape."""
    rng = np.random.default_rng(0)
    clips = []
    for number in range(40):
        size_hw = (12, 16) if number % 7 else (9, 30)
        drawn_ = [rng.random(size_hw) < rng.choice([0.03, 0.5, 0.97]) for _ in range(rng.integers(0, 40))]
        codes = [masks.encode(mask) for mask in drawn_ if mask.any()]
        clips.append((f"{number}.jpg", clip(torture.found(codes, size_hw=size_hw), name=f"{number}.jpg")))
    groups = writing.together(iter(clips), lambda one: one.frames[0].size_hw, yolo.AT_ONCE)
    together = [lines for group in groups for lines in yolo.polygon_rows(group, {"dog": 0}, Counts())]
    alone = [lines for one in clips for lines in yolo.polygon_rows([one], {"dog": 0}, Counts())]
    assert together == alone
    for (_, one), lines in zip(clips, together, strict=True):
        size_hw = one.found[0].size_hw
        for code, line in zip(one.found[0].masks, lines, strict=True):
            vertices = np.array(line.split()[1:], np.float64).reshape(-1, 2) * size_hw[::-1]
            assert not (masks.decode(code, size_hw) & ~filled(vertices, size_hw)).any()


class Counts(dict):
    """Counts nothing."""

    def __missing__(self, key):
        return 0


# ---- the dataset


@pytest.fixture(scope="module")
def meant(tmp_path_factory):
    return torture.clips(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(params=["seg", "box"])
def format_(request):
    return {"seg": yolo.YOLO_SEG, "box": yolo.YOLO_BOX}[request.param]


def test_what_is_written_reads_back(meant, format_, tmp_path):
    format_.write(iter(meant), torture.ontology(), tmp_path)
    reading = format_.read(tmp_path)
    check = fidelity.compare(meant, reading, format_.masks, stems=True)
    assert check.ok, str(check)
    assert reading.names == dict(enumerate(torture.CLASSES))
    clips = list(format_.read(tmp_path / "data.yaml").clips)
    assert [one.id for one in clips] == [one.id for one in sorted(meant, key=lambda one: one.name)]
    assert all(one.found[0].source == ("yolo",) * len(one.found[0]) for one in clips if len(one.found[0]))


FAULTS = [
    (lambda lines: lines[1:], "1 lost"),
    (lambda lines: [*lines, lines[0].replace("0.4", "0.5")], "1 extra"),
    (lambda lines: ["0" + line[1:] for line in lines], "of another class"),
    (lambda lines: [swapped(line) for line in lines], "lowest IoU"),
    (lambda lines: [moved(line, 0.05) for line in lines], "lowest IoU"),
]


def swapped(line):
    number, *values = line.split()
    return " ".join([number, *(values[i ^ 1] for i in range(len(values)))])


def moved(line, by):
    number, x, *rest = line.split()
    if not rest[3:]:
        return " ".join([number, str(float(x) + by), *rest])
    values = [float(x), *map(float, rest)]
    return " ".join([number, *(f"{v + by * (1 - i % 2):.6f}" for i, v in enumerate(values))])


@pytest.mark.parametrize(("spoil", "said"), FAULTS)
def test_a_fault_is_found(spoil, said, meant, format_, tmp_path):
    one = next(clip for clip in meant if clip.name == "two/twin.png")
    one = replace(one, found=(replace(one.found[0], names=("犬🐕",) * len(one.found[0])),))
    format_.write([one], torture.ontology(), tmp_path)
    label = tmp_path / "labels" / "two" / "twin.txt"
    label.write_text("\n".join(spoil(label.read_text().splitlines())))
    check = fidelity.compare([one], format_.read(tmp_path), format_.masks, stems=True)
    assert not check.ok
    assert said in str(check)


def test_a_picture_without_objects_has_an_empty_label(tmp_path, meant):
    nothing = next(one for one in meant if one.name == "0 nothing.png")
    yolo.YOLO_SEG.write([nothing], ONTOLOGY, tmp_path)
    assert (tmp_path / "labels" / "0 nothing.txt").read_bytes() == b""


LABELS = [
    ("/d/images/a.jpg", "/d/labels/a.txt"),
    ("/d/images/day 1/a.tar.jpg", "/d/labels/day 1/a.tar.txt"),
    ("/d/images/a/images/b.jpg", "/d/images/a/labels/b.txt"),
    ("/images/images/images/b.jpg", "/images/images/labels/b.txt"),
    ("/d/my images/a.jpg", "/d/my images/a.txt"),
    ("/d.v1/images/a", "/d.v1/labels/a.txt"),  # ultralytics takes it for no picture; the label stays in the dataset
]


@pytest.mark.parametrize(("picture", "label"), LABELS)
def test_the_last_images_becomes_labels(picture, label):
    assert label_of(picture) == label


def test_a_label_that_would_be_anothers_is_refused(tmp_path):
    clips = [(name, clip(name=name)) for name in ("q/labels/images/r.jpg", "q/images/labels/r.jpg")]
    with pytest.raises(BadRecord, match=r"q/images/labels/r.jpg: its label would be another picture's; rename it"):
        yolo.write_labels(clips, ONTOLOGY, tmp_path)


def test_data_yaml_says_the_names_as_they_are(tmp_path):
    yolo.write_labels([], torture.ontology(), tmp_path)
    data = yaml.safe_load((tmp_path / "data.yaml").read_text("utf-8"))
    assert data == {"train": "images", "val": "images", "names": dict(enumerate(torture.CLASSES))}
    yolo.write_labels([], ONTOLOGY, tmp_path)
    assert (tmp_path / "data.yaml").read_text() == (
        "# Made by masklet. No split was asked for: train and val are the same pictures.\n"
        'train: images\nval: images\nnames:\n  0: "cat"\n  1: "dog"\n'
    )


@settings(max_examples=100)
@given(st.lists(st.text(min_size=1).filter(str.strip), min_size=1, unique=True))
def test_any_name_comes_back(tmp_path_factory, names):
    place = tmp_path_factory.mktemp("names")
    yolo.write_labels([], Ontology(Category(name=name) for name in names), place)
    (place / "images").mkdir()
    assert list(yolo.read(place).names.values()) == names
    assert list(yaml.safe_load((place / "data.yaml").read_text("utf-8"))["names"].values()) == names


# ---- what is read of anybody's


READ = [  # text, names, boxes
    ("0 0.5 0.5 0.5 0.5\n", ["cat"], [(4, 3, 12, 9)]),
    ("\ufeff0 0.5 0.5 0.5 0.5\r\n\r\n 1.0\t0.5  0.5 1 1", ["cat", "dog"], [(4, 3, 12, 9), (0, 0, 16, 12)]),
    ("0 0.995 0.5 0.5 0.5", ["cat"], [(11.92, 3, 16, 9)]),  # clipped to the picture
    ("1 0 0 1 0 1 1 0 1", ["dog"], [(0, 0, 16, 12)]),  # a polygon to the edges
    ("1 0.25 0.25 0.49 0.25 0.49 0.49", ["dog"], [(4, 3, 8, 6)]),  # cut to whole pixels, outline drawn
    ("1 -0.005 0 1.005 0 1.005 1.01 0 1", ["dog"], [(0, 0, 16, 12)]),  # 1 % outside
    ("0 0.5 0.5 0.5 0.5 0.5 0.5", ["cat"], [(8, 6, 9, 7)]),  # the same vertex three times: a pixel
    ("", [], []),
    ("\n \n", [], []),
]


@pytest.mark.parametrize(("text", "names", "boxes"), READ)
def test_a_label_is_read(text, names, boxes, tmp_path):
    found, problems = read_rows(tmp_path, text)
    assert problems == []
    assert list(found.names) == names
    assert np.abs(found.boxes_xyxy - np.reshape(boxes, (-1, 4))).max(initial=0) < 0.001


GOOD = "1 0.5 0.5 0.5 0.5\n"
ROW_PROBLEMS = [  # text, what is told, how many rows are left
    ("0 0.5 0.5 0.5\n", "a.txt:1: 4 columns; give a class, and a box", 0),
    ("0 0.1 0.1 0.5 0.5 0.7\n", "a.txt:1: 6 columns", 0),
    ("0 0.1 0.1 0.5 0.5 0.7 0.7 0.3\n", "a.txt:1: 8 columns", 0),
    (GOOD + "0 nan 0.5 0.5 0.5\n", "a.txt:2: a number is too long, or is none", 1),
    ("0 0.5 0.5 inf 0.5\n", "a.txt:1: a number is too long, or is none", 0),
    ("0 0.5 0.5 half 0.5\n", "a.txt:1: could not convert string to float: 'half'; give numbers", 0),
    (f"0 0.5 0.5 0.{'5' * 99} 0.5\n", "a.txt:1: a number is too long", 0),
    ("\n\n2 0.5 0.5 0.5 0.5\n", "a.txt:3: class 2 is not in names; give a number from 0 to 1", 0),
    ("-1 0.5 0.5 0.5 0.5\n", "a.txt:1: class -1 is not in names", 0),
    ("0.5 0.5 0.5 0.5 0.5\n", "a.txt:1: class 0.5 is not in names", 0),
    ("1e300 0.5 0.5 0.5 0.5\n", "a.txt:1: class 1e+300 is not in names", 0),
    ("0 1.02 0.5 0.5 0.5\n", "a.txt:1: 1.02 is outside the picture; give shares of its sides", 0),
    ("0 320 240 100 100\n", "a.txt:1: 320 is outside the picture", 0),
    ("0 0.1 0.1 -0.02 0.5 0.5 0.5\n", "a.txt:1: -0.02 is outside the picture", 0),
    ("0 0.5 0.5 0 0.5\n", "a.txt:1: the box has no area inside the picture", 0),
    ("0 1 0 1 0.5 1 1\n", "a.txt:1: the polygon has no pixel inside the picture", 0),
    (GOOD + "0 0.5 0.5 0.5 0.5\n" + GOOD, "a.txt:3: the same as line 1; ultralytics drops it; remove one", 2),
    (GOOD + "1 0.500 0.5 0.5 0.5\n", "a.txt:2: the same as line 1", 1),
    (b"\xff\xfe0 0", "a.txt: cannot be read: 'utf-8' codec can't decode", 0),
]


@pytest.mark.parametrize(("text", "said", "left"), ROW_PROBLEMS)
def test_a_row_that_cannot_be_used_is_told(text, said, left, tmp_path):
    found, problems = read_rows(tmp_path, text)
    assert len(problems) == 1
    assert problems[0].startswith(said)
    assert len(found) == left


def test_boxes_beside_polygons_are_told(tmp_path):
    found, problems = read_rows(tmp_path, GOOD + "0 0 0 1 0 1 1\n")
    assert problems == ["a.txt: boxes beside polygons; ultralytics leaves the picture out; keep one kind"]
    assert [code is None for code in found.masks] == [True, False]


def test_what_is_too_much_to_draw_is_refused_at_once(tmp_path, monkeypatch):
    size_hw = (1000, 1000)
    zigzag = "0 " + "0 0 1 1 " * 4000 + "0 1\n"
    began = time.process_time()
    _, problems = read_rows(tmp_path, zigzag, size_hw)
    assert time.process_time() - began < 10  # minutes, if it were quadratic
    assert problems == ["a.txt:1: the picture's polygons, with this one, are too much to draw; give fewer vertices"]
    monkeypatch.setattr(yolo_rows, "MAX_DRAWN_PX", 1_500_000 + 2 * 4000**2 / 5000)
    whole = "".join(f"{number} 0 0 1 0 1 1 0 1\n" for number in (0, 1))
    found, problems = read_rows(tmp_path, whole, size_hw)
    assert len(found) == 1
    assert problems == ["a.txt:2: the picture's polygons, with this one, are too much to draw; give fewer vertices"]
    monkeypatch.setattr(yolo_rows, "MAX_LINE", 10)
    assert read_rows(tmp_path, whole)[1][0].startswith("a.txt:1: more than 10 characters")
    monkeypatch.setattr(yolo_rows, "MAX_ROWS", 1)
    assert "more than 33554432 bytes or 1 lines" in read_rows(tmp_path, whole)[1][0]


def dataset(place, data=None, pictures=("a.png",), labels=True, size_hw=SIZE_HW, folder="images"):
    """A dataset of somebody, with a box in each picture."""
    from PIL import Image

    for number, name in enumerate(pictures):
        path = place / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size_hw[::-1], (number, 0, 0)).save(path, "PNG")
        label = Path(label_of(str(path)))
        label.parent.mkdir(parents=True, exist_ok=True)
        if labels:
            label.write_text("0 0.5 0.5 0.5 0.5\n")
    data = {"train": "images", "val": "images", "names": ["cat"]} if data is None else data
    (place / "data.yaml").write_text(data if isinstance(data, str) else yaml.safe_dump(data))
    return place


def opened(place):
    """Names of the pictures, how many objects, and the problems."""
    reading = yolo.read(place)
    clips = list(reading.clips)
    problems = [str(problem) for problem in reading.problems]
    return [one.name for one in clips], sum(len(one.found[0]) for one in clips), problems


SPLIT = {"train": "images/train", "val": "images/val", "names": {0: "cat"}}
LAYOUTS = [  # data.yaml, folder, pictures, names
    (SPLIT, "images", ["train/a.png", "val/b.png", "other/c.png"], ["a.png", "b.png"]),
    ({"train": "train/images", "val": "val/images", "names": ["cat"]}, ".", ["train/images/a.png", "val/images/a.png"],
     ["a.png", "val/a.png"]),
    ({"train": "../train/images", "val": "../val/images", "names": ["cat"]}, ".",  # as Roboflow writes it
     ["train/images/a.png", "val/images/a.png"], ["a.png", "val/a.png"]),
    ({"path": "in", "train": ["images/1", "images/2"], "val": None, "names": ["cat"]}, "in/images",
     ["1/a.png", "2/b.png"], ["1/a.png", "2/b.png"]),
    ({"path": "/nowhere", "train": "images", "val": "images", "test": "images", "names": ["cat"]}, "images", ["a.png"],
     ["a.png"]),
    ({"train": "list.txt", "val": "list.txt", "names": ["cat"]}, "images", ["a.png", "b/c.png", "d.png"],
     ["a.png", "b/c.png"]),
]  # fmt: skip


@pytest.mark.parametrize(("data", "folder", "pictures", "names"), LAYOUTS)
def test_pictures_are_found(data, folder, pictures, names, tmp_path, monkeypatch):
    dataset(tmp_path, data, pictures, folder=folder)
    (tmp_path / "list.txt").write_text("./images/a.png\n\n./images/b/c.png\n")
    assert opened(tmp_path) == (names, len(names), [])
    monkeypatch.chdir(tmp_path)
    assert opened(Path("data.yaml")) == (names, len(names), [])


def test_upright_is_what_counts(tmp_path):
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    dataset(tmp_path, pictures=["a.png"])
    Image.new("RGB", (20, 40)).save(tmp_path / "images" / "a.png", exif=exif)
    (only,) = yolo.read(tmp_path).clips
    assert only.frames[0].size_hw == (20, 40)
    assert only.found[0].boxes_xyxy.tolist() == [[10, 5, 30, 15]]
    assert only.rewrite == "orientation"


def spoiled(change, pictures=("a.png", "b.png"), **asked):
    """A dataset of two pictures to which something was done."""

    def make(place):
        change(dataset(place, pictures=pictures, **asked))

    return make


PROBLEMS = [  # what was done, what is told
    (spoiled(lambda d: (d / "images/b.png").unlink()), "labels/b.txt: a label without a picture; put"),
    (spoiled(lambda d: (d / "images/b.png").write_bytes(b"")), "images/b.png: the file has no bytes"),
    (spoiled(lambda d: (d / "images/b.png").write_bytes(b"text")), "images/b.png: "),
    (spoiled(lambda d: None, labels=False), "data.yaml: no picture has a label; the first one's would be labels/a.txt"),
    (spoiled(lambda d: None, pictures=("a.png", "a.jpg")), "images/a.png: has the same label as images/a.jpg"),
    (spoiled(lambda d: None, pictures=("a.png", "b.ppm")), "images/b.ppm: ultralytics does not take it for a picture"),
    (spoiled(lambda d: None, pictures=("a.png",), size_hw=(9, 30)), "images/a.png: 9 x 30 (h x w) pixels; ultralytics"),
    (spoiled(lambda d: None, pictures=("a.png", "a\\b.png")), "images/a\\b.png: file name 'a\\\\b.png' leads out"),
    (spoiled(lambda d: (d / "labels/b.txt").write_text("7 0 0 1 1")), "labels/b.txt:1: class 7 is not in names"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "said"), PROBLEMS)
def test_what_training_would_trip_over_is_told(make, said, tmp_path):
    make(tmp_path)
    names, _, problems = opened(tmp_path)
    assert names
    assert len(problems) == 1
    assert problems[0].startswith(said)


DATA = [  # data.yaml, what is told
    ("train: images\nnames: [cat]", ["data.yaml: train or val is missing; ultralytics needs both"]),
    ("train: images\nval: gone\nnames: [cat]", ["data.yaml: 'gone' is not there; put pictures into"]),
    ("train: images\nval: ..\nnames: [cat]", ["data.yaml: '..' has the dataset in it; name the folder of"]),
    ("train: images\nval: /\nnames: [cat]", ["data.yaml: '/' has the dataset in it"]),
    ("train: images\nval: 7\nnames: [cat]", ["data.yaml: val: is 7; name a folder"]),
    ("train: images\nval: [images, {}]\nnames: [cat]", ["data.yaml: val: is ['images', {}]; name a folder"]),
    ("train: images\nval: images\nnames: [yes]", ["data.yaml: class '0': its name is read as True; put it in quotes"]),
    ("train: images\nval: images\nnames: {1: dog, 2: cat}", ["data.yaml: class '2': numbers go from 0 to 1 here",
                                                             "labels/a.txt:1: class 0 is not in names"]),
    ("train: images\nval: images\nnames: [cat, [a]]", ["data.yaml: class '1': name is ['a']; make it a text"]),
    ("train: images\nval: images\nnames: [cat]\nnc: 3", ["data.yaml: nc is 3, names are 1; remove nc"]),
    ("train: images\nval: images\nnc: 3", []),
]  # fmt: skip


@pytest.mark.parametrize(("data", "said"), DATA)
def test_what_is_wrong_in_data_yaml_is_told(data, said, tmp_path):
    names, _, problems = opened(dataset(tmp_path, data))
    assert names == ["a.png"]
    assert len(problems) == len(said)
    assert all(problem.startswith(begin) for problem, begin in zip(problems, said, strict=True))


NOT_YOLO = [
    ("names: [cat]", "none of train, val"),
    ("- 1", "none of train, val"),
    ("train: images\nval: images", "names is None; list the classes"),
    ("train: images\nval: images\nnc: 1000000000", "names is None"),
    ("train: images\nval: images\nnames: []", "names is {}"),
    ("train: images\nval: images\nnames: [cat]\nkpt_shape: [17, 3]", "a dataset of poses"),
    ("train: &a images\nval: *a\nnames: [cat]", "an alias"),
    ("train: images\ntrain: b\nnames: [cat]", "stands here twice"),
    ("train: images\nval: images\nnames: [cat]\nnc: !!bool x", "is no value"),
    ("train: images\nval: images\nnames: [cat]\nnc: 1" + ":1" * 100_000, "is no value"),  # of base 60, quadratic
    ("train: [", "not YAML"),
]


@pytest.mark.parametrize(("data", "said"), NOT_YOLO)
def test_what_is_no_yolo_dataset_is_refused(data, said, tmp_path):
    with pytest.raises(BadDataset, match=said):
        yolo.read(dataset(tmp_path, data))


def test_a_place_without_one_data_yaml_is_refused(tmp_path):
    with pytest.raises(BadDataset, match=r"no YAML file; a YOLO dataset has data\.yaml"):
        yolo.read(tmp_path)
    with pytest.raises(BadDataset, match="no such file"):
        yolo.read(tmp_path / "data.yaml")
    os.mkfifo(tmp_path / "data.yaml")  # nobody writes to it
    with pytest.raises(BadDataset, match="no such file"):
        yolo.read(tmp_path)
    (tmp_path / "data.yaml").unlink()
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text("")
    with pytest.raises(BadDataset, match=r"more than one YAML file \(a.yaml, b.yaml\); name the one to read"):
        yolo.read(tmp_path)


def test_download_is_not_obeyed(tmp_path):
    mark = tmp_path / "ran"
    data = f"train: gone\nval: gone\nnames: [cat]\ndownload: |\n  open({str(mark)!r}, 'w')\n"
    (tmp_path / "data.yaml").write_text(data)
    assert opened(tmp_path)[0] == []
    assert not mark.exists()


# ---- any bytes


VALID = "0 0.5 0.5 0.5 0.5\n1 0.1 0.1 0.9 0.1 0.9 0.9 0.1 0.5\n\n1 0.25 0.25 0.75 0.25 0.75 0.75\n"
SAID = "train: images\nval: images\ntest: list.txt\nnames: {0: cat, 1: 'dog'}\nnc: 2\n"


@st.composite
def mutated(draw, valid):
    """A valid text in which some places are something else."""
    text = bytearray(valid.encode())
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(text)))
        text[at : at + draw(st.integers(0, 5))] = draw(
            st.one_of(
                st.binary(max_size=4), st.sampled_from([b"-", b"1e9", b"nan", b"\n", b" ", b"9" * 30, b": ", b"../"])
            )
        )
    return bytes(text)


@given(text=st.one_of(st.binary(max_size=200), mutated(VALID)))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_a_label(text, tmp_path):
    found, _ = read_rows(tmp_path, text)
    assert isinstance(found, Instances)
    assert all(code is None or masks.validate(code, SIZE_HW) for code in found.masks or ())


@given(text=st.one_of(st.binary(max_size=200), mutated(SAID)))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_a_data_yaml(text, tmp_path):
    place = tmp_path / "dataset"
    if not place.exists():
        dataset(place, pictures=["a.png", "b/c.png"])
        (place / "list.txt").write_text("./images/a.png\n")
    (place / "data.yaml").write_bytes(text)
    with suppress(BadDataset):
        assert set(opened(place)[0]) <= {"a.png", "b/c.png"}


@given(seed=st.integers(0, 2**32))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_small_masks_come_back(seed, tmp_path):
    rng = np.random.default_rng(seed)
    size_hw = tuple(rng.integers(1, 10, 2).tolist())
    drawn_ = [mask for mask in (rng.random(size_hw) < rng.random() for _ in range(5)) if mask.any()]
    if not drawn_:
        return
    found = torture.found([masks.encode(mask) for mask in drawn_], size_hw=size_hw)
    lines, _ = rows(found)
    again, problems = read_rows(tmp_path, "".join(lines), size_hw)
    assert problems == []
    assert len(again) == len(found)
    for before, code in zip(drawn_, again.masks, strict=True):
        assert not (before & ~masks.decode(code, size_hw)).any()


def test_what_is_promised():
    assert (yolo.YOLO_SEG.masks, yolo.YOLO_SEG.stems, yolo.YOLO_SEG.films) == (Masks.OUTLINES, True, False)
    assert (yolo.YOLO_BOX.masks, yolo.YOLO_BOX.stems, yolo.YOLO_BOX.films) == (Masks.BOXES, True, False)
