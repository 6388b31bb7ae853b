"""One step of a film for SAM 2: what it remembers of earlier frames, with gradients.

The same parts of transformers' model in the same order as `_run_single_frame_inference` and `_batch_encode_memories`
(modeling_sam2_video.py), for N objects at once, each with a clip of its own.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from transformers import Sam2VideoModel

from training.sam2_model import GRID, IMAGE_PX, WIDTH, Answer, Features, decode, prompted

NO_OBJECT = -1024.0
FILM_FRAMES = 16
"""Pointers carry their age as a share of this many frames, as in every film that is not shorter."""


@dataclass
class Memory:
    """What is known of N objects from earlier frames: frame -> memory, place codes and pointers."""

    kept: dict[int, dict[str, Tensor]] = field(default_factory=dict)

    def recalled(self, model: Sam2VideoModel, seen: Features, now: int) -> Tensor:
        """Tell the coarse features of frame `now` what is remembered: (N, 128, 12, 12)."""
        latest = range(max(1, now - model.num_maskmem + 1), now)
        ages = [(0, self.kept[0]), *((now - frame, self.kept[frame]) for frame in latest)]
        memories, places = model._build_memory_attention_inputs(ages, seen.coarse.device)
        frames = [0, *range(now - 1, max(0, now - FILM_FRAMES), -1)]
        pointers, codes = model._process_object_pointers(
            [now - frame for frame in frames],
            [self.kept[frame]["object_pointer"] for frame in frames],
            FILM_FRAMES,
            len(seen.coarse),
            WIDTH,
            seen.coarse.device,
        )
        told = model.memory_attention(
            current_vision_features=flat(seen.coarse),
            current_vision_position_embeddings=seen.places,
            memory=torch.cat([*memories, pointers]).float(),
            memory_posision_embeddings=torch.cat([*places, codes]),
            num_object_pointer_tokens=len(pointers),
        )
        return told.reshape(len(seen.coarse), GRID * GRID, WIDTH).transpose(1, 2).reshape(seen.coarse.shape)

    def keep(
        self, model: Sam2VideoModel, now: int, seen: Features, masks: Tensor, there: Tensor, token: Tensor
    ) -> None:
        """Remember a frame: masks (N, 1, 192, 192) as logits, (N, 1, 1) logits, tokens (N, 1, 128)."""
        features, places = model._encode_new_memory(flat(seen.coarse), masks, there, is_mask_from_pts=now == 0)
        shown = (there > 0).float()
        pointer = shown * model.object_pointer_proj(token) + (1 - shown) * model.no_object_pointer
        self.kept[now] = {
            "maskmem_features": features,
            "maskmem_pos_enc": places,
            "object_pointer": pointer[:, 0],
        }


def flat(coarse: Tensor) -> Tensor:
    """(N, 128, 12, 12) -> (144, N, 128)."""
    return coarse.flatten(2).permute(2, 0, 1)


def first(model: Sam2VideoModel, memory: Memory, seen: Features, boxes: Tensor) -> Answer:
    """Answer boxes (N, 4) on the first frame, and remember it."""
    coarse = seen.coarse + model.no_memory_embedding.reshape(1, WIDTH, 1, 1)
    answer = decode(model, seen.fine, coarse, *prompted(model, boxes=boxes))
    chosen = torch.zeros(len(boxes), dtype=torch.long, device=boxes.device)
    remember(model, memory, 0, seen, answer, chosen)
    return answer


def first_masked(model: Sam2VideoModel, memory: Memory, seen: Features, masks: Tensor) -> None:
    """Take masks (N, 192, 192) of the first frame as they are, and remember them."""
    answer = decode(model, seen.fine, seen.coarse, *prompted(model, logits=model.mask_downsample(masks[:, None])[:, 0]))
    token = answer.tokens[torch.arange(len(masks)), 1 + answer.ious[:, 1:].argmax(1)][:, None]
    there = torch.full((len(masks), 1, 1), 10.0, device=masks.device)
    memory.keep(model, 0, seen, masks[:, None] * 20 - 10, there, token)


def follow(model: Sam2VideoModel, memory: Memory, seen: Features, now: int) -> Answer:
    """Find the objects in a later frame with no prompt, and remember it."""
    nothing = torch.zeros(len(seen.coarse), 1, 2, device=seen.coarse.device)
    no_point = -torch.ones(len(nothing), 1, dtype=torch.int, device=nothing.device)
    coarse = memory.recalled(model, seen, now)
    answer = decode(model, seen.fine, coarse, *prompted(model, points=nothing, labels=no_point))
    remember(model, memory, now, seen, answer, 1 + answer.ious[:, 1:].argmax(1))
    return answer


def remember(model: Sam2VideoModel, memory: Memory, now: int, seen: Features, answer: Answer, chosen: Tensor) -> None:
    """Keep the chosen mask of each object; of what is not there, that it is not."""
    rows = torch.arange(len(chosen), device=chosen.device)
    there = answer.there[:, None, None]
    masks = torch.where(there > 0, answer.masks[rows, chosen], NO_OBJECT)[:, None]
    wide = F.interpolate(masks.float(), (IMAGE_PX, IMAGE_PX), mode="bilinear", align_corners=False)
    memory.keep(model, now, seen, wide, there, answer.tokens[rows, chosen][:, None])
