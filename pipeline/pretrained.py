"""Models out of folders, as transformers saves them: the options they share, and how torch opens them.

Knows devices, number formats and threads; knows no model.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from pipeline import checkpoints
from pipeline.errors import ModelMissing, first_line
from pipeline.seams import Device, Options

EXACT = 2e-6
"""The error of a product of float32 matrices, relative to its largest entry, that is still float32's own."""

WORDS = ("tokenizer.json", "vocab.json", "vocab.txt")
"""The files of which a tokenizer has its words."""


class Pretrained(Options):
    """Options of a backend whose model is a folder in the Hub's layout, or a .pt file of Meta's SAM 2.

    `model` is that folder or file, the name of one in `checkpoints/`, or a Hub id, with a revision behind an @ if
    wanted. `dtype` is the format of weights and sums: `auto` is bfloat16 on CUDA and float32 on the CPU.
    """

    model: str = Field(min_length=1)
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"

    opens: ClassVar[Collection[str]] = ()
    """What `config.json` may say that the model is, as far as is known before anything is opened."""

    def folder(self) -> Path:
        """Where the model is; raises `ModelMissing`."""
        return checkpoints.folder(self.model)

    def fetch(self) -> None:
        """Download the model if it is a Hub id that is not on this machine; raises `ModelMissing`."""
        checkpoints.fetch(self.model)

    def number_format(self, device: Device) -> str:
        """`dtype`, with `auto` decided."""
        if self.dtype != "auto":
            return self.dtype
        return "bfloat16" if device.kind == "cuda" else "float32"

    def fingerprint(self, device: Device) -> dict[str, Any]:
        """Settings, the hash of the model's files, and what changes the last bits.

        Raises `ModelMissing` also where a file was cut off or is of another kind of model, before anything is opened.
        """
        if self.opens:
            model_type(self.folder(), self.opens, type(self).__module__.rpartition(".")[2])
        checkpoints.whole(self.folder(), self.model)
        return self.model_dump(mode="json", exclude={"model", "dtype"}) | {
            "weights": checkpoints.sha256_of_folder(self.folder()),
            "dtype": self.number_format(device),
            "device": device.kind,
            "threads": device.threads,
        }

    def provenance(self) -> dict[str, Any]:
        """The name, the Hub's commit, the hash and the licence."""
        return {
            "model": self.model,
            "commit": checkpoints.commit(self.model),
            "sha256": checkpoints.sha256_of_folder(self.folder()),
            "licence": checkpoints.licence(self.model),
        }


def model_type(folder: Path, known: Collection[str], backend: str) -> str:
    """What a folder's config.json says it is, if that is one of those that a backend opens; raises `ModelMissing`."""
    said = str(checkpoints.settings(folder).get("model_type", "nothing"))
    if said not in known:
        raise ModelMissing(f"{folder}: config.json says that it is {said}; {backend} opens {', '.join(sorted(known))}")
    return said


def opened(class_name: str, folder: Path, number_format: str, device: Device) -> Any:
    """The model of a folder, on its device, ready to answer; raises `ModelMissing`.

    `class_name` is transformers' own. Weights that a model needs and the files lack are an error, never random.
    """
    import transformers

    where = torch_device(device)
    import torch

    with _one_line(folder, class_name), _quietly():
        model, info = getattr(transformers, class_name).from_pretrained(
            folder,
            dtype=getattr(torch, number_format),
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
        )
    lacking = sorted(info["missing_keys"]) + sorted(str(key) for key in info["mismatched_keys"])
    if lacking:
        raise ModelMissing(
            f"{folder}: {len(lacking)} weights of {class_name} are missing or have another shape, first {lacking[0]};"
            " the files are of another model, or damaged"
        )
    return model.to(where).eval()


def companion(class_name: str, folder: Path, **how: Any) -> Any:
    """What belongs to the model of a folder: its tokenizer, its image processor; raises `ModelMissing`.

    Where a tokenizer has no words, transformers 5 makes one that knows none, and says nothing.
    """
    import transformers

    if "Tokenizer" in class_name and not any((folder / file).is_file() for file in WORDS):
        raise ModelMissing(f"{folder}: no tokenizer there: want {' or '.join(WORDS)}")
    with _one_line(folder, class_name), _quietly():
        return getattr(transformers, class_name).from_pretrained(folder, local_files_only=True, **how)


def torch_device(device: Device) -> Any:
    """Torch's own device, with threads and precision set; raises `ModelMissing` where there is no such device."""
    import torch

    if device.kind == "cuda" and not torch.cuda.is_available():
        raise ModelMissing(f"{device.name}: torch {torch.__version__} sees no CUDA device; say run.device=cpu")
    if device.kind == "cuda" and int(device.name.partition(":")[2] or 0) >= torch.cuda.device_count():
        raise ModelMissing(f"{device.name}: this machine has {torch.cuda.device_count()} CUDA device(s), from cuda:0")
    if device.kind == "cpu":
        torch.set_num_threads(device.threads)
        torch.set_float32_matmul_precision("medium" if _medium_is_exact() else "highest")
    return torch.device(device.name)


@lru_cache(maxsize=1)
def _medium_is_exact() -> bool:
    """Whether this processor multiplies float32 exactly also when it may be less exact, which is faster on many.

    torch.set_float32_matmul_precision("medium") lets oneDNN multiply; with AMX units it would use bfloat16.
    """
    import torch

    before = torch.get_float32_matmul_precision()
    a, b = (torch.randn(256, 256, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    try:
        torch.set_float32_matmul_precision("medium")
        exact = a.double() @ b.double()
        return bool((a @ b - exact).abs().max() <= EXACT * exact.abs().max())
    finally:
        torch.set_float32_matmul_precision(before)


@contextmanager
def _one_line(folder: Path, class_name: str) -> Iterator[None]:
    """Whatever transformers raises when it opens something, in one line."""
    try:
        yield
    except Exception as error:
        raise ModelMissing(f"{folder}: no {class_name} can be opened there: {first_line(error)}") from error


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep transformers' words and bars off the screen; what matters of them is looked at."""
    from transformers.utils import logging

    said: Any = logging
    verbosity, bars = said.get_verbosity(), said.is_progress_bar_enabled()
    said.set_verbosity(said.CRITICAL)
    said.disable_progress_bar()
    try:
        yield
    finally:
        said.set_verbosity(verbosity)
        if bars:
            said.enable_progress_bar()
