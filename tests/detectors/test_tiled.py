import json
from itertools import pairwise
from typing import ClassVar

import blobs
import numpy as np
import pytest
from asking import ClosedSet, Joint
from blobs import Blobs
from pydantic import ValidationError

from pipeline import config, geometry, yamls
from pipeline.detectors.coco_names import COCO_NAMES
from pipeline.detectors.tiled import TILES_A_CALL, Tiled, grouped, joined, tiles_of
from pipeline.detectors.yolox import Yolox
from pipeline.errors import ConfigError
from pipeline.media import Picture
from pipeline.records import Instances
from pipeline.seams import Device

CPU = Device()


def painted(*boxes, size_hw=(100, 200)):
    """White, with black rectangles."""
    rgb = np.full((*size_hw, 3), 255, np.uint8)
    for x0, y0, x1, y1 in boxes:
        rgb[y0:y1, x0:x1] = 0
    return Picture.of(rgb)


def ask(picture, prompts=("blob",), **options):
    return (
        Tiled(**{"detector": Blobs(), "side_px": 100, "whole": False, **options})
        .open(CPU)
        .detect([picture], prompts)[0]
    )


@pytest.mark.parametrize(
    ("size_hw", "tiles"),
    [
        ((100, 100), [(0, 0, 100, 100)]),  # as large as a tile
        ((1, 1), [(0, 0, 1, 1)]),  # smaller
        ((101, 100), [(0, 0, 100, 100), (0, 1, 100, 101)]),  # a pixel more: the last tile moves inwards
        ((175, 100), [(0, 0, 100, 100), (0, 75, 100, 175)]),  # two steps exactly
        ((30, 176), [(0, 0, 100, 30), (75, 0, 175, 30), (76, 0, 176, 30)]),  # low: tiles are as low
        ((120, 120), [(0, 0, 100, 100), (20, 0, 120, 100), (0, 20, 100, 120), (20, 20, 120, 120)]),  # row by row
    ],
)
def test_tiles(size_hw, tiles):
    assert tiles_of(size_hw, 100, 0.25) == tiles


@pytest.mark.parametrize("size_hw", [(1080, 1920), (333, 2048), (641, 640), (50, 50)])
def test_tiles_lie_where_supervision_slices(size_hw):
    from supervision import Detections, InferenceSlicer

    sliced = []
    slicer = InferenceSlicer(lambda tile: sliced.append(tile) or Detections.empty(), slice_wh=640, overlap_wh=160)
    place = np.stack(np.meshgrid(range(size_hw[1]), range(size_hw[0])) * 2, axis=2)[..., :3].astype(np.int32)
    slicer(place)
    ours = [place[y0:y1, x0:x1] for x0, y0, x1, y1 in tiles_of(size_hw, 640, 0.25)]
    assert len(ours) == len(sliced)
    assert all(np.array_equal(a, b) for a, b in zip(ours, sliced, strict=True))


@pytest.mark.parametrize(
    ("drawn", "found"),
    [
        ([(10, 10, 30, 20)], [(10, 10, 30, 20)]),  # inside the first tile only
        ([(80, 10, 95, 20)], [(80, 10, 95, 20)]),  # seen whole by two tiles (0 to 100, 75 to 175)
        ([(60, 10, 120, 20)], [(60, 10, 120, 20)]),  # cut by both: 60 to 100 and 75 to 120
        ([(0, 10, 200, 90)], [(0, 10, 200, 90)]),  # through all three tiles
        ([(90, 10, 101, 20)], [(90, 10, 101, 20)]),  # one tile misses one pixel of it
        ([(72, 10, 76, 20)], [(72, 10, 76, 20)]),  # one tile sees one pixel of it
        ([(60, 10, 120, 20), (60, 30, 120, 40)], [(60, 10, 120, 20), (60, 30, 120, 40)]),  # two, one above the other
        ([(60, 10, 90, 20), (92, 10, 120, 20)], [(60, 10, 90, 20), (92, 10, 120, 20)]),  # two, side by side on a seam
        ([(0, 0, 5, 5), (195, 95, 200, 100)], [(0, 0, 5, 5), (195, 95, 200, 100)]),  # at the picture's edges
        ([], []),  # nothing
    ],
)
@pytest.mark.parametrize("whole", [False, True])
def test_an_object_is_one_row_with_its_whole_box(drawn, found, whole):
    got = ask(painted(*drawn), whole=whole)
    assert sorted(map(tuple, got.boxes_xyxy.tolist())) == sorted(found)


@pytest.mark.parametrize("whole", [False, True])
def test_a_grid_of_small_objects(whole):
    """Every seam of both directions is crossed by some; none is lost, none is there twice."""
    drawn = [(x, y, x + 9, y + 7) for x in range(1, 385, 11) for y in range(1, 290, 10)]
    got = ask(painted(*drawn, size_hw=(300, 400)), whole=whole, side_px=64)
    assert sorted(map(tuple, got.boxes_xyxy.tolist())) == sorted(drawn)


