"""The vision encoder of SAM 2 without what transformers computes for nothing: the same bits, sooner.

Each block multiplies the heads of each cell with each other, and no line reads it (`Sam2MultiScaleAttention.forward` of
modeling_sam2.py); and the places of cells are encoded anew for each picture, though they are the same for all: 88 MB
at 1024 x 1024, and an enlargement of 7 x 7 cells.
"""

from types import MethodType
from typing import Any


def lighten(encoder: Any) -> None:
    """Leave it out of a `Sam2VisionModel`; nothing that it gives changes but encodings of places, which are empty."""
    import torch

    backbone = encoder.backbone
    side = backbone.config.image_size[0] // backbone.config.patch_stride[0]
    with torch.inference_mode():
        places = backbone._get_pos_embed((side, side))
    backbone._get_pos_embed = lambda _: places
    for block in backbone.blocks:
        block.attn.forward = MethodType(_attended, block.attn)
    nothing = places.new_zeros(1, 1, 1, 1)
    encoder.neck.position_encoding.forward = lambda *_: nothing


def _attended(self: Any, hidden_states: Any, **_: Any) -> Any:
    """The rest of `Sam2MultiScaleAttention.forward`: windows (B, h, w, C) -> (B, h', w', C')."""
    from torch.nn import functional

    b, h, w, _ = hidden_states.shape
    query, key, value = self.qkv(hidden_states).reshape(b, h * w, 3, self.num_attention_heads, -1).unbind(2)
    if self.query_stride:
        maps = query.reshape(b, h, w, -1).permute(0, 3, 1, 2)
        maps = functional.max_pool2d(maps, self.query_stride, self.query_stride)
        h, w = maps.shape[2:]
        query = maps.permute(0, 2, 3, 1).reshape(b, h * w, self.num_attention_heads, -1)
    query, key, value = (some.transpose(1, 2) for some in (query, key, value))
    looked = functional.scaled_dot_product_attention(query, key, value, scale=self.scale)
    return self.proj(looked.transpose(1, 2).reshape(b, h, w, -1))
