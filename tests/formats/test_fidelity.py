import json
from dataclasses import replace

import pytest
from drawing import SIZE_HW, clip, instances, square

from pipeline.formats import Masks, Problem, Reading, coco, fidelity
from pipeline.ontology import Ontology
from pipeline.records import Clip, Frame

BOXES = [(1, 1, 5, 5), (8, 2, 14, 8), (20, 10, 30, 20)]
CODES = [square(*box) for box in BOXES]


def meant():
    """Two pictures with three objects each, and one with none."""
    found = instances(BOXES, names=["dog", "cat", "dog"], masks=CODES)
    return [clip(found, name="a.jpg"), clip(found, name="b.jpg"), clip(instances([]), name="c.jpg")]


def compare(came_back, **options):
    return fidelity.compare(meant(), Reading({}, iter(came_back)), **options)


def changed(**columns):
    """What was meant, with other columns in the first picture."""
    first, *rest = meant()
    return [replace(first, found=(replace(first.found[0], **columns),)), *rest]


def rows(*kept):
    """What was meant, with some rows of the first picture only."""
    first, *rest = meant()
    return [replace(first, found=(first.found[0].take(kept),)), *rest]


A, B = meant()[0].id, meant()[1].id


def test_the_same_is_the_same():
    same = compare(meant())
    assert same.ok
    assert (same.pictures, same.objects, same.min_iou, same.mean_iou, same.worst) == (3, 6, 1.0, 1.0, ())
    assert str(same) == "6 objects in 3 pictures are as meant"


def test_a_dataset_written_and_read_is_what_was_meant(tmp_path):
    coco.write_annotations(meant(), Ontology.parse("dog, cat"), tmp_path / "annotations.json")
    assert fidelity.compare(meant(), coco.read(tmp_path)).ok


def test_pictures_may_come_in_another_order():
    assert compare(reversed(meant())).ok


def test_pictures_are_known_by_their_names_in_the_dataset():
    anew = [replace(one, rewrite="animation") for one in meant()]
    read = [replace(one, name=f"{one.name}.png") for one in meant()]
    assert fidelity.compare(anew, Reading({}, iter(read))).ok


LOST = [  # the rows that came back, the uids that are told
    ((0, 1), [f"{A}/dog/1"]),  # the last
    ((1, 2), [f"{A}/dog/0"]),  # the first: the others are still known
    ((0, 2), [f"{A}/cat/0"]),
    ((2,), [f"{A}/dog/0", f"{A}/cat/0"]),
    ((), [f"{A}/dog/0", f"{A}/cat/0", f"{A}/dog/1"]),
]


@pytest.mark.parametrize(("kept", "lost"), LOST)
def test_a_lost_object_is_told(kept, lost):
    told = compare(rows(*kept))
    assert not told.ok
    assert list(told.lost) == lost
    assert (told.extra, told.wrong_class, told.min_iou, told.objects) == ((), (), 1.0, 6)


def test_of_two_objects_at_one_place_the_class_says_which_is_lost():
    twins = instances([BOXES[0]] * 2, names=["dog", "cat"], masks=[CODES[0]] * 2)
    told = fidelity.compare([clip(twins)], Reading({}, iter([clip(twins.take([1]))])))
    assert told.lost == (f"{A}/dog/0",)
    assert told.wrong_class == ()


def test_an_object_too_many_is_told():
    told = compare(rows(0, 1, 1, 2))
    assert not told.ok
    assert told.extra in (("a.jpg row 1",), ("a.jpg row 2",))
    assert told.lost == ()


def test_a_picture_lost_or_too_many_is_told():
    lost = compare(meant()[1:])
    assert lost.lost == ("a.jpg", f"{A}/dog/0", f"{A}/cat/0", f"{A}/dog/1")
    assert "4 lost (first: a.jpg)" in str(lost)
    more = compare([*meant(), clip(instances(), name="d.jpg")])
    assert more.extra == ("d.jpg", "d.jpg row 0")
    assert not lost.ok
    assert not more.ok


def test_a_picture_of_another_size_is_another_picture():
    *rest, last = meant()
    told = compare([*rest, clip(instances([], size_hw=SIZE_HW[::-1]), name=last.name)])
    assert (told.lost, told.extra) == (("c.jpg",), ("c.jpg",))


def test_another_class_is_told():
    told = compare(changed(names=("cat", "cat", "dog")))
    assert not told.ok
    assert told.wrong_class == ((f"{A}/dog/0", "cat"),)
    assert told.min_iou == 1


def test_a_mask_that_moved_by_a_pixel_is_told():
    told = compare(changed(masks=(square(2, 1, 6, 5), *CODES[1:])))
    assert not told.ok
    assert told.worst == ((f"{A}/dog/0", "a.jpg", pytest.approx(12 / 20), 16),)  # 4 x 4, 3 x 4 shared
    assert told.min_iou == pytest.approx(12 / 20)
    assert told.mean_iou == pytest.approx((5 + 12 / 20) / 6)
    assert str(told) == f"lowest IoU 0.6000 ({A}/dog/0 in a.jpg)"


LARGE = square(0, 0, 20, 20)
CLOSE, FAR, TINY = square(0, 0, 20, 19), square(0, 0, 20, 17), square(0, 0, 3, 3)


def outlines(*came_back, of=LARGE):
    """One picture of so many objects `of` a mask, which came back as these."""
    boxes = [(0, 0, 20, 20)] * len(came_back)
    one = clip(instances(boxes, masks=[of] * len(came_back)))
    other = replace(one, found=(replace(one.found[0], masks=came_back),))
    return fidelity.compare([one], Reading({}, iter([other])), Masks.OUTLINES)


