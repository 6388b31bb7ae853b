"""Muon for hidden matrices, AdamW for all else, in one optimizer with one state."""

from typing import Any

import torch
from torch import Tensor

MOMENTUM = 0.95
COEFFICIENTS = (3.4445, -4.775, 2.0315)
"""Of the quintic that brings all singular values near 1 in five rounds (Jordan 2024)."""


class Muon(torch.optim.AdamW):
    """AdamW, and Muon (Jordan 2024, kellerjordan.github.io/posts/muon) for the groups marked `orthogonal`.

    torch.optim.Muon computes in bfloat16, and a processor that has no such instructions takes six times as long for
    a step of so small a model; it differs in nothing else (`tests/training/test_training_muon.py`).
    """

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Move every parameter that has a gradient."""
        every = self.param_groups
        try:
            self.param_groups = [group for group in every if not group.get("orthogonal")]
            super().step(closure)
        finally:
            self.param_groups = every
        for group in every:
            for weight in group["params"] if group.get("orthogonal") else ():
                if weight.grad is not None:
                    self._turn(weight, group["lr"], group["weight_decay"])

    def _turn(self, weight: Tensor, lr: float, decay: float) -> None:
        state = self.state[weight]
        state.setdefault("step", torch.zeros(()))  # AdamW looks for it when a state is taken up
        momentum = state.setdefault("momentum", torch.zeros_like(weight))
        momentum.lerp_(weight.grad, 1 - MOMENTUM)  # type: ignore[arg-type]
        turn = orthogonal(weight.grad.lerp(momentum, MOMENTUM))  # type: ignore[union-attr]
        weight.mul_(1 - lr * decay)
        weight.add_(turn, alpha=-lr * max(1.0, weight.shape[0] / weight.shape[1]) ** 0.5)


def orthogonal(matrix: Tensor, rounds: int = 5) -> Tensor:
    """Bring all singular values near 1, and keep the directions: (h, w) -> (h, w)."""
    a, b, c = COEFFICIENTS
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(rounds):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x.T if tall else x
