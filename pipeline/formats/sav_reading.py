"""SA-V's JSON files, read from anybody: what cannot be trusted becomes a `Problem` and is left out."""

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from reprlib import repr as short
from typing import Any

import numpy as np

from pipeline import masks
from pipeline.errors import BadDataset, BadRecord
from pipeline.formats import Problem, Reading, foreign
from pipeline.formats.naming import checked
from pipeline.formats.reading import id_of, is_file, score_of
from pipeline.formats.sav_fields import ANNOTATED_EVERY, FPS, derived
from pipeline.formats.sav_rows import Cell, Film, again, found_of
from pipeline.formats.sav_sidecar import FILE, MAX_INDEX, Known, KnownClip, Sidecar, Told, parsed, side_of
from pipeline.records import FILM, Clip, Frame

AUTO, MANUAL = "_auto.json", "_manual.json"
MAX_BYTES = 1 << 27
"""Of a file; those of the release have 0.4 MB."""
SLOWEST, FASTEST = 0.001, 10_000  # frames a second
PIXELS = (".mp4", "/00000.jpg", "/00000.png")
"""Behind an id: where the film or picture is, where no sidecar says so."""


def read(place: Path, kinds: Sequence[str] = (AUTO, MANUAL)) -> Reading:
    """Read a folder's `_auto.json` files (without any, `_manual.json`; or as `kinds` says), or one file.

    Raises `BadDataset` where there is none, or where the only one cannot be read. Without our sidecar, rows have no
    class ('') and identities are SA-V's ids + 1.
    """
    files = _files(place, kinds)
    problems: list[Problem] = []
    root = place if place.is_dir() else place.parent
    side = Sidecar(root, problems)
    if len(files) == 1:
        try:
            _load(files[0][1])
        except BadRecord as error:
            raise BadDataset(f"{files[0][1]}: {'; '.join(error.args)}") from error

    def clips() -> Iterator[Clip]:
        for video_id, path in files:
            told = Told(os.path.relpath(path, root), problems)
            with told.trying(""):
                yield _clip(root, video_id, _load(path), side.clip(video_id), told)

    return Reading(side.names, clips(), problems, list(_not_read(place, kinds, files)))


def _not_read(place: Path, kinds: Sequence[str], files: Sequence[tuple[str, Path]]) -> Iterator[str]:
    """What is beside the files that are read."""
    read_kind = next((kind for kind in kinds if files and files[0][1].name.endswith(kind)), "")
    for kind in kinds if place.is_dir() and files else ():
        count = 0 if kind == read_kind else sum(1 for _ in place.rglob(f"*{kind}"))
        if count:
            name = "sav" if kind == AUTO else "sav_manual"
            yield f"{count} *{kind} files are not read: --from {name} reads those"


def _files(place: Path, kinds: Sequence[str]) -> list[tuple[str, Path]]:
    """Each clip's id and its annotation file, in the order of the ids."""
    if not place.is_dir():
        kind = next((kind for kind in kinds if place.name.endswith(kind)), ".json")
        return [(place.name.removesuffix(kind), place)]
    for kind in kinds:
        found = [path for path in place.rglob(f"*{kind}") if is_file(path)]
        if found:
            return sorted((path.relative_to(place).as_posix().removesuffix(kind), path) for path in found)
    if is_file(place / FILE):  # a run in which no film came to its end
        return []
    raise BadDataset(f"{place}: no file *{' or *'.join(kinds)}; give an SA-V folder or one of its files")


def _load(path: Path) -> dict[str, Any]:
    """A file's JSON object, which has frames; raises `BadRecord`."""
    try:
        if is_file(path) and path.stat().st_size > MAX_BYTES:
            raise BadRecord(f"has more than {MAX_BYTES >> 20} MB", "cut the film")
        if not is_file(path) and path.exists():
            raise BadRecord("is no file", "give an SA-V folder or one of its files")
        data = parsed(path.read_bytes())
    except OSError as error:
        raise BadRecord(f"{error.strerror}", "give an SA-V folder or one of its files") from error
    if not isinstance(data.get("masklet"), list) or not data["masklet"]:
        raise BadRecord("has no frames under 'masklet'", "give an SA-V file")
    return data


