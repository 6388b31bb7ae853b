"""Boxes and words to second opinions: the seam, and the table of backends."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from pipeline.media import Picture
from pipeline.records import Instances
from pipeline.seams import Device, Options

VERIFIERS = {
    "clip": "pipeline.verifiers.clip:Clip",
    "fake": "pipeline.verifiers.fake:Fake",
}


class Words(NamedTuple):
    """The words for a class, and what it is to be told from: groups of words, each for one other thing."""

    own: tuple[str, ...]
    others: tuple[tuple[str, ...], ...] = ()


class Verdict(NamedTuple):
    """How likely a row is of its class rather than one of the others, 0 to 1, and the likeliest words of all."""

    share: float
    likeliest: str


class Verifier(Protocol):
    """Says whether what is in a box is what a detector took it for."""

    def verify(
        self, pictures: Sequence[Picture], found: Sequence[Instances], words: Mapping[str, Words]
    ) -> list[list[Verdict]]:
        """Judge every row of each picture, in order; `words` has the name of every row."""
        ...


class VerifierOptions(Options):
    """A verifier's options."""

    @property
    def against(self) -> tuple[str, ...]:
        """Words that the backend holds every class against, beside those it is given."""
        return ()

    def open(self, device: Device) -> Verifier:
        """Load what is heavy."""
        raise NotImplementedError
