"""Small tokenizers with the real ids of special tokens, the real vocabulary size and words of everyday prompts."""

import string
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from pipeline.detectors.coco_names import COCO_NAMES

_EVERYDAY = """
    a an and caption circle cross dog. image in is locate mask object objects of on phrases photo picture shape square
    star the there triangle with black blue brown gray green orange pink purple red white yellow big small adult child
    man woman people animal vehicle building house road sign sky tree water grass flower fruit leaf ball box hat shoe
"""
WORDS = tuple(dict.fromkeys(" ".join((_EVERYDAY.replace(".", ""), *COCO_NAMES)).split()))


def padded(vocabulary: dict[str, int], size: int) -> dict[str, int]:
    """Fill the free numbers below the size with entries that no text is ever cut into."""
    taken = set(vocabulary.values())
    free = (number for number in range(size) if number not in taken)
    return vocabulary | {f"[unused{number}]": number for number in free}


def bert_tokenizer() -> Any:
    """bert-base-uncased in small: its special tokens and ASCII at their real numbers, words from 2000 on."""
    from transformers import BertTokenizer

    vocabulary = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, "[MASK]": 103}
    ascii_signs = [sign for sign in map(chr, range(33, 127)) if sign not in string.ascii_uppercase]
    vocabulary |= {sign: 999 + rank for rank, sign in enumerate(ascii_signs)}
    letters = [*string.ascii_lowercase, *string.digits, *_foreign_letters()]
    entries = [*_foreign_letters(), *(f"##{letter}" for letter in letters)]
    words = [word for word in WORDS if len(word) > 1]
    vocabulary |= {entry: 2000 + rank for rank, entry in enumerate(dict.fromkeys([*words, *entries]))}
    return BertTokenizer(vocab=padded(vocabulary, 30522), model_max_length=512)


def _foreign_letters() -> list[str]:
    ranges = ((0x3B1, 0x3CA), (0x430, 0x450), (0x3041, 0x3097))  # Greek, Cyrillic, Hiragana
    return [*(chr(code) for start, stop in ranges for code in range(start, stop)), *"ßøæœł犬猫人車赤青"]


def clip_tokenizer() -> Any:
    """The tokenizer of CLIP in small, as OWLv2 sets it: 16 positions, padded with `!`, number 0."""
    from transformers import CLIPTokenizer

    signs = _byte_signs()
    merges: list[Any] = _merges(WORDS, suffix="</w>")
    vocabulary = _numbered([*signs, *(f"{sign}</w>" for sign in signs), *map("".join, merges)], start=0)
    vocabulary |= {"<|startoftext|>": 49406, "<|endoftext|>": 49407}
    return CLIPTokenizer(vocab=padded(vocabulary, 49408), merges=merges, pad_token="!", model_max_length=16)


def florence2_tokenizer() -> Any:
    """The tokenizer of Florence-2 in small: BART's with places and tasks from number 50265 and `<image>` at 51289."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import BartTokenizer

    signs = _byte_signs()
    merges = _merges([*WORDS, *(f"Ġ{word}" for word in WORDS), *map(str.capitalize, WORDS)])
    vocabulary = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "<mask>": 50264}
    vocabulary |= _numbered([*signs, *map("".join, merges)], start=4)
    backend = Tokenizer(models.BPE(vocab=padded(vocabulary, 50265), merges=merges))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    basic = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    backend.add_special_tokens([AddedToken(token, special=True) for token in [*basic, *florence2_added_tokens()]])
    return BartTokenizer(
        tokenizer_object=backend,
        model_max_length=1024,
        extra_special_tokens={"image_token": "<image>"},
    )


def florence2_added_tokens() -> list[str]:
    """Give the tokens after BART's in their order (processing_florence2.py of microsoft/Florence-2-base)."""
    pairs = ["cap", "ncap", "dcap", "grounding", "seg"]
    later = ["region_cap", "region_to_desciption", "proposal", "poly"]
    return [
        *("<od>", "</od>", "<ocr>", "</ocr>"),
        *(f"<loc_{place}>" for place in range(1000)),
        *(tag for name in pairs for tag in (f"<{name}>", f"</{name}>")),
        "<sep>",
        *(tag for name in later for tag in (f"<{name}>", f"</{name}>")),
        "<and>",
        "<image>",
    ]


def _byte_signs() -> list[str]:
    """Give the 256 signs that stand for bytes in GPT-2's vocabulary, in its order: `!` is the first."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [256 + rank for rank in range(256 - len(printable))]
    return [chr(code) for code in (*printable, *others)]


def _numbered(entries: Iterable[str], start: int) -> dict[str, int]:
    return {entry: start + rank for rank, entry in enumerate(dict.fromkeys(entries))}


def _merges(words: Iterable[str], suffix: str = "") -> list[tuple[str, str]]:
    """Give merges after which every word is one token: those for a word come after, and do not touch, earlier ones.

    tokenizers' own trainer breaks ties by chance, so its files would differ from one process to the next.
    """
    ranks: dict[tuple[str, str], int] = {}
    for word in words:
        pieces = [*word[:-1], word[-1] + suffix]
        while len(pieces := _merged(pieces, ranks)) > 1:
            ranks[pieces[0], pieces[1]] = len(ranks)
    return list(ranks)


def _merged(pieces: list[str], ranks: dict[tuple[str, str], int]) -> list[str]:
    """Join neighbours, the lowest rank first, until no pair has one."""
    while known := [pair for pair in pairwise(pieces) if pair in ranks]:
        first = min(known, key=ranks.__getitem__)
        place = next(at for at, pair in enumerate(pairwise(pieces)) if pair == first)
        pieces = [*pieces[:place], "".join(first), *pieces[place + 2 :]]
    return pieces
