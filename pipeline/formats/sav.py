"""SA-V: a JSON file a film, with every object's mask in every annotated frame, exact to the pixel.

`<id>_auto.json`, or `<id>_manual.json`, which is all that SAM 2's training reads, in the layout of the release files
byte by byte; beside it the film, `<id>.mp4`, out of which SAM 2's own tool takes the frames. Of a still picture there
is its frame, `<id>/00000.jpg`; of a film that is a folder, or of which other frames than every n-th are annotated, all
frames, where and as SAM 2's training reads them. What SA-V has no field for is in `masklet.jsonl` (`sav_sidecar`). Of a
split dataset `SIDE.txt` lists ids, as training takes them. The annotated frames are the frames of the clip. Boxes,
points, and what another dataset said of a row are not written.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import films, masks, media
from pipeline.formats import SEVERAL_SIZES, Format, of_one_size_without_crowds
from pipeline.formats.sav_clips import Masklet, PutPixels, in_pictures, is_regular, suffix, write_clips
from pipeline.formats.sav_fields import FPS, derived
from pipeline.formats.sav_reading import AUTO, MANUAL, read
from pipeline.formats.sav_rows import SAID
from pipeline.ontology import Ontology
from pipeline.records import Clip, Frame, Instances

__all__ = ["SAV", "SAV_MANUAL", "write", "write_annotations", "write_manual"]

Fields = dict[str, Any]


def write(
    clips: Iterable[Clip], ontology: Ontology, place: Path, hard_link: bool = False, frames: str = "jpg"
) -> dict[str, int]:
    """Write films, pictures and `_auto.json` files into the empty folder `place`, one clip in memory.

    Frames of films that are folders become 'jpg', which SAM 2's training wants, or 'png'. A row of no class ('') is an
    object, too. Raises `BadRecord` for an object in sight without a mask or of a class that is not exported,
    `BadMedia` for a file that changed since it was looked at.
    """
    put_pixels = partial(_put_pixels, hard_link=hard_link, kind=frames)
    return _write(clips, ontology, place, AUTO, put_pixels)


def write_manual(
    clips: Iterable[Clip], ontology: Ontology, place: Path, hard_link: bool = False, frames: str = "jpg"
) -> dict[str, int]:
    """Write `_manual.json` files, else as `write` does."""
    put_pixels = partial(_put_pixels, hard_link=hard_link, kind=frames)
    return _write(clips, ontology, place, MANUAL, put_pixels)


def write_annotations(clips: Iterable[Clip], ontology: Ontology, place: Path, kind: str = AUTO) -> dict[str, int]:
    """Write the annotations alone, for films that are elsewhere."""
    return _write(clips, ontology, place, kind, None)


def _by_rows(clip: Clip) -> Clip:
    """The clip with its frames numbered as training counts, where they are written: row i is frame i, or i * n."""
    if not in_pictures(clip) or is_regular(clip):
        return clip
    return replace(clip, frames=tuple(replace(frame, index=at) for at, frame in enumerate(clip.frames)))


def _put_pixels(clip: Clip, to: Path, hard_link: bool, kind: str) -> None:
    if in_pictures(clip):
        films.put_pictures(clip, to, kind, hard_link, films.numbers_of(_by_rows(clip)))
    else:
        media.export(clip, to, hard_link)


def _write(
    clips: Iterable[Clip], ontology: Ontology, place: Path, kind: str, put_pixels: PutPixels | None
) -> dict[str, int]:
    def put(video_id: str, clip: Clip, found: list[Masklet]) -> None:
        path = place / f"{video_id}{kind}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(_document(video_id, clip, found, kind)), encoding="ascii")

    return write_clips(clips, ontology, place, put, _file_of, put_pixels, _by_rows)


def _file_of(video_id: str, name: str, clip: Clip) -> str:
    if in_pictures(clip):
        return video_id
    return f"{video_id}{suffix(name)}" if clip.is_film else f"{video_id}/00000{suffix(name)}"


def _document(video_id: str, clip: Clip, found: list[Masklet], kind: str) -> Fields:
    """The file's 20 keys in their order; sizes of films are floats."""
    size_hw = clip.frames[0].size_hw
    columns = [masks.areas(one.codes) for one in found]
    areas_px = np.array(columns, np.int64).reshape(len(found), len(clip.frames)).T
    said = _said_of_film(clip)
    frame_count = max(said.get("frame_count", 0), clip.frames[-1].index + 1)
    fields = derived(areas_px, size_hw)
    return {
        "video_id": video_id,
        "video_duration": frame_count / fps_of(clip.frames),
        "video_frame_count": float(frame_count),
        "video_height": float(size_hw[0]),
        "video_width": float(size_hw[1]),
        "video_resolution": float(size_hw[0] * size_hw[1]),
        "video_environment": said.get("environment", ""),
        "video_split": clip.side or said.get("split", "train"),
        "masklet": [
            [{"size": list(size_hw), "counts": one.codes[at].decode("ascii")} for one in found]
            for at in range(len(clip.frames))
        ],
        **(_as_in_manual(fields) if kind == MANUAL else fields),
        "masklet_edited_frame_count": [_edited(clip, one) for one in found],
        "masklet_type": [kind[1:].removesuffix(".json")] * len(found),
        "masklet_stability_score": _stability(clip, found),
        "masklet_num": len(found),
    }


