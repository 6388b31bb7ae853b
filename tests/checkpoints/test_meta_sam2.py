"""Meta's .pt files: every weight of every size has its place, and nothing but tensors is taken from a file."""

import gzip
import io
import json
import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from pipeline import checkpoints, cli
from pipeline.checkpoints import meta_files, meta_sam2
from pipeline.errors import ModelMissing
from pipeline.seams import Device
from pipeline.segmenters.sam2 import Sam2

WEIGHTS = json.loads(gzip.decompress(Path(__file__).with_name("meta_sam2_weights.json.gz").read_bytes()))
"""File -> name -> shape, written by the sam2 package itself (official_sam2.py)."""

TINY = "sam2.1_hiera_tiny.pt"
CPU = Device("cpu", 1)


def drawn(file=TINY, device="meta"):
    """Weights as in one of Meta's files; each is one number repeated, so that they take no room on the disk."""
    names = WEIGHTS[file].items()
    return {name: torch.tensor([n / 1000], device=device).expand(shape) for n, (name, shape) in enumerate(names)}


def saved(path, weights=None, **more):
    torch.save({"model": drawn(device="cpu") if weights is None else weights, **more}, path)
    return path


@pytest.mark.parametrize("file", sorted(WEIGHTS))
def test_every_weight_of_every_size_has_its_place(file):
    release, _, size = file.removesuffix(".pt").partition("_hiera_")
    weights = drawn(file)
    assert meta_sam2.size_of(weights) == size
    config = meta_sam2.config(size, release == "sam2.1")
    assert meta_files.misfit(meta_sam2.converted(weights), config) == ""
    assert len({meta_sam2.renamed(name) for name in weights}) == len(weights)  # no two on one place


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("image_encoder.trunk.blocks.4.mlp.layers.1.bias", "vision_encoder.backbone.blocks.4.mlp.proj_out.bias"),
        ("image_encoder.trunk.blocks.4.norm2.bias", "vision_encoder.backbone.blocks.4.layer_norm2.bias"),
        ("image_encoder.trunk.blocks.4.attn.proj.bias", "vision_encoder.backbone.blocks.4.attn.proj.bias"),
        ("memory_encoder.mask_downsampler.encoder.9.weight", "memory_encoder.mask_downsampler.layers.3.conv.weight"),
        ("memory_encoder.mask_downsampler.encoder.12.bias", "memory_encoder.mask_downsampler.final_conv.bias"),
        ("memory_encoder.out_proj.bias", "memory_encoder.projection.bias"),
        ("memory_attention.norm.weight", "memory_attention.layer_norm.weight"),
        ("obj_ptr_proj.layers.2.weight", "object_pointer_proj.proj_out.weight"),
        ("obj_ptr_tpos_proj.weight", "temporal_positional_encoding_projection_layer.weight"),
    ],
)
def test_names(name, found):
    assert meta_sam2.renamed(name) == found


def without(name):
    return lambda weights: weights.pop(name)


def with_one_more(weights):
    weights["image_encoder.trunk.head.weight"] = torch.zeros(1)


def wider(weights):
    weights["no_mem_embed"] = torch.zeros(1, 1, 128)


def without_a_block(weights):
    for name in [name for name in weights if ".blocks.7." in name]:
        del weights[name]


def of_another_model(weights):
    weights.clear()
    weights["backbone.weight"] = torch.zeros(1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            without("no_obj_ptr"),
            r"SAM 2 tiny, but 1 are missing \(first no_object_pointer\); get it again: hf download",
        ),
        (without("sam_prompt_encoder.point_embeddings.2.weight"), r"1 are missing \(first prompt_encoder\.point_embed"),
        (with_one_more, r"but 1 are left over \(first vision_encoder\.backbone\.head\.weight\)"),
        (wider, r"but 1 have another shape \(first no_memory_embedding\)"),
        (
            without_a_block,
            r"its weights are not those of SAM 2 or 2\.1, in any of Meta's four sizes; get",
        ),
        (of_another_model, r"its weights are not those of SAM 2"),
    ],
)
def test_weights_that_do_not_fit(tmp_path, change, said):
    weights = drawn(device="cpu")
    change(weights)
    with pytest.raises(ModelMissing, match=said) as caught:
        checkpoints.folder(str(saved(tmp_path / TINY, weights)))
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / ".cache").rglob("config.json"))


class Evil:
    """What runs a command when it is unpickled."""

    def __reduce__(self):
        return os.system, ("touch executed",)


