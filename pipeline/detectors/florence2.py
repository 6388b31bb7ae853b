"""Florence-2 by transformers' own class: every prompt is asked on its own, and its answer is read token by token.

Likelihoods of tokens are the scores; the model has no other. What the tokens mean is in florence2_answers.py, how the
model is called in florence2_calls.py.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from pipeline import checkpoints, geometry, pretrained
from pipeline.detectors import DetectorOptions
from pipeline.detectors.florence2_answers import BINS, Signs, as_pixels, read, surest, without_area
from pipeline.detectors.florence2_calls import SHAPES, Answer, Calls, filled, grouped
from pipeline.detectors.views import as_one, views_of
from pipeline.errors import ModelMissing
from pipeline.media import Picture
from pipeline.pixels import Rgb
from pipeline.records import Instances, concatenate, empty
from pipeline.seams import Device

SENTENCES = {
    "open_vocabulary": "Locate {} in the image.",
    "phrase_grounding": "Locate the phrases in the caption: {}",
}
"""What stands for the tasks `<OPEN_VOCABULARY_DETECTION>` and `<CAPTION_TO_PHRASE_GROUNDING>` in transformers'
processing_florence2.py."""

EVERYTHING = "Locate the objects with category name in the image."
"""What stands there for the task `<OD>`: all objects, by names of the model's own."""

SCORE_KINDS = {
    "joined": "likelihood of the label's and the box's tokens, geometric mean",
    "label": "likelihood of the label's tokens, geometric mean",
    "location": "likelihood of the box's tokens, geometric mean",
}

TOKENS = re.compile(
    r"<[A-Z]+(?:_[A-Z]+)*>"  # tasks, as <OD>
    r"|</?(?:loc_\d+|s|pad|unk|mask|image|od|ocr|[nd]?cap|grounding|seg|sep|poly|proposal|and"
    r"|region_cap|region_to_desciption)>"  # the last is spelt so
)
"""What the tokenizer would read as one sign of the model's own."""

SMALL_WORDS = {"a", "an", "the", "of", "on", "in", "at", "by", "to", "with", "and", "or", "its", "their"}
"""They say nothing of what is there."""

LEAST = 3
"""Letters of a word whose last s may be its own: bus, gas."""

MAX_BYTES = 384
"""Of a prompt: a byte is at most one token, and with 577 for the picture the model has room for 1024."""


class Florence2(pretrained.Pretrained, DetectorOptions):
    """What Florence-2 finds.

    `model` is a checkpoint for transformers' own class, as those of florence-community on the Hub; Microsoft's own
    repositories are for code of their own. `task` is how it is asked: open_vocabulary for a thing, phrase_grounding for
    a description; each prompt gets a pass of its own, and all boxes of the answer are the prompt's.
    `beams` above 1 search for a likelier answer, at as many times the cost of answering.
    An answer has at most `max_new_tokens`, 4 a box; one that was cut is told. `score` says which likelihood of a
    box is its score (the formulas are those of `florence2_answers.Said`); the other two go along as `extra`.
    `gate` asks first for all objects (`<OD>`), then only for prompts that share a word with the names in the answer.
    `mirrored` and `scales` show each picture once more, mirrored, or smaller and surrounded by grey (`scales: [0.5]` is
    half as wide and high), and join what is found; each costs as much again. Larger is what `tiled` is for.
    With `agreed` only what is found in all these views is kept: what a model makes up is seldom in the same place
    twice.
    """

    opens: ClassVar[Collection[str]] = ("florence2",)

    task: Literal["open_vocabulary", "phrase_grounding"] = "open_vocabulary"
    beams: int = Field(default=1, ge=1)
    max_new_tokens: int = Field(default=512, ge=1)
    score: Literal["joined", "label", "location"] = "joined"
    gate: bool = False
    mirrored: bool = False
    scales: tuple[Annotated[float, Field(ge=0.1, lt=1)], ...] = ()
    agreed: bool = False

    @property
    def independent_classes(self) -> bool:
        return True

    def refused(self, prompts: Sequence[str]) -> list[str]:
        """Prompts with signs of the model's own language in them, and those too long for it."""
        lines = []
        for prompt in prompts:
            if sign := TOKENS.search(prompt):
                lines.append(f"prompt {prompt!r}: Florence-2 reads {sign[0]} as a sign of its own; leave it out")
            if len(prompt.encode(errors="replace")) > MAX_BYTES:
                lines.append(f"prompt {prompt[:40]!r}...: Florence-2 takes {MAX_BYTES} bytes of UTF-8; shorten it")
        return lines

    def open(self, device: Device) -> "_Florence2":
        """Load the model; raises `ModelMissing`."""
        folder = self.folder()
        pretrained.model_type(folder, self.opens, "florence2")
        if "auto_map" in checkpoints.settings(folder):
            raise ModelMissing(
                f"{self.model}: runs by code of its own, which masklet does not; take one of florence-community's"
            )
        model = pretrained.opened("Florence2ForConditionalGeneration", folder, self.number_format(device), device)
        calls = Calls(model, self.beams, self.max_new_tokens, SHAPES[device.kind])
        tokenizer = pretrained.companion("AutoTokenizer", folder)
        processor = pretrained.companion("AutoImageProcessor", folder, backend="pil")
        return _Florence2(self, calls, tokenizer, processor)


