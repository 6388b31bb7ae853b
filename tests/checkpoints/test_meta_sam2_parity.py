"""Against the `sam2` package itself, in an environment of its own (`MASKLET_SAM2`): random weights, Meta's file.

Frames have the size that the model works at, where the package's resizing and ours are none. A frame of two objects
takes the package 12 s of a core: four of them are followed here, twelve by hand (`-m hours`).
"""

import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from sam2_films import drifting

from pipeline.checkpoints import meta_files, meta_sam2
from pipeline.sam2_image import Prompt, open_sam2
from pipeline.seams import Device
from pipeline.trackers.sam2_memory import Seed, open_follower

SCRIPT = Path(__file__).with_name("official_sam2.py")
FILE = "sam2.1_hiera_tiny.pt"
SAM2 = os.environ.get("MASKLET_SAM2", "")
BOUND = 1e-4  # of the reference's range of logits
LIVELY = 0.2  # the least range at which the bound means something
CPU = Device("cpu", 2)
SIDE, FRAMES, ALL = 1024, 4, 12
BOXES = np.array([[120, 200, 520, 610], [15, 20, 300, 180], [400, 500, 1010, 1000]], np.float32)
CLICKS = np.array([[330, 420, 1], [610, 300, -1], [250, 470, 1]], np.float32)

pytestmark = [
    pytest.mark.skipif(not SAM2, reason="MASKLET_SAM2 names no environment with sam2"),
    pytest.mark.slow,
    pytest.mark.timeout(3600),
]


def ask(what, place):
    """Run the script where the package is."""
    command = [f"{SAM2}/python", str(SCRIPT), what, str(place)]
    subprocess.run(command, check=True, cwd=place.parent, capture_output=True)


def made(folder, film):
    """The folder with Meta's file and the package's answers."""
    from PIL import Image

    (folder / "frames").mkdir()
    for number, rgb in enumerate(film):
        Image.fromarray(rgb).save(folder / "frames" / f"{number:05d}.jpg", quality=95)
    np.savez(folder / "asked.npz", picture=film[0], boxes=BOXES, points=CLICKS)
    ask("answer", folder)
    return folder


@pytest.fixture(scope="module")
def film():
    return drifting(FRAMES, (SIDE, SIDE))


@pytest.fixture(scope="module")
def official(tmp_path_factory, film):
    return made(tmp_path_factory.mktemp("official"), film)


def answers_in(folder):
    with np.load(folder / "answered.npz") as answers:
        return dict(answers)


@pytest.fixture(scope="module")
def answered(official):
    return answers_in(official)


def shown(official):
    """The frames as JPEG made them."""
    from PIL import Image

    return np.stack([np.array(Image.open(file)) for file in sorted((official / "frames").glob("*.jpg"))])


def difference(logits, expected):
    """The largest difference, in ranges of the reference."""
    spread = float(np.ptp(expected))
    largest = float(np.abs(logits - expected).max()) / spread
    print(f"range {spread:.3f}, largest difference {largest:.1e} of it")
    assert spread >= LIVELY
    return largest


def of_pictures(folder, rgb):
    """Ours, in one call for each number of masks: {prompt: (k, 256, 256)}."""
    sam2 = open_sam2(folder, "float32", CPU)
    (embedding,) = sam2.embed([rgb])
    prompts = {f"box {n}": Prompt(box) for n, box in enumerate(BOXES)}
    prompts |= {"clicks": Prompt(points=CLICKS), "click": Prompt(points=CLICKS[:1])}
    prompts |= {"box and clicks": Prompt(BOXES[0], CLICKS)}
    said = {}
    for three in (False, True):
        logits = sam2.decode(embedding, list(prompts.values()), multimask=three)[0]
        said |= {f"{name}, {'three' if three else 'one'}": rows for name, rows in zip(prompts, logits, strict=True)}
    return said


