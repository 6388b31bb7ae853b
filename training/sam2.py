"""Train the tiny SAM 2 from scratch on scenes of the toy world: boxes, points and masks as prompts.

python -m training.sam2
python -m training.sam2 --export checkpoints/tiny-sam2
"""

import json
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from transformers import Sam2VideoModel

from pipeline import masks
from pipeline.toyworld.films import STORIES, film
from pipeline.toyworld.scenes import scene
from pipeline.toyworld.shapes import EVERY
from training import card, loop, sam2_clips, sam2_quality
from training.sam2_batch import Batch, batch, pixels
from training.sam2_films import followed
from training.sam2_loss import Helpers, iou, judged
from training.sam2_model import IMAGE_PX, MASK_PX, MEAN, STD, WIDTH, Answer, Features, decode, fresh, prompted, see
from training.sam2_prompts import ask

LOOK_SEED = 7_000_000
"""The world of the pictures that are looked at as the training goes."""

WEIGHTS = {"mask": 1.0, "best_of_three": 0.5, "iou": 0.5, "there": 0.5, "looks": 0.3, "meant": 0.5}


def loss_of(model: Sam2VideoModel, helpers: Helpers, asked: Batch, number: int) -> dict[str, Tensor]:
    """Answer the prompts of a step, twice where a first answer is refined, and compare with the truth."""
    seen = see(model, asked.pixels)
    of_each = seen.of(asked.rows)
    answer = respond(model, of_each, ask(asked, number))
    return {
        **judged(answer, asked.masks, asked.boxes, asked.there),
        "looks": helpers.looked(seen.raw_fine, asked.colors),
        "meant": helpers.understood(answer, asked.boxes, asked.color),
    }


def total(parts: dict[str, Tensor], kind: str) -> dict[str, Tensor]:
    """Add up what is learnt from, and say in the log which kind of step it was."""
    loss = torch.stack([weight * parts[key] for key, weight in WEIGHTS.items() if key in parts]).sum()
    return {"loss": loss, **{f"{kind}_{key}": value.detach() for key, value in parts.items()}}


def respond(model: Sam2VideoModel, seen: Features, prompts: dict[str, Tensor]) -> Answer:
    """Answer prompts on pictures, with no memory."""
    coarse = seen.coarse + model.no_memory_embedding.reshape(1, WIDTH, 1, 1)
    return decode(model, seen.fine, coarse, *prompted(model, **prompts))


@torch.no_grad()
def measure(model: Sam2VideoModel, pictures: int = 48) -> dict[str, float]:
    """Mask the things of some pictures from their true boxes, and from one point, at the pictures' own size."""
    model.eval()
    figures: dict[str, list[float]] = {"box_iou": [], "small_iou": [], "point_iou": []}
    for number in range(pictures):
        one = scene(LOOK_SEED, number, kinds=EVERY)
        if not len(one.found):
            continue
        h, w = one.found.size_hw
        true = np.stack([masks.decode(code or masks.NOTHING, one.found.size_hw) for code in one.found.masks or ()])
        seen = see(model, pixels([one]).to(model.device)).of(torch.zeros(len(true), dtype=torch.long))
        boxes = torch.from_numpy(one.found.boxes_xyxy.copy()) * (IMAGE_PX / torch.tensor([w, h, w, h]))
        middles = [np.argwhere(mask)[mask.sum() // 2] for mask in true]
        points = torch.tensor(np.array([[[(x + 0.5) / w, (y + 0.5) / h]] for y, x in middles])).float() * IMAGE_PX
        target = torch.from_numpy(true)[:, None].float().to(model.device)
        for key, prompts in {
            "box_iou": {"boxes": boxes},
            "point_iou": {"points": points, "labels": torch.ones(len(true), 1, dtype=torch.int)},
        }.items():
            answer = respond(model, seen, {name: value.to(model.device) for name, value in prompts.items()})
            logits = F.interpolate(answer.masks.float(), (h, w), mode="bilinear", align_corners=False)
            fits = iou(logits[:, :1], target)[:, 0].tolist()
            figures[key] += fits
            if key == "box_iou":
                sides = (one.found.boxes_xyxy[:, 2:] - one.found.boxes_xyxy[:, :2]).prod(axis=1)
                figures["small_iou"] += [fit for fit, area in zip(fits, sides, strict=True) if area < 32**2]
    return {key: float(np.mean(values)) for key, values in figures.items()}


@torch.no_grad()
def measure_films(model: Sam2VideoModel, films: int = 4, frames: int = 24) -> dict[str, float]:
    """Follow everything from true boxes on the first frame through films, with transformers' own loop: J."""
    model.eval()
    fits: list[float] = []
    for number in range(films):
        one = film(LOOK_SEED, number, STORIES[number % len(STORIES)], frames)
        fits += followed(model, one)
    return {"j": float(np.mean(fits))}


ABOUT = {
    "name": "tiny-sam2",
    "task": "mask-generation",
    "what": "`Sam2VideoModel` with 2.6 million weights, for pictures of 192 x 192 pixels; it loads as `Sam2Model` too.",
    "data": "Scenes and films of `pipeline/toyworld`, each drawn once: seven shapes in six colours, on each other;"
    " things that move, turn, grow, hide, leave and come back, look alike, and scene cuts.",
    "command": "python -m training.sam2 --bf16 --until 2500\npython -m training.sam2",
}


def export(model: Sam2VideoModel, place: Path, folder: Path) -> None:
    """Write the checkpoint in the Hub's layout, with what it can do."""
    model.set_attn_implementation("sdpa")
    model.save_pretrained(folder)
    settings = {
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": MEAN.flatten().double().round(decimals=3).tolist(),
        "image_processor_type": "Sam2ImageProcessor",
        "image_std": STD.flatten().double().round(decimals=3).tolist(),
        "mask_size": {"height": MASK_PX, "width": MASK_PX},
        "processor_class": "Sam2VideoProcessor",
        "resample": 2,
        "rescale_factor": 1 / 255,
        "size": {"height": IMAGE_PX, "width": IMAGE_PX},
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    card.write(folder, ABOUT, place / "curve.jsonl", sam2_quality.quality(folder))


def main() -> None:
    """Train, or export what was trained."""
    parser = loop.options(__doc__ or "", steps=9_000, lr=1e-3)
    parser.add_argument("--clips-from", type=int, default=5_000, help="from this step on every second one is of clips")
    parser.add_argument("--clips", type=int, default=2, help="clips a step")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    model = fresh().to(given.device)
    model.set_attn_implementation("eager")
    helpers = Helpers().to(given.device)
    both = nn.ModuleDict({"model": model, "helpers": helpers})

    def step(number: int) -> dict[str, Tensor]:
        filmed = number >= given.clips_from and number % 2 == 1
        drawn = sam2_clips.clips(number, given.clips) if filmed else batch(number, given.batch)
        asked = loop.moved(drawn, given.device)
        with torch.autocast(given.device, torch.bfloat16) if given.bf16 else nullcontext():
            if filmed:
                return total(sam2_clips.loss_of(model, helpers, asked, number), "film")
            return total(loss_of(model, helpers, asked, number), "picture")

    loop.run(given, "tiny-sam2", both, step, lambda: {**measure(model), **measure_films(model)}, partial(export, model))


if __name__ == "__main__":
    main()
