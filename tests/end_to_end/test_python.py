"""masklet from Python: what the README shows, the same as the command, and nothing printed."""

import gc
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import numpy as np
import pytest
from driving import here, save_pictures

import pipeline
from pipeline import masks, toyworld
from pipeline.api import Run, annotate, open_run
from pipeline.errors import ConfigError, MaskletError

TINY = {"detect.backend": "grounding", "detect.model": "tiny-owlv2", "segment.model": "tiny-sam2"}
FAKE = {"detect.backend": "fake", "segment.backend": "fake"}


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    """Scenes with their truth, and the run that the tiny models made of them."""
    place = tmp_path_factory.mktemp("toys")
    toyworld.write(place, seed=3, count=6)
    run = annotate(place / "images", "toyworld", out=place / "run", options=TINY)
    return place, run


def test_importing_the_package_costs_nothing():
    program = "import sys, pipeline; print({'numpy', 'pydantic', 'torch', 'cv2'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", program], text=True) == "set()\n"


def test_its_names():
    assert (pipeline.annotate, pipeline.Run, pipeline.open_run) == (annotate, Run, open_run)
    with pytest.raises(AttributeError, match="has no attribute 'anotate'"):
        pipeline.anotate  # noqa: B018


def truths(place):
    from pipeline.formats.coco import read

    return {clip.name: clip.found[0] for clip in read(place / "truth.json").clips}


def test_what_is_found_is_what_is_there(toys):
    place, run = toys
    truth = truths(place)
    ious = []
    for clip in run:
        (found,), true = clip.found, truth[clip.name]
        same = np.array([[a == b for b in true.names] for a in found.names])
        ious += list((masks.iou(found.masks, true.masks, true.size_hw) * same).max(axis=1))
    assert len(ious) > 15
    assert np.median(ious) > 0.9


def test_one_at_a_time_in_order_of_names(toys):
    place, run = toys
    names = sorted(path.name for path in (place / "images").iterdir())
    assert [clip.name for clip in run] == names
    assert (len(run), run[names[2]].name) == (6, names[2])
    with pytest.raises(KeyError, match="nobody"):
        run["nobody.png"]


def test_no_clip_is_held(toys):
    clips = iter(toys[1])
    held = weakref.ref(next(clips).found[0].boxes_xyxy)
    next(clips)
    gc.collect()
    assert held() is None


def test_supervision_has_the_same(toys):
    place, run = toys
    dataset = run.to_supervision()
    assert dataset.classes == run.classes == list(toyworld.ontology().names)
    assert len(dataset) == len(run)
    for path, picture, found in dataset:
        clip = run[Path(path).relative_to(place / "images").as_posix()]
        assert picture.shape[:2] == clip.found[0].size_hw
        assert [dataset.classes[number] for number in found.class_id] == list(clip.found[0].names)
        dense = run.detections(clip)
        assert (dense.class_id == found.class_id).all()
        assert (dense.mask == np.asarray(found.mask)).all()
        assert [masks.encode(mask) for mask in dense.mask] == list(clip.found[0].masks)
        assert (dense.xyxy == [masks.box(code, dense.mask.shape[1:]) for code in clip.found[0].masks]).all()


def test_films_frame_by_frame(tmp_path):
    toyworld.write_films(tmp_path, 1, 1, frames=8)
    run = annotate(
        tmp_path / "films", "toyworld", "demo", tmp_path / "run", options={"track.every": 4, "export.formats": ["coco"]}
    )
    film = next(iter(run))
    seen = [run.detections(film, number) for number in range(8)]
    assert film.is_film
    assert all(len(one.tracker_id) == len(one) for one in seen)
    assert sum(map(len, seen)) > 8
    assert len(run.to_supervision()) == 0


def test_the_same_call_again_does_nothing_and_a_command_goes_on_with_it(toys):
    place, _ = toys
    again = annotate(place / "images", "toyworld", out=place / "run", options=TINY)
    assert {stage["computed"] for stage in again.summary["stages"].values()} == {0}
    words = [f"{key}={value}" for key, value in TINY.items()]
    said = here("plan", place / "images", "--ontology", "toyworld", "--out", place / "run", *words)
    assert "nothing to do" in said.stdout


def test_where_a_run_lives_unless_told():
    save_pictures(Path("photos"), ["a.png"])
    assert annotate("photos", "dog", options=FAKE).place == Path("outputs/photos")
    assert annotate("photos", "dog", "grounding_dino_sam2", options=FAKE).place == Path("outputs/grounding_dino_sam2")
    assert len(open_run("outputs/photos")) == 1


@pytest.mark.parametrize(
    "ontology",
    [
        "dog, cat",
        {"dog": ["a dog", "a puppy"], "cat": {"threshold": 0.2}},
        toyworld.ontology(),
        type("CaptionOntology", (), {"promptMap": [("a dog", "dog"), ("a cat", "cat")]})(),
    ],
    ids=["words", "mapping", "Ontology", "CaptionOntology"],
)
def test_what_an_ontology_may_be(ontology):
    save_pictures(Path("photos"), ["a.png"])
    classes = annotate("photos", ontology, options=FAKE).classes
    assert classes in (["dog", "cat"], list(toyworld.ontology().names))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: annotate("nowhere", "dog", options=FAKE), "source.path: nowhere: no such file or folder"),
        (lambda: annotate(".", "dog", options={"selct.threshold": 1} | FAKE), "selct: unknown section; did you mean"),
        (lambda: annotate(".", "dog", options={"select.threshold": 2, "run.batch": 0} | FAKE), "run.batch"),
        (lambda: annotate(".", "dog", "no_such_config"), "no_such_config"),
        (lambda: annotate(".", 7, options=FAKE), "ontology: cannot be made from int"),
        (lambda: open_run("nowhere"), "nowhere: no run.db there; name the folder of a run"),
    ],
)
def test_errors_are_the_commands(call, said):
    with pytest.raises(ConfigError, match=said.replace(".", r"\.")):
        call()


def test_exports(toys, tmp_path):
    _, run = toys
    assert run.export("yolo_seg")["place"] == str(run.place / "dataset/yolo_seg")
    said = run.export("label_studio", tmp_path / "ls")
    assert (said["place"], said["pictures"], said["fidelity"]["min_iou"]) == (str(tmp_path / "ls"), 6, 1.0)
    assert (tmp_path / "ls/tasks.json").is_file()
    with pytest.raises(MaskletError, match="no format 'yolo_sec'; did you mean yolo_seg"):
        run.export("yolo_sec")


def test_nothing_is_printed(capfd):
    save_pictures(Path("photos"), ["a.png"])
    run = annotate("photos", "dog", options=FAKE)
    run.export("coco")
    assert capfd.readouterr() == ("", "")


def test_a_notebook_shows_counts_and_pictures(toys):
    shown = toys[1]._repr_html_()
    assert "<td>pictures</td><td>6</td>" in shown
    assert shown.count("<img ") == 4
    assert len(shown) < 200_000


def test_a_notebook_shows_hostile_names_as_text():
    save_pictures(Path("photos"), ['"><script>alert(1)<b>.png'])
    name = "<img src=x onerror=alert(2)>"
    shown = annotate("photos", {name: ["dog"]}, options=FAKE)._repr_html_()
    assert "alert(1)" in shown
    assert "alert(2)" in shown
    assert "<script" not in shown
    assert "<img src=x" not in shown


def test_a_run_in_a_thread():
    save_pictures(Path("photos"), ["a.png"])
    made = []
    thread = threading.Thread(target=lambda: made.append(annotate("photos", "dog", options=FAKE)))
    thread.start()
    thread.join()
    assert len(made) == 1
