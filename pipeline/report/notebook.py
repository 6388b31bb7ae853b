"""A run in a notebook: a table of counts, and a few pictures with what was found in them. No script, no network."""

from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from itertools import islice
from typing import Any

from pipeline import overlay, pixels
from pipeline.errors import BadMedia
from pipeline.media import Picture
from pipeline.records import Clip

SHOWN, LOOKED_AT = 4, 32
"""Pictures that are shown, and clips that are looked at to find so many."""
SIDE_PX = 220
JPEG_QUALITY = 80


def html_of(title: str, summary: Mapping[str, Any], clips: Iterable[Clip]) -> str:
    """A run as HTML; every word of it is escaped."""
    rows = "".join(f"<tr><td>{escape(what)}</td><td>{count}</td></tr>" for what, count in _counts(summary))
    pictures = "".join(islice(_thumbnails(islice(clips, LOOKED_AT)), SHOWN))
    return f"<div><b>{escape(title)}</b><table>{rows}</table>{pictures}</div>"


def _counts(summary: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    yield from ((what, int(summary[what])) for what in ("pictures", "films", "frames") if summary.get(what))
    dataset: Mapping[str, Any] = next(iter(summary.get("datasets", {}).values()), {})
    yield "objects", int(dataset.get("objects", 0))
    yield from ((f"— {name}", int(count)) for name, count in dataset.get("by_class", {}).items())
    yield from ((f"set aside: {reason}", int(count)) for reason, count in summary.get("aside", {}).items())


def _thumbnails(clips: Iterable[Clip]) -> Iterator[str]:
    """The still pictures in which something was found, as images in the page; what cannot be read is passed over."""
    for clip in clips:
        if clip.is_film or not len(clip.found[0]):
            continue
        try:
            content = _jpeg(clip)
        except BadMedia:
            continue
        name = escape(clip.name)
        yield f'<img title="{name}" alt="{name}" src="data:image/jpeg;base64,{b64encode(content).decode()}">'


def _jpeg(clip: Clip) -> bytes:
    cv2 = pixels.opencv()
    h, w = clip.frames[0].size_hw
    scale = SIDE_PX / max(h, w)
    room_hw = max(1, round(h * scale)), max(1, round(w * scale))
    painted = overlay.Painter((h, w)).painted(Picture(clip).rgb, clip.found[0])
    small = cv2.resize(painted, room_hw[::-1], interpolation=cv2.INTER_AREA)
    _, content = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return bytes(content.tobytes())
