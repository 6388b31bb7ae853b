"""The tiny OWLv2: its sizes, its tokenizer, its processor."""

from math import cos, sin
from typing import Any

import torch
from torch import Tensor
from transformers import Owlv2Config, Owlv2ForObjectDetection, Owlv2ImageProcessorPil, Owlv2Processor

from pipeline.detectors.coco_names import COCO_NAMES
from pipeline.toyworld.shapes import EVERY, SHAPES
from pipeline.toyworld.words import SHAPE_WORDS, absent, phrases
from training.owlv2_batch import IMAGE_PX, PATCH_PX
from training.phrases import ARTICLES
from training.tokens import LENGTH, tokenizer_of

HEAD = 16
"""Numbers of a head."""
WAVES, PLACE = 16, 18
"""Of the numbers of a patch the first tell where it is: in sines and cosines, and then in a line."""
SIDES = ((-1, 0), (1, 0), (0, -1), (0, 1))
"""Down and right: the patch above, below, to the left, to the right."""


def processor() -> Owlv2Processor:
    """Make the processor, with a tokenizer of the words of the toy world and of everyday things."""
    texts = [phrase for kind in EVERY for phrase in phrases(kind)]
    texts += [phrase for shape in SHAPES for phrase in SHAPE_WORDS[shape]] + [*absent(), *COCO_NAMES, *ARTICLES]
    images = Owlv2ImageProcessorPil(size={"height": IMAGE_PX, "width": IMAGE_PX})
    return Owlv2Processor(images, tokenizer_of(texts))


def config(vocabulary: int) -> Owlv2Config:
    """Choose the sizes: 1.9 million weights, 256 patches a picture."""
    text = {
        "vocab_size": vocabulary,
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": LENGTH,
        "pad_token_id": 0,
        "bos_token_id": vocabulary - 2,
        "eos_token_id": vocabulary - 1,
    }
    vision = {
        "hidden_size": 128,
        "intermediate_size": 512,
        "num_hidden_layers": 6,
        "num_attention_heads": 2 * len(SIDES),
        "image_size": IMAGE_PX,
        "patch_size": PATCH_PX,
    }
    return Owlv2Config(text_config=text, vision_config=vision, projection_dim=128)


