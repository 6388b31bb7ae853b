import sys
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.detectors.coco_names import COCO_NAMES
from pipeline.detectors.yolox import Yolox, _Yolox, decoded, letterboxed, ranked, without_doubles
from pipeline.errors import ModelMissing
from pipeline.geometry import as_boxes, box_iou
from pipeline.media import Picture
from pipeline.seams import Device

CPU = Device()
PERSON, BICYCLE, CAT, DOG = 0, 1, 15, 16
PLACES = 16 + 4 + 1  # of a network of 32 x 32 pixels: strides 8, 16 and 32


def answer(*rows):
    """A network's answer: rows of place, class, objectness, class probability, and how its box is meant."""
    raw = np.zeros((PLACES, 85), np.float32)
    raw[:, :2] = 0.5  # the centre of its place, and a side of one stride
    for place, number, objectness, probability in rows:
        raw[place, 4], raw[place, 5 + number] = objectness, probability
    return raw


def opened(raw, **options):
    """A detector whose network always gives this answer."""
    session = SimpleNamespace(
        get_inputs=lambda: [SimpleNamespace(name="images", shape=[1, 3, 32, 32])], run=lambda *_: [raw[None]]
    )
    return _Yolox(Yolox(model="none", **options), session)


def ask(raw, prompts=COCO_NAMES, size_hw=(32, 32), **options):
    return opened(raw, **options).detect([Picture.of(np.zeros((*size_hw, 3), np.uint8))], prompts)[0]


def test_the_names_of_coco():
    assert len(COCO_NAMES) == len(set(COCO_NAMES)) == 80
    assert [COCO_NAMES[number] for number in (0, 9, 11, 16, 79)] == [
        *("person", "traffic light", "stop sign", "dog", "toothbrush")
    ]


@pytest.mark.parametrize(
    ("size_hw", "scale", "drawn_hw"),
    [
        ((32, 32), 1, (32, 32)),  # as it is
        ((64, 32), 0.5, (32, 16)),  # high
        ((16, 64), 0.5, (8, 32)),  # wide
        ((4, 8), 4, (16, 32)),  # small ones grow
        ((1, 1), 32, (32, 32)),  # a pixel
        ((1, 500), 0.064, (1, 32)),  # a line keeps one pixel
        ((500, 1), 0.064, (32, 1)),  # a line keeps one pixel
    ],
)
def test_pictures_stand_in_the_upper_left_corner_of_a_grey_square(size_hw, scale, drawn_hw):
    red = np.zeros((*size_hw, 3), np.uint8)
    red[..., 0] = 200
    square, scaled = letterboxed(red, (32, 32))
    assert (square.shape, square.dtype, scaled) == ((1, 3, 32, 32), np.float32, scale)
    expected = np.full((3, 32, 32), 114)
    expected[:, : drawn_hw[0], : drawn_hw[1]] = np.array([0, 0, 200])[:, None, None]  # blue, green, red
    np.testing.assert_array_equal(square[0], expected)


@pytest.mark.parametrize(
    ("place", "change", "box"),
    [
        (0, {}, [0, 0, 8, 8]),  # stride 8, first column, first row
        (5, {}, [8, 8, 16, 16]),  # stride 8, second column, second row
        (7, {}, [24, 8, 32, 16]),  # columns come before rows
        (16, {}, [0, 0, 16, 16]),  # stride 16 begins
        (20, {}, [0, 0, 32, 32]),  # stride 32
        (5, {0: 1.5}, [16, 8, 24, 16]),  # the centre is moved by a stride
        (5, {2: np.log(2)}, [4, 8, 20, 16]),  # twice as wide
        (5, {3: -np.inf}, [8, 12, 16, 12]),  # no height at all
        (5, {3: 1000}, [8, -np.inf, 16, np.inf]),  # an endless one
    ],
)
def test_the_grid(place, change, box):
    raw = answer((place, DOG, 1, 1))
    for column, value in change.items():
        raw[place, column] = value
    boxes, scores, classes = decoded(raw, (32, 32), 0.5)
    np.testing.assert_allclose(boxes, [box], rtol=1e-6)
    assert (scores.tolist(), classes.tolist()) == ([1], [DOG])


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([(0, DOG, 0.5, 0.5)], [("dog", 0.25)]),  # the score is a product
        ([(0, DOG, 0.5, 0.019)], []),  # below the floor
        ([(0, DOG, 0.5, 0.5), (0, CAT, 0.5, 0.75)], [("cat", 0.375)]),  # a place has one class, its best
        ([(0, DOG, 0.5, 0.5), (3, DOG, 0.5, 0.75)], [("dog", 0.375), ("dog", 0.25)]),  # best first
        ([(3, DOG, 1, 0.5), (9, CAT, 1, 0.5), (0, DOG, 1, 0.5)], [("cat", 0.5), ("dog", 0.5), ("dog", 0.5)]),  # ties
        ([(0, DOG, np.nan, 1)], []),  # a broken network
    ],
)
def test_scores_and_order(rows, found):
    got = ask(answer(*rows))
    assert list(zip(got.prompts or (), (got.scores if len(got) else []), strict=True)) == found
    assert got.source == ("yolox",) * len(found) or not found
    assert got.score_kind == ("objectness x class probability",) * len(found) or not found


def test_the_floor_itself_is_stored():
    assert len(ask(answer((0, DOG, 0.25, 1)), floor=0.25)) == 1
    assert len(ask(answer((0, DOG, 0.25, 1)), floor=0.26)) == 0


