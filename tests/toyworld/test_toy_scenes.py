import hashlib
import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from pipeline import masks, toyworld
from pipeline.toyworld import COLORS, EVERY, HELD_OUT, MIN_VISIBLE_PX, SEEN, SHAPES, SIZE_HW, Thing

SCENES = [toyworld.scene(0, number) for number in range(12)]
UPRIGHT = (1.0, 0.0)


def visible(scene):
    """The true masks: N rows -> N times (H, W)."""
    return [masks.decode(code, scene.found.size_hw) for code in scene.found.masks]


def test_the_nearest_thing_hides_what_is_behind_it():
    far, near = (
        Thing("circle", "red", (3.0, 3.0), 3.0, UPRIGHT),
        Thing("circle", "blue", (6.0, 3.0), 3.0, UPRIGHT),
    )
    owner = toyworld.nearest([far, near], (6, 9))
    assert owner[3].tolist() == [0, 0, 0, 1, 1, 1, 1, 1, 1]


@pytest.mark.parametrize(
    ("behind", "stays"),
    [
        (Thing("circle", "red", (15.0, 15.0), 3.0, UPRIGHT), False),  # all hidden
        (Thing("circle", "red", (15.0, 25.0), 4.0, UPRIGHT), False),  # 26 of 52 pixels can be seen
        (Thing("circle", "red", (15.0, 28.0), 5.0, UPRIGHT), True),  # 68 of 80
        (Thing("circle", "red", (1.0, 1.0), 2.0, UPRIGHT), False),  # 8 pixels are too few
    ],
)
def test_of_what_is_there_more_than_half_can_be_seen(behind, stays):
    cover = Thing("square", "blue", (15.0, 15.0), 12.0, UPRIGHT)
    assert toyworld.in_sight([behind, cover], (36, 30)) == ([behind, cover] if stays else [cover])
    assert toyworld.in_sight([cover, behind], (36, 30))[0] == cover


@pytest.mark.parametrize("scene", SCENES)
def test_truth(scene):
    seen = visible(scene)
    assert np.sum(seen, axis=0).max() == 1  # no pixel has two owners
    assert min(mask.sum() for mask in seen) >= MIN_VISIBLE_PX
    assert [extra["depth"] for extra in scene.found.extra] == list(range(len(seen)))
    assert set(scene.found.names) <= set(SHAPES)
    assert set(scene.found.source) == {"toyworld"}
    assert scene.found.scores is None
    for mask, box in zip(seen, scene.found.boxes_xyxy.astype(int), strict=True):
        x0, y0, x1, y1 = box
        assert mask[y0:y1, x0:x1].sum() == mask.sum()  # all of it is in the box
        assert mask[y0, x0:x1].any() and mask[y1 - 1, x0:x1].any()  # noqa: PT018
        assert mask[y0:y1, x0].any() and mask[y0:y1, x1 - 1].any()  # noqa: PT018


@pytest.mark.parametrize("scene", SCENES)
def test_what_is_painted_is_what_the_truth_says(scene):
    palette = np.array(list(COLORS.values()), float)
    for mask, extra in zip(visible(scene), scene.found.extra, strict=True):
        distances = np.linalg.norm(scene.rgb[mask][:, None] - palette, axis=2)
        assert (distances.argmin(axis=1) == list(COLORS).index(extra["color"])).all()


@pytest.mark.parametrize("scene", SCENES)
def test_the_background_is_nobodys_colour_and_no_plain_one(scene):
    background = scene.rgb[~np.any(visible(scene), axis=0)].astype(float)
    distances = np.linalg.norm(background[:, None] - np.array(list(COLORS.values()), float), axis=2)
    assert (distances.min(axis=1) > 30).mean() > 0.99
    assert background.std(axis=0).min() > 5  # textured


def test_a_ring_has_a_hole():
    ring = Thing("ring", "red", (30.0, 30.0), 20.0, UPRIGHT)
    found = toyworld.truth([ring], toyworld.nearest([ring], (60, 60)))
    mask = masks.decode(found.masks[0], (60, 60))
    assert mask.any()
    assert not mask[25:35, 25:35].any()