def test_best_first_and_the_best_score_of_its_pieces():
    got = ask(painted((60, 10, 130, 20), (10, 50, 30, 60), (10, 30, 30, 40), (0, 80, 40, 95)), ["b", "a"])
    assert got.scores.tolist() == pytest.approx([0.6, 0.6, 0.55, 0.55, 0.2, 0.2, 0.2, 0.2])
    assert got.prompts == ("a", "b", "a", "b", "a", "a", "b", "b")  # equal scores: by prompt, then by box
    assert got.boxes_xyxy[4:6, 1].tolist() == [30, 50]
    assert set(got.source) == {"blobs"}
    assert set(got.score_kind) == {"size"}


def test_prompts_do_not_meet():
    together = ask(painted((60, 10, 120, 20)), ["a", "b"])
    assert together.take([1]).digest() == ask(painted((60, 10, 120, 20)), ["b"]).digest()


@pytest.mark.parametrize("size_hw", [(100, 100), (1, 1), (60, 99)])
def test_a_picture_no_larger_than_a_tile_is_asked_once(size_hw):
    blobs.SHOWN.clear()
    picture = painted((0, 0, 1, 1), (30, 20, 50, 40), size_hw=size_hw)
    tiled = ask(picture, whole=True)
    assert blobs.SHOWN.copy() == [size_hw]
    assert tiled.digest() == Blobs().open(CPU).detect([picture], ["blob"])[0].digest()


def test_what_is_larger_than_a_tile_has_one_row_by_the_whole_picture():
    """Pieces of a frame's four sides do not touch each other in most tiles."""
    drawn = [(0, 0, 300, 10), (0, 290, 300, 300), (0, 0, 10, 300), (290, 0, 300, 300)]
    got = ask(painted(*drawn, size_hw=(300, 300)), whole=True)
    assert got.boxes_xyxy[0].tolist() == [0, 0, 300, 300]


class Counting:
    """Says what it was shown, and finds nothing."""

    def __init__(self):
        self.calls = []

    def detect(self, pictures, prompts):
        self.calls.append([picture.size_hw for picture in pictures])
        return [Instances(p.size_hw, np.zeros((0, 4)), (), unplaced=(("dog", "far away"),)) for p in pictures]


def test_few_tiles_are_cut_out_at_a_time():
    tiled, counting = Tiled(detector=Blobs(), side_px=16).open(CPU), Counting()
    tiled.inner = counting
    found = tiled.detect([painted(size_hw=(50, 200))], ["dog"])[0]
    sizes = [len(call) for call in counting.calls]
    assert sum(sizes) == 1 + 4 * 17  # the picture, and tiles at every 12 pixels
    assert max(sizes) == TILES_A_CALL
    assert counting.calls[0][:2] == [(50, 200), (16, 16)]
    assert found.unplaced == (("dog", "far away"),)  # and said once


TILES = [(0, 0, 100, 100), (75, 0, 175, 100)]


def seen(*rows):
    """What one view shows: rows of a box in the view's pixels, a score, and a prompt."""
    return Instances(
        (100, 100),
        np.array([row[0] for row in rows], np.float32).reshape(-1, 4),
        names=("",) * len(rows),
        scores=[row[1] for row in rows],
        prompts=tuple(row[2] for row in rows),
    )


@pytest.mark.parametrize(
    ("left", "right", "boxes"),
    [
        (
            [((60, 10, 98, 30), 0.9, "a")],
            [((2, 11, 45, 29), 0.8, "a")],
            [(60, 10, 120, 30)],
        ),  # edges missed by 2 pixels
        (
            [((60, 10, 98, 30), 0.9, "a")],
            [((2, 11, 45, 29), 0.8, "b")],
            [(60, 10, 98, 30), (77, 11, 120, 29)],
        ),  # 2 prompts
        ([((80, 10, 95, 30), 0.7, "a")], [((6, 11, 21, 30), 0.8, "a")], [(81, 11, 96, 30)]),  # not cut: the surer box
        (
            [((80, 0, 95, 30), 0.7, "a")],
            [((6, 0, 21, 31), 0.8, "a")],
            [(81, 0, 96, 31)],
        ),  # the picture's edge cuts nobody
        (
            [((40, 0, 99, 99), 0.9, "a"), ((80, 40, 90, 60), 0.8, "a")],
            [],
            [(40, 0, 99, 99), (80, 40, 90, 60)],
        ),  # a view
        (  # a small one before a large one, both seen twice
            [((40, 0, 100, 100), 0.9, "a"), ((80, 40, 90, 60), 0.8, "a")],
            [((0, 0, 50, 100), 0.7, "a"), ((5, 40, 15, 60), 0.6, "a")],
            [(40, 0, 125, 100), (80, 40, 90, 60)],
        ),
        (  # two of one view that both agree with one of the other stay two
            [((80, 10, 95, 30), 0.9, "a"), ((80, 14, 95, 34), 0.8, "a")],
            [((5, 11, 20, 31), 0.7, "a")],
            [(80, 10, 95, 30), (80, 14, 95, 34)],
        ),
    ],
)
def test_what_two_views_say_of_the_pixels_they_share(left, right, boxes):
    got = joined([seen(*left), seen(*right)], TILES, (100, 175), 0.5)
    assert [tuple(box) for box in got.boxes_xyxy.tolist()] == boxes
    assert got.scores.tolist() == pytest.approx(
        [row[1] for row in sorted([*left, *right], key=lambda r: -r[1])][: len(got)]
    )


