"""A small tokenizer of CLIP's kind: every word of the toy world is one token, all other text falls to letters."""

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise

from transformers import CLIPTokenizer

PAD, BEGIN, END = "!", "<|startoftext|>", "<|endoftext|>"
STOP = "</w>"
LENGTH = 16
"""Tokens a phrase at most, as in OWLv2."""

Pair = tuple[str, str]


def tokenizer_of(texts: Iterable[str]) -> CLIPTokenizer:
    """Make every word of some texts one token.

    The padding is number 0 and the end the highest number: OWLv2 knows empty queries and the end of a text by that
    (transformers, modeling_owlv2.py, `query_mask` and `pooled_output`).
    """
    from tokenizers import pre_tokenizers

    merges = joins(sorted({word for text in texts for word in text.lower().split()}))
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = dict.fromkeys([PAD, *letters, *(letter + STOP for letter in letters), *("".join(pair) for pair in merges)])
    vocab = {token: number for number, token in enumerate([*tokens, BEGIN, END])}
    return CLIPTokenizer(vocab=vocab, merges=merges, pad_token=PAD, model_max_length=LENGTH)


def joins(words: list[str]) -> list[Pair]:
    """Learn which pairs to join, in order, until every word is whole (Sennrich et al. 2016).

    The tokenizers library breaks ties as its hash tables fall, another way every time; here the first in the alphabet
    goes first.

    >>> joins(["ab", "abc"])
    [('a', 'b'), ('a', 'b</w>'), ('ab', 'c</w>')]
    """
    parts = [[*word[:-1], word[-1] + STOP] for word in words]
    learnt: list[Pair] = []
    while counts := Counter(pair for word in parts for pair in pairwise(word)):
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        learnt.append(best)
        parts = [joined(word, best) for word in parts]
    return learnt


def joined(word: list[str], pair: Pair) -> list[str]:
    """Join a pair wherever it stands.

    >>> joined(["a", "b", "a", "b"], ("a", "b"))
    ['ab', 'ab']
    """
    done: list[str] = []
    for part in word:
        if done and (done[-1], part) == pair:
            done[-1] += part
        else:
            done.append(part)
    return done
