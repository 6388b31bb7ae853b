import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import random_yolo
from pydantic import ValidationError

from pipeline import config, yamls
from pipeline.detectors import yolo_network, yolo_words
from pipeline.detectors.coco_names import COCO_NAMES
from pipeline.detectors.yolo import CANDIDATES, Yolo, _check_names, _Yolo, decoded, finished, letterboxed, ranked
from pipeline.detectors.yolo_network import CLIP, Network, network_of
from pipeline.errors import ModelMissing
from pipeline.geometry import as_boxes
from pipeline.media import Picture
from pipeline.seams import Device

CPU = Device()
NAMES = random_yolo.NAMES


@pytest.mark.parametrize(
    ("size_hw", "fixed_hw", "input_hw", "corner", "drawn_hw"),
    [
        ((64, 64), None, (64, 64), (0, 0), (64, 64)),  # as it is
        ((128, 64), None, (64, 32), (0, 0), (64, 32)),  # high: the input is as narrow as strides allow
        ((40, 64), None, (64, 64), (0, 12), (40, 64)),  # wide: grey above and below
        ((8, 16), None, (32, 64), (0, 0), (32, 64)),  # small ones grow
        ((1, 1), None, (64, 64), (0, 0), (64, 64)),  # a pixel
        ((1, 500), None, (32, 64), (0, 15), (1, 64)),  # a line keeps one pixel; of 31 grey rows 15 are above
        ((500, 1), None, (64, 32), (15, 0), (64, 1)),  # a line keeps one pixel
        ((64, 64), (64, 96), (64, 96), (16, 0), (64, 64)),  # a fixed size is kept
        ((10, 10), (64, 64), (64, 64), (0, 0), (64, 64)),  # and filled
    ],
)
def test_pictures_stand_in_the_middle_of_grey(size_hw, fixed_hw, input_hw, corner, drawn_hw):
    red = np.zeros((*size_hw, 3), np.uint8)
    red[..., 0] = 255
    square, at, scale = letterboxed(red, 64, fixed_hw)
    assert (square.shape, square.dtype) == ((1, 3, *input_hw), np.float32)
    assert at.tolist() == [*corner, *corner]
    assert scale.tolist() == pytest.approx([drawn_hw[1] / size_hw[1], drawn_hw[0] / size_hw[0]] * 2)
    expected = np.full((3, *input_hw), np.float32(114) / np.float32(255))
    x, y = corner
    expected[:, y : y + drawn_hw[0], x : x + drawn_hw[1]] = np.array([1, 0, 0])[:, None, None]  # red, green, blue
    np.testing.assert_array_equal(square[0], expected)


def said(*places, more=0):
    """A network's answer: columns of centre, sides and a probability for each of three classes, and `more` rows."""
    return np.array([[*place, *[9] * more] for place in places], np.float32).reshape(len(places), -1).T


@pytest.mark.parametrize(
    ("raw", "boxes", "scores", "classes"),
    [
        (said((20, 10, 8, 4, 0.1, 0.7, 0.2)), [[16, 8, 24, 12]], [0.7], [1]),  # centre and sides; its best class only
        (said((20, 10, 8, 4, 0.1, 0.7, 0.2), more=32), [[16, 8, 24, 12]], [0.7], [1]),  # weights of a mask behind
        (
            said((5, 5, 2, 2, 0, 0, 0.5), (9, 9, 2, 2, 0.9, 0, 0)),
            [[8, 8, 10, 10], [4, 4, 6, 6]],
            [0.9, 0.5],
            [0, 2],
        ),  # rank
        (
            said((5, 5, 2, 2, 0.25, 0, 0), (5, 5, 2, 2, 0.24, 0, 0)),
            [[4, 4, 6, 6]],
            [0.25],
            [0],
        ),  # the floor itself stays
        (said((5, 5, 2, 2, np.nan, 0, 0)), [], [], []),  # a broken network
    ],
)
def test_what_a_network_says(raw, boxes, scores, classes):
    got = decoded(raw, 3, 0.25)
    np.testing.assert_allclose(got[0], np.array(boxes).reshape(-1, 4), rtol=1e-6)
    assert (got[1].tolist(), got[2].tolist()) == (pytest.approx(scores), classes)


