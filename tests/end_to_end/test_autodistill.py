"""Code written for autodistill's Grounded SAM 2 runs with its import changed; the class works without it, too."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from driving import masklet

from pipeline import masks, toyworld
from pipeline.autodistill import GroundedSAM2
from pipeline.errors import BadMedia, ConfigError
from pipeline.formats.coco import read

WORDS = {phrase: kind for kind in ("circle", "square", "ring") for phrase in (kind,)}
TINY = {"detect.model": "tiny-owlv2", "segment.model": "tiny-sam2"}
README = """
from pipeline.autodistill import GroundedSAM2
from autodistill.detection import CaptionOntology
from autodistill.utils import plot
import cv2

# define an ontology to map class names to our Grounded SAM 2 prompt
# the ontology dictionary has the format {caption: class}
base_model = GroundedSAM2(
    ontology=CaptionOntology(
        {
            "circle": "circle",
            "square": "square",
        }
    )
)

# run inference on a single image
results = base_model.predict("logistics.jpeg")

plot(
    image=cv2.imread("logistics.jpeg"),
    classes=base_model.ontology.classes(),
    detections=results
)

# label all images in a folder called `context_images`
base_model.label("./context_images", extension=".jpeg")
"""
"""From the README of autodistill-grounded-sam-2: the first line is ours, the words are of what the pictures show."""


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    place = tmp_path_factory.mktemp("scenes")
    toyworld.write(place, seed=5, count=10)
    return place


@pytest.fixture
def model():
    return GroundedSAM2(WORDS, model="Grounding DINO", grounding_dino_box_threshold=0.3, options=TINY)


def best_ious(found, classes, true):
    """How well each object found is one of those of its class that are there."""
    out = []
    for number, mask in zip(found.class_id, found.mask, strict=True):
        same = [code for name, code in zip(true.names, true.masks, strict=True) if name == classes[number]]
        out.append(masks.iou([masks.encode(mask)], same, true.size_hw).max() if same else 0)
    return out


def test_predict_takes_a_path_an_array_and_a_pillow_image(scenes, model):
    import cv2
    from PIL import Image

    truth = {clip.name: clip.found[0] for clip in read(scenes / "truth.json").clips}
    ious = []
    for name, true in list(truth.items())[:4]:
        path = str(scenes / "images" / name)
        answers = [model.predict(given) for given in (path, cv2.imread(path), Image.open(path), Path(path))]
        for one in answers[1:]:
            assert (one.class_id == answers[0].class_id).all()
            assert (one.mask == answers[0].mask).all()
        assert answers[0].mask.dtype == bool
        ious += best_ious(answers[0], list(WORDS.values()), true)
    assert len(ious) > 4
    assert np.median(ious) > 0.9


def test_models_stay_open_until_the_ontology_changes(scenes, model):
    path = str(next((scenes / "images").iterdir()))
    model.predict(path)
    crew = model._open[1]
    model.predict(path)
    assert model._open[1] is crew
    model.ontology = {"triangle": "triangle"}
    assert set(model.predict(path).data["class_name"].tolist()) <= {"triangle"}
    assert model._open[1] is not crew


def test_a_class_of_two_captions_is_one_class(scenes):
    class Twice:
        promptMap = [("circle", "round"), ("ring", "round"), ("square", "square")]  # noqa: N815, RUF012

        def classes(self):
            return [name for _, name in self.promptMap]

    model = GroundedSAM2(Twice(), "Grounding DINO", options=TINY)
    seen = [model.predict(path) for path in (scenes / "images").iterdir()]
    assert {int(number) for one in seen for number in one.class_id} == {0, 2}


def folder(scenes, to="photos", suffix=".jpg"):
    """Scenes as JPEG, a damaged one, one of another kind, and one in a folder: as a user's folder is."""
    import cv2

    to = Path(to)
    (to / "deeper").mkdir(parents=True)
    for path in sorted((scenes / "images").iterdir()):
        cv2.imwrite(str(to / f"{path.stem}{suffix}"), cv2.imread(str(path)), [cv2.IMWRITE_JPEG_QUALITY, 95])
    (to / f"broken{suffix}").write_bytes(b"")
    shutil.copy(path, to / "other.png")
    shutil.copy(to / f"{path.stem}{suffix}", to / f"deeper/more{suffix}")
    return to


def test_label_leaves_what_users_expect(scenes, model):
    photos = folder(scenes)
    dataset = model.label(str(photos), record_confidence=True)
    out = Path("photos_labeled")
    said = yaml.safe_load((out / "data.yaml").read_text())
    assert said == {
        "train": "train/images",
        "val": "valid/images",
        "nc": 3,
        "names": ["circle", "square", "ring"],
    }
    pictures = {side: sorted(path.name for path in (out / side / "images").iterdir()) for side in ("train", "valid")}
    assert sorted(pictures["train"] + pictures["valid"]) == [f"scene_{number:04}.jpg" for number in range(10)]
    assert pictures["train"]
    assert pictures["valid"]
    for side, names in pictures.items():
        for name in names:
            label = out / side / "labels" / name.replace(".jpg", ".txt")
            rows = label.read_text().splitlines()
            scores = label.with_name(f"confidence-{label.name}").read_text().splitlines()
            assert (out / side / "images" / name).read_bytes() == (photos / name).read_bytes()
            assert len(rows) == len(scores) == len(dataset.annotations[str(photos / name)])
    assert (len(dataset), dataset.classes) == (10, ["circle", "square", "ring"])


