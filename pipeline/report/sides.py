"""How a split came out: what is on each side, each class's share of it, and what is far from what was asked for."""

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline import split

MOST = 5  # classes named in the table of a run; `masklet status` has all


def rows(dataset: Mapping[str, Any], most: int | None = MOST) -> list[tuple[str, str]]:
    """Lines of a run's table: pictures by side, and classes that are off; nothing where there is no split."""
    sides = dataset.get("sides") or {}
    if not sides:
        return []
    off = split.uneven(sides)
    out = [("sides", ", ".join(f"{said['pictures']} {side}" for side, said in sides.items()))]
    out += [("", line) for line in off[:most]]
    return out + ([("", f"and {len(off) - most} more; `masklet status`")] if most and len(off) > most else [])


def shares(dataset: Mapping[str, Any]) -> tuple[list[tuple[str, ...]], tuple[str, ...]]:
    """A table: each class's share on each side, and how many objects it has; first what was asked for, and pictures."""
    sides = dataset["sides"]
    asked = [said["asked"] for said in sides.values()]
    total = sum(said["pictures"] for said in sides.values())
    out: list[tuple[str, ...]] = [("asked for", "", *("" if share is None else f"{share:.0%}" for share in asked))]
    out.append(("pictures", str(total), *(f"{said['pictures'] / max(total, 1):.0%}" for said in sides.values())))
    for name, by_side in split.shares(sides).items():
        objects = sum(said["by_class"].get(name, 0) for said in sides.values())
        out.append((name, str(objects), *(f"{share:.0%}" for share in by_side.values())))
    return out, ("", "all", *sides)


def alike(datasets: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[list[str], Mapping[str, Any]]]:
    """Datasets of which the same is to be said: their names, and one of them."""
    told: list[Any] = []
    for dataset in datasets.values():
        if dataset["sides"] not in told:
            told.append(dataset["sides"])
            yield [name for name, other in datasets.items() if other["sides"] == dataset["sides"]], dataset
