"""Films as still pictures, a frame each, for datasets that have pictures only."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipeline import films
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
    """

    folder: Path
    kind: str = "png"
    every: int = 1
    late: bool = False
    _made: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

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
        made = []
        with named_in_media_errors(clip):
            for still in films.as_pictures(film, self.folder / str(len(self._made)), self.kind):
                name = f"{frames_folder(clip.name, clip)}/{still.name}"
                made.append((still.id, name))
                yield replace(still, name=name, found=tuple(found.in_sight() for found in still.found))
                if not self.late and self.folder in Path(still.path).parents:
                    Path(still.path).unlink()
        self._made[clip.name] = made

    def _again(self, film: Clip) -> Iterator[Clip]:
        for at, (id_, name) in enumerate(self._made[film.name]):
            found = tuple(found.in_sight() for found in film.found[at : at + 1])
            yield Clip(id_, name, "", (replace(film.frames[at], index=0, time_s=0.0),), None, found)
