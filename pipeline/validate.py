"""What training would trip over in a dataset: all that reading it finds, its pictures, and classes without objects."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipeline.convert import looked_at
from pipeline.export import in_sight
from pipeline.formats import Problem, format_of
from pipeline.formats.sniff import format_at


@dataclass(slots=True)
class Validated:
    """What a dataset has, what is wrong with it, and what else is to be said."""

    place: str
    format: str
    pictures: int = 0
    objects: int = 0
    by_class: dict[str, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Plain values, for machines."""
        return asdict(self)


def validate(place: Path, name: str | None = None) -> Validated:
    """Read the dataset at `place` as format `name`, else as what it is; raises `BadDataset` if nothing can be read."""
    name = name or format_at(place)
    out = Validated(str(place), name)
    by_class = Counter[str]()
    with TemporaryDirectory() as folder:
        reading = format_of(name).read_with_pictures(place, Path(folder))
        for clip in looked_at(reading, out.problems):
            out.pictures += 1
            by_class.update(in_sight(clip))
            if Path(folder) in Path(clip.path).parents:
                Path(clip.path).unlink()
    whole = not out.problems
    out.objects, out.by_class = by_class.total(), dict(sorted(by_class.items()))
    out.problems += reading.problems
    out.notes = reading.notes
    counts = Counter(reading.names.values())
    for twin in [name for name, count in counts.items() if count > 1]:
        out.problems.append(Problem(f"class {twin!r}", "is there twice", "give every class one number"))
    for empty in [name for name in counts if name not in by_class and whole]:  # its pictures may be those that are gone
        out.problems.append(Problem(f"class {empty!r}", "has no object", "label some, or take the class out"))
    return out
