"""YOLO, read from anybody as ultralytics 8.4 reads it: what it would drop or fail on is a `Problem`."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from reprlib import repr as short
from typing import Any

from pipeline import media, yamls
from pipeline.errors import BadDataset, BadMedia, BadRecord, ConfigError
from pipeline.formats import Problem, Reading, foreign
from pipeline.formats.reading import dataset_file, is_file
from pipeline.formats.yolo_files import SPLITS, YAML, Files, find, label_of
from pipeline.formats.yolo_rows import objects
from pipeline.reasons import in_words
from pipeline.records import Clip, Frame, clip_id, empty

SMALLEST_PX = 10  # ultralytics leaves out pictures with a shorter side (its data/utils.py, check_image)
MAX_CLASSES = 100_000


def read(place: Path) -> Reading:
    """Read the dataset of a data.yaml, or of the folder it is in; raises `BadDataset` where it is no such dataset.

    The names of all pictures are held in memory; headers of pictures and labels are read one by one.
    """
    path = dataset_file(place.absolute(), (YAML, "*.yaml", "*.yml"), "YAML file", "YOLO")
    data = _data(path)
    problems: list[Problem] = []
    names = _names(data, path, problems)
    files = find(path, data, lambda *told: problems.append(Problem(*told)))

    def clips() -> Iterator[Clip]:
        labels = 0
        for name, file in sorted(files.by_name.items()):
            labels += is_file(Path(label_of(file)))
            clip = _clip(name, file, files, names, problems)
            if clip:
                yield clip
        if files.by_name and not labels:
            example = files.shown(label_of(min(files.by_name.values())))
            problems.append(Problem(path.name, "no picture has a label", f"the first one's would be {example}"))

    splits = [split for split in SPLITS if data.get(split)]
    notes = [f"splits are read as one, for they share pictures: {', '.join(splits)}"] if files.shared else []
    return Reading(names, clips(), problems, notes)


def _data(path: Path) -> dict[str, Any]:
    """What data.yaml says; of `download`, which ultralytics would run, nothing is done. Raises `BadDataset`."""
    if not is_file(path):
        raise BadDataset(f"{path}: no such file; give a {YAML} or its folder")
    try:
        data = yamls.read(path).data
    except ConfigError as error:
        raise BadDataset(str(error)) from error
    if not isinstance(data, dict) or not any(data.get(key) for key in SPLITS):
        raise BadDataset(f"{path}: is no YOLO dataset: none of {', '.join(SPLITS)} is there; say where pictures are")
    if data.get("kpt_shape"):
        raise BadDataset(f"{path}: a dataset of poses (kpt_shape), which are no masks or boxes; nothing can be done")
    return data


def _names(data: Mapping[str, Any], path: Path, problems: list[Problem]) -> dict[int, str]:
    """The classes by number; raises `BadDataset` where there is none."""
    given, count = data.get("names"), data.get("nc")
    if given is None and type(count) is int and 0 < count <= MAX_CLASSES:
        given = [f"class_{number}" for number in range(count)]
    if isinstance(given, list):
        given = {str(number): name for number, name in enumerate(given)}
    if not isinstance(given, dict) or not given:
        raise BadDataset(f"{path}: names is {short(given)}; list the classes")
    names: dict[int, str] = {}
    for key, value in given.items():
        try:
            names[_number(key, len(given))] = foreign.text({"name": _as_read(value)}, "name")
            if not isinstance(value, str):
                raise BadRecord(f"its name is read as {value}", "put it in quotes")
        except BadRecord as error:
            problems.append(Problem(f"{path.name}: class {short(key)}", *error.args))
    if count is not None and count != len(given):
        problems.append(Problem(path.name, f"nc is {short(count)}, names are {len(given)}", "remove nc"))
    return names


def _number(key: str, count: int) -> int:
    if not (key.isascii() and key.isdigit() and len(key) < 7 and int(key) < count):
        raise BadRecord(f"numbers go from 0 to {count - 1} here", "number the classes without gaps")
    return int(key)


def _as_read(value: Any) -> Any:
    """A name as ultralytics has it, which calls `yes` without quotes True."""
    return value if isinstance(value, list | dict) else str(value)


def _clip(name: str, file: str, files: Files, names: Mapping[int, str], problems: list[Problem]) -> Clip | None:
    """A picture with its objects; None where there is no picture."""
    where = files.shown(file)
    try:
        content = media.read_bytes(file)
        probe = media.probe(content)
    except BadMedia as error:
        problems.append(Problem(where, in_words(error.reason, error.detail), "replace the picture, or remove it"))
        return None
    h, w = probe.size_hw
    if min(h, w) < SMALLEST_PX:
        problems.append(Problem(where, f"{h} x {w} (h x w) pixels; ultralytics leaves it out", "remove it"))
    label = Path(label_of(file))
    found = empty(probe.size_hw)
    if is_file(label):
        found = objects(label, files.shown(str(label)), probe.size_hw, names, problems)
    return Clip(
        clip_id(content), name, file, (Frame(0, 0.0, probe.size_hw),), probe.rewrite, (found,), files.side(file)
    )
