"""Out to the tools where people correct, and back: Label Studio by its own SDK, CVAT by datumaro, FiftyOne."""

import json
import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torture

from pipeline import masks
from pipeline.formats import Masks, fidelity, format_of

SDK = os.environ.get("MASKLET_LABEL_STUDIO", "")
DATUMARO = os.environ.get("MASKLET_DATUMARO", "")
FIFTYONE = os.environ.get("MASKLET_FIFTYONE", "")
needs_sdk = pytest.mark.skipif(not SDK, reason="MASKLET_LABEL_STUDIO names no environment with label-studio-sdk")
needs_datumaro = pytest.mark.skipif(not DATUMARO, reason="MASKLET_DATUMARO names no environment with datumaro[cli]")
needs_fiftyone = pytest.mark.skipif(not FIFTYONE, reason="MASKLET_FIFTYONE names no environment with fiftyone")


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return torture.clips(tmp_path_factory.mktemp("pictures"))


def written(name, clips, place):
    place.mkdir()
    format_of(name).write(iter(clips), torture.ontology(), place)
    return place


def told(python, program, *words):
    """What a program says that runs in an environment of its own."""
    done = subprocess.run([f"{python}/python", "-c", program, *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


LABEL_STUDIO_READS = """
import json, sys
import numpy as np
from label_studio_sdk.converter import brush
from label_studio_sdk.label_interface import LabelInterface
place, out = sys.argv[1:]
interface = LabelInterface(open(f"{place}/labels.xml", encoding="utf-8").read())
interface.validate()
masks = {}
for number, task in enumerate(json.load(open(f"{place}/tasks.json"))):
    for prediction in task["predictions"]:
        errors = interface.validate_prediction(prediction, return_errors=True)
        assert not errors, errors
        for row, region in enumerate(prediction["result"]):
            flat = brush.decode_rle(region["value"]["rle"])
            image = flat.reshape(region["original_height"], region["original_width"], 4)
            masks[f"{number}/{row}"] = np.packbits(image[:, :, 3] > 0)
            assert set(np.unique(image)) <= {0, 255}
            assert (image == image[:, :, :1]).all()
np.savez(out, **masks)
"""

LABEL_STUDIO_WRITES = """
import json, sys
import numpy as np
from label_studio_sdk.converter import brush
place = sys.argv[1]
tasks = json.load(open(f"{place}/tasks.json"))
for task in tasks:
    result = task.pop("predictions")[0]["result"]
    for region in result:
        flat = brush.decode_rle(region["value"]["rle"])
        mask = flat.reshape(region["original_height"], region["original_width"], 4)[:, :, 3]
        region["value"]["rle"] = brush.mask2rle(mask)
    task["annotations"] = [{"id": 1, "result": result, "was_cancelled": False}]
json.dump(tasks, open(f"{place}/tasks.json", "w"))
"""


@needs_sdk
def test_label_studio_reads_what_is_meant(clips, tmp_path):
    """The SDK takes the labelling interface, every task and region, and decodes every mask to the same pixels."""
    place = written("label_studio", clips, tmp_path / "out")
    told(SDK, LABEL_STUDIO_READS, place, tmp_path / "masks.npz")
    seen, area = np.load(tmp_path / "masks.npz"), np.prod(torture.SIZE_HW)
    count = 0
    for number, clip in enumerate(clips):
        for row, code in enumerate(clip.found[0].masks or ()):
            decoded = np.unpackbits(seen[f"{number}/{row}"])[:area].reshape(torture.SIZE_HW).astype(bool)
            assert masks.encode(decoded) == code, (clip.name, row)
            count += 1
    assert count == len(seen.files) > 360


@needs_sdk
def test_label_studio_and_back(clips, tmp_path):
    """Annotations whose masks the SDK has encoded anew come back: every object, IoU 1."""
    place = written("label_studio", clips, tmp_path / "out")
    told(SDK, LABEL_STUDIO_WRITES, place)
    check = fidelity.compare(clips, format_of("label_studio").read(place), Masks.EXACT, False)
    assert (check.ok, check.min_iou, check.objects) == (True, 1.0, 368), str(check)


CVAT_AND_BACK = """
import sys
from datumaro.components.dataset import Dataset
coco, cvat, back = sys.argv[1:]
Dataset.import_from(coco, "coco").export(cvat, "cvat", save_media=True)
Dataset.import_from(cvat, "cvat").export(back, "coco_instances", save_media=True)
"""


@needs_datumaro
@pytest.mark.parametrize(("name", "shape"), [("coco", "<mask"), ("coco_polygon", "<polygon")])
def test_cvat_and_back(clips, tmp_path, name, shape):
    """COCO to CVAT's XML and back, by the engine that CVAT itself uses: run lengths IoU 1, polygons 0.98 or more."""
    place = written(name, clips, tmp_path / "coco")
    told(DATUMARO, CVAT_AND_BACK, place, tmp_path / "cvat", tmp_path / "back")
    (xml,) = (tmp_path / "cvat").glob("*.xml")
    assert shape in xml.read_text(encoding="utf-8")
    meant = list(format_of(name).read(place).clips)  # of polygons, as they are drawn
    check = fidelity.compare(meant, format_of("coco").read(tmp_path / "back"), Masks.EXACT, False)
    lost = (check.lost, check.extra, check.wrong_class, check.problems)
    assert (lost, check.objects) == (((), (), (), ()), 368)
    assert check.min_iou >= (1.0 if name == "coco" else 0.98)


@needs_datumaro
def test_the_documented_commands(clips, tmp_path):
    """docs/round-trips.md: COCO to CVAT's XML and back on the command line."""
    place = written("coco", clips, tmp_path / "coco")
    page = (Path(__file__).parents[2] / "docs/round-trips.md").read_text(encoding="utf-8")
    for command in re.findall(r"^datum (convert .*)$", page, re.MULTILINE):
        words = command.replace("outputs/photos/dataset/coco", str(place)).split()
        done = subprocess.run([f"{DATUMARO}/datum", *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
    check = fidelity.compare(clips, format_of("coco").read(Path("corrected")), Masks.EXACT, False)
    assert (check.ok, check.min_iou, check.objects) == (True, 1.0, 368), str(check)


FIFTYONE_READS = """
import sys
import numpy as np
from fiftyone.utils import coco
place, out = sys.argv[1:]
_, classes, _, images, found = coco.load_coco_detection_annotations(f"{place}/annotations/instances_default.json")
masks = {}
for number, image in images.items():
    size = image["width"], image["height"]
    for one in found.get(number, []):
        detection = one.to_detection(size, classes, load_segmentation=True)
        x, y = (round(share * side) for share, side in zip(detection.bounding_box[:2], size))
        mask = np.zeros(size[::-1], bool)
        mask[y : y + detection.mask.shape[0], x : x + detection.mask.shape[1]] = detection.mask
        masks[str(one.id)] = np.packbits(mask)
np.savez(out, **masks)
"""


@needs_fiftyone
def test_fiftyone_reads_what_is_meant(clips, tmp_path):
    """FiftyOne's own importer of COCO, without its database: every mask, every pixel."""
    place = written("coco", clips, tmp_path / "coco")
    told(FIFTYONE, FIFTYONE_READS, place, tmp_path / "masks.npz")
    seen, area = np.load(tmp_path / "masks.npz"), np.prod(torture.SIZE_HW)
    annotations = json.loads(Path(place, "annotations/instances_default.json").read_bytes())["annotations"]
    assert len(annotations) == len(seen.files) == 368
    for one in annotations:
        decoded = np.unpackbits(seen[str(one["id"])])[:area].reshape(torture.SIZE_HW).astype(bool)
        assert masks.encode(decoded) == one["segmentation"]["counts"].encode()


@needs_datumaro
def test_a_mask_that_is_lost_on_the_way_is_found(clips, tmp_path):
    """The comparison can fail."""
    place = written("coco", clips, tmp_path / "coco")
    path = Path(place, "annotations/instances_default.json")
    data = json.loads(path.read_bytes())
    meant = list(format_of("coco").read(place).clips)
    del data["annotations"][17]
    path.write_text(json.dumps(data))
    told(DATUMARO, CVAT_AND_BACK, place, tmp_path / "cvat", tmp_path / "back")
    check = fidelity.compare(meant, format_of("coco").read(tmp_path / "back"), Masks.EXACT, False)
    assert len(check.lost) == 1
