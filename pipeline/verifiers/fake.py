"""Second opinions out of nothing, for tests and dry runs: always as sure, pixels are not looked at."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from pydantic import Field

from pipeline.media import Picture
from pipeline.records import Instances
from pipeline.seams import Device
from pipeline.verifiers import Verdict, VerifierOptions, Words


class Fake(VerifierOptions):
    """Every row is of its class with the probability `share`; from a half on it looks like its own words."""

    looks: ClassVar[bool] = False

    share: float = Field(1.0, ge=0, le=1)

    def open(self, device: Device) -> "_Fake":
        """Nothing to load."""
        return _Fake(self.share)


class _Fake:
    def __init__(self, share: float) -> None:
        self.share = share

    def verify(
        self, pictures: Sequence[Picture], found: Sequence[Instances], words: Mapping[str, Words]
    ) -> list[list[Verdict]]:
        """Say the same of every row."""
        return [[self._of(words[name]) for name in rows.names] for rows in found]

    def _of(self, words: Words) -> Verdict:
        other = words.others[0][0] if words.others and self.share < 0.5 else words.own[0]
        return Verdict(self.share, other)