def _clip(root: Path, video_id: str, data: dict[str, Any], known: KnownClip | None, told: Told) -> Clip:
    """A film of its annotated frames; raises `BadRecord` where it has no size or no name."""
    size_hw = foreign.size_hw({"height": data.get("video_height"), "width": data.get("video_width")})
    rows, objects = data["masklet"], _objects(data, told)
    if str(data.get("video_id")).rpartition("/")[2] != video_id.rpartition("/")[2]:
        told("video_id", f"is {short(data.get('video_id'))}, the file's name says {short(video_id)}", "rename the file")
    frame_count, fps = _of_film(data, told)
    frames = _frames(len(rows), frame_count, fps, size_hw, told)
    if known and (len(known.objects), len(known.frames), known.size_hw) == (len(objects), len(rows), size_hw):
        objects, frames = known.objects, known.frames
    elif known:
        told("", f"the sidecar knows {len(known.objects)} objects in {len(known.frames)} frames, other than the file")
    said = _said(data, len(objects), frame_count, told)
    film = Film(size_hw, objects, said, _stability(data, len(rows), len(objects), told))
    before = told.count
    cells = [list(_cells(row, len(objects), size_hw, f"frame {at}", told)) for at, row in enumerate(rows)]
    if told.count == before:
        _check(data, cells, size_hw, told)
    name, path = (known.name, root / known.file) if known else _pixels(root, video_id, len(rows))
    found = tuple(found_of(film, at, row) for at, row in enumerate(cells))
    rewrite = None if path.parent == root / video_id else FILM
    return Clip(id_of("sav", name), name, str(path), frames, rewrite, found, side_of(known))


def _pixels(root: Path, video_id: str, frames: int) -> tuple[str, Path]:
    """The name that a clip has without a sidecar, and where its pixels are, if they are."""
    if frames > 1 and (root / video_id).is_dir() and not is_file(root / f"{video_id}{PIXELS[0]}"):
        return checked(video_id), root / video_id
    ending = next((ending for ending in PIXELS if is_file(root / f"{video_id}{ending}")), PIXELS[0])
    return checked(f"{video_id}{PurePosixPath(f'x{ending}').suffix}"), root / f"{video_id}{ending}"


def _objects(data: Mapping[str, Any], told: Told) -> tuple[Known, ...]:
    """The masklets by their ids; as many as the longest frame has, where there is no good list of them."""
    longest = max((len(row) for row in data["masklet"] if isinstance(row, list)), default=0)
    ids: list[Any] = list(range(longest))
    with told.trying("masklet_id"):
        given = _list(data.get("masklet_id"), longest)
        if not all(type(number) is int and 0 <= number < 2**63 - 1 for number in given) or len(set(given)) < longest:
            raise BadRecord(f"{short(given)} are no numbers from 0, all different")
        ids = given
    with told.trying("masklet_num"):
        if foreign.whole_number(data, "masklet_num") != longest:
            raise BadRecord(f"is {short(data['masklet_num'])}, the frames have {longest} masklets")
    return tuple(Known(number + 1) for number in ids)


def _list(values: Any, length: int) -> list[Any]:
    if not isinstance(values, list) or len(values) != length:
        raise BadRecord(f"{short(values)} is no list of {length} values")
    return values


def _of_film(data: Mapping[str, Any], told: Told) -> tuple[int | None, float]:
    """How many frames the film has, not only annotated ones, and frames a second."""
    count, fps = None, FPS
    with told.trying("video_frame_count"):
        value = foreign.whole_number(data, "video_frame_count")
        if not 1 <= value <= MAX_INDEX:
            raise BadRecord(f"is {short(value)}", "give the number of the film's frames")
        count = value
    with told.trying("video_duration"):
        (seconds,) = foreign.numbers([data.get("video_duration")]).tolist()
        if not 0 < seconds <= MAX_INDEX or (count and not SLOWEST <= count / seconds <= FASTEST):
            raise BadRecord(f"is {short(seconds)} for {count} frames", "give seconds")
        fps = round(count / seconds, 6) if count else FPS
    return count, fps


