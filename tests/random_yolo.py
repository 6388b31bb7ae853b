"""YOLO networks of random weights, as ultralytics saves and exports them (it is needed), and their readers."""

import tempfile
import warnings
from functools import cache
from pathlib import Path

import random_models_words

YAMLS = {
    "detect": "11/yolo11.yaml",
    "end to end": "v10/yolov10n.yaml",
    "pose": "11/yolo11-pose.yaml",
    "world": "v8/yolov8-worldv2.yaml",
    "yoloe": "11/yoloe-11-seg.yaml",
}
PLACE = tempfile.TemporaryDirectory(prefix="random-yolo-")
NAMES = ("person", "dog", "cat")
WORDS = 512  # numbers in the vector of a word


@cache
def saved(kind="detect", names=NAMES):
    """The nano network of a kind as a .pt file; its scores are spread, and every class is the best one somewhere."""
    import torch

    from pipeline.detectors.yolo_network import imported

    tasks = imported("ultralytics.nn.tasks")
    from ultralytics.utils import ROOT

    makers = {"world": tasks.WorldModel, "yoloe": tasks.YOLOESegModel, "pose": tasks.PoseModel}
    form = tasks.yaml_model_load(str(ROOT / "cfg/models" / YAMLS[kind])) | {"scale": "n"}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = makers.get(kind, tasks.DetectionModel)(form, nc=len(names), verbose=False)
        _enliven(model, torch)
    model.names, model.args = dict(enumerate(names)), {"imgsz": 64}
    model.task = tasks.guess_model_task(model)
    file = Path(PLACE.name) / f"{kind.replace(' ', '_')}{len(names)}.pt"
    torch.save({"model": model.eval()}, file)
    return file


def _enliven(model, torch):
    """Normalise by what is seen, or every place says the same; score around a half, or nothing is ever found."""
    head = model.model[-1]
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    with torch.no_grad():
        for norm in norms:
            norm.momentum = 1.0
        model.train()(torch.nn.functional.interpolate(torch.rand(4, 3, 6, 6), size=128))
        for contrast in getattr(head, "cv4", ()):
            if hasattr(contrast, "logit_scale"):  # of words
                contrast.bias.fill_(0)
                contrast.logit_scale.fill_(-1)
                return
        for branch in [*head.cv3, *getattr(head, "one2one_cv3", ())]:
            branch[-1].bias.zero_()
            branch[-1].weight.sub_(branch[-1].weight.mean(dim=1, keepdim=True)).mul_(0.2)


@cache
def exported(**options):
    """The one that detects as an .onnx file."""
    file = saved()
    from ultralytics import YOLO

    target = file.with_name("_".join(f"{name}_{value}" for name, value in options.items()) + ".onnx")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its way of exporting is deprecated
        Path(YOLO(str(file)).export(format="onnx", simplify=False, verbose=False, **options)).rename(target)
    return target


@cache
def clip():
    """A small CLIP in the Hub's layout, whose vectors have the real length."""
    import torch
    from transformers import CLIPConfig, CLIPModel

    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = small | {"vocab_size": 49408, "max_position_embeddings": 77, "bos_token_id": 49406, "eos_token_id": 49407}
    folder = Path(PLACE.name) / "clip"
    vision = small | {"image_size": 32, "patch_size": 32}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=WORDS))
        model.save_pretrained(folder)
    random_models_words.clip_tokenizer().save_pretrained(folder)
    return folder


@cache
def mobile_clip():
    """A stand-in for ultralytics' mobileclip_blt.ts: tokens in, vectors of length 1 out."""
    import torch

    class Reader(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.table = torch.nn.Embedding(256, WORDS)

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.normalize(self.table(tokens).mean(dim=1), dim=-1)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        reader = Reader()
    file = Path(PLACE.name) / "mobileclip_blt.ts"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated
        torch.jit.trace(reader, torch.zeros(1, 77, dtype=torch.long)).save(str(file))
    return file
