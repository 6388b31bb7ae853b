"""Train the tiny OWLv2 from scratch on scenes of the toy world.

python -m training.owlv2
python -m training.owlv2 --export checkpoints/tiny-owlv2
"""

from contextlib import nullcontext
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from transformers import Owlv2ForObjectDetection, Owlv2Processor

from pipeline.toyworld.scenes import scene
from pipeline.toyworld.shapes import EVERY, HELD_OUT, SEEN
from pipeline.toyworld.words import absent, name
from training import card, loop, owlv2_quality
from training.detection_quality import Tally
from training.owlv2_batch import IMAGE_PX, Batch, batch, kinds, pixels
from training.owlv2_helpers import Helpers, watched
from training.owlv2_model import fresh, processor

LOOK_SEED = 5_000_000
"""The world of the pictures that are looked at as the training goes."""

WEIGHTS = {
    "names": 1.0,
    "l1": 10.0,
    "giou": 2.0,
    "object": 1.0,
    "looks": 2.0,
    "figure": 2.0,
    "edge": 1.0,
    "pool": 1.0,
}
HUSHED = 0.2
"""How much of what the names say is wrong reaches the encoder: it is ten times as loud as all the rest together."""


def embed(model: Owlv2ForObjectDetection, words: Owlv2Processor, texts: list[str]) -> Tensor:
    """Embed phrases: Q -> (Q, D)."""
    tokens = words.tokenizer(texts, padding="longest", truncation=True, return_tensors="pt").to(model.device)
    answer = model.owlv2.get_text_features(tokens["input_ids"], tokens["attention_mask"]).pooler_output
    return F.normalize(answer, dim=-1)


def loss_of(model: Owlv2ForObjectDetection, helpers: Helpers, words: Owlv2Processor, asked: Batch) -> dict[str, Tensor]:
    """Compare the answers with the truth."""
    with watched(model) as seen:
        features = model.image_embedder(asked.pixels)[0]
    flat = features.flatten(1, 2)
    texts = embed(model, words, [query.text for query in asked.asked])
    hushed = HUSHED * flat + (1 - HUSHED) * flat.detach()
    parts = {
        "names": named(model.class_predictor(hushed, texts)[0].float(), asked),
        **placed(model.box_predictor(flat.float(), features).float(), asked),
        "object": F.binary_cross_entropy_with_logits(model.objectness_predictor(flat).float(), asked.middle),
        **helpers.losses(flat, seen, asked),
    }
    return {"loss": torch.stack([WEIGHTS[key] * value for key, value in parts.items()]).sum(), **parts}


def named(logits: Tensor, asked: Batch) -> Tensor:
    """Focal loss of all questions at all patches (Lin et al. 2017, gamma 2), for each object."""
    wrong = torch.where(asked.fits > 0, -logits, logits)
    loss = F.softplus(wrong) * torch.sigmoid(wrong).square()
    counts = torch.where(asked.fits > 0, 1.0, asked.heard[..., None])
    return (loss * counts).sum() / asked.middle.sum().clamp(min=1)


def placed(boxes: Tensor, asked: Batch) -> dict[str, Tensor]:
    """L1 and generalised IoU (Rezatofighi et al. 2019) of the boxes of all patches on objects, the middles most."""
    weight = 0.2 * asked.on + 0.8 * asked.middle
    at = weight > 0
    found, true, weight = boxes[at], asked.boxes[at], weight[at] / weight.sum().clamp(min=1)
    l1 = ((found - true).abs().sum(-1) * weight).sum()
    return {"l1": l1, "giou": ((1 - generalised_iou(corners(found), corners(true))) * weight).sum()}


def corners(boxes: Tensor) -> Tensor:
    """(x, y) of the middle, width, height -> x0, y0, x1, y1."""
    return torch.cat([boxes[..., :2] - boxes[..., 2:] / 2, boxes[..., :2] + boxes[..., 2:] / 2], -1)


def generalised_iou(a: Tensor, b: Tensor) -> Tensor:
    """Of pairs of boxes: (N, 4), (N, 4) -> (N,), from -1 to 1."""
    both = (torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])).clamp(min=0).prod(-1)
    around = (torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])).prod(-1)
    either = (a[:, 2:] - a[:, :2]).prod(-1) + (b[:, 2:] - b[:, :2]).prod(-1) - both
    return both / either.clamp(min=1e-6) - (around - either) / around.clamp(min=1e-6)


@torch.no_grad()
def measure(model: Owlv2ForObjectDetection, words: Owlv2Processor, pictures: int = 64) -> dict[str, float]:
    """Look at pictures of all kinds of things, the held-out ones too, asked for by plain name."""
    model.eval()
    asked = [name(kind) for kind in EVERY]
    nothing = list(absent())[::4]
    texts = embed(model, words, [*asked, *nothing])
    tallies = {"seen": Tally(), "held_out": Tally()}
    alarms = 0
    for number in range(pictures):
        one = scene(LOOK_SEED, number, kinds=EVERY)
        features = model.image_embedder(pixels([one], 0.5).to(model.device))[0]
        flat = features.flatten(1, 2)
        scores = model.class_predictor(flat, texts)[0][0].float().sigmoid().cpu().numpy()
        boxes = corners(model.box_predictor(flat, features)[0]).float().cpu().numpy() * IMAGE_PX
        alarms += bool((scores[:, len(asked) :] > 0.3).any())
        best = scores[:, : len(asked)].argmax(axis=1)
        there = kinds(one.found)
        for part, chosen in (("seen", SEEN), ("held_out", HELD_OUT)):
            of_part = np.array([kind in chosen for kind in EVERY])[best]
            keep = of_part & (scores[np.arange(len(best)), best] > 0.05)
            labels = [EVERY[label] for label in best[keep]]
            rows = [row for row, kind in enumerate(there) if kind in chosen]
            true = (one.found.boxes_xyxy[rows], [there[row] for row in rows])
            tallies[part].add((boxes[keep], scores[keep, best[keep]], labels), true)  # type: ignore[arg-type]
    figures = {"alarms": alarms / pictures}
    for part, tally in tallies.items():
        figures[f"{part}_ap50"], figures[f"{part}_ap"] = tally.average_precision()
    return figures


ABOUT = {
    "name": "tiny-owlv2",
    "task": "zero-shot-object-detection",
    "what": "`Owlv2ForObjectDetection` with 1.8 million weights, for pictures of 256 x 256 pixels in patches of 16.",
    "data": "Scenes of `pipeline/toyworld`, each drawn once: seven shapes in six colours, six of the pairs never shown."
    " Asked by their names and by other words, for shapes alone, and for what is not there.",
    "command": "python -m training.owlv2 --bf16",
}


def export(model: Owlv2ForObjectDetection, words: Owlv2Processor, place: Path, folder: Path) -> None:
    """Write the checkpoint in the Hub's layout, with what it can do."""
    model.set_attn_implementation("sdpa")
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    card.write(folder, ABOUT, place / "curve.jsonl", owlv2_quality.quality(folder))


def main() -> None:
    """Train, or export what was trained."""
    given = loop.options(__doc__ or "", steps=7_500, lr=5e-4, batch=16).parse_args()
    torch.set_num_threads(given.threads)
    words = processor()
    model = fresh(len(words.tokenizer)).to(given.device)
    helpers = Helpers(model.config.vision_config.hidden_size).to(given.device)
    model.set_attn_implementation("eager")  # tells who looks at whom; with so few tokens faster, too
    both = nn.ModuleDict({"model": model, "helpers": helpers})

    def step(number: int) -> dict[str, Tensor]:
        asked = loop.moved(batch(number, given.batch), given.device)
        bf16 = torch.autocast(given.device, torch.bfloat16) if given.bf16 else nullcontext()
        with bf16:
            return loss_of(model, helpers, words, asked)

    look, write = partial(measure, model, words), partial(export, model, words)
    loop.run(given, "tiny-owlv2", both, step, look, write, orthogonal="encoder.layers")


if __name__ == "__main__":
    main()
