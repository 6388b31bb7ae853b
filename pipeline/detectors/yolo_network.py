"""Files of YOLO networks: .pt by ultralytics, .onnx by onnxruntime. Nothing is downloaded, installed or reported."""

import ast
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detectors.onnx_session import open_onnx
from pipeline.errors import ModelMissing
from pipeline.pretrained import torch_device
from pipeline.seams import Device

CLIP = "clip"
BOXES_ONLY = {"detect", "segment"}  # tasks whose networks answer with upright boxes

QUIET = {"YOLO_AUTOINSTALL": "false", "YOLO_OFFLINE": "true", "YOLO_VERBOSE": "false"}
"""What ultralytics is told when it is imported: it would install what it misses, ask a name server, and talk."""

Floats = NDArray[np.float32]


def _learns_nothing(_: Sequence[Any]) -> None:
    raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Network:
    """What a file holds: (1, 3, h, w) -> (4 + classes + any, N), or (N, 6 + any) where it is `end_to_end`.

    `input_hw` is None where any whole strides will do. `words_by` names what has to read words for it, `learn` tells it
    the words as (512,) vectors; None where its classes are `names`.
    """

    names: tuple[str, ...]
    forward: Callable[[Floats], Floats]
    end_to_end: bool = False
    input_hw: tuple[int, int] | None = None
    words_by: str | None = None
    learn: Callable[[Sequence[Any]], None] = _learns_nothing


def opened(file: Path, device: Device) -> Network:
    """Load a network; raises `ModelMissing`. A .pt file is a pickle: the caller has decided to trust it."""
    return _from_onnx(file, device.threads) if file.suffix.lower() == ".onnx" else _from_pickle(file, device)


def _from_pickle(file: Path, device: Device) -> Network:
    where = torch_device(device)
    import torch

    tasks = imported("ultralytics.nn.tasks")
    with _one_line(file, "ultralytics cannot open it"):
        model = tasks.load_checkpoint(str(file.resolve()))[0].to(where)
    kind = type(model).__name__
    if model.task not in BOXES_ONLY or isinstance(model, tasks.RTDETRDetectionModel):
        raise ModelMissing(f"{file}: a {kind} for the task {model.task!r}; want a YOLO that detects or segments")
    words_by, learn = _by_words(model, tasks)
    if words_by is None:
        model.fuse(verbose=False)
    model.to(memory_format=torch.channels_last)  # a third faster on a CPU

    def forward(chw: Floats) -> Floats:
        with torch.inference_mode():
            said = model(torch.from_numpy(chw).to(where))
        while isinstance(said, list | tuple):  # boxes first, then what training or masks need
            said = said[0]
        return np.asarray(said[0].float().cpu().numpy())

    end_to_end = bool(getattr(model, "end2end", False))
    names = tuple(str(name) for name in model.names.values())
    return Network(names, forward, end_to_end, None, words_by, learn)


def _by_words(model: Any, tasks: Any) -> tuple[str | None, Callable[[Sequence[Any]], None]]:
    """What reads words for a model, and how it learns them; None where its classes are fixed."""
    import torch

    head = model.model[-1]

    def world(vectors: Sequence[Any]) -> None:
        model.txt_feats = torch.stack(list(vectors))[None]
        head.nc = len(vectors)

    def yoloe(vectors: Sequence[Any]) -> None:
        with torch.inference_mode():
            told = head.get_tpe(torch.stack(list(vectors))[None])
        model.set_classes([str(number) for number in range(len(vectors))], told)

    if isinstance(model, tasks.WorldModel):
        return CLIP, world
    if isinstance(model, tasks.YOLOEModel) and not hasattr(head, "lrpc") and not head.is_fused:
        kind = getattr(model, "text_model", "mobileclip:blt")
        return "mobileclip2_b.ts" if kind.startswith("mobileclip2") else "mobileclip_blt.ts", yoloe
    return None, _learns_nothing


def _from_onnx(file: Path, threads: int) -> Network:
    return network_of(file, open_onnx(file, threads, "yolo"))


def network_of(file: Path, session: Any) -> Network:
    """The network of an onnxruntime session; raises `ModelMissing` where ultralytics did not write it to detect."""
    said = session.get_modelmeta().custom_metadata_map
    takes, gives = session.get_inputs()[0], session.get_outputs()[0]
    if "names" not in said or said.get("task") not in BOXES_ONLY:
        raise ModelMissing(
            f"{file}: not a YOLO that ultralytics exported to detect or segment: it says {said or 'nothing'}"
        )
    if takes.type != "tensor(float)" or takes.shape[0] not in (1, "batch"):
        raise ModelMissing(f"{file}: it takes {takes.type} {takes.shape}; export it with half=False and batch=1")
    names = tuple(str(name) for name in ast.literal_eval(said["names"]).values())
    h, w = takes.shape[2:]

    def forward(chw: Floats) -> Floats:
        return np.asarray(session.run([gives.name], {takes.name: chw})[0][0], np.float32)

    end_to_end = gives.shape[-1] == 6 or said.get("end2end") == "True"
    return Network(names, forward, end_to_end, (h, w) if isinstance(h, int) and isinstance(w, int) else None)


def imported(module: str) -> Any:
    """Import a part of ultralytics, and put back what the import changes for everybody; its settings do not stay."""
    import cv2

    before, threads = dict(os.environ), cv2.getNumThreads()
    with TemporaryDirectory() as place, np.printoptions():
        os.environ.update(QUIET, YOLO_CONFIG_DIR=place)
        try:
            return import_module(module)
        finally:
            for name in set(os.environ) - set(before):
                del os.environ[name]
            os.environ.update(before)
            cv2.setNumThreads(threads)


@contextmanager
def _one_line(file: Path, what: str) -> Iterator[None]:
    """Whatever goes wrong when a file is opened, in one line."""
    try:
        yield
    except Exception as error:  # neither library's errors have a common parent
        raise ModelMissing(f"{file}: {what}; fetch it again ({' '.join(str(error).split())[:200]})") from error
