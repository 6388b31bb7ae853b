"""Films that a random SAM 2 can tell apart, and transformers' own loop over them: what ours is held against."""

import types
from dataclasses import dataclass

import numpy as np

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def drifting(frames, size_hw=(96, 128), seed=0):
    """Patches of colour that drift over others: (T, H, W, 3) uint8."""
    h, w = size_hw
    dice = np.random.default_rng(seed)
    behind = dice.integers(0, 256, (h // 8 + 1, w // 8 + 1, 3), np.uint8).repeat(8, 0).repeat(8, 1)[:h, :w]
    shown = np.stack([np.roll(behind, t, axis=1) for t in range(frames)])
    for number in range(3):
        patch = dice.integers(0, 256, (h // 4 // 3 + 1, w // 5 // 3 + 1, 3), np.uint8).repeat(3, 0).repeat(3, 1)
        (y, x), (down, across) = dice.integers(0, (h // 2, w // 2)), dice.integers(-2, 4, 2)
        for t in range(frames):
            rows = (np.arange(patch.shape[0]) + y + t * down) % h
            shown[t][np.ix_(rows, (np.arange(patch.shape[1]) + x + t * across + number) % w)] = patch
    return shown


def followed(follower, rgb, seeds, backward=False, between=lambda state: state):
    """Our answers, frame by frame: {frame: {number: Answer}}; what comes between frames may touch the state."""
    state, said = follower.begin(rgb.shape[1:3], len(rgb), backward), {}
    for frame in range(max(seeds), -1, -1) if backward else range(min(seeds), len(rgb)):
        state, said[frame] = follower.step(between(state), frame, follower.see(rgb[frame]), seeds.get(frame, {}))
    return said


@dataclass
class Said:
    """What a model says of an object on a frame: logits (h, w), the object score."""

    logits: np.ndarray
    presence: float


def memory_of_each_object(model):
    """Let the reference take `is_mask_from_pts` per object.

    In `_batch_encode_memories` it says `is_mask_from_pts=any(is_mask_from_pts_per_obj)`: when one object is prompted
    on a frame, the memory masks of all are binarised, also of those that were followed.
    """
    plain = model._batch_encode_memories

    def one_by_one(self, inference_session, frame_idx, **each):
        for row in range(len(each["objects_needing_memory_encoding"])):
            plain(inference_session, frame_idx, **{name: some[row : row + 1] for name, some in each.items()})

    model._batch_encode_memories = types.MethodType(one_by_one, model)
    return model


class Reference:
    """`propagate_in_video_iterator` as its documentation drives it, but for the processor, which wants torchvision."""

    def __init__(self, model):
        self.model, self.side = model, model.config.image_size

    def session(self, rgb):
        import torch
        from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

        planes = torch.from_numpy(rgb.transpose(0, 3, 1, 2).copy())
        square = torch.nn.functional.interpolate(planes, (self.side, self.side), mode="bilinear", antialias=True)
        mean, std = (torch.tensor(each)[:, None, None] * 255 for each in (MEAN, STD))  # to the bit as their processor
        return Sam2VideoInferenceSession((square - mean) / std, *rgb.shape[1:3], dtype=torch.float32)

    def mark(self, session, frame, number, seed):
        """Add a seed as `process_new_points_or_boxes_for_video_frame` and `process_new_mask_for_video_frame` do."""
        import torch

        row = session.obj_id_to_idx(number)
        if seed.mask is not None:
            wide = torch.from_numpy(seed.mask)[None, None].float()
            size = (self.side, self.side)
            wide = torch.nn.functional.interpolate(wide, size, mode="bilinear", align_corners=False, antialias=True)
            session.add_mask_inputs(row, frame, (wide >= 0.5).float())
        else:
            scale = self.side / np.array([session.video_width, session.video_height])
            box = np.zeros((0, 2)) if seed.box_xyxy is None else seed.box_xyxy.reshape(2, 2)
            points = np.zeros((0, 3)) if seed.points is None else seed.points
            coords = np.concatenate([box, points[:, :2]]) * scale
            labels = [2, 3][: len(box)] + [int(sign > 0) for sign in points[:, 2]]
            inputs = {
                "point_coords": torch.tensor(coords[None, None], dtype=torch.float32),
                "point_labels": torch.tensor([[labels]], dtype=torch.int32),
            }
            session.add_point_inputs(row, frame, inputs)
        session.obj_with_new_inputs.append(number)

    def follow(self, rgb, seeds, backward=False):
        """Seeds by frame and number: {frame: {number: Said}}."""
        return {out.frame_idx: self.said(out) for out in self.steps(rgb, seeds, backward)}

    def said(self, out):
        logits, scores = out.pred_masks[:, 0].numpy(), out.object_score_logits.reshape(-1).tolist()
        return {number: Said(*each) for number, *each in zip(out.object_ids, logits, scores, strict=True)}

    def steps(self, rgb, seeds, backward=False):
        """What the loop yields, frame by frame; each seed is told when the loop comes to its frame."""
        session, marked = self.session(rgb), sorted(seeds, reverse=backward)
        last = 0 if backward else len(rgb) - 1
        for start, following in zip(marked, [*marked[1:], None], strict=True):
            for number, seed in seeds[start].items():
                self.mark(session, start, number, seed)
            end = last if following is None else following + (1 if backward else -1)
            yield from self.model.propagate_in_video_iterator(session, start, abs(end - start), reverse=backward)
