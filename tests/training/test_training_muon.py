"""The optimizer against torch's own two, which it puts together."""

import copy

import pytest
import torch

from training.muon import Muon, orthogonal


@pytest.mark.parametrize("shape", [(8, 8), (4, 12), (12, 4)])
def test_an_orthogonal_matrix_has_singular_values_near_one(shape):
    torch.manual_seed(0)
    matrix = torch.randn(shape)
    turned = orthogonal(matrix)
    assert turned.shape == shape
    values = torch.linalg.svdvals(turned)
    assert values.min() > 0.5
    assert values.max() < 1.3
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    assert ((u.T @ turned @ v.T).diagonal() > 0.5).all()  # the same directions


def test_it_moves_as_torchs_own_muon_and_adamw_do():
    torch.manual_seed(0)
    ours = torch.nn.Sequential(torch.nn.Linear(12, 4), torch.nn.Tanh(), torch.nn.Linear(4, 12))
    theirs = copy.deepcopy(ours)
    given, wanted = torch.randn(16, 12), torch.randn(16, 12)

    def split(model):
        return [p for p in model.parameters() if p.ndim == 2], [p for p in model.parameters() if p.ndim == 1]

    hidden, rest = split(ours)
    both = Muon(
        [
            {"params": hidden, "orthogonal": True, "lr": 0.02, "weight_decay": 0.01},
            {"params": rest, "lr": 1e-3, "weight_decay": 0.05},
        ],
        betas=(0.9, 0.98),
    )
    hidden, rest = split(theirs)
    apart = [
        torch.optim.Muon(hidden, lr=0.02, weight_decay=0.01, momentum=0.95),
        torch.optim.AdamW(rest, lr=1e-3, weight_decay=0.05, betas=(0.9, 0.98)),
    ]
    before = copy.deepcopy(ours.state_dict())
    for _ in range(5):
        for model, optimizers in ((ours, [both]), (theirs, apart)):
            for optimizer in optimizers:
                optimizer.zero_grad()
            (model(given) - wanted).square().mean().backward()
            for optimizer in optimizers:
                optimizer.step()
    for name, value in theirs.state_dict().items():  # theirs is in bfloat16: three digits
        moved = (value - before[name]).norm()
        assert (ours.state_dict()[name] - value).norm() < 0.03 * moved, name


def test_its_state_can_be_taken_up_again():
    torch.manual_seed(0)
    whole, parts = torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)
    parts.load_state_dict(whole.state_dict())

    def optimizer(model):
        return Muon([{"params": [model.weight], "orthogonal": True}, {"params": [model.bias]}], lr=0.01)

    def steps(model, moved, count):
        for _ in range(count):
            moved.zero_grad()
            model(torch.eye(4)).square().sum().backward()
            moved.step()

    steps(whole, optimizer(whole), 4)
    first = optimizer(parts)
    steps(parts, first, 2)
    second = optimizer(parts)
    second.load_state_dict(first.state_dict())
    steps(parts, second, 2)
    assert torch.equal(whole.weight, parts.weight)
    assert torch.equal(whole.bias, parts.bias)
