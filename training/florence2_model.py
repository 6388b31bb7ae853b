"""The tiny Florence-2: its sizes, how its weights begin, and the helpers that are thrown away afterwards."""

import torch
from torch import Tensor, nn
from transformers import Florence2Config, Florence2ForConditionalGeneration, Florence2VisionConfig

from pipeline.detectors.florence2_answers import BINS
from pipeline.toyworld.shapes import COLORS, SHAPES
from training.florence2_words import END, GRID, LENGTH, PAD, START

WIDTH = 128
LOUD = 0.12
"""How far the numbers of words and places are spread: the logits of an untrained model by about 1."""


def config(words: int, image: int) -> Florence2Config:
    """Choose the sizes for so many tokens, one of which stands for the picture's: 2.3 million weights."""
    widths = [32, 64, 96, 128]
    vision = Florence2VisionConfig(
        depths=[1, 1, 2, 1],
        patch_stride=[4, 2, 2, 1],
        embed_dim=widths,
        num_heads=[width // 32 for width in widths],
        num_groups=[width // 32 for width in widths],
        mlp_ratio=2.0,
        drop_path_rate=0.0,
        projection_dim=WIDTH,
    )
    layers = {"layers": 3, "attention_heads": 4, "ffn_dim": 2 * WIDTH}
    sides = {f"{side}_{key}": value for side in ("encoder", "decoder") for key, value in layers.items()}
    text = {
        "model_type": "bart",
        "vocab_size": words,
        "d_model": WIDTH,
        "max_position_embeddings": LENGTH,
        "dropout": 0.0,
        "bos_token_id": START,
        "pad_token_id": PAD,
        "eos_token_id": END,
        "decoder_start_token_id": END,
        "forced_eos_token_id": END,
        **sides,
    }
    return Florence2Config(text_config=text, vision_config=vision.to_dict(), image_token_id=image)


def fresh(words: int, place: int, image: int, seed: int = 0) -> Florence2ForConditionalGeneration:
    """Make an untrained model whose 1000 tokens of places, from number `place` on, are alike where they are near.

    transformers draws all from a spread of 0.02, too faint for so narrow a model. What says where something is begins
    as waves: tokens of places, patches, and positions in a text, where a wave of 4 tells which side of a box comes.
    """
    torch.manual_seed(seed)
    model = Florence2ForConditionalGeneration(config(words, image))
    for layer in model.modules():
        if isinstance(layer, nn.Linear) and layer is not model.lm_head:
            nn.init.xavier_uniform_(layer.weight)
        elif isinstance(layer, nn.Conv2d):
            layer.reset_parameters()
    text, positions = model.model.language_model, model.model.multi_modal_projector.image_position_embed
    at = torch.arange(LENGTH + text.encoder.embed_positions.offset)
    patches = (torch.arange(positions.row_embeddings.num_embeddings) + 0.5) / GRID
    with torch.no_grad():
        text.shared.weight.normal_(0, LOUD / 2**0.5)
        text.shared.weight[place : place + BINS] = LOUD * waves((torch.arange(BINS) + 0.5) / BINS, WIDTH, 2.0, 0.04)
        for side in (text.encoder, text.decoder):
            side.embed_positions.weight.copy_(LOUD * waves(at, WIDTH, 256.0, 4.0))
        for axis in (positions.row_embeddings, positions.column_embeddings):
            axis.weight.copy_(waves(patches, axis.embedding_dim, 2.0, 0.15))
    return model


def waves(at: Tensor, width: int, longest: float, shortest: float) -> Tensor:
    """Say where something is in sines and cosines of several lengths: (N,) -> (N, width)."""
    lengths = longest * (shortest / longest) ** torch.linspace(0, 1, width // 2)
    turn = at[:, None] * 2 * torch.pi / lengths
    return torch.cat([turn.sin(), turn.cos()], 1)


class Helpers(nn.Module):
    """What is asked of every patch: how the thing there looks and where it ends, and later if it is what is meant.

    The box is told in the same tokens of places as the answer's, so that the answer finds it there.
    """

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Linear(WIDTH, len(SHAPES) + len(COLORS))
        self.box = nn.Linear(WIDTH, 4 * WIDTH)
        self.meant = nn.Linear(WIDTH, 1)

    def boxes(self, patches: Tensor, places: Tensor) -> Tensor:
        """Logits of where a thing begins and ends: N patches (N, D), 1000 places (1000, D) -> (N, 4, 1000)."""
        sides = self.box(patches).unflatten(-1, (4, WIDTH))
        return nn.functional.layer_norm(sides, (WIDTH,)) @ places.T
