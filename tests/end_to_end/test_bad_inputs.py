"""A folder of odd, damaged and hostile files: every one is used or has a reason, and nothing else is said."""

import json
import re
from collections import Counter

import numpy as np
import pytest
from driving import annotations, here, masklet

from pipeline import pixels
from pipeline.reasons import PICTURES

OURS = re.compile(r"masklet: |(labelling|writing coco): \d+/\d+, ")
"""What a line on stderr begins with, if it is ours."""
FILM = (".mp4", ".avi", ".mkv")
NOBODY_LOOKED = "pillow/truncated_jpeg.jpg"
"""Cut in its pixels, which backends that do not look cannot find out."""


@pytest.fixture(scope="module")
def source(shared_data):
    return shared_data / "bad_inputs"


@pytest.fixture(scope="module", params=["fake", "real"])
def run(request, source, shared_data, tmp_path_factory):
    """A finished run over the folder: its words, its folder, and what the command said."""
    backends = ["--ontology", "dog, cat", "detect={backend: fake}", "segment={backend: fake}"]
    if request.param == "real":
        pytest.importorskip("onnxruntime")
        backends = [f"detect.model={shared_data / 'models/yolox_nano/yolox_nano.onnx'}"]
    out = tmp_path_factory.mktemp(request.param) / "run"
    words = ["run", "photos_yolox", "--source", source, "--out", out, "--json", *backends]
    return words, out, masklet(*words, cwd=out.parent, timeout_s=60)


def of_ledger(out):
    """The files that are set aside: name -> reason."""
    lines = here("status", out, "--ledger", "--json").stdout.splitlines()
    rows = [json.loads(line) for line in lines]
    return {row["picture"]: row["reason"] for row in rows if row["box_xyxy"] is None}


def picture_of(out, name):
    """The picture in the dataset that a file has become."""
    place = out / "dataset/coco/images"
    return place / name if (place / name).is_file() else place / f"{name}.png"


def test_every_file_is_used_or_has_a_reason(run, source):
    _, out, said = run
    assert said.returncode == 0, said.stderr
    files = {path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file()}
    aside = of_ledger(out)
    used = {name for name in files if picture_of(out, name).is_file()}
    assert used | set(aside) == files
    assert not used & set(aside)
    assert len(used) == len(annotations(out)["images"]) == json.loads(said.stdout)["pictures"]
    assert set(aside.values()) <= set(PICTURES)


def test_only_our_own_words_are_said(run):
    _, out, said = run
    assert [line for line in said.stderr.splitlines() if not OURS.match(line)] == []
    if "yolox" in (out / "config.yaml").read_text():  # it looks at pixels, and so libjpeg has its say
        assert "JPEG" in (out / "libraries.log").read_text()


def test_films_have_their_own_reason(run, source):
    aside = of_ledger(run[1])
    films = {path.relative_to(source).as_posix() for path in source.rglob("*") if path.suffix in FILM}
    assert len(films) == 9
    assert {name: aside[name] for name in films} == dict.fromkeys(films, "film")
    assert Counter(aside.values())["film"] == len(films)


def test_every_reader_sees_the_size_that_the_dataset_says(run):
    cv2 = pixels.opencv()
    for image in annotations(run[1])["images"]:
        path, size_hw = run[1] / "dataset/coco/images" / image["file_name"], (image["height"], image["width"])
        with pixels.pillow().open(path) as opened:
            assert opened.size[::-1] == size_hw, path
        if image["file_name"] != NOBODY_LOOKED or "yolox" in (run[1] / "config.yaml").read_text():
            assert cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR).shape[:2] == size_hw, path


@pytest.mark.parametrize(
    ("turned", "upright"),
    [
        *((f"exif_orientation/landscape_{turn}.jpg", "exif_orientation/landscape_1.jpg") for turn in (3, 5, 7)),
        *((f"exif_orientation/portrait_{turn}.jpg", "exif_orientation/portrait_1.jpg") for turn in (3, 5, 7)),
        *((f"pillow/hopper_orientation_{turn}.jpg", "pillow/hopper.webp") for turn in (6, 8)),
    ],
)
def test_turned_pictures_are_upright(run, turned, upright):
    paths = [picture_of(run[1], name) for name in (turned, upright)]
    by_pillow = [np.array(pixels.pillow().open(path), np.float32) for path in paths]
    by_opencv = [pixels.opencv().imread(str(path)).astype(np.float32) for path in paths]
    assert np.abs(np.subtract(*by_pillow)).mean() < 25  # of 255: they are 5 to 17; turned otherwise, above 43
    assert np.abs(np.subtract(*by_opencv)).mean() < 25


@pytest.mark.parametrize("name", ["pillow/16bit.cropped.tif", "pillow/tiff_16bit_RGB.tiff"])
def test_deep_pictures_are_neither_black_nor_clipped(run, name):
    with pixels.pillow().open(picture_of(run[1], name)) as opened:
        rgb = np.array(opened)
    assert rgb.dtype == np.uint8
    assert (rgb.min(), rgb.max()) == (0, 255)
    assert 40 < rgb.mean() < 215
    assert np.isin(rgb, (0, 255)).mean() < 0.1


def test_a_second_run_computes_nothing(run):
    words, _, said = run
    again = json.loads(here(*words).stdout)
    assert {stage: did["computed"] for stage, did in again["stages"].items()} == dict.fromkeys(again["stages"], 0)
    assert again["aside"] == json.loads(said.stdout)["aside"]


@pytest.mark.parametrize(("allowed", "code"), [(5, 3), (100, 0)])
def test_more_set_aside_than_allowed(run, allowed, code):
    said = here(*run[0], "--max-quarantined", allowed)
    assert said.returncode == code
    assert ("5 are allowed" in said.stderr) == (code == 3)
    assert json.loads(said.stdout)["pictures"] > 30  # told all the same


def test_a_plan_says_nothing_of_its_own(source, tmp_path):
    words = ["plan", "photos_yolox", "--source", source, "detect={backend: fake}"]
    said = masklet(*words, cwd=tmp_path)
    assert (said.returncode, said.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == []
