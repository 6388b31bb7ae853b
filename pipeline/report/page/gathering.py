"""What the page shows, looked for in one reading of the run: its figures, and bounded lists of what to draw."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from pipeline.labelled import Labelled, labelled, replayed
from pipeline.records import CONSTANT, Clip, Instances, from_blob
from pipeline.report.page.figures import Figures
from pipeline.report.page.picks import Lost, Picks, objects_of
from pipeline.store import Store

Tick = Callable[[], None]
Looks = dict[int, str]
"""Identity in a film -> the class that was last seen of it."""
Flips = dict[int, tuple[int, int]]
"""Identity in a film -> how often its class changed from one look to the next, and at which place of frames first."""


@dataclass(slots=True)
class Gathering:
    """One reading of a run; `digest` is the hash of all that it has, whatever the page shows of it.

    lowest     thresholds by class
    outlines   by clip, then by uid: how much of an object a format with outlines lost
    """

    store: Store
    picks: Picks
    lowest: Mapping[str, float]
    outlines: Mapping[str, Mapping[str, float]]
    figures: Figures = field(default_factory=Figures)
    digest: str = ""

    def read(self, tick: Tick) -> None:
        """Add up the figures, and keep what the page will show."""
        run = hashlib.sha256()
        for one in labelled(self.store):
            run.update(one.digest.encode("ascii"))
            looks, flips = Looks(), Flips()
            found: list[Instances] = []
            for part in range(len(one.parts)):
                found += self._part(one, part, len(found), looks, flips).found
            whole = replace(one.whole, found=tuple(found))
            self.figures.add(whole)
            self.picks.add(whole, objects_of(whole, self.lowest, self.outlines.get(whole.id, {}), flips))
            tick()
        self.digest = run.hexdigest()

    def _part(self, one: Labelled, part: int, begin: int, looks: Looks, flips: Flips) -> Clip:
        """A part with all that was found; what went on the way is taken down."""
        clip, chain = one.parts[part]
        for step, key in enumerate(chain.keys):
            stage = self.store.stage(key)
            for number, drop in enumerate(self.store.drops(key)):
                self.figures.lost[stage, drop.reason] += 1
                found = clip.found[drop.at] if clip.found else None
                if found is not None and drop.row is not None:
                    lost = Lost(one.whole.name, part, step, number, stage, drop.reason)
                    self.picks.add_lost(lost, score_of(found, drop.row))
            if stage == "identify":
                _count_flips(clip, self.store.blob(key), begin, looks, flips)
            clip = replayed(clip, [key], self.store)
        return clip


def score_of(found: Instances, row: int) -> float | None:
    """A row's score; None where its detector gave none."""
    constant = found.score_kind is not None and found.score_kind[row] == CONSTANT
    return None if found.scores is None or constant else round(float(found.scores[row]), 4)


def _count_flips(clip: Clip, blob: bytes, begin: int, looks: Looks, flips: Flips) -> None:
    """How often the class of an identity changes from one look to the next, as its tracker wrote it down."""
    for at, (before, change) in enumerate(zip(clip.found, from_blob(blob), strict=True)):
        numbers = change.columns.get("track_ids", ())
        for row, number in zip(change.kept or (), numbers, strict=True):
            look = before.extra[row].get("look") if before.extra else None
            if look is None:
                continue
            before_it = looks.get(int(number), look[0])
            looks[int(number)] = look[0]
            if before_it != look[0]:
                count, first = flips.get(int(number), (0, begin + at))
                flips[int(number)] = count + 1, first
