"""Hugging Face imagefolder and Parquet: what `datasets` makes of ours, and what we make of anybody's."""

import datetime as dt
import io
import json
import random
import re
import shutil
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import pytest
import torture
import yaml
from drawing import clip, drawn, instances, square
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import masks
from pipeline.errors import BadDataset, BadMedia, BadRecord
from pipeline.formats import dataset_card, fidelity, imagefolder, parquet, parquet_reading, publish
from pipeline.ontology import Category, Ontology
from pipeline.records import Clip, Frame, clip_id

FORMATS = {"imagefolder": imagefolder, "parquet": parquet}
ONTOLOGY = Ontology([Category(name="cat"), Category(name="bird", retired=True), Category(name="dog")])
RING = drawn("####.", "#..#.", "####.", ".....")
SIZE = [4, 5]
CODE = masks.encode(RING).decode()


@pytest.fixture(params=sorted(FORMATS))
def format_(request):
    return FORMATS[request.param]


@pytest.fixture
def load(tmp_path, monkeypatch):
    """`datasets.load_dataset` of the only split, without the Hub and with a cache of its own."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    datasets.disable_progress_bars()
    return lambda *asked, **more: datasets.load_dataset(
        *map(str, asked), split="train", cache_dir=str(tmp_path / "cache"), **more
    )


def ring(**columns):
    return instances([(0, 0, 5, 3.5)], size_hw=(4, 5), **({"masks": [CODE.encode()]} | columns))


def lines(place):
    return [json.loads(line) for line in (place / "train/metadata.jsonl").read_text("ascii").splitlines()]


def tables(place):
    from pyarrow.parquet import ParquetFile

    return [ParquetFile(file) for file in sorted((place / "data").iterdir())]


# What is written.


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' own
def test_datasets_gives_typed_columns_and_equal_masks(format_, sources, place, load):
    """With everything that no format likes, and with our manifest in the folder."""
    from datasets import ClassLabel, Image, List, Value
    from pycocotools import mask as coco

    meant = [clip for clip in torture.clips(sources) if format_ is parquet or "$" not in clip.name]
    with publish.publish(place / "set", "key") as new:
        assert format_.write(iter(meant), torture.ontology(), new) == {}
    loaded = load(place / "set")
    objects = loaded.features["objects"]
    assert objects["category"] == List(ClassLabel(names=list(torture.CLASSES)))
    assert objects["segmentation"] == List({"size": List(Value("int32"), length=2), "counts": Value("string")})
    assert objects["bbox"] == List(List(Value("float32"), length=4))
    assert (loaded.features["image"], loaded.features["width"]) == (Image(), Value("int32"))
    assert len(loaded) == len(meant)
    for row, want in zip(loaded, meant, strict=True):
        found = want.found[0]
        assert row["image"].size == (row["width"], row["height"]) == found.size_hw[::-1]
        assert row["image"].getpixel((0, 0)) == shade_of(want)
        assert [objects["category"].feature.int2str(number) for number in row["objects"]["category"]] == list(
            found.names
        )
        for told, code in zip(row["objects"]["segmentation"], found.masks or (), strict=True):
            assert (coco.decode(told) == masks.decode(code, found.size_hw)).all()


def shade_of(want):
    from PIL import Image

    return Image.open(want.path).getpixel((0, 0))


ODD = "names that datasets may not load: hidden, with $ or without a picture's suffix"


@pytest.mark.parametrize(
    ("name", "unsaid"),
    [
        ("a.JPG", {}),
        ("a\nb.tiff", {}),
        ("$HOME.png", {ODD: 1}),
        ("a.zip", {ODD: 1}),
        ("a", {ODD: 1}),
        (".png", {ODD: 1}),
    ],
)
def test_a_name_that_datasets_cannot_load_is_counted(name, unsaid, sources, place, load):
    from datasets.exceptions import DatasetGenerationError

    meant = [torture.picture(sources, name, ring())]
    assert imagefolder.write(meant, ONTOLOGY, place) == unsaid
    assert fidelity.compare(meant, imagefolder.read(place)).ok
    if unsaid:
        with pytest.raises((OSError, BadZipFile, DatasetGenerationError)):  # when it can, there is nothing to count
            load(place)
    else:
        assert load(place)[0]["image"].size == (5, 4)


def test_parquet_files_alone_are_typed_too(sources, place, load):
    parquet.write(torture.clips(sources), torture.ontology(), place)
    loaded = load("parquet", data_files=str(place / "data" / "*.parquet"))
    assert loaded.features["objects"]["category"].feature.names == list(torture.CLASSES)
    assert loaded.features["image"].dtype == "PIL.Image.Image"
    assert loaded["file_name"] == sorted(clip.name for clip in torture.clips(sources))


ROW = {
    "file_name": "a.png",
    "width": 5,
    "height": 4,
    "objects": {
        "id": [1],
        "category": [1],
        "bbox": [[0, 0, 4, 3]],
        "area": [10],
        "iscrowd": [1],
        "score": [0.5],
        "segmentation": [{"size": SIZE, "counts": CODE}],
        "attributes": [
            '{"detector_box": [0.0, 0.0, 5.0, 3.5], "prompt": "a dog", "source": "fake", "weather": "rain"}'
        ],
    },
}


def test_a_row(sources, place):
    found = ring(scores=[0.5], prompts=["a dog"], source=["fake"], extra=[{"weather": "rain", "iscrowd": 1}])
    meant = torture.picture(sources, "a.png", found)
    for format_ in FORMATS.values():
        format_.write([meant], ONTOLOGY, place)
    assert lines(place) == [ROW]
    (row,) = tables(place)[0].read().to_pylist()
    assert row.pop("image") == {"bytes": (place / "train/a.png").read_bytes(), "path": "a.png"}
    assert row == ROW
    for format_ in FORMATS.values():
        (got,) = format_.read(place).clips
        assert got.found[0].scores.tolist() == [0.5]
        assert got.found[0].source == ("fake",)
        assert got.found[0].extra == (
            {"annotation": 1, "detector_box": [0, 0, 5, 3.5], "iscrowd": 1, "prompt": "a dog", "weather": "rain"},
        )


def test_a_picture_without_objects_is_there_and_nothing_is_a_dataset(format_, sources, place, load):
    format_.write([torture.picture(sources, "n.png", instances([], size_hw=(4, 5)))], ONTOLOGY, place)
    assert [(row["width"], row["objects"]["category"]) for row in load(place)] == [(5, [])]
    (got,) = format_.read(place).clips
    assert (got.name, len(got.found[0])) == ("n.png", 0)


def test_nothing_to_write_reads_back(format_, place):
    format_.write([], ONTOLOGY, place)
    reading = format_.read(place)
    assert (list(reading.clips), reading.names, reading.problems) == ([], {0: "cat", 1: "dog"}, [])


def test_no_class_is_exported(format_, sources, place):
    none = Ontology([Category(name="bird", retired=True)])
    format_.write([torture.picture(sources, "n.png", instances([], size_hw=(4, 5)))], none, place)
    reading = format_.read(place)
    assert ([c.name for c in reading.clips], reading.names) == (["n.png"], {})


def test_rows_are_in_the_order_of_names_and_objects_numbered_in_it(sources, place):
    two = instances([(0, 0, 4, 4), (5, 5, 9, 9)], masks=[square(0, 0, 4, 4), square(5, 5, 9, 9)])
    one = instances(masks=[square(1, 1, 5, 5)])
    clips = [torture.picture(sources, name, found) for name, found in (("b.png", two), ("a.png", one))]
    for format_ in FORMATS.values():
        format_.write(clips, ONTOLOGY, place)
    rows = tables(place)[0].read(["file_name", "objects"]).to_pylist()
    for row in (lines(place), rows):
        assert [(one["file_name"], one["objects"]["id"]) for one in row] == [("a.png", [1]), ("b.png", [2, 3])]


def test_the_same_clips_in_any_order_give_the_same_bytes(format_, sources, tmp_path):
    meant = torture.clips(sources)[:8]
    for name, clips in (("1", meant), ("2", meant[::-1])):
        (tmp_path / name).mkdir()
        format_.write(clips, torture.ontology(), tmp_path / name)
    files = [path.relative_to(tmp_path / "1") for path in (tmp_path / "1").rglob("*") if path.is_file()]
    assert len(files) == (10 if format_ is imagefolder else 2)
    for file in files:
        assert (tmp_path / "1" / file).read_bytes() == (tmp_path / "2" / file).read_bytes()


def test_shards_and_row_groups_are_bounded(sources, place, monkeypatch):
    monkeypatch.setattr(parquet, "GROUP_ROWS", 3)
    monkeypatch.setattr(parquet, "SHARD_BYTES", 1)
    clips = [torture.picture(sources, f"{i}.png", ring(), i) for i in range(7)]
    parquet.write(clips, ONTOLOGY, place)
    assert sorted(path.name for path in (place / "data").iterdir()) == [
        "train-00000-of-00003.parquet",
        "train-00001-of-00003.parquet",
        "train-00002-of-00003.parquet",
    ]
    assert [table.metadata.num_rows for table in tables(place)] == [3, 3, 1]
    assert fidelity.compare(clips, parquet.read(place)).ok
    monkeypatch.setattr(parquet, "GROUP_BYTES", 1)
    monkeypatch.setattr(parquet, "SHARD_BYTES", 10**9)
    for file in (place / "data").iterdir():
        file.unlink()
    (place / "data").rmdir()
    parquet.write(clips, ONTOLOGY, place)
    assert [table.num_row_groups for table in tables(place)] == [7]


def test_what_a_plain_reader_would_turn_lies_upright_there(format_, sources, place, load):
    from PIL import Image

    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (4, 5), "red").save(file, "JPEG", exif=exif)  # upright it is 5 wide and 4 high
    (sources / "t.jpg").write_bytes(file.getvalue())
    meant = Clip(
        clip_id(file.getvalue()), "t.jpg", str(sources / "t.jpg"), (Frame(0, 0.0, (4, 5)),), "orientation", (ring(),)
    )
    format_.write([meant], ONTOLOGY, place)
    (row,) = load(place)
    assert (row["image"].size, row["image"].format) == ((5, 4), "PNG")
    assert fidelity.compare([meant], format_.read(place)).ok
    assert [got.name for got in format_.read(place).clips] == ["t.jpg.png"]


EMPTY = masks.encode(np.zeros((20, 30), bool))
REFUSED = [
    ({}, "dog/0.*a.jpg.*has no mask"),
    ({"masks": [EMPTY]}, "dog/0.*has no mask"),
    ({"masks": [square(1, 1, 5, 5)], "names": ["fox"]}, "fox/0.*'fox' is no class that is exported"),
    ({"masks": [square(1, 1, 5, 5)], "names": ["bird"]}, "bird/0.*is no class"),
]


@pytest.mark.parametrize(("columns", "said"), REFUSED)
def test_a_row_that_cannot_be_exported_is_named(format_, columns, said, sources, place):
    with pytest.raises(BadRecord, match=said):
        format_.write([torture.picture(sources, "a.jpg", instances(**columns))], ONTOLOGY, place)


def test_a_film_a_lost_picture_and_a_name_that_means_something_are_refused(format_, sources, place):
    film = Clip("f", "f.mp4", "f.mp4", (Frame(0, 0.0, (4, 5)), Frame(1, 0.1, (4, 5))))
    lost = clip(ring(), name="lost.png")
    for bad, error, said in ((film, (BadRecord, BadMedia), "f.mp4"), (lost, BadMedia, "lost.png: the file changed")):
        with pytest.raises(error, match=said):
            format_.write([bad], ONTOLOGY, fresh(place))
    with pytest.raises(BadRecord, match=r"x/metadata\.csv: a picture of this name is taken for metadata; rename it"):
        imagefolder.write([torture.picture(sources, "x/metadata.csv", ring())], ONTOLOGY, fresh(place))


def fresh(place):
    shutil.rmtree(place)
    place.mkdir()
    return place


def test_the_card(format_, sources, place):
    clips = [
        torture.picture(sources, f"{i}.png", ring(names=[name]), i) for i, name in enumerate(["a|b", "a|b", "<i>"])
    ]
    format_.write(clips, Ontology([Category(name=name) for name in ("a|b", "<i>", "none")]), place)
    _, head, body = (place / "README.md").read_text("utf-8").split("---\n", 2)
    said = yaml.safe_load(head)
    assert (said["license"], said["tags"]) == ("unknown", ["auto-annotated", "masklet"])
    assert said["task_categories"] == ["image-segmentation", "object-detection"]
    assert said["size_categories"] == ["n<1K"]
    assert len(said["configs"]) == 1
    assert "# 3 pictures with 3 masks" in body
    assert "made by models, not by people" in body
    assert "| a&#124;b | 2 |\n| &#60;i&#62; | 1 |\n| none | 0 |\n" in body


@pytest.mark.parametrize(
    ("pictures", "word"), [(999, "n<1K"), (1000, "1K<n<10K"), (10**6, "1M<n<10M"), (10**8, "n>10M")]
)
def test_the_hubs_word_for_the_size(pictures, word, place):
    from pipeline.formats.hf_rows import features

    dataset_card.write(place, features(["cat"], stored=True), pictures, {}, {"train": "data/*"}, typed=True)
    assert f"- {word}\n" in (place / "README.md").read_text()


NAMES = [
    "yes",
    "1",
    "null",
    "- d",
    "# c",
    "q\"u'o",
    "line\nbreak",
    "a\n---\nb",
    "\x85\u2028",
    "\x00\x1b",
    "犬 🐕",
    " x ",
    "x: y",
]


def test_any_class_name_comes_back(format_, sources, place, load):
    names = [name if name.strip() else f"a{name}" for name in NAMES]
    found = instances([(0, 0, 5, 4)] * len(names), size_hw=(4, 5), names=names, masks=[CODE.encode()] * len(names))
    meant = torture.picture(sources, "a.png", found)
    format_.write([meant], Ontology([Category(name=name) for name in names]), place)
    assert fidelity.compare([meant], format_.read(place)).ok
    assert load(place).features["objects"]["category"].feature.names == names
    assert list(dataset_card.names(place).values()) == names


# What is read: imagefolder.

CARD = """---
dataset_info:
  features:
  - name: image
    dtype: image
  - name: label
    dtype:
      class_label:
        names: {'0': not, '1': these}
  - name: objects
    struct:
    - name: category
      list:
        class_label:
          names:
            '0': cat
            '1': dog