@pytest.mark.parametrize(
    ("classes", "threshold", "kept"),
    [
        ([DOG, DOG], 0.65, [0]),  # the same dog twice: IoU 0.8
        ([DOG, DOG], 0.85, [0, 1]),  # a laxer rule
        ([DOG, CAT], 0.65, [0, 1]),  # two classes do not meet
    ],
)
def test_doubles_of_a_class_go(classes, threshold, kept):
    boxes, scores = as_boxes([[0, 0, 10, 10], [0, 0, 10, 8]]), np.array([0.9, 0.8], np.float32)
    assert sorted(without_doubles(boxes, scores, np.array(classes), threshold)) == kept


def test_nothing_survives_nothing():
    assert without_doubles(as_boxes([]), np.zeros(0, np.float32), np.zeros(0, np.int64), 0.5).tolist() == []


def test_ranks_are_by_score_then_name_then_box():
    boxes = as_boxes([[5, 0, 9, 9], [0, 0, 9, 9], [0, 0, 9, 9], [0, 0, 9, 9], [3, 3, 3, 9]])
    scores, classes = np.array([0.5, 0.5, 0.5, 0.6, 0.9]), np.array([PERSON, PERSON, BICYCLE, DOG, DOG])
    for rows in ([0, 1, 2, 3, 4], [4, 3, 2, 1, 0]):
        assert ranked(np.array(rows), boxes, scores, classes) == [3, 2, 1, 0]  # the last has no area


def test_boxes_come_back_to_the_picture():
    assert ask(answer((5, DOG, 1, 1)), size_hw=(64, 64)).boxes_xyxy.tolist() == [[16, 16, 32, 32]]
    assert ask(answer((5, DOG, 1, 1)), size_hw=(10, 12)).boxes_xyxy.tolist() == [[3, 3, 6, 6]]
    assert ask(answer((20, DOG, 1, 1)), size_hw=(16, 32)).boxes_xyxy.tolist() == [[0, 0, 32, 16]]  # cut
    assert len(ask(answer((15, DOG, 1, 1)), size_hw=(16, 32))) == 0  # in the grey


def test_the_best_are_chosen_before_anybody_asks():
    raw = answer((0, DOG, 1, 0.9), (3, CAT, 1, 0.8), (12, DOG, 1, 0.7))
    assert ask(raw, max_objects=2).prompts == ("dog", "cat")
    assert ask(raw, ["dog"], max_objects=2).prompts == ("dog",)


def test_the_network_rests_when_nothing_it_knows_is_asked():
    detector = opened(answer((0, DOG, 1, 1)))
    detector.session = None
    assert len(detector.detect([Picture.of(np.zeros((9, 9, 3), np.uint8))], ["zyzzyva"])[0]) == 0


def test_threads_are_in_the_fingerprint(tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"x")
    options = Yolox(model="m.onnx")
    assert options.fingerprint(Device("cpu", 1)) != options.fingerprint(Device("cpu", 2))
    assert options.fingerprint(Device("cpu", 1)) == options.fingerprint(Device("cuda:0", 1))  # it stays on the CPU


def test_missing_weights():
    for use in (Yolox.fingerprint, Yolox.open):
        with pytest.raises(ModelMissing, match=r"^no\.onnx: no such file"):
            use(Yolox(model="no.onnx"), CPU)


@pytest.mark.parametrize("content", [b"", b"hello" * 100, "half"])
def test_damaged_weights(shared_data, tmp_path, capfd, content):
    if content == "half":
        whole = (shared_data / "models/yolox_nano/yolox_nano.onnx").read_bytes()
        content = whole[: len(whole) // 2]
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(ModelMissing, match=r"m\.onnx: damaged, or not an ONNX file; fetch it again") as caught:
        Yolox(model="m.onnx").open(CPU)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_another_network(shared_data):
    other = str(shared_data / "models/fastestdet/FastestDet.onnx")
    with pytest.raises(ModelMissing, match=r"not a YOLOX for COCO: .* got \[\[1, 3, 352, 352\]\] in and"):
        Yolox(model=other).open(CPU)


def test_onnxruntime_is_an_extra(tmp_path, monkeypatch):
    (tmp_path / "m.onnx").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ModelMissing, match=r"onnxruntime is not installed; pip install 'masklet\[onnx\]'"):
        Yolox(model="m.onnx").open(CPU)


@pytest.fixture(scope="module")
def nano(shared_data):
    return Yolox(model=str(shared_data / "models/yolox_nano/yolox_nano.onnx"))


def test_a_real_dog(nano, shared_data, capfd):
    import cv2

    bgr = cv2.imdecode(np.fromfile(shared_data / "dog/dog.jpeg", np.uint8), cv2.IMREAD_COLOR)
    found = nano.open(CPU).detect([Picture.of(np.ascontiguousarray(bgr[..., ::-1]))], ["dog", "cat"])[0]
    assert found.prompts[0] == "dog"
    assert found.scores[0] > 0.3
    assert capfd.readouterr() == ("", "")  # onnxruntime is quiet


def test_real_photos(nano, shared_data):
    """On 16 photos, most large objects are found where they are."""
    import cv2

    from pipeline.formats import coco

    detector, hits = nano.open(CPU), []
    for _, clip in zip(range(16), coco.read(shared_data / "coco64").clips, strict=False):
        true = clip.found[0]
        bgr = cv2.imdecode(np.fromfile(clip.path, np.uint8), cv2.IMREAD_COLOR)
        found = detector.detect([Picture.of(np.ascontiguousarray(bgr[..., ::-1]))], COCO_NAMES)[0]
        same = np.array(true.names)[:, None] == np.array(found.prompts)[None, :]
        overlap = np.where(same, box_iou(true.boxes_xyxy, found.boxes_xyxy), 0).max(axis=1)
        large = (true.boxes_xyxy[:, 2:] - true.boxes_xyxy[:, :2]).prod(axis=1) > 96**2
        hits += (overlap[large] > 0.5).tolist()
    assert np.mean(hits) > 0.8
