"""YouTube-VIS, read from anybody: what cannot be trusted becomes a `Problem` and is left out."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from itertools import count
from pathlib import Path, PurePosixPath
from reprlib import repr as short
from typing import Any, NamedTuple

import numpy as np

from pipeline import films
from pipeline.errors import BadDataset, BadRecord
from pipeline.formats import Problem, Reading, foreign, sides
from pipeline.formats.json_items import Waiting, category, class_of, load, new, passing, waiting_for
from pipeline.formats.naming import checked
from pipeline.formats.reading import Row, box_of, dataset_file, extra_of, id_of, instances_of, is_file, score_of
from pipeline.geometry import as_boxes
from pipeline.records import FILM, Clip, Frame, Instances

KIND = "YouTube-VIS"
NEEDED = ("videos", "annotations", "categories")
PATTERNS = ("annotations.json", "instances*.json", "*.json")
FOLDERS = ("images", "JPEGImages", "")
"""Where pictures and films are, seen from the annotation file: ours, YouTube-VIS' own, or beside it."""
FRAMES_A_SECOND = 6
"""YouTube-VIS has every fifth frame of films of 30 a second (Yang et al. 2019); other files say no times."""
LARGEST = 2**53  # of frame numbers and times: whole numbers that a float64 keeps

Listed = Callable[[str], Mapping[str, int]]
"""Takes a path; gives the files there with the numbers of their frames, where it is a folder of some."""


class Video(NamedTuple):
    """One entry of the list of videos in our terms."""

    number: int
    name: str
    path: str
    frames: tuple[Frame, ...]
    rewrite: str | None


class Track(NamedTuple):
    """One annotation: its own number if it has one, and a row a frame; None where there is none."""

    identity: int | None
    rows: list[Row | None]
    visible: list[bool]


def read(place: Path) -> Reading:
    """Read the annotation file at `place`, or in that folder; raises `BadDataset` where it is no YouTube-VIS file.

    The list of videos is held in memory; annotations wait in a nameless file, and masks are made video by video. A clip
    has the name of its film, or of the folder that its frames are in; its path is that folder, where it is there, and
    then its frames have the numbers by which they are found in it (`films.numbered`).
    """
    files = _files(place)
    problems: list[Problem] = []
    taken: set[str] = set()
    read = [_read(path, side if sides.told(files) else "", problems, taken) for side, path in files.items()]
    names = read[0][0]
    for path, (others, _) in zip(files.values(), read, strict=True):
        if others != names:
            raise BadDataset(f"{path}: has other categories than {next(iter(files.values()))}; name the one to read")
    return Reading(names, sides.in_order_of_names(clips for _, clips in read), problems)


def _files(place: Path) -> dict[str, Path]:
    """The annotation files by their sides; '' is that of a dataset that has one."""
    there = {side: place / side / PATTERNS[0] for side in sides.SIDES if is_file(place / side / PATTERNS[0])}
    if there and not is_file(place / PATTERNS[0]):
        return there
    return {"": dataset_file(place, PATTERNS, "annotation file", KIND)}


def _read(path: Path, side: str, problems: list[Problem], taken: set[str]) -> tuple[dict[int, str], Iterator[Clip]]:
    """The classes and the clips of one file; a name that is `taken` by another side's clip gets its side before it."""
    waiting = Waiting()
    lists = load(path, waiting, NEEDED, KIND)
    where = sides.below(side, path.name)
    told = partial(passing, where, problems)
    names = dict(told("category", lists["categories"], partial(category, seen=set())))
    video = partial(_video, place=path.parent, listed=lru_cache(2)(_listed), numbers=set(), names=set())
    videos = list(told("video", lists["videos"], video))
    places = waiting_for((video.number for video in videos), "video_id", waiting, told)

    def clips() -> Iterator[Clip]:
        for video in videos:
            track = partial(_track, video=video, names=names, seen=set())
            tracks = list(told("annotation", map(waiting.item, places.pop(video.number)), track))
            name = sides.below(side, video.name) if video.name in taken else video.name
            taken.add(name)
            found = _found(tracks, video)
            yield Clip(id_of("youtube_vis", name), name, video.path, video.frames, video.rewrite, found, side)

    return names, clips()


