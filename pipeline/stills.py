"""Films as still pictures, a frame each, for datasets that have pictures only."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipeline import choose, films, media
from pipeline.formats.naming import frames_folder
from pipeline.formats.writing import named_in_media_errors
from pipeline.records import Clip


@dataclass(slots=True)
class Stills:
    """Clips with every film taken apart; films are asked for twice, and decoded the first time only.

    folder   where pictures of frames lie, each until the next one is asked for
    kind     of pictures: 'png' or 'jpg'
    every    so many frames of a clip give one picture
    late     pictures stay: they are read after the last clip has come
    near     a frame is left out that is within so many bits of one of its film before it (`choose`); None: none is
    alike    how many frames were left out
    """

    folder: Path
    kind: str = "png"
    every: int = 1
    late: bool = False
    near: int | None = None
    alike: int = 0
    _made: dict[str, list[tuple[int, str, str]]] = field(default_factory=dict)

    def of(self, clip: Clip) -> Iterator[Clip]:
        """A picture as it is; each n-th frame of a film as `<film without suffix>/<number>.<kind>`, what is in sight.

        Raises `BadMedia`. The second time there are no files.
        """
        if not clip.is_film:
            yield clip
            return
        film = replace(clip, frames=clip.frames[:: self.every], found=clip.found[:: self.every])
        if clip.name in self._made:
            yield from self._again(film)
            return
        made: list[tuple[int, str, str]] = []
        seen = None if self.near is None else choose.Seen(self.near, len(film.frames))
        with named_in_media_errors(clip):
            for at, still in enumerate(films.as_pictures(film, self.folder / str(len(self._made)), self.kind)):
                if seen and seen.before(media.decode(media.read_bytes(still.path))):
                    self.alike += 1
                    self._done_with(still)
                    continue
                name = f"{frames_folder(clip.name, clip)}/{still.name}"
                made.append((at, still.id, name))
                yield replace(still, name=name, found=tuple(found.in_sight() for found in still.found), side=clip.side)
                if not self.late:
                    self._done_with(still)
        self._made[clip.name] = made

    def _done_with(self, still: Clip) -> None:
        """Remove the picture of a frame, unless it is the source's own."""
        if self.folder in Path(still.path).parents:
            Path(still.path).unlink()

    def _again(self, film: Clip) -> Iterator[Clip]:
        for at, id_, name in self._made[film.name]:
            found = tuple(found.in_sight() for found in film.found[at : at + 1])
            yield Clip(id_, name, "", (replace(film.frames[at], index=0, time_s=0.0),), None, found, film.side)
