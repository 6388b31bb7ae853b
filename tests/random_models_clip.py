"""CLIP and SigLIP checkpoints of random weights, as verifiers open them."""

import json
from pathlib import Path
from typing import Any

import random_models_owlv2
import random_models_words

NARROW = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
VISION = {"image_size": 32, "patch_size": 8, **NARROW}
SIGLIP = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}


def build_clip(kind: str, folder: Path, size: str, seed: int) -> None:
    """Write a checkpoint of this kind into the folder; 'base' has the sizes of openai/clip-vit-base-patch16."""
    model = _model(kind, size)
    model.save_pretrained(folder)
    side = model.config.vision_config.image_size
    named = "CLIPImageProcessor" if kind == "clip" else "SiglipImageProcessor"
    sized = {"size": {"height": side, "width": side}}
    if kind == "clip":
        sized = {"size": {"shortest_edge": side}, "crop_size": {"height": side, "width": side}, "do_center_crop": True}
    content = {
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "resample": 3,
        "rescale_factor": 1 / 255,
        **(random_models_owlv2.CLIP if kind == "clip" else SIGLIP),
        **sized,
        "image_processor_type": named,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(content, indent=2) + "\n")
    random_models_words.clip_tokenizer().save_pretrained(folder)


def _model(kind: str, size: str) -> Any:
    import transformers

    if size == "base":
        vision = {"patch_size": 16}
        return transformers.CLIPModel(transformers.CLIPConfig(vision_config=vision))
    text = {"vocab_size": 49408, "max_position_embeddings": 16, "bos_token_id": 49406, "eos_token_id": 49407, **NARROW}
    if kind == "clip":
        return transformers.CLIPModel(
            transformers.CLIPConfig(text_config=text, vision_config=VISION, projection_dim=32)
        )
    config = transformers.SiglipConfig(text_config={"pad_token_id": 0, **text}, vision_config=VISION)
    model = transformers.SiglipModel(config)
    model.logit_scale.data.fill_(2.3)  # a new one is drawn at random
    return model
