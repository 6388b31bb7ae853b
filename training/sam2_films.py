"""Following things through a film with transformers' own loop, and how well that goes."""

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812
from transformers import Sam2VideoModel
from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

from pipeline import masks
from pipeline.records import Instances
from pipeline.toyworld.films import Film
from training.sam2_batch import scaled
from training.sam2_model import IMAGE_PX, MEAN, STD


def session_of(model: Sam2VideoModel, film: Film) -> Sam2VideoInferenceSession:
    """Open a film with the true boxes of its first frame as prompts; numbers are those of the truth."""
    h, w = film.found[0].size_hw
    rgb = torch.from_numpy(film.rgb).permute(0, 3, 1, 2).float()
    pixels = (scaled(rgb, IMAGE_PX) / 255 - MEAN) / STD
    session = Sam2VideoInferenceSession(pixels, h, w, model.device, model.device, model.device, torch.float32)
    start = film.found[0]
    for row in np.flatnonzero(start.visible):  # type: ignore[arg-type]
        box = torch.from_numpy(start.boxes_xyxy[row].copy()) * (IMAGE_PX / torch.tensor([w, h, w, h]))
        track = int(start.track_ids[row])  # type: ignore[index]
        prompt = {"point_coords": box.view(1, 1, 2, 2), "point_labels": torch.tensor([[[2, 3]]], dtype=torch.int)}
        session.add_point_inputs(session.obj_id_to_idx(track), 0, prompt)
        session.obj_with_new_inputs.append(track)
    return session


def followed(model: Sam2VideoModel, film: Film) -> list[float]:
    """Follow all that is in sight at first: the IoU (J) of each in each frame but the first; rightly none is 1."""
    fits: list[float] = []
    for told in model.propagate_in_video_iterator(session_of(model, film), start_frame_idx=0):
        size_hw = film.found[told.frame_idx].size_hw
        wide = F.interpolate(told.pred_masks.float(), size_hw, mode="bilinear", align_corners=False)[:, 0] > 0
        if told.frame_idx:
            for track, found in zip(told.object_ids, wide.cpu().numpy(), strict=True):
                fits.append(overlap(found, true_mask(film.found[told.frame_idx], track)))
    return fits


def true_mask(found: Instances, track: int) -> np.ndarray:
    """Take the mask of an identity; empty where it is not in sight, or of another scene."""
    for row in np.flatnonzero((found.track_ids == track) & found.visible):
        return masks.decode((found.masks or ())[row] or masks.NOTHING, found.size_hw)
    return np.zeros(found.size_hw, bool)


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """IoU of two masks; two empty ones agree (DAVIS, `db_eval_iou`)."""
    either = (one | other).sum()
    return float((one & other).sum() / either) if either else 1.0
