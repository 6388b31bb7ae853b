"""Everything that did not reach the dataset, row by row: what, where, which stage, which reason, which survivor."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pipeline.labelled import labelled, replayed
from pipeline.reasons import in_words
from pipeline.records import CONSTANT, Clip, Drop, Instances, uids
from pipeline.store import Store


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the ledger. A whole picture has no class and no box; `survivor` is what stayed in its place.

    A film that is in the dataset as far as it can be decoded has a row too, `frames_missing`; and so has a correction
    that could not be applied, `not_applied`.
    `frame` is the number of the frame, in a film.
    """

    picture: str
    stage: str
    reason: str
    detail: str = ""
    name: str = ""
    score: float | None = None
    box_xyxy: tuple[float, ...] | None = None
    survivor: str = ""
    frame: int | None = None

    @property
    def why(self) -> str:
        """The reason in words."""
        return in_words(self.reason, self.detail)


def entries(store: Store) -> Iterator[Entry]:
    """The ledger of the run as it stands: pictures first, then objects, in the order of pictures and stages."""
    for aside in store.aside():
        yield Entry(aside.name, aside.stage, aside.reason, aside.detail)
    notes = store.notes()
    for stage, reason, detail in notes:
        if reason == "not_applied":
            picture, _, why = detail.partition(": ")
            yield Entry(picture, stage, reason, why)
    missing = [(stage, detail) for stage, reason, detail in notes if reason == "frames_missing"]
    for one in labelled(store):
        head = f"{one.whole.name}: "
        for stage, detail in missing:
            if detail.startswith(head):
                yield Entry(one.whole.name, stage, "frames_missing", detail.removeprefix(head))
        for clip, chain in one.parts:
            for key in chain.keys:
                for drop in store.drops(key):
                    yield _entry(clip, store.stage(key), drop)
                clip = replayed(clip, [key], store)  # noqa: PLW2901


def _entry(clip: Clip, stage: str, drop: Drop) -> Entry:
    """A drop, with what the record before the stage said of its row."""
    found: Instances | None = clip.found[drop.at] if clip.found else None
    about: dict[str, Any] = {"frame": clip.frames[drop.at].index} if clip.is_film else {}
    if found is not None and drop.row is not None:
        about["name"] = found.names[drop.row]
        about["box_xyxy"] = tuple(float(v) for v in found.boxes_xyxy[drop.row].round(3))
        told = found.scores is not None and (found.score_kind is None or found.score_kind[drop.row] != CONSTANT)
        about["score"] = round(float(found.scores[drop.row]), 4) if told and found.scores is not None else None
    if found is not None and drop.survivor is not None:
        about["survivor"] = uids(clip.id, found)[drop.survivor]
    return Entry(clip.name, stage, drop.reason, drop.detail, **about)
