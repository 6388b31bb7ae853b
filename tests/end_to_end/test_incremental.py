"""What was computed is not computed again: the table of docs/architecture.md, run for real with backends that count."""

import os
import random
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from counting import LOG
from driving import annotations, dataset, handed, masklet, save_pictures

from pipeline import engine, media, pixels, stages, yamls
from pipeline.config import from_document
from pipeline.detectors.coco_names import COCO_NAMES
from pipeline.formats import coco

PICTURES = 5
NAMES = [f"p{number}.png" for number in range(PICTURES)]
WORDS = ("a dog", "a cat", "a kitten", "a bird")
"""By the fake detector's scores 0.63, 0.90, 0.68 and 0.92 in every picture: the threshold below keeps three."""
BOXES = 3
PETS = {"dog": ["a dog"], "cat": ["a cat", "a kitten"], "bird": ["a bird"]}
BASE = {
    "source": {"path": "pictures"},
    "ontology": PETS,
    "detect": {"backend": "counting:Detector"},
    "select": {"threshold": 0.65},
    "segment": {"backend": "counting:Segmenter"},
    "run": {"keep_pages": False},
}


def configured(*changes):
    """The base configuration with some of its keys changed; an ontology is replaced as a whole."""
    data = {name: dict(section) for name, section in BASE.items()}
    for change in changes:
        for name, section in change.items():
            data[name] = dict(section) if name == "ontology" else data.get(name, {}) | section
    return from_document(yamls.Document("test", data))


def run(*changes, out="run", reuse=(), limit=None):
    """Run, and say what that took: its summary, and what its models were handed."""
    Path(LOG).unlink(missing_ok=True)
    summary = engine.run(configured(*changes), Path(out), [Path(other) for other in reuse], limit)
    return summary, handed()


def computed(summary):
    """Pictures that went through detect, select, segment and dedupe."""
    return tuple(int(said["computed"]) for said in summary.stages.values())


def asked(lines):
    """Words that the detector was asked, each of how many pictures; and boxes that the segmenter was given."""
    words = Counter(word for line in lines if line["what"] == "detect" for word in line["asked"])
    return dict(words), sum(len(line["asked"]) for line in lines if line["what"] == "segment")


def of_all(*words):
    return dict.fromkeys(words, PICTURES)


@pytest.fixture
def pictures():
    save_pictures(Path("pictures"), NAMES)
    return Path("pictures")


@pytest.fixture
def finished(pictures):
    """A run that is done."""
    summary, lines = run()
    assert computed(summary) == (PICTURES,) * 4
    assert asked(lines) == (of_all(*WORDS), PICTURES * BOXES)
    return pictures


N = PICTURES


@pytest.mark.parametrize(
    ("change", "through", "words", "boxes"),
    [
        ({}, (0, 0, 0, 0), (), 0),  # the same command again
        ({"run": {"batch": 2, "threads": 1, "workers": 1}}, (0, 0, 0, 0), (), 0),  # how the work is done
        ({"dedupe": {"same_class_iou": 0.8}}, (0, 0, 0, N), (), 0),
        ({"select": {"threshold": 0.9}}, (0, N, N, N), (), 0),  # raised: fewer of the same boxes
        ({"select": {"threshold": 0.6}}, (0, N, N, N), (), 1),  # lowered: one box more, of the dog
        ({"ontology": PETS | {"dog": {"prompts": ["a dog"], "threshold": 0.1}}}, (0, N, N, N), (), 1),
        ({"ontology": {"cow": ["a cow"], **PETS}}, (N, N, N, N), ("a cow",), 1),  # a class inserted first
        ({"ontology": {"cow": {"retired": True}, **PETS}}, (0, 0, 0, 0), (), 0),  # numbers move, nothing else
        ({"ontology": {"bird": ["a bird"], **PETS}}, (0, 0, 0, 0), (), 0),  # another order
        ({"ontology": PETS | {"bird": {"prompts": ["a bird"], "id": 8}}}, (0, 0, 0, 0), (), 0),  # a number
        ({"ontology": {"hound": ["a dog"], "cat": PETS["cat"], "bird": PETS["bird"]}}, (N, N, N, N), (), 0),  # renamed
        ({"ontology": {"cat": ["a cat", "a kitten"], "bird": ["a bird"]}}, (N, N, N, N), (), 0),  # removed
        ({"ontology": PETS | {"cat": ["a cat", "a pig"]}}, (N, N, N, N), ("a pig",), 1),  # other words for a class
        ({"detect": {"inner": {"backend": "fake", "objects": 2}}}, (N, N, N, N), WORDS, 1),  # finds one box more
        ({"segment": {"inner": {"backend": "grabcut"}}}, (0, 0, N, N), (), BOXES),  # another segmenter
        ({"export": {"hard_link": True}}, (0, 0, 0, 0), (), 0),
    ],
)
@pytest.mark.usefixtures("finished")
def test_only_what_a_change_touches_is_computed(change, through, words, boxes):
    summary, lines = run(change)
    assert computed(summary) == through
    assert asked(lines) == (of_all(*words), N * boxes)
    opened = {line["what"] for line in lines if line["what"].startswith("open")}
    assert opened == {name for name, needed in {"open detect": words, "open segment": boxes}.items() if needed}


