"""The tiny SAM 2: its sizes, and the parts of transformers' model that gradients pass through."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from transformers import (
    Sam2HieraDetConfig,
    Sam2VideoConfig,
    Sam2VideoMaskDecoderConfig,
    Sam2VideoModel,
    Sam2VideoPromptEncoderConfig,
    Sam2VisionConfig,
)

IMAGE_PX = 192
GRID = IMAGE_PX // 16
MASK_PX = IMAGE_PX // 4
WIDTH = 128
"""The narrowest that transformers' video loop runs with: pointers are cut into memories of 64."""

MEAN = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)


def config() -> Sam2VideoConfig:
    """Choose the sizes: 2.5 million weights; drop-out would only disturb so small a model."""
    backbone = Sam2HieraDetConfig(
        hidden_size=32,
        num_attention_heads=1,
        image_size=[IMAGE_PX, IMAGE_PX],
        blocks_per_stage=[2, 2, 3, 1],
        embed_dim_per_stage=[32, 64, 128, 192],
        num_attention_heads_per_stage=[1, 2, 4, 6],
        window_size_per_stage=[8, 8, 6, 6],
        window_positional_embedding_background_size=[6, 6],
        global_attention_blocks=[5, 6],
    )
    vision = Sam2VisionConfig(
        backbone_config=backbone,
        backbone_channel_list=[192, 128, 64, 32],
        backbone_feature_sizes=[[MASK_PX, MASK_PX], [MASK_PX // 2, MASK_PX // 2], [GRID, GRID]],
        fpn_hidden_size=WIDTH,
    )
    decoder = Sam2VideoMaskDecoderConfig(
        hidden_size=WIDTH, mlp_dim=256, num_attention_heads=4, iou_head_hidden_dim=WIDTH
    )
    return Sam2VideoConfig(
        vision_config=vision,
        prompt_encoder_config=Sam2VideoPromptEncoderConfig(hidden_size=WIDTH, image_size=IMAGE_PX),
        mask_decoder_config=decoder,
        image_size=IMAGE_PX,
        memory_attention_hidden_size=WIDTH,
        memory_attention_num_layers=2,
        memory_attention_feed_forward_hidden_size=256,
        memory_attention_dropout=0.0,
        memory_attention_rope_dropout=0.0,
        memory_attention_rope_feat_sizes=[GRID, GRID],
        memory_encoder_hidden_size=WIDTH,
        memory_encoder_output_channels=64,
        mask_downsampler_embed_dim=WIDTH,
        memory_fuser_embed_dim=WIDTH,
        memory_fuser_intermediate_dim=256,
    )


def fresh(seed: int = 0) -> Sam2VideoModel:
    """Make an untrained model that can learn soon what a prompt is: a place in the picture.

    Prompts and picture share one code of places: transformers draws two of the same name. All but the backbone begins
    as torch begins, as transformers' spread of 0.02 is too faint for so narrow a model; and where tokens and picture
    look at each other, a place first of all finds itself.
    """
    torch.manual_seed(seed)
    model = Sam2VideoModel(config())
    model.prompt_encoder.shared_embedding.positional_embedding.data.copy_(
        model.shared_image_embedding.positional_embedding
    )
    for part in (model.mask_decoder, model.memory_attention, model.memory_encoder, model.object_pointer_proj):
        for layer in part.modules():
            if isinstance(layer, torch.nn.Linear | torch.nn.Conv2d | torch.nn.ConvTranspose2d):
                layer.reset_parameters()
    transformer = model.mask_decoder.transformer
    meetings = [transformer.final_attn_token_to_image]
    for layer in transformer.layers:
        meetings += [layer.cross_attn_token_to_image, layer.cross_attn_image_to_token]
    for meeting in meetings:
        torch.nn.init.orthogonal_(meeting.q_proj.weight)
        meeting.k_proj.weight.data.copy_(meeting.q_proj.weight)
    return model


@dataclass(frozen=True)
class Features:
    """What the encoder sees in N pictures, and the code of places of its coarse grid.

    fine      (N, 16, 48, 48) and (N, 32, 24, 24), as the decoder takes them
    coarse    (N, 128, 12, 12), without a word on memory
    raw_fine  (N, 128, 48, 48), before the decoder narrows it
    places    (144, 1, 128), alike for all
    """

    fine: list[Tensor]
    coarse: Tensor
    raw_fine: Tensor
    places: Tensor

    def of(self, rows: Tensor) -> "Features":
        """Take some pictures, in some order, some of them often."""
        return replace(self, fine=[level[rows] for level in self.fine], coarse=self.coarse[rows])


def see(model: Sam2VideoModel, pixels: Tensor) -> Features:
    """Encode pictures: (N, 3, 192, 192)."""
    return featured(model, model.vision_encoder(pixels, return_dict=True))


def featured(model: Sam2VideoModel, seen: Any) -> Features:
    """Take what the decoder wants from what the encoder says."""
    levels, decoder = seen.fpn_hidden_states, model.mask_decoder
    places = seen.fpn_position_encoding[2][:1].flatten(2).permute(2, 0, 1)
    return Features([decoder.conv_s0(levels[0]), decoder.conv_s1(levels[1])], levels[2], levels[0], places)


@dataclass(frozen=True)
class Answer:
    """What the decoder says of N prompts: the first mask is the one for clear prompts, three are for doubtful ones.

    masks   (N, 4, 48, 48) logits
    ious    (N, 4) how well it thinks they fit
    there   (N,) logits of: the object is there at all
    tokens  (N, 4, 128) what pointers are made of
    """

    masks: Tensor
    ious: Tensor
    there: Tensor
    tokens: Tensor


def decode(model: Sam2VideoModel, fine: list[Tensor], coarse: Tensor, sparse: Tensor, dense: Tensor) -> Answer:
    """Answer one prompt a picture with all four masks: `coarse` has been told of memory, or of none."""
    decoder = model.mask_decoder
    kept: list[Tensor] = []
    places = model.get_image_wide_positional_embeddings().expand(len(coarse), -1, -1, -1)
    hook = decoder.transformer.register_forward_hook(lambda _module, _given, said: kept.append(said[0]))
    choose, decoder._dynamic_multimask_via_stability = decoder._dynamic_multimask_via_stability, lambda *all_: all_
    training = decoder.training
    decoder.eval()  # where it would choose among its masks, it is asked for all of them
    try:
        masks, ious, _, there = decoder(coarse, places, sparse, dense, False, fine)
    finally:
        decoder.train(training)
        decoder._dynamic_multimask_via_stability = choose
        hook.remove()
    count = decoder.num_mask_tokens
    return Answer(masks[:, 0], ious[:, 0], there[:, 0, 0], kept[0][:, 0, 2 : 2 + count])


def prompted(
    model: Sam2VideoModel,
    points: Tensor | None = None,
    labels: Tensor | None = None,
    boxes: Tensor | None = None,
    logits: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Encode prompts of N pictures: (N, K, 2) pixels, (N, K), (N, 4) pixels, (N, 48, 48)."""
    many = next(len(one) for one in (points, boxes, logits) if one is not None)
    if points is None and boxes is None:  # as transformers does where there are none: one that is no point
        device = model.device
        points, labels = torch.zeros(many, 1, 2, device=device), -torch.ones(many, 1, dtype=torch.int, device=device)
    sparse, dense = model.prompt_encoder(
        points[:, None] if points is not None else None,
        labels[:, None] if labels is not None else None,
        boxes[:, None] if boxes is not None else None,
        logits[:, None] if logits is not None else None,
    )
    return sparse, dense.expand(many, -1, -1, -1)
