"""Models in the Hub's file layout, from a folder, through the real command, with no network: random weights.

Small ones by default; the slow tier has those of the released dimensions.
"""

import json
import os
import shutil
from pathlib import Path

import pytest
import random_models
from driving import annotations, here, masklet, save_pictures

from pipeline.formats import coco

ONLY_A_FEW = {"grounding_dino": "max_objects=2", "mm_grounding_dino": "max_objects=2", "owlv2": "max_objects=2"}
"""Random masks have thousands of parts: two boxes of a prompt are enough."""


def words(detector, segmenter, *, size="small", segmenter_size="small"):
    """The command line of a run: the default config, or the one that has this detector."""
    config = [] if detector in ("florence2", "sam2") else ["grounding_dino_sam2"]
    few = [f"detect.{ONLY_A_FEW[detector]}"] if detector in ONLY_A_FEW else []
    models = [
        f"detect.model={random_models.cached(detector, size)}",
        f"segment.model={random_models.cached(segmenter, segmenter_size)}",
    ]
    return [
        "run",
        *config,
        "pictures",
        "--ontology",
        "dog, red circle",
        "--out",
        "run",
        *models,
        *few,
        "select.threshold=0",
    ]


def read_back():
    """The dataset's objects, as its own reader sees them."""
    return [found for clip in coco.read(Path("run/dataset/coco")).clips for found in clip.found]


@pytest.fixture
def pictures():
    save_pictures(Path("pictures"), ["a.png", "b.png"], size_hw=(96, 128))


@pytest.mark.usefixtures("pictures")
@pytest.mark.parametrize("detector", ["florence2", "grounding_dino", "mm_grounding_dino", "owlv2"])
def test_words_to_masks(detector):
    command = words(detector, "sam2")
    said = here(*command)
    assert said.returncode == 0, said.stderr
    assert said.stderr == "" or "random" not in said.stderr
    first = annotations("run")
    assert first["annotations"]
    assert {category["name"] for category in first["categories"]} == {"dog", "red circle"}
    assert sum(len(found) for found in read_back()) == len(first["annotations"])
    again = here(*command, "--json")
    assert json.loads(again.stdout)["stages"]["detect"]["asked"] == 0
    assert annotations("run") == first


@pytest.mark.usefixtures("pictures")
def test_masks_without_words():
    model = random_models.cached("sam2")
    sure = ["detect.points_per_side=2", "detect.min_iou=0", "detect.min_stability=0", "detect.max_objects=2"]
    said = here(
        "run", "segment_everything", "pictures", "--out", "run", f"detect.model={model}", *sure, "select.threshold=0"
    )
    assert said.returncode == 0, said.stderr
    assert {found.names for found in read_back()} <= {("object",), ("object", "object")}
    assert annotations("run")["annotations"]


@pytest.mark.usefixtures("pictures")
@pytest.mark.parametrize(
    ("detector", "segmenter", "named"),
    [
        ("sam2", "sam2", "config.json says that it is sam2_video; florence2 opens florence2"),  # no detector
        ("owlv2", "owlv2", "config.json says that it is owlv2; sam2 opens sam2, sam2_video"),  # no segmenter
    ],
)
def test_models_of_another_kind(detector, segmenter, named):
    said = here(*words(detector, segmenter))
    assert said.returncode == 11
    assert said.stderr.endswith(f"{named}\n")
    assert said.stderr.count("\n") == 1


@pytest.mark.usefixtures("pictures")
@pytest.mark.parametrize("detector", ["florence2", "owlv2", "grounding_dino"])
@pytest.mark.parametrize(
    ("files", "lacking"),
    [
        ("*token*", "model: no tokenizer there: want tokenizer.json or vocab.json or vocab.txt"),
        ("*process*", "model: no AutoImageProcessor can be opened there: "),
    ],
)
def test_a_model_without_its_companions(detector, files, lacking):
    folder = Path(shutil.copytree(random_models.cached(detector), "model"))
    for file in [*folder.glob(files), *folder.glob("vocab*"), *folder.glob("merges*")]:
        file.unlink()
    config = [] if detector == "florence2" else ["grounding_dino_sam2"]
    segment = "segment={backend: fake}"
    said = here("run", *config, "pictures", "--ontology", "dog", "--out", "run", "detect.model=model", segment)
    assert said.returncode == 11, said.stderr
    assert said.stderr.startswith("masklet: ")
    assert lacking in said.stderr
    assert said.stderr.count("\n") == 1


@pytest.mark.usefixtures("pictures")
def test_a_model_that_is_not_here_and_no_network():
    said = masklet("run", "pictures", "--ontology", "dog", env={**os.environ, "HF_HUB_OFFLINE": "1"})
    assert (said.returncode, said.stdout) == (11, "")
    assert said.stderr == (
        "masklet: florence-community/Florence-2-large: not on this machine, and HF_HUB_OFFLINE is set;"
        " with a network: hf download florence-community/Florence-2-large"
        " --revision 4271c66b88cdbc05735372ec13b2360108de5317\n"
    )


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("pictures")
@pytest.mark.parametrize(
    ("detector", "size", "segmenter_size"),
    [
        ("florence2", "base", "tiny"),
        ("grounding_dino", "tiny", "hiera_small"),
        ("owlv2", "base", "base_plus"),
        ("mm_grounding_dino", "tiny", "large"),
    ],
)
def test_released_dimensions(detector, size, segmenter_size):
    offline = {**os.environ, "HF_HUB_OFFLINE": "1"}
    command = words(detector, "sam2", size=size, segmenter_size=segmenter_size)
    said = masklet(*command, "--limit", "1", "run.threads=2", env=offline, timeout_s=900)
    assert said.returncode == 0, said.stderr
    assert annotations("run")["annotations"]
    assert all(all(found.masks) for found in read_back() if len(found))
