"""Grounding DINO and MM-Grounding-DINO: one text of all prompts, and a score for each of its tokens.

A prompt's score is the mean over its tokens, and each pair of box and prompt is an answer, as where these models were
measured: `PostProcessCocoGrounding` in demo/test_ap_on_coco.py of github.com/IDEA-Research/GroundingDINO and
`convert_grounding_to_cls_scores` in atss_vlfusion_head.py of github.com/open-mmlab/mmdetection.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ModelMissing
from pipeline.pixels import Rgb

PAD, CLS, SEP, STOP, QUESTION = 0, 101, 102, 1012, 1029
"""Numbers in BERT's vocabulary; all but the first end a phrase (SPECIAL_TOKENS in modeling_grounding_dino.py)."""

MULTIPLE = 16  # texts are filled up to so many tokens

ASPECT = 16
"""A narrower picture is filled up: its features would be fewer than the model's queries, or its side no pixel."""

FILL = (124, 116, 104)  # ImageNet's mean, which is zero to the model

Floats = NDArray[np.float32]
Phrase = tuple[int, ...]


class Dino:
    """What these models do with prompts and pictures: see `grounding.Family`."""

    score_kind: ClassVar[str] = "mean probability of the prompt's tokens"
    independent: ClassVar[bool] = False
    together: ClassVar[Mapping[str, int]] = {"cpu": 1, "cuda": 2}  # few: pictures of a call are of one size

    def __init__(self, model: Any, processor: Any, tokenizer: Any, half: bool) -> None:
        self.model, self.processor, self.tokenizer, self.half = model, processor, tokenizer, half
        self.limit = int(model.config.max_text_len)
        self.longest = self.limit - 3  # [CLS], the full stop and [SEP]
        _check_box_heads(model)

    def phrase(self, prompt: str) -> Phrase:
        """A prompt's tokens in lower case, less those that would end the phrase: full stops and question marks."""
        tokens = self.tokenizer(prompt.lower(), add_special_tokens=False, verbose=False)["input_ids"]
        return tuple(token for token in tokens if token not in (PAD, CLS, SEP, STOP, QUESTION))

    def prepared(self, rgb: Rgb) -> Any:
        """As transformers' processor prepares it: sides as the checkpoint says, proportions kept."""
        canvas = _filled(rgb, self.canvas_hw(rgb.shape[:2]))
        return self.processor(canvas, return_tensors="pt", input_data_format="channels_last")["pixel_values"][0]

    def canvas_hw(self, size_hw: tuple[int, int]) -> tuple[int, int]:
        """The picture, and below or beside a narrow one what makes it wide enough."""
        least = -(-max(size_hw) // ASPECT)
        return max(size_hw[0], least), max(size_hw[1], least)

    def look(self, prepared: Sequence[Any], phrases: Sequence[Phrase]) -> list[list[tuple[Floats, Floats]]]:
        """One call a text; a text that cannot hold all phrases is followed by another."""
        import torch

        pixels = torch.stack(list(prepared)).to(self.model.device)
        answers: list[list[tuple[Floats, Floats]]] = [[] for _ in prepared]
        for some in texts(phrases, self.limit):
            tokens, spans = written(some, self.limit)
            boxes, likely = self._answer(pixels, tokens, spans[-1][1] + 2)
            for number, answer in enumerate(answers):
                answer += [(boxes[number], likely[number, :, start:stop].mean(axis=1)) for start, stop in spans]
        return answers

    def _answer(self, pixels: Any, tokens: Sequence[int], length: int) -> tuple[Floats, Floats]:
        """Boxes (B, N, 4), relative, and the probability of each token (B, N, T); the text has `length` tokens."""
        import torch

        ids = torch.tensor(tokens, device=pixels.device).expand(len(pixels), -1)
        read = (torch.arange(len(tokens), device=pixels.device) < length).long().expand(len(pixels), -1)
        autocast = torch.autocast(pixels.device.type, torch.bfloat16, enabled=self.half)
        with torch.inference_mode(), autocast:
            said = self.model(pixel_values=pixels, input_ids=ids, attention_mask=read)
        return said.pred_boxes.float().cpu().numpy(), said.logits.float().sigmoid().cpu().numpy()


def texts(phrases: Sequence[Phrase], limit: int) -> list[list[Phrase]]:
    """Phrases in their order, as many a text as `limit` tokens hold with a full stop each, [CLS] and [SEP].

    >>> texts([(7, 8), (9,), (5,)], 7)
    [[(7, 8), (9,)], [(5,)]]
    """
    found: list[list[Phrase]] = []
    room = 0
    for phrase in phrases:
        if room < len(phrase) + 1:
            found.append([])
            room = limit - 2
        found[-1].append(phrase)
        room -= len(phrase) + 1
    return found


def written(phrases: Sequence[Phrase], limit: int) -> tuple[list[int], list[tuple[int, int]]]:
    """The tokens of a text `a . b .`, filled up to a multiple of 16, and where in it each phrase stands.

    >>> tokens, spans = written([(7, 8), (9,)], 256)
    >>> tokens[:8], len(tokens), spans
    ([101, 7, 8, 1012, 9, 1012, 102, 0], 16, [(1, 3), (4, 5)])
    """
    tokens, spans = [CLS], []
    for phrase in phrases:
        spans.append((len(tokens), len(tokens) + len(phrase)))
        tokens += [*phrase, STOP]
    tokens.append(SEP)
    full = min(-(-len(tokens) // MULTIPLE) * MULTIPLE, limit)
    return tokens + [PAD] * (full - len(tokens)), spans


def _filled(rgb: Rgb, canvas_hw: tuple[int, int]) -> Rgb:
    """The picture in the upper left corner of a canvas: (H, W, 3) -> (h, w, 3)."""
    h, w = rgb.shape[:2]
    if (h, w) == canvas_hw:
        return rgb
    canvas = np.empty((*canvas_hw, 3), np.uint8)
    canvas[:] = FILL
    canvas[:h, :w] = rgb
    return canvas


def _check_box_heads(model: Any) -> None:
    """Raise `ModelMissing` where transformers has put one box head in the place of several that are in the files.

    Versions before 5.23 may do that to MM-Grounding-DINO; boxes are then a little off.
    """
    heads = {head.layers[0].weight.data_ptr() for head in model.bbox_embed}
    if not model.config.decoder_bbox_embed_share and len(heads) < len(model.bbox_embed):
        import transformers

        raise ModelMissing(
            f"transformers {transformers.__version__} puts one box head in the place of {len(model.bbox_embed)};"
            " install 5.23 or newer"
        )