---
Words.
"""


def item(**fields):
    """A line with a ring; a field of the objects that is None is left out."""
    objects = {"category": [1], "segmentation": [{"size": SIZE, "counts": CODE}]} | fields
    return {"file_name": "a.png", "width": 5, "height": 4} | {
        "objects": {key: value for key, value in objects.items() if value is not None}
    }


def read(folder, *rows, card=CARD):
    (folder / "train").mkdir(exist_ok=True)
    (folder / "README.md").write_text(card)
    said = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    (folder / "train" / "metadata.jsonl").write_text(said)
    reading = imagefolder.read(folder)
    return list(reading.clips), reading


def test_a_foreign_line_with_boxes_alone(tmp_path):
    boxes = {"bbox": [[1, 1, 2, 2], [0, 0, 5, 4]], "category": [0, 1], "area": [4, 20]}
    (got,), reading = read(tmp_path, {"file_name": "a.png", "width": 5, "height": 4, "objects": boxes})
    assert reading.problems == []
    assert reading.names == {0: "cat", 1: "dog"}
    assert got.path == str(tmp_path / "train" / "a.png")
    assert got.found[0].names == ("cat", "dog")
    assert got.found[0].boxes_xyxy.tolist() == [[1, 1, 3, 3], [0, 0, 5, 4]]
    assert (got.found[0].masks, got.found[0].scores) == (None, None)


def test_a_picture_tells_its_size_where_its_line_does_not(tmp_path):
    made = torture.picture(tmp_path, "a.png", ring())
    row = {"file_name": "a.png", "objects": item()["objects"]}
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "a.png").write_bytes(Path(made.path).read_bytes())
    (got,), reading = read(tmp_path, row, row | {"file_name": "b.png"})
    assert got.frames[0].size_hw == (4, 5)
    (problem,) = reading.problems
    assert str(problem).startswith("metadata.jsonl: line 2: has no width, and the picture does not tell: not_a_file: ")


def test_several_splits_do_not_share_names(tmp_path):
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "metadata.jsonl").write_text(json.dumps(item()) + "\n")
    clips, reading = read(tmp_path, item(), "{")
    assert [(c.name, c.side, c.path) for c in clips] == [
        ("a.png", "test", str(tmp_path / "test/a.png")),
        ("train/a.png", "train", str(tmp_path / "train/a.png")),
    ]
    assert [problem.where for problem in reading.problems] == ["train/metadata.jsonl: line 2"]


@pytest.mark.parametrize("asked", [".", "train/metadata.jsonl", "train"])
def test_a_folder_or_the_file_may_be_named(asked, tmp_path):
    read(tmp_path, item())
    assert [c.name for c in imagefolder.read(tmp_path / asked).clips] == ["a.png"]


BAD_LINES = [
    ("{", "is no JSON object; correct or remove the line"),
    ("[]", "is no JSON object"),
    ("\xff", "is no JSON object"),
    ("[" * 100_000, "is no JSON object"),
    ('{"file_name": ' + "1" * 5000 + "}", "is no JSON object"),
    ({"width": 5}, "file_name is None; make it a text"),
    (item() | {"file_name": "../b.png"}, "leads out of the dataset"),
    (item() | {"file_name": "file:///b.png"}, "is an address, not a file"),
    (item(), "another picture has the file name 'a.png'; merge the two"),
    (item() | {"file_name": "b.png", "width": 0}, "a picture of 4 x 0"),
    (item() | {"file_name": "b.png", "objects": [1]}, "objects is [1]; make it a mapping of lists"),
    (item(category=[1, 1]) | {"file_name": "b.png"}, "the lists of objects are of different lengths"),
    (item(category=1) | {"file_name": "b.png"}, "the lists of objects are of different lengths"),
]


@pytest.mark.parametrize(("line", "said"), BAD_LINES)
def test_a_bad_line_is_left_out_and_told(line, said, tmp_path):
    clips, reading = read(tmp_path, item(), "", line)
    (problem,) = reading.problems
    assert str(problem).startswith("metadata.jsonl: line 3: ")
    assert said in str(problem)
    assert len(str(problem)) < 250
    assert [c.name for c in clips] == ["a.png"]


BAD_OBJECTS = [
    ({"segmentation": [{"size": SIZE, "counts": ""}]}, "not a run-length code"),
    ({"segmentation": [{"size": SIZE, "counts": "oooooooooo1"}]}, "a run length is too large"),
    ({"segmentation": [{"size": [5, 4], "counts": CODE}]}, r"the mask's size is [5, 4], the picture's [4, 5]"),
    ({"segmentation": [None]}, "has neither a bbox nor a segmentation; remove it"),
    ({"segmentation": None, "bbox": [[1, 1, 0, 2]]}, "has no area inside the picture"),
    ({"category": [2]}, "category 2 is not among the classes of the dataset"),
    ({"category": ["dog"]}, "category is 'dog'; make it a whole number"),
    ({"category": [None]}, "category is None"),
    ({"score": [1.5]}, "score is 1.5; give a number from 0 to 1"),
    ({"score": [float("nan")]}, "no list of finite numbers"),
    ({"attributes": ["{"]}, "attributes are no JSON text: '{'"),
    ({"attributes": ['{"a": NaN}']}, "a number or a text that cannot be kept"),
    ({"attributes": [{}]}, "attributes is {}; make it a text"),
]


@pytest.mark.parametrize(("fields", "said"), BAD_OBJECTS)
def test_a_bad_object_is_left_out_and_told(fields, said, tmp_path):
    clips, reading = read(tmp_path, item() | {"file_name": "b.png"}, item(**fields))
    (problem,) = reading.problems
    assert str(problem).startswith("metadata.jsonl: line 2: object 0: ")
    assert said in str(problem)
    assert [len(c.found[0]) for c in clips] == [1, 0]


NO_FOLDERS = [  # the metadata, the card, what is said
    (b"\x00\x01\x02", CARD, r"no line is a JSON object; give a folder with metadata\.jsonl"),
    (b"", "# A card without a head", "no class names; README.md has them in dataset_info"),
    (b"", "---\ndataset_info: {features: [{name: objects, dtype: string}]}\n---\n", "no class names"),
    (b"", "---\na: [\n---\n", r"README\.md: its YAML head cannot be read: README\.md:1: not YAML: .*; mend it"),
    (
        b"",
        "---\ndataset_info: {features: [{name: objects, list: {class_label: {names: [1]}}}]}\n---\n",
        "no class names",
    ),
]


@pytest.mark.parametrize(("content", "card", "said"), NO_FOLDERS)
def test_what_is_no_imagefolder_is_one_line(content, card, said, tmp_path):
    (tmp_path / "README.md").write_text(card)
    (tmp_path / "metadata.jsonl").write_bytes(content)
    with pytest.raises(BadDataset, match=said) as caught:
        imagefolder.read(tmp_path)
    assert "\n" not in str(caught.value)


def test_an_empty_folder_says_what_is_missing(tmp_path):
    with pytest.raises(BadDataset, match=r"no metadata\.jsonl there, nor in a folder in it"):
        imagefolder.read(tmp_path)
    with pytest.raises(BadDataset, match="no Parquet file there"):
        parquet.read(tmp_path)


# What is read: Parquet.


@pytest.fixture
def shards(sources, place, monkeypatch):
    """A dataset of three files of two pictures each, and what was meant."""
    monkeypatch.setattr(parquet, "GROUP_ROWS", 2)
    monkeypatch.setattr(parquet, "SHARD_BYTES", 1)
    clips = [torture.picture(sources, f"d/{i}.png", ring(), i) for i in range(6)]
    parquet.write(clips, ONTOLOGY, place)
    return clips, sorted((place / "data").iterdir())


def test_pictures_are_taken_out_on_request(shards, place, tmp_path):
    clips, _ = shards
    assert [got.path for got in parquet.read(place).clips] == [""] * 6
    for got, meant in zip(parquet_reading.read(place, tmp_path / "taken").clips, clips, strict=True):
        assert got.path == str(tmp_path / "taken" / meant.name)
        assert Path(got.path).read_bytes() == Path(meant.path).read_bytes()


def flip(content, at):
    return content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :]


DAMAGES = [  # what happens to the second of three files, what is told, how many pictures are left
    (lambda content: content[: len(content) // 2], "train-00001-of-00003.parquet: cannot be read as Parquet", 4),
    (lambda _: b"PAR1 is how it begins and ends PAR1", "00001-of-00003.parquet: cannot be read as Parquet", 4),
    (lambda content: flip(content, content.index(CODE.encode())), "00001-of-00003.parquet: rows 0 to 1: .*CRC", 4),
    (None, "train-00001-of-00003.parquet: is missing, with 0 others; get the dataset again", 4),
]


@pytest.mark.parametrize(("damage", "said", "left"), DAMAGES)
def test_a_damaged_file_is_told_and_the_others_read(damage, said, left, shards, place):
    _, files = shards
    if damage:
        files[1].write_bytes(damage(files[1].read_bytes()))
    else:
        files[1].unlink()
    reading = parquet.read(place)
    assert len(list(reading.clips)) == left
    (problem,) = reading.problems
    assert re.search(said, str(problem))


def table(path, **columns):
    import pyarrow as pa
    from pyarrow.parquet import write_table

    write_table(pa.table(columns), path)
    return path


def test_a_file_that_datasets_wrote(tmp_path, sources):
    """Somebody's own columns: no size, no file name, pictures without a path; ClassLabel in an older form of list."""
    from datasets import ClassLabel, Dataset, Features, Image, List, Value

    objects = {"category": List(ClassLabel(names=["cat", "dog"])), "bbox": List(List(Value("float64"), length=4))}
    content = Path(torture.picture(sources, "a.png", ring()).path).read_bytes()
    rows = [{"image": {"bytes": content, "path": None}, "objects": {"category": [1], "bbox": [[1, 1, 2, 2]]}}] * 2
    Dataset.from_list(rows, Features({"image": Image(), "objects": objects})).to_parquet(tmp_path / "x.parquet")
    reading = parquet_reading.read(tmp_path / "x.parquet", tmp_path / "taken")
    clips = list(reading.clips)
    assert reading.problems == []
    assert reading.names == {0: "cat", 1: "dog"}
    assert [(c.name, c.frames[0].size_hw) for c in clips] == [("x/00000000", (4, 5)), ("x/00000001", (4, 5))]
    assert clips[1].found[0].boxes_xyxy.tolist() == [[1, 1, 3, 3]]
    assert (tmp_path / "taken/x/00000001").read_bytes() == content


