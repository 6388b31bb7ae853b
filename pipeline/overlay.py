"""Overlays that people look at: what was found, drawn over a film (MP4) or a picture (JPEG).

Every visible object has its mask, half transparent and with an outline, or its box where it has no mask, and a label:
class and identity. Where a record has no identities, the rows of a frame are numbered from 1. Supervision draws;
OpenCV before version 5 writes '?' for letters beyond ASCII.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline import masks, pixels
from pipeline.errors import BadMedia
from pipeline.films import frames_of
from pipeline.formats.writing import named_in_media_errors
from pipeline.media import Picture, Rgb
from pipeline.records import Clip, Frame, Instances, empty

if TYPE_CHECKING:
    from supervision import Color

Bgr = NDArray[np.uint8]
"""A picture as OpenCV draws on it: (H, W, 3) uint8, blue first."""

LEGIBLE_W = 480
"""A narrower picture is enlarged by the least whole factor that makes it so many pixels wide."""
LONGEST = 1280
"""No side of an overlay has more pixels."""

COLORS = (
    *("#e6194b", "#3cb44b", "#ffe119", "#4363d8", "#f58231", "#911eb4"),
    *("#42d4f4", "#f032e6", "#bfef45", "#fabed4", "#469990", "#dcbeff"),
)
"""By identity, over and over: the first twelve of Sasha Trubetskoy's 20 simple, distinct colours (2017)."""
BRIGHT = 110
"""Of 255 levels of grey: on a colour that is as bright, words are black. The contrast is over 4.5 on each of them."""
OPACITY, FONT_SCALE, PADDING_PX = 0.5, 0.5, 4
LINE_PX, RIM_PX = 3, 2
"""Lines have a black rim, so that they are seen on an object of their own colour."""
JPEG_QUALITY = 90

CLOCK = 90_000
"""Ticks a second, as in MPEG: times are right to 6 microseconds."""
USUAL_RATE, MOST_RATE = 24, 240
"""Frames a second where a film has one frame; and at most, for a player that asks what it has to be able to do."""
X264 = {"preset": "veryfast", "crf": "20", "bf": "0", "g": "48", "threads": "1", "x264-params": "cpu-independent=1"}
"""Frames lie in the order in which they are shown, and at most 48 depend on one.

Bytes do not depend on how many threads there are, nor on the processor: of x264's faster ways for some (build 165) one
depends now and then on what lay in memory before.
"""
COLORIMETRY = {"color_range": 1, "colorspace": 1, "color_primaries": 1, "color_trc": 1}
"""ITU-R BT.709 from 16 to 235, in libav's numbers: said, so that no player has to guess."""


def draw(clip: Clip, folder: Path) -> Path:
    """Draw a film or a picture, below a folder under the clip's name; gives its path. Raises as `film`."""
    suffix = ".mp4" if clip.is_film else ".jpg"
    to = folder / (clip.name if clip.name.lower().endswith(suffix) else clip.name + suffix)
    to.parent.mkdir(parents=True, exist_ok=True)
    (film if clip.is_film else picture)(clip, to)
    return to


def film(clip: Clip, to: Path) -> None:
    """Write a film with overlays that browsers play while it loads: H.264 in MP4.

    It has the clip's frames at their own times, from the first one on. What was at `to` stays until it is whole. Raises
    `BadMedia` where the film has changed.
    """
    painter = Painter(clip.frames[0].size_hw)
    ticks = ticks_of(clip.frames)
    with named_in_media_errors(clip), _in_one_step(to) as part, _encoder(part, painter.room_hw, ticks) as encode:
        for tick, found, rgb in zip(ticks, _found(clip), frames_of(clip), strict=True):
            encode(painter.painted(rgb, found), tick)