def in_a_zip(evil):
    """A pickle of the evil thing where torch.save would have put its own."""
    buffer = io.BytesIO()
    torch.save({"model": {}}, buffer)
    with zipfile.ZipFile(buffer) as old, zipfile.ZipFile(out := io.BytesIO(), "w") as new:
        for entry in old.infolist():
            new.writestr(entry.filename, evil if entry.filename.endswith("data.pkl") else old.read(entry))
    return out.getvalue()


def another_zip():
    with zipfile.ZipFile(out := io.BytesIO(), "w") as archive:
        archive.writestr("a.txt", "words")
    return out.getvalue()


def cut_off(path):
    content = saved(path).read_bytes()
    return content[: len(content) // 2]


BAD = {  # what the file named sam2.1_hiera_tiny.pt holds, and what is said of it
    "a pickle that runs a command": (lambda _: pickle.dumps(Evil()), "is not what torch.save writes"),
    "such a pickle in torch's zip": (
        lambda _: in_a_zip(pickle.dumps({"model": Evil()}, protocol=2)),
        "holds more than tensors, which could run code; it was not opened",
    ),
    "a file that was cut off": (cut_off, "is not what torch.save writes, or was cut off"),
    "an empty file": (lambda _: b"", "is not what torch.save writes"),
    "a page": (lambda _: b"<html>404</html>", "is not what torch.save writes"),
    "another zip": (lambda _: another_zip(), "is not what torch.save writes: "),
    "a list": (lambda path: torch.save([1], path) or path.read_bytes(), "want weights under 'model'"),
    "no tensors": (lambda path: saved(path, {"a": 1}).read_bytes(), "want weights under 'model'"),
}


RUN = [
    "run",
    "photos_yolox",
    "pictures",
    "--out",
    "out",
    "detect={backend: fake}",
    f"segment={{backend: sam2, model: {TINY}}}",
]


@pytest.mark.parametrize("case", sorted(BAD))
@pytest.mark.parametrize("command", [["models", "convert", TINY, "out"], RUN], ids=["convert", "run"])
def test_nothing_in_a_file_is_run(case, command):
    make, said = BAD[case]
    content = make(Path(TINY))
    Path(TINY).write_bytes(content)
    Path("pictures").mkdir()
    result = CliRunner().invoke(cli.main, command)
    assert (result.exit_code, result.stdout) == (11, ""), result.stderr
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert not Path("executed").exists()
    assert not Path("out/config.json").exists()


def test_what_the_evil_file_would_do():
    pickle.loads(pickle.dumps(Evil()))
    assert Path("executed").exists()


def test_a_file_is_converted_once_and_opens(tmp_path, monkeypatch):
    Path("checkpoints").mkdir()
    saved(Path("checkpoints") / TINY, optimizer={"lr": 0.1})  # as Meta's training code leaves it
    options = Sam2(model=TINY)
    first = options.fingerprint(CPU)
    monkeypatch.setattr(meta_files, "write", None)
    assert options.fingerprint(CPU) == first
    opened = options.open(CPU)
    assert opened.sam2.map_hw == (256, 256)
    there = opened.sam2.model.state_dict()
    name = "mask_decoder.iou_prediction_head.layers.0.bias"
    wanted = list(WEIGHTS[TINY]).index("sam_mask_decoder.iou_prediction_head.layers.1.bias") / 1000
    assert float(there[name][0]) == pytest.approx(wanted)
    assert options.provenance()["licence"] == "unknown: ask who made it"
    assert options.provenance()["commit"] is None


def test_a_folder_is_whole_or_absent(tmp_path, monkeypatch):
    import safetensors.torch

    def fails(tensors, path, metadata):
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    file = saved(tmp_path / TINY)
    monkeypatch.setattr(safetensors.torch, "save_file", fails)
    with pytest.raises(OSError, match="No space"):
        meta_files.folder_of(file)
    assert [path.name for path in (tmp_path / ".cache").rglob("*") if path.is_file()] == []


def test_convert_says_where_it_wrote(tmp_path):
    saved(Path(TINY))
    result = CliRunner().invoke(cli.main, ["models", "convert", TINY, "mine/tiny"])
    assert (result.exit_code, result.stdout) == (0, "mine/tiny\n"), result.stderr
    assert sorted(path.name for path in Path("mine/tiny").iterdir()) == [
        *("config.json", "converted.json", "model.safetensors", "preprocessor_config.json")
    ]
    same = checkpoints.folder(f"./{TINY}")
    assert checkpoints.sha256_of_folder(Path("mine/tiny")) == checkpoints.sha256_of_folder(same)
    again = CliRunner().invoke(cli.main, ["models", "convert", TINY, "mine/tiny"])
    assert (again.exit_code, again.stderr) == (2, "masklet: mine/tiny: is there already; name a new folder\n")
