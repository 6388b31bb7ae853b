"""Which format a dataset is in, told by its files alone."""

import re

import pytest

from pipeline.errors import BadDataset
from pipeline.formats import FORMATS
from pipeline.formats.sniff import PATTERNS, format_at

COCO = '{"images": [], "annotations": [], "categories": []}'
VIDEOS = '{"videos": [], "annotations": [], "categories": []}'
SAV = '{"video_id": "v", "masklet": []}'


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"annotations.json": COCO}, "coco"),
        ({"any.json": COCO}, "coco"),
        ({"manifest.json": '{"made_from": "x", "files": {}}', "instances_val.json": COCO}, "coco"),
        ({"a.json": '{"annotations": [{"image_id": 1}], "images": []}'}, "coco"),
        ({"a.json": '{"annotations": [{"segmentations": []}], "videos": []}'}, "youtube_vis"),
        ({"annotations.json": VIDEOS}, "youtube_vis"),
        ({"results.json": "[]", "annotations.json": COCO}, "coco_results"),
        ({"data.yaml": "names: [dog]"}, "yolo_seg"),
        ({"data.yaml": "", "labels/a.txt": "", "labels/b.txt": "0 0.5 0.5 0.5 0.5\n"}, "yolo_box"),
        ({"data.yaml": "", "labels/a.txt": "0 0.1 0.1 0.5 0.1 0.5 0.5\n"}, "yolo_seg"),
        ({"v_auto.json": SAV}, "sav"),
        ({"deep/er/v_manual.json": SAV}, "sav_manual"),
        ({"Annotations_6fps/v/000/00000.png": ""}, "sav_png"),
        ({"train/metadata.jsonl": ""}, "imagefolder"),
        ({"metadata.jsonl": ""}, "imagefolder"),
        ({"data/train-00000-of-00001.parquet": ""}, "parquet"),
    ],
)
def test_files_tell(tmp_path, files, told):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert format_at(tmp_path) == told
    if len(files) == 1 and told != "sav_png":
        assert format_at(tmp_path / next(iter(files))) == told


def test_every_format_that_files_tell_is_in_the_table():
    assert set(PATTERNS) - {"yolo"} <= set(FORMATS)


@pytest.mark.parametrize("files", [{}, {"a.json": "{"}, {"a.json": "[1]"}, {"a.json": '{"x": [1]}'}, {"a.txt": COCO}])
def test_what_nothing_tells_is_asked_for(tmp_path, files):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(BadDataset, match=r"no dataset of a format that masklet knows; say which with --from \(coco, "):
        format_at(tmp_path)


def test_what_is_not_there(tmp_path):
    with pytest.raises(BadDataset, match=re.escape(f"{tmp_path}/x: no such file or folder; name a dataset")):
        format_at(tmp_path / "x")
