"""YouTube-VIS: `images/` and `annotations.json`, a track an annotation, with a mask or null for every frame.

A still picture is a video of one frame. The frames of a film are pictures, `images/<film without suffix>/<number>.png`,
or `.jpg` on request; the number is that in the film. Of a split dataset each side has a folder with the two, and
numbers are given over all. What is made of anybody's file is in `youtube_vis_reading`.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pipeline import films, media
from pipeline.errors import BadRecord
from pipeline.formats import SEVERAL_SIZES, Format, of_one_size
from pipeline.formats.coco import line_of, write_head, write_list
from pipeline.formats.coco_rows import parsed
from pipeline.formats.naming import frames_folder, named
from pipeline.formats.writing import in_order_of_names, named_in_media_errors, numbers_of
from pipeline.formats.youtube_vis_reading import read
from pipeline.ontology import Ontology
from pipeline.records import Clip, Instances, empty

__all__ = ["YOUTUBE_VIS", "read", "write"]

FILE = "annotations.json"
IMAGES = "images"
UNSEEN = "tracks that are in sight in no frame"

Said = dict[str, Any]


class Written(NamedTuple):
    """A video that is written: its side, its entry without a number, and how many tracks it has."""

    side: str
    said: Said
    tracks: int


def write(
    clips: Iterable[Clip], ontology: Ontology, place: Path, hard_link: bool = False, frames: str = "png"
) -> dict[str, int]:
    """Write pictures, frames and annotations into the empty folder `place`, each clip looked at once, one in memory.

    Frames of films become 'png' or 'jpg', except those that are a JPEG already. Videos are numbered from
    1 by the order of their names, annotations by video, then track. Raises `BadRecord` for an object without a mask,
    of a class that is not exported, or of a film without identities, `BadMedia` for a
    picture or film that changed since it was looked at.
    """
    unsaid = Counter[str]()
    written: dict[str, Written] = {}
    numbers = numbers_of(ontology)

    def waiting() -> Iterator[tuple[str, bytes]]:
        for name, clip in named(clips, stems=True):
            tracks = _annotations(clip, numbers, unsaid)
            with named_in_media_errors(clip):
                files = _put_pictures(name, clip, place / clip.side / IMAGES, hard_link, frames)
            written[name] = Written(clip.side, _video(name, clip, files), len(tracks))
            yield f"{clip.side}/{name}", json.dumps(tracks).encode("ascii")

    blocks = (block for _, block in in_order_of_names(waiting(), place))  # side by side
    videos = dict(sorted(written.items()))
    first = accumulate((video.tracks for video in videos.values()), initial=1)
    ranks = [(number, one, own) for (number, one), own in zip(enumerate(videos.values(), 1), first, strict=False)]
    for side in sorted({video.side for video in videos.values()} or {""}):
        on_side = [(number, one.said, own) for number, one, own in ranks if one.side == side]
        (place / side / IMAGES).mkdir(parents=True, exist_ok=True)
        with (place / side / FILE).open("wb") as out:
            write_head(out, numbers)
            write_list(out, "videos", (line_of({"id": number} | said) for number, said, _ in on_side))
            annotations = _numbered(((number, own) for number, _, own in on_side), blocks)
            write_list(out, "annotations", annotations, end=b"\n}\n")
    assert next(blocks, None) is None  # every block has its place, and the file in which they waited is closed
    return dict(unsaid)


def _numbered(videos: Iterable[tuple[int, int]], blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The annotations of videos, each with its own number and its video's; the first of each video is given."""
    for (video, first), block in zip(videos, blocks, strict=False):
        for own, annotation in enumerate(json.loads(block), first):
            yield line_of({"id": own, "video_id": video} | annotation)


def _put_pictures(name: str, clip: Clip, images: Path, hard_link: bool, kind: str) -> list[str]:
    """Write the pictures of a clip; their names below `images`."""
    if not clip.is_film:
        media.export_picture(clip, images / name, hard_link)
        return [name]
    folder = frames_folder(name, clip)
    return [f"{folder}/{file}" for file in films.put_pictures(clip, images / folder, kind, hard_link)]


def _video(name: str, clip: Clip, files: list[str]) -> Said:
    """The entry of a clip, without its number; the times of a film's frames are ours, other readers pass over them."""
    h, w = clip.frames[0].size_hw
    video: Said = {"name": name, "width": w, "height": h, "length": len(files), "file_names": files}
    if clip.is_film:
        video["frame_index"] = [frame.index for frame in clip.frames]
        video["time_s"] = [frame.time_s for frame in clip.frames]
    return video


