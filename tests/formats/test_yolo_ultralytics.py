"""What ultralytics makes of our files. It is AGPL-3.0, in an environment of its own, and only tests use it."""

import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torture
from drawing import square

from pipeline import masks
from pipeline.formats import yolo
from pipeline.formats.yolo_files import label_of
from pipeline.records import Instances


@pytest.fixture(scope="module")
def ultralytics(tmp_path_factory):
    """The library, told to fetch and install nothing."""
    alone = {"YOLO_AUTOINSTALL": "false", "YOLO_OFFLINE": "1", "YOLO_VERBOSE": "false"}
    os.environ |= alone | {"YOLO_CONFIG_DIR": str(tmp_path_factory.mktemp("ultralytics"))}
    return pytest.importorskip("ultralytics", reason="ultralytics is in an environment of its own: see .ci/run")


@pytest.fixture(scope="module")
def meant(tmp_path_factory):
    """The torture set, and pictures with the same object many times and with speckles."""
    folder = tmp_path_factory.mktemp("pictures")
    twins = [square(2, 3, 9, 8, torture.SIZE_HW)] * 20
    rng = np.random.default_rng(0)
    noise = [masks.encode(rng.random(torture.SIZE_HW) < share) for share in (0.002, 0.1, 0.5, 0.9)]
    more = [
        torture.picture(folder, "0 twins.png", torture.found(twins), 200),
        torture.picture(folder, "0 noise.png", torture.found(noise), 201),
    ]
    return sorted([*torture.clips(folder), *more], key=lambda clip: clip.name)


@pytest.fixture(scope="module", params=["seg", "box"])
def dataset(request, meant, ultralytics, tmp_path_factory):
    """A dataset that was moved after it was written, and what ultralytics, started elsewhere, says of its data.yaml."""
    from ultralytics.data.utils import check_det_dataset

    format_ = {"seg": yolo.YOLO_SEG, "box": yolo.YOLO_BOX}[request.param]
    written = tmp_path_factory.mktemp("written") / "dataset"
    written.mkdir()
    format_.write(iter(meant), torture.ontology(), written)
    place = tmp_path_factory.mktemp("images and labels") / "moved"
    shutil.move(written, place)
    before = os.getcwd()  # noqa: PTH109
    os.chdir(tmp_path_factory.mktemp("elsewhere"))
    try:
        yield request.param, place, check_det_dataset(place / "data.yaml", autodownload=False)
    finally:
        os.chdir(before)


def test_names_are_as_they_were(dataset):
    assert dataset[2]["names"] == dict(enumerate(torture.CLASSES))


def test_every_picture_and_label_passes(dataset, meant):
    from ultralytics.data.utils import img2label_paths, verify_image_label

    _, place, data = dataset
    for clip in meant:
        picture = str(place / "images" / clip.name)
        (label,) = img2label_paths([picture])
        assert label == label_of(picture)
        answer = verify_image_label((picture, label, "", False, len(data["names"]), 0, 0, False))
        file, rows, size_hw, *_, missing, found, empty, corrupt, message = answer
        assert (file, message) == (picture, "")
        assert (missing, found, empty, corrupt) == (0, 1, len(clip.found[0]) == 0, 0)
        assert len(rows) == len(clip.found[0])
        assert size_hw == clip.frames[0].size_hw
        assert (rows[:, 3:] > 0).all()  # no box without an area


def labels_of(dataset):
    """The labels as ultralytics' own dataset has them, by name of the picture."""
    from ultralytics.data.dataset import YOLODataset

    kind, place, data = dataset
    task = "segment" if kind == "seg" else "detect"
    read = YOLODataset(img_path=data["train"], data=data, task=task, augment=False, imgsz=64)
    return {os.path.relpath(label["im_file"], place / "images"): label for label in read.get_labels()}


def test_as_many_instances_are_loaded_as_were_written(dataset, meant):
    labels = labels_of(dataset)
    classes = {name: number for number, name in enumerate(torture.CLASSES)}
    assert set(labels) == {clip.name for clip in meant}
    for clip in meant:
        loaded, found = labels[clip.name], clip.found[0]
        assert sorted(loaded["cls"].reshape(-1).tolist()) == sorted(classes[name] for name in found.names)
        assert len(loaded["segments"]) == (len(found) if dataset[0] == "seg" else 0)


def test_it_draws_the_masks_that_we_read(dataset):
    from ultralytics.data.utils import polygon2mask

    kind, place, _ = dataset
    if kind == "box":
        pytest.skip("boxes are not drawn")
    labels = labels_of(dataset)
    for clip in yolo.read(place).clips:
        h, w = clip.frames[0].size_hw
        segments = labels[clip.name]["segments"]
        drawn = [polygon2mask((h, w), [(segment * (w, h)).reshape(-1)]) for segment in segments]
        assert sorted(masks.encode(mask > 0) for mask in drawn) == sorted(codes(clip.found[0]))


def codes(found: Instances):
    return list(found.masks or ())


def test_a_fault_would_be_seen(dataset, meant, tmp_path):
    """The check that passed says which label it does not take."""
    from ultralytics.data.utils import verify_image_label

    _, place, data = dataset
    picture, label = str(place / "images" / "0 twins.png"), place / "labels" / "0 twins.txt"
    rows = label.read_text().splitlines()
    for lines, said in [
        ([rows[0], rows[0]], "1 duplicate labels removed"),
        ([*rows, "0 0.5 0.5 0.5"], "ignoring corrupt"),
        (["99" + rows[0][1:]], "Label class 99 exceeds dataset class count"),
    ]:
        spoiled = tmp_path / "a.txt"
        spoiled.write_text("\n".join(lines))
        answer = verify_image_label((picture, str(spoiled), "", False, len(data["names"]), 0, 0, False))
        assert said in answer[-1]


def test_sides_are_what_it_trains_and_validates_on(meant, ultralytics, tmp_path):
    from ultralytics.data.dataset import YOLODataset
    from ultralytics.data.utils import check_det_dataset

    sides = ("train", "val", "test")
    clips = [replace(clip, side=sides[at % 3]) for at, clip in enumerate(meant)]
    yolo.YOLO_SEG.write(iter(clips), torture.ontology(), tmp_path)
    data = check_det_dataset(tmp_path / "data.yaml", autodownload=False)
    for side in sides:
        read = YOLODataset(img_path=data[side], data=data, task="segment", augment=False, imgsz=64)
        loaded = {os.path.relpath(label["im_file"], tmp_path / "images" / side): label for label in read.get_labels()}
        assert {name: len(label["cls"]) for name, label in loaded.items()} == {
            clip.name: len(clip.found[0]) for clip in clips if clip.side == side
        }
