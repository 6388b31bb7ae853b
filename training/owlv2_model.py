"""The tiny OWLv2: its sizes, its tokenizer, its processor."""

import torch
from torch import Tensor
from transformers import Owlv2Config, Owlv2ForObjectDetection, Owlv2ImageProcessorPil, Owlv2Processor

from pipeline.detectors.coco_names import COCO_NAMES
from pipeline.toyworld.shapes import EVERY, SHAPES
from pipeline.toyworld.words import SHAPE_WORDS, absent, phrases
from training.owlv2_batch import IMAGE_PX, PATCH_PX
from training.phrases import ARTICLES
from training.tokens import LENGTH, tokenizer_of


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
        "num_attention_heads": 4,
        "image_size": IMAGE_PX,
        "patch_size": PATCH_PX,
    }
    return Owlv2Config(text_config=text, vision_config=vision, projection_dim=128)


def fresh(vocabulary: int, seed: int = 0) -> Owlv2ForObjectDetection:
    """Make an untrained model whose every answer is a clear no: 10 times (likeness - 0.5).

    transformers draws the heads from a spread of 1, far too wide to learn from, and the places of patches so faint
    that it takes long to learn who is whose neighbour. Here a patch first looks at those that are near and alike
    (Trockman and Kolter, "Mimetic Initialization of Self-Attention Layers", 2023).
    """
    torch.manual_seed(seed)
    model = Owlv2ForObjectDetection(config(vocabulary))
    heads = (model.class_head, model.box_head, model.objectness_head)
    for layer in (layer for head in heads for layer in head.modules() if isinstance(layer, torch.nn.Linear)):
        torch.nn.init.xavier_uniform_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    for head in (model.box_head, model.objectness_head):
        torch.nn.init.zeros_(head.dense2.weight)
    embeddings = model.owlv2.vision_model.embeddings
    with torch.no_grad():
        embeddings.patch_embedding.weight.copy_(waves(128, PATCH_PX))
        embeddings.position_embedding.weight[1:].copy_(0.5 * places(128, IMAGE_PX // PATCH_PX))
        for layer in model.owlv2.vision_model.encoder.layers:
            torch.nn.init.orthogonal_(layer.self_attn.q_proj.weight, 0.8)
            layer.self_attn.k_proj.weight.copy_(layer.self_attn.q_proj.weight)
    for layer, bias in ((model.class_head.logit_scale, 9.0), (model.class_head.logit_shift, -0.5)):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.constant_(layer.bias, bias)
    return model


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


def places(width: int, side: int) -> Tensor:
    """Say where a patch is in sines and cosines of several lengths: (side * side, width)."""
    lengths = 2.0 * side ** (torch.arange(width // 4) / (width // 4 - 1))
    at = torch.arange(side)[:, None] * 2 * torch.pi / lengths
    one = torch.cat([at.sin(), at.cos()], 1)
    return torch.cat([one[:, None].expand(side, side, -1), one[None].expand(side, side, -1)], 2).flatten(0, 1)