def test_pairs_join_in_the_order_of_their_agreement():
    chain = [(-0.9, 1, 2), (-0.8, 0, 1), (-0.7, 0, 3)]
    assert grouped(chain, np.array([0, 1, 2, 3])) == [[0, 1, 2, 3]]
    assert grouped(chain, np.array([0, 1, 2, 2])) == [[0, 1, 2], [3]]  # row 2 was there before row 3


class ByName(Blobs):
    by_name: ClassVar[bool] = True


def test_a_detector_that_goes_by_names_is_refused():
    text = "ontology: dog\ndetect:\n  backend: tiled\n  detector: {backend: boxes, path: truth.json}\n"
    with pytest.raises(
        ConfigError, match=r"run.yaml:4: detect.detector: .*Boxes knows pictures by their names, and a tile"
    ):
        config.from_document(yamls.parse(text, "run.yaml"))
    with pytest.raises(ValidationError, match="knows pictures by their names"):
        Tiled(detector=ByName())


def test_it_answers_for_the_detector_within():
    closed, joint = Tiled(detector=ClosedSet()), Tiled(detector=Joint())
    assert (closed.independent_classes, joint.independent_classes) == (True, False)
    assert (closed.vocabulary(), joint.vocabulary()) == (("dog", "cat", "bird"), None)
    assert Tiled(detector=Blobs()).refused(["light"]) == ["light blobs: only dark ones are found"]
    assert Tiled(detector={"backend": "asking:Joint", "weights": "x"}).detector == Joint(weights="x")


def test_the_fingerprint_has_the_detector_within_and_no_path(shared_data):
    model = shared_data / "models/yolox_nano/yolox_nano.onnx"
    said = Tiled(detector=Yolox(model=str(model))).fingerprint(CPU)
    assert said["detector"] == ["pipeline.detectors.yolox:Yolox", Yolox(model=str(model)).fingerprint(CPU)]
    assert str(model.parent) not in json.dumps(said)
    assert Tiled(detector=ClosedSet()).fingerprint(CPU) != Tiled(detector=Joint()).fingerprint(CPU)


def mosaics(folder):
    """Nine COCO photos a picture, side by side, so that objects are small: pictures, boxes, names."""
    import cv2

    from pipeline.formats import coco

    clips = list(coco.read(folder).clips)
    for first, last in pairwise(range(0, len(clips), 9)):
        canvas, boxes, names = np.full((1920, 1920, 3), 114, np.uint8), [], []
        for n, clip in enumerate(clips[first:last]):
            bgr = cv2.imdecode(np.fromfile(clip.path, np.uint8), cv2.IMREAD_COLOR)
            y, x = (640 * place for place in divmod(n, 3))
            canvas[y : y + bgr.shape[0], x : x + bgr.shape[1]] = bgr[..., ::-1]
            boxes.append(clip.found[0].boxes_xyxy + np.array([x, y, x, y], np.float32))
            names += clip.found[0].names
        yield Picture.of(canvas), np.concatenate(boxes), np.array(names)


def recall(detector, scenes, least_score):
    """Of objects below 96 x 96 pixels, the share found by a box of the class with IoU 0.5 and at least this score."""
    hits = []
    for picture, boxes, names in scenes:
        found = detector.detect([picture], COCO_NAMES)[0]
        sure = found.take(np.flatnonzero(found.scores >= least_score))
        same = names[:, None] == np.array(sure.prompts)[None, :]
        overlap = np.where(same, geometry.box_iou(boxes, sure.boxes_xyxy), 0).max(axis=1, initial=0)
        hits += (overlap[geometry.areas(boxes) < 96**2] > 0.5).tolist()
    return np.mean(hits)


@pytest.mark.slow
def test_tiles_find_small_objects(shared_data, capsys):
    nano = Yolox(model=str(shared_data / "models/yolox_nano/yolox_nano.onnx"))
    scenes = list(mosaics(shared_data / "coco64"))
    plain, tiled = (recall(d.open(CPU), scenes, 0.25) for d in (nano, Tiled(detector=nano, side_px=416)))
    with capsys.disabled():
        print(f"\nrecall of small objects at score 0.25: whole {plain:.3f}, tiled {tiled:.3f}")
    assert tiled > 3 * plain
    assert tiled > 0.25
