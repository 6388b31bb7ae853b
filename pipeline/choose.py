"""Which pictures are labelled at all: of those that look the same, one.

Before any model is asked. A picture is told by a perceptual hash of 64 bits (pHash: the low frequencies of its
brightness), which survives other sizes, compression, light and noise, and no turn and no flip.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from pipeline import hamming, media, pixels
from pipeline.records import Clip

HASH = "phash:1"
"""What is remembered of a file under this name; the number is raised when the hash may come out another."""
SMALL_PX = 128
"""A picture is made so small first: hashing it then takes a tenth, and finds the same (benchmarks/near_duplicates)."""


class Rules(BaseModel):
    """What is left out before anything is labelled; files of the same bytes always are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    near: int | None = Field(
        None,
        ge=0,
        le=hamming.MOST,
        description="leave out pictures whose perceptual hash (64 bits) is within so many bits of one that is kept: 4"
        " finds copies in another size or compression. Default: only files of the same bytes are left out",
    )


def hash_of(rgb: media.Rgb) -> int:
    """The perceptual hash of a picture: (H, W, 3) -> 64 bits."""
    import imagehash

    cv2 = pixels.opencv()
    scale = min(1.0, SMALL_PX / max(rgb.shape[:2]))
    h, w = (max(1, round(side * scale)) for side in rgb.shape[:2])
    small = cv2.resize(rgb, (w, h), interpolation=cv2.INTER_AREA)
    bits = imagehash.phash(pixels.pillow().fromarray(small)).hash
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def near_duplicates(
    clips: Sequence[Clip], hashes: Mapping[str, int], distance: int
) -> Iterator[tuple[Clip, Clip, int]]:
    """The pictures that look like one that is kept: which, like which, and the bits in which their hashes differ.

    Hashes are given under ids; a picture without one stays. In the order of ids, which are hashes of content, so that
    nothing depends on names: a picture is kept unless one that is kept before it is within the distance.
    """
    known = sorted((clip for clip in clips if clip.id in hashes), key=lambda clip: clip.id)
    values = np.array([hashes[clip.id] for clip in known], np.uint64)
    for place, survivor in enumerate(hamming.survivors(values, distance).tolist()):
        if survivor >= 0:
            yield known[place], known[survivor], int(np.bitwise_count(values[place] ^ values[survivor]))


class Seen:
    """The pictures that are kept of one film, of at most so many frames, in the order of frames."""

    def __init__(self, distance: int, frames: int) -> None:
        self.distance = distance
        self._kept = np.zeros(frames, np.uint64)
        self._count = 0

    def before(self, rgb: media.Rgb) -> bool:
        """Whether a picture looks like one that is kept; if not, it is kept."""
        value = np.uint64(hash_of(rgb))
        if (np.bitwise_count(self._kept[: self._count] ^ value) <= self.distance).any():
            return True
        self._kept[self._count] = value
        self._count += 1
        return False
