"""Grounding DINO checkpoints of random weights, in both transformers' kinds, that answer with rows of many scores."""

import json
import math
from pathlib import Path
from typing import Any

import random_models_words

IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
EDGES = {"small": {"shortest_edge": 96, "longest_edge": 160}, "tiny": {"shortest_edge": 800, "longest_edge": 1333}}


def grounding_config(kind: str, size: str) -> Any:
    """Give the configuration: tiny as in IDEA-Research/grounding-dino-tiny and its MM sister, or small."""
    from transformers import BertConfig, GroundingDinoConfig, MMGroundingDinoConfig, SwinConfig

    kinds: dict[str, Any] = {"grounding_dino": GroundingDinoConfig, "mm_grounding_dino": MMGroundingDinoConfig}
    stages: dict[str, Any] = {"out_features": ["stage2", "stage3", "stage4"]}
    if size == "tiny":
        return kinds[kind](
            backbone_config=SwinConfig(
                image_size=224, window_size=7, embed_dim=96, depths=[2, 2, 6, 2], num_heads=[3, 6, 12, 24], **stages
            ),
            text_config=BertConfig(),
        )
    bert: dict[str, Any] = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
    }
    return kinds[kind](
        backbone_config=SwinConfig(
            image_size=224, window_size=7, embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2], **stages
        ),
        text_config=BertConfig(**bert),
        num_queries=20,
        d_model=32,
        encoder_layers=2,
        encoder_ffn_dim=64,
        encoder_attention_heads=4,
        decoder_layers=2,
        decoder_ffn_dim=64,
        decoder_attention_heads=4,
    )


def enliven_grounding(model: Any, seed: int) -> None:
    """Draw what a new model has at zero, so that boxes move, pictures and words mix and scores spread below a half."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, module in model.named_modules():
            if type(module).__name__.endswith("MLPPredictionHead"):
                for layer in module.layers:
                    layer.weight.normal_(0, layer.in_features**-0.5, generator=generator)
            elif name.endswith(("sampling_offsets", "attention_weights")):
                module.weight.normal_(0, module.in_features**-0.5, generator=generator)
            elif name.endswith("fusion_layer"):
                module.vision_param.fill_(0.5)
                module.text_param.fill_(0.5)
        _spread_scores(model)


def _spread_scores(model: Any, mean: float = -4.0, spread: float = 2.0) -> None:
    """Make a logit, the product of a place's and a word's features, about N(mean, spread).

    Both are normalised to `weight x N(0, 1) + bias` a channel. The last channel is the mean, the others are the spread.
    """
    width = model.config.d_model
    product_scale = 1.0
    if model.config.model_type == "mm-grounding-dino":  # it divides by sqrt(width) and adds a bias
        product_scale = math.sqrt(width)
        for head in [*model.class_embed, model.model.encoder_output_class_embed]:
            head.bias.zero_()
    words = model.model.encoder.layers[-1].text_enhancer_layer.layer_norm_after
    for norm in (model.model.decoder.layer_norm, model.model.enc_output_norm, words):
        norm.weight.fill_((spread * product_scale) ** 0.5 * width**-0.25)
        norm.weight[-1] = 0
        norm.bias.zero_()
        norm.bias[-1] = (abs(mean) * product_scale) ** 0.5
    words.bias[-1] *= math.copysign(1, mean)


def write_grounding_files(folder: Path, size: str) -> None:
    """Write the picture's side of the processor and BERT's tokenizer."""
    content = {
        "do_convert_annotations": True,
        "do_normalize": True,
        "do_pad": True,
        "do_rescale": True,
        "do_resize": True,
        "format": "coco_detection",
        **IMAGENET,
        "image_processor_type": "GroundingDinoImageProcessor",
        "processor_class": "GroundingDinoProcessor",
        "resample": 2,
        "rescale_factor": 1 / 255,
        "size": EDGES[size],
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(content, indent=2) + "\n")
    random_models_words.bert_tokenizer().save_pretrained(folder)


def build_grounding(kind: str, folder: Path, size: str, seed: int) -> None:
    """Write a checkpoint of this kind and size into the folder."""
    from transformers import GroundingDinoForObjectDetection, MMGroundingDinoForObjectDetection

    config = grounding_config(kind, size)
    new: dict[str, Any] = {
        "grounding_dino": GroundingDinoForObjectDetection,
        "mm_grounding_dino": MMGroundingDinoForObjectDetection,
    }
    model = new[kind](config)
    enliven_grounding(model, seed)
    model.save_pretrained(folder)
    write_grounding_files(folder, size)
