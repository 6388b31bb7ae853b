"""What every stage is: a verb on a batch of clips, what its answer depends on, and what its model said before.

A stage knows nothing of files, keys of other stages, batches in flight or the store.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

from pipeline import media
from pipeline.media import Picture
from pipeline.records import RECORD_VERSION, Change, Clip, Instances, sha256_of
from pipeline.seams import Device, Options

Ask = Callable[[Callable[..., list[Instances]], Sequence[Picture], Sequence[Any]], list[Instances]]
"""Calls a model's verb on pictures and one more column; makes the batch smaller when memory runs out."""


@dataclass
class Memory:
    """What a model said before of the clips at hand: (clip id, part) -> bytes; `new` is what it says now."""

    known: Mapping[tuple[str, str], bytes] = field(default_factory=dict)
    new: dict[tuple[str, str], bytes] = field(default_factory=dict)

    def get(self, clip: Clip, part: str) -> bytes | None:
        """What was said of a part of a clip, now or before."""
        key = (clip.id, part)
        return self.new.get(key, self.known.get(key))


@dataclass
class Batch:
    """Clips that go through a stage together: their pictures, what models said of them, and how to ask for more.

    `model` opens the stage's backend when it is first called for. `ask` calls a verb of it on some pictures and one
    more column, with fewer at a time when memory runs out.
    """

    clips: Sequence[Clip]
    pictures: Sequence[Picture]
    memory: Memory
    model: Callable[[], Any]
    ask: Ask


class Stage:
    """What the engine needs to know of every stage."""

    name: ClassVar[str]
    VERSION: ClassVar[int]
    follows: ClassVar[bool] = False
    """Whether its answer for a segment of a film needs that for the segment before."""
    looks: bool = False
    """Whether its backend looks at pixels."""

    def identity(self) -> dict[str, Any]:
        """All that its answer depends on besides the clip: plain JSON values."""
        raise NotImplementedError

    @cached_property
    def scope(self) -> str:
        """The hash under which its model's answers are remembered; '' if it has no model."""
        return ""

    @cached_property
    def _self_hash(self) -> str:
        return sha256_of([RECORD_VERSION, self.name, self.VERSION, self.identity()])

    def key(self, clip: Clip, input_digest: str, *before: str) -> str:
        """The key of its answer for a clip whose record has this digest, and of what it takes from other clips."""
        return sha256_of([self._self_hash, input_digest, *self.named(clip), *before])

    def film_key(self, clip: Clip, input_digest: str, before: str) -> str:
        """The key for a segment of a film; `before` is that of the segment before, '' for the first of a scene."""
        return self.key(clip, input_digest, before) if self.follows and before else self.key(clip, input_digest)

    @property
    def model_name(self) -> str:
        """Under which its model is kept open: stages with the same name of a model have the same model."""
        return self.name

    def named(self, clip: Clip) -> list[str]:
        """The clip's name, if its backend goes by names."""
        return []

    def open(self) -> Any:
        """Load its model, if it has one."""
        return None

    def will_ask(self, clip: Clip, memory: Memory) -> bool:
        """Whether its model has to be asked anything about a clip."""
        return False

    def changes(self, batch: Batch) -> list[Change]:
        """One change a clip, in order."""
        raise NotImplementedError


class ModelStage(Stage):
    """A stage with a backend: a dataclass with at least these fields."""

    options: Options
    device: Device

    def __post_init__(self) -> None:
        self.looks = self.options.looks

    @cached_property
    def scope(self) -> str:
        """The hash of the model and all that its answers depend on besides the clip."""
        pixels = media.VERSION if self.looks else 0
        made_by = [self.name, self.VERSION, self.options.kind(), self.options.fingerprint(self.device), pixels]
        return sha256_of([RECORD_VERSION, *made_by])
