import json
import shutil
from typing import ClassVar

import pytest
import random_models
import torch

from pipeline import pretrained
from pipeline.errors import ModelMissing
from pipeline.pretrained import Pretrained, opened, torch_device
from pipeline.seams import Device

CPU = Device("cpu", 1)


class Words(Pretrained):
    """The least that a backend adds."""

    floor: float = 0.1


@pytest.fixture
def sam2(tmp_path):
    """A small SAM 2 of one's own, to damage."""
    return shutil.copytree(random_models.cached("sam2"), tmp_path / "sam2")


def test_a_model_is_opened_ready_to_answer(sam2, capfd):
    model = opened("Sam2Model", sam2, "float32", CPU)
    assert not model.training
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert {parameter.device.type for parameter in model.parameters()} == {"cpu"}
    assert capfd.readouterr() == ("", "")  # what transformers says of weights for films is no news


def test_a_number_format(sam2):
    model = opened("Sam2Model", sam2, "bfloat16", CPU)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}


def without_weights(folder):
    (folder / "model.safetensors").unlink()


def cut(folder):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])


def one_weight_less(folder):
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    weights.pop("mask_decoder.iou_token.weight")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def other_shape(folder):
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    weights["mask_decoder.iou_token.weight"] = weights["mask_decoder.iou_token.weight"][:, :-1].contiguous()
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def pickled(folder):
    weights = folder / "model.safetensors"
    weights.rename(folder / "pytorch_model.bin")


@pytest.mark.parametrize(
    ("damage", "match"),
    [
        (without_weights, r"sam2: no Sam2Model can be opened there: "),
        (pickled, r"sam2: no Sam2Model can be opened there: "),
        (cut, r"sam2: no Sam2Model can be opened there: .*(incomplete|invalid|deserializ)"),
        (
            one_weight_less,
            r"1 weights of Sam2Model are missing .*, first mask_decoder\.iou_token\.weight; the files are",
        ),
        (other_shape, r"(1 weights of Sam2Model are missing or have another shape|no Sam2Model can be opened there)"),
    ],
)
def test_damaged_models(sam2, damage, match):
    damage(sam2)
    with pytest.raises(ModelMissing, match=match) as caught:
        opened("Sam2Model", sam2, "float32", CPU)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("config", "match"),
    [
        ('{"model_type": "owlv2"}', r"sam2: config\.json says that it is owlv2; segmenting opens sam2, sam2_video$"),
        ("{}", r"sam2: config\.json says that it is nothing; segmenting opens"),
        ("[]", r"config\.json: want a JSON object"),
    ],
)
def test_what_a_model_is(sam2, config, match):
    known = ("sam2_video", "sam2")
    assert pretrained.model_type(sam2, known, "segmenting") in known
    (sam2 / "config.json").write_text(config)
    with pytest.raises(ModelMissing, match=match):
        pretrained.model_type(sam2, known, "segmenting")


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what holds where there is no GPU")
@pytest.mark.parametrize("name", ["cuda:0", "cuda:7"])
def test_no_such_device(name):
    with pytest.raises(ModelMissing, match=rf"^{name}: torch .* sees no CUDA device; say run\.device=cpu$"):
        torch_device(Device(name, 1))


def test_threads_and_precision_are_set():
    torch_device(Device("cpu", 2))
    assert torch.get_num_threads() == 2
    torch_device(CPU)
    assert torch.get_num_threads() == 1
    assert torch.get_float32_matmul_precision() == ("medium" if pretrained._medium_is_exact() else "highest")


@pytest.mark.parametrize(
    ("dtype", "device", "decided"),
    [
        ("auto", Device("cpu", 1), "float32"),
        ("auto", Device("cuda:1", 1), "bfloat16"),
        ("float32", Device("cuda:0", 1), "float32"),
        ("bfloat16", Device("cpu", 1), "bfloat16"),
    ],
)
def test_the_number_format(dtype, device, decided):
    assert Words(model="m", dtype=dtype).number_format(device) == decided


class TestFingerprint:
    """What answers depend on, and nothing else."""

    CUDA: ClassVar = Device("cuda:0", 1)

    def test_it_names_no_path(self, sam2, tmp_path):
        before = Words(model=str(sam2)).fingerprint(CPU)
        moved = shutil.move(sam2, tmp_path / "moved")
        assert Words(model=str(moved)).fingerprint(CPU) == before
        assert "moved" not in json.dumps(before)

    @pytest.mark.parametrize(
        ("change", "device"),
        [
            ({"floor": 0.2}, CPU),
            ({"dtype": "bfloat16"}, CPU),
            ({}, Device("cpu", 2)),
            ({}, CUDA),
        ],
    )
    def test_it_changes_with(self, sam2, change, device):
        options = Words(model=str(sam2))
        assert options.model_copy(update=change).fingerprint(device) != options.fingerprint(CPU)

    @pytest.mark.parametrize(
        ("dtype", "device", "other"),
        [
            ("float32", CPU, CPU),  # said or decided: the same
            ("auto", CUDA, Device("cuda:1", 1)),  # one GPU or another of its kind
        ],
    )
    def test_it_does_not_change_with(self, sam2, dtype, device, other):
        options = Words(model=str(sam2))
        assert options.model_copy(update={"dtype": dtype}).fingerprint(device) == options.fingerprint(other)
