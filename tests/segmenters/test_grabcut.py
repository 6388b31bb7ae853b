import cv2
import numpy as np
import pytest
from drawing import clip, instances

from pipeline import masks
from pipeline.media import Picture
from pipeline.seams import Device
from pipeline.segmenters import grabcut
from pipeline.segmenters.fake import box_mask
from pipeline.segmenters.grabcut import Grabcut, cut_out

SIZE_HW = (120, 160)
PLAIN = Grabcut()


def scene(centre=(80, 60), radius=30, noise=20):
    """A bright disc on a dark ground, both noisy: (120, 160, 3), and the disc."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[: SIZE_HW[0], : SIZE_HW[1]] + 0.5
    disc = np.hypot(x - centre[0], y - centre[1]) < radius
    ground = np.where(disc[..., None], (200, 120, 60), (40, 60, 90))
    return (ground + rng.integers(0, noise + 1, (*SIZE_HW, 3))).astype(np.uint8), disc


def iou(code, mask):
    return masks.iou([code], [masks.encode(mask)], mask.shape)[0, 0]


@pytest.mark.parametrize(
    ("centre", "radius", "box_xyxy", "at_least"),
    [
        ((80, 60), 30, (50, 30, 110, 90), 0.95),  # a tight box
        ((80, 60), 30, (44, 26, 118, 97), 0.95),  # a loose box
        ((80, 60), 5, (75, 55, 85, 65), 0.85),  # a small object
        ((0, 0), 50, (0, 0, 50, 50), 0.9),  # cut by two edges of the picture
    ],
)
def test_what_stands_out_is_found(centre, radius, box_xyxy, at_least):
    rgb, disc = scene(centre, radius)
    assert iou(cut_out(rgb, np.float32(box_xyxy), PLAIN), disc) > at_least


def test_an_object_that_fills_the_picture_stands_out_from_its_corners():
    rgb, disc = (plane[10:110, 30:130] for plane in scene(radius=50))
    assert iou(cut_out(rgb, np.float32([0, 0, 100, 100]), PLAIN), disc) > 0.95


@pytest.mark.parametrize(
    "box_xyxy",
    [(50, 30, 110, 90), (60.4, 40.6, 99.5, 70.2), (0, 0, 20, 20), (150.3, 3, 160, 119.5), (0, 59, 160, 60)],
)
@pytest.mark.parametrize("rgb", [scene()[0], np.full((*SIZE_HW, 3), 9, np.uint8)], ids=["disc", "flat"])
def test_masks_stay_in_their_box(rgb, box_xyxy):
    code = cut_out(rgb, np.float32(box_xyxy), PLAIN)
    assert masks.covered([code], [box_mask(box_xyxy, SIZE_HW)], SIZE_HW)[0, 0] == 1 or masks.area(code) == 0


def test_a_coarse_answer_is_cut_at_the_box(monkeypatch):
    monkeypatch.setattr(grabcut, "_grabbed", lambda _, labels, __: np.ones_like(labels))
    box_xyxy = (30.4, 20.6, 129.4, 99.6)
    assert cut_out(scene()[0], np.float32(box_xyxy), Grabcut(side_px=8)) == box_mask(box_xyxy, SIZE_HW)


@pytest.mark.parametrize(
    ("size_hw", "box_xyxy"),
    [
        ((1, 1), (0, 0, 1, 1)),  # a pixel and no ground
        ((9, 9), (3.1, 3, 3.4, 6)),  # between the centres of pixels
        ((3, 1), (0, 1, 1, 2)),  # fewer pixels than clusters
        ((1, 5000), (0, 0, 5000, 1)),  # a line
        ((5000, 1), (0, 4999, 1, 5000)),  # the end of a line
    ],
)
def test_degenerate_crops_are_no_accident(size_hw, box_xyxy):
    code = cut_out(np.zeros((*size_hw, 3), np.uint8), np.float32(box_xyxy), PLAIN)
    assert masks.validate(code, size_hw) == code


def test_what_opencv_refuses_is_an_empty_mask(monkeypatch):
    def refuse(*_):
        raise cv2.error("!bgdSamples.empty() && !fgdSamples.empty()")

    monkeypatch.setattr(cv2, "grabCut", refuse)
    assert masks.area(cut_out(scene()[0], np.float32([50, 30, 110, 90]), PLAIN)) == 0


def test_neither_threads_nor_what_was_drawn_before_change_the_mask():
    rgb, _ = scene(noise=120)
    expected = cut_out(rgb, np.float32([50, 30, 110, 90]), PLAIN)
    before = cv2.getNumThreads()
    try:
        for threads in (1, 2, 4):
            cv2.setNumThreads(threads)
            cv2.setRNGSeed(threads)
            assert cut_out(rgb, np.float32([50, 30, 110, 90]), PLAIN) == expected
    finally:
        cv2.setNumThreads(before)


def test_a_picture_is_not_decoded_where_all_masks_are_there():
    rows = instances(size_hw=SIZE_HW, masks=(box_mask((1, 1, 5, 5), SIZE_HW),))
    (answer,) = PLAIN.open(Device()).segment([Picture(clip(rows))], [rows])  # its file does not exist
    assert answer.digest() == rows.digest()


def test_real_photos(shared_data):
    """On true boxes of 12 photos, better than filling them; benchmarks/grabcut_truth_boxes.py has all 64."""
    from pipeline.formats import coco

    cut, filled = [], []
    for _, photo in zip(range(12), coco.read(shared_data / "coco64").clips, strict=False):
        true = photo.found[0]
        bgr = cv2.imdecode(np.fromfile(photo.path, np.uint8), cv2.IMREAD_COLOR)
        picture = Picture.of(np.ascontiguousarray(bgr[..., ::-1]))
        bare = instances(true.boxes_xyxy, size_hw=true.size_hw, names=true.names, scores=None)
        (answer,) = PLAIN.open(Device()).segment([picture], [bare])
        for code, box, mask in zip(answer.masks, true.boxes_xyxy, true.masks, strict=True):
            cut.append(masks.iou([code], [mask], true.size_hw)[0, 0])
            filled.append(masks.iou([box_mask(box, true.size_hw)], [mask], true.size_hw)[0, 0])
    assert np.mean(cut) > 0.58
    assert np.mean(cut) > np.mean(filled) + 0.04
