import io
import json
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest
from drawing import clip, drawn, instances, square

from pipeline import masks
from pipeline.errors import BadRecord
from pipeline.formats import coco
from pipeline.ontology import Category, Ontology
from pipeline.records import Clip, Frame, clip_id

ONTOLOGY = Ontology([Category(name="cat"), Category(name="bird", retired=True), Category(name="dog")])

SHAPES = {
    "disc": drawn(".....", ".###.", ".###.", ".###."),
    "ring": drawn("####.", "#..#.", "#..#.", "####."),
    "two parts": drawn("##...", "##...", "...##", "...##"),
    "one pixel": drawn(".....", ".....", "...#.", "....."),
    "a line": drawn("..#..", "..#..", "..#..", "..#.."),
    "full frame": drawn("#####", "#####", "#####", "#####"),
    "last pixel": drawn(".....", ".....", ".....", "....#"),
    "checkerboard": drawn("#.#.#", ".#.#.", "#.#.#", ".#.#."),
}
NAMES = ["a.png", "A.png", "día 1/ünï 'q\" #%.png", "犬/🐕.png", "line\nbreak.png", "z/a.png"]


def every_shape(**columns):
    codes = [masks.encode(shape) for shape in SHAPES.values()]
    boxes = [(0, 0, 5, 4)] * len(codes)
    return instances(boxes, size_hw=(4, 5), masks=codes, **columns)


def picture(folder, name, *found, size_hw=(4, 5), rewrite=None):
    """A clip whose picture is on the disk: black, of the size given."""
    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", size_hw[::-1]).save(file, "PNG")
    content = file.getvalue() + name.encode()  # a decoder stops before; the bytes are its own
    path = folder / clip_id(content)
    path.write_bytes(content)
    return Clip(clip_id(content), name, str(path), (Frame(0, 0.0, size_hw),), rewrite, found)


@pytest.fixture
def written(tmp_path):
    """A dataset of every shape under every name, and what was meant."""
    sources, place = tmp_path / "sources", tmp_path / "coco"
    sources.mkdir()
    place.mkdir()
    clips = [picture(sources, name, every_shape()) for name in sorted(NAMES)]
    coco.write(iter(clips), ONTOLOGY, place)
    return clips, place


def opened(path):
    """The file as pycocotools opens it."""
    from pycocotools.coco import COCO

    with redirect_stdout(io.StringIO()):
        return COCO(str(path))


def annotations(clips, tmp_path, ontology=ONTOLOGY):
    path = tmp_path / "out.json"
    coco.write_annotations(iter(clips), ontology, path)
    return json.loads(path.read_text("ascii"))


def test_what_is_written_reads_back_the_same(written):
    clips, place = written
    reading = coco.read(place)
    again = list(reading.clips)
    assert [c.name for c in again] == sorted(NAMES)
    assert reading.names == {1: "cat", 3: "dog"}
    assert reading.problems == []
    for meant, got in zip(clips, again, strict=True):
        assert got.frames == meant.frames
        assert got.found[0].names == meant.found[0].names
        assert got.found[0].masks == meant.found[0].masks
        assert got.found[0].scores.tolist() == meant.found[0].scores.tolist()
        assert got.found[0].boxes_xyxy.tolist() == [list(masks.box(m, (4, 5))) for m in meant.found[0].masks]


def test_pictures_keep_their_bytes(written):
    clips, place = written
    for meant, got in zip(clips, coco.read(place).clips, strict=True):
        assert Path(got.path).read_bytes() == Path(meant.path).read_bytes()


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' own
def test_pycocotools_sees_every_pixel(written):
    _, place = written
    dataset = opened(place / "annotations/instances_default.json")
    assert sorted(dataset.anns) == list(range(1, len(NAMES) * len(SHAPES) + 1))
    for shape, annotation in zip(
        list(SHAPES.values()) * len(NAMES), dataset.loadAnns(sorted(dataset.anns)), strict=True
    ):
        assert (dataset.annToMask(annotation) == shape).all()
        assert annotation["area"] == shape.sum()
        assert annotation["iscrowd"] == 0


def test_against_itself_pycocotools_counts_every_annotation(written):
    from pycocotools.cocoeval import COCOeval

    _, place = written
    truth = opened(place / "annotations/instances_default.json")
    with redirect_stdout(io.StringIO()):
        found = truth.loadRes([dict(annotation) for annotation in truth.dataset["annotations"]])
        judge = COCOeval(truth, found, "segm")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    everywhere = [image for image in judge.evalImgs if image and image["aRng"] == [0, 1e10]]
    assert judge.stats[0] == pytest.approx(1, abs=1e-9)
    assert sum((image["gtIgnore"] == 0).sum() for image in everywhere) == len(truth.anns)


def test_supervision_reads_the_same_masks(written):
    import supervision as sv

    _, place = written
    dataset = sv.DetectionDataset.from_coco(
        str(place / "images"), str(place / "annotations/instances_default.json"), force_masks=True
    )
    assert len(dataset) == len(NAMES)
    for _, _, detections in dataset:
        assert (np.asarray(detections.mask) == np.stack(list(SHAPES.values()))).all()
        assert [dataset.classes[number] for number in detections.class_id] == ["dog"] * len(SHAPES)


