"""What is left out of the encoder of transformers is nothing: the same bits come out of it."""

import pytest
import torch
from random_models import cached
from transformers import Sam2Model

from pipeline.sam2_encoder import lighten


@pytest.mark.parametrize("pictures", [1, 2])
def test_the_same_bits(pictures):
    model = Sam2Model.from_pretrained(cached("sam2")).eval()
    side = model.prompt_encoder.input_image_size
    values = torch.randn(pictures, 3, side, side, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        before = model.get_image_embeddings(values)
        lighten(model.vision_encoder)
        lighten(model.vision_encoder)  # once more does nothing
        after = model.get_image_embeddings(values)
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


def test_windows_that_do_not_fit_and_one_that_is_everything():
    """The model for tests has what the released ones have: padded windows, pooled queries, a global block."""
    backbone = Sam2Model.from_pretrained(cached("sam2")).vision_encoder.backbone
    grids = [backbone.config.image_size[0] // 4 // 2**stage for stage in range(4)]
    windows = backbone.config.window_size_per_stage
    assert any(grid % window for grid, window in zip(grids, windows, strict=True))
    assert any(block.query_stride for block in backbone.blocks)
    assert backbone.config.global_attention_blocks
