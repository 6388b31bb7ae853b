"""SAM 2's memory attention: what a frame looks like, told what is remembered of each object.

The sums of `Sam2VideoMemoryAttention` (modeling_sam2_video.py) in an order that costs less: what the first layer makes
of the frame alone is made once for all objects; memory is mixed while it is 64 wide and projected afterwards, as the
weights of a row sum to one; keys are turned (rotary encoding) in place. B objects, S cells of the coarse grid, C
channels, T tokens of memory.
"""

from typing import Any

ROWS = 256
"""Cells that look at memory together on a CPU: 29 MB of weights, where memory is full. Others give other last bits."""


class Recall:
    """A model's memory attention taken apart, and what of it is the same in every frame."""

    def __init__(self, model: Any) -> None:
        import torch

        attention = model.memory_attention
        if attention.config.memory_attention_num_attention_heads != 1:
            raise ValueError("memory attention of several heads is none of SAM 2's")
        self.layers, self.norm = attention.layers, attention.layer_norm
        with torch.inference_mode():
            self.angles = attention.rotary_emb(model.no_memory_embedding, attention.position_ids)
            cos, sin = (each.reshape(-1, each.shape[-1])[:, ::2] for each in self.angles)
            self.turns = torch.complex(cos.contiguous(), sin.contiguous())  # (S, C / 2)

    def begun(self, cells: Any) -> Any:
        """What the first layer makes of a frame before it looks at memory, the same for all objects: (1, S, C)."""
        return self._looked_around(self.layers[0], cells)

    def told(self, begun: Any, memory: Any, codes: Any, pointers: int) -> Any:
        """Go on with memory (B, T, 64) and its places in space and time; the last tokens are `pointers`: (B, S, C)."""
        told = begun.expand(len(memory), -1, -1)
        for number, layer in enumerate(self.layers):
            if number:
                told = self._looked_around(layer, told)
            told = told + self._recalled(layer.cross_attn_image, layer.layer_norm2(told), memory, codes, pointers)
            told = told + layer.linear2(layer.activation(layer.linear1(layer.layer_norm3(told))))
        return self.norm(told)

    def _looked_around(self, layer: Any, cells: Any) -> Any:
        """Cells that looked at each other: (B, S, C) -> (B, S, C)."""
        query = layer.layer_norm1(cells)[:, None]
        around, _ = layer.self_attn(query=query, key=query, value=query, position_embeddings=self.angles)
        return cells + around[:, 0]

    def _recalled(self, attention: Any, cells: Any, memory: Any, codes: Any, pointers: int) -> Any:
        """What each cell recalls: (B, S, C) -> (B, S, C)."""
        from torch.nn import functional

        query = self._turned(attention.q_proj(cells)) * attention.scaling
        key = self._turned(attention.k_proj(memory + codes), pointers)
        if cells.is_cuda:  # where flash attention wants values that are as wide as keys
            query, key, value = (some[:, None] for some in (query, key, attention.v_proj(memory)))
            return attention.o_proj(functional.scaled_dot_product_attention(query, key, value, scale=1)[:, 0])
        return attention.o_proj(attention.v_proj(mixed(query, key, memory)))

    def _turned(self, tokens: Any, left: int = 0) -> Any:
        """Turn tokens by their cells, grid after grid, but the `left` last ones: (B, T, C) -> (B, T, C)."""
        import torch

        turned = tokens.float()
        some = turned[:, : turned.shape[1] - left]
        pairs = torch.view_as_complex(some.unflatten(-1, (-1, 2)).unflatten(1, (-1, len(self.turns))))
        pairs *= self.turns
        return turned.to(tokens.dtype)


def mixed(query: Any, key: Any, memory: Any) -> Any:
    """Memory by how much each query looks at it: (B, S, C), (B, T, C), (B, T, 64) -> (B, S, 64)."""
    import torch

    turned = key.transpose(1, 2)
    return torch.cat([torch.bmm(torch.bmm(some, turned).softmax(-1), memory) for some in query.split(ROWS, 1)], 1)
