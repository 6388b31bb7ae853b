"""SAM 2 on still pictures: a picture to what the model remembers of it, and prompts to small maps of logits.

Knows arrays and transformers' `Sam2Model`; knows no records, no masks and no files but a checkpoint's. The resize and
the scaling are ours, because transformers' own processor needs torchvision; they give the same bits.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import checkpoints
from pipeline.errors import ModelMissing
from pipeline.pixels import Rgb
from pipeline.pretrained import model_type, opened
from pipeline.sam2_encoder import lighten
from pipeline.seams import Device

Floats = NDArray[np.float32]

MODEL_TYPES = ("sam2", "sam2_video")
"""What a checkpoint may call itself: the released ones are of the video model, and hold the still one's weights."""

PICTURES_A_CALL = {"cpu": 1, "cuda": 8}
PROMPTS_A_CALL = {"cpu": 4, "cuda": 16}
"""The model is called with these many, always: the last call is filled up. Another number gives other last bits."""

MASK_SCALE, MASK_BIAS = 20.0, -10.0
"""How sure of a given mask the model is told to be: `_use_mask_as_output` of sam2_base.py."""

STABILITY_OFFSET = 1.0  # stability_score_offset of SAM2AutomaticMaskGenerator


@dataclass(frozen=True, slots=True, eq=False)
class Prompt:
    """What marks one object, in pixels of its picture: a box, points, a map of logits, or several of them.

    `box_xyxy` is (4,); `points` is (K, 3) of x, y, sign: +1 on the object, -1 off it; `mask_logits` is (h, w) of the
    size that the model answers with.
    """

    box_xyxy: NDArray[np.float32] | None = None
    points: NDArray[np.float32] | None = None
    mask_logits: Floats | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """What the model remembers of a picture of `size_hw`: tensors on its device, (1, C, h, w), the finest first."""

    size_hw: tuple[int, int]
    maps: tuple[Any, ...]


def open_sam2(folder: Path, number_format: str, device: Device) -> "Sam2Image":
    """Load SAM 2 or 2.1 of any size; raises `ModelMissing` where the folder has no such model."""
    model_type(folder, MODEL_TYPES, "sam2")
    scaling = scaling_of(folder)
    model = opened("Sam2Model", folder, number_format, device)
    fits(scaling, model, folder)
    lighten(model.vision_encoder)
    return Sam2Image(model, scaling, PICTURES_A_CALL[device.kind], PROMPTS_A_CALL[device.kind])


class Sam2Image:
    """An opened SAM 2; `embed` and `decode` may be called from several threads.

    `pictures` and `prompts` are how many of them each call of the model has.
    """

    def __init__(self, model: Any, scaling: "Scaling", pictures: int, prompts: int) -> None:
        self.model, self.scaling = model, scaling
        self.pictures, self.prompts = pictures, prompts
        self._lock = Lock()

    @property
    def map_hw(self) -> tuple[int, int]:
        """The size of the maps of logits."""
        h, w = self.model.prompt_encoder.mask_input_size
        return h, w

    def embed(self, pictures: Sequence[Rgb]) -> list[Embedding]:
        """Look at pictures of any sizes, each once: (H, W, 3) -> an embedding each."""
        return [answer for some in slices(pictures, self.pictures) for answer in self._embedded(some)]

    def _embedded(self, pictures: Sequence[Rgb]) -> list[Embedding]:
        import torch

        squares = torch.cat(filled([squared(rgb, self.scaling.side) for rgb in pictures], self.pictures))
        weight = self.model.no_memory_embedding
        with self._lock, torch.inference_mode():
            values = self.scaling.applied_to(squares.to(weight.device)).to(weight.dtype)
            maps = self.model.get_image_embeddings(values)
        return [
            Embedding((rgb.shape[0], rgb.shape[1]), tuple(level[i : i + 1] for level in maps))
            for i, rgb in enumerate(pictures)
        ]

    def decode(self, embedding: Embedding, prompts: Sequence[Prompt], multimask: bool = False) -> tuple[Floats, Floats]:
        """Find what each prompt marks, whatever the others are: -> logits (N, k, h, w), the model's own IoU (N, k).

        k is 3 with `multimask` and 1 without; the one is the best of the three where the model's own single mask is not
        stable (`dynamic_multimask_via_stability`).
        """
        k = self.model.mask_decoder.num_multimask_outputs if multimask else 1
        logits, iou = np.empty((len(prompts), k, *self.map_hw), np.float32), np.empty((len(prompts), k), np.float32)
        for alike in _alike(prompts):
            for rows in slices(alike, self.prompts):
                logits[rows], iou[rows] = self._decoded(embedding, [prompts[row] for row in rows], multimask)
        return logits, iou

    def _decoded(self, embedding: Embedding, prompts: Sequence[Prompt], multimask: bool) -> tuple[Floats, Floats]:
        import torch

        where = self.model.no_memory_embedding
        inputs = inputs_of(filled(prompts, self.prompts), embedding.size_hw, self.scaling.side)
        tensors = {name: torch.from_numpy(rows).to(where.device) for name, rows in inputs.items()}
        if "input_masks" in tensors:
            tensors["input_masks"] = tensors["input_masks"].to(where.dtype)
        maps = [level.expand(self.prompts, -1, -1, -1) for level in embedding.maps]
        with self._lock, torch.inference_mode():
            said = self.model(image_embeddings=maps, **tensors, multimask_output=multimask)
            n = len(prompts)
            return said.pred_masks[:n, 0].float().cpu().numpy(), said.iou_scores[:n, 0].float().cpu().numpy()


