"""Track: detections on key frames to objects in every frame; and at the end of a film, which objects it has."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pipeline import media
from pipeline.corrections import Correction, Corrections
from pipeline.errors import blame
from pipeline.pixels import Rgb
from pipeline.records import RECORD_VERSION, Change, Clip, sha256_of
from pipeline.seams import Device
from pipeline.stages.stage import ModelStage, Stage
from pipeline.trackers import Tracker, TrackerOptions, identities

AT_THE_END = ("every", "detections", "sure")
"""Options that are not the tracker's: the first is in the frames, the others decide when the film is at its end."""


@dataclass
class Track(ModelStage):
    """Objects through the segments of a scene; the key of each has that of the segment before in it."""

    options: TrackerOptions
    device: Device
    name = "track"
    VERSION = 3
    follows = True

    def identity(self) -> dict[str, Any]:
        return {"scope": self.scope}

    @cached_property
    def scope(self) -> str:
        fingerprint = self.options.fingerprint(self.device)
        settings = {key: value for key, value in fingerprint.items() if key not in AT_THE_END}
        pixels = media.VERSION if self.looks else 0
        return sha256_of([RECORD_VERSION, self.name, self.VERSION, self.options.kind(), settings, pixels])

    def open(self) -> Tracker:
        return self.options.open(self.device)

    def follow(
        self, clip: Clip, pictures: Iterator[Rgb], state: bytes, model: Callable[[], Tracker]
    ) -> tuple[list[Change], bytes]:
        """Follow a segment from the state that the one before has left."""
        tracker = model()
        with blame(f"track ({type(self.options).__name__})"):
            return tracker.track(clip, pictures, state)


@dataclass
class Identify(Stage):
    """The objects of a film: confirmed, one class each, numbered. Its keys have those of all segments in them."""

    options: TrackerOptions
    corrections: Corrections | None = None
    name = "identify"
    VERSION = identities.VERSION

    def identity(self) -> dict[str, Any]:
        return {"detections": self.options.detections, "sure": self.options.sure}

    def lines(self, film: Clip) -> tuple[Correction, ...]:
        """What people decided about a film."""
        return self.corrections.of(film.id, film.frames[0].size_hw) if self.corrections else ()

    def roster(self) -> identities.Roster:
        """Who takes down all segments, and decides."""
        return identities.Roster(self.options)
