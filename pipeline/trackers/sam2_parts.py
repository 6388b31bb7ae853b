"""The parts of transformers' `Sam2VideoModel`, each called once for several objects.

The order of sums is that of `_run_single_frame_inference` and `_encode_new_memory` (modeling_sam2_video.py), which are
called for one object after another there. B objects, S pixels a side of the model's picture, C channels, h x w cells of
the coarse grid. Tensors are on the model's device; callers hold `torch.inference_mode`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipeline.sam2_encoder import lighten
from pipeline.trackers.sam2_recall import Recall
from pipeline.trackers.sam2_state import Aged

NO_OBJECT = -1024.0  # NO_OBJ_SCORE of modeling_sam2_video.py: the logits of a mask that is not there
MARKED, UNMARKED = 10.0, -10.0  # out_scale and out_bias of `_use_mask_as_output`: logits of a mask that is given


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What the model sees in a frame, whatever the objects are.

    `fine` are maps (1, C', h', w'), the finest first; `coarse` is (1, h x w, C), `begun` the same for `Recall.told`,
    `projected` (1, C, h, w) what memory takes of it.
    """

    fine: list[Any]
    coarse: Any
    begun: Any
    projected: Any


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What the model says of B objects: logits (B, h', w'), and (B,), (B,), pointers (B, C).

    `wide` are logits (B, 1, S, S) of masks that were given; None where they are `logits`, widened.
    """

    logits: Any
    wide: Any
    presence: Any
    iou: Any
    pointers: Any


class Parts:
    """A model taken apart, and what of it is the same in every frame."""

    def __init__(self, model: Any) -> None:
        import torch

        self.model, config = model, model.config
        self.side: int = config.image_size
        self.grid_hw: tuple[int, int] = tuple(model.backbone_feature_sizes[-1])
        self.like = model.no_memory_embedding
        shapes = ((1, config.vision_config.fpn_hidden_size, *self.grid_hw), (1, model.mem_dim, *self.grid_hw))
        encodings = model.vision_encoder.neck.position_encoding, model.memory_encoder.position_encoding
        with torch.inference_mode():
            self.places, self.memory_places = (
                type(encoding).forward(encoding, shape, self.like.device, self.like.dtype).flatten(2).transpose(1, 2)
                for encoding, shape in zip(encodings, shapes, strict=True)
            )
            self.picture_places = model.get_image_wide_positional_embeddings()
        self.recall = Recall(model)
        lighten(model.vision_encoder)

    def see(self, values: Any) -> Seen:
        """Look at a frame: (1, 3, S, S), scaled."""
        seen = self.model.get_image_features(values.to(self.like.dtype), return_dict=True).fpn_hidden_states
        sizes = self.model.backbone_feature_sizes
        maps = [level.permute(1, 2, 0).reshape(1, -1, *hw) for level, hw in zip(seen, sizes, strict=True)]
        coarse = seen[-1].transpose(0, 1)
        begun = self.recall.begun(coarse + 0.1 * self.places)
        return Seen(maps[:-1], coarse, begun, self.model.memory_encoder.feature_projection(maps[-1]))

    def marked(self, seen: Seen, points: Any, labels: Any) -> Found:
        """Find what points mark: (B, 1, P, 2) in the model's pixels, (B, 1, P): 1 on it, 0 off, 2 and 3 box corners."""
        config = self.model.config
        fewest, most = config.multimask_min_pt_num, config.multimask_max_pt_num
        multimask = config.multimask_output_in_sam and fewest <= labels.shape[-1] <= most
        coarse = self._grid((seen.coarse + self.model.no_memory_embedding).expand(len(points), -1, -1))
        return self._decoded(seen, coarse, points, labels, None, multimask)

    def given(self, seen: Seen, masks: Any) -> Found:
        """Take masks (B, 1, S, S) of zeros and ones as they are."""
        import torch
        from torch.nn import functional

        wide = masks * (MARKED - UNMARKED) + UNMARKED
        size = self.model.prompt_encoder.mask_input_size
        logits = functional.interpolate(wide.float(), size, mode="bilinear", align_corners=False, antialias=True)
        coarse = self._grid(seen.coarse.expand(len(masks), -1, -1))
        guess = self.model.mask_downsample(masks.to(self.like.dtype))
        said = self._decoded(seen, coarse, *self._no_points(len(masks)), guess, True)
        there = masks.flatten(1).any(dim=1)
        pointers = torch.where(there[:, None], said.pointers, self.model.no_object_pointer)
        presence = torch.where(there, MARKED, UNMARKED).to(self.like.dtype)
        return Found(logits[:, 0].to(self.like.dtype), wide, presence, torch.ones_like(presence), pointers)

    def followed(self, seen: Seen, memories: Sequence[Aged], pointers: Sequence[Aged], span: int) -> Found:
        """Find objects by what is remembered of them: as many maps for each, and as many pointers."""
        config = self.model.config
        multimask = config.multimask_output_in_sam and config.multimask_output_for_tracking
        multimask = multimask and config.multimask_min_pt_num == 0
        coarse = self._recalled(seen, memories, pointers, span)
        return self._decoded(seen, coarse, *self._no_points(len(memories)), None, multimask)

    def without(self, found: Found, gone: Any) -> Found:
        """What is said of B objects without some cells of their masks, (B, h', w') bool; without any, they are lost."""
        import torch

        logits = torch.where(gone, -found.logits.abs(), found.logits)
        there = (found.presence <= 0) | (logits > 0).flatten(1).any(dim=1)
        presence = torch.where(there, found.presence, UNMARKED).to(found.presence.dtype)
        pointers = torch.where(there[:, None], found.pointers, self.model.no_object_pointer)
        return replace(found, logits=logits, wide=None, presence=presence, pointers=pointers)

    def remembered(self, seen: Seen, found: Found, given: bool) -> Any:
        """The maps to keep of B objects: (B, h x w, 64) bfloat16; masks of a `given` frame are sure of every pixel.

        transformers makes them sure for all objects of a frame where one was given (`is_mask_from_pts` is `any` of
        them); here an object's memory is its own.
        """
        import torch

        encoder, config = self.model.memory_encoder, self.model.config
        wide = self._widened(found.logits) if found.wide is None else found.wide
        sure = (wide > 0).to(wide.dtype) if given else torch.sigmoid(wide)
        masks = sure * config.sigmoid_scale_for_mem_enc + config.sigmoid_bias_for_mem_enc
        maps = encoder.projection(encoder.memory_fuser(seen.projected + encoder.mask_downsampler(masks)))
        hidden = self.model.occlusion_spatial_embedding_parameter
        if hidden is not None:
            maps = maps + (found.presence <= 0).to(maps.dtype)[:, None, None, None] * hidden[..., None, None]
        return maps.to(torch.bfloat16).flatten(2).transpose(1, 2)

    def _recalled(self, seen: Seen, memories: Sequence[Aged], pointers: Sequence[Aged], span: int) -> Any:
        """Tell the coarse map of B objects what is remembered of them: -> (B, C, h, w)."""
        import torch

        kept, kept_codes = self._memory_tokens(memories)
        pointed, pointed_codes = self._pointer_tokens(pointers, span)
        memory = torch.cat([kept.to(pointed.dtype), pointed], dim=1)
        codes = torch.cat([kept_codes, pointed_codes], dim=1)
        return self._grid(self.recall.told(seen.begun, memory, codes, pointed.shape[1]))

    def _memory_tokens(self, rows: Sequence[Aged]) -> tuple[Any, Any]:
        """Maps of B objects and their places in space and time: (B, M x h x w, 64) twice."""
        import torch

        kept: list[Any] = [entry.memory for row in rows for _, entry in row]
        maps = torch.stack(kept)
        ages = torch.tensor([[age for age, _ in row] for row in rows], device=maps.device)
        in_time = self.model.memory_temporal_positional_encoding[ages - 1][:, :, :, 0]  # age 0 takes the last
        codes = self.memory_places + in_time
        return maps.view(len(rows), -1, maps.shape[-1]), codes.flatten(1, 2)

    def _pointer_tokens(self, rows: Sequence[Aged], span: int) -> tuple[Any, Any]:
        """Pointers of B objects, cut to the width of maps, and their places in time: (B, P x C / 64, 64) twice."""
        import torch
        from transformers.models.sam2_video import modeling_sam2_video as theirs

        pointers, width = torch.stack([entry.pointer for row in rows for _, entry in row]), self.model.mem_dim
        tokens = pointers.view(len(rows), -1, width)
        if not self.model.config.enable_temporal_pos_encoding_for_object_pointers:
            return tokens, torch.zeros_like(tokens)
        ages = torch.tensor([[age for age, _ in row] for row in rows], device=pointers.device, dtype=torch.float32)
        sine_pe: Any = theirs.get_1d_sine_pe
        sines = sine_pe(ages / float(span), dim=pointers.shape[-1]).to(pointers.dtype)
        codes = self.model.temporal_positional_encoding_projection_layer(sines)
        return tokens, codes.repeat_interleave(pointers.shape[-1] // width, dim=1)

    def _no_points(self, n: int) -> tuple[Any, Any]:
        """What the model is told where there is no prompt: points (n, 1, 1, 2) that are none, labels (n, 1, 1)."""
        import torch

        points = torch.zeros(n, 1, 1, 2, device=self.like.device)
        return points, -torch.ones(n, 1, 1, dtype=torch.int32, device=self.like.device)

    def _decoded(self, seen: Seen, coarse: Any, points: Any, labels: Any, guess: Any, multimask: bool) -> Found:
        """Ask the decoder about B objects, and take the best of three masks with `multimask`."""
        import torch

        n = len(coarse)
        sparse, dense = self.model.prompt_encoder(points, labels, None, guess)
        masks, ious, tokens, presence = self.model.mask_decoder(
            image_embeddings=coarse,
            image_positional_embeddings=self.picture_places.expand(n, -1, -1, -1),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=multimask,
            high_resolution_features=[level.expand(n, -1, -1, -1) for level in seen.fine],
        )
        best, rows = ious[:, 0].argmax(dim=-1), torch.arange(n, device=coarse.device)
        there = presence[:, 0] > 0
        logits = torch.where(there[..., None], masks[rows, 0, best], NO_OBJECT)
        own = self.model.object_pointer_proj(tokens[rows, 0, best])
        pointers = torch.where(there, own, self.model.no_object_pointer)
        return Found(logits, None, presence[:, 0, 0], ious[rows, 0, best], pointers)

    def _widened(self, logits: Any) -> Any:
        """Logits at the size of the model's picture: (B, h', w') -> (B, 1, S, S)."""
        from torch.nn import functional

        maps = logits[:, None].float()
        wide = functional.interpolate(maps, (self.side, self.side), mode="bilinear", align_corners=False)
        return wide.to(logits.dtype)

    def _grid(self, cells: Any) -> Any:
        """(B, h x w, C) -> (B, C, h, w)."""
        return cells.transpose(1, 2).reshape(len(cells), -1, *self.grid_hw)