@pytest.mark.parametrize(
    ("stage", "through", "words", "boxes"),
    [
        (stages.Detect, (N, N, N, N), WORDS, 0),
        (stages.Select, (0, N, N, N), (), 0),
        (stages.Segment, (0, 0, N, N), (), BOXES),
        (stages.Dedupe, (0, 0, 0, N), (), 0),
        (media, (N, N, N, N), WORDS, BOXES),  # how pictures are decoded
    ],
)
@pytest.mark.usefixtures("finished")
def test_a_raised_version_costs_its_stage_and_what_follows(monkeypatch, stage, through, words, boxes):
    before = COCO.stat().st_ino
    monkeypatch.setattr(stage, "VERSION", stage.VERSION + 1)
    summary, lines = run()
    assert computed(summary) == through
    assert asked(lines) == (of_all(*words), N * boxes)
    assert COCO.stat().st_ino == before
    assert computed(run()[0]) == (0, 0, 0, 0)


COCO = Path("run/dataset/coco/annotations/instances_default.json")


@pytest.mark.usefixtures("finished")
def test_a_raised_version_of_a_format_costs_the_dataset_alone(monkeypatch):
    before = COCO.stat().st_ino
    monkeypatch.setattr(coco, "COCO", replace(coco.COCO, version=coco.COCO.version + 1))
    summary, lines = run()
    assert (computed(summary), lines) == ((0, 0, 0, 0), [])
    assert COCO.stat().st_ino != before


def test_ten_pictures_added_cost_ten(finished):
    save_pictures(finished, [f"new/{number}.png" for number in range(10)], first=100)
    summary, lines = run()
    assert computed(summary) == (10,) * 4
    assert {line["name"] for line in lines if "name" in line} == {f"new/{number}.png" for number in range(10)}
    assert len(annotations("run")["images"]) == PICTURES + 10


def test_a_picture_taken_away_and_put_back_costs_nothing(finished):
    shutil.move(finished / NAMES[0], "elsewhere.png")
    assert computed(run()[0]) == (0,) * 4
    assert len(annotations("run")["images"]) == PICTURES - 1
    shutil.move("elsewhere.png", finished / NAMES[0])
    assert computed(run()[0]) == (0,) * 4
    assert len(annotations("run")["images"]) == PICTURES


def labels(run_folder):
    """What is said of each picture, by its bytes: class and box of every object, in order."""
    said = annotations(run_folder)
    names = {category["id"]: category["name"] for category in said["categories"]}
    content = {image["id"]: dataset(run_folder)[f"images/{image['file_name']}"] for image in said["images"]}
    return sorted((content[a["image_id"]], names[a["category_id"]], a["bbox"]) for a in said["annotations"])


@pytest.mark.parametrize(
    ("detect", "words"),
    [
        ({"knows": [*WORDS, "a cow"]}, ()),  # a closed set: it answers with all that it knows
        ({}, ("a cow",)),  # each word is a question of its own
        ({"backend": "counting:AllAtOnce"}, (*WORDS, "a cow")),  # all words are one question
    ],
)
def test_files_renamed_and_a_class_inserted_first(pictures, detect, words):
    run({"detect": detect})
    before = labels("run")
    assert len(before) == PICTURES * BOXES
    for number, name in enumerate(reversed(NAMES)):
        (pictures / name).rename(pictures / f"renamed {number}.png")
    pictures.rename("moved")
    with_cow = {"cow": {"prompts": ["a cow"], "max_area_fraction": 1e-9}, **PETS}
    _, lines = run({"source": {"path": "moved"}, "detect": detect, "ontology": with_cow})
    assert asked(lines)[0] == of_all(*words)
    assert labels("run") == before
    assert [category["name"] for category in annotations("run")["categories"]] == ["cow", "dog", "cat", "bird"]


# The same bytes, however it came about


