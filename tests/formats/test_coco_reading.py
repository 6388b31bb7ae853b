import io
import json
import re
import time
from contextlib import redirect_stdout

import numpy as np
import pytest
from drawing import drawn
from hypothesis import given
from hypothesis import strategies as st

from pipeline import masks
from pipeline.errors import BadDataset
from pipeline.formats import coco

RING = drawn("####.", "#..#.", "####.", ".....")
SIZE = [4, 5]
CODE = masks.encode(RING).decode()
NAN = float("nan")
DEEP = {}
for _ in range(900):
    DEEP = {"in": DEEP}


def image(number=1, file_name="a.png", **fields):
    return {"id": number, "file_name": file_name, "height": 4, "width": 5} | fields


def annotation(number=17, **fields):
    """A ring on image 1; a field that is None is left out."""
    whole = {"id": number, "image_id": 1, "category_id": 3, "segmentation": {"size": SIZE, "counts": CODE}} | fields
    return {key: value for key, value in whole.items() if value is not None}


ONE_IMAGE = [image()]
ONE_CLASS = [{"id": 3, "name": "dog"}]


def read(tmp_path, *annotations, images=ONE_IMAGE, categories=ONE_CLASS):
    """A reading of such a file, with all its clips drawn."""
    data = {"images": images, "annotations": annotations, "categories": categories}
    (tmp_path / "annotations.json").write_text(json.dumps(data))
    reading = coco.read(tmp_path)
    return list(reading.clips), reading


def only(tmp_path, **fields):
    """The rows of one annotation that is read without a problem."""
    clips, reading = read(tmp_path, annotation(**fields))
    assert reading.problems == []
    return clips[0].found[0]


SEGMENTATIONS = [
    ({"size": SIZE, "counts": CODE}, RING),  # packed
    ({"size": SIZE, "counts": [0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 3, 5]}, RING),  # plain
    ({"size": SIZE, "counts": [0.0, 3, 1, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 3, 5]}, RING),  # some runs are empty
    ([[1, 1, 3, 1, 3, 3, 1, 3]], drawn(".....", ".##..", ".##..", ".....")),  # a polygon
    ([[0, 0, 2, 0, 2, 2, 0, 2], [3, 2, 5, 2, 5, 4, 3, 4]], drawn("##...", "##...", "...##", "...##")),  # two
    ([[-1e9, -1e9, 1e9, -1e9, 1e9, 1e9, -1e9, 1e9]], np.ones(SIZE, bool)),  # far away: bounded, not 20 GB
]


@pytest.mark.parametrize(("segmentation", "mask"), SEGMENTATIONS)
def test_every_form_of_mask_is_read(segmentation, mask, tmp_path):
    found = only(tmp_path, segmentation=segmentation)
    assert masks.decode(found.masks[0], found.size_hw).tolist() == mask.tolist()
    x0, y0, x1, y1 = found.boxes_xyxy[0]  # no bbox: the mask's own
    assert mask[int(y0) : int(y1), int(x0) : int(x1)].sum() == mask.sum()


BOXES = [
    ([1, 1, 2, 2], [1, 1, 3, 3]),  # inside
    ([1.25, 0.5, 2, 2.25], [1.25, 0.5, 3.25, 2.75]),  # between pixels
    ([-3, -1, 100, 3], [0, 0, 5, 2]),  # clipped to the picture
]


@pytest.mark.parametrize(("bbox", "box_xyxy"), BOXES)
def test_boxes_are_ours_and_inside(bbox, box_xyxy, tmp_path):
    found = only(tmp_path, bbox=bbox, segmentation=None)
    assert found.boxes_xyxy.tolist() == [box_xyxy]
    assert found.masks is None


def test_what_else_is_said_is_kept(tmp_path):
    attributes = {"source": "sam2", "prompt": "a dog", "quality": {"iou": 0.5}}
    clips, reading = read(
        tmp_path,
        annotation(5, score=0.25, attributes=attributes, iscrowd=1),
        annotation(4, attributes=None, bbox=[0, 0, 1, 1]),
    )
    found = clips[0].found[0]
    assert reading.problems == []
    assert found.names == ("dog", "dog")
    assert found.source == ("sam2", "coco")
    assert found.scores.tolist() == [0.25, 1.0]  # a row without a score is certain
    assert found.extra == (
        {"prompt": "a dog", "quality": {"iou": 0.5}, "annotation": 5, "iscrowd": 1},
        {"annotation": 4},
    )


