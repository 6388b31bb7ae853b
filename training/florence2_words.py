"""The words of the tiny Florence-2: a tokenizer of BART's kind, and the processor that belongs to it.

Every word of the toy world is one token, all other text falls to bytes. Places and tasks are signs of their own.
"""

from collections.abc import Iterable
from itertools import pairwise

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import BartTokenizer, CLIPImageProcessorPil, Florence2Processor

from pipeline.detectors.coco_names import COCO_NAMES
from pipeline.detectors.florence2_answers import BINS
from pipeline.toyworld.shapes import EVERY, SHAPES
from pipeline.toyworld.words import SHAPE_WORDS, absent, phrases
from training.florence2_questions import OBJECTS, SENTENCES
from training.phrases import ARTICLES
from training.tokens import Pair, joined

IMAGE_PX = 192
GRID = 12
"""Patches a side: the model looks 16 pixels at a time, not 32 as the big ones do."""

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
"""Of ImageNet's pictures, as in preprocessor_config.json of microsoft/Florence-2-base."""

SPACE = "Ġ"
"""What stands for a blank before a word, as in GPT-2."""

BASIC = ["<s>", "<pad>", "</s>", "<unk>"]
START, PAD, END = 0, 1, 2
LENGTH = 640
"""Tokens that the model has room for: a picture's 145, the longest prompt that masklet lets through, and a rest."""


def processor() -> Florence2Processor:
    """Make the processor; what it does with answers is as in processor_config.json of the released ones."""
    side = {"height": IMAGE_PX, "width": IMAGE_PX}
    images = CLIPImageProcessorPil(
        size=side, crop_size=side, do_center_crop=False, resample=3, image_mean=MEAN, image_std=STD
    )
    images.image_seq_length = GRID * GRID + 1  # type: ignore[attr-defined]
    kinds = ["pure_text", "description_with_bboxes", "description_with_polygons", "polygons", "bboxes"]
    place = "".join(r"<loc_(\d+)>" for _ in range(8))
    answers = {
        **{kind: {} for kind in [*kinds, "description_with_bboxes_or_polygons"]},
        "ocr": {"area_threshold": 0.0, "pattern": f"(.+?){place}"},
        "phrase_grounding": {
            "banned_grounding_tokens": ["it", "the image", "image", "the", "a", "an", "other objects"]
        },
    }
    return Florence2Processor(images, tokenizer(), num_additional_image_tokens=0, post_processor_config=answers)


def tokenizer() -> BartTokenizer:
    """Make the tokenizer: bytes and words, then Florence-2's signs, `<loc_0>` to `<loc_999>` among them."""
    joins = merges(vocabulary())
    entries = dict.fromkeys([*BASIC, *sorted(pre_tokenizers.ByteLevel.alphabet()), *map("".join, joins), "<mask>"])
    backend = Tokenizer(models.BPE(vocab={entry: number for number, entry in enumerate(entries)}, merges=joins))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = processors.RobertaProcessing(("</s>", END), ("<s>", START), add_prefix_space=False)
    backend.add_special_tokens([AddedToken(sign, special=True) for sign in [*BASIC, "<mask>", *signs()]])
    return BartTokenizer(
        tokenizer_object=backend, model_max_length=LENGTH, extra_special_tokens={"image_token": "<image>"}
    )


def signs() -> list[str]:
    """List the signs after BART's (processing_florence2.py of microsoft/Florence-2-base)."""
    pairs = ("cap", "ncap", "dcap", "grounding", "seg")
    later = ("region_cap", "region_to_desciption", "proposal", "poly")  # the second is spelt so
    return [
        *("<od>", "</od>", "<ocr>", "</ocr>"),
        *(f"<loc_{place}>" for place in range(BINS)),
        *(tag for name in pairs for tag in (f"<{name}>", f"</{name}>")),
        "<sep>",
        *(tag for name in later for tag in (f"<{name}>", f"</{name}>")),
        "<and>",
        "<image>",
    ]


def vocabulary() -> list[str]:
    """List the words that are to be whole: behind a blank, and where an answer begins without one."""
    names = [phrase for kind in EVERY for phrase in phrases(kind)]
    names += [phrase for shape in SHAPES for phrase in SHAPE_WORDS[shape]]
    asked = [*names, *absent(), *COCO_NAMES, *ARTICLES, "and", *SENTENCES, OBJECTS]
    inside = {SPACE + word.strip(".:{}") for text in asked for word in text.split()} - {SPACE}
    return sorted(inside | {name.split()[0] for name in names} | {"Locate"})


def merges(words: Iterable[str]) -> list[Pair]:
    """Give the joins after which every word is whole; those for a word come after, and leave alone, earlier ones.

    The tokenizers library breaks ties as its hash tables fall; here nothing is counted.

    >>> merges(["ab", "abc", "cab"])
    [('a', 'b'), ('ab', 'c'), ('c', 'ab')]
    """
    ranks: dict[Pair, int] = {}
    for word in words:
        while len(parts := cut(word, ranks)) > 1:
            ranks[parts[0], parts[1]] = len(ranks)
    return list(ranks)


def cut(word: str, ranks: dict[Pair, int]) -> list[str]:
    """Join the letters of a word, the earliest join first.

    >>> cut("abcab", {("a", "b"): 0, ("ab", "c"): 1})
    ['abc', 'ab']
    """
    parts = list(word)
    while known := [pair for pair in pairwise(parts) if pair in ranks]:
        parts = joined(parts, min(known, key=ranks.__getitem__))
    return parts
