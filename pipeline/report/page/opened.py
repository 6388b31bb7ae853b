"""A picture or film of the run with all its records, and its pixels when they are asked for."""

from collections.abc import Iterator

from pipeline import films, geometry, media
from pipeline.errors import BadMedia
from pipeline.labelled import Labelled, replayed
from pipeline.media import Rgb
from pipeline.records import Clip, Drop
from pipeline.report.page.picks import Lost, Spot
from pipeline.store import Store


class Opened:
    """A picture or film of the run, with all its records; its pixels are read when they are asked for."""

    def __init__(self, one: Labelled, store: Store) -> None:
        self.one, self.store = one, store
        self.whole = one.replayed(store)
        self._begins = [0]
        for clip, _ in one.parts:
            self._begins.append(self._begins[-1] + len(clip.frames))
        self._reader = films.Reader(one.whole.path) if one.whole.is_film else None
        self._last: tuple[int, Rgb] | None = None

    def __enter__(self) -> "Opened":
        return self

    def __exit__(self, *_: object) -> None:
        if self._reader:
            self._reader.close()

    def at(self, what: Spot | Lost) -> int:
        """At which place of the frames something is."""
        return what.at if isinstance(what, Spot) else self.before(what)[2]

    def before(self, lost: Lost) -> tuple[Clip, Drop, int]:
        """The part as it was before something went, what is told of that, and at which place of the frames it was."""
        clip, chain = self.one.parts[lost.part]
        drop = self.store.drops(chain.keys[lost.step])[lost.drop]
        return replayed(clip, chain.keys[: lost.step], self.store), drop, self._begins[lost.part] + drop.at

    def rgb(self, at: int) -> Rgb:
        """The pixels of a frame: (H, W, 3). Raises `BadMedia`."""
        if self._last is None or self._last[0] != at:
            number = self.whole.frames[at].index
            self._last = at, self._reader.frame(number) if self._reader else media.Picture(self.whole).rgb
        if self._last[1].shape[:2] != self.whole.frames[at].size_hw:
            raise BadMedia("changed", "it has another size now")
        return self._last[1]


def tracks_of(clip: Clip) -> Iterator[tuple[Spot, list[list[int]]]]:
    """Each track where it is largest, and the runs of frames in which it is in sight: places, half-open."""
    runs: dict[int, list[list[int]]] = {}
    largest: dict[int, tuple[float, Spot]] = {}
    for at, found in enumerate(clip.found):
        numbers = () if found.track_ids is None else found.track_ids.tolist()
        areas = geometry.areas(found.boxes_xyxy)
        for row, number in enumerate(numbers):
            if found.visible is not None and not found.visible[row]:
                continue
            sight = runs.setdefault(number, [[at, at]])
            if sight[-1][1] < at:
                sight.append([at, at])
            sight[-1][1] = at + 1
            spot = Spot(clip.name, at, row)
            if number not in largest or areas[row] > largest[number][0]:
                largest[number] = areas[row], spot
    for number in sorted(runs):
        yield largest[number][1], runs[number]
