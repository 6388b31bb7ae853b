"""What became of people's corrections, in rows for a table."""

from collections.abc import Mapping, Sequence
from typing import Any

NOTES = 20
"""Notes that are shown; all of them are in summary.json and in the ledger."""


def rows(told: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What was applied, kind by kind, what was not, and what people did to each class; nothing of nothing."""
    if not told:
        return []
    applied = ", ".join(f"{count} {kind}" for kind, count in told["applied"].items()) or "none"
    void = f", {told['overruled']} overruled by later ones" if told["overruled"] else ""
    out = [("corrections", f"{sum(told['applied'].values())} of {told['lines']} applied ({applied}){void}")]
    if told["not_applied"]:
        out.append(("", f"{told['not_applied']} could not be applied: see the notes"))
    for name, did in told["by_class"].items():
        out.append(("", f"{name}: " + ", ".join(f"{count} {what}" for what, count in did.items())))
    return out


def note_rows(notes: Sequence[str]) -> list[tuple[str, str]]:
    """The first notes, and how many more there are."""
    more = len(notes) - NOTES
    last = [("", f"and {more} more: `masklet status RUN --ledger`")] if more > 0 else []
    return [*(("note", note) for note in notes[:NOTES]), *last]
