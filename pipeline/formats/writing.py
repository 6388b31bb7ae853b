"""What writing any dataset begins with: pictures under their names, classes by number, the mask of a row."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryFile

from pipeline import masks, media
from pipeline.errors import BadMedia, BadRecord
from pipeline.formats.naming import named
from pipeline.ontology import Ontology
from pipeline.reasons import in_words
from pipeline.records import Clip, Instances, empty


def with_pictures(
    clips: Iterable[Clip],
    folder: Path,
    hard_link: bool = False,
    stems: bool = False,
) -> Iterator[tuple[str, Clip]]:
    """Write the picture or film of each clip below `folder`, or that of its side in it; give its name, and the clip.

    Raises `BadMedia`.
    """
    for name, clip in named(clips, stems):
        with named_in_media_errors(clip):
            media.export(clip, folder / clip.side / name, hard_link)
        yield name, clip


def in_order_of_names(lines: Iterable[tuple[str, bytes]], folder: Path) -> Iterator[tuple[str, bytes]]:
    """Pairs of name and anything, sorted by name; all are taken now, and wait in a nameless file in `folder`."""
    waiting: list[tuple[str, int, int]] = []
    with ExitStack() as files:
        spool = files.enter_context(TemporaryFile(dir=folder))
        for name, line in lines:
            waiting.append((name, spool.tell(), spool.write(line)))
        kept = files.pop_all()

    def in_order() -> Iterator[tuple[str, bytes]]:
        with kept:
            for name, begin, length in sorted(waiting):
                spool.seek(begin)
                yield name, spool.read(length)

    return in_order()


def together(
    pictures: Iterable[tuple[str, Clip]], alike: Callable[[Clip], object], at_once: int
) -> Iterator[list[tuple[str, Clip]]]:
    """Consecutive still pictures of which `alike` is the same, until they have `at_once` objects."""
    group: list[tuple[str, Clip]] = []
    weight = 0
    kind: object = None
    for name, clip in pictures:
        objects, its = len(still(clip)), alike(clip)
        if group and (weight >= at_once or its != kind):
            yield group
            group, weight = [], 0
        group.append((name, clip))
        weight, kind = weight + 1 + objects, its
    if group:
        yield group


def numbers_of(ontology: Ontology) -> dict[str, int]:
    """Class name -> number, of the classes that are exported, in the order of the numbers."""
    numbers = {name: number for name, number in ontology.numbers().items() if name in ontology.names}
    return dict(sorted(numbers.items(), key=lambda item: item[1]))


def number_of(found: Instances, row: int, numbers: Mapping[str, int]) -> int:
    """The number of a row's class; raises `BadRecord` where it has none."""
    number = numbers.get(found.names[row])
    if number is None:
        raise BadRecord(f"{found.names[row]!r} is no class that is exported")
    return number


def still(clip: Clip) -> Instances:
    """What was found in a still picture; raises `BadRecord` for a film."""
    if len(clip.frames) != 1:
        raise BadRecord(f"{clip.name}: a film; this format has pictures only")
    return clip.found[0] if clip.found else empty(clip.frames[0].size_hw)


def mask_of(found: Instances, row: int) -> bytes:
    """The code of a row's mask; raises `BadRecord` where there is none."""
    code = found.masks[row] if found.masks is not None else None
    if code is None or not masks.area(code):
        raise BadRecord("has no mask")
    return code


@contextmanager
def named_in_errors(uid: str, clip: Clip) -> Iterator[None]:
    """Say which object it was where the block raises `BadRecord`."""
    try:
        yield
    except BadRecord as error:
        raise BadRecord(f"{uid} ({clip.name}): {error}") from error


@contextmanager
def named_in_media_errors(clip: Clip) -> Iterator[None]:
    """Say which picture it was where the block raises `BadMedia`."""
    try:
        yield
    except BadMedia as error:
        raise BadMedia(error.reason, f"{clip.name}: {in_words(error.reason, error.detail)}") from error