def fresh(vocabulary: int, seed: int = 0) -> Owlv2ForObjectDetection:
    """Make an untrained model whose every answer is a clear no: 10 times (likeness - 0.5).

    transformers draws the heads from a spread of 1, far too wide to learn from, and the places of patches so faint
    that it takes long to learn who is whose neighbour. Here half of the heads of a layer look at one neighbour each,
    as a convolution does (Trockman and Kolter, "Mimetic Initialization of Self-Attention Layers", 2023, go half that
    way), and the other half at what looks alike, each a little more to one side.
    """
    torch.manual_seed(seed)
    model = Owlv2ForObjectDetection(config(vocabulary))
    heads = (model.class_head, model.box_head, model.objectness_head)
    for layer in (layer for head in heads for layer in head.modules() if isinstance(layer, torch.nn.Linear)):
        torch.nn.init.xavier_uniform_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    for head in (model.box_head, model.objectness_head):
        torch.nn.init.zeros_(head.dense2.weight)
    for layer, bias in ((model.class_head.logit_scale, 9.0), (model.class_head.logit_shift, -0.5)):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.constant_(layer.bias, bias)
    embeddings = model.owlv2.vision_model.embeddings
    with torch.no_grad():
        embeddings.patch_embedding.weight.zero_()
        embeddings.patch_embedding.weight[PLACE:] = waves(112, PATCH_PX)[: 128 - PLACE]
        embeddings.position_embedding.weight.zero_()
        embeddings.position_embedding.weight[1:, :PLACE] = 0.8 * places(IMAGE_PX // PATCH_PX)
        embeddings.class_embedding.copy_(torch.tensor([1.0, -1.0]).repeat(64))  # multiplies every patch in the end
        for depth, layer in enumerate(model.owlv2.vision_model.encoder.layers):
            looking(layer, depth)
    return model


@torch.no_grad()
def looking(layer: Any, depth: int) -> None:
    """Let the first heads of a layer look at a neighbour each, and the others at what is alike and to one side.

    Places stay what they are: nothing is written over the numbers that tell them, and only the heads that gather pass
    the last two on.
    """
    query, key = layer.self_attn.q_proj, layer.self_attn.k_proj
    value, out = layer.self_attn.v_proj, layer.self_attn.out_proj
    torch.nn.init.normal_(query.weight, std=0.02)
    torch.nn.init.normal_(key.weight, std=0.02)
    sharp = (3.164 * (1 + 0.15 * depth) * (1 + 0.12 * depth)) ** 0.5  # places grow fainter in what layers add up
    for head, (down, right) in enumerate(SIDES):
        rows = slice(HEAD * head, HEAD * (head + 1))
        key.weight[rows, :WAVES] = sharp * torch.eye(WAVES)
        query.weight[rows, :WAVES] = sharp * torch.block_diag(*shifts(down), *shifts(right))
    for head, (down, right) in enumerate(SIDES, start=len(SIDES)):
        rows, last = slice(HEAD * head, HEAD * (head + 1) - 1), HEAD * (head + 1) - 1
        alike = torch.nn.init.orthogonal_(torch.empty(128 - PLACE, 128 - PLACE))[: HEAD - 1]
        for projection in (query, key):
            projection.weight[rows.start : last + 1] = 0
            projection.weight[rows, PLACE:] = 1.8 * alike
        query.bias[last] = 2.4
        key.weight[last, WAVES:PLACE] = 2.4 * torch.tensor([down, right])
    for part, gain in ((value, 1.0), (out, 0.4), (layer.mlp.fc1, 1.4), (layer.mlp.fc2, 0.4)):
        torch.nn.init.orthogonal_(part.weight, gain)
    value.weight[:, :WAVES] = 0
    value.weight[: HEAD * len(SIDES), :PLACE] = 0
    for axis in (0, 1):
        told = value.weight[HEAD * len(SIDES) + axis :: HEAD]
        told.zero_()
        told[:, WAVES + axis] = 0.7
    layer.mlp.fc1.weight[:, :WAVES] = 0
    out.weight[:PLACE] = 0
    layer.mlp.fc2.weight[:PLACE] = 0


def shifts(steps: int) -> list[Tensor]:
    """Turn the sines and cosines of a place into those of the one some steps on."""
    turns = [length * steps for length in lengths().tolist()]
    return [torch.tensor([[cos(turn), sin(turn)], [-sin(turn), cos(turn)]]) for turn in turns]


def lengths() -> Tensor:
    """Angles from one patch to the next: odd, so that no two places within the picture are alike."""
    return torch.tensor([1.0, 3.0, 5.0, 7.0]) * torch.pi / (IMAGE_PX // PATCH_PX)


def places(side: int) -> Tensor:
    """Say where a patch is: 8 sines and cosines down, 8 to the right, and both in a line: (side * side, 18)."""
    at = torch.arange(side)[:, None] * lengths()
    one = torch.stack([at.sin(), at.cos()], -1).flatten(1)
    line = torch.linspace(-1, 1, side)[:, None]
    down, right = ([part[:, None].expand(side, side, -1), part[None].expand(side, side, -1)] for part in (one, line))
    return torch.cat([*down, *right], 2).flatten(0, 1)


def waves(width: int, side: int) -> Tensor:
    """Begin with the coarse waves in a patch's light and colours, all about as loud: (width, 3, side, side)."""
    at = (torch.arange(side) + 0.5) * torch.pi / side
    wave = torch.cos(torch.arange(side)[:, None] * at) * (2 / side) ** 0.5
    wave[0] /= 2**0.5
    hues = torch.tensor([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) / torch.tensor([3, 2, 6]).sqrt()[:, None]
    grid = torch.cartesian_prod(torch.arange(side), torch.arange(side))
    coarse = grid[(grid.square().sum(1) * side * side + grid[:, 0]).argsort()]  # by length, ties by row
    chosen = [(hue, y, x) for hue, share in zip(hues, (2, 4, 4), strict=True) for y, x in coarse[: width // share]]
    loud = [4 * (1 + float(y * y + x * x) ** 0.5) / side if y + x else 0.5 / side for _, y, x in chosen]
    kernels = [hue[:, None, None] * wave[y][:, None] * wave[x] for hue, y, x in chosen]
    return torch.stack(kernels) * torch.tensor(loud)[:, None, None, None]
