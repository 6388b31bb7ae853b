"""What OWLv2 is asked besides as it learns, and thrown away afterwards: it finds out what belongs together sooner."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from transformers import Owlv2ForObjectDetection

from pipeline.toyworld.shapes import COLORS, SHAPES
from training.owlv2_batch import FINE, GRID, Batch
from training.owlv2_model import SIDES

FIGURE_LAYER = 1
"""After this layer it is asked what is object and what background."""
EDGE_LAYERS, POOL_LAYERS = (2, 4), (3, 5)
"""Layers whose gathering heads look at the ends of the object that a patch is on, and at all of it."""

Seen = dict[int, tuple[Tensor, Tensor]]
"""Layer -> what comes out of it (B, 1 + P, D), and who looked at whom (B, heads, 1 + P, 1 + P)."""


class Helpers(nn.Module):
    """Heads on what patches say: shape and colour of what each is on; what of it is object."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.looks = nn.Linear(width, len(SHAPES) + len(COLORS))
        self.figure = nn.Linear(width, FINE * FINE)

    def losses(self, flat: Tensor, seen: Seen, asked: Batch) -> dict[str, Tensor]:
        """Compare with the truth: features of patches (B, P, D), and the layers before."""
        early = F.layer_norm(seen[FIGURE_LAYER][0][:, 1:], flat.shape[-1:])
        covered = self.figure(early).float().unflatten(-1, (FINE, FINE))
        return {
            "looks": looked(self.looks(flat).float(), asked),
            "figure": F.binary_cross_entropy_with_logits(covered, asked.figure),
            **gathered({layer: looking for layer, (_, looking) in seen.items()}, asked.owner),
        }


@contextmanager
def watched(model: Owlv2ForObjectDetection) -> Iterator[Seen]:
    """See what the layers of the picture's encoder say; attention has to be `eager`, others do not tell."""
    seen: Seen = {}
    looks: dict[int, Tensor] = {}
    hooks = []
    for number, layer in enumerate(model.owlv2.vision_model.encoder.layers):

        def looking(_module: nn.Module, _given: object, said: tuple[Tensor, Tensor], number: int = number) -> None:
            looks[number] = said[1]

        def leaving(_module: nn.Module, _given: object, said: Tensor | tuple[Tensor], number: int = number) -> None:
            seen[number] = (said if isinstance(said, Tensor) else said[0], looks[number])

        hooks += [layer.self_attn.register_forward_hook(looking), layer.register_forward_hook(leaving)]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def looked(logits: Tensor, asked: Batch) -> Tensor:
    """Compare what is said of shape and colour of what each patch is on with the truth."""
    shape, color = logits.flatten(0, 1).split([len(SHAPES), len(COLORS)], dim=-1)
    return F.cross_entropy(shape, asked.shape.flatten(), ignore_index=-1) + F.cross_entropy(
        color, asked.color.flatten(), ignore_index=-1
    )


def gathered(looks: dict[int, Tensor], owner: Tensor) -> dict[str, Tensor]:
    """Judge whom the patches of objects look at, in nats above the best: (B, heads, 1 + P, 1 + P) of layers, (B, P).

    edge  the gathering heads of some layers should find the patches at one end of the object each
    pool  those of others should look at all of it alike
    """
    on = (owner >= 0).float()
    same = (owner[:, :, None] == owner[:, None]) & (owner[:, :, None] >= 0)
    ends = at_ends(same)
    many = same.sum(-1).clamp(min=1)
    count = len(SIDES) * on.sum().clamp(min=1)
    edge, pool = [], []
    for layer, looking in looks.items():
        mine = looking[:, len(SIDES) :, 1:, 1:].float()
        if layer in EDGE_LAYERS:
            missed = -((mine * ends).sum(-1) + 1e-6).log()
            edge.append((missed * on[:, None]).sum() / count)
        elif layer in POOL_LAYERS:
            uneven = -((mine + 1e-6).log() * same[:, None]).sum(-1) / many[:, None] - many.log()[:, None]
            pool.append((uneven * on[:, None]).sum() / count)
    return {"edge": torch.stack(edge).mean(), "pool": torch.stack(pool).mean()}


def at_ends(same: Tensor) -> Tensor:
    """Tell which patches of an object are its topmost, lowest, leftmost, rightmost: (B, P, P) -> (B, 4, P, P)."""
    place = torch.arange(GRID * GRID, device=same.device)
    ends = []
    for down, right in SIDES:
        far = -(down * (place // GRID) + right * (place % GRID)).float().expand_as(same)
        nearest_end = far.masked_fill(~same, torch.inf).amin(-1, keepdim=True)
        ends.append(same & (far == nearest_end))
    return torch.stack(ends, 1).float()
