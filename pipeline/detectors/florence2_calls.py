"""Florence-2 as calls of constant shape: look at pictures, read prompts, answer, weigh answers that beams found.

Knows tensors and tokens; knows no words and no boxes. A picture is looked at once for all prompts.
"""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from threading import Lock
from typing import Any, TypeVar

STEP = 16
"""Prompts and answers are filled up to a multiple of so many tokens."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Shapes:
    """How many pictures or prompts go through the model in one call: always as many, whatever is asked."""

    look: int
    read: int
    answer: int
    weigh: int


SHAPES = {"cpu": Shapes(1, 1, 8, 1), "cuda": Shapes(8, 32, 32, 32)}
"""A picture, or a prompt of 600 tokens, fills a CPU alone. The next token of one answer does not: it reads all
weights for one row of numbers, and for 8 rows in hardly more time."""


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """What the encoder made of a picture and a prompt: (577 + S, D), and which rows of it are no filling."""

    states: Any
    mask: Any


@dataclass(frozen=True, slots=True)
class Answer:
    """The tokens of an answer without its end, whether the model came to an end itself, and likelihoods.

    `logs` are the logarithms of the likelihood of each token, given the tokens before it.
    """

    tokens: tuple[int, ...]
    ended: bool
    logs: tuple[float, ...]


class Calls:
    """An opened `Florence2ForConditionalGeneration`; several threads may share it.

    Nothing is taken from the folder's generation_config.json. Greedy, or `beams` that stop when as many answers are
    complete; at most `max_new_tokens`; the first token is `<s>`, as in training; and any token may follow any: the
    `no_repeat_ngram_size` of 3 in the released files would forbid two boxes of a phrase to share three tokens.
    """

    def __init__(self, model: Any, beams: int, max_new_tokens: int, shapes: Shapes) -> None:
        import transformers

        if model.device.type == "cpu":
            _made_for_cpu(model)
        self.model, self.shapes, self.lock, self.greedy = model, shapes, Lock(), beams == 1
        numbers = model.config.text_config
        self.start, self.end, self.filling = numbers.decoder_start_token_id, numbers.eos_token_id, numbers.pad_token_id
        library: Any = transformers
        model.generation_config = library.GenerationConfig(
            do_sample=False,
            num_beams=beams,
            early_stopping=beams > 1,
            max_new_tokens=min(max_new_tokens, numbers.max_position_embeddings - STEP),
            forced_bos_token_id=numbers.bos_token_id,
            decoder_start_token_id=self.start,
            bos_token_id=numbers.bos_token_id,
            eos_token_id=self.end,
            pad_token_id=self.filling,
        )

    def look(self, pixels: Sequence[Any]) -> list[Any]:
        """What the model sees of pictures: B x (3, 768, 768) float32 -> B x (577, D)."""
        import torch

        seen = []
        for some, wanted in chunks(pixels, self.shapes.look):
            batch = torch.stack(some).to(self.model.device, self.model.dtype)
            with self.lock, torch.inference_mode():
                seen += list(self.model.get_image_features(batch).pooler_output)[:wanted]
        return seen

    def read(self, seen: Sequence[Any], texts: Sequence[Sequence[int]]) -> list[Reading]:
        """Read one text at one picture each; all texts are of one length when filled up."""
        import torch

        readings = []
        for some, wanted in chunks(list(zip(seen, texts, strict=True)), self.shapes.read):
            tokens = self._filled([text for _, text in some])
            mask = torch.ones(len(some), len(some[0][0]) + tokens.shape[1], dtype=torch.int64, device=tokens.device)
            for row, (views, text) in enumerate(some):
                mask[row, len(views) + len(text) :] = 0
            with self.lock, torch.inference_mode():
                words = self.model.get_input_embeddings()(tokens)
                embeddings = torch.cat([torch.stack([views for views, _ in some]), words], 1)
                states = self.model.get_encoder()(inputs_embeds=embeddings, attention_mask=mask).last_hidden_state
            readings += [Reading(*pair) for pair in zip(states, mask, strict=True)][:wanted]
        return readings

    def answer(self, readings: Sequence[Reading]) -> list[Answer]:
        """Answer prompts whose readings are of one length."""
        import torch
        from transformers import LogitsProcessorList
        from transformers.modeling_outputs import BaseModelOutput

        answers = []
        for some, wanted in chunks(readings, self.shapes.answer):
            states, mask = _stacked(some)
            best: list[Any] = []
            with self.lock, torch.inference_mode():
                rows = self.model.generate(
                    encoder_outputs=BaseModelOutput(last_hidden_state=states),
                    attention_mask=mask,
                    logits_processor=LogitsProcessorList([_keep_best(best)] if self.greedy else []),
                )
            said = [self._ended(row) for row in rows[:wanted, 1:].tolist()]
            tokens = [row for row, _ in said]
            logs = torch.stack(best, 1).tolist() if self.greedy else self.weigh(some[:wanted], tokens)
            answers += [
                Answer(row, ended, tuple(likely[: len(row)])) for (row, ended), likely in zip(said, logs, strict=False)
            ]
        return answers

    def weigh(self, readings: Sequence[Reading], answers: Sequence[Sequence[int]]) -> list[list[float]]:
        """The logarithm of the likelihood of each token of each answer: the decoder reads it once more, whole.

        Greedy answers are weighed as they are said; a beam may be dropped later, and what each token of the vocabulary
        scored at every step is too much to keep.
        """
        import torch

        logs: list[list[float]] = [[] for _ in answers]
        for rows in grouped([filled(len(answer)) for answer in answers], self.shapes.weigh):
            some, _ = next(chunks(rows, self.shapes.weigh))
            states, mask = _stacked([readings[row] for row in some])
            given = self._filled([(self.start, *answers[row][:-1]) for row in some])
            wanted = self._filled([answers[row] for row in some])
            with self.lock, torch.inference_mode():
                decoded = self.model.model.language_model.decoder(
                    input_ids=given, encoder_hidden_states=states, encoder_attention_mask=mask, use_cache=False
                ).last_hidden_state
                weighed = torch.cat([self._logs(*pair) for pair in _steps(decoded, wanted)], 1).tolist()
            for row, likely in zip(rows, weighed, strict=False):
                logs[row] = likely
        return logs

    def _logs(self, decoded: Any, wanted: Any) -> Any:
        """Log-likelihoods of the tokens wanted: (B, S, D), (B, S) -> (B, S) float32."""
        import torch

        logits = self.model.lm_head(decoded).float()
        return torch.log_softmax(logits, -1).gather(-1, wanted[..., None])[..., 0]

    def _filled(self, texts: Sequence[Sequence[int]]) -> Any:
        """Texts of one length when filled up, one below the other: (B, S)."""
        import torch

        length = filled(max(len(text) for text in texts))
        rows = [[*text, *[self.filling] * (length - len(text))] for text in texts]
        return torch.tensor(rows, device=self.model.device)

    def _ended(self, row: Sequence[int]) -> tuple[tuple[int, ...], bool]:
        """A row up to its end, and whether it has one; what follows is filling."""
        ended = self.end in row
        return tuple(row[: row.index(self.end)] if ended else row), ended


def _made_for_cpu(model: Any) -> None:
    """Let a model look and answer a little sooner; what it says differs by as much as any two orders of a sum.

    DaViT turns pictures to colours-last at every other step. Where one new token attends to 600, torch's fused kernel
    multiplies head by head and row by row; oneDNN, called so often, takes twice as long as for all at once.
    """
    import torch

    model.model.vision_tower.to(memory_format=torch.channels_last)
    decoder = model.model.language_model.decoder
    apart = deepcopy(decoder.config)  # which the encoder shares
    for part in decoder.modules():
        if hasattr(part, "config"):
            part.config = apart
    decoder.set_attn_implementation("eager")


def _keep_best(logs: list[Any]) -> Any:
    """What watches a greedy answer grow, and keeps the log-likelihood of each row's likeliest token: the one chosen."""

    def watch(_: Any, logits: Any) -> Any:
        logs.append(logits.log_softmax(-1).amax(-1))
        return logits

    return watch