def _annotations(clip: Clip, numbers: Mapping[str, int], unsaid: Counter[str]) -> list[Said]:
    """The tracks of a clip by their identities, without numbers of their own."""
    if len({frame.size_hw for frame in clip.frames}) > 1:
        raise BadRecord(f"{clip.name}: frames of several sizes; a video here has one")
    found = clip.found or tuple(empty(frame.size_hw) for frame in clip.frames)
    tracks: dict[int, list[Said | None]] = {}
    for index, frame in enumerate(found):
        for identity, said in zip(_identities(clip, frame), _said(clip, frame, numbers), strict=True):
            track = tracks.setdefault(identity, [None] * len(found))
            if track[index] is not None:
                raise BadRecord(f"{clip.name}: two objects of frame {index} have the track id {identity}")
            track[index] = said
    out = []
    for identity, track in sorted(tracks.items()):
        if any(said and "segmentation" in said for said in track):
            written = found[0].track_ids is not None or len(found) > 1
            out.append(_annotation(clip, identity if written else None, track))
        else:
            unsaid[UNSEEN] += 1
    return out


def _identities(clip: Clip, found: Instances) -> list[int]:
    """Who each row of a frame is; raises `BadRecord` for a film that does not say."""
    if found.track_ids is not None:
        return [int(number) for number in found.track_ids]
    if len(clip.frames) > 1 and len(found):
        raise BadRecord(f"{clip.name}: a film whose objects have no track ids; track them first")
    return list(range(1, len(found) + 1))


def _said(clip: Clip, found: Instances, numbers: Mapping[str, int]) -> list[Said]:
    """COCO's annotation of each row, with its score among the attributes; nothing but those where it is not visible."""
    shown = np.arange(len(found)) if found.visible is None else np.flatnonzero(found.visible)
    said: list[Said] = [{"attributes": {}} for _ in range(len(found))]
    for row, one in zip(shown.tolist(), parsed(clip, found.take(shown), numbers), strict=True):
        said[row] = one
    for row, one in enumerate(said):
        for key, column in (("score", found.scores), ("presence", found.presence)):
            if column is not None:
                one["attributes"][key] = round(float(column[row]), 4)
    return said


def _annotation(clip: Clip, identity: int | None, track: list[Said | None]) -> Said:
    """One track: what COCO says of a frame becomes a list with null where the object is not in sight."""
    shown = [said for said in track if said and "segmentation" in said]
    if len({said["category_id"] for said in shown}) > 1:
        raise BadRecord(f"{clip.name}: track {identity} has more than one class; a track has one here")
    h, w = clip.frames[0].size_hw
    areas = [said["area"] for said in shown]
    annotation: Said = {"category_id": shown[0]["category_id"], "iscrowd": max(said["iscrowd"] for said in shown)}
    scores = [said["score"] for said in shown if "score" in said]
    if scores:
        annotation["score"] = round(sum(scores) / len(scores), 4)
    annotation |= {"width": w, "height": h, "length": len(track), "avg_area": sum(areas) / len(areas)}
    for key, plural in (("segmentation", "segmentations"), ("area", "areas"), ("bbox", "bboxes")):
        annotation[plural] = [said.get(key) if said else None for said in track]
    return annotation | {"attributes": _attributes(identity, shown, track)}


def _attributes(identity: int | None, shown: list[Said], track: list[Said | None]) -> Said:
    """What is said of all frames once, of others frame by frame: null is a frame in which the record has no row."""
    texts = [{key: json.dumps(value) for key, value in said["attributes"].items()} for said in shown]
    common = {key for key, text in texts[0].items() if all(other.get(key) == text for other in texts)}
    attributes = {key: value for key, value in shown[0]["attributes"].items() if key in common}
    if len(track) > 1:
        attributes["frames"] = [said and _without(common, attributes, said["attributes"]) for said in track]
    return attributes if identity is None else attributes | {"track_id": identity}


def _without(common: set[str], attributes: Said, said: Said) -> Said:
    return {key: value for key, value in said.items() if key not in common or value != attributes[key]}


YOUTUBE_VIS = Format(2, write, read, films=True, frames="png", stems=True, fit=of_one_size, unfit=SEVERAL_SIZES)