@pytest.mark.parametrize(
    ("check", "ok", "poor"),
    [
        (outlines(*[CLOSE] * 100), True, 0),
        (outlines(*[LARGE] * 99, FAR), True, 1),  # one in a hundred
        (outlines(*[LARGE] * 98, FAR, FAR), False, 2),
        (outlines(LARGE, FAR), False, 1),
        (outlines(*[square(0, 0, 2, 2)] * 5, of=TINY), True, 5),  # too small to count, and named all the same
    ],
)
def test_where_masks_become_outlines_few_may_be_poor(check, ok, poor):
    assert (check.ok, len(check.poor)) == (ok, poor)


def test_poor_outlines_are_said():
    assert str(outlines(LARGE, FAR)).startswith("1 of 2 below 0.9, lowest IoU 0.8500 (")


@pytest.mark.parametrize(("moved_px", "ok"), [(0.0, True), (0.02, True), (0.2, False)])
def test_where_only_boxes_are_kept_they_are_those_of_the_masks(moved_px, ok):
    """The record has the detector's box, the dataset the mask's."""
    one = clip(instances([(1, 1, 30, 20)], masks=[square(2, 3, 12, 8)]))
    read = clip(instances([(2 + moved_px, 3, 12, 8)]))
    assert fidelity.compare([one], Reading({}, iter([read])), Masks.BOXES).ok is ok


FILM = [((1, BOXES[0]), (2, BOXES[1])), ((1, BOXES[1]),), ((2, BOXES[2]), (1, BOXES[0]))]
"""Identities and boxes by frame: the second is out of sight in the middle, and comes back as the first row."""


def film(*frames):
    found = [
        instances(
            [box for _, box in rows], track_ids=[number for number, _ in rows], masks=[square(*b) for _, b in rows]
        )
        for rows in frames
    ]
    return Clip("f", "f.mp4", "/f.mp4", tuple(Frame(i, i / 6, SIZE_HW) for i in range(len(found))), None, tuple(found))


@pytest.mark.parametrize(
    ("came_back", "said"),
    [
        (FILM, "5 objects in 1 pictures are as meant"),
        ([FILM[0], FILM[1], FILM[2][::-1]], "5 objects in 1 pictures are as meant"),  # the order of rows is nothing
        ([FILM[0], ((2, BOXES[1]),), FILM[2]], "1 lost (first: f/dog/0 in frame 1), 1 extra (first: f.mp4 in frame 1"),
        (
            [((2, BOXES[0]), (1, BOXES[1])), *FILM[1:]],
            "lowest IoU 0.0000 (f/dog/0 in frame 0 in f.mp4)",
        ),  # identities swapped
        (FILM[:2], "6 lost (first: f.mp4), 4 extra (first: f.mp4)"),  # another length is another film
    ],
)
def test_objects_of_a_film_are_known_by_their_identity(came_back, said):
    assert str(fidelity.compare([film(*FILM)], Reading({}, iter([film(*came_back)])))).startswith(said)


def test_what_is_out_of_sight_is_not_missed():
    """A format may give a row for every object in every frame."""
    hidden = instances(
        [BOXES[0], (0, 0, 0, 0)], track_ids=[1, 2], visible=[True, False], masks=[CODES[0], None], names=["dog"] * 2
    )
    came_back = replace(film(((1, BOXES[0]),)), found=(hidden,))
    assert fidelity.compare([film(((1, BOXES[0]),))], Reading({}, iter([came_back]))).ok


def test_a_mask_that_did_not_come_back_overlaps_by_nothing():
    assert compare(changed(masks=None)).min_iou == 0
    assert compare(changed(masks=(CODES[0], None, CODES[2]))).worst == ((f"{A}/cat/0", "a.jpg", 0.0, 36),)


def test_the_worst_are_told_and_no_more():
    n = 2 * fidelity.WORST
    sizes = [square(0, 0, 30, 20)] * n
    big = instances([(0, 0, 30, 20)] * n, masks=sizes)
    small = replace(big, masks=[square(0, 0, 30 - row, 20) for row in range(n)])
    told = fidelity.compare([clip(big)], Reading({}, iter([clip(small)])))
    assert [one.uid for one in told.worst] == [f"{A}/dog/{row}" for row in range(n - 1, fidelity.WORST - 1, -1)]


def test_what_the_reader_stumbled_over_is_told():
    problem = Problem("annotations.json: annotation 1", "has no mask")
    told = fidelity.compare(meant(), Reading({}, iter(meant()), [problem]))
    assert not told.ok
    assert told.problems == ("annotations.json: annotation 1: has no mask",)


def test_nothing_is_the_same_as_nothing():
    assert fidelity.compare([], Reading({}, iter([]))).ok


def test_it_is_plain_values():
    told = compare(rows(0, 1)).to_json()
    assert json.loads(json.dumps(told)) == {
        "ok": False,
        "masks": "exact",
        "pictures": 3,
        "objects": 6,
        "lost": [f"{A}/dog/1"],
        "extra": [],
        "wrong_class": [],
        "min_iou": 1.0,
        "median_iou": 1.0,
        "mean_iou": 1.0,
        "worst": [],
        "poor": [],
        "large": 1,
        "problems": [],
        "wrong_side": [],
    }


def test_one_clip_at_a_time_is_in_memory():
    """Neither side runs ahead of the other by more than one picture."""
    steps = []

    def stream(side):
        for number in range(50):
            steps.append(side)
            yield clip(instances(masks=[CODES[0]]), name=f"{number:03}.jpg")

    assert fidelity.compare(stream(1), Reading({}, stream(-1))).ok
    assert max(abs(sum(steps[:n])) for n in range(len(steps))) <= 1
