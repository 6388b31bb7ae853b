import io
from contextlib import redirect_stdout

import pytest
from drawing import clip, instances, square

from pipeline import masks
from pipeline.errors import BadRecord
from pipeline.evaluate.average_precision import average_precision
from pipeline.formats import coco


def truth(*boxes, name="a.jpg", **columns):
    """A picture with true dogs."""
    return clip(instances(boxes, scores=None, masks=[square(*box) for box in boxes], **columns), name=name)


def found(*boxes, **columns):
    """Dogs that were found, the surest first."""
    scores = [0.9 - 0.1 * row for row in range(len(boxes))]
    return instances(boxes, masks=[square(*box) for box in boxes], **({"scores": scores} | columns))


def half_found(true):
    """What a poor detector would find: two rows of three, every other one off by some pixels, as sure as they come."""
    rows = [row for row in range(len(true)) if row % 3]
    codes, boxes = [], []
    for row in rows:
        shift = 6 * (row % 2)
        crop, (x, y) = masks.decode_crop(true.masks[row], true.size_hw)
        x = min(x + shift, true.size_hw[1] - crop.shape[1])
        codes.append(masks.encode_crop(crop, (x, y), true.size_hw))
        boxes.append(masks.box(codes[-1], true.size_hw))
    names = [true.names[row] for row in rows]
    return instances(boxes, names=names, masks=codes, scores=[1 / (2 + row % 7) for row in rows], size_hw=true.size_hw)