@pytest.fixture
def mixed():
    """Ten pictures in folders, and an eleventh file with the bytes of one; one picture is written anew."""
    save_pictures(Path("pictures"), [*NAMES, "b/p0.png", "a/x.png", "a/deeper/x.png", "z.png"])
    shutil.copy("pictures/z.png", "pictures/a/same.png")
    rgba = pixels.pillow().new("RGBA", (40, 30), (200, 30, 30, 128))
    rgba.save("pictures/half transparent.png")
    return Path("pictures")


def shuffled_walk(monkeypatch):
    """Folders that are listed in another order, as other disks do."""
    dice, walk = random.Random(7), os.walk

    def walked(root, **how):
        for folder, folders, names in walk(root, **how):
            dice.shuffle(folders)
            yield folder, folders, dice.sample(names, len(names))

    monkeypatch.setattr("pipeline.sources.os.walk", walked)


PLAIN = {"detect": {"backend": "fake"}, "segment": {"backend": "fake"}}


@pytest.mark.parametrize(("batch", "in_flight"), [(1, 1), (3, 4), (8, 1), (100, 2)])
@pytest.mark.usefixtures("mixed")
def test_the_same_bytes_in_batches_of_any_size(batch, in_flight):
    run(PLAIN, out="whole")
    run(PLAIN, {"run": {"batch": batch, "in_flight": in_flight}})
    assert dataset("run") == dataset("whole")
    assert len(annotations("run")["images"]) == 10


@pytest.mark.usefixtures("mixed")
def test_the_same_bytes_from_two_processes():
    run(PLAIN, out="whole")
    run(PLAIN, {"run": {"workers": 2, "batch": 2}})
    assert dataset("run") == dataset("whole")


@pytest.mark.usefixtures("mixed")
def test_the_same_bytes_from_folders_in_any_order(monkeypatch):
    run(PLAIN, out="whole")
    shuffled_walk(monkeypatch)
    run(PLAIN)
    assert dataset("run") == dataset("whole")


@pytest.mark.usefixtures("mixed")
def test_the_same_bytes_bit_by_bit():
    run(PLAIN, out="whole")
    for limit in (1, 4, None):
        run(PLAIN, {"select": {"threshold": 0.9}}, limit=limit)
    run(PLAIN)
    assert dataset("run") == dataset("whole")


@pytest.mark.usefixtures("mixed")
def test_the_same_bytes_from_what_another_run_knows():
    run(out="whole")
    run({"select": {"threshold": 0.9}}, out="other", limit=4)
    summary, lines = run(out="run", reuse=["other"])
    assert dataset("run") == dataset("whole")
    assert computed(summary) == (6, 10, 10, 10)  # four pictures were detected in the other run
    assert sum(line["what"] == "detect" for line in lines) == 6
    shutil.rmtree("other")  # what was used is copied
    assert computed(run(out="run")[0]) == (0,) * 4


@pytest.mark.parametrize("seed", ["1", "2"])
@pytest.mark.usefixtures("mixed")
def test_the_same_bytes_whatever_python_hashes(seed):
    run(PLAIN, out="whole")
    Path("test.yaml").write_text(configured(PLAIN).to_yaml({}), encoding="utf-8")
    result = masklet("run", "test.yaml", "--out", "run", env={**os.environ, "PYTHONHASHSEED": seed})
    assert result.returncode == 0, result.stderr
    assert dataset("run") == dataset("whole")


@pytest.fixture
def photos(shared_data):
    """Eight photos, and the real models over them."""
    pytest.importorskip("onnxruntime")
    for photo in sorted((shared_data / "coco64").rglob("*.jpg"))[:8]:
        Path("pictures").mkdir(exist_ok=True)
        shutil.copy(photo, "pictures")
    model = shared_data / "models/yolox_nano/yolox_nano.onnx"
    return {
        "detect": {"backend": "counting:Detector", "inner": {"backend": "yolox", "model": str(model)}},
        "segment": {"backend": "counting:Segmenter", "inner": {"backend": "grabcut"}},
        "ontology": dict.fromkeys(COCO_NAMES),
        "select": {"threshold": 0.3},
    }


def test_real_models_give_the_same_bytes_and_are_not_asked_twice(photos):
    run(photos, out="whole")
    assert len(annotations("whole")["annotations"]) > 8
    run(photos, {"run": {"workers": 2, "batch": 3}}, out="two")
    assert dataset("two") == dataset("whole")
    run(photos, {"select": {"threshold": 0.8}}, out="strict", reuse=["two"])
    fewer = labels("strict")
    assert 0 < len(fewer) < len(labels("whole"))
    summary, lines = run(photos, {"run": {"batch": 1}}, out="strict")
    assert dataset("strict") == dataset("whole")
    assert computed(summary)[0] == 0
    assert not [line for line in lines if line["what"] == "detect"]
