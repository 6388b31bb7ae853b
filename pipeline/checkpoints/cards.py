"""Under which licence a model may be used, as far as its own files or the table of known models say it."""

from pathlib import Path
from typing import Any

from pipeline import yamls
from pipeline.checkpoints import names
from pipeline.checkpoints.hashes import sha256_of_file
from pipeline.checkpoints.hub import CARD
from pipeline.checkpoints.known import KNOWN, Known
from pipeline.checkpoints.meta_files import RECORD
from pipeline.errors import MaskletError

UNKNOWN = "unknown: ask who made it"


def licence(name: str) -> str:
    """The licence of a model on this machine; raises `ModelMissing` where it is not there.

    A folder is what its name says, then its own card.
    """
    place = names.found(name)
    known = None if place.is_file() else KNOWN.get(name.partition("@")[0])
    return known.licence if known else licence_of(place)


def licence_of(place: Path) -> str:
    """The licence of a file, as its hash says, whatever it is called; or of a folder."""
    if known := _by_hash(_source(place)):
        return known.licence
    unpinned = KNOWN.get(place.name)
    if place.is_file() and unpinned is not None and unpinned.sha256 is None:
        return unpinned.licence
    return _in_card(place)


def _source(place: Path) -> str | None:
    """The hash of the .pt file that a place is, or was made from."""
    if place.is_file():
        return sha256_of_file(place)
    return str(names.settings(place, RECORD).get("source_sha256")) if (place / RECORD).is_file() else None


def _by_hash(sha256: str | None) -> Known | None:
    return next((row for row in KNOWN.values() if sha256 and row.sha256 == sha256), None)


def _in_card(place: Path) -> str:
    """The `license` in the YAML head of a card, as the Hub has it."""
    try:
        _, dashes, rest = (place / CARD).read_text(encoding="utf-8", errors="replace").partition("---\n")
        head: Any = yamls.parse(rest.partition("\n---")[0], CARD).data if dashes else None
    except (OSError, MaskletError):
        return UNKNOWN
    said = head.get("license") if isinstance(head, dict) else None
    return said if isinstance(said, str) else UNKNOWN
