"""What the `sam2` package says: run by the Python of an environment that has it, and only there.

python official_sam2.py names OUT.json.gz    the names and shapes of all weights of all sizes
python official_sam2.py answer FOLDER        what its predictors answer to FOLDER/asked.npz and FOLDER/frames
"""

import gzip
import json
import sys
from pathlib import Path

import numpy as np
import torch

CONFIGS = {"tiny": "t", "small": "s", "base_plus": "b+", "large": "l"}


def built(release, size):
    """Meta's own model, as its configuration file says, for films; the one for pictures has the same weights."""
    from sam2.build_sam import build_sam2_video_predictor

    config = f"configs/{release}/{release}_hiera_{CONFIGS[size]}.yaml"
    return build_sam2_video_predictor(config, device="cpu")


def write_names(out):
    """Write {file: {name: shape}} of the eight models."""
    said = {
        f"{release}_hiera_{size}.pt": {
            name: list(each.shape) for name, each in built(release, size).state_dict().items()
        }
        for release in ("sam2", "sam2.1")
        for size in CONFIGS
    }
    out.write_bytes(gzip.compress(json.dumps(said, separators=(",", ":")).encode(), mtime=0))


def enliven(model, seed=0):
    """Draw weights under which every one of them matters, and logits have a range in which faults can be seen.

    What starts as zero, or as one for all channels, would hide that two weights are exchanged.
    """
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=draw)
            if weight.ndim >= 2 and weight.any():
                weight.mul_(1.6).add_(noise * weight.std() * 0.1)
            elif name.endswith(".weight"):
                weight.add_(noise * 0.2)
            else:
                weight.add_(noise * (0.2 if weight.ndim >= 2 or name.endswith("gamma") else 0.05))
        model.sam_mask_decoder.pred_obj_score_head.layers[-1].bias.fill_(1)
        model.obj_ptr_proj.layers[-1].weight.mul_(8)  # or four tokens in thousands would be no more than noise
    return model


def of_pictures(model, asked):
    """Low-resolution logits of each prompt, asked one at a time: {prompt: (k, 256, 256)}."""
    from sam2.sam2_image_predictor import SAM2ImagePredictor

    predictor = SAM2ImagePredictor(model)
    predictor.set_image(asked["picture"])
    boxes, points = asked["boxes"], asked["points"]
    clicks = {"point_coords": points[:, :2], "point_labels": (points[:, 2] > 0).astype(np.int64)}
    prompts = {f"box {n}": {"box": box} for n, box in enumerate(boxes)}
    prompts |= {"clicks": clicks, "click": {name: rows[:1] for name, rows in clicks.items()}}
    prompts |= {"box and clicks": {"box": boxes[0], **clicks}}
    return {
        f"{name}, {'three' if three else 'one'}": predictor.predict(**prompt, multimask_output=three)[2]
        for name, prompt in prompts.items()
        for three in (False, True)
    }


def of_films(model, asked, frames):
    """Logits of each object on each frame, at the film's size, and object scores: (T, N, H, W), (T, N)."""
    model.fill_hole_area = 0
    state = model.init_state(str(frames), offload_video_to_cpu=True)
    model.add_new_points_or_box(state, 0, 1, box=asked["boxes"][0])
    points = asked["points"][:1]
    model.add_new_points_or_box(state, 0, 2, points=points[:, :2], labels=np.ones(1, np.int32))
    logits = [masks[:, 0].numpy() for _, _, masks in model.propagate_in_video(state)]
    scores = []
    for at in range(len(logits)):
        found = [{**each["cond_frame_outputs"], **each["non_cond_frame_outputs"]} for each in _outputs(state)]
        scores.append([float(each[at]["object_score_logits"]) for each in found])
    return np.stack(logits), np.array(scores)


def _outputs(state):
    return [state["output_dict_per_obj"][row] for row in range(2)]


def answer(folder):
    """Draw a SAM 2.1 tiny, save it as Meta does, and ask both predictors."""
    torch.manual_seed(0)
    model = enliven(built("sam2.1", "tiny"))
    torch.save({"model": model.state_dict()}, folder / "sam2.1_hiera_tiny.pt")
    with np.load(folder / "asked.npz") as asked:
        pictures = of_pictures(model, asked)
        logits, scores = of_films(model, asked, folder / "frames")
    np.savez(folder / "answered.npz", film_logits=logits, film_scores=scores, **pictures)


if __name__ == "__main__":
    {"names": write_names, "answer": answer}[sys.argv[1]](Path(sys.argv[2]))