NO_PARQUET = [
    (b"", "cannot be read as Parquet"),
    (b"a,b\n1,2\n", "cannot be read as Parquet: .*magic bytes"),
    (b"PAR1" + b"\x00" * 100 + b"\xff\xff\xff\x7fPAR1", "cannot be read as Parquet"),
]


@pytest.mark.parametrize(("content", "said"), NO_PARQUET)
def test_what_is_no_parquet_is_one_line(content, said, tmp_path):
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(BadDataset, match=said) as caught:
        parquet.read(tmp_path)
    assert "\n" not in str(caught.value)


def test_wrong_columns_are_told(tmp_path):
    table(tmp_path / "a.parquet", x=[1], label=["dog"])
    with pytest.raises(BadDataset, match=r"a\.parquet: has no column 'objects' \(it has x, label\)"):
        parquet.read(tmp_path)
    table(tmp_path / "a.parquet", objects=[1])
    with pytest.raises(BadDataset, match=r"no class names; the file or README\.md has them, as ClassLabel"):
        parquet.read(tmp_path)


def test_odd_types_are_told_row_by_row(tmp_path):
    (tmp_path / "README.md").write_text(CARD)
    table(
        tmp_path / "a.parquet",
        file_name=["a.png", "b.png", "c.png"],
        width=[5, 5, None],
        height=[4, 4, None],
        objects=[{"category": [dt.date(2020, 1, 1)], "id": [b"\xff"], "bbox": [b"no"]}, None, None],
    )
    reading = parquet.read(tmp_path)
    assert [(c.name, len(c.found[0])) for c in reading.clips] == [("a.png", 0), ("b.png", 0)]
    assert [str(problem) for problem in reading.problems] == [
        "a.parquet: row 0: object 0: category is datetime.date(2020, 1, 1); make it a whole number",
        "a.parquet: row 2: has no width, and the picture does not tell: empty_file; give width and height",
    ]


