"""What reads words for YOLO-World and YOLOE: text to a vector of 512 numbers. Nothing is downloaded but by `fetch`."""

import warnings
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from pipeline import checkpoints
from pipeline.detectors.yolo_network import CLIP
from pipeline.errors import ModelMissing
from pipeline.pretrained import companion, opened, torch_device
from pipeline.seams import Device

POSITIONS = 77  # of CLIP's tokens; what is longer is cut, as ultralytics does

Encoder = Callable[[str], Any]
"""A text to its vector on the device: -> (512,) float32."""


def fetch(name: str) -> None:
    """Get a CLIP that is not on this machine; raises `ModelMissing`."""
    if not name.endswith(".ts"):
        checkpoints.fetch(name)


def sha256(name: str) -> str:
    """Hash what reads words; raises `ModelMissing` where it is not on this machine."""
    if name.endswith(".ts"):
        return checkpoints.sha256_of_file(checkpoints.weights_file(name))
    return checkpoints.sha256_of_folder(checkpoints.folder(name))


def encoder(file: Path, wanted: str | None, name: str | None, device: Device) -> Encoder | None:
    """Open what reads words for the network of `file`, which wants this kind; raises `ModelMissing`."""
    if wanted is None:
        if name is not None:
            raise ModelMissing(
                f"{file}: its classes are fixed, it is not asked by words; leave out detect.text_encoder"
            )
        return None
    if name is None or name.endswith(".ts") != (wanted != CLIP):
        get = "openai/clip-vit-base-patch32 (a folder, or a Hub id)" if wanted == CLIP else f"{wanted} (a file)"
        kind = "YOLO-World" if wanted == CLIP else "YOLOE"
        raise ModelMissing(f"{file}: a {kind} is asked by words, and needs what reads them: detect.text_encoder={get}")
    return cache(_clip(checkpoints.folder(name), device) if wanted == CLIP else _mobile_clip(name, device))


def _clip(folder: Path, device: Device) -> Encoder:
    """OpenAI's CLIP as transformers has it; YOLO-World was trained with ViT-B/32."""
    import torch

    model = opened("CLIPTextModelWithProjection", folder, "float32", device)
    tokenizer = companion("CLIPTokenizer", folder)

    def encode(text: str) -> Any:
        tokens = tokenizer(text, padding="max_length", max_length=POSITIONS, truncation=True, return_tensors="pt")
        with torch.inference_mode():
            return torch.nn.functional.normalize(model(**tokens.to(model.device)).text_embeds[0], dim=0)

    return encode


def _mobile_clip(name: str, device: Device) -> Encoder:
    """MobileCLIP's text half in TorchScript, as ultralytics publishes it; it gives vectors of length 1."""
    file = checkpoints.weights_file(name)
    try:
        tokenize = import_module("clip").tokenize
    except ImportError as error:
        raise ModelMissing(
            "yolo: the tokenizer of CLIP is not installed; pip install git+https://github.com/ultralytics/CLIP.git"
        ) from error
    where = torch_device(device)
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TorchScript is deprecated, and the form there is
            model: Any = torch.jit.load(str(file), map_location=where)  # type: ignore[no-untyped-call]
    except Exception as error:
        raise ModelMissing(f"{file}: not TorchScript, or damaged; fetch it again") from error

    def encode(text: str) -> Any:
        with torch.inference_mode():
            return model(tokenize([text], truncate=True).to(where))[0].float()

    return encode
