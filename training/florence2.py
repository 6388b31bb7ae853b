"""Train the tiny Florence-2 from scratch on scenes of the toy world.

python -m training.florence2
python -m training.florence2 --export checkpoints/tiny-florence2
"""

from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from transformers import BartTokenizer, Florence2ForConditionalGeneration, GenerationConfig

from pipeline.detectors.florence2_answers import BINS
from pipeline.toyworld.shapes import SHAPES
from training import card, florence2_quality, loop
from training.florence2_batch import Batch, batch
from training.florence2_model import Helpers, fresh
from training.florence2_words import END, LENGTH, PAD, START, processor

WEIGHTS = {"words": 1.0, "places": 1.0, "looks": 2.0, "boxes": 2.0, "meant": 1.0}
BLUR = 5.0
"""How far beside the right place an answer is still nearly right: the spread of a bell, in places; 5 are a pixel."""

MATRICES = r"(language_model.*layers|vision_tower\.blocks)\..*weight"
"""What Muon turns: attention and what follows it, in words and in pictures."""

RARE = 5.0
"""Patches that are meant count so much more than the many that are not."""


def loss_of(model: Florence2ForConditionalGeneration, helpers: Helpers, first: int, asked: Batch) -> dict[str, Tensor]:
    """Compare answers with the truth; `first` is the number of the token `<loc_0>`."""
    seen, states, logits = answered(model, asked)
    patches, of_places = seen[:, 1:], model.lm_head.weight[first : first + BINS]
    thing = asked.shape >= 0
    boxes = helpers.boxes(patches[thing], of_places).float()
    meant = helpers.meant(states[:, 1 : 1 + patches.shape[1]])[..., 0].float()
    place = asked.said - first
    is_place, is_word = (place >= 0) & (place < BINS), (asked.said != PAD) & (asked.said != START)
    is_word &= ~is_place
    parts = {
        "words": F.cross_entropy(logits[is_word], asked.said[is_word]),
        "places": off(logits[is_place], place[is_place], first),
        "looks": looked(helpers.look(patches[thing]).float(), asked.shape[thing], asked.color[thing]),
        "boxes": off(boxes, asked.boxes[thing], 0),
        "meant": F.binary_cross_entropy_with_logits(meant, asked.meant, pos_weight=meant.new_tensor(RARE)),
    }
    return {"loss": torch.stack([WEIGHTS[key] * value for key, value in parts.items()]).sum(), **parts}


def answered(model: Florence2ForConditionalGeneration, asked: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Look at each picture once, read all questions, answer as told: what was seen, what was read, the logits.

    As transformers' own `forward`, which would look at a picture anew for every question.
    """
    seen = model.get_image_features(asked.pixels).pooler_output
    words = model.get_input_embeddings()(asked.text)
    states = model.get_encoder()(
        inputs_embeds=torch.cat([seen[asked.picture].to(words.dtype), words], 1), attention_mask=asked.heard
    ).last_hidden_state
    given = torch.cat([torch.full_like(asked.said[:, :1], END), asked.said[:, :-1]], 1)
    decoded = model.model.language_model.decoder(
        input_ids=given, encoder_hidden_states=states, encoder_attention_mask=asked.heard, use_cache=False
    ).last_hidden_state
    return seen, states, model.lm_head(decoded).float()


def off(logits: Tensor, place: Tensor, first: int) -> Tensor:
    """Tell how far answers are from bells around the right places, in nats: (..., V), (...) -> ()."""
    if not place.numel():
        return logits.sum() * 0
    apart = torch.arange(BINS, device=place.device) - place[..., None]
    bell = torch.softmax(-0.5 * (apart / BLUR).square(), -1)
    said = F.log_softmax(logits, -1)[..., first : first + BINS]
    return F.kl_div(said, bell, reduction="sum") / place.numel()


def looked(logits: Tensor, shapes: Tensor, colors: Tensor) -> Tensor:
    """Shape and colour of what patches are on."""
    shape, color = logits[:, : len(SHAPES)], logits[:, len(SHAPES) :]
    return F.cross_entropy(shape, shapes) + F.cross_entropy(color, colors)


def write(model: Florence2ForConditionalGeneration, folder: Path) -> None:
    """Write the checkpoint in the Hub's layout."""
    model.generation_config = GenerationConfig(
        bos_token_id=START,
        pad_token_id=PAD,
        eos_token_id=END,
        decoder_start_token_id=END,
        forced_bos_token_id=START,
        max_new_tokens=LENGTH // 2,
    )
    model.save_pretrained(folder)
    processor().save_pretrained(folder)


def measure(model: Florence2ForConditionalGeneration) -> dict[str, float]:
    """Let masklet's own detector look at pictures of all kinds of things, the held-out ones too."""
    with TemporaryDirectory() as folder:
        write(model, Path(folder))
        return florence2_quality.glance(Path(folder))


ABOUT = {
    "name": "tiny-florence2",
    "task": "image-text-to-text",
    "what": "`Florence2ForConditionalGeneration` with 2.3 million weights, for pictures of 192 x 192 pixels.",
    "data": "Scenes of `pipeline/toyworld`, each drawn once: seven shapes in six colours, six of the pairs never shown."
    " Asked for things by their names and by other words, for shapes alone, for what is not there, for captions of up"
    " to three things, and for all objects.",
    "command": "python -m training.florence2 --bf16  # the helpers were a quarter as loud until step 2 150",
}


def main() -> None:
    """Train, or export what was trained."""
    given = loop.options(__doc__ or "", steps=11_000, lr=5e-4).parse_args()
    torch.set_num_threads(given.threads)
    words: BartTokenizer = processor().tokenizer
    numbers = words.get_vocab()
    first = numbers["<loc_0>"]
    model = fresh(len(words), first, numbers["<image>"]).to(given.device)
    model.set_attn_implementation("eager")  # with so few tokens faster backwards
    helpers = Helpers().to(given.device)
    both = nn.ModuleDict({"model": model, "helpers": helpers})

    def export(place: Path, folder: Path) -> None:
        write(model, folder)
        card.write(folder, ABOUT, place / "curve.jsonl", florence2_quality.quality(folder))

    def step(number: int) -> dict[str, Tensor]:
        asked = loop.moved(batch(number, given.batch, words), given.device)
        bf16 = torch.autocast(given.device, torch.bfloat16) if given.bf16 else nullcontext()
        with bf16:
            return loss_of(model, helpers, first, asked)

    loop.run(given, "tiny-florence2", both, step, lambda: measure(model), export, orthogonal=MATRICES)


if __name__ == "__main__":
    main()
