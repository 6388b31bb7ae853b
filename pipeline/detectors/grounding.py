"""Zero-shot detectors of transformers behind one name: any words are prompts, config.json says which model it is.

Knows which models there are, calls of one shape, and rows. What a model wants of prompts and pictures, and how its
numbers become scores, is in dino.py and owl.py.
"""

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline import checkpoints, geometry, pretrained
from pipeline.detectors import DetectorOptions
from pipeline.detectors.dino import Dino
from pipeline.detectors.owl import Owl
from pipeline.errors import ConfigError, ModelMissing
from pipeline.media import Picture
from pipeline.pixels import Rgb
from pipeline.records import Instances, empty
from pipeline.seams import Device

Floats = NDArray[np.float32]
Phrase = tuple[int, ...]
"""A prompt as a model's tokens, less those that mark its ends; prompts that are alike for a model are one phrase."""

CANDIDATES = 1000
"""Boxes of a prompt among which doubles are looked for, the best; as RPNs do (`pre_nms_top_n` of torchvision)."""

MODELS: Mapping[str, tuple[str, type["Dino | Owl"]]] = {
    "grounding-dino": ("GroundingDinoForObjectDetection", Dino),
    "mm-grounding-dino": ("MMGroundingDinoForObjectDetection", Dino),
    "owlv2": ("Owlv2ForObjectDetection", Owl),
    "owlvit": ("OwlViTForObjectDetection", Owl),
}
"""`model_type` of config.json -> transformers' class, and what we know of it."""


class Grounding(pretrained.Pretrained, DetectorOptions):
    """What Grounding DINO, MM-Grounding-DINO (LLMDet too), OWLv2 or OWL-ViT find.

    A box is a row for every prompt that fits it. Rows that score below `floor` are not stored: a later threshold cannot
    bring them back, so it is half of the lowest threshold that transformers' own examples use (0.1, of OWLv2). Of two
    boxes of a prompt that overlap by more than `nms` (IoU) the better one stays: the places of an OWL answer each for
    itself, and Grounding DINO has doubles too, but fewer. At most `max_objects` of a prompt in a picture are stored.

    `dtype` bfloat16 is torch's autocast: weights stay float32, and boxes are computed in it.
    """

    opens: ClassVar[Collection[str]] = tuple(MODELS)

    floor: float = Field(default=0.05, ge=0, le=1)
    nms: float = Field(default=0.7, ge=0, le=1)
    max_objects: int = Field(default=300, ge=1)

    @property
    def independent_classes(self) -> bool:
        """OWL scores each prompt apart; in Grounding DINO the picture's features depend on the whole text."""
        return _known(self.folder())[1].independent

    def open(self, device: Device) -> "_Grounding":
        """Load the model; raises `ModelMissing`."""
        folder = self.folder()
        class_name, family = _known(folder)
        model = pretrained.opened(class_name, folder, "float32", device)
        processor = pretrained.companion("AutoImageProcessor", folder, backend="pil")
        tokenizer = pretrained.companion("AutoTokenizer", folder)
        half = self.number_format(device) == "bfloat16"
        return _Grounding(self, family(model, processor, tokenizer, half), device)


class Family(Protocol):
    """What models of one kind do with prompts and pictures."""

    score_kind: ClassVar[str]
    independent: ClassVar[bool]
    together: ClassVar[Mapping[str, int]]
    """Kind of device -> pictures a call."""

    longest: int
    """Tokens of the longest phrase that the model reads."""

    def phrase(self, prompt: str) -> Phrase:
        """A prompt's tokens; none where it says nothing."""
        ...

    def prepared(self, rgb: Rgb) -> Any:
        """What the model looks at: (H, W, 3) uint8 -> (3, h, w) float32 tensor."""
        ...

    def canvas_hw(self, size_hw: tuple[int, int]) -> tuple[int, int]:
        """The size in the picture's pixels, from its upper left corner, of what boxes are relative to."""
        ...

    def look(self, prepared: Sequence[Any], phrases: Sequence[Phrase]) -> list[list[tuple[Floats, Floats]]]:
        """Boxes as relative centre and size (N, 4) and scores (N,): for each picture, and in it for each phrase."""
        ...