@dataclass(frozen=True, slots=True)
class Scaling:
    """How a checkpoint wants its pictures: a square of `side` pixels, (value x rescale - mean) / std a channel."""

    side: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    rescale: float

    def applied_to(self, squares: Any) -> Any:
        """Scale pixels as transformers does, in its order: (B, 3, side, side) uint8 -> float32."""
        import torch

        mean, std = (torch.tensor(each)[:, None, None] * (1.0 / self.rescale) for each in (self.mean, self.std))
        return squares.to(torch.float32).sub_(mean.to(squares.device)).div_(std.to(squares.device))


def scaling_of(folder: Path) -> Scaling:
    """Read a checkpoint's own: a file as the released ones have, or a part of one, as transformers 5 writes it.

    Raises `ModelMissing`.
    """
    file = "preprocessor_config.json"
    if (folder / file).is_file():
        settings = checkpoints.settings(folder, file)
    else:
        file = "processor_config.json"
        settings = checkpoints.settings(folder, file).get("image_processor", {})
    try:
        height, width = settings["size"]["height"], settings["size"]["width"]
        mean, std = tuple(settings["image_mean"]), tuple(settings["image_std"])
        scaling = Scaling(int(height), mean, std, float(settings["rescale_factor"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ModelMissing(f"{folder / file}: size, image_mean, image_std or rescale_factor is missing") from error
    if height != width or settings.get("resample", 2) != 2:
        raise ModelMissing(f"{folder / file}: want a square and bilinear resampling (2), as SAM 2 has")
    return scaling


def fits(scaling: Scaling, model: Any, folder: Path) -> None:
    """Raise `ModelMissing` where a checkpoint's processor makes pictures of a size that its model does not take."""
    wanted = model.prompt_encoder.input_image_size
    if scaling.side != wanted:
        raise ModelMissing(f"{folder}: its processor makes pictures of {scaling.side} pixels, its model wants {wanted}")


def squared(rgb: Rgb, side: int) -> Any:
    """Stretch a picture to a square, as torchvision does: (H, W, 3) -> a tensor (1, 3, side, side) uint8."""
    import torch

    writable = np.require(rgb, np.uint8, ["C_CONTIGUOUS", "WRITEABLE"])  # torch warns of others
    planes = torch.from_numpy(writable).permute(2, 0, 1)[None]
    return torch.nn.functional.interpolate(planes, (side, side), mode="bilinear", antialias=True)


def inputs_of(prompts: Sequence[Prompt], size_hw: tuple[int, int], side: int) -> dict[str, NDArray[Any]]:
    """Prompts of one kind as `Sam2Model` wants them, scaled to its square: arrays of N rows of one object each."""
    h, w = size_hw
    scale = np.array([side / w, side / h], np.float32)
    inputs: dict[str, NDArray[Any]] = {}
    if boxes := [prompt.box_xyxy for prompt in prompts if prompt.box_xyxy is not None]:
        inputs["input_boxes"] = np.stack(boxes)[:, None] * np.tile(scale, 2)
    if points := [prompt.points for prompt in prompts if prompt.points is not None]:
        marks = np.stack(points)[:, None]
        inputs["input_points"] = marks[..., :2] * scale
        inputs["input_labels"] = (marks[..., 2] > 0).astype(np.int64)
    if maps := [prompt.mask_logits for prompt in prompts if prompt.mask_logits is not None]:
        inputs["input_masks"] = np.stack(maps)[:, None]
    return inputs


def logits_of(mask: NDArray[np.bool_], map_hw: tuple[int, int]) -> Floats:
    """A mask as the map of logits that stands for it in a prompt: (H, W) -> (h, w)."""
    import torch

    pixels = torch.from_numpy(mask.astype(np.float32))[None, None]
    small = torch.nn.functional.interpolate(pixels, map_hw, mode="bilinear", antialias=True)
    return np.asarray(small[0, 0].numpy() * np.float32(MASK_SCALE) + np.float32(MASK_BIAS))


def stability(logits: Floats) -> NDArray[np.float64]:
    """How little masks change with the threshold: (..., h, w) -> (...), from 0 to 1; 0 where there is no mask.

    `_compute_stability_score` of transformers' image_processing_sam2.py, on the model's own small maps.
    """
    inner, outer = (np.count_nonzero(logits > at, axis=(-2, -1)) for at in (STABILITY_OFFSET, -STABILITY_OFFSET))
    return np.asarray(inner / np.maximum(outer, 1))


def _alike(prompts: Sequence[Prompt]) -> Iterator[list[int]]:
    """Rows whose prompts are of one kind: the same parts, the same number of points.

    They are not padded to one shape, because the model attends to padding: a row's mask would depend on the others.
    """
    kinds: dict[tuple[bool, int, bool], list[int]] = {}
    for row, prompt in enumerate(prompts):
        points = -1 if prompt.points is None else len(prompt.points)
        kinds.setdefault((prompt.box_xyxy is None, points, prompt.mask_logits is None), []).append(row)
    yield from kinds.values()


def slices(some: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """Cut into parts of a size; the last may be shorter."""
    for start in range(0, len(some), size):
        yield some[start : start + size]


def filled(some: Sequence[Any], size: int) -> list[Any]:
    """As many as a call of the model has, the last one repeated."""
    return [*some, *[some[-1]] * (size - len(some))]
