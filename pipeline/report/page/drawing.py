"""The second reading: opens the pictures that the page shows, each once, and draws them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from pipeline import media, overlay
from pipeline.errors import BadMedia
from pipeline.labelled import labelled
from pipeline.reasons import in_words
from pipeline.records import Clip, Instances, empty, uids
from pipeline.report.page import doubts
from pipeline.report.page.gathering import Tick, score_of
from pipeline.report.page.opened import Opened, tracks_of
from pipeline.report.page.picks import Lost, Spot
from pipeline.report.page.views import Album, around, only
from pipeline.store import Store


class Twin(NamedTuple):
    """A file that is not in the dataset, as it looks like a picture that is: `name` is the one that is kept."""

    name: str
    other: str
    path: str
    why: str


@dataclass(slots=True)
class Card:
    """Something to look at in a gallery: a row or picture of the run, what went, or a twin."""

    gallery: str
    what: Spot | Lost | Twin
    why: Sequence[str] = ()
    said: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Drawing:
    """Draws cards.

    pictures, objects   what the page knows of them, told once each
    inside              view -> its objects
    films               those that play
    trouble             what could not be opened any more, and why
    """

    store: Store
    lowest: Mapping[str, float]
    album: Album
    pictures: list[dict[str, Any]] = field(default_factory=list)
    objects: list[dict[str, Any]] = field(default_factory=list)
    inside: dict[int, list[int]] = field(default_factory=dict)
    films: list[dict[str, Any]] = field(default_factory=list)
    trouble: dict[str, str] = field(default_factory=dict)
    _drawn: dict[Any, int] = field(default_factory=dict)
    _picture_numbers: dict[str, int] = field(default_factory=dict)
    _object_numbers: dict[Spot, int] = field(default_factory=dict)

    def draw(self, cards: Sequence[Card], most_films: int, tick: Tick) -> None:
        """Draw every card, and so many films."""
        wanted: dict[str, list[Card]] = {}
        for card in cards:
            wanted.setdefault(card.what.name, []).append(card)
        for one in labelled(self.store):
            is_shown = one.whole.is_film and len(self.films) < most_films
            if one.whole.name in wanted or is_shown:
                with Opened(one, self.store) as opened:
                    for card in sorted(
                        wanted.get(one.whole.name, []),
                        key=lambda card: 0 if isinstance(card.what, Twin) else opened.at(card.what),
                    ):
                        self._card(card, opened)
                        tick()
                    if is_shown:
                        self._film(opened)
                        tick()

    def _card(self, card: Card, opened: Opened) -> None:
        card.said = {"gallery": card.gallery, "why": [doubts.IN_WORDS.get(measure, measure) for measure in card.why]}
        card.said["picture"] = self._picture(opened.whole)
        try:
            if isinstance(card.what, Spot):
                self._spot(card, card.what, opened)
            elif isinstance(card.what, Lost):
                self._lost(card, card.what, opened)
            else:
                self._twin(card, card.what, opened)
        except BadMedia as error:
            self.trouble[card.what.name] = in_words(error.reason, error.detail)
            card.said |= {"view": None, "trouble": self.trouble[card.what.name]}

    def _spot(self, card: Card, spot: Spot, opened: Opened) -> None:
        found = opened.whole.found[spot.at]
        card.said["object"] = self._object(spot, opened.whole) if spot.row >= 0 else None
        card.said["view"] = self._view(spot.at, found, around(found, spot.row), opened)

    def _view(self, at: int, found: Instances, window: Any, opened: Opened, key: Any = ()) -> int:
        """The number of a view; its rows are objects, unless it is of a record on its way (`key`)."""
        whole = opened.whole
        known = whole.name, at, window, key
        if known not in self._drawn:
            self._drawn[known] = self.album.draw(opened.rgb(at), found, window)
            if not key:
                rows = self.album.views[self._drawn[known]].rows
                self.inside[self._drawn[known]] = [self._object(Spot(whole.name, at, row), whole) for row, _ in rows]
        return self._drawn[known]

    def _lost(self, card: Card, lost: Lost, opened: Opened) -> None:
        """What went, alone; beside it what stayed in its place."""
        before, drop, at = opened.before(lost)
        found = before.found[drop.at]
        row = drop.row or 0
        box = [round(float(side), 3) for side in found.boxes_xyxy[row]]
        code = found.masks[row] if found.masks else None
        card.said["lost"] = {
            "stage": lost.stage,
            "reason": lost.reason,
            "why": in_words(lost.reason, drop.detail),
            "class": found.names[row],
            "score": score_of(found, row),
            "box": box,
            "mask": code.decode() if code else None,
            "frame": opened.whole.frames[at].index if opened.whole.is_film else None,
        }
        window = around(found, row)
        card.said["view"] = self._view(at, only(found, [row]), window, opened, key=(lost.step, row))
        if drop.survivor is not None:
            alone = only(found, [drop.survivor])
            card.said["beside"] = self._view(at, alone, window, opened, key=(lost.step, drop.survivor))
            card.said["kept"] = found.names[drop.survivor]

    def _twin(self, card: Card, twin: Twin, opened: Opened) -> None:
        """A file that went, beside the picture that is kept."""
        card.said["lost"] = {"reason": "near_duplicate", "why": twin.why, "name": twin.other, "stage": "choose"}
        rgb = media.decode(media.read_bytes(twin.path))
        size_hw = rgb.shape[0], rgb.shape[1]
        card.said["view"] = self.album.draw(rgb, empty(size_hw), (0, 0, size_hw[1], size_hw[0]))
        found = opened.whole.found[0]
        card.said["beside"] = self._view(0, found, around(found, -1), opened)
        card.said["kept"] = twin.name

    def _picture(self, clip: Clip) -> int:
        """The number of a picture or film; told once."""
        numbers = self._picture_numbers
        if clip.name not in numbers:
            numbers[clip.name] = len(self.pictures)
            self.pictures.append({"id": clip.id, "name": clip.name, "film": clip.is_film})
        return numbers[clip.name]

    def _object(self, spot: Spot, clip: Clip) -> int:
        """The number of a row among the objects; told once."""
        numbers = self._object_numbers
        if spot not in numbers:
            numbers[spot] = len(self.objects)
            self.objects.append({"picture": self._picture(clip), **about(clip, spot, self.lowest)})
        return numbers[spot]

    def _film(self, opened: Opened) -> None:
        """A film that plays with its masks, and when each of its objects is in sight."""
        clip = opened.whole
        file = f"{self.album.inside}/{len(self.films) + 1:03}.mp4"
        try:
            overlay.film(clip, self.album.page_folder / file)
        except BadMedia as error:
            self.trouble[clip.name] = error.detail
            return
        self.album.bytes += (self.album.page_folder / file).stat().st_size
        first = clip.frames[0].time_s
        tracks = [{"object": self._object(spot, clip), "sight": sight} for spot, sight in tracks_of(clip)]
        times = [round(frame.time_s - first, 4) for frame in clip.frames]
        self.films.append({"file": file, "picture": self._picture(clip), "times": times, "tracks": tracks})


def about(clip: Clip, spot: Spot, lowest: Mapping[str, float]) -> dict[str, Any]:
    """What the page knows of a row."""
    found = clip.found[spot.at]
    row = spot.row
    one = found.take([row])
    measured = doubts.of(one, lowest)
    extra = found.extra[row] if found.extra else {}
    return {
        "uid": uids(clip.id, found)[row],
        "class": found.names[row],
        "number": row + 1 if found.track_ids is None else int(found.track_ids[row]),
        "box": [round(float(side), 3) for side in found.boxes_xyxy[row]],
        "score": score_of(found, row),
        "quality": _sure(measured["quality"]),
        "agreement": _sure(measured["agreement"]),
        "doubt": round(float(doubts.together(measured, 1)[0]), 4),
        "track": int(found.track_ids[row]) if clip.is_film and found.track_ids is not None else None,
        "frame": clip.frames[spot.at].index if clip.is_film else None,
        "source": found.source[row] if found.source else "",
        "looks_like": extra.get("looks_like"),
    }


def _sure(doubt: Any) -> float | None:
    return None if np.isnan(doubt[0]) else round(1 - float(doubt[0]), 4)
