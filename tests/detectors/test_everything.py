"""The automatic mode over a model that is known: it finds discs, and says how sure it is of each."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from drawing import instances

from pipeline import masks, sam2_image
from pipeline.config import load
from pipeline.detectors.everything import WORD, Everything, crops_of, grid_of, named
from pipeline.errors import ConfigError
from pipeline.media import Picture
from pipeline.seams import Device

MAP = 64


@dataclass
class Discs:
    """Stands for SAM 2: of a point it gives the disc of the picture's colour that it lies in, if in any."""

    pictures: int = 2
    seen: int = 0

    def embed(self, crops):
        self.seen += len(crops)
        return [Seen(crop) for crop in crops]

    def decode(self, embedding, prompts, multimask):
        assert multimask
        logits = np.stack([embedding.logits_at(*prompt.points[0, :2]) for prompt in prompts])
        iou = np.array([[0.9, 0.5, 0.7] if found.max() > 0 else [0.1, 0.1, 0.1] for found in logits])
        return np.stack([logits, logits, np.roll(logits, 1, axis=1)], axis=1), iou


@dataclass
class Seen:
    """A crop, on whose map each colour but black is an object."""

    rgb: np.ndarray

    @property
    def size_hw(self):
        return self.rgb.shape[:2]

    def logits_at(self, x, y):
        h, w = self.size_hw
        rows = ((np.arange(MAP) + 0.5) * h / MAP).astype(int)
        columns = ((np.arange(MAP) + 0.5) * w / MAP).astype(int)
        color = self.rgb[min(int(y), h - 1), min(int(x), w - 1)]
        alike = (self.rgb[rows][:, columns] == color).all(axis=2)
        return np.where(alike & color.any(), 8.0, -8.0).astype(np.float32)


@pytest.fixture
def model(monkeypatch):
    discs = Discs()
    monkeypatch.setattr(sam2_image, "open_sam2", lambda *_: discs)
    monkeypatch.setattr(Everything, "folder", lambda _: None)
    return discs


def found_in(rgb, prompts=(WORD,), **options):
    detector = Everything(model="sam2", points_per_side=8, **options).open(Device())
    return detector.detect([Picture.of(rgb)], prompts)[0]


def discs(size_hw, *circles):
    """Black, with discs of different colours: (x, y, radius)."""
    rgb = np.zeros((*size_hw, 3), np.uint8)
    y, x = np.mgrid[: size_hw[0], : size_hw[1]] + 0.5
    for number, (x0, y0, radius) in enumerate(circles, 1):
        rgb[np.hypot(x - x0, y - y0) <= radius] = number * 20
    return rgb


TWO = discs((128, 128), (32, 32, 20), (90, 80, 25))


@pytest.mark.usefixtures("model")
def test_each_thing_is_found_once():
    found = found_in(TWO)
    assert found.boxes_xyxy == pytest.approx(np.array([[12, 12, 52, 52], [65, 55, 115, 105]]), abs=2)
    assert found.prompts == (WORD, WORD)
    assert set(found.names) == {""}
    assert found.scores.tolist() == pytest.approx([0.9, 0.9])  # the best of its three masks
    assert found.quality[:, 2].tolist() == [1, 1]  # the box is the mask's
    for code, (x, y) in zip(found.masks, [(32, 32), (90, 80)], strict=True):
        assert masks.decode(code, (128, 128))[y, x]


@pytest.mark.parametrize(
    ("options", "objects"),
    [
        ({"min_iou": 0.95}, 0),  # it is not that sure of any
        ({"nms": 1.0}, None),  # nobody is suppressed: a mask for each point on a thing
        ({"min_stability": 1.0}, 2),
        ({"max_objects": 1}, 1),
    ],
)
@pytest.mark.usefixtures("model")
def test_what_stays(options, objects):
    points_on_things = (TWO[8::16, 8::16] > 0).any(axis=2).sum()
    assert len(found_in(TWO, **options)) == (points_on_things if objects is None else objects)


def test_small_things_are_found_in_crops(model):
    rgb = discs((256, 256), (60, 60, 40), (202, 75, 5))  # between the points of the whole picture's grid, 32 px apart
    assert len(found_in(rgb)) == 1
    model.seen = 0
    found = found_in(rgb, crop_layers=1)
    assert model.seen == 5  # the picture and its four crops
    assert found.boxes_xyxy == pytest.approx(np.array([[20, 20, 100, 100], [197, 70, 207, 80]]), abs=4)


