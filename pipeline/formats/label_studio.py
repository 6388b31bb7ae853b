"""Label Studio: `tasks.json` to import, `labels.xml` (the labelling interface), `images/`; masks as brush, exact.

What was found is a prediction, which people accept or mend. Pictures are named as Label Studio's local storage has
them, with this folder as its root (LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT). Tasks carry the name of the picture, and
regions their `uid`, so that what comes back finds its place.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree as ET
from xml.sax.saxutils import quoteattr

from pipeline.errors import BadRecord
from pipeline.formats import Format, brush, without_crowds
from pipeline.formats.label_studio_reading import CONFIG, CONTROL, IMAGE, TASKS, read
from pipeline.formats.sides import below
from pipeline.formats.writing import mask_of, named_in_errors, number_of, numbers_of, still, with_pictures
from pipeline.ontology import Ontology
from pipeline.records import Clip, Instances, uids

__all__ = ["LABEL_STUDIO", "read", "write"]

MODEL = "masklet"
"""By what name predictions are told from those of others."""


def write(clips: Iterable[Clip], ontology: Ontology, place: Path, hard_link: bool = False) -> dict[str, int]:
    """Write pictures, tasks and the labelling interface into the empty folder `place`, one clip in memory.

    Raises `BadRecord` for an object without a mask, or of a class that is not exported or cannot be in XML, `BadMedia`
    for a picture that changed since it was looked at.
    """
    numbers = numbers_of(ontology)
    (place / "images").mkdir()
    (place / CONFIG).write_text(labelling_interface(ontology), encoding="utf-8", newline="\n")
    with (place / TASKS).open("wb") as out:
        out.write(b"[")
        for index, (name, clip) in enumerate(with_pictures(clips, place / "images", hard_link)):
            line = json.dumps(_task(name, clip, numbers))
            out.write(f"{',' if index else ''}\n{line}".encode("ascii"))
        out.write(b"\n]\n")
    return {}


def labelling_interface(ontology: Ontology) -> str:
    """What a project's labelling interface has to be, as XML; raises `BadRecord` for a name that cannot be in XML."""
    numbers = numbers_of(ontology)
    colors = {category.name: category.color for category in ontology.active}
    lines = [_label(name, colors[name]) for name in numbers]
    text = (
        f'<View>\n  <Image name="{IMAGE}" value="${IMAGE}" zoom="true"/>\n'
        f'  <BrushLabels name="{CONTROL}" toName="{IMAGE}">\n{"".join(lines)}  </BrushLabels>\n</View>\n'
    )
    try:
        ET.fromstring(text)
    except ET.ParseError as error:
        raise BadRecord(f"a class name has a character that XML has not ({error}); rename the class") from error
    return text


def _label(name: str, color: str | None) -> str:
    background = f" background={quoteattr(color)}" if color else ""
    return f"    <Label value={quoteattr(name)}{background}/>\n"


def _task(name: str, clip: Clip, numbers: Mapping[str, int]) -> dict[str, Any]:
    """A picture and the prediction of what is in it."""
    found = still(clip)
    path = quote(f"images/{below(clip.side, name)}")
    data = {IMAGE: f"/data/local-files/?d={path}", "name": name, "clip": clip.id}
    prediction: dict[str, Any] = {"model_version": MODEL, "result": list(_regions(clip, found, numbers))}
    if found.scores is not None and len(found):
        prediction["score"] = round(float(found.scores.min()), 4)
    return {"data": data | ({"side": clip.side} if clip.side else {}), "predictions": [prediction]}


def _regions(clip: Clip, found: Instances, numbers: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    h, w = found.size_hw
    for row, uid in enumerate(uids(clip.id, found)):
        with named_in_errors(uid, clip):
            number_of(found, row, numbers)
            rle = brush.encode(mask_of(found, row), found.size_hw)
        region: dict[str, Any] = {
            "id": f"{clip.id[:8]}-{row + 1}",
            "type": "brushlabels",
            "from_name": CONTROL,
            "to_name": IMAGE,
            "original_width": w,
            "original_height": h,
            "image_rotation": 0,
            "value": {"format": "rle", "rle": rle, "brushlabels": [found.names[row]]},
            "meta": {"uid": uid},
        }
        if found.track_ids is not None:
            region["meta"]["track_id"] = int(found.track_ids[row])
        if found.scores is not None:
            region["score"] = round(float(found.scores[row]), 4)
        yield region


LABEL_STUDIO = Format(1, write, read, fit=without_crowds)