def test_its_dataset_loads_in_supervision(scenes, model):
    import supervision as sv

    dataset = model.label(str(folder(scenes)), output_folder="out")
    out, ious = Path("out"), []
    for side in ("train", "valid"):
        loaded = sv.DetectionDataset.from_yolo(
            str(out / side / "images"), str(out / side / "labels"), str(out / "data.yaml"), force_masks=True
        )
        for path, _, found in loaded:
            ours = dataset.annotations[str(Path("photos", Path(path).name))]
            assert list(found.class_id) == list(ours.class_id)
            for one, other in zip(found.mask, np.asarray(ours.mask), strict=True):
                ious.append((one & other).sum() / (one | other).sum())
    assert len(ious) > 10
    assert np.median(ious) > 0.95  # supervision rounds a polygon's corners in its own way: small objects lose a rim


def test_a_bad_file_is_told_and_the_same_call_goes_on(scenes, model):
    photos = folder(scenes)
    model.label(str(photos))
    ledger = masklet("status", "photos_labeled/masklet", "--ledger").stdout
    assert "broken.jpg" in ledger
    before = {path: path.read_bytes() for path in Path("photos_labeled").glob("[tv]*/*/*")}
    model.label(str(photos))
    from pipeline import open_run

    stages = open_run("photos_labeled/masklet").summary["stages"]
    assert {stage["computed"] for stage in stages.values()} == {0}
    assert {path: path.read_bytes() for path in Path("photos_labeled").glob("[tv]*/*/*")} == before


@pytest.mark.parametrize("nms", ["class_specific", "class_agnostic"])
def test_overlapping_tiles_and_suppression(scenes, model, nms):
    photos = folder(scenes)
    for path in sorted(photos.glob("scene_*"))[2:]:
        path.unlink()
    assert len(model.label(str(photos), sahi=True, nms_settings=nms)) == 2
    config = Path("photos_labeled/masklet/config.yaml").read_text()
    assert "backend: tiled" in config
    assert ("other_class_iou: 0.5" in config) == (nms == "class_agnostic")


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda m: GroundedSAM2(WORDS, model="Florence 3"), ConfigError, "want one of Florence 2, Grounding DINO"),
        (lambda m: m.predict("nowhere.jpg"), BadMedia, "No such file"),
        (lambda m: m.predict(7), ConfigError, "want a path, an array or a Pillow image, got int"),
        (lambda m: m.predict(np.zeros((0, 0, 3), np.uint8)), ConfigError, r"an array of the shape \(0, 0, 3\) is no"),
        (lambda m: m.label("nowhere"), ConfigError, "nowhere: no such file or folder"),
        (lambda m: m.label(".", human_in_the_loop=True), ConfigError, "uploads to Roboflow"),
        (lambda m: m.label(".", output_folder="theirs"), ConfigError, "a train or valid folder that masklet did not"),
    ],
)
def test_errors_are_ours(model, call, error, said):
    Path("theirs/train").mkdir(parents=True)
    with pytest.raises(error, match=said):
        call(model)


@pytest.fixture
def autodistill():
    pytest.importorskip("autodistill.detection", reason="pip install 'masklet[autodistill]'", exc_type=ImportError)


def test_it_is_a_detection_base_model(autodistill):
    from autodistill.detection import CaptionOntology, DetectionBaseModel

    model = GroundedSAM2(ontology=CaptionOntology({"circle": "circle"}))
    assert isinstance(model, DetectionBaseModel)
    model.set_ontology(CaptionOntology({"square": "square"}))
    assert model.ontology.classes() == ["square"]


@pytest.mark.filterwarnings("ignore:FigureCanvasAgg is non-interactive:UserWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_code_of_autodistills_readme(autodistill, scenes, monkeypatch):
    """Only its import is changed; a config of the same name stands for the models, which cannot be had here."""
    monkeypatch.setenv("MPLBACKEND", "agg")
    Path("configs").mkdir()
    Path("configs/florence2_sam2.yaml").write_text(
        "detect: {backend: grounding, model: tiny-owlv2}\nsegment: {backend: sam2, model: tiny-sam2}\n"
    )
    photos = folder(scenes, "context_images", ".jpeg")
    shutil.copy(photos / "scene_0000.jpeg", "logistics.jpeg")
    said = {}
    exec(README, said)
    assert len(said["results"]) > 0
    assert len(list(Path("context_images_labeled").glob("*/labels/*.txt"))) == 10
