"""SAM 2.1 checkpoints of random weights, saved from the video model as the released ones are."""

import json
from pathlib import Path
from typing import Any

IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}

# Hiera of the released models (configs/sam2.1/*.yaml of facebookresearch/sam2) and one for tests.
BACKBONES: dict[str, dict[str, Any]] = {
    "tiny": {"width": 96, "heads": 1, "blocks": [1, 2, 7, 2], "global": [5, 7, 9]},
    "hiera_small": {"width": 96, "heads": 1, "blocks": [1, 2, 11, 2], "global": [7, 10, 13]},
    "base_plus": {"width": 112, "heads": 2, "blocks": [2, 3, 16, 3], "global": [12, 16, 20], "background": [14, 14]},
    "large": {"width": 144, "heads": 2, "blocks": [2, 6, 36, 4], "global": [23, 33, 43], "windows": [8, 4, 16, 8]},
    "small": {"width": 16, "heads": 1, "blocks": [1, 1, 2, 1], "global": [3]},
}

GAIN_OF_SMALL = 4.0  # a thin model needs more for logits of the same range


def sam2_config(size: str) -> Any:
    """Give the configuration of one size: tiny, hiera_small, base_plus, large as released, or small for tests."""
    from transformers import Sam2VideoConfig

    side = 256 if size == "small" else 1024
    narrow = _narrow(side) if size == "small" else {}
    return Sam2VideoConfig(
        vision_config=_vision(BACKBONES[size], side, 128 if narrow else 256),
        prompt_encoder_config={"hidden_size": 128, "image_size": side} if narrow else {},
        mask_decoder_config={"hidden_size": 128, "mlp_dim": 128, "iou_head_hidden_dim": 64} if narrow else {},
        **narrow,
    )


def _vision(spec: dict[str, Any], side: int, hidden: int) -> dict[str, Any]:
    widths = [spec["width"] * 2**stage for stage in range(4)]
    backbone = {
        "hidden_size": spec["width"],
        "num_attention_heads": spec["heads"],
        "image_size": [side, side],
        "blocks_per_stage": spec["blocks"],
        "embed_dim_per_stage": widths,
        "num_attention_heads_per_stage": [spec["heads"] * 2**stage for stage in range(4)],
        "window_size_per_stage": spec.get("windows", [8, 4, 14, 7]),
        "global_attention_blocks": spec["global"],
        "window_positional_embedding_background_size": spec.get("background", [7, 7]),
    }
    return {
        "backbone_config": {"model_type": "sam2_hiera_det_model", **backbone},
        "backbone_channel_list": widths[::-1],
        "backbone_feature_sizes": [[side // stride] * 2 for stride in (4, 8, 16)],
        "fpn_hidden_size": hidden,
    }


def _narrow(side: int) -> dict[str, Any]:
    """Give the video part of the small model; memory keeps its 64 channels, as pointers are split by them."""
    return {
        "image_size": side,
        "memory_attention_hidden_size": 128,
        "memory_attention_num_layers": 2,
        "memory_attention_feed_forward_hidden_size": 128,
        "memory_attention_rope_feat_sizes": [side // 16, side // 16],
        "memory_encoder_hidden_size": 128,
        "mask_downsampler_embed_dim": 128,
        "memory_fuser_embed_dim": 128,
        "memory_fuser_intermediate_dim": 128,
    }


def enliven_sam2(model: Any, seed: int, gain: float = 2.0) -> None:
    """Multiply every matrix by the gain and draw what starts at zero (encodings, pointers, scales) from N(0, 0.2).

    Straight from its initialisation the model gives logits between -0.02 and 0.02, where most faults cannot be seen.
    The object score is lifted by one, as an object that is not there has no mask in a film.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith(".bias"):
                continue
            if not weight.any():
                weight.normal_(0, 0.2, generator=generator)
            elif weight.ndim >= 2:
                weight.mul_(gain)
        model.mask_decoder.pred_obj_score_head.proj_out.bias.fill_(1)


def write_sam2_files(folder: Path, side: int) -> None:
    """Write the three processor files of the released models for pictures of (side, side)."""
    still = {
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        **IMAGENET,
        "resample": 2,
        "rescale_factor": 1 / 255,
        "size": {"height": side, "width": side},
    }
    files = {
        "preprocessor_config.json": {
            **still,
            "image_processor_type": "Sam2ImageProcessorFast",
            "mask_size": {"height": side // 4, "width": side // 4},
            "processor_class": "Sam2VideoProcessor",
        },
        "processor_config.json": {
            "point_pad_value": -10,
            "processor_class": "Sam2VideoProcessor",
            "target_size": side,
        },
        "video_preprocessor_config.json": {
            **still,
            "processor_class": "Sam2VideoProcessor",
            "video_processor_type": "Sam2VideoVideoProcessor",
        },
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")


def build_sam2(folder: Path, size: str, seed: int) -> None:
    """Write a checkpoint of this size into the folder."""
    from transformers import Sam2VideoModel

    config = sam2_config(size)
    model = Sam2VideoModel(config)
    enliven_sam2(model, seed, gain=GAIN_OF_SMALL if size == "small" else 2.0)
    model.save_pretrained(folder)
    write_sam2_files(folder, config.image_size)