def of_film(folder, rgb, frames):
    """Ours, of the first frames, at the film's size, and object scores: (T, N, H, W), (T, N)."""
    import torch

    follower = open_follower(folder, "float32", CPU)
    state, seeds = follower.begin((SIDE, SIDE), len(rgb)), {1: Seed(BOXES[0]), 2: Seed(points=CLICKS[:1])}
    logits, scores = [], []
    for at in range(frames):
        state, said = follower.step(state, at, follower.see(rgb[at]), {} if at else seeds)
        logits.append([said[number].logits for number in (1, 2)])
        scores.append([said[number].presence for number in (1, 2)])
    maps = torch.from_numpy(np.array(logits))
    wide = torch.nn.functional.interpolate(maps, (SIDE, SIDE), mode="bilinear", align_corners=False)
    return wide.numpy(), np.array(scores)


def film_difference(said, answered):
    """The largest difference of maps and of object scores, in the least range of a frame."""
    logits, scores = said
    expected = answered["film_logits"][: len(logits)]
    wanted = answered["film_scores"][: len(logits)]
    assert logits.shape == expected.shape
    assert (wanted > 0).all()  # where an object is not there its map has no range
    least = min(float(np.ptp(frame)) for frame in expected)
    largest = max(float(np.abs(logits - expected).max()), float(np.abs(scores - wanted).max())) / least
    print(f"least range {least:.3f}, largest difference {largest:.1e} of it")
    assert least >= LIVELY
    return largest


def test_pictures_as_the_package(official, answered, film):
    said = of_pictures(meta_files.folder_of(official / FILE), film[0])
    assert set(said) == {name for name in answered if not name.startswith("film")}
    for name, logits in said.items():
        assert difference(logits, answered[name]) <= BOUND, name


def test_a_film_as_the_package(official, answered):
    said = of_film(meta_files.folder_of(official / FILE), shown(official), FRAMES)
    assert film_difference(said, answered) <= BOUND


@pytest.mark.hours
def test_twelve_frames_as_the_package(tmp_path):
    folder = made(tmp_path, drifting(ALL, (SIDE, SIDE)))
    said = of_film(meta_files.folder_of(folder / FILE), shown(folder), ALL)
    assert film_difference(said, answers_in(folder)) <= BOUND


def exchanged(monkeypatch, one, other):
    """Let the converter put each of two weights in the place of the other."""
    rows = ((one, "spare"), (other, one), ("spare", other))
    extra = tuple((re.compile(f"^{re.escape(name)}$"), place) for name, place in rows)
    monkeypatch.setattr(meta_sam2, "RENAMES", meta_sam2.RENAMES + extra)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("vision_encoder.backbone.blocks.4.layer_norm1.weight", "vision_encoder.backbone.blocks.4.layer_norm2.weight"),
        ("vision_encoder.backbone.blocks.8.attn.proj.bias", "vision_encoder.backbone.blocks.8.mlp.proj_out.bias"),
        ("vision_encoder.neck.convs.2.bias", "vision_encoder.neck.convs.3.bias"),
        ("mask_decoder.transformer.layers.0.layer_norm2.bias", "mask_decoder.transformer.layers.0.layer_norm3.bias"),
        (
            "mask_decoder.output_hypernetworks_mlps.1.proj_in.bias",
            "mask_decoder.output_hypernetworks_mlps.1.layers.0.bias",
        ),
    ],
)
def test_two_weights_exchanged_are_seen_in_pictures(monkeypatch, official, answered, film, one, other):
    exchanged(monkeypatch, one, other)
    said = of_pictures(meta_files.folder_of(official / FILE), film[0])
    assert max(difference(logits, answered[name]) for name, logits in said.items()) > BOUND


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("memory_attention.layers.1.layer_norm1.weight", "memory_attention.layers.1.layer_norm2.weight"),
        ("memory_encoder.memory_fuser.layers.0.scale", "memory_encoder.memory_fuser.layers.1.scale"),
        ("object_pointer_proj.proj_in.bias", "object_pointer_proj.layers.0.bias"),
    ],
)
def test_two_weights_exchanged_are_seen_in_films(monkeypatch, official, answered, one, other):
    exchanged(monkeypatch, one, other)
    said = of_film(meta_files.folder_of(official / FILE), shown(official), frames=2)
    assert film_difference(said, answered) > BOUND


def test_the_package_has_the_weights_of_the_list(tmp_path):
    out = tmp_path / "names.json.gz"
    ask("names", out)
    assert out.read_bytes() == SCRIPT.with_name("meta_sam2_weights.json.gz").read_bytes()
