"""A picture or a film of a run, with the results that it has: how it stands in the store, and how it is had again."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import orjson

from pipeline.records import FILM, Clip, from_blob, sha256_of
from pipeline.store import Failure, Found, Store


@dataclass(slots=True)
class Chain:
    """How far a clip has come: the keys of its results in the order of stages, and the hash of its record after them.

    `failure` is the stage's word that the clip cannot go further. The clip is stale from stage `len(keys)` on.
    """

    keys: list[str] = field(default_factory=list)
    digest: str = ""
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Labelled:
    """A picture, or a film in segments: what was asked of each part, and the clip of the whole, nothing found."""

    whole: Clip
    parts: tuple[tuple[Clip, Chain], ...]

    @property
    def digest(self) -> str:
        """The hash of all that a dataset has of it; the last part's tells what was found in the whole."""
        frames = [[frame.index, frame.time_s] for frame in self.whole.frames]
        return sha256_of([self.whole.id, frames, self.parts[-1][1].digest])

    def replayed(self, store: Store, stages: slice = slice(None)) -> Clip:
        """The whole, with what some of its stages found, from the first on."""
        clips = [replayed(clip, chain.keys[stages], store) for clip, chain in self.parts]
        return replace(self.whole, found=tuple(found for clip in clips for found in clip.found))

    def to_row(self) -> tuple[str, list[list[str]]]:
        """How it stands in the store: what it is, as JSON, and the keys of each part."""
        whole = self.whole
        head = [whole.id, whole.name, whole.path, whole.rewrite]
        return orjson.dumps([head, [clip.to_text() for clip, _ in self.parts]]).decode(), [
            c.keys for _, c in self.parts
        ]


def labelled(store: Store) -> Iterator[Labelled]:
    """The pictures and films of the run, in the order of their names."""
    for text, keys in store.pictures().values():
        (id_, name, path, rewrite), parts = orjson.loads(text)
        clips = [Clip.from_text(part) for part in parts]
        frames = tuple(frame for clip in clips for frame in clip.frames)
        chains = [Chain(own, _digest(own, store)) for own in keys]
        yield Labelled(Clip(id_, name, path, frames, rewrite), tuple(zip(clips, chains, strict=True)))


def how_many(store: Store) -> tuple[int, int]:
    """The pictures of the run, and its films."""
    heads = [orjson.loads(text)[0] for text, _ in store.pictures().values()]
    films = sum(rewrite == FILM for *_, rewrite in heads)
    return len(heads) - films, films


def _digest(keys: Sequence[str], store: Store) -> str:
    last = store.result(keys[-1])
    assert isinstance(last, Found)  # what is of the run has gone through every stage
    return last.output


def replayed(clip: Clip, keys: Sequence[str], store: Store) -> Clip:
    """The clip with what the results under `keys` found."""
    for key in keys:
        clip = clip.after(from_blob(store.blob(key)))
    return clip


class Films(Mapping[str, Clip]):
    """The films of a run by name, each read out of the store when it is asked for."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._films = {one.whole.name: one for one in labelled(store) if one.whole.is_film}

    def __getitem__(self, name: str) -> Clip:
        return self._films[name].replayed(self.store)

    def __iter__(self) -> Iterator[str]:
        return iter(self._films)

    def __len__(self) -> int:
        return len(self._films)