def _frames(
    annotated: int, frame_count: int | None, fps: float, size_hw: tuple[int, int], told: Told
) -> tuple[Frame, ...]:
    """The annotated frames: every fourth of the film, or as its length says."""
    every = ANNOTATED_EVERY
    if frame_count is not None and -(-frame_count // every) != annotated:
        every = -(-frame_count // annotated)
        if -(-frame_count // every) != annotated:
            told("video_frame_count", f"is {frame_count}, of which {annotated} frames are not every n-th")
    return tuple(Frame(at * every, at * every / fps, size_hw) for at in range(annotated))


def _said(data: Mapping[str, Any], objects: int, frame_count: int | None, told: Told) -> list[dict[str, Any]]:
    """What no mask shows of the film and of each object."""
    film: dict[str, Any] = {} if frame_count is None else {"frame_count": frame_count}
    for key in ("environment", "split"):
        value = data.get(f"video_{key}")
        if isinstance(value, str) and foreign.is_plain(value):
            film[key] = value
        else:
            told(f"video_{key}", f"is {short(value)}", "make it a text")
    edited: list[Any] = [0] * objects
    with told.trying("masklet_edited_frame_count"):
        given = _list(data.get("masklet_edited_frame_count"), objects)
        if not all(type(number) is int and 0 <= number <= MAX_INDEX for number in given):
            raise BadRecord(f"{short(given)} are no numbers of frames")
        edited = given
    return [film | {"edited": number} for number in edited]


def _stability(data: Mapping[str, Any], frames: int, objects: int, told: Told) -> list[list[float | None]] | None:
    """A number or None for each object in each frame; None where the file says nothing."""
    values = data.get("masklet_stability_score")
    if values in (None, [None] * objects):
        return None
    try:
        rows = _list(values, frames)
        return [[score_of(value) for value in _list(row, objects)] for row in rows]
    except BadRecord as error:
        told("masklet_stability_score", *error.args)
    return None


def _cells(row: Any, objects: int, size_hw: tuple[int, int], at: str, told: Told) -> Iterator[Cell]:
    """The masklets of a frame that can be read."""
    if not isinstance(row, list) or len(row) != objects:
        told(at, f"{short(row)} is no list of {objects} run-length codes", "give one a masklet")
        return
    for number, cell in enumerate(row):
        with told.trying(f"{at}, object {number}"):
            if not isinstance(cell, dict):
                raise BadRecord(f"{short(cell)} is no run-length code", "out of sight is a mask without a pixel")
            yield number, again(foreign.run_lengths(cell, size_hw))


def _check(data: Mapping[str, Any], cells: Sequence[Sequence[Cell]], size_hw: tuple[int, int], told: Told) -> None:
    """Tell of fields that are not what the masks say, and of masklets that are never in sight."""
    areas_px = np.array([masks.areas([code for _, code in row]) for row in cells], np.int64)
    for number in np.flatnonzero(~areas_px.any(axis=0)).tolist():
        told(f"object {number}", "is in sight in no frame", "remove it")
    for key, wanted in derived(areas_px, size_hw).items():
        with told.trying(key):
            given = _list(data.get(key), len(wanted))
            for number, (one, other) in enumerate(zip(given, wanted, strict=True)):
                if key != "masklet_id" and not _same(one, other):
                    raise BadRecord(f"is {short(one)} for object {number}, the masks say {other!r}", "write it anew")


def _same(given: Any, wanted: Any) -> bool:
    """Whether a field says the same, to the digits that release files have."""
    if isinstance(wanted, str):
        return bool(given == wanted)
    (number,) = foreign.numbers([given])
    return math.isclose(number, wanted, rel_tol=1e-6, abs_tol=1e-9)
