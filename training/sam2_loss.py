"""How wrong masks are."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from pipeline.toyworld.shapes import COLORS
from training.sam2_model import IMAGE_PX, WIDTH, Answer

JUDGED_PX = IMAGE_PX // 2
"""Masks are judged at twice the size that the decoder gives: what is between its pixels counts, too."""


def judged(answer: Answer, true: Tensor, boxes: Tensor, there: Tensor) -> dict[str, Tensor]:
    """Compare the answers to N prompts with the true masks (N, 192, 192), all but what is not there."""
    logits = F.interpolate(answer.masks.float(), (JUDGED_PX, JUDGED_PX), mode="bilinear", align_corners=False)
    target = F.avg_pool2d(true[:, None], IMAGE_PX // JUDGED_PX)
    wrong = balanced(logits, target, boxes) + dice(logits, target)
    first, best = wrong[:, 0], wrong[:, 1:].min(dim=1).values
    count = there.sum().clamp(min=1)
    fits = iou(logits.detach(), target)
    return {
        "mask": (first * there).sum() / count,
        "best_of_three": (best * there).sum() / count,
        "iou": ((answer.ious.float() - fits).abs().mean(1) * there).sum() / count,
        "there": F.binary_cross_entropy_with_logits(answer.there.float(), there),
        "true_iou": (fits[:, 0] * there).sum() / count,
    }


class Helpers(nn.Module):
    """What is asked besides, so that the right things are looked at soon, and thrown away afterwards.

    The colour at every place of the fine features; and of every mask token the colour and the box of the thing asked
    for: without it the prompts are overlooked for thousands of steps.
    """

    def __init__(self) -> None:
        super().__init__()
        self.looks = nn.Conv2d(WIDTH, len(COLORS) + 1, 1)
        self.meant = nn.Linear(WIDTH, len(COLORS) + 4)

    def looked(self, raw_fine: Tensor, colors: Tensor) -> Tensor:
        """Ask for the colour of every place: (N, 128, 48, 48), (N, 48, 48)."""
        return F.cross_entropy(self.looks(raw_fine).float(), colors)

    def understood(self, answer: Answer, boxes: Tensor, color: Tensor) -> Tensor:
        """Ask every mask token what was meant: boxes (N, 4) in pixels of 192, colours (N,), -1 where nothing is."""
        known = color >= 0
        said_color, said_box = self.meant(answer.tokens[known]).float().split([len(COLORS), 4], dim=-1)
        tokens = said_color.shape[1]
        wrong_color = F.cross_entropy(said_color.flatten(0, 1), color[known].repeat_interleave(tokens))
        wrong_box = (said_box.sigmoid() - boxes[known][:, None] / IMAGE_PX).abs().mean()
        return wrong_color + 4 * wrong_box if known.any() else 0 * said_box.sum()


def balanced(logits: Tensor, target: Tensor, boxes: Tensor) -> Tensor:
    """Cross entropy, as much for what is in the true box as for all outside: (N, M, h, w) -> (N, M).

    Without the balance the empty mask is a good answer, and the model stays there.
    """
    inside = in_boxes(boxes, logits.shape[-1])
    loss = F.binary_cross_entropy_with_logits(logits, target.expand_as(logits), reduction="none")
    within = (loss * inside).sum((-2, -1)) / inside.sum((-2, -1)).clamp(min=1)
    outside = (loss * (1 - inside)).sum((-2, -1)) / (1 - inside).sum((-2, -1)).clamp(min=1)
    return within + outside


def in_boxes(boxes: Tensor, side: int) -> Tensor:
    """Fill boxes, grown by a pixel and a half: (N, 4) in pixels of 192 -> (N, 1, side, side)."""
    scaled = boxes * (side / IMAGE_PX)
    at = torch.arange(side, device=boxes.device) + 0.5
    rows = (at > scaled[:, 1, None] - 1.5) & (at < scaled[:, 3, None] + 1.5)
    columns = (at > scaled[:, 0, None] - 1.5) & (at < scaled[:, 2, None] + 1.5)
    return (rows[:, :, None] & columns[:, None]).float()[:, None]


def dice(logits: Tensor, target: Tensor) -> Tensor:
    """1 - twice the overlap by the sum (Milletari et al. 2016): (N, M, h, w) -> (N, M)."""
    found = logits.sigmoid()
    shared = (found * target).sum((-2, -1))
    return 1 - (2 * shared + 1) / (found.sum((-2, -1)) + target.sum((-2, -1)) + 1)


def iou(logits: Tensor, target: Tensor) -> Tensor:
    """Overlap of masks cut at 0 with true ones: (N, M, h, w) -> (N, M)."""
    found, true = logits > 0, target > 0.5
    both, either = (found & true).sum((-2, -1)), (found | true).sum((-2, -1))
    return both / either.clamp(min=1)