def _video(item: dict[str, Any], place: Path, listed: Listed, numbers: set[int], names: set[str]) -> Video:
    files, size_hw = item.get("file_names"), foreign.size_hw(item)
    if not isinstance(files, list) or not files:
        raise BadRecord(f"file_names is {short(files)}", "list a file a frame")
    files = [checked(foreign.text({"a file name": file}, "a file name")) for file in files]
    if "length" in item and foreign.whole_number(item, "length") != len(files):
        raise BadRecord(f"length is {short(item['length'])}, file_names has {len(files)}", "make the two agree")
    name = checked(foreign.text(item, "name")) if item.get("name") is not None else _name(files)
    if name in names:
        raise BadRecord(f"another video has the name {name!r}", "merge the two, or give each a 'name'")
    film = files != [name]
    path = _of_film(place, name, files) if film else _path(place, name)
    frames = zip(*_when(item, files, path, listed), strict=True)
    whole = tuple(Frame(int(index), time_s, size_hw) for index, time_s in frames)
    video = Video(new(item, numbers), name, path, whole, FILM if film else None)
    names.add(name)
    return video


def _of_film(place: Path, name: str, files: Sequence[str]) -> str:
    """The folder of a film's frames; where that is not there, the film itself, if it is."""
    folders = {str(PurePosixPath(file).parent) for file in files}
    if len(folders) > 1:
        raise BadRecord("its frames lie in several folders", "put them into one")
    frames, film = _path(place, folders.pop()), _path(place, name)
    return frames if Path(frames).is_dir() or not Path(film).is_file() else film


def _name(files: Sequence[str]) -> str:
    """A still picture's own name; the folder of a film's frames, or the first of them where they are in none."""
    folder = str(PurePosixPath(files[0]).parent)
    return files[0] if len(files) == 1 or folder == "." else folder


def _listed(path: str) -> dict[str, int]:
    """The frames in a folder by name, with their numbers; none of what is no folder."""
    if not os.path.isdir(path):  # noqa: PTH112
        return {}
    return {file.name: number for number, file in films.numbered(Path(path)).items()}


def _when(
    item: Mapping[str, Any], files: Sequence[str], path: str, listed: Listed
) -> tuple[Sequence[float], list[float]]:
    """The number of each frame in its film, and its time in seconds; a file that is missing has no other's number."""
    length = len(files)
    indices: Sequence[float] = _numbers(item, "frame_index", length) or range(length)
    if any(index % 1 for index in indices):
        raise BadRecord("frame_index has broken numbers", "make them whole numbers")
    if known := listed(path):
        taken, beyond = set(known.values()), count(max(known.values()) + 1)
        missing = (index if index not in taken else next(beyond) for index in indices)
        indices = [known.get(PurePosixPath(file).name, number) for file, number in zip(files, missing, strict=True)]
    return indices, _numbers(item, "time_s", length) or [round(index / FRAMES_A_SECOND, 6) for index in range(length)]


def _numbers(item: Mapping[str, Any], key: str, length: int) -> list[float] | None:
    if item.get(key) is None:
        return None
    values: list[float] = foreign.numbers(item[key]).tolist()
    if len(values) != length or not all(0 <= value <= LARGEST for value in values):
        raise BadRecord(f"{key} is {short(item[key])}", f"give {length} numbers from 0, one a frame")
    return values