class _Grounding:
    def __init__(self, options: Grounding, family: Family, device: Device) -> None:
        self.options, self.family = options, family
        self.together = family.together[device.kind]
        self.lock = Lock()

    def detect(self, pictures: Sequence[Picture], prompts: Sequence[str]) -> list[Instances]:
        """Find what prompts describe; the model is not called where none of them says anything."""
        with self.lock:  # a tokenizer is not made for threads
            phrases = {prompt: self._phrase(prompt) for prompt in prompts}
        asked = tuple(dict.fromkeys(phrase for phrase in phrases.values() if phrase))
        if not asked:
            return [empty(picture.size_hw) for picture in pictures]
        prepared = [self.family.prepared(picture.rgb) for picture in pictures]
        found: dict[int, Instances] = {}
        for rows in calls([tuple(one.shape) for one in prepared], self.together):
            filled = rows + rows[-1:] * (self.together - len(rows))
            with self.lock:
                answers = self.family.look([prepared[row] for row in filled], asked)
            for row, said in zip(rows, answers, strict=False):  # what filled the call up is not looked at
                answer = dict(zip(asked, said, strict=True))
                said_of = {prompt: answer[phrase] for prompt, phrase in phrases.items() if phrase}
                found[row] = self._instances(pictures[row].size_hw, said_of)
        return [found[row] for row in range(len(pictures))]

    def _phrase(self, prompt: str) -> Phrase:
        """A prompt's tokens; raises `ConfigError` where the model would not read all of them."""
        phrase = self.family.phrase(prompt)
        if len(phrase) > self.family.longest:
            raise ConfigError(
                f"prompt {prompt!r}: it has {len(phrase)} tokens, and {self.options.model} reads {self.family.longest};"
                " shorten it"
            )
        return phrase

    def _instances(self, size_hw: tuple[int, int], said: Mapping[str, tuple[Floats, Floats]]) -> Instances:
        """Rows of one picture, best first, then by prompt and box."""
        canvas_hw = self.family.canvas_hw(size_hw)
        rows: list[tuple[float, str, list[float]]] = []
        unplaced: list[tuple[str, str]] = []
        for prompt, (boxes, scores) in said.items():
            best = ranked(scores, self.options.floor)[:CANDIDATES]
            meant = corners(boxes[best], canvas_hw)
            inside = geometry.clip_boxes(meant, size_hw)
            proper = geometry.proper(inside)
            unplaced += [(prompt, in_words(box)) for box in meant[~proper][: self.options.max_objects]]
            best, inside = best[proper], inside[proper]
            kept = geometry.suppress(inside, scores[best], self.options.nms)[: self.options.max_objects]
            rows += [(-float(scores[best[row]]), prompt, inside[row].tolist()) for row in kept]
        rows.sort()
        found = Instances(
            size_hw,
            geometry.as_boxes([box for _, _, box in rows]),
            names=("",) * len(rows),
            scores=np.array([-score for score, _, _ in rows], np.float32),
            score_kind=(self.family.score_kind,) * len(rows),
            prompts=tuple(prompt for _, prompt, _ in rows),
            source=("grounding",) * len(rows),
        )
        return replace(found, unplaced=tuple(unplaced))


def calls(shapes: Sequence[Hashable], most: int) -> list[list[int]]:
    """Which pictures go into one call: those of one shape, in their order, at most so many.

    >>> calls(["wide", "high", "wide", "wide"], 2)
    [[0, 2], [3], [1]]
    """
    alike: dict[Hashable, list[int]] = {}
    for row, shape in enumerate(shapes):
        alike.setdefault(shape, []).append(row)
    return [rows[start : start + most] for rows in alike.values() for start in range(0, len(rows), most)]


def ranked(scores: Floats, floor: float) -> NDArray[np.int64]:
    """The rows that reach the floor, best first, ties by row: (N,) -> (K,).

    >>> ranked(np.array([0.2, 0.1, np.nan, 0.9, 0.2]), 0.2).tolist()
    [3, 0, 4]
    """
    rows = np.flatnonzero(scores >= floor)
    return rows[np.argsort(-scores[rows], kind="stable")]


def corners(boxes_cxcywh: Floats, canvas_hw: tuple[int, int]) -> geometry.Boxes:
    """Relative centre and size to corners in pixels: (N, 4) -> (N, 4), also outside; the sums of transformers.

    >>> corners(np.array([[0.5, 0.5, 1, 0.5]], np.float32), (10, 20)).tolist()
    [[0.0, 2.5, 20.0, 7.5]]
    """
    centre, half = boxes_cxcywh[:, :2], np.float32(0.5) * boxes_cxcywh[:, 2:]
    h, w = canvas_hw
    return np.hstack([centre - half, centre + half]) * np.array([w, h, w, h], np.float32)


def in_words(box_xyxy: geometry.Boxes) -> str:
    """Where something without area would be.

    >>> in_words(np.array([-3, 0.25, -1, 2]))
    'box -3.0, 0.2, -1.0, 2.0'
    """
    return "box " + ", ".join(f"{edge:.1f}" for edge in box_xyxy)


def _known(folder: Path) -> tuple[str, type[Dino | Owl]]:
    """The class of a folder's model, and its family; raises `ModelMissing` where masklet cannot open such a model."""
    kind = pretrained.model_type(folder, MODELS, "grounding")
    settings = checkpoints.settings(folder)
    backbone = settings.get("backbone_config") or {}
    if settings.get("use_timm_backbone") or backbone.get("model_type") == "timm_backbone":
        raise ModelMissing(
            f"{folder}: its backbone is of the library timm, which masklet does not use;"
            " take a checkpoint with a Swin backbone, as IDEA-Research/grounding-dino-tiny"
        )
    return MODELS[kind]
