"""A part of a run: of the pictures and films that are kept, those whose content falls into it."""

import re
from dataclasses import dataclass

from pipeline.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Part:
    """Part `number`, from 1, of so many."""

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> "Part":
        """From '2/8'; raises `ConfigError`.

        >>> Part.parse("2/8")
        Part(number=2, of=8)
        """
        said = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
        if said is None or not 1 <= int(said[1]) <= int(said[2]):
            raise ConfigError(f"--partition: want a part and how many there are, as 2/8, got {text!r}")
        return cls(int(said[1]), int(said[2]))

    def has(self, clip_id: str) -> bool:
        """Whether a picture or film is in this part: its id is a hash, so parts are of about the same size."""
        return int(clip_id, 16) % self.of == self.number - 1

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"
