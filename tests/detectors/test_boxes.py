import json
from pathlib import Path

import numpy as np
import pytest

from pipeline import masks
from pipeline.detectors.boxes import Boxes
from pipeline.errors import BadDataset, BadRecord, ConfigError
from pipeline.media import Picture
from pipeline.records import Clip, Frame
from pipeline.seams import Device

CPU = Device()
SQUARE = {"size": [20, 30], "counts": masks.encode_crop(np.ones((4, 4), bool), (2, 2), (20, 30)).decode()}


def picture(name="a.jpg", size_hw=(20, 30)):
    """A picture whose pixels cannot be had."""
    return Picture(Clip("", name, "/nowhere", (Frame(0, 0.0, size_hw),)))


def lines(*rows):
    """A prompts file; every row is a dog in a.jpg unless it says otherwise."""
    file = Path("prompts.jsonl")
    file.write_text("\n".join(json.dumps({"picture": "a.jpg", "class": "dog"} | row) for row in rows))
    return str(file)


def dataset(*annotations, place="set", images=({},)):
    """A COCO file; every annotation is a dog in a.jpg unless it says otherwise."""
    Path(place).mkdir(exist_ok=True)
    image = {"id": 1, "file_name": "a.jpg", "width": 30, "height": 20}
    dog = {"image_id": 1, "category_id": 1, "bbox": [2, 2, 4, 4]}
    data = {
        "images": [image | change for change in images],
        "categories": [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}],
        "annotations": [{"id": 10 + n} | dog | change for n, change in enumerate(annotations)],
    }
    (Path(place) / "annotations.json").write_text(json.dumps(data))
    return place


def ask(options, *pictures, prompts=("dog", "cat")):
    return options.open(CPU).detect(pictures or [picture()], prompts)


def test_a_prompts_file_as_a_detector():
    path = lines({"box": [1, 2, 3, 4], "score": 0.25}, {"class": "cat", "box": [5, 5, 9, 9]})
    (found,) = ask(Boxes(path=path))
    assert found.boxes_xyxy.tolist() == [[1, 2, 3, 4], [5, 5, 9, 9]]
    assert found.prompts == ("dog", "cat")
    assert found.scores.tolist() == [0.25, 1]
    assert found.score_kind == ("given", "constant")
    assert found.source == ("boxes", "boxes")
    assert found.names == ("", "")


def test_a_coco_dataset_as_a_detector():
    place = dataset({}, {"category_id": 2, "bbox": [0, 0, 30, 20], "score": 0.5})
    for path in (place, f"{place}/annotations.json"):
        options = Boxes(path=path)
        (found,) = ask(options)
        assert options.vocabulary() == ("cat", "dog")
        assert found.boxes_xyxy.tolist() == [[2, 2, 6, 6], [0, 0, 30, 20]]
        assert found.prompts == ("dog", "cat")
        assert found.scores.tolist() == [1, 0.5]
        assert found.score_kind == ("given", "given")
        assert found.extra == ({"annotation": 10}, {"annotation": 11})
        assert found.masks is None


def test_a_dataset_without_scores_has_constant_ones():
    (found,) = ask(Boxes(path=dataset({})))
    assert (found.scores.tolist(), found.score_kind) == ([1], ("constant",))


def test_a_crowd_is_no_object():
    crowd = {"iscrowd": 1, "segmentation": SQUARE}
    (found,) = ask(Boxes(path=dataset(crowd, {})))
    assert found.extra == ({"annotation": 11},)


def test_the_vocabulary_of_a_prompts_file():
    path = lines({"class": "zebra", "box": [0, 0, 1, 1]}, {"box": [0, 0, 1, 1]}, {"picture": "b", "box": [0, 0, 1, 1]})
    assert Boxes(path=path).vocabulary() == ("dog", "zebra")


@pytest.mark.parametrize(
    ("names", "asked", "answered"),
    [
        (["a.jpg"], "a.jpg", "a.jpg"),  # the same name
        (["x/a.jpg"], "x/a.jpg", "x/a.jpg"),  # below a folder
        (["x/a.jpg"], "a.jpg", "x/a.jpg"),  # only the file knows the folder
        (["a.jpg"], "y/x/a.jpg", "a.jpg"),  # only the source knows the folder
        (["x/a.jpg", "y/a.jpg"], "y/a.jpg", "y/a.jpg"),  # the exact name comes first
        (["x/a.jpg", "y/a.jpg"], "a.jpg", None),  # which of the two?
        (["x/a.jpg", "y/a.jpg"], "z/a.jpg", None),  # which of the two?
        (["a.jpg", "x/a.jpg"], "a.jpg", "a.jpg"),  # exact, though the base name is not unique
        (["a.jpg"], "A.JPG", None),  # case counts
        (["a.jpg"], "b.jpg", None),  # not named
        (["a.jpg"], "", None),  # no name at all
    ],
)
def test_pictures_are_known_by_name(names, asked, answered):
    rows = [{"picture": name, "box": [0, 0, number + 1, 1]} for number, name in enumerate(names)]
    (found,) = ask(Boxes(path=lines(*rows)), picture(asked))
    assert found.boxes_xyxy.tolist() == ([] if answered is None else [[0, 0, names.index(answered) + 1, 1]])


