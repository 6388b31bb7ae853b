"""`report.html`: a page for the people who look at what was made, the worst first. It corrects, too.

The run is read twice: once for the figures and for bounded lists of what is worth a look (`gathering`, `picks`), once
to draw these (`drawing`, `views`). So neither memory nor the page grows with the number of pictures.
"""

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import sources
from pipeline.config import Config
from pipeline.engine import Nobody, Watch
from pipeline.errors import MaskletError
from pipeline.labelled import how_many
from pipeline.process import write_whole
from pipeline.reasons import in_words
from pipeline.records import sha256_of
from pipeline.report.page import html, picks
from pipeline.report.page.drawing import Card, Drawing, Twin
from pipeline.report.page.gathering import Gathering
from pipeline.report.page.shown import figures_shown
from pipeline.report.page.views import Album
from pipeline.select import thresholds
from pipeline.store import Aside, Store

NAME, FOLDER = "report.html", "report"
"""The page, and beside it the folder of its pictures and films."""
OURS = ("[0-9]*.jpg", "[0-9]*.mp4")
PAIRS = ("duplicate", "near_duplicate")
FAITHFUL = 0.98
"""An outline that overlaps its mask so much has lost nothing that is worth a look."""


@dataclass(frozen=True, slots=True)
class Written:
    """A page: where it is, how many pictures and films it shows, how many bytes it has with them."""

    page: str
    pictures: int
    films: int
    bytes: int


def write(
    run: Path,
    store: Store,
    config: Config,
    summary: Mapping[str, Any],
    most: int = 200,
    most_films: int = 20,
    seed: int = 1,
    watch: Watch | None = None,
) -> Written:
    """Write `report.html` and its pictures into the run's folder: at most so many pictures and films."""
    lowest = thresholds(config.select, config.ontology)
    gathering = Gathering(store, picks.Picks(most, seed), lowest, _outlines(summary))
    watch = watch or Nobody()

    def tick() -> None:
        watch.step(1)

    watch.begin("reading the run", sum(how_many(store)))
    gathering.read(tick)
    _make_room(run / FOLDER)
    drawing = Drawing(store, lowest, Album(run, FOLDER))
    cards = [*_cards(gathering.picks), *_twins(store.aside(), config, gathering.picks)]
    watch.begin("drawing", len(cards))
    drawing.draw(cards, most_films, tick)
    figures = figures_shown(run, store, config, summary, gathering.figures, drawing.trouble)
    text = html.page(figures, _data(run, config, gathering.digest, cards, drawing))
    write_whole(run / NAME, text)
    size = drawing.album.bytes + len(text.encode("utf-8"))
    return Written(str(run / NAME), len(drawing.album.views), len(drawing.films), size)


def _cards(chosen: picks.Picks) -> Iterator[Card]:
    """The cards of the run's own galleries, in the order in which they are shown."""
    yield from (Card("check", spot) for spot in chosen.to_check())
    yield from (Card("worst", spot, why) for spot, why in chosen.worst_first())
    yield from (Card("random", spot) for spot in chosen.chance.ranked())
    yield from (Card("classes", spot) for _, spot in chosen.a_few_of_each())
    ranked = {reason: best.ranked() for reason, best in sorted(chosen.lost.items())}
    beside = [own for reason, own in ranked.items() if reason in picks.SIDE_BY_SIDE]
    alone = [own for reason, own in ranked.items() if reason not in picks.SIDE_BY_SIDE]
    yield from (Card("duplicates", lost) for lost in picks.in_turn(beside)[: chosen.room("duplicates") // 2])
    yield from (Card("dropped", lost) for lost in picks.in_turn(alone)[: chosen.room("dropped")])


def _twins(aside: Iterable[Aside], config: Config, chosen: picks.Picks) -> Iterator[Card]:
    """Files that look like a picture that is kept, beside it; as many as there is room for."""
    room = max(1, chosen.room("duplicates") // 4)
    best = picks.Best(room)
    for one in aside:
        if one.reason in PAIRS:
            kept = one.detail.removeprefix("of ")
            kept = kept.rpartition(", distance ")[0] if one.reason == "near_duplicate" else kept
            best.add(picks.luck(chosen.seed, one.name), (one.name, kept, in_words(one.reason, one.detail)))
    wanted = best.ranked()
    paths: dict[str, str] = {}
    if wanted:
        names = {name for name, *_ in wanted}
        try:
            paths = {file.name: file.path for file in sources.files(config.source) if file.name in names}
        except MaskletError:  # the source is gone: nothing can be shown of it
            return
    yield from (Card("duplicates", Twin(kept, name, paths[name], why)) for name, kept, why in wanted if name in paths)


def _outlines(summary: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """What was lost of objects where a format has outlines: by clip, then by uid."""
    lost: dict[str, dict[str, float]] = {}
    for dataset in summary.get("datasets", {}).values():
        told = dataset["fidelity"]
        for uid, _, iou, _ in (*told.get("worst", ()), *told.get("poor", ())):
            if iou < FAITHFUL:
                own = lost.setdefault(uid.partition("/")[0], {})
                own[uid] = max(own.get(uid, 0.0), 1 - iou)
    return lost


def command(run: Path, config: Config) -> str:
    """What a person types to have what the page downloads read by the next run."""
    there = config.corrections.paths[0] if config.corrections else ""
    folder = there if there and not there.endswith(".jsonl") else "corrections"
    again = f"masklet run {shlex.quote(str(run / 'config.yaml'))} --out {shlex.quote(str(run))}"
    said = folder if folder == "corrections" else shlex.quote(json.dumps(folder))  # YAML takes "1" for a number
    more = "" if there == folder else f" corrections={said}"
    return f"mkdir -p {shlex.quote(folder)}\nmv ~/Downloads/corrections-*.jsonl {shlex.quote(folder)}\n{again}{more}"


def _make_room(folder: Path) -> None:
    """A folder without pictures of an older page."""
    folder.mkdir(exist_ok=True)
    for pattern in OURS:
        for old in folder.glob(pattern):
            old.unlink()


def _data(run: Path, config: Config, digest: str, cards: Iterable[Card], drawing: Drawing) -> dict[str, Any]:
    """What the script of the page reads."""
    views = [
        {
            "file": view.file,
            "plain": view.plain,
            "window": view.window,
            "hw": view.hw,
            "objects": drawing.inside.get(number, []),
            "masks": [code for _, code in view.rows] if number in drawing.inside else [],
        }
        for number, view in enumerate(drawing.album.views)
    ]
    name = run.absolute().name
    about = {"name": name, "id": sha256_of([name, digest])[:16]}
    return {
        "version": 1,
        "run": about,
        "classes": list(config.ontology.names),
        "thresholds": thresholds(config.select, config.ontology),
        "pictures": drawing.pictures,
        "objects": drawing.objects,
        "views": views,
        "cards": [card.said for card in cards if card.said],
        "films": drawing.films,
        "clicks": config.segment.mends,
        "command": command(run, config),
    }