def test_nothing_said_of_scores_and_masks_is_no_column(tmp_path):
    found = only(tmp_path, bbox=[0, 0, 1, 1], segmentation=[])
    assert found.scores is None
    assert found.masks is None


BAD = [
    # run lengths that would make pycocotools read past their end
    ({"segmentation": {"size": SIZE, "counts": ""}}, "not a run-length code"),
    ({"segmentation": {"size": SIZE, "counts": CODE[:-1]}}, "runs fill .* pixels"),  # cut short
    ({"segmentation": {"size": SIZE, "counts": CODE + "~~~~"}}, "not a run-length code"),  # no such character
    ({"segmentation": {"size": SIZE, "counts": "oooooooooo1"}}, "run length is too large"),
    ({"segmentation": {"size": SIZE, "counts": "é"}}, "not a run-length code"),
    ({"segmentation": {"size": [5, 4], "counts": CODE}}, r"size is \[5, 4\], the picture's \[4, 5\]"),
    ({"segmentation": {"size": [10**9, 10**9], "counts": CODE}}, "make the two agree"),
    ({"segmentation": {"counts": CODE}}, "size is None"),
    ({"segmentation": {"size": SIZE}}, "None is no list of finite numbers"),
    ({"segmentation": {"size": SIZE, "counts": []}}, "do not fill"),
    ({"segmentation": {"size": SIZE, "counts": [5, 5]}}, "do not fill"),
    ({"segmentation": {"size": SIZE, "counts": [-5, 25]}}, "do not fill"),
    ({"segmentation": {"size": SIZE, "counts": [0.5, 19.5]}}, "do not fill"),
    ({"segmentation": {"size": SIZE, "counts": [1e308] * 3}}, "do not fill"),
    ({"segmentation": {"size": SIZE, "counts": [10**400]}}, "no list of finite numbers"),
    ({"segmentation": {"size": SIZE, "counts": [20]}}, "the mask is empty"),
    # polygons
    ({"segmentation": [[1, 1, 3, 3]]}, "polygon has 4 numbers"),  # pycocotools would take it for a box
    ({"segmentation": [[1, 1, 3, 1, 3, 3, 1]]}, "polygon has 7 numbers"),
    ({"segmentation": [[1, 1, 3, 1, 3, NAN]]}, "no list of finite numbers"),
    ({"segmentation": [[1, 1, 3, 1, 3, 1e999]]}, "no list of finite numbers"),  # infinite
    ({"segmentation": [1, 1, 3, 1, 3, 3]}, "1 is no list of finite numbers"),  # not in a list of polygons
    ({"segmentation": [[[1, 1], [3, 1], [3, 3]]]}, "no list of finite numbers"),
    ({"segmentation": [[True] * 6]}, "no list of finite numbers"),
    ({"segmentation": [[-9, -9, -8, -9, -8, -8]]}, "the mask is empty"),  # outside
    ({"segmentation": [[-9e9, -9e9, 9e9, 9e9] * 70_000]}, "too many or too long to draw"),
    ({"segmentation": [[0, 0, 1, 0, 1, 1]] * 100_001}, "too many or too long to draw"),
    ({"segmentation": "polygon"}, "segmentation is 'polygon'"),
    # boxes
    ({"bbox": [1, 1, 0, 2], "segmentation": None}, "no area inside the picture"),
    ({"bbox": [1, 1, -1, 2]}, "no area inside the picture"),
    ({"bbox": [1, 1, 0.0001, 2]}, "no area inside the picture"),  # none that a record would keep
    ({"bbox": [9, 9, 2, 2]}, "no area inside the picture"),
    ({"bbox": [1, 1, 2]}, "bbox has 3 numbers"),
    ({"bbox": [1, 1, NAN, 2]}, "no list of finite numbers"),
    ({"bbox": {"x": 1}}, "no list of finite numbers"),
    ({"segmentation": None}, "neither a bbox nor a segmentation"),
    # numbers
    ({"category_id": 4}, "category_id 4 is not among"),
    ({"category_id": "3"}, "category_id is '3'; make it a whole number"),
    ({"category_id": True}, "category_id is True"),
    ({"image_id": 2}, "image_id 2 is not among"),
    ({"image_id": None}, "image_id is None"),
    ({"score": 1.5}, "score is 1.5"),
    ({"score": "high"}, "no list of finite numbers"),
    ({"score": NAN}, "no list of finite numbers"),
    ({"attributes": {"depth": NAN}}, "a number or a text that cannot be kept"),
    ({"attributes": {"depth": 2**64}}, "a number or a text that cannot be kept"),
    ({"attributes": {"who": "\ud800"}}, "a number or a text that cannot be kept"),
    ({"attributes": DEEP}, "too many levels"),  # as many as the parser takes
]


