"""The loop that every training here goes through: resumable to the step, a curve as JSON lines.

All that is random in step N follows from N: a run that was stopped and taken up again is the run that never stopped.
"""

import argparse
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from training.muon import Muon

RUNS = Path("outputs/training")
KEPT = Path(__file__).parent / "state"
"""States that travel with the repository: a run that has none of its own goes on from there."""

Step = Callable[[int], dict[str, Tensor]]
"""Number of the step -> the parts of its loss; `loss` is their sum, and is what is learnt from."""
Measure = Callable[[], dict[str, float]]


@dataclass(frozen=True)
class Plan:
    """How long, how fast, and how often to look.

    Matrices whose names have the pattern `orthogonal`, if it is given, are turned by Muon, `orthogonal_times` as fast.
    """

    steps: int
    lr: float
    warmup: int = 300
    decay: float = 0.25
    weight_decay: float = 0.05
    clip: float = 1.0
    orthogonal: str = ""
    orthogonal_times: float = 20.0
    orthogonal_decay: float = 0.01
    log_every: int = 50
    save_every: int = 250
    measure_every: int = 1000


def options(description: str, steps: int, lr: float, batch: int = 8) -> argparse.ArgumentParser:
    """Make the options that every training has."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--name", default=None, help="the folder below outputs/training (default: the model's)")
    parser.add_argument("--steps", type=int, default=steps, help="of the whole schedule; a stopped run goes on")
    parser.add_argument("--until", type=int, default=None, help="stop after this step, the schedule as it is")
    parser.add_argument("--lr", type=float, default=lr, help="learning rate at its height")
    parser.add_argument("--batch", type=int, default=batch, help="pictures a step")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--bf16", action="store_true", help="compute in bfloat16 where that is safe")
    parser.add_argument("--keep", action="store_true", help="put the state into training/state, train no more")
    parser.add_argument("--export", default=None, metavar="DIR", help="write the checkpoint there, train no more")
    return parser


def rate(step: int, plan: Plan) -> float:
    """Learning rate of a step: up in a line, level, and down in a line over the last quarter of the plan.

    While it is level, a run may be taken up with more steps or fewer.
    """
    left = (plan.steps - step) / max(1.0, plan.steps * plan.decay)
    return plan.lr * min(1.0, (step + 1) / plan.warmup, max(left, 0.01))


def optimizer_of(model: nn.Module, plan: Plan) -> torch.optim.Optimizer:
    """Make AdamW, with Muon for the matrices that the plan names; only matrices decay, no gains, biases or vectors."""
    learnt = {name: p for name, p in model.named_parameters() if p.requires_grad}
    turns = re.compile(plan.orthogonal or "(?!)")
    hidden = {name for name, p in learnt.items() if turns.search(name) and p.ndim == 2}
    groups: list[dict[str, Any]] = [
        {"params": [p for name, p in learnt.items() if p.ndim > 1 and name not in hidden]},
        {"params": [p for p in learnt.values() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if hidden:
        turned = {"orthogonal": True, "times": plan.orthogonal_times, "weight_decay": plan.orthogonal_decay}
        groups.append({"params": [learnt[name] for name in learnt if name in hidden], **turned})
    return Muon(groups, lr=plan.lr, betas=(0.9, 0.98), weight_decay=plan.weight_decay)


def train(model: nn.Module, step: Step, measure: Measure, plan: Plan, place: Path, until: int | None = None) -> None:
    """Go from the last saved step to the end of the plan, or to `until`."""
    place.mkdir(parents=True, exist_ok=True)
    optimizer = optimizer_of(model, plan)
    number = resume(place / "state.pt", model, optimizer)
    end = min(plan.steps, until or plan.steps)
    begun, rows = time.monotonic(), list[dict[str, float]]()
    while number < end:
        rows.append(learn(model, optimizer, step, number, plan))
        number += 1
        if number % plan.log_every == 0 or number == end:
            seconds = round((time.monotonic() - begun) / len(rows), 3)
            log(place, {"step": number, "lr": round(rate(number, plan), 7), "seconds_a_step": seconds, **means(rows)})
            begun, rows = time.monotonic(), []
        if number % plan.save_every == 0 or number == end:
            save(place / "state.pt", model, optimizer, number)
        if number % plan.measure_every == 0 or number == plan.steps:
            log(place, {"step": number, **{key: round(value, 4) for key, value in measure().items()}})
            begun = time.monotonic()


def run(
    given: argparse.Namespace,
    name: str,
    model: nn.Module,
    step: Step,
    measure: Measure,
    export: Callable[[Path, Path], None],
    orthogonal: str = "",
) -> None:
    """Do what the command line asks: keep the state, export (from the run's folder to another), or train."""
    place = RUNS / (given.name or name)
    begin(place)
    if given.keep:
        keep(place)
    elif given.export:
        resume(place / "state.pt", model)
        export(place, Path(given.export))
    else:
        plan = Plan(given.steps, given.lr, orthogonal=orthogonal)
        train(model, step, measure, plan, place, given.until)


def means(rows: list[dict[str, float]]) -> dict[str, float]:
    """Average each part over the steps that had it."""
    parts: dict[str, list[float]] = {}
    for row in rows:
        for key, value in row.items():
            parts.setdefault(key, []).append(value)
    return {key: round(sum(values) / len(values), 4) for key, values in parts.items()}


def learn(model: nn.Module, optimizer: torch.optim.Optimizer, step: Step, number: int, plan: Plan) -> dict[str, float]:
    """Take one step; what it did is told in numbers."""
    for group in optimizer.param_groups:
        group["lr"] = rate(number, plan) * group.get("times", 1.0)
    model.train()
    torch.manual_seed(number)
    parts = step(number)
    optimizer.zero_grad(set_to_none=True)
    parts["loss"].backward()
    norm = nn.utils.clip_grad_norm_([p for p in model.parameters() if p.grad is not None], plan.clip)
    if torch.isfinite(norm):
        optimizer.step()
    return {**{key: value.item() for key, value in parts.items()}, "norm": norm.item()}


def save(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, number: int) -> None:
    """Write all that the next step needs, whole or not at all."""
    torch.save({"step": number, "model": model.state_dict(), "optimizer": optimizer.state_dict()}, f"{path}.new")
    Path(f"{path}.new").replace(path)


def keep(place: Path) -> None:
    """Put a run's state and curve where they can be committed; moments in bfloat16, a third of the size saved."""
    state = torch.load(place / "state.pt", map_location="cpu", weights_only=True)
    for moments in state["optimizer"]["state"].values():
        moments.update({key: value.bfloat16() for key, value in moments.items() if key != "step"})
    KEPT.mkdir(exist_ok=True)
    torch.save(state, KEPT / f"{place.name}.pt")
    (KEPT / f"{place.name}.jsonl").write_bytes((place / "curve.jsonl").read_bytes())


def begin(place: Path) -> None:
    """Let a run that has no state of its own begin from the one that travels with the repository, if there is one."""
    place.mkdir(parents=True, exist_ok=True)
    if not (place / "state.pt").is_file() and (KEPT / f"{place.name}.pt").is_file():
        (place / "state.pt").write_bytes((KEPT / f"{place.name}.pt").read_bytes())
        (place / "curve.jsonl").write_bytes((KEPT / f"{place.name}.jsonl").read_bytes())


def resume(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer | None = None) -> int:
    """Take up what `save` wrote, if anything: the number of steps done."""
    if not path.is_file():
        return 0
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    model.load_state_dict(state["model"])
    if optimizer is not None:
        optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])


def log(place: Path, row: dict[str, Any]) -> None:
    """Add a line to the curve, and say it."""
    line = json.dumps(row)
    with (place / "curve.jsonl").open("a", encoding="utf-8") as curve:
        curve.write(line + "\n")
    print(line, flush=True)


def moved(batch: Any, device: str) -> Any:
    """Bring the tensors of a dataclass to a device."""
    return replace(batch, **{key: value.to(device) for key, value in vars(batch).items() if isinstance(value, Tensor)})