def test_only_the_best_places_are_compared():
    raw = said(*[(n, 5, 2, 2, n / 4000, 0, 0) for n in range(3000)])
    boxes, scores, _ = decoded(raw, 3, 0)
    assert len(boxes) == CANDIDATES
    assert scores.min() == pytest.approx(0.25)


def test_a_network_that_suppresses_doubles_itself():
    raw = np.array([[1, 2, 3, 4, 0.9, 2, 7], [1, 2, 3, 4, 0.1, 0, 7]], np.float32)
    boxes, scores, classes = finished(raw, 3, 0.25)
    assert (boxes.tolist(), scores.tolist(), classes.tolist()) == ([[1, 2, 3, 4]], pytest.approx([0.9]), [2])


def test_ranks_are_by_score_then_class_then_box():
    boxes = as_boxes([[5, 0, 9, 9], [0, 0, 9, 9], [0, 0, 9, 9], [0, 0, 9, 9], [3, 3, 3, 9]])
    assert ranked(boxes, np.array([0.5, 0.5, 0.5, 0.6, 0.9]), np.array([1, 1, 0, 2, 2])) == [3, 2, 1, 0]  # no area: out


def standing_in(raw, learnt=None, **settings):
    """A detector whose network always says this; `learnt` makes it one that is asked by words."""
    asked_by = {} if learnt is None else {"words_by": CLIP, "learn": learnt.append}
    network = Network(NAMES, lambda _: raw, **asked_by)
    return _Yolo(
        Yolo(model="m.onnx", names=NAMES, side_px=64, **settings), network, None if learnt is None else str.upper
    )


def ask(detector, prompts=NAMES, size_hw=(64, 64)):
    return detector.detect([Picture.of(np.zeros((*size_hw, 3), np.uint8))], prompts)[0]


TWO_DOGS = said((20, 20, 16, 16, 0, 0.9, 0), (22, 20, 16, 16, 0, 0.8, 0), (40, 20, 8, 8, 0, 0, 0.7))


@pytest.mark.parametrize(
    ("settings", "prompts", "found"),
    [
        ({}, NAMES, [("dog", 0.9), ("cat", 0.7)]),  # one dog twice (IoU 0.78)
        ({"nms": 0.8}, NAMES, [("dog", 0.9), ("dog", 0.8), ("cat", 0.7)]),  # a laxer rule
        ({"floor": 0.75}, NAMES, [("dog", 0.9)]),  # below the floor
        ({}, ["cat", "zyzzyva"], [("cat", 0.7)]),  # what is not asked for is no row
        ({"max_objects": 1}, ["cat"], []),  # the best are chosen before anybody asks
        ({}, ["zyzzyva"], []),  # unknown to it
    ],
)
def test_rows(settings, prompts, found):
    got = ask(standing_in(TWO_DOGS, **settings), prompts)
    scores = [] if got.scores is None else got.scores.tolist()
    assert list(got.prompts or ()) == [name for name, _ in found]
    assert scores == pytest.approx([score for _, score in found])
    assert set(got.source or ()) <= {"yolo"}
    assert set(got.score_kind or ()) <= {"class probability"}


@pytest.mark.parametrize(
    ("size_hw", "box"),
    [
        ((64, 64), [12, 12, 28, 28]),  # as it is
        ((128, 128), [24, 24, 56, 56]),  # scaled back
        ((40, 64), [12, 0, 28, 16]),  # 12 grey rows above
        ((20, 64), [12, 6, 28, 20]),  # 6 grey rows above (the input is 32 high); cut at the picture's edge
    ],
)
def test_boxes_come_back_to_the_picture(size_hw, box):
    assert ask(standing_in(TWO_DOGS), ["dog"], size_hw).boxes_xyxy.tolist() == [box]


def test_words_are_told_sorted_and_once():
    told = []
    detector = standing_in(TWO_DOGS, told)
    assert ask(detector, ["b", "c", "a"]).prompts == ("b", "c")  # the answer's classes 1 and 2
    assert ask(detector, ["c", "a", "b", "a"]).prompts == ("b", "c")
    assert ask(detector, ["x", "y", "z"]).prompts == ("y", "z")
    assert told == [["A", "B", "C"], ["X", "Y", "Z"]]


def test_the_network_rests_when_nothing_it_knows_is_asked():
    detector = standing_in(None)
    assert len(ask(detector, ["zyzzyva"])) == 0
    assert len(ask(detector, [])) == 0