def test_more_than_the_file_can_hold_is_not_looked_at(tmp_path, monkeypatch):
    (tmp_path / "README.md").write_text(CARD)
    none = [None] * 100_000
    table(tmp_path / "a.parquet", file_name=none, objects=none)
    with pytest.raises(BadDataset, match="says that it has 100000 rows, which it cannot have"):
        parquet.read(tmp_path)
    for limit, said in (("OBJECTS_BYTES", "of objects in a few rows"), ("GROUP_BYTES", "in one row group")):
        monkeypatch.setattr(parquet_reading, limit, 10)
        table(tmp_path / "a.parquet", file_name=["a.png"], objects=[{"category": [1] * 11}])
        reading = parquet.read(tmp_path)
        assert list(reading.clips) == []
        (problem,) = reading.problems
        assert re.fullmatch(rf"a\.parquet: rows 0 to 0: \d+ bytes {said}; at most 10 are read; write .*", str(problem))


# Any bytes.

MODEST = settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])


def survives(format_, path, content, card=CARD):
    """Reading gives records or one of our errors, whatever the bytes are."""
    path.parent.mkdir(exist_ok=True)
    (path.parent / "README.md").write_text(card, errors="surrogateescape")
    path.write_bytes(content)
    try:
        for got in format_.read(path).clips:
            got.digest()
    except BadDataset:
        pass