@pytest.mark.parametrize(("fields", "said"), BAD)
def test_what_cannot_be_trusted_is_left_out_and_told(fields, said, tmp_path):
    good = annotation(18, bbox=[0, 0, 1, 1])
    clips, reading = read(tmp_path, annotation(**fields), good)
    (problem,) = reading.problems
    assert str(problem).startswith("annotations.json: annotation 17: ")
    assert len(str(problem)) < 200  # whatever the file holds
    assert re.search(said, str(problem))
    assert [row["annotation"] for row in clips[0].found[0].extra] == [18]


WHOLE_FILES = [  # images, categories, the one problem
    ([image(), image(2, "../b.png")], [], "image 2: file name '../b.png' leads out of the dataset"),
    ([image(), image(2, "/etc/passwd")], [], "leads out of the dataset"),
    ([image(), image(2, "..\\b.png")], [], "leads out of the dataset"),
    ([image(), image(2, "C:b.png")], [], "leads out of the dataset"),
    ([image(), image(2, "file:///b.png")], [], "is an address, not a file"),
    ([image(), image(2, "b\0.png")], [], "names no file"),
    ([image(), image(2, "\ud800.png")], [], "file_name is .*make it a text"),
    ([image(), image(2, "b" * 300)], [], "longer than 255 bytes"),
    ([image(), image(2, ["b.png"])], [], "file_name is"),
    ([image(), image(2, "./a.png")], [], "another image has the file name 'a.png'"),
    ([image(), image(1, "b.png")], [], "image 1: another one has the same id"),
    ([image(), image("2", "b.png")], [], "image '2': id is '2'"),
    ([image(), image(2, "b.png", width=0)], [], "a picture of 4 x 0"),
    ([image(), image(2, "b.png", width=2**31)], [], "a picture of 4 x 2147483648"),
    ([image(), image(2, "b.png", width=65_000, height=65_000)], [], "65000 x 65000"),
    ([image(), image(2, "b.png", width=None)], [], "width is None"),
    ([image(), "b.png"], [], "image at index 1: is no JSON object"),
    ([image()], [{"id": 3, "name": "cat"}], "category 3: another one has the same id"),
    ([image()], [{"id": None, "name": "cat"}], "category None: id is None"),
    ([image()], [{"id": 4, "name": " "}], "category 4: name is ' '"),
    ([image()], [{"id": 4}], "name is None"),
]


@pytest.mark.parametrize(("images", "categories", "said"), WHOLE_FILES)
def test_bad_images_and_categories_are_left_out_and_told(images, categories, said, tmp_path):
    clips, reading = read(tmp_path, annotation(), images=images, categories=[*ONE_CLASS, *categories])
    (problem,) = reading.problems
    assert re.search(said, str(problem))
    assert [clip.name for clip in clips] == ["a.png"]
    assert len(clips[0].found[0]) == 1
    assert reading.names == {3: "dog"}


def test_the_second_of_two_annotations_of_one_number_is_left_out(tmp_path):
    clips, reading = read(tmp_path, annotation(), annotation(), None)
    assert [str(problem) for problem in reading.problems] == [
        "annotations.json: annotation 17: another one has the same id; give every one its own",
        "annotations.json: annotation at index 2: is no JSON object",
    ]
    assert len(clips[0].found[0]) == 1


NO_DATASETS = [
    (b"", "is no COCO file: want {, got the end of the file"),
    (b"\xff\xfe\x00", "is no COCO file: 'utf-8' codec can't decode"),
    (b'{"images": ' + b"[" * 100_000, "is no COCO file: maximum recursion"),  # deeper than any parser goes
    (b"[]", r"is no COCO file: want {, got '\['"),
    (b'{"images": [], "images": []}', "the list 'images' is there twice"),
    (b'{"images": [], "annotations": []}', "it has no list 'categories'"),
    (b'{"images": {}, "annotations": [], "categories": []}', "it has no list 'images'"),
]


