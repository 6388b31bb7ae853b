"""ultralytics' `auto_annotate` on our engine: the same files, with the right classes."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from driving import save_pictures

from pipeline import masks, toyworld
from pipeline.errors import BadRecord, ConfigError, ModelMissing
from pipeline.formats.coco import read
from pipeline.formats.yolo_rows import objects
from pipeline.ultralytics import auto_annotate, write_labels

WORDS = "circle, square, ring"
TINY = {"options": {"detect.backend": "grounding"}, "det_model": "tiny-owlv2", "sam_model": "tiny-sam2"}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    place = tmp_path_factory.mktemp("scenes")
    toyworld.write(place, seed=5, count=5)
    return place


def labels(place):
    return {path.name: path.read_text() for path in sorted(Path(place).glob("*.txt"))}


def numbers(place):
    return {int(line.split()[0]) for text in labels(place).values() for line in text.splitlines()}


def test_polygons_of_the_right_class(scenes):
    auto_annotate(scenes / "images", output_dir="out", ontology=WORDS, conf=0.3, **TINY)
    names = dict(enumerate(WORDS.split(", ")))
    ious = []
    for clip in read(scenes / "truth.json").clips:
        (true,), path = clip.found, Path("out", clip.name).with_suffix(".txt")
        if path.is_file():
            found = objects(path, path.name, true.size_hw, names, problems := [])
            assert problems == []
            overlap = masks.iou(found.masks, true.masks, true.size_hw)
            ious += [
                max([iou for iou, other in zip(row, true.names, strict=True) if other == name], default=0)
                for row, name in zip(overlap, found.names, strict=True)
            ]
    assert len(ious) > 4
    assert np.median(ious) > 0.9


def test_where_labels_go_and_that_numbers_stay(scenes):
    run = auto_annotate(scenes / "images", ontology=WORDS, classes=[2], **TINY)
    place = scenes / "images_auto_annotate_labels"
    assert (run.place, run.classes) == (place / "masklet", ["ring"])
    assert numbers(place) == {2}
    before = labels(place)
    auto_annotate(scenes / "images", ontology=WORDS, classes=[0, 2], **TINY)
    assert numbers(place) == {0, 2}
    auto_annotate(scenes / "images", ontology=WORDS, classes=[2], **TINY)  # files of pictures that have nothing go
    assert labels(place) == before


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: auto_annotate("photos", "no.onnx", "tiny-sam2"), ModelMissing, "no.onnx: no such file"),
        (lambda: auto_annotate("photos", "no.pt", "tiny-sam2"), ModelMissing, "no.pt: no such file"),
        (lambda: auto_annotate("photos", **TINY), ConfigError, "tiny-owlv2: is asked by words; say them: ontology="),
        (lambda: auto_annotate("photos", ontology="a, b", classes=[2], **TINY), ConfigError, "the model has 0 to 1"),
        (lambda: auto_annotate("nowhere", ontology="a", **TINY), ConfigError, "nowhere: no such file or folder"),
    ],
)
def test_errors_are_ours(call, error, said):
    save_pictures(Path("photos"), ["a.png"])
    with pytest.raises(error, match=said):
        call()


@pytest.mark.parametrize(("one", "other"), [("0 0 0\n", ""), ("", "0 0 0\n"), ("0 0 0\n", "0 1 1\n")])
def test_two_pictures_of_one_name_do_not_undo_each_other(one, other):
    with pytest.raises(BadRecord, match=r"out/a.txt: two pictures would have this file of labels; rename one"):
        write_labels([("a.txt", one), ("a.txt", other)], Path("out"))
    assert labels("out") == ({"a.txt": one} if one else {})


def test_a_pickle_is_opened_only_if_it_is_allowed():
    save_pictures(Path("photos"), ["a.png"])
    Path("model.pt").write_bytes(b"x")
    with pytest.raises(ModelMissing, match=r"a \.pt file is a pickle, which can run any code"):
        auto_annotate("photos", "model.pt", "tiny-sam2")


def counted(place):
    return Counter(int(line.split()[0]) for text in labels(place).values() for line in text.splitlines())


def test_the_classes_of_a_yolo_are_those_that_its_file_says():
    pytest.importorskip("ultralytics", reason="pip install 'masklet[yolo]'")
    import random_yolo

    save_pictures(Path("photos"), ["a.png", "b.png"], (64, 64))
    how = {"sam_model": "tiny-sam2", "imgsz": 64, "options": {"detect.allow_pickle": True}}
    run = auto_annotate("photos", str(random_yolo.saved()), output_dir="out", **how)
    assert run.classes == list(random_yolo.NAMES)
    said = Counter(run.classes.index(name) for clip in run for name in clip.found[0].names)
    assert counted("out") == said
    assert len(said) > 1
    auto_annotate("photos", str(random_yolo.saved()), output_dir="some", classes=[2], **how)
    assert set(counted("some")) == {2}


@pytest.mark.slow
def test_the_classes_of_coco_by_yolox(shared_data):
    """64 photos: what is labelled has the number that COCO's 80 classes have, counted from 0."""
    from pipeline.detectors.coco_names import COCO_NAMES

    how = {"options": {"detect.backend": "yolox", "segment.backend": "grabcut"}, "conf": 0.5}
    model = str(shared_data / "models/yolox_nano/yolox_nano.onnx")
    run = auto_annotate(shared_data / "coco64/images", model, output_dir="out", **how)
    assert counted("out") == Counter(COCO_NAMES.index(name) for clip in run for name in clip.found[0].names)
    assert len(counted("out")) > 20