def _as_in_manual(fields: Fields) -> Fields:
    """The number style of `_manual.json` files: 10 decimals, and frame numbers that are floats."""
    sizes = {key: [round(value, 10) for value in fields[key]] for key in ("masklet_size_rel", "masklet_size_abs")}
    return fields | sizes | {"masklet_first_appeared_frame": list(map(float, fields["masklet_first_appeared_frame"]))}


def fps_of(frames: tuple[Frame, ...]) -> float:
    """Frames a second by the times of the first and the last frame; SA-V's where they do not say."""
    seconds = frames[-1].time_s - frames[0].time_s
    fps = (frames[-1].index - frames[0].index) / seconds if seconds else 0.0
    return round(fps, 6) if math.isfinite(fps) and round(fps, 6) > 0 else FPS


def _said(found: Instances, row: int | None) -> Mapping[str, Any]:
    """What a row's `extra` keeps of an SA-V file."""
    said = None if row is None or found.extra is None else found.extra[row].get(SAID)
    return said if isinstance(said, dict) else {}


def _said_of_film(clip: Clip) -> Mapping[str, Any]:
    """Environment, split and frames of the film, where its first row says so in the form that SA-V has."""
    first = next((_said(found, 0) for found in clip.found if len(found)), {})
    forms = {"environment": str, "split": str, "frame_count": int}
    return {key: first[key] for key, form in forms.items() if type(first.get(key)) is form}


def _edited(clip: Clip, one: Masklet) -> int:
    said = (_said(found, row).get("edited") for found, row in zip(clip.found, one.rows, strict=True))
    return next((value for value in said if type(value) is int), 0)


def _stability(clip: Clip, found: list[Masklet]) -> list[Any]:
    """A list of numbers a frame, 1 out of sight; where no row has one, null for every masklet."""
    frames = [
        [_stability_of(now, row) if (row := one.rows[at]) is not None else 1.0 for one in found]
        for at, now in enumerate(clip.found)
    ]
    known = any(now.quality is not None and not np.isnan(now.quality[:, 1]).all() for now in clip.found)
    return frames if known else [None] * len(found)


def _stability_of(found: Instances, row: int) -> float | None:
    """What the record knows, with all digits that the SA-V file had, if it is still that number."""
    if found.quality is None or np.isnan(found.quality[row, 1]):
        return None
    kept, said = round(float(found.quality[row, 1]), 4), _said(found, row).get("stability")
    return said if isinstance(said, float) and round(said, 4) == kept else kept


SAV = Format(1, write, read, films=True, frames="jpg", fit=of_one_size_without_crowds, unfit=SEVERAL_SIZES)
SAV_MANUAL = replace(SAV, write=write_manual, read=partial(read, kinds=(MANUAL, AUTO)))