@pytest.mark.parametrize(("content", "said"), NO_DATASETS)
def test_what_is_no_coco_at_all_is_one_line(content, said, tmp_path):
    path = tmp_path / "annotations.json"
    path.write_bytes(content)
    with pytest.raises(BadDataset, match=said) as caught:
        coco.read(path)
    assert "\n" not in str(caught.value)


FOLDERS = [  # the files of a folder, the one that is read
    (["annotations.json", "manifest.json"], "annotations.json"),  # ours
    (["_annotations.coco.json", "other.json"], "_annotations.coco.json"),  # Roboflow's
    (["instances_val2017.json", "captions_val2017.json"], "instances_val2017.json"),  # COCO's own
    (["labels.json"], "labels.json"),  # the only one
]


@pytest.mark.parametrize(("files", "chosen"), FOLDERS)
def test_the_annotation_file_of_a_folder(files, chosen, tmp_path):
    for file in files:
        data = {"images": [image(file_name=file)], "annotations": [], "categories": []}
        (tmp_path / file).write_text(json.dumps(data))
    assert [clip.name for clip in coco.read(tmp_path).clips] == [chosen]


def test_a_folder_without_the_file_or_with_several_says_so(tmp_path):
    with pytest.raises(BadDataset, match=r"no annotation file; a COCO dataset has annotations/instances_default\.json"):
        coco.read(tmp_path)
    for name in ("train.json", "val.json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(BadDataset, match=r"\(train\.json, val\.json\); name the one to read"):
        coco.read(tmp_path)
    with pytest.raises(BadDataset, match="No such file"):
        coco.read(tmp_path / "nowhere")


@pytest.mark.parametrize("folder", ["images/", ""])
def test_pictures_are_below_images_or_beside(folder, tmp_path):
    (tmp_path / folder).mkdir(exist_ok=True)
    (tmp_path / folder / "a.png").write_bytes(b"")
    (clip,), _ = read(tmp_path)
    assert clip.path == str(tmp_path / folder / "a.png")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)
FIELDS = st.sampled_from(["id", "image_id", "category_id", "bbox", "segmentation", "score", "attributes"])
RUN_LENGTHS = st.builds(
    lambda counts: {"size": SIZE, "counts": counts}, st.text("0123456789:;PQRSTUVWXYZ`abcno", max_size=12) | JSON
)


@given(st.dictionaries(FIELDS, JSON | RUN_LENGTHS, max_size=3))
def test_no_annotation_gets_past_unchecked(tmp_path_factory, fields):
    clips, reading = read(tmp_path_factory.getbasetemp(), annotation(18), annotation() | fields)
    assert len(clips[0].found[0]) + len(reading.problems) == 2
    clips[0].digest()  # plain values only
    masks.iou([m for m in clips[0].found[0].masks if m], [CODE.encode()], tuple(SIZE))


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' own
def test_real_photos_with_polygons_read_as_pycocotools_draws_them(shared_data):
    from pycocotools.coco import COCO

    began = time.process_time()
    reading = coco.read(shared_data / "coco64")
    clips = list(reading.clips)
    assert time.process_time() - began < 1
    with redirect_stdout(io.StringIO()):
        truth = COCO(str(shared_data / "coco64" / "instances.json"))
    rows = [(f.masks[r], f.size_hw, f.extra[r]) for c in clips for f in c.found for r in range(len(f))]
    assert (len(clips), len(rows), reading.problems) == (64, 542, [])
    for code, size_hw, extra in rows:
        assert (masks.decode(code, size_hw) == truth.annToMask(truth.anns[extra["annotation"]])).all()


@pytest.mark.parametrize("bbox", [[2, 1, 0, 2], [2, 1, 1, 0], [0, 0, 0, 0], None])
def test_a_box_that_is_a_line_is_its_masks(bbox, tmp_path):
    """A column of pixels has no width in tools that count from the first pixel's number to the last one's."""
    mask = masks.encode(drawn("..#..", "..#..", ".....", "....."))
    clips, reading = read(tmp_path, annotation(bbox=bbox, segmentation={"size": SIZE, "counts": mask.decode()}))
    assert reading.problems == []
    assert clips[0].found[0].boxes_xyxy.tolist() == [[2, 0, 3, 2]]
