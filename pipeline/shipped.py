"""Find a file by name: in the working folder, then in what the package carries.

masklet works from any folder. `configs/demo.yaml`, `demo.yaml` and `demo` all mean the same file, unless the working
folder has its own.
"""

from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import UnknownName, nearest

PACKAGE = Path(__file__).resolve().parent


def roots() -> list[Path]:
    """The folders that are searched, in order: working folder, wheel, source checkout."""
    places = [Path.cwd(), PACKAGE / "shipped"]
    if (PACKAGE.parent / "pyproject.toml").is_file():
        places.append(PACKAGE.parent)
    return places


def candidates(name: str, folder: str, suffixes: tuple[str, ...]) -> Iterator[Path]:
    """Every file of a kind (`configs`, `ontologies`, `checkpoints`) that `name` may mean, best first."""
    for root in roots():
        for place in (root / name, root / folder / name):
            for suffix in ("", *suffixes):
                path = place.parent / (place.name + suffix)
                if _is_file(path):
                    yield path


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # longer than a file name can be, or behind a locked door
        return False


def find(name: str, folder: str, suffixes: tuple[str, ...] = (".yaml", ".yml")) -> Path:
    """The first file called `name`; raises `UnknownName` with the nearest that exists."""
    for place in candidates(name, folder, suffixes):
        return place
    known = shipped(folder, suffixes)
    raise UnknownName(
        f"{name}: no such file, in the working folder or among what masklet carries in {folder}/"
        f" ({', '.join(known) or 'nothing'}){nearest(Path(name).stem, known)}"
    )


def shipped(folder: str, suffixes: tuple[str, ...] = (".yaml", ".yml")) -> list[str]:
    """The names that the package carries in `folder`, sorted."""
    files = (path for root in roots()[1:] for path in (root / folder).glob("*"))
    return sorted({path.stem for path in files if path.suffix in suffixes})