@pytest.mark.parametrize("language", ["C", "C.UTF-8"])
def test_any_locale_loads_it(written, language):
    code = "import json, sys; print(len(json.load(open(sys.argv[1]))['images']))"
    environment = {"LC_ALL": language, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    asked = [sys.executable, "-c", code, str(written[1] / "annotations/instances_default.json")]
    assert (
        subprocess.run(asked, env=environment, capture_output=True, text=True, check=True).stdout == f"{len(NAMES)}\n"
    )


def test_an_annotation_says_where_it_comes_from(tmp_path):
    found = instances(
        [(1.25, 1, 5, 5.5)],
        masks=[square(1, 2, 4, 6)],
        names=["cat"],
        scores=[0.9],
        score_kind=["class probability"],
        prompts=["a cat"],
        source=["fake"],
        quality=[[0.5, np.nan, 0.75]],
        extra=[{"weather": "rain"}],
    )
    (annotation,) = annotations([clip(found)], tmp_path)["annotations"]
    assert annotation == {
        "id": 1,
        "image_id": 1,
        "category_id": 1,
        "segmentation": {"size": [20, 30], "counts": square(1, 2, 4, 6).decode()},
        "bbox": [1, 2, 3, 4],
        "area": 12,
        "iscrowd": 0,
        "score": 0.9,
        "attributes": {
            "detector_box": [1.25, 1, 5, 5.5],
            "prompt": "a cat",
            "quality": {"agreement": 0.75, "iou": 0.5},
            "score_kind": "class probability",
            "source": "fake",
            "weather": "rain",
        },
    }
    assert list(annotation["attributes"]) == sorted(annotation["attributes"])


def test_a_crowd_stays_one(tmp_path):
    found = instances(masks=[square(1, 1, 5, 5)], extra=[{"iscrowd": 1}], scores=None)
    (annotation,) = annotations([clip(found)], tmp_path)["annotations"]
    assert annotation["iscrowd"] == 1
    assert "iscrowd" not in annotation["attributes"]
    assert "score" not in annotation


def test_numbers_are_ranks_of_exported_names(tmp_path):
    two = instances([(0, 0, 4, 4), (5, 5, 9, 9)], masks=[square(0, 0, 4, 4), square(5, 5, 9, 9)])
    one = instances(masks=[square(1, 1, 5, 5)])
    clips = [clip(two, name="b.jpg"), clip(name="c.jpg"), clip(one, name="a.jpg")]
    data = annotations(clips, tmp_path)
    assert [(i["id"], i["file_name"]) for i in data["images"]] == [(1, "a.jpg"), (2, "b.jpg"), (3, "c.jpg")]
    assert [(a["id"], a["image_id"], a["bbox"][0]) for a in data["annotations"]] == [(1, 1, 1), (2, 2, 0), (3, 2, 5)]


def test_a_picture_written_anew_gives_way(tmp_path):
    place = tmp_path / "coco"
    place.mkdir()
    clips = [
        picture(tmp_path, "a.gif", every_shape(), rewrite="animation"),
        picture(tmp_path, "a.gif.png", every_shape()),
    ]
    coco.write(clips, ONTOLOGY, place)
    assert [c.name for c in coco.read(place).clips] == ["2/a.gif.png", "a.gif.png"]
    assert sorted(p.relative_to(place).as_posix() for p in place.rglob("*.png")) == [
        "images/2/a.gif.png",
        "images/a.gif.png",
    ]


def test_the_same_records_give_the_same_bytes_one_annotation_a_line(tmp_path):
    for path in (tmp_path / "1.json", tmp_path / "2.json"):
        coco.write_annotations([clip(every_shape(), name=name) for name in NAMES], ONTOLOGY, path)
    first, second = ((tmp_path / name).read_bytes() for name in ("1.json", "2.json"))
    assert first == second
    assert sum(line.startswith(b'{"id": ') and b"segmentation" in line for line in first.splitlines()) == 48


def test_nothing_to_write_is_a_dataset_too(tmp_path):
    coco.write([], ONTOLOGY, tmp_path)
    assert (tmp_path / "images").is_dir()
    assert opened(tmp_path / "annotations/instances_default.json").dataset["annotations"] == []
    assert list(coco.read(tmp_path).clips) == []


EMPTY = masks.encode(np.zeros((20, 30), bool))


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({}, "dog/0.*a.jpg.*has no mask"),  # no masks at all
        ({"masks": [None]}, "dog/0.*has no mask"),  # none in this row
        ({"masks": [EMPTY]}, "dog/0.*has no mask"),  # one without a pixel
        ({"masks": [square(1, 1, 5, 5)], "names": ["fox"]}, "fox/0.*'fox' is no class that is exported"),
        ({"masks": [square(1, 1, 5, 5)], "names": ["bird"]}, "bird/0.*is no class"),  # retired
    ],
)
def test_a_row_that_cannot_be_exported_is_named(columns, said, tmp_path):
    with pytest.raises(BadRecord, match=said):
        annotations([clip(instances(**columns))], tmp_path)


def test_a_film_is_refused(tmp_path):
    film = Clip("f", "f.mp4", "f.mp4", (Frame(0, 0.0, (4, 5)), Frame(1, 0.1, (4, 5))))
    with pytest.raises(BadRecord, match=r"f.mp4: a film; this format has pictures only"):
        annotations([film], tmp_path)
