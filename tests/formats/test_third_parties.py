"""Other people's tools read what masklet writes: each where it is installed."""

import io
import json
import os
import re
import subprocess
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest
import torture

from pipeline.formats import coco

ANNOTATIONS = "annotations/instances_default.json"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """What no format likes, as COCO: the clips that were meant, and where they are."""
    clips, place = torture.clips(tmp_path_factory.mktemp("pictures")), tmp_path_factory.mktemp("coco")
    coco.write(iter(clips), torture.ontology(), place)
    return clips, place


def meant(clips):
    """(picture, class) -> masks, in order."""
    out = {}
    for clip in clips:
        for name, code in zip(clip.found[0].names, clip.found[0].masks, strict=True):
            out.setdefault((clip.name, name), []).append(torture.masks.decode(code, torture.SIZE_HW))
    return out


def same(found, clips):
    want = meant(clips)
    assert found.keys() == want.keys()
    for key, masks in want.items():
        assert len(found[key]) == len(masks)
        assert all((one == other).all() for one, other in zip(found[key], masks, strict=True))


def by_coco(opened, decoded):
    out = {}
    for annotation in opened.loadAnns(sorted(opened.anns)):
        name = opened.cats[annotation["category_id"]]["name"]
        picture = opened.imgs[annotation["image_id"]]["file_name"]
        out.setdefault((picture, name), []).append(decoded(annotation).astype(bool))
    return out


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' own
def test_pycocotools(dataset):
    from pycocotools.coco import COCO

    clips, place = dataset
    with redirect_stdout(io.StringIO()):
        opened = COCO(str(place / ANNOTATIONS))
    same(by_coco(opened, opened.annToMask), clips)


def test_faster_coco_eval(dataset):
    faster = pytest.importorskip("faster_coco_eval", reason="pip install faster-coco-eval")
    clips, place = dataset
    opened = faster.COCO(str(place / ANNOTATIONS))
    same(by_coco(opened, opened.annToMask), clips)


def test_faster_coco_eval_counts_every_object(dataset):
    faster = pytest.importorskip("faster_coco_eval", reason="pip install faster-coco-eval")
    _, place = dataset
    truth = faster.COCO(str(place / ANNOTATIONS))
    judge = faster.COCOeval_faster(truth, truth.loadRes([dict(one) for one in truth.dataset["annotations"]]), "segm")
    judge.params.maxDets = [1, 10, 400]
    judge.evaluate()
    judge.accumulate()
    precision = judge.eval["precision"][0, :, :, 0, 2]
    assert precision[precision > -1].min() == pytest.approx(1)


def test_supervision(dataset):
    import supervision as sv

    clips, place = dataset
    read = sv.DetectionDataset.from_coco(str(place / "images"), str(place / ANNOTATIONS), force_masks=True)
    out = {}
    for path, _, found in read:
        picture = path.removeprefix(f"{place}/images/")
        for number, mask in zip(found.class_id, [] if found.mask is None else np.asarray(found.mask), strict=True):
            out.setdefault((picture, read.classes[number]), []).append(mask.astype(bool))
    same(out, clips)


DATUMARO = os.environ.get("MASKLET_DATUMARO", "")
"""The `bin` of an environment that has `datumaro[cli]`: it wants another Pillow than masklet."""
needs_datumaro = pytest.mark.skipif(not DATUMARO, reason="MASKLET_DATUMARO names no environment with datumaro[cli]")

IMPORTED = """
import json, sys
import numpy as np
from datumaro.components.annotation import AnnotationType
from datumaro.components.dataset import Dataset
from pycocotools import mask as coco
read = Dataset.import_from(sys.argv[1], "coco")
labels = read.categories()[AnnotationType.label]
for item in read:
    for one in sorted(item.annotations, key=lambda one: one.id):
        if one.type == AnnotationType.mask:
            code = coco.encode(np.asfortranarray(one.image.astype(np.uint8)))["counts"].decode()
            picture = item.media.path.removeprefix(f"{sys.argv[1]}/images/")
            print(json.dumps([picture, labels[one.label].name, code]))
"""


@needs_datumaro
def test_datumaro_imports_it(dataset):
    clips, place = dataset
    said = subprocess.run(
        [f"{DATUMARO}/python", "-c", IMPORTED, str(place)], check=True, stdout=subprocess.PIPE, text=True
    )
    out = {}
    for line in said.stdout.splitlines():
        picture, name, code = json.loads(line)
        out.setdefault((picture, name), []).append(torture.masks.decode(code.encode(), torture.SIZE_HW))
    same(out, clips)


@needs_datumaro
def test_the_documented_datumaro_command(dataset, tmp_path):
    """docs/datasets.md: masklet's COCO to any format that datumaro writes; here Pascal VOC."""
    _, place = dataset
    page = (Path(__file__).parents[2] / "docs/datasets.md").read_text(encoding="utf-8")
    command = re.search(r"^datum (convert .*)$", page, re.MULTILINE)[1]
    words = command.replace("outputs/photos/dataset/coco", str(place)).split()
    words[words.index("-o") + 1] = str(tmp_path / "voc")
    subprocess.run([f"{DATUMARO}/datum", *words], check=True, stderr=subprocess.PIPE)
    assert len(list((tmp_path / "voc/SegmentationObject").rglob("*.png"))) > 20
