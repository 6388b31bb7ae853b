"""Which prompts a step gives: a box that is a little off, clicks, or a rough mask."""

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from training.sam2_batch import SEED, Batch
from training.sam2_model import IMAGE_PX, MASK_PX

KINDS = {"box": 0.5, "click": 0.25, "clicks": 0.1, "box_and_click": 0.05, "mask": 0.1}
"""How often each is given. One kind a step, so that all prompts of it have one shape."""


def ask(asked: Batch, number: int) -> dict[str, Tensor]:
    """Give the prompts of step `number`, as `prompted` takes them."""
    random = torch.Generator().manual_seed(SEED + number)
    kind = list(KINDS)[int(torch.multinomial(torch.tensor(list(KINDS.values())), 1, generator=random))]
    if kind == "box":
        return {"boxes": loose(asked.boxes, random)}
    if kind == "mask":
        return {"logits": rough(asked.masks, random)}
    points, labels = clicks(asked, {"click": 1, "clicks": 3, "box_and_click": 1}[kind], random)
    boxes = {"boxes": loose(asked.boxes, random)} if kind == "box_and_click" else {}
    return {"points": points, "labels": labels, **boxes}


def loose(boxes: Tensor, random: torch.Generator) -> Tensor:
    """Move the sides of two boxes in three by up to a tenth, as a detector does: (N, 4) -> (N, 4)."""
    sides = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
    off = (torch.rand(boxes.shape, generator=random) - 0.5) * 0.2 * (torch.rand(len(boxes), 1, generator=random) < 0.67)
    return (boxes + off.to(boxes.device) * sides).clamp(0, IMAGE_PX)


def clicks(asked: Batch, count: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Click once on the thing, then anywhere in its box, and say if that was on it: (N, K, 2), (N, K)."""
    many, true = len(asked.masks), asked.masks.cpu() > 0.5
    on = torch.stack([pixel_of(*one, random) for one in zip(true, asked.boxes.cpu(), strict=True)])
    first = on.flip(-1).float() + 0.5
    low, high = asked.boxes.cpu()[:, None, :2], asked.boxes.cpu()[:, None, 2:]
    others = (low + (high - low) * torch.rand(many, count - 1, 2, generator=random)).clamp(0, IMAGE_PX - 1)
    whole = others.long()
    hit = true[torch.arange(many)[:, None], whole[..., 1], whole[..., 0]]
    points = torch.cat([first[:, None], others], 1)
    labels = torch.cat([torch.ones(many, 1, dtype=torch.int), hit.int()], 1)
    return points.to(asked.boxes.device), labels.to(asked.boxes.device)


def pixel_of(mask: Tensor, box: Tensor, random: torch.Generator) -> Tensor:
    """Choose a pixel (y, x) of a mask (192, 192), all alike; of its box, if the mask is empty."""
    pixels = mask.nonzero()
    if not len(pixels):
        x0, y0, x1, y1 = box.long().tolist()
        pixels = torch.cartesian_prod(torch.arange(y0, max(y1, y0 + 1)), torch.arange(x0, max(x1, x0 + 1)))
    return pixels[int(torch.randint(len(pixels), (), generator=random))]


def rough(masks: Tensor, random: torch.Generator) -> Tensor:
    """Turn true masks into logits as an earlier answer would have them, with specks: (N, 192, 192) -> (N, 48, 48)."""
    small = F.avg_pool2d(masks[:, None], IMAGE_PX // MASK_PX)
    specks = torch.randn(small.shape, generator=random).to(masks.device)
    return ((small - 0.5) * 20 + 4 * specks)[:, 0]