def test_a_world_has_everything():
    found = [toyworld.scene(0, number).found for number in range(40)]
    boxes = np.concatenate([one.boxes_xyxy for one in found])
    sides = np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
    assert {name for one in found for name in one.names} == set(SHAPES)
    assert {extra["color"] for one in found for extra in one.extra} == set(COLORS)
    assert sides.min() < 20 < 80 < sides.max()
    assert {len(one) for one in found} >= {3, 6}


def test_what_is_held_out_is_drawn_when_asked_for_and_only_then():
    def kinds(which):
        found = [toyworld.scene(0, number, kinds=which).found for number in range(40)]
        return {(extra["color"], name) for one in found for extra, name in zip(one.extra, one.names, strict=True)}

    assert kinds(SEEN).isdisjoint(HELD_OUT)
    assert kinds(EVERY) >= set(HELD_OUT)
    assert kinds(HELD_OUT) == set(HELD_OUT)


@pytest.mark.parametrize(("crowd", "most"), [(1, 1), (2, 2)])
def test_a_color_is_there_no_more_often_than_the_crowd_allows(crowd, most):
    found = [toyworld.scene(0, number, crowd=crowd).found for number in range(20)]
    colors = [[extra["color"] for extra in one.extra] for one in found]
    assert max(one.count(color) for one in colors for color in one) == most


def test_some_things_overlap():
    seen = [visible(scene) for scene in SCENES]
    touching = [(low[1:] & high[:-1]).any() for things in seen for low, high in pairwise(things)]
    assert sum(touching) >= 5


def fingerprint(seed=1, number=3):
    one = toyworld.scene(seed, number)
    return hashlib.sha256(one.rgb.tobytes()).hexdigest() + one.found.digest()


def test_a_scene_depends_on_seed_and_number_only():
    known = fingerprint(1, 3)
    assert len({known, fingerprint(1, 4), fingerprint(2, 3), fingerprint(3, 1)}) == 4
    assert fingerprint(1, 3) == known


def test_another_process_draws_the_same():
    program = (
        "from pipeline import toyworld; import hashlib; one = toyworld.scene(1, 3);"
        "print(hashlib.sha256(one.rgb.tobytes()).hexdigest() + one.found.digest())"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == fingerprint(1, 3)


def test_a_scene_of_another_size():
    scene = toyworld.scene(0, 0, (60, 90))
    assert scene.rgb.shape == (60, 90, 3)
    assert scene.found.size_hw == (60, 90)
    assert SCENES[0].rgb.shape == (*SIZE_HW, 3)


def test_the_ontology_has_a_class_for_every_shape():
    assert toyworld.ontology().names == tuple(SHAPES)


def test_write(tmp_path):
    for place in ("once", "again"):
        toyworld.write(tmp_path / place, seed=5, count=3)
    files = sorted(path.relative_to(tmp_path / "once") for path in (tmp_path / "once").rglob("*.*"))
    assert [path.as_posix() for path in files] == [
        *(f"images/scene_000{i}.png" for i in range(3)),
        "truth.json",
    ]
    for path in files:
        assert (tmp_path / "once" / path).read_bytes() == (tmp_path / "again" / path).read_bytes()


def test_written_pictures_and_truth_are_those_of_the_scenes(tmp_path):
    from PIL import Image

    toyworld.write(tmp_path, seed=5, count=2)
    truth = json.loads((tmp_path / "truth.json").read_text())
    assert [category["name"] for category in truth["categories"]] == list(SHAPES)
    assert [image["file_name"] for image in truth["images"]] == ["scene_0000.png", "scene_0001.png"]
    for number, image in enumerate(truth["images"]):
        scene = toyworld.scene(5, number)
        assert (np.asarray(Image.open(tmp_path / "images" / image["file_name"])) == scene.rgb).all()
        areas = [a["area"] for a in truth["annotations"] if a["image_id"] == image["id"]]
        assert sorted(areas) == sorted(mask.sum() for mask in visible(scene))
