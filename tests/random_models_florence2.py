"""Florence-2 checkpoints of random weights that answer with a known text, each token with a known likelihood."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import random_models_words

IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
ANSWER = "dog<loc_100><loc_200><loc_500><loc_600>dog<loc_550><loc_120><loc_900><loc_480>"
SIDES = {"small": 96, "base": 768, "large": 768}
START, END = 0, 2  # <s> and </s>
CERTAIN = 0.999
STEEP = 24.0  # above the largest logit that is asked for
GENERATION = {  # generation_config.json of microsoft/Florence-2-base
    "bos_token_id": 0,
    "decoder_start_token_id": 2,
    "early_stopping": True,
    "eos_token_id": 2,
    "forced_bos_token_id": 0,
    "forced_eos_token_id": 2,
    "no_repeat_ngram_size": 3,
    "num_beams": 3,
    "pad_token_id": 1,
}


def florence2_config(size: str) -> Any:
    """Give the configuration: base and large as in florence-community/Florence-2-*, or small."""
    from transformers import Florence2Config

    widths = {"small": (64, 2, 4, 8), "base": (768, 6, 12, 128), "large": (1024, 12, 16, 256)}
    width, layers, heads, narrowest = widths[size]
    vision: dict[str, Any] = {"embed_dim": [narrowest * 2**stage for stage in range(4)], "projection_dim": width}
    vision["num_heads"] = vision["num_groups"] = [max(1, channels // 32) for channels in vision["embed_dim"]]
    if size == "small":
        vision["depths"] = [1, 1, 1, 1]
    text: dict[str, Any] = {
        "model_type": "bart",
        "vocab_size": 51328,  # 51290 tokens, in steps of 64
        "d_model": width,
        "max_position_embeddings": 4096 if size == "large" else 1024,
    }
    for side in ("encoder", "decoder"):
        text |= {f"{side}_layers": layers, f"{side}_attention_heads": heads, f"{side}_ffn_dim": 4 * width}
    return Florence2Config(text_config=text, vision_config=vision)


def build_florence2(folder: Path, size: str, seed: int) -> None:
    """Write a checkpoint of this size: it answers ANSWER, with likelihoods that picture and prompt change somewhat."""
    _write(folder, ANSWER, size, None, 1.0, seed)


def florence_that_answers(
    folder: Path, answer: str = ANSWER, size: str = "small", likelihoods: Sequence[float] | None = None
) -> list[int]:
    """Write a checkpoint that says this to whatever it is asked; give the ids of the answer's tokens and the end's.

    Softmax gives each of these tokens just its number of `likelihoods` (default: evenly from 0.9 down to 0.5).
    """
    return _write(folder, answer, size, likelihoods, 0.0, 0)


def _write(
    folder: Path, answer: str, size: str, likelihoods: Sequence[float] | None, mixing: float, seed: int
) -> list[int]:
    import torch
    from transformers import Florence2ForConditionalGeneration

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = random_models_words.florence2_tokenizer()
    tokens = [*tokenizer(answer, add_special_tokens=False)["input_ids"], END]
    if likelihoods is None:
        likelihoods = [0.9 - 0.4 * rank / max(1, len(tokens) - 1) for rank in range(len(tokens))]
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        model = Florence2ForConditionalGeneration(florence2_config(size))
        text = model.model.language_model
        _answer_by_position(text, [START, *tokens], [CERTAIN, *likelihoods])
        if mixing:
            _mix_in_cross_attention(text, mixing)
    for name, value in GENERATION.items():
        setattr(model.generation_config, name, value)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    _write_florence2_files(folder, SIDES[size])
    return tokens


def _answer_by_position(text: Any, tokens: list[int], likelihoods: Sequence[float]) -> None:
    """Make the decoder say the tokens by position, in the upper half of its channels; no others reach the logits.

    With its residual branches at zero the decoder is a chain of layer norms of `embedding + position`. Each token has a
    channel of its own. A position's row is 100 x (its token's channel at some height, the other tokens' at 0, the
    lower half such that mean is 0 and variance 1), less the embedding that comes in. So the token's logit is STEEP /
    sqrt(width) x height and all the others are 0.
    """
    half, words = text.config.d_model // 2, text.config.vocab_size
    channels = {token: half + rank for rank, token in enumerate(dict.fromkeys([*tokens, END]))}
    if len(channels) > half:
        raise ValueError(f"{len(channels)} different tokens, but only {half} channels for them")
    for layer in text.decoder.layers:
        for linear in (layer.self_attn.out_proj, layer.encoder_attn.out_proj, layer.fc2):
            linear.weight.zero_()
            linear.bias.zero_()
    text.shared.weight[:, half:] = 0
    for token, channel in channels.items():
        text.shared.weight[token, channel] = 1
    last_norm = text.decoder.layers[-1].final_layer_norm
    last_norm.weight[:half] = 0
    last_norm.weight[half:] = STEEP * (2 * half) ** -0.5
    for place, row in enumerate(text.decoder.embed_positions.weight[2:]):  # BART's first two are never used
        incoming = [END, *tokens][min(place, len(tokens))]
        token, likelihood = (tokens[place], likelihoods[place]) if place < len(tokens) else (END, CERTAIN)
        logit = math.log(likelihood / (1 - likelihood) * (words - 1))
        pattern = _pattern(half, channels[token], logit * (2 * half) ** 0.5 / STEEP)
        row.copy_(100 * pattern - text.shared.weight[incoming])


def _pattern(half: int, channel: int, height: float) -> Any:
    """Give (2 x half,) numbers of mean 0 and variance 1 with this height in the channel, one of the upper half."""
    import torch

    spread = math.sqrt((2 * half - height**2 * (1 + 1 / half)) / half)
    row = torch.zeros(2 * half)
    row[:half] = -height / half
    row[:half:2] += spread
    row[1:half:2] -= spread
    row[channel] = height
    return row


def _mix_in_cross_attention(text: Any, strength: float) -> None:
    """Let what the encoder gives, pictures and prompts, change the logits of the known tokens."""
    attention = text.decoder.layers[-1].encoder_attn
    half = text.config.d_model // 2
    for linear, gain in ((attention.q_proj, 1.0), (attention.k_proj, 2.0), (attention.v_proj, 1.0)):
        linear.weight.normal_(0, gain * linear.in_features**-0.5)
    attention.out_proj.weight[half:].normal_(0, strength / STEEP)


def _write_florence2_files(folder: Path, side: int) -> None:
    """Write the picture's side of the processor, what it does with answers, and the tokenizer's class as released."""
    picture = {
        "crop_size": {"height": side, "width": side},
        "do_center_crop": False,
        "do_convert_rgb": None,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        **IMAGENET,
        "image_processor_type": "CLIPImageProcessor",
        "image_seq_length": math.ceil(side / 32) ** 2 + 1,
        "processor_class": "Florence2Processor",
        "resample": 3,
        "rescale_factor": 1 / 255,
        "size": {"height": side, "width": side},
    }
    place = "".join(r"<loc_(\d+)>" for _ in range(8))
    tasks = ["pure_text", "description_with_bboxes", "description_with_polygons", "polygons", "bboxes"]
    answers = {
        **{task: {} for task in [*tasks, "description_with_bboxes_or_polygons"]},
        "ocr": {"area_threshold": 0.0, "pattern": f"(.+?){place}"},
        "phrase_grounding": {
            "banned_grounding_tokens": ["it", "the image", "image", "the", "a", "an", "other objects"]
        },
    }
    processor = {
        "num_additional_image_tokens": 0,
        "post_processor_config": answers,
        "processor_class": "Florence2Processor",
    }
    words = json.loads((folder / "tokenizer_config.json").read_text())
    words |= {"processor_class": "Florence2Processor", "tokenizer_class": "BartTokenizer"}
    files = {"preprocessor_config": picture, "processor_config": processor, "tokenizer_config": words}
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
