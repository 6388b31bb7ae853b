"""OWLv2 and OWL-ViT: each place of a grid has one box, and a score for each prompt that depends on no other prompt.

The features of a prompt are computed alone and remembered, those of a picture once. Padding is black, as transformers
has it since github.com/huggingface/transformers/pull/41938, which measured it against the original.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pipeline.pixels import Rgb

REMEMBERED = 4096  # prompts, each 2 KB

Floats = NDArray[np.float32]
Phrase = tuple[int, ...]


class Owl:
    """What these models do with prompts and pictures: see `grounding.Family`."""

    score_kind: ClassVar[str] = "probability of the prompt"
    independent: ClassVar[bool] = True
    together: ClassVar[Mapping[str, int]] = {"cpu": 1, "cuda": 8}

    def __init__(self, model: Any, processor: Any, tokenizer: Any, half: bool) -> None:
        self.model, self.processor, self.tokenizer, self.half = model, processor, tokenizer, half
        self.square = model.config.model_type == "owlv2"
        self.length = int(model.config.text_config.max_position_embeddings)
        self.longest = self.length - 2  # the marks of start and end
        self._queries: OrderedDict[Phrase, Any] = OrderedDict()

    def phrase(self, prompt: str) -> Phrase:
        """A prompt's tokens, less the marks of start and end, wherever they stand."""
        tokens = self.tokenizer(prompt, add_special_tokens=False, verbose=False)["input_ids"]
        return tuple(token for token in tokens if token not in self._marks)

    def prepared(self, rgb: Rgb) -> Any:
        """As transformers' processor prepares it, always of one size."""
        return self.processor(rgb, return_tensors="pt", input_data_format="channels_last")["pixel_values"][0]

    def canvas_hw(self, size_hw: tuple[int, int]) -> tuple[int, int]:
        """OWLv2 sees the picture in the corner of a square of its longer side, OWL-ViT the picture stretched."""
        return (max(size_hw), max(size_hw)) if self.square else size_hw

    def look(self, prepared: Sequence[Any], phrases: Sequence[Phrase]) -> list[list[tuple[Floats, Floats]]]:
        """One call for the pictures; boxes and scores are computed in float32 from their features."""
        import torch

        pixels = torch.stack(list(prepared)).to(self.model.device)
        with torch.inference_mode():
            with torch.autocast(pixels.device.type, torch.bfloat16, enabled=self.half):
                grid = self.model.image_embedder(pixel_values=pixels)[0]
            places = grid.float().flatten(1, 2)
            boxes = self.model.box_predictor(places, grid).cpu().numpy()
            scores = self._scores(places, phrases)
        return [[(box, score) for score in of_picture] for box, of_picture in zip(boxes, scores, strict=True)]

    def _scores(self, places: Any, phrases: Sequence[Phrase]) -> Floats:
        """Score each place for each phrase: (B, N, D) -> (B, P, N).

        The sums of transformers' Owlv2ClassPredictionHead, but one phrase after the other: among others, the last bits
        of its scores would depend on how many they are and where it stands.
        """
        import torch

        head = self.model.class_head
        features = head.dense0(places)
        features = features / (torch.linalg.norm(features, dim=-1, keepdim=True) + 1e-6)
        shift = head.logit_shift(places)[..., 0].contiguous()
        scale = head.elu(head.logit_scale(places))[..., 0].contiguous() + 1
        scores = [((features @ self._query(phrase) + shift) * scale).sigmoid() for phrase in phrases]
        return np.asarray(torch.stack(scores, dim=1).cpu().numpy())

    def _query(self, phrase: Phrase) -> Any:
        """A phrase's features, of length 1: (D,)."""
        if phrase not in self._queries:
            self._queries[phrase] = self._encoded(phrase)
            if len(self._queries) > REMEMBERED:
                self._queries.popitem(last=False)
        return self._queries[phrase]

    def _encoded(self, phrase: Phrase) -> Any:
        import torch

        start, end = self._marks
        tokens = [start, *phrase, end]
        empty = self.length - len(tokens)
        ids = torch.tensor([tokens + [self.tokenizer.pad_token_id] * empty], device=self.model.device)
        read = torch.tensor([[1] * len(tokens) + [0] * empty], device=self.model.device)
        features = self.model.base_model.get_text_features(input_ids=ids, attention_mask=read).pooler_output[0]
        return features / torch.linalg.norm(features)

    @property
    def _marks(self) -> tuple[int, int]:
        return self.tokenizer.bos_token_id, self.tokenizer.eos_token_id
