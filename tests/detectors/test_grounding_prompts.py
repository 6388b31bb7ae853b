"""What the zero-shot detectors make of prompts."""

from functools import lru_cache

import numpy as np
import pytest
from random_models import cached

from pipeline.detectors.dino import texts, written
from pipeline.detectors.grounding import Grounding
from pipeline.errors import ConfigError
from pipeline.media import Picture
from pipeline.seams import Device

KINDS = ("owlv2", "grounding_dino")


def opened(kind, **options):
    return Grounding(model=str(cached(kind)), **options).open(Device("cpu", 1))


@lru_cache
def family(kind):
    return opened(kind).family


def noise(*size_hw, seed=0):
    return Picture.of(np.random.default_rng(seed).integers(0, 256, (*size_hw, 3), np.uint8), f"{size_hw}")


@pytest.mark.parametrize(
    ("prompt", "tokens"),
    [
        ("dog", "dog"),
        ("A Red Dog", "a red dog"),  # lower case
        ("dog.", "dog"),  # a full stop would end the phrase
        ("stop. sign? red", "stop sign red"),  # also inside
        ("  dog\n cat ", "dog cat"),
        ("[SEP] dog [PAD]", "[ s ##e ##p ] dog [ p ##a ##d ]"),  # not the model's own marks
        ("狗", "[UNK]"),  # a sign that this small vocabulary has not
        ("", ""),  # nothing
        (" . ?", ""),  # nothing
    ],
)
def test_what_grounding_dino_reads(prompt, tokens):
    read = family("grounding_dino")
    assert " ".join(read.tokenizer.convert_ids_to_tokens(read.phrase(prompt))) == tokens


@pytest.mark.parametrize(
    ("prompt", "tokens"),
    [
        ("dog", "dog</w>"),
        ("A Red Dog", "a</w> red</w> dog</w>"),  # lower case
        ("dog. cat?", "dog</w> .</w> cat</w> ?</w>"),  # signs are read
        ("dog<|endoftext|>cat", "dog</w> cat</w>"),  # not the model's own marks
        ("", ""),  # nothing
        (" \n", ""),  # nothing
    ],
)
def test_what_owl_reads(prompt, tokens):
    read = family("owlv2")
    assert " ".join(read.tokenizer.convert_ids_to_tokens(read.phrase(prompt))) == tokens


def test_texts_are_written_as_transformers_writes_them():
    import transformers

    prompts = ["A dog", "traffic light", "no-parking sign"]
    own = transformers.AutoProcessor.from_pretrained(cached("grounding_dino"), backend="pil")(text=[prompts])
    read = family("grounding_dino")
    tokens, spans = written([read.phrase(prompt) for prompt in prompts], 256)
    assert tokens[: len(own["input_ids"][0])] == own["input_ids"][0]
    assert set(tokens[len(own["input_ids"][0]) :]) == {0}
    assert [read.tokenizer.decode(tokens[start:stop]) for start, stop in spans] == [
        *("a dog", "traffic light", "no - parking sign")
    ]


@pytest.mark.parametrize(
    ("lengths", "limit", "filled"),
    [
        ([1], 256, 16),  # [CLS] a . [SEP]
        ([11, 1], 256, 16),  # 16 to the last
        ([11, 2], 256, 32),  # one more
        ([253], 256, 256),  # the longest
        ([15], 20, 20),  # never above the limit
    ],
)
def test_texts_are_filled_up(lengths, limit, filled):
    tokens, spans = written([tuple([9] * length) for length in lengths], limit)
    assert len(tokens) == filled
    assert [stop - start for start, stop in spans] == lengths
    assert all(tokens[stop] == 1012 for _, stop in spans)
    assert tokens[spans[-1][1] + 1] == 102


@pytest.mark.parametrize(
    ("lengths", "packed"),
    [
        ([], []),
        ([7], [[7]]),  # [CLS], 7, the full stop and [SEP]: 10
        ([3, 3], [[3, 3]]),  # as many
        ([3, 4], [[3], [4]]),  # one more
        ([1, 7, 1, 1], [[1], [7], [1, 1]]),  # the order stays
    ],
)
def test_phrases_go_into_as_few_texts_as_hold_them(lengths, packed):
    phrases = [tuple(range(length)) for length in lengths]
    assert [[len(phrase) for phrase in some] for some in texts(phrases, 10)] == packed


@pytest.mark.parametrize(("kind", "longest"), [("owlv2", 14), ("grounding_dino", 253)])
def test_the_longest_prompt(kind, longest, capfd):
    detector = opened(kind)
    detector.detect([noise(9, 9)], ["dog " * longest])
    with pytest.raises(ConfigError, match=rf"it has {longest + 1} tokens, and .* reads {longest}; shorten it$"):
        detector.detect([noise(9, 9)], ["dog " * longest + "cat"])
    assert capfd.readouterr() == ("", "")  # the tokenizer is quiet


@pytest.mark.parametrize("kind", KINDS)
def test_prompts_that_say_nothing_ask_nothing(kind):
    detector = opened(kind)
    detector.family.look = None
    assert [len(found) for found in detector.detect([noise(9, 9)] * 2, ["", " ", "\n"])] == [0, 0]


@pytest.mark.parametrize("kind", KINDS)
def test_prompts_that_are_alike_get_the_same_answers(kind):
    found = opened(kind, floor=0).detect([noise(30, 40)], ["Dog", "cat", "dog "])[0]
    rows = {prompt: [row for row, said in enumerate(found.prompts) if said == prompt] for prompt in ("Dog", "dog ")}
    assert len(rows["Dog"])
    np.testing.assert_array_equal(found.boxes_xyxy[rows["Dog"]], found.boxes_xyxy[rows["dog "]])
    np.testing.assert_array_equal(found.scores[rows["Dog"]], found.scores[rows["dog "]])