def judged_by_pycocotools(path, got, iou_type):
    """AP, AP50, AP75 and AR100 by the usual way: its own reader of the truth, and a list of results."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with redirect_stdout(io.StringIO()):
        truth = COCO(str(path))
        images = {image["file_name"]: image["id"] for image in truth.dataset["images"]}
        classes = {category["name"]: category["id"] for category in truth.dataset["categories"]}
        results = [
            {"image_id": images[name], "category_id": classes[found.names[row]], "score": float(found.scores[row])}
            | in_coco(found, row, iou_type)
            for name, found in sorted(got.items())
            for row in range(len(found))
        ]
        judge = COCOeval(truth, truth.loadRes(results), iou_type)
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return tuple(judge.stats[[0, 1, 2, 8]])


def in_coco(found, row, iou_type):
    if iou_type == "segm":
        return {"segmentation": {"size": list(found.size_hw), "counts": found.masks[row]}}
    x0, y0, x1, y1 = found.boxes_xyxy[row].tolist()
    return {"bbox": [x0, y0, x1 - x0, y1 - y0]}


ONE, TWO, NOWHERE = (0, 0, 10, 10), (15, 0, 25, 10), (0, 12, 5, 17)

# Two true dogs. Precision is read at the recalls 0, .01 ... 1: with one of two found, at 51 of 101.
BY_HAND = [
    ([ONE, TWO], 1.0, 1.0, 1.0),  # both
    ([ONE], 51 / 101, 51 / 101, 0.5),  # one, surely
    ([NOWHERE, ONE], 51 / 101 / 2, 51 / 101 / 2, 0.5),  # a false one before it: precision 1/2
    ([ONE, NOWHERE], 51 / 101, 51 / 101, 0.5),  # a false one after it costs nothing
    ([ONE, NOWHERE, TWO], (51 + 50 * 2 / 3) / 101, (51 + 50 * 2 / 3) / 101, 1.0),
    ([NOWHERE], 0.0, 0.0, 0.0),
    ([ONE, ONE, TWO], (51 + 50 * 2 / 3) / 101, (51 + 50 * 2 / 3) / 101, 1.0),  # twice is a false one
]


@pytest.mark.parametrize("kind", ["box", "mask"])
@pytest.mark.parametrize(("boxes", "ap", "ap50", "ar100"), BY_HAND)
def test_by_hand(kind, boxes, ap, ap50, ar100):
    scores = average_precision([truth(ONE, TWO)], {"a.jpg": found(*boxes)}, kind)
    assert (scores.ap, scores.ap50, scores.ar100) == pytest.approx((ap, ap50, ar100), abs=1e-6)
    assert (scores.objects, scores.detections, scores.pictures, scores.absent) == (2, len(boxes), 1, 0)


def test_a_loose_box_counts_up_to_its_overlap():
    # IoU .8 with the only truth: a hit at .50, .55 ... .80, which is 7 of the 10 thresholds
    scores = average_precision([truth(ONE)], {"a.jpg": found((0, 0, 10, 8))}, "box")
    assert (scores.ap, scores.ap50, scores.ap75) == (0.7, 1.0, 1.0)


def test_boxes_are_the_detectors_or_those_of_the_masks():
    loose = instances([(0, 0, 20, 10)], masks=[square(*ONE)])
    assert average_precision([truth(ONE)], {"a.jpg": loose}, "box", "detector").ap50 == 1.0  # IoU .5
    assert average_precision([truth(ONE)], {"a.jpg": loose}, "box", "detector").ap == 0.1
    assert average_precision([truth(ONE)], {"a.jpg": loose}, "box", "mask").ap == 1.0
    assert average_precision([truth(ONE)], {"a.jpg": loose}, "mask").ap == 1.0


def test_classes_are_matched_by_name_and_judged_where_both_sides_know_them():
    clips = [truth(ONE, TWO, names=["dog", "cat"])]
    got = {"a.jpg": found(ONE, TWO, NOWHERE, names=["dog", "dog", "unicorn"])}
    both = average_precision(clips, got, "box")
    assert {name: figures["ap"] for name, figures in both.per_class.items()} == {"cat": 0.0, "dog": 1.0}
    assert both.ap == 0.5
    dogs = average_precision(clips, got, "box", classes=["dog", "unicorn"])  # nobody looked for cats
    assert dogs.per_class == {"dog": {"ap": 1.0, "ap50": 1.0, "ar100": 1.0, "objects": 1, "detections": 2}}
    assert (dogs.ap, dogs.objects) == (1.0, 1)


def test_only_pictures_of_the_run_are_judged():
    clips = [truth(ONE), truth(TWO, name="b.jpg"), truth(TWO, name="c.jpg")]
    scores = average_precision(clips, {"a.jpg": found(ONE), "x.jpg": found(ONE)}, "box")
    assert (scores.ap, scores.objects, scores.detections, scores.pictures, scores.absent) == (1.0, 1, 1, 1, 2)


def test_a_crowd_is_neither_hit_nor_miss():
    clips = [truth(ONE, TWO, extra=[{}, {"iscrowd": 1}])]
    for boxes in ([ONE], [(16, 0, 20, 5), (20, 0, 25, 5), ONE]):
        scores = average_precision(clips, {"a.jpg": found(*boxes)}, "mask")
        assert (scores.ap, scores.objects, scores.crowds) == (1.0, 1, 1)


def test_without_a_score_a_row_is_certain():
    rows = found(NOWHERE, ONE, scores=[0.5, 1])
    clips = [truth(ONE)]
    assert average_precision(clips, {"a.jpg": rows}, "box").ap == 1.0
    assert average_precision(clips, {"a.jpg": found(NOWHERE, ONE, scores=None)}, "box").ap == 0.5


def test_small_and_large_objects_apart():
    size_hw = (200, 200)
    boxes = [(0, 0, 10, 10), (20, 20, 80, 80), (90, 90, 190, 190)]  # 100, 3 600 and 10 000 pixels
    codes = [square(*box, size_hw) for box in boxes]
    true = clip(instances(boxes, masks=codes, size_hw=size_hw))
    scores = average_precision([true], {"a.jpg": true.found[0].take([0, 2])}, "mask")
    assert (scores.ap_small, scores.ap_medium, scores.ap_large) == (1.0, 0.0, 1.0)


def test_a_true_object_is_as_large_as_its_mask_whatever_is_judged():
    size_hw, box = (100, 100), (0, 0, 60, 60)  # 3 600 pixels of box
    true = clip(instances([box], masks=[square(0, 0, 60, 2, size_hw)], size_hw=size_hw))  # 120 of mask
    scores = average_precision([true], {"a.jpg": true.found[0]}, "box")
    assert (scores.ap_small, scores.ap_medium) == (1.0, None)


def test_more_than_a_hundred_of_one_class_count_when_asked():
    boxes = [(x, y, x + 1, y + 1) for x in range(15) for y in range(10)]
    clips, got = [truth(*boxes)], {"a.jpg": found(*boxes, scores=[0.5] * 150)}
    usual = average_precision(clips, got, "mask")
    assert usual.ap == pytest.approx(67 / 101, abs=1e-6)  # recall 100 of 150: .00 to .66
    assert usual.ar100 == pytest.approx(100 / 150, abs=1e-6)
    more = average_precision(clips, got, "mask", max_detections=150)
    assert (more.ap, more.ar100) == (1.0, usual.ar100)
    assert average_precision(clips, got, "mask", max_detections=10).ap == pytest.approx(7 / 101, abs=1e-6)


EMPTY = [  # truth, found, what AP is
    ([], {}, None),
    ([], {"a.jpg": found(ONE)}, None),
    ([truth(ONE)], {}, None),  # no picture in both
    ([truth()], {"a.jpg": found()}, None),  # a picture without objects
    ([truth()], {"a.jpg": found(ONE)}, None),
    ([clip()], {"a.jpg": found(ONE)}, None),  # nobody looked at it
    ([truth(ONE)], {"a.jpg": found()}, 0.0),
    ([truth(ONE, extra=[{"iscrowd": 1}])], {"a.jpg": found(ONE)}, None),  # crowds only
]


@pytest.mark.parametrize("kind", ["box", "mask"])
@pytest.mark.parametrize(("clips", "got", "ap"), EMPTY)
def test_nothing_there_is_no_crash(clips, got, ap, kind, capsys):
    scores = average_precision(clips, got, kind)
    assert (scores.ap, scores.ap_small, scores.ar100) == (ap, ap, ap)
    assert capsys.readouterr().out == ""  # pycocotools talks


def test_masks_are_asked_for_where_they_are_needed():
    boxes_only = instances([ONE])
    assert average_precision([truth(ONE)], {"a.jpg": boxes_only}, "box").ap == 1.0
    for kind, boxes_from in (("mask", "detector"), ("box", "mask")):
        with pytest.raises(BadRecord, match=r"row 0 \(dog\) has no mask; judge the detector's boxes instead"):
            average_precision([truth(ONE)], {"a.jpg": boxes_only}, kind, boxes_from)


def test_another_size_is_refused():
    with pytest.raises(BadRecord, match=r"a\.jpg: the truth is of another size than the picture"):
        average_precision([truth(ONE)], {"a.jpg": instances([ONE], size_hw=(10, 10))}, "box")


@pytest.mark.parametrize(("kind", "iou_type"), [("box", "bbox"), ("mask", "segm")])
def test_real_truth_half_found_scores_what_pycocotools_says(kind, iou_type, shared_data):
    clips = list(coco.read(shared_data / "coco64").clips)
    got = {one.name: half_found(one.found[0]) for one in clips}
    scores = average_precision(clips, got, kind)
    ours = (scores.ap, scores.ap50, scores.ap75, scores.ar100)
    assert ours == pytest.approx(
        judged_by_pycocotools(shared_data / "coco64" / "instances.json", got, iou_type), abs=1e-6
    )
    assert 0.1 < scores.ap < 0.9


@pytest.mark.parametrize("kind", ["box", "mask"])
def test_real_truth_against_itself_is_perfect_and_every_annotation_counts(kind, shared_data):
    clips = list(coco.read(shared_data / "coco64").clips)
    scores = average_precision(clips, {one.name: one.found[0] for one in clips}, kind, max_detections=1000)
    assert (scores.ap, scores.objects, scores.crowds, scores.detections) == (1.0, 542, 0, 542)
    by_class = {figures["ap"] for figures in scores.per_class.values()}
    assert by_class == {1.0}