@pytest.mark.parametrize(
    ("row", "box", "points"),
    [
        ({"box": [25, 15, 90, 90]}, [25, 15, 30, 20], None),  # cut at the edge
        ({"box": [30, 0, 40, 9]}, None, None),  # outside
        ({"box": [29.9999, 0, 40, 9]}, None, None),  # no area to three digits
        ({"points": [[5, 6, 1]]}, [0, 0, 30, 20], [[5, 6, 1]]),  # nothing known of its extent
        ({"points": [[5, 6, 1], [30, 6, -1]]}, [0, 0, 30, 20], [[5, 6, 1]]),  # one point outside
        ({"points": [[5, 20, 1]]}, None, None),  # all outside
        ({"points": [[5, 20, 1], [5, 6, -1]]}, None, None),  # what is left says only where it is not
        ({"box": [1, 1, 9, 9], "points": [[5, 20, 1]]}, [1, 1, 9, 9], None),  # the box is left
        ({"mask": SQUARE}, [2, 2, 6, 6], None),  # the mask's own box
        ({"mask": SQUARE, "box": [0, 0, 9, 9]}, [0, 0, 9, 9], None),  # the box given
    ],
)
def test_what_is_inside_the_picture(row, box, points):
    (found,) = ask(Boxes(path=lines(row)))
    assert found.boxes_xyxy.tolist() == ([] if box is None else [box])
    if box is not None:
        assert (None if found.points[0] is None else found.points[0].tolist()) == points


@pytest.mark.parametrize("keep_masks", [False, True])
def test_masks_come_along_when_asked_for(keep_masks):
    code = SQUARE["counts"].encode()
    for path in (lines({"mask": SQUARE}, {"box": [0, 0, 1, 1]}), dataset({"segmentation": SQUARE}, {})):
        (found,) = ask(Boxes(path=path, keep_masks=keep_masks))
        assert found.masks == ((code, None) if keep_masks else None)


@pytest.mark.parametrize("path", [lambda: lines({"mask": SQUARE}), lambda: dataset({})])
def test_boxes_of_a_picture_of_another_size_are_refused(path):
    with pytest.raises(BadRecord, match=r"a\.jpg: the picture has 40 x 60 pixels .* one with 20 x 30; give"):
        ask(Boxes(path=path()), picture(size_hw=(40, 60)))


def test_jitter_is_bounded_and_always_the_same():
    path = lines(*[{"box": [10, 5, 20, 15]}] * 50)
    (found,) = ask(Boxes(path=path, jitter=0.1))
    moved = np.abs(found.boxes_xyxy - [10, 5, 20, 15])
    assert 0.8 < moved.max() <= 1
    assert len(np.unique(found.boxes_xyxy[:, 0])) == 50
    assert ask(Boxes(path=path, jitter=0.1))[0].digest() == found.digest()
    assert ask(Boxes(path=path, jitter=0.1, seed=1))[0].digest() != found.digest()


def test_jitter_depends_on_the_picture_and_the_row_not_on_what_is_asked():
    rows = [
        {"class": name, "picture": p, "box": [10, 5, 20, 15]} for p in ("a.jpg", "b.jpg") for name in ("dog", "cat")
    ]
    options = Boxes(path=lines(*rows), jitter=0.1)
    a, b = ask(options, picture("a.jpg"), picture("b.jpg"))
    assert len({tuple(box) for box in np.concatenate([a.boxes_xyxy, b.boxes_xyxy]).tolist()}) == 4
    (cats,) = ask(options, prompts=["cat"])
    assert cats.digest() == a.take([1]).digest()
    assert ask(options, picture("elsewhere/a.jpg"))[0].digest() == a.digest()


def test_jitter_of_points_alone_moves_nothing():
    (found,) = ask(Boxes(path=lines({"points": [[5, 6, 1]]}), jitter=0.4))
    assert found.boxes_xyxy.tolist() == [[0, 0, 30, 20]]


@pytest.mark.parametrize(
    ("path", "error", "match"),
    [
        (lambda: "no/such.json", ConfigError, r"^no/such\.json: No such file .*; give a COCO file, its folder"),
        (lambda: lines({}), ConfigError, r"^prompts\.jsonl:1: want a box"),  # every bad line is told
        (lambda: dataset({"bbox": [50, 50, 4, 4]}), ConfigError, r"annotation 10: .*no area inside"),  # and object
        (lambda: dataset({}, images=()), ConfigError, "image_id 1 is not among"),  # its picture is not there
        (lambda: Path("empty").mkdir() or "empty", BadDataset, "no annotation file"),
        (lambda: Path("x.json").write_text("[]") and "x.json", BadDataset, "is no COCO file"),
    ],
)
def test_files_that_cannot_be_read(path, error, match):
    with pytest.raises(error, match=match):
        ask(Boxes(path=path()))


def test_a_file_that_changes_is_read_again():
    options = Boxes(path=lines({"box": [0, 0, 1, 1]}))
    before = options.fingerprint(CPU)
    assert len(ask(options)[0]) == 1
    lines({"box": [0, 0, 1, 1]}, {"box": [0, 0, 2, 2]})
    assert len(ask(options)[0]) == 2
    assert options.fingerprint(CPU) != before


def test_real_photos(shared_data):
    options = Boxes(path=str(shared_data / "coco64"))
    found = options.open(CPU).detect([picture("000000000009.jpg", (480, 640))], options.vocabulary())[0]
    assert len(options.vocabulary()) == 80
    assert len(found) == 8