def chunks(items: Sequence[T], size: int) -> Iterator[tuple[list[T], int]]:
    """Items, `size` at a time, and how many of these are wanted: the last chunk is filled up with its last item.

    >>> list(chunks("abc", 2))
    [(['a', 'b'], 2), (['c', 'c'], 1)]
    """
    for start in range(0, len(items), size):
        some = list(items[start : start + size])
        yield some + some[-1:] * (size - len(some)), len(some)


def grouped(lengths: Sequence[int], size: int) -> Iterator[list[int]]:
    """Numbers of rows of one length, at most `size` together.

    >>> list(grouped([16, 32, 16, 16], 2))
    [[0, 2], [3], [1]]
    """
    for length in sorted(set(lengths)):
        rows = [row for row, other in enumerate(lengths) if other == length]
        yield from (rows[start : start + size] for start in range(0, len(rows), size))


def filled(length: int) -> int:
    """The next multiple of `STEP` above a length, by that length alone.

    Above, never equal: where no row of a call has filling, transformers drops the mask, and a kernel with other last
    bits runs.

    >>> [filled(15), filled(16)]
    [16, 32]
    """
    return (length // STEP + 1) * STEP


def _stacked(readings: Sequence[Reading]) -> tuple[Any, Any]:
    import torch

    return torch.stack([one.states for one in readings]), torch.stack([one.mask for one in readings])


def _steps(*columns: Any) -> Iterator[tuple[Any, ...]]:
    """Tensors of (B, S, ...) cut along S into pieces of `STEP`, side by side."""
    return zip(*(column.split(STEP, 1) for column in columns), strict=True)