class _Florence2:
    def __init__(self, options: Florence2, calls: Calls, tokenizer: Any, processor: Any) -> None:
        self.options, self.calls, self.tokenizer, self.processor = options, calls, tokenizer, processor
        self.signs = _signs(tokenizer, options.model)
        self.views = views_of(options.mirrored, options.scales)

    def detect(self, pictures: Sequence[Picture], prompts: Sequence[str]) -> list[Instances]:
        """Ask each prompt of each picture; boxes stand in the order of prompts, then of the answer.

        Of several views the surest box comes first.
        """
        with self.calls.lock:  # a tokenizer is not made for threads
            texts = {prompt: self._text(prompt) for prompt in prompts}
        if not texts:
            return [empty(picture.size_hw) for picture in pictures]
        size, many = self.calls.shapes.look, len(self.views)
        shown = [(picture, view) for picture in pictures for view in self.views]
        found: list[Instances] = []
        for start in range(0, len(shown), size):  # a smaller view is a larger array: few at a time
            found += self._found([view.of(picture) for picture, view in shown[start : start + size]], texts)
        parts = [found[start : start + many] for start in range(0, len(found), many)]
        return [
            as_one(part, self.views, picture.size_hw, self.options.agreed)
            for part, picture in zip(parts, pictures, strict=True)
        ]

    def _found(self, pictures: Sequence[Picture], texts: Mapping[str, list[int]]) -> list[Instances]:
        """What is found in as many pictures as are looked at together."""
        seen = self.calls.look([self._pixels(picture.rgb) for picture in pictures])
        named = self._named(seen) if self.options.gate else [None] * len(pictures)
        rows = [
            (n, prompt)
            for n, names in enumerate(named)
            for prompt in texts
            if names is None or names & content_words(prompt)
        ]
        found: dict[tuple[int, str], Instances] = {}
        for group in grouped([filled(len(texts[prompt])) for _, prompt in rows], self.calls.shapes.answer):
            asked = [rows[row] for row in group]
            readings = self.calls.read([seen[n] for n, _ in asked], [texts[prompt] for _, prompt in asked])
            for (number, prompt), answer in zip(asked, self.calls.answer(readings), strict=True):
                found[number, prompt] = self._instances(pictures[number].size_hw, prompt, answer)
        parts = [[found[n, prompt] for prompt in texts if (n, prompt) in found] for n in range(len(pictures))]
        return [concatenate(part, picture.size_hw) for part, picture in zip(parts, pictures, strict=True)]

    def _named(self, seen: Sequence[Any]) -> list[set[str] | None]:
        """The words of what the model names by itself in each picture."""
        with self.calls.lock:
            text = self._tokens(EVERYTHING)
        answers = self.calls.answer(self.calls.read(seen, [text] * len(seen)))
        with self.calls.lock:
            return [content_words(TOKENS.sub(" ", self.tokenizer.decode(list(answer.tokens)))) for answer in answers]

    def _text(self, prompt: str) -> list[int]:
        """The tokens that ask for a prompt."""
        return self._tokens(SENTENCES[self.options.task].format(prompt.strip()))

    def _tokens(self, sentence: str) -> list[int]:
        """The tokens of a sentence, as transformers' Florence2Processor writes them, less the picture's."""
        bos, eos = self.tokenizer.bos_token, self.tokenizer.eos_token
        return list(self.tokenizer(f"{bos}{sentence}{eos}", add_special_tokens=False)["input_ids"])

    def _pixels(self, rgb: Rgb) -> Any:
        """The square that the model looks at: (H, W, 3) -> (3, 768, 768) float32."""
        return self.processor(rgb, return_tensors="pt", input_data_format="channels_last")["pixel_values"][0]

    def _instances(self, size_hw: tuple[int, int], prompt: str, answer: Answer) -> Instances:
        """The boxes of an answer as rows, and what of it is none."""
        said, problems = read(answer.tokens, answer.logs, self.signs)
        said = surest(said, self.options.score)
        boxes = as_pixels(said, size_hw)
        proper = geometry.proper(boxes)
        problems += without_area(said, proper)
        if not answer.ended:
            problems.append(f"the answer was cut after {len(answer.tokens)} tokens; raise max_new_tokens")
        kept = [one for one, fits in zip(said, proper, strict=True) if fits]
        rows = Instances(
            size_hw,
            boxes[proper],
            names=("",) * len(kept),
            scores=np.array([getattr(one, self.options.score) for one in kept], np.float32),
            score_kind=(SCORE_KINDS[self.options.score],) * len(kept),
            prompts=(prompt,) * len(kept),
            source=("florence2",) * len(kept),
            extra=tuple(one.besides(self.options.score) for one in kept),
        )
        return replace(rows, unplaced=tuple((prompt, words) for words in problems))


def content_words(text: str) -> set[str]:
    """The words that say what is meant, all in one form, so that a plural is its singular.

    >>> sorted(content_words("Two dogs on the couch"))
    ['couch', 'dog', 'two']
    """
    said = re.findall(r"[^\W\d_]+", text.casefold())
    return {word.removesuffix("s") if len(word) > LEAST else word for word in said} - SMALL_WORDS


def _signs(tokenizer: Any, model: str) -> Signs:
    """Find the numbers of a tokenizer's signs; raises `ModelMissing` where it is not Florence-2's."""
    place, last, polygon, polygon_end, separator = tokenizer.convert_tokens_to_ids(
        ["<loc_0>", f"<loc_{BINS - 1}>", "<poly>", "</poly>", "<sep>"]
    )
    if last != place + BINS - 1:
        raise ModelMissing(f"{model}: its tokenizer has no <loc_0> to <loc_{BINS - 1}>; it is not Florence-2's")
    return Signs(place, polygon, polygon_end, separator, frozenset(tokenizer.added_tokens_decoder))
