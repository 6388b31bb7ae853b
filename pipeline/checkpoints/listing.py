"""What can be named as a model: the table of known ones, and the folders in `checkpoints/`; what is here already."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.checkpoints import cards, hub, names
from pipeline.checkpoints.known import KNOWN
from pipeline.checkpoints.verify import OPENED_BY
from pipeline.errors import ModelMissing
from pipeline.shipped import candidates, roots


@dataclass(frozen=True, slots=True)
class Listed:
    """A model; `here` is where it is on this machine, '' if it is not."""

    name: str
    used_by: str
    licence: str
    parameters: str
    here: str
    good_at: str
    commit: str | None = None
    sha256: str | None = None


def listed() -> list[Listed]:
    """Known models, then folders of the user's and of the package that are none of these."""
    rows = {
        row.name: Listed(
            row.name,
            row.used_by,
            row.licence,
            row.parameters,
            _here(row.name),
            row.good_at,
            row.commit,
            row.sha256,
        )
        for row in KNOWN.values()
    }
    return [*rows.values(), *(row for row in _others() if row.name not in rows)]


def _here(name: str) -> str:
    """Where a known model is."""
    if (place := next(candidates(name, names.FOLDER, ()), None)) is not None:
        return str(place)
    try:
        place = names.found(name)
    except ModelMissing:
        return ""
    return "Hub cache" if place == hub.in_cache(name) else str(place)


def _others() -> Iterator[Listed]:
    """Folders in `checkpoints/`, the working folder's before the package's; of the same name the first."""
    seen = set[str]()
    for root in roots():
        for file in sorted((root / names.FOLDER).glob("*/config.json")):
            place = file.parent
            if place.name not in seen:
                seen.add(place.name)
                yield _of_folder(place)


def _of_folder(place: Path) -> Listed:
    try:
        used_by = OPENED_BY.get(str(names.settings(place).get("model_type")), "nothing in masklet")
    except ModelMissing:
        used_by = "nothing: its config.json is damaged"
    return Listed(place.name, used_by, cards.licence(str(place)), "", str(place), "")
