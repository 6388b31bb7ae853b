"""Meta's SAM 2 and 2.1 as transformers has them: the names of weights, and the settings that go with a size.

Sizes and settings are those of sam2/configs/*/*.yaml of github.com/facebookresearch/sam2; only what differs from
transformers' `Sam2VideoConfig` is written. Knows names and shapes; opens no file.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

NEW_IN_2_1 = "no_obj_embed_spatial"
"""A weight that SAM 2 has not: what is added to the memory of an object that is not in sight."""

CORNERS = 4
"""A point off the object, one on it, and the two corners of a box: rows of one weight in transformers."""

PLACES = "shared_image_embedding.positional_embedding"
"""The same as the prompt encoder's: transformers keeps it twice."""


class Hiera(NamedTuple):
    """The picture encoder of a size, which is told by its width and by how many blocks it has."""

    width: int
    heads: int
    blocks: tuple[int, ...]
    whole: tuple[int, ...]
    """The blocks that look at the whole picture, not at windows."""
    windows: tuple[int, ...] = (8, 4, 14, 7)
    places: int = 7
    """Side of the grid of places that is stretched over the picture."""


SIZES = {
    "tiny": Hiera(96, 1, (1, 2, 7, 2), (5, 7, 9)),
    "small": Hiera(96, 1, (1, 2, 11, 2), (7, 10, 13)),
    "base_plus": Hiera(112, 2, (2, 3, 16, 3), (12, 16, 20), places=14),
    "large": Hiera(144, 2, (2, 6, 36, 4), (23, 33, 43), (8, 4, 16, 8)),
}

RENAMES = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (r"^sam_(prompt_encoder|mask_decoder)\.", r"\1."),
        (r"^image_encoder\.trunk\.", "vision_encoder.backbone."),
        (r"^image_encoder\.neck\.convs\.(\d+)\.conv\.", r"vision_encoder.neck.convs.\1."),
        (r"^no_mem_embed$", "no_memory_embedding"),
        (r"^no_mem_pos_enc$", "no_memory_positional_encoding"),
        (r"^no_obj_ptr$", "no_object_pointer"),
        (rf"^{NEW_IN_2_1}$", "occlusion_spatial_embedding_parameter"),
        (r"^maskmem_tpos_enc$", "memory_temporal_positional_encoding"),
        (r"^obj_ptr_tpos_proj\.", "temporal_positional_encoding_projection_layer."),
        (r"^obj_ptr_proj\.", "object_pointer_proj."),
        (r"^memory_encoder\.out_proj\.", "memory_encoder.projection."),
        (r"^memory_encoder\.pix_feat_proj\.", "memory_encoder.feature_projection."),
        (r"^memory_encoder\.fuser\.", "memory_encoder.memory_fuser."),
        (r"\.dwconv\.", ".depthwise_conv."),
        (r"\.pwconv(\d)\.", r".pointwise_conv\1."),
        (r"\.gamma$", ".scale"),
        *((rf"_downsampler\.encoder\.{3 * n}\.", f"_downsampler.layers.{n}.conv.") for n in range(4)),
        *((rf"_downsampler\.encoder\.{3 * n + 1}\.", f"_downsampler.layers.{n}.layer_norm.") for n in range(4)),
        (r"_downsampler\.encoder\.12\.", "_downsampler.final_conv."),
        (r"\.patch_embed\.proj\.", ".patch_embed.projection."),
        (r"\.pe_layer\.positional_encoding_gaussian_matrix$", ".shared_embedding.positional_embedding"),
        *((rf"\.mask_downscaling\.{3 * n}\.", f".mask_embed.conv{n + 1}.") for n in range(3)),
        *((rf"\.mask_downscaling\.{3 * n + 1}\.", f".mask_embed.layer_norm{n + 1}.") for n in range(2)),
        (r"\.output_upscaling\.0\.", ".upscale_conv1."),
        (r"\.output_upscaling\.1\.", ".upscale_layer_norm."),
        (r"\.output_upscaling\.3\.", ".upscale_conv2."),
        (r"\.mlp\.layers\.0\.", ".mlp.proj_in."),
        (r"\.mlp\.layers\.1\.", ".mlp.proj_out."),
        (r"(_mlps\.\d|_head|pointer_proj)\.layers\.0\.", r"\1.proj_in."),
        (r"(_mlps\.\d|_head|pointer_proj)\.layers\.2\.", r"\1.proj_out."),
        (r"(_mlps\.\d|_head|pointer_proj)\.layers\.1\.", r"\1.layers.0."),
        (r"\.norm(\d|_final_attn|)\.", r".layer_norm\1."),
        (r"\.out_proj\.", ".o_proj."),
    )
)
"""A pattern in Meta's name of a weight and what stands there in transformers', one after another."""