@MODEST
@given(content=st.binary(max_size=300), end=st.sampled_from([b"", b"PAR1"]))
def test_any_bytes(format_, tmp_path_factory, content, end):
    name = "metadata.jsonl" if format_ is imagefolder else "a.parquet"
    survives(format_, tmp_path_factory.getbasetemp() / "any" / name, end + content + end)


@MODEST
@given(seed=st.integers(0, 10**6), changes=st.integers(1, 20))
def test_damaged_lines_and_cards(tmp_path_factory, seed, changes):
    path, dice = tmp_path_factory.getbasetemp() / "damaged" / "metadata.jsonl", random.Random(seed)
    rows = [item(score=[0.5], bbox=[[0, 0, 4, 3]], id=[1], attributes=['{"a": 1}']), item() | {"file_name": "b.png"}]
    content, card = bytearray("\n".join(map(json.dumps, rows)).encode()), bytearray(CARD.encode())
    for _ in range(changes):
        for text in (content, card) if dice.random() < 0.3 else (content,):
            text[dice.randrange(len(text))] = dice.choice(b'0123456789-.,:[]{}"ntfeE\\ `~&*!|>\n\xff')
    survives(imagefolder, path, bytes(content), card.decode("utf-8", "surrogateescape"))


@MODEST
@given(seed=st.integers(0, 10**6), changes=st.integers(1, 5))
def test_damaged_parquet(tmp_path_factory, seed, changes):
    folder, dice = tmp_path_factory.getbasetemp() / "parquet", random.Random(seed)
    if not folder.exists():
        (folder / "sources").mkdir(parents=True)
        parquet.write([torture.picture(folder / "sources", "a.png", ring())], ONTOLOGY, folder)
    content = bytearray((folder / "data/train-00000-of-00001.parquet").read_bytes())
    for _ in range(changes):
        at = dice.randrange(len(content) - 20)
        if dice.random() < 0.8:
            content[at] = dice.choice([content[at] ^ 1 << dice.randrange(8), dice.randrange(256)])
        else:
            del content[at : at + dice.randrange(1, 9)]
    survives(parquet, folder / "one" / "a.parquet", bytes(content))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)
FIELDS = st.sampled_from(["id", "category", "bbox", "segmentation", "score", "attributes", "iscrowd"])


@MODEST
@given(fields=st.dictionaries(FIELDS, st.lists(JSON, min_size=1, max_size=1) | JSON, max_size=3))
def test_no_object_gets_past_unchecked(tmp_path_factory, fields):
    clips, reading = read(tmp_path_factory.getbasetemp(), item(**fields))
    assert sum(len(c.found[0]) for c in clips) + len(reading.problems) >= 1 or "category" in fields
    for got in clips:
        got.digest()