def test_closed_set_or_by_words():
    closed, by_words = Yolo(model="m.onnx"), Yolo(model="m.pt", allow_pickle=True, text_encoder="clip")
    assert (closed.vocabulary(), closed.independent_classes) == (COCO_NAMES, True)
    assert (by_words.vocabulary(), by_words.independent_classes) == (None, False)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"model": "yolo11n"}, "model"),  # no name of a model is guessed, nothing downloaded
        ({"model": "m.engine"}, "model"),  # another format
        ({"model": "m.onnx", "names": ("dog", "dog")}, "'dog' is there twice"),
        ({"model": "m.onnx", "names": ()}, "at least 1 item"),
        ({"model": "m.onnx", "side_px": 500}, "multiple of 32"),
    ],
)
def test_options_that_cannot_be(options, said):
    with pytest.raises(ValidationError, match=said):
        Yolo(**options)


def test_a_pickle_is_refused_unless_allowed(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.detectors.yolo.find_spec", lambda name: name)  # as if all were installed
    (tmp_path / "m.PT").write_bytes(b"x")
    for use in (Yolo.fingerprint, Yolo.open):
        with pytest.raises(ModelMissing, match=r"^m\.PT: a \.pt file is a pickle.*say detect\.allow_pickle=true, or"):
            use(Yolo(model="m.PT"), CPU)
    assert Yolo(model="m.PT", allow_pickle=True).fingerprint(CPU)["weights"]


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("m.pt", r"ultralytics \(AGPL-3\.0\) is not installed; pip install 'masklet\[yolo\]'"),
        ("m.onnx", r"onnxruntime is not installed; pip install 'masklet\[onnx\]'"),
        ("no.onnx", r"^no\.onnx: no such file"),
    ],
)
def test_a_check_says_what_to_install(tmp_path, monkeypatch, model, said):
    for name in ("m.pt", "m.onnx"):
        (tmp_path / name).write_bytes(b"x")
    monkeypatch.setattr("pipeline.detectors.yolo.find_spec", lambda name: None)
    detect = f"detect: {{backend: yolo, model: {model}, allow_pickle: true}}\nsegment: {{backend: fake}}\n"
    (stage, *_) = config.from_document(yamls.parse(f"ontology: dog\n{detect}", "run.yaml")).stages()
    with pytest.raises(ModelMissing, match=said):
        stage.identity()


@pytest.mark.parametrize(
    ("ours", "said"),
    [
        (("person", "cat", "dog"), "class 1 of the model is 'dog', but detect.names says 'cat'; give all 3 names"),
        (("person", "dog"), "class 2 of the model is 'cat', but detect.names says none of that number"),
        ((*NAMES, "bird"), "class 3 of the model has none of that number, but detect.names says 'bird'"),
    ],
)
def test_names_of_another_model(ours, said):
    with pytest.raises(ModelMissing, match=said):
        _check_names(Path("m.pt"), ours, NAMES)
    _check_names(Path("m.pt"), NAMES, NAMES)


def session(names="{0: 'person', 1: 'dog'}", takes=(1, 3, 64, 96), gives=(1, 6, 84), kind="tensor(float)", **more):
    """What onnxruntime says of a file."""
    said = {"names": names, "task": "detect", **more}
    return SimpleNamespace(
        get_modelmeta=lambda: SimpleNamespace(custom_metadata_map={k: v for k, v in said.items() if v is not None}),
        get_inputs=lambda: [SimpleNamespace(name="images", shape=list(takes), type=kind)],
        get_outputs=lambda: [SimpleNamespace(name="output0", shape=list(gives))],
        run=lambda names, feed: [np.ones(gives)],
    )