def test_what_a_crop_cuts_is_not_taken_from_it(model):
    rgb = discs((256, 256), (128, 128, 90))
    found = found_in(rgb, crop_layers=1)
    assert model.seen == 5
    assert found.boxes_xyxy == pytest.approx(np.array([[38, 38, 218, 218]]), abs=4)


@pytest.mark.parametrize(
    ("size_hw", "layers", "crops"),
    [
        ((100, 200), 0, [(0, 0, 200, 100)]),
        # 34 pixels of overlap: (34 + 200) / 2 = 117 wide, (34 + 100) / 2 = 67 high
        ((100, 200), 1, [(0, 0, 200, 100), (0, 0, 117, 67), (83, 0, 200, 67), (0, 33, 117, 100), (83, 33, 200, 100)]),
        ((1, 1), 1, [(0, 0, 1, 1), (0, 0, 1, 1)]),  # nothing to cut
    ],
)
def test_crops(size_hw, layers, crops):
    assert list(crops_of(size_hw, layers)) == crops


@pytest.mark.parametrize("size_hw", [(100, 200), (37, 1001), (1, 500), (7, 7)])
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_every_layer_covers_the_picture(size_hw, layers):
    seen = np.zeros(size_hw, int)
    crops = list(crops_of(size_hw, layers))
    for x0, y0, x1, y1 in crops:
        assert 0 <= x0 < x1 <= size_hw[1]
        assert 0 <= y0 < y1 <= size_hw[0]
        seen[y0:y1, x0:x1] += 1
    assert seen.min() >= 1 + layers


def test_a_grid_is_even():
    assert grid_of(32).shape == (1024, 2)
    assert grid_of(1).tolist() == [[0.5, 0.5]]


# Names


def test_another_detectors_boxes_name_what_they_fit():
    found = instances([(10, 10, 50, 50), (60, 60, 90, 90), (0, 0, 100, 100)], size_hw=(100, 100), prompts=(WORD,) * 3)
    boxes = instances(
        [(12, 10, 50, 50), (58, 60, 90, 92), (0, 0, 20, 100)],
        size_hw=(100, 100),
        prompts=("dog", "cat", "bird"),
        scores=[0.5, 0.25, 0.75],
        score_kind=("likelihood",) * 3,
    )
    answer = named(found, boxes, 0.5)
    assert answer.prompts == ("dog", "cat")
    assert answer.scores.tolist() == [0.5, 0.25]
    assert answer.boxes_xyxy.tolist() == [[10, 10, 50, 50], [60, 60, 90, 90]]  # the masks' own


@pytest.mark.usefixtures("model")
def test_named_by_a_detector():
    found = found_in(TWO, ("dog", "cat"), named_by={"backend": "fake", "objects": 30}, named_iou=0.1)
    assert set(found.prompts) <= {"dog", "cat"}
    assert set(found.score_kind) == {"fake"}
    assert all(found.masks)


def test_nothing_is_looked_at_where_nobody_asks(model):
    assert len(found_in(TWO, ("dog",))) == 0
    assert len(found_in(TWO, ("dog",), named_by={"backend": "fake", "objects": 0})) == 0
    assert model.seen == 0


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (
            ["ontology=dog"],
            r"detect: everything knows no words: give a class the prompt, as in 'object: \[everything\]'",
        ),
        (["ontology=dog", "detect.named_by={backend: nobody}"], "detect.named_by: .*no detector 'nobody'"),
        (["ontology=dog", "detect.named_by={backend: fake, objetcs: 1}"], "detect.named_by"),
    ],
)
def test_configurations_that_mean_nothing(overrides, said):
    with pytest.raises(ConfigError, match=said):
        load("segment_everything", overrides)


def test_a_configuration_is_written_and_read_again():
    config = load("segment_everything", ["ontology=dog", "detect.named_by={backend: fake, objects: 2}"])
    assert config.detect.named_by.objects == 2
    Path("again.yaml").write_text(config.to_yaml({}), "utf-8")
    assert load("again.yaml").detect == config.detect