def _track(item: dict[str, Any], video: Video, names: dict[int, str], seen: set[int]) -> Track:
    name, length = class_of(item, names), len(video.frames)
    shapes, bboxes = _a_frame_each(item, "segmentations", length), _a_frame_each(item, "bboxes", length)
    common, said = _attributes(item, length)
    identity = _identity(common, seen)
    entries = list(zip(said, shapes, bboxes, strict=True))
    rows = [
        None if entry == (None, None, None) else _row(item, name, common, entry, index, video)
        for index, entry in enumerate(entries)
    ]
    visible = [row is not None and bool(row.box_xyxy.any()) for row in rows]
    if not any(visible):
        raise BadRecord("is in sight in no frame", "remove it")
    if identity is not None:
        seen.add(identity)
    return Track(identity, rows, visible)


def _a_frame_each(item: Mapping[str, Any], key: str, length: int) -> list[Any]:
    values = item.get(key)
    if values is None:
        return [None] * length
    if not isinstance(values, list) or len(values) != length:
        many = f"has {len(values)} entries" if isinstance(values, list) else f"is {short(values)}"
        raise BadRecord(f"{key} {many}, the video has {length} frames", "give one a frame, null where it is not seen")
    return values


def _attributes(item: Mapping[str, Any], length: int) -> tuple[dict[str, Any], list[Any]]:
    """What is said of the whole track, and of each frame: None where our own record had no row."""
    attributes = item.get("attributes")
    common = dict(attributes) if isinstance(attributes, dict) else {}
    said = common.pop("frames", None)
    ours = isinstance(said, list) and len(said) == length and all(one is None or isinstance(one, dict) for one in said)
    return common, said if ours and said is not None else [{}] * length


def _identity(common: dict[str, Any], seen: set[int]) -> int | None:
    if common.get("track_id") is None:
        return None
    identity = foreign.whole_number(common, "track_id")
    if not 1 <= identity < 2**63 or identity in seen:
        raise BadRecord(f"track_id is {short(identity)}", "give every track of a video its own number from 1")
    del common["track_id"]
    return identity


def _row(
    item: Mapping[str, Any], name: str, common: dict[str, Any], entry: tuple[Any, Any, Any], index: int, video: Video
) -> Row:
    """A track in one frame: `entry` is what is said, segmentation, bbox. A box of zeros where it is not in sight."""
    said, shape, bbox = entry
    size_hw = video.frames[index].size_hw
    try:
        code = foreign.mask(shape, size_hw)
        box_xyxy = as_boxes((0, 0, 0, 0))[0] if (bbox, code) == (None, None) else box_of(bbox, code, size_hw)
        extra = extra_of(common | (said or {}), "youtube_vis", annotation=item["id"])
        score = score_of(extra.pop("score", item.get("score")))
    except BadRecord as error:
        what, *mend = error.args
        raise BadRecord(f"frame {index}: {what}", *mend) from error
    if item.get("iscrowd") == 1:
        extra["iscrowd"] = 1
    return Row(name, box_xyxy, code, score, extra.pop("source"), extra)


def _found(tracks: Sequence[Track], video: Video) -> tuple[Instances, ...]:
    """The rows of every frame, with identities; a still picture has those that the file gives it, or none."""
    taken = {track.identity for track in tracks}
    free = (number for number in count(1) if number not in taken)
    identities = [next(free) if track.identity is None else track.identity for track in tracks]
    film = len(video.frames) > 1
    out = []
    for index, frame in enumerate(video.frames):
        there = [
            (number, track) for number, track in zip(identities, tracks, strict=True) if track.rows[index] is not None
        ]
        columns: dict[str, Any] = {}
        if film or taken - {None}:
            columns["track_ids"] = np.array([number for number, _ in there], np.int64)
        if film:
            columns["visible"] = np.array([track.visible[index] for _, track in there], np.bool_)
        rows = [row for _, track in there if (row := track.rows[index]) is not None]
        out.append(instances_of(rows, frame.size_hw, **columns))
    return tuple(out)


def _path(place: Path, name: str) -> str:
    """Where the film, the picture or the folder of frames is; below `images` where there is none."""
    there = (str(place / folder / name) for folder in FOLDERS if os.path.exists(place / folder / name))  # noqa: PTH110
    return next(there, str(place / "images" / name))