def picture(clip: Clip, to: Path) -> None:
    """Write a still picture with overlays: JPEG. What was at `to` stays until it is whole. Raises `BadMedia`."""
    cv2 = pixels.opencv()
    with named_in_media_errors(clip), _in_one_step(to) as part:
        painted = Painter(clip.frames[0].size_hw).painted(Picture(clip).rgb, _found(clip)[0])
        _, content = cv2.imencode(".jpg", painted, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        part.write_bytes(content.tobytes())


def shown_hw(size_hw: masks.Size) -> masks.Size:
    """How large a picture is shown: (h, w) -> (h, w).

    >>> shown_hw((96, 128)), shown_hw((720, 1280)), shown_hw((3840, 2160))
    ((384, 512), (720, 1280), (1280, 720))
    """
    h, w = size_hw
    factor = min(ceil(LEGIBLE_W / w), LONGEST // max(h, w)) or LONGEST / max(h, w)
    return max(1, round(h * factor)), max(1, round(w * factor))


def ticks_of(frames: Sequence[Frame]) -> list[int]:
    """When frames are shown, from the first one on, by the film's clock; each later than the one before.

    >>> ticks_of([Frame(3, 0.5, (1, 1)), Frame(4, 0.6, (1, 1)), Frame(5, 0.6, (1, 1))])
    [0, 9000, 9001]
    """
    ticks: list[int] = []
    for frame in frames:
        tick = round((frame.time_s - frames[0].time_s) * CLOCK)
        ticks.append(max(tick, ticks[-1] + 1) if ticks else tick)
    return ticks


def label(name: str, number: int) -> str:
    """What is written beside an object.

    >>> label("ginger cat", 3), label("", 3)
    ('ginger cat #3', '#3')
    """
    return f"{name} #{number}".lstrip()


class Painter:
    """Draws overlays, all of one size: that in which frames of `size_hw` are shown. Others are fitted in."""

    def __init__(self, size_hw: masks.Size, room_hw: masks.Size | None = None) -> None:
        import supervision as sv

        self.size_hw, self.room_hw = size_hw, room_hw or shown_hw(size_hw)
        palette = sv.ColorPalette.from_hex(list(COLORS))
        ink = sv.ColorPalette([_ink(color) for color in palette.colors])
        self._mask = (
            sv.MaskAnnotator(palette, OPACITY),
            sv.PolygonAnnotator(sv.Color.BLACK, LINE_PX + RIM_PX),
            sv.PolygonAnnotator(palette, LINE_PX),
        )
        self._box = sv.BoxAnnotator(sv.Color.BLACK, LINE_PX + RIM_PX), sv.BoxAnnotator(palette, LINE_PX)
        self._label = sv.LabelAnnotator(
            palette, text_color=ink, text_scale=FONT_SCALE, text_padding=PADDING_PX, smart_position=True
        )

    def painted(self, rgb: Rgb, found: Instances) -> Bgr:
        """A frame with what was found in it: (H, W, 3) -> (h, w, 3). Raises `BadMedia` where it has another size."""
        if rgb.shape[:2] != found.size_hw:
            raise BadMedia("changed", f"a frame has {rgb.shape[:2]} (h, w) pixels now, {found.size_hw} before")
        size_hw = self.room_hw if found.size_hw == self.size_hw else fitted(found.size_hw, self.room_hw)
        scene = _resized(rgb, size_hw)
        found = found.in_sight()
        if len(found):
            self._draw(scene, found)
        return np.pad(scene, [(0, self.room_hw[0] - size_hw[0]), (0, self.room_hw[1] - size_hw[1]), (0, 0)])

    def _draw(self, scene: Bgr, found: Instances) -> None:
        """Draw objects that are in sight onto a picture."""
        import supervision as sv

        numbers = numbers_of(found)
        colors = numbers - 1  # the palette begins again where it ends
        shown = scene.shape[0], scene.shape[1]
        coded = [None if code is None else scaled(code, found.size_hw, shown) for code in found.masks or ()]
        codes = {row: code for row, code in enumerate(coded) if code and masks.area(code)}
        masked = np.isin(np.arange(len(found)), list(codes))
        xyxy = found.boxes_xyxy * np.tile(np.divide(shown[::-1], found.size_hw[::-1]), 2)
        xyxy[masked] = masks.boxes([*codes.values()], shown)
        xyxy -= [0, 0, 1, 1]  # supervision's boxes end on their last pixel
        if codes:
            rles = [{"size": shown, "counts": code} for code in codes.values()]
            objects = sv.Detections(xyxy[masked], mask=sv.CompactMask.from_coco_rle(rles, xyxy[masked], shown))
            for annotator in self._mask:
                annotator.annotate(scene, objects, custom_color_lookup=colors[masked])
        for annotator in self._box:
            annotator.annotate(scene, sv.Detections(xyxy[~masked]), custom_color_lookup=colors[~masked])
        labels = [label(name, number) for name, number in zip(found.names, numbers.tolist(), strict=True)]
        self._label.annotate(scene, sv.Detections(xyxy), labels, custom_color_lookup=colors)


def fitted(size_hw: masks.Size, room_hw: masks.Size) -> masks.Size:
    """How large a picture is that is made to fit: (h, w), (h, w) -> (h, w).

    >>> fitted((100, 50), (200, 400))
    (200, 100)
    """
    factor = min(room_hw[0] / size_hw[0], room_hw[1] / size_hw[1])
    return max(1, round(size_hw[0] * factor)), max(1, round(size_hw[1] * factor))


def _resized(rgb: Rgb, size_hw: masks.Size) -> Bgr:
    cv2 = pixels.opencv()
    how = cv2.INTER_AREA if size_hw[0] < rgb.shape[0] else cv2.INTER_CUBIC
    return np.ascontiguousarray(cv2.resize(rgb, size_hw[::-1], interpolation=how)[..., ::-1])


def numbers_of(found: Instances) -> NDArray[np.int64]:
    """The identities of rows, (N,); without any, their places from 1."""
    return np.arange(1, len(found) + 1) if found.track_ids is None else found.track_ids


def scaled(code: bytes, size_hw: masks.Size, to_hw: masks.Size) -> bytes:
    """The code of a mask at another size: a pixel is that in which its middle lies.

    >>> masks.box(scaled(masks.encode(np.eye(3, dtype=bool)), (3, 3), (6, 9)), (6, 9))
    (0, 0, 9, 6)
    """
    crop, corner_xy = masks.decode_crop(code, size_hw)
    picked, corner = [], []
    for of, to, first, count in zip(size_hw, to_hw, corner_xy[::-1], crop.shape, strict=True):
        source = (2 * np.arange(to) + 1) * of // (2 * to) - first
        picked.append(source[(source >= 0) & (source < count)])
        corner.append(int(source.searchsorted(0)))
    return masks.encode_crop(crop[np.ix_(*picked)], (corner[1], corner[0]), to_hw)


def _ink(color: "Color") -> "Color":
    """Black or white, whichever can be read on a colour."""
    from supervision import Color

    grey = np.dot(color.as_rgb(), [0.299, 0.587, 0.114])  # ITU-R BT.601
    return Color.BLACK if grey >= BRIGHT else Color.WHITE


def _found(clip: Clip) -> Sequence[Instances]:
    return clip.found or [empty(frame.size_hw) for frame in clip.frames]


@contextmanager
def _in_one_step(to: Path) -> Iterator[Path]:
    """A place to write a file at; it becomes `to` when the block ends well, else nothing is left."""
    to.parent.mkdir(parents=True, exist_ok=True)
    part = to.absolute().with_name(to.name + ".part")  # libav takes what stands before a ':' for a protocol
    try:
        yield part
        part.replace(to)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _encoder(to: Path, size_hw: masks.Size, ticks: Sequence[int]) -> Iterator[Any]:
    """What takes the frames of a film and when each is shown, (H, W, 3) BGR and a tick, one after the other."""
    import av

    span = ticks[-1] / CLOCK
    rate = min(max(1, round((len(ticks) - 1) / span)), MOST_RATE) if span else USUAL_RATE
    lasting = dict(zip(ticks, np.diff(ticks).tolist(), strict=False))
    last = lasting[ticks[-2]] if span else CLOCK // USUAL_RATE
    h, w = size_hw
    odd = [(0, h % 2), (0, w % 2), (0, 0)]
    with av.open(str(to), "w", format="mp4", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate, X264, width=w + w % 2, height=h + h % 2, pix_fmt="yuv420p")
        stream.time_base = stream.codec_context.time_base = Fraction(1, CLOCK)
        for name, number in COLORIMETRY.items():
            setattr(stream.codec_context, name, number)

        def write(packets: Any) -> None:
            for packet in packets:
                packet.duration = lasting.get(packet.pts, last)
                container.mux(packet)

        def encode(bgr: Bgr, tick: int) -> None:
            frame = av.VideoFrame.from_ndarray(np.pad(bgr, odd, "edge"), format="bgr24")
            frame = frame.reformat(format="yuv420p", dst_colorspace=1, dst_color_range=1)
            frame.pts, frame.time_base = tick, Fraction(1, CLOCK)
            write(stream.encode(frame))

        yield encode
        write(stream.encode())
