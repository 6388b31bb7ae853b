"""OWLv2 checkpoints of random weights that answer with rows of many scores."""

import json
from pathlib import Path
from typing import Any

import random_models_words

CLIP = {
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}

# Scale, mean and spread of the logits by patch, and how much larger than a patch a box is, in the logit of its side.
# Cosines of random directions shrink with the width, 32 and 512 here.
HEADS = {"small": (7.0, -0.3, 0.1, 1.0), "base": (24.0, -0.13, 0.05, 2.5)}


def owlv2_config(size: str) -> Any:
    """Give the configuration: base as in google/owlv2-base-patch16-ensemble, or small."""
    from transformers import Owlv2Config

    if size == "base":
        return Owlv2Config(vision_config={"image_size": 960, "patch_size": 16})
    narrow = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    return Owlv2Config(
        text_config=narrow,
        vision_config={"image_size": 128, "patch_size": 16, **narrow},
        projection_dim=32,
    )


def enliven_owlv2(model: Any, size: str, seed: int) -> None:
    """Draw the heads so that scores and sizes spread: a new model answers 0 or 1 and boxes of no size or all.

    A logit is (cosine + shift) x scale, where shift and scale depend on the patch; a side is sigmoid(head + logit of
    the patch's side). Features are normalised, so a row of N(0, 1 / inputs) keeps the variance at one.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    heads = [model.class_head, model.box_head, model.objectness_head]
    scale, mean, spread, larger = HEADS[size]
    linears = [module for head in heads for module in head.modules() if isinstance(module, torch.nn.Linear)]
    with torch.no_grad():
        for linear in linears:
            linear.weight.normal_(0, linear.in_features**-0.5, generator=generator)
            linear.bias.zero_()
        model.class_head.logit_shift.weight.mul_(spread)
        model.class_head.logit_shift.bias.fill_(mean)
        model.class_head.logit_scale.bias.fill_(scale)
        model.box_head.dense2.weight.mul_(2)
        model.box_head.dense2.bias.copy_(torch.tensor([0.0, 0.0, larger, larger]))


def write_owlv2_files(folder: Path, side: int) -> None:
    """Write the picture's side of the processor and CLIP's tokenizer."""
    content = {
        "do_normalize": True,
        "do_pad": True,
        "do_rescale": True,
        "do_resize": True,
        **CLIP,
        "image_processor_type": "Owlv2ImageProcessor",
        "processor_class": "Owlv2Processor",
        "resample": 2,
        "rescale_factor": 1 / 255,
        "size": {"height": side, "width": side},
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(content, indent=2) + "\n")
    random_models_words.clip_tokenizer().save_pretrained(folder)


def build_owlv2(folder: Path, size: str, seed: int) -> None:
    """Write a checkpoint of this size into the folder."""
    from transformers import Owlv2ForObjectDetection

    config = owlv2_config(size)
    model = Owlv2ForObjectDetection(config)
    enliven_owlv2(model, size, seed)
    model.save_pretrained(folder)
    write_owlv2_files(folder, config.vision_config.image_size)