@pytest.mark.parametrize(
    ("given", "end_to_end", "input_hw"),
    [
        (session(), False, (64, 96)),  # of fixed size
        (session(takes=("batch", 3, "height", "width")), False, None),  # of any size
        (session(gives=(1, 300, 6)), True, (64, 96)),  # doubles suppressed by the network
        (session(gives=(1, 300, 38), end2end="True"), True, (64, 96)),  # and masks behind
    ],
)
def test_exported_networks(given, end_to_end, input_hw):
    network = network_of(Path("m.onnx"), given)
    assert (network.names, network.words_by) == (("person", "dog"), None)
    assert (network.end_to_end, network.input_hw) == (end_to_end, input_hw)
    assert network.forward(None).dtype == np.float32


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (session(names=None), "not a YOLO that ultralytics exported"),  # somebody else's
        (session(task="pose"), "not a YOLO that ultralytics exported to detect or segment"),
        (session(kind="tensor(float16)"), r"takes tensor\(float16\) .*export it with half=False"),
        (session(takes=(8, 3, 64, 64)), "export it with half=False and batch=1"),
    ],
)
def test_exported_networks_that_are_of_no_use(given, said):
    with pytest.raises(ModelMissing, match=said):
        network_of(Path("m.onnx"), given)


def test_damaged_onnx(tmp_path, capfd):
    pytest.importorskip("onnxruntime")
    (tmp_path / "m.onnx").write_bytes(b"hello" * 100)
    with pytest.raises(ModelMissing, match=r"m\.onnx: damaged, or not an ONNX file; fetch it again") as caught:
        Yolo(model="m.onnx").open(CPU)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("wanted", "given", "said"),
    [
        (None, "clip", "its classes are fixed, it is not asked by words; leave out detect.text_encoder"),
        (CLIP, None, "a YOLO-World is asked by words.*text_encoder=openai/clip-vit-base-patch32"),
        (CLIP, "mobileclip_blt.ts", "a YOLO-World is asked by words.*text_encoder=openai/clip-vit-base-patch32"),
        ("mobileclip_blt.ts", None, r"a YOLOE is asked by words.*text_encoder=mobileclip_blt.ts \(a file\)"),
        ("mobileclip_blt.ts", "clip", "a YOLOE is asked by words"),
        (CLIP, "openai/clip-vit-base-patch32", "not on this machine.*hf download openai/clip-vit-base-patch32"),
        ("mobileclip_blt.ts", "mobileclip_blt.ts", "mobileclip_blt.ts: no such file"),
    ],
)
def test_what_reads_words_has_to_be_there(wanted, given, said, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(ModelMissing, match=said):
        yolo_words.encoder(Path("m.pt"), wanted, given, CPU)


def test_clip_reads_words():
    read = yolo_words.encoder(Path("m.pt"), CLIP, str(random_yolo.clip()), CPU)
    dog, cat, long = read("dog"), read("cat"), read("a dog " * 100)
    assert dog.shape == long.shape == (512,)
    assert float(dog.norm()) == pytest.approx(1)
    assert read("dog") is dog  # read once
    assert not np.allclose(dog, cat)
    whole = _by_transformers("dog")
    np.testing.assert_allclose(dog.numpy(), whole, atol=1e-6)


def _by_transformers(text):
    """The vector of a text as the whole CLIP gives it."""
    import torch
    from transformers import CLIPModel, CLIPTokenizer

    folder = random_yolo.clip()
    tokens = CLIPTokenizer.from_pretrained(folder)(text, return_tensors="pt")
    with torch.inference_mode():
        features = CLIPModel.from_pretrained(folder).get_text_features(**tokens)
        vector = getattr(features, "pooler_output", features)[0]
    return (vector / vector.norm()).numpy()


@pytest.fixture
def tokens(monkeypatch):
    """A stand-in for the package that has CLIP's tokenizer."""
    import torch

    def tokenize(texts, truncate):
        return torch.tensor([list(text.encode()[:77].ljust(77, b"\0")) for text in texts])

    monkeypatch.setitem(sys.modules, "clip", SimpleNamespace(tokenize=tokenize))


def test_mobile_clip_reads_words(tokens):
    read = yolo_words.encoder(Path("m.pt"), "mobileclip_blt.ts", str(random_yolo.mobile_clip()), CPU)
    assert read("狗").shape == (512,)
    assert not np.allclose(read("dog"), read("cat"))


def test_mobile_clip_needs_its_tokenizer(monkeypatch):
    monkeypatch.setitem(sys.modules, "clip", None)
    with pytest.raises(ModelMissing, match=r"tokenizer of CLIP is not installed; pip install git\+https"):
        yolo_words.encoder(Path("m.pt"), "mobileclip_blt.ts", str(random_yolo.mobile_clip()), CPU)


def test_threads_and_files_are_in_the_fingerprint(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.detectors.yolo.find_spec", lambda name: name)  # as if all were installed
    for name in ("m.onnx", "m.pt", "a.ts"):
        shutil.copyfile(__file__, tmp_path / name)
    onnx, pickle = Yolo(model="m.onnx"), Yolo(model="m.pt", allow_pickle=True)
    assert onnx.fingerprint(Device("cpu", 1)) != onnx.fingerprint(Device("cpu", 2))
    assert onnx.fingerprint(Device("cpu", 1)) == onnx.fingerprint(Device("cuda:0", 1))  # it stays on the CPU
    assert pickle.fingerprint(Device("cpu", 1)) != pickle.fingerprint(Device("cuda:0", 1))
    assert pickle.provenance()["library"] == "ultralytics (AGPL-3.0)"
    by_words = Yolo(model="m.pt", allow_pickle=True, text_encoder="a.ts")
    assert by_words.provenance()["text_encoder"] == "a.ts"
    assert by_words.fingerprint(CPU)["text_encoder"] == by_words.fingerprint(CPU)["weights"]


# From here on with ultralytics itself.


@pytest.fixture(scope="module")
def ultralytics():
    return pytest.importorskip("ultralytics", reason="needs ultralytics: pip install 'masklet[yolo]'")


def opened(kind="detect", **options):
    return Yolo(
        model=str(random_yolo.saved(kind)), **{"allow_pickle": True, "names": NAMES, "side_px": 64, **options}
    ).open(CPU)


def scene(size_hw=(96, 128)):
    """Coloured patches."""
    rng = np.random.default_rng(0)
    return np.kron(
        rng.integers(0, 256, (size_hw[0] // 16, size_hw[1] // 16, 3), np.uint8), np.ones((16, 16, 1), np.uint8)
    )


@pytest.mark.parametrize("size_hw", [(96, 128), (128, 48), (640, 416)])
@pytest.mark.parametrize("kind", ["detect", "end to end", "onnx", "onnx of any size"])
def test_the_same_as_ultralytics_says(ultralytics, kind, size_hw):
    import torch

    onnx = {"onnx": {"imgsz": 64}, "onnx of any size": {"imgsz": 64, "dynamic": True}}
    file = random_yolo.exported(**onnx[kind]) if kind in onnx else random_yolo.saved(kind)
    torch.set_num_threads(1)
    rgb = scene(size_hw)
    theirs = (
        ultralytics.YOLO(str(file), task="detect")
        .predict(np.ascontiguousarray(rgb[..., ::-1]), conf=0.5, imgsz=64, verbose=False, device="cpu")[0]
        .boxes
    )
    ours = Yolo(model=str(file), allow_pickle=True, names=NAMES, side_px=64, floor=0.5).open(CPU)
    found = ours.detect([Picture.of(rgb)], NAMES)[0]
    theirs = theirs[(theirs.xyxy[:, 2:] > theirs.xyxy[:, :2]).all(dim=1)]  # a box beside the picture is no row of ours
    assert len(found) == len(theirs) > 3
    np.testing.assert_allclose(found.scores, theirs.conf.numpy(), atol=1e-3)
    numbers = np.array([NAMES.index(prompt) for prompt in found.prompts])
    apart = np.abs(found.boxes_xyxy[:, None] - theirs.xyxy.numpy()).max(axis=2) + 1e3 * (
        numbers[:, None] != theirs.cls.numpy()
    )
    assert max(apart.min(axis=0).max(), apart.min(axis=1).max()) < 0.1  # pixels: each has its like on the other side


def test_it_is_quiet_and_leaves_no_trace(ultralytics, tmp_path, monkeypatch, capfd):
    """In a fresh process: nothing printed, no file of settings, no changed variable, nobody called."""
    import subprocess

    code = f"""
import os, socket
import numpy as np
socket.socket.connect = socket.getaddrinfo = lambda *_: os._exit(7)
import cv2, torch, transformers
before, printing = dict(os.environ), np.get_printoptions()
from pipeline.detectors.yolo import Yolo
from pipeline.media import Picture
from pipeline.seams import Device
detector = Yolo(model={str(random_yolo.saved())!r}, allow_pickle=True, names={NAMES}, side_px=64).open(Device())
assert len(detector.detect([Picture.of(np.zeros((9, 9, 3), np.uint8))], ["dog"])) == 1
assert dict(os.environ) == before, dict(os.environ).items() ^ before.items()
assert np.get_printoptions() == printing
import ultralytics.utils
assert not (ultralytics.utils.ONLINE or ultralytics.utils.AUTOINSTALL)
"""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("YOLO")} | {
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path),
        "PYTHONPATH": str(Path(yolo_network.__file__).parents[2]),
    }
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [path for path in tmp_path.rglob("*") if "ltralytics" in path.name] == []


def test_names_of_another_model_are_found_out_when_it_is_opened(ultralytics):
    for file in (random_yolo.saved(), random_yolo.exported(imgsz=64)):
        with pytest.raises(ModelMissing, match=r"class 1 of the model is 'dog', but detect\.names says 'bicycle'"):
            Yolo(model=str(file), allow_pickle=True).open(CPU)


@pytest.mark.parametrize("content", [b"", b"hello" * 100, "half"])
def test_damaged_pickles(ultralytics, tmp_path, capfd, content):
    whole = random_yolo.saved().read_bytes()
    (tmp_path / "yolo11n.pt").write_bytes(whole[: len(whole) // 2] if content == "half" else content)
    capfd.readouterr()
    with pytest.raises(ModelMissing, match=r"yolo11n\.pt: ultralytics cannot open it; fetch it again") as caught:
        Yolo(model="yolo11n.pt", allow_pickle=True).open(CPU)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")
    assert [path.name for path in tmp_path.iterdir()] == ["yolo11n.pt"]  # nothing was downloaded


def test_another_task(ultralytics):
    with pytest.raises(ModelMissing, match="a PoseModel for the task 'pose'; want a YOLO that detects or segments"):
        opened("pose")


@pytest.mark.parametrize(("kind", "said"), [("world", "a YOLO-World is asked by words"), ("yoloe", "a YOLOE is asked")])
def test_a_model_by_words_needs_a_reader(ultralytics, kind, said):
    with pytest.raises(ModelMissing, match=said):
        opened(kind)


def test_fixed_classes_need_none(ultralytics):
    with pytest.raises(ModelMissing, match="its classes are fixed, it is not asked by words"):
        opened(text_encoder=str(random_yolo.clip()))


@pytest.mark.parametrize("kind", ["world", "yoloe"])
def test_words_decide_what_is_found(ultralytics, tokens, kind):
    encoder = random_yolo.clip() if kind == "world" else random_yolo.mobile_clip()
    detector = opened(kind, text_encoder=str(encoder), floor=0.3)
    picture = Picture.of(scene())
    first = detector.detect([picture], ["dog", "狗", "a red cat"])[0]
    other = detector.detect([picture], ["bird"])[0]
    assert set(other.prompts) == {"bird"}
    assert set(first.prompts) <= {"dog", "狗", "a red cat"}
    assert len(set(first.prompts)) > 1
    assert detector.detect([picture], ["a red cat", "狗", "dog"])[0].digest() == first.digest()  # and back again


def test_the_words_are_those_of_ultralytics(ultralytics, tokens):
    """YOLO-World by our way is what its own `set_classes` makes of the same vectors."""
    import torch

    detector = opened("world", text_encoder=str(random_yolo.clip()), floor=0.0)
    theirs = ultralytics.YOLO(str(random_yolo.saved("world"))).model
    words = ("dog", "red cat")
    vectors = torch.stack([detector.encoder(word) for word in words])
    theirs.get_text_pe = lambda text, **_: vectors.clone()[None]
    theirs.set_classes(list(words))
    chw = letterboxed(scene(), 64)[0]
    with torch.inference_mode():
        expected = theirs.eval()(torch.from_numpy(chw))[0][0].numpy()
    np.testing.assert_allclose(detector._answer(chw, words), expected, rtol=1e-4, atol=1e-3)


def test_yolo_world_mixes_its_words(ultralytics):
    """Why `independent_classes` is false: a word's scores change with the others."""
    detector = opened("world", text_encoder=str(random_yolo.clip()))
    chw = letterboxed(scene(), 64)[0]
    both, alone = detector._answer(chw, ("dog", "red cat"))[4], detector._answer(chw, ("dog",))[4]
    assert np.abs(both - alone).max() > 1e-4
