"""CLIP, SigLIP and SigLIP 2 as second opinions: what is in a box, beside the words for it and for everything else.

Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", 2021; Zhai et al., "Sigmoid
Loss for Language Image Pre-Training", 2023; Tschannen et al., "SigLIP 2", 2025 (the checkpoints of one fixed size).
"""

from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from threading import Lock
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from pipeline.media import Picture
from pipeline.pretrained import Pretrained, companion, model_type, opened
from pipeline.records import Instances
from pipeline.seams import Device
from pipeline.verifiers import Verdict, VerifierOptions, Words
from pipeline.verifiers.crops import crop

CLASSES = {"clip": "CLIPModel", "siglip": "SiglipModel"}
"""What a checkpoint calls itself, and transformers' class for it. SigLIP 2 of a fixed size calls itself siglip."""

CROPS_A_CALL = {"cpu": 1, "cuda": 32}
"""The model is called with these many, always: the last call is filled up."""
REMEMBERED = 4096
"""Words whose features are kept, each 2 to 5 KB."""

Floats = NDArray[np.float32]


class Clip(Pretrained, VerifierOptions):
    """A contrastive model looks at each box alone.

    The box with a `margin` (a share of its sides) is cut out and filled up to a square. The answer is the softmax of
    the model's own logits over the class, the other classes of the ontology, the class's negatives, and `otherwise`;
    of several words for one thing the best counts. `sentence` is what is read, with the words in the place of {}; what
    is longer than the model reads (64 or 77 tokens) is cut.
    """

    opens: ClassVar[Collection[str]] = tuple(CLASSES)

    margin: float = Field(default=0.1, ge=0, le=1)
    sentence: str = "a photo of {}"
    otherwise: tuple[str, ...] = ("background", "something else")

    @field_validator("sentence")
    @classmethod
    def _has_a_place(cls, sentence: str) -> str:
        if sentence.count("{}") != 1:
            raise ValueError("want one {} in it, where the words go, as in 'a photo of {}'")
        return sentence

    @property
    def against(self) -> tuple[str, ...]:
        return self.otherwise

    def open(self, device: Device) -> "_Clip":
        """Load the model; raises `ModelMissing`."""
        folder = self.folder()
        kind = model_type(folder, CLASSES, "clip")
        model = opened(CLASSES[kind], folder, self.number_format(device), device)
        tokenizer = companion("AutoTokenizer", folder)
        images = companion("AutoImageProcessor", folder, backend="pil")
        return _Clip(self, model, tokenizer, images, CROPS_A_CALL[device.kind])


class _Clip:
    def __init__(self, options: Clip, model: Any, tokenizer: Any, images: Any, together: int) -> None:
        self.options, self.model, self.tokenizer = options, model, tokenizer
        self.images, self.together = images, together
        self.scale = float(model.logit_scale.detach().float().exp())
        red, green, blue = (int(255 * mean) for mean in images.image_mean)
        self.fill = red, green, blue
        self._read: OrderedDict[str, Floats] = OrderedDict()
        self._lock = Lock()  # a tokenizer is not made for threads

    def verify(
        self, pictures: Sequence[Picture], found: Sequence[Instances], words: Mapping[str, Words]
    ) -> list[list[Verdict]]:
        """Look at every box, in calls of one shape, and hold it against the words."""
        asked = [
            (i, name, box)
            for i, rows in enumerate(found)
            for name, box in zip(rows.names, rows.boxes_xyxy, strict=True)
        ]
        answers: list[list[Verdict]] = [[] for _ in found]
        for start in range(0, len(asked), self.together):
            some = asked[start : start + self.together]
            cuts = [crop(pictures[i].rgb, box, self.options.margin, self.fill) for i, _, box in some]
            for (i, name, _), seen in zip(some, self._look(cuts), strict=True):
                answers[i].append(self._verdict(seen, words[name]))
        return answers

    def _verdict(self, seen: Floats, words: Words) -> Verdict:
        """Softmax over groups of words; the best of a group speaks for it."""
        groups = [words.own, *words.others, *((text,) for text in self.options.otherwise)]
        likeness = [{text: self.scale * float(seen @ self._words(text)) for text in group} for group in groups]
        best = np.array([max(group.values()) for group in likeness])
        parts = np.exp(best - best.max())
        likeliest = likeness[int(best.argmax())]
        return Verdict(float(parts[0] / parts.sum()), max(likeliest, key=lambda text: likeliest[text]))

    def _look(self, cuts: Sequence[Any]) -> Floats:
        """What the model sees in crops, as directions: N -> (N, D)."""
        import torch

        filled = [*cuts, *[cuts[0]] * (self.together - len(cuts))]
        made = self.images(filled, return_tensors="pt", input_data_format="channels_last")["pixel_values"]
        with torch.inference_mode():
            pixels = made.to(self.model.device, self.model.dtype)
            return _directions(self.model.get_image_features(pixel_values=pixels).pooler_output)[: len(cuts)]

    def _words(self, text: str) -> Floats:
        """What the model reads in words, as a direction: -> (D,)."""
        import torch

        with self._lock:
            if text not in self._read:
                tokens = self._tokens(self.options.sentence.replace("{}", text).lower())
                with torch.inference_mode():
                    said = self.model.get_text_features(**{k: v.to(self.model.device) for k, v in tokens.items()})
                self._read[text] = _directions(said.pooler_output)[0]
                if len(self._read) > REMEMBERED:
                    self._read.popitem(last=False)
            return self._read[text]

    def _tokens(self, sentence: str) -> dict[str, Any]:
        """As the model was trained: CLIP with no filling, SigLIP always filled up."""
        config = self.model.config
        filled = config.model_type == "siglip"
        how = {"truncation": True, "max_length": config.text_config.max_position_embeddings}
        said = self.tokenizer([sentence], padding="max_length" if filled else False, return_tensors="pt", **how)
        return {"input_ids": said["input_ids"]}


def _directions(features: Any) -> Floats:
    import torch

    told: Floats = torch.nn.functional.normalize(features.float(), dim=-1).cpu().numpy()
    return told