def size_of(weights: Mapping[str, Any]) -> str | None:
    """Which of the four sizes weights under Meta's names are; None if they are no SAM 2's."""
    width = weights.get("image_encoder.trunk.patch_embed.proj.bias")
    blocks = {name.split(".")[3] for name in weights if name.startswith("image_encoder.trunk.blocks.")}
    if width is None:
        return None
    known = {(hiera.width, sum(hiera.blocks)): size for size, hiera in SIZES.items()}
    return known.get((len(width), len(blocks)))


def renamed(name: str) -> str:
    """Meta's name of a weight as transformers has it.

    >>> renamed("sam_mask_decoder.output_hypernetworks_mlps.3.layers.1.bias")
    'mask_decoder.output_hypernetworks_mlps.3.layers.0.bias'
    """
    for pattern, other in RENAMES:
        name = pattern.sub(other, name)
    return name


def converted(weights: Mapping[str, Any]) -> dict[str, Any]:
    """Weights under transformers' names; what it keeps in one, or keeps twice, is joined or copied."""
    import torch

    out = {renamed(name): weight for name, weight in weights.items()}
    corners = [name for name in _corners() if name in out]
    if len(corners) == CORNERS:
        out["prompt_encoder.point_embed.weight"] = torch.cat([out.pop(name) for name in corners])
    places = out.get("prompt_encoder.shared_embedding.positional_embedding")
    if places is not None:
        out[PLACES] = places.clone()
    return out


def _corners() -> Iterator[str]:
    return (f"prompt_encoder.point_embeddings.{n}.weight" for n in range(CORNERS))


def config(size: str, is_2_1: bool) -> dict[str, Any]:
    """What config.json says of a size, in SAM 2 or 2.1."""
    hiera = SIZES[size]
    widths, heads = ([least * 2**stage for stage in range(4)] for least in (hiera.width, hiera.heads))
    backbone = {
        "model_type": "sam2_hiera_det_model",
        "hidden_size": hiera.width,
        "num_attention_heads": hiera.heads,
        "blocks_per_stage": list(hiera.blocks),
        "embed_dim_per_stage": widths,
        "num_attention_heads_per_stage": heads,
        "window_size_per_stage": list(hiera.windows),
        "global_attention_blocks": list(hiera.whole),
        "window_positional_embedding_background_size": [hiera.places] * 2,
    }
    return {
        "architectures": ["Sam2VideoModel"],
        "model_type": "sam2_video",
        "dtype": "float32",
        "vision_config": {
            "model_type": "sam2_vision_model",
            "backbone_config": backbone,
            "backbone_channel_list": widths[::-1],
        },
        "enable_occlusion_spatial_embedding": is_2_1,
        "enable_temporal_pos_encoding_for_object_pointers": is_2_1,
    }


PREPROCESSOR = {
    "image_processor_type": "Sam2ImageProcessor",
    "processor_class": "Sam2VideoProcessor",
    "do_convert_rgb": True,
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
    "mask_size": {"height": 256, "width": 256},
    "resample": 2,
    "rescale_factor": 1 / 255,
    "size": {"height": 1024, "width": 1024},
}
"""What preprocessor_config.json says: SAM2Transforms of sam2/utils/transforms.py."""
