"""Pixels of any kind to what models see: (H, W, 3) uint8 RGB, upright. Knows Pillow and OpenCV, no files.

Transparency is laid over white, as a page would show it. More than 8 bits a sample are stretched from the
picture's own lowest value to its highest, because cameras and microscopes seldom use the whole range. Colour
profiles are not applied.
"""

import io
import logging
import warnings
from functools import cache
from re import compile as regex
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import BadMedia

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

Rgb = NDArray[np.uint8]

ORIENTATION = 0x0112  # the tag, in EXIF and in TIFF
TURNS: dict[Any, tuple[bool, int | None]] = {
    2: (False, 1),
    3: (False, -1),
    4: (False, 0),
    5: (True, None),
    6: (True, 1),
    7: (True, -1),
    8: (True, 0),
}
"""EXIF orientation (EXIF 2.32, 4.6.4) -> whether rows become columns, then OpenCV's code of the flip."""

MID_GREY = 128  # all that a deep picture of one value can say: neither black nor white

RARE = ("GIF", "AVIF")  # OpenCV reads them since 4.11 and in some builds only

PNG_LEVEL = 3  # of zlib: 0.2 s for 1080p; the default, 6, takes 0.5 s to save 1 %

JPEG_QUALITY = 95  # of OpenCV and Pillow: twice the bytes of 85

PILLOW = regex(r"PIL\.")
SILENT = logging.NullHandler()
QUIET = Lock()


def decoded(image: "ImageFile", content: bytes) -> Rgb:
    """The pixels of a picture of which Pillow has read the header: `content` -> (H, W, 3), upright."""
    deep = is_deep(image)
    if image.format in ("JPEG", "MPO") and image.mode in ("RGB", "L"):
        rgb = from_jpeg(content)
    else:
        image.load()  # raises where the file is cut
        if deep and image.mode in ("RGB", "RGBA"):  # Pillow keeps the upper 8 bits only
            rgb = from_deep_bgr(_by_opencv(content, "IMREAD_UNCHANGED"), image.has_transparency_data)
        else:
            rgb = from_pillow(image)
    return upright(rgb, orientation(image, content))


def from_jpeg(content: bytes) -> Rgb:
    """The pixels of a grey or RGB JPEG as they lie in the file: bytes -> (H, W, 3), not turned."""
    return np.asarray(_by_opencv(content, "IMREAD_COLOR_RGB", "IMREAD_IGNORE_ORIENTATION"), np.uint8)


def upright(rgb: Rgb, turn: Any) -> Rgb:
    """Turned as an EXIF orientation says: (H, W, 3) -> (H, W, 3) or (W, H, 3); only 2 to 8 turn anything.

    >>> upright(np.array([[[1, 1, 1], [2, 2, 2]]], np.uint8), 8)[..., 0].tolist()
    [[2], [1]]
    """
    if turn not in TURNS:
        return rgb
    cv2 = opencv()
    across, flip = TURNS[turn]
    turned = cv2.transpose(rgb) if across else rgb
    return np.asarray(turned if flip is None else cv2.flip(turned, flip))


def stretched(deep: NDArray[Any]) -> NDArray[np.uint8]:
    """Whole numbers of any depth to 8 bits, the lowest to 0, the highest to 255: any shape -> the same shape.

    >>> stretched(np.array([1000, 1500, 2000], np.uint16)).tolist()
    [0, 128, 255]
    """
    low, high = int(deep.min()), int(deep.max())
    if low == high:
        return np.full(deep.shape, MID_GREY, np.uint8)
    if deep.dtype == np.uint16:  # through a table: no copy of a large picture in floating point
        table = _scaled(np.arange(high + 1).clip(low), low, high)
        return np.asarray(table[deep])
    return _scaled(deep, low, high)


def _scaled(values: NDArray[Any], low: int, high: int) -> NDArray[np.uint8]:
    return np.floor((values.astype(np.float64) - low) * (255 / (high - low)) + 0.5).astype(np.uint8)


def from_deep_bgr(deep: NDArray[np.uint16], transparent: bool) -> Rgb:
    """OpenCV's 16-bit colours to 8 bits: (H, W, 3 or 4) BGR(A) -> (H, W, 3) RGB."""
    rgb = np.ascontiguousarray(stretched(deep[..., 2::-1]))
    if not transparent or deep.shape[2] == 3:
        return rgb
    alpha = (deep[..., 3:] >> 8).astype(np.uint8)
    return _on_white(pillow().fromarray(np.concatenate([rgb, alpha], axis=2)))


def from_pillow(image: "Image") -> Rgb:
    """A loaded picture of any mode but F to RGB: -> (H, W, 3)."""
    if image.mode.startswith("I"):  # 16 or 32 bits of grey
        return np.repeat(stretched(np.asarray(image))[..., None], 3, axis=2)
    return _on_white(image) if image.has_transparency_data else np.array(image.convert("RGB"))


def _on_white(image: "Image") -> Rgb:
    white = pillow().new("RGBA", image.size, "white")
    return np.array(pillow().alpha_composite(white, image.convert("RGBA")).convert("RGB"))


def to_png(rgb: Rgb) -> bytes:
    """A PNG: the same pixels give the same bytes with the same Pillow."""
    file = io.BytesIO()
    pillow().fromarray(rgb).save(file, "PNG", compress_level=PNG_LEVEL)
    return file.getvalue()


def to_jpeg(rgb: Rgb) -> bytes:
    """A JPEG: the same pixels give the same bytes with the same OpenCV."""
    cv2 = opencv()
    _, content = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return bytes(content)


def orientation(image: "ImageFile", content: bytes) -> Any:
    """The EXIF orientation, 1 where none can be had. Pillow turns a TIFF as it loads it, and says 1 then."""
    if image.format == "PNG" and b"eXIf" not in content:
        return 1  # Pillow would decode the picture to look for one behind it
    try:
        return image.getexif().get(ORIENTATION, 1)
    except Exception:  # damaged EXIF raises all sorts of errors, and costs no picture
        return 1


def size_hw(image: "ImageFile", content: bytes) -> tuple[int, int]:
    """Upright height and width; those that Pillow says of a TIFF are upright already."""
    w, h = image.size
    lies = image.format != "TIFF" and orientation(image, content) in (5, 6, 7, 8)
    return (w, h) if lies else (h, w)


def is_deep(image: "ImageFile") -> bool:
    """Whether a sample has more than 8 bits: told by how Pillow means to unpack it, so before it does."""
    if image.mode.startswith("I"):
        return True
    for tile in image.tile[:1]:
        arguments = tile.args if isinstance(tile.args, tuple) else (tile.args,)
        a_maximum = tile.codec_name.startswith("ppm")  # the last argument is the value of white
        return ";16" in str(arguments[0]) or (a_maximum and arguments[-1] > 255)
    return False


def unlike_plain(image: "ImageFile", content: bytes) -> str | None:
    """Why a plain reader would show other pixels than `decoded`; None if it would not.

    A plain reader knows no EXIF orientation, shows 8-bit RGB without transparency, and one picture a file; it
    is OpenCV or Pillow of some years ago. All readers show the first picture of an MPO.
    """
    many = image.format != "MPO" and getattr(image, "is_animated", False)
    signs = {
        "16 bit": is_deep(image),  # first: what comes next may load the picture
        "orientation": orientation(image, content) in TURNS,
        "pages" if image.format == "TIFF" else "animation": many,
        "CMYK": image.mode == "CMYK",
        "Lab": image.mode == "LAB",
        "alpha": image.has_transparency_data,
        str(image.format): image.format in RARE,
    }
    return next((word for word, applies in signs.items() if applies), None)


def _by_opencv(content: bytes, *flags: str) -> Any:
    """OpenCV's answer; raises `BadMedia` where it gives none, as for a JPEG that is cut."""
    cv2 = opencv()
    answer = cv2.imdecode(np.frombuffer(content, np.uint8), sum(getattr(cv2, flag) for flag in flags))
    if answer is None:
        raise BadMedia("cut_or_damaged", "the pixels end early or cannot be decoded")
    return answer


@cache
def opencv() -> Any:
    """OpenCV, told once to log nothing: what goes wrong is in our own errors."""
    import cv2

    if hasattr(cv2, "setLogLevel"):  # OpenCV 4
        cv2.setLogLevel(0)
    else:
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    return cv2


def pillow() -> Any:
    """Pillow's Image module, its warnings ignored: what goes wrong is in our own errors.

    Not by `warnings.catch_warnings`, which other threads would see come and go: by one filter that stays, and
    is put in front again where somebody (a test runner) has put others there. What it logs goes to those who ask
    for it, not to the terminal.
    """
    from PIL import Image

    logging.getLogger("PIL").addHandler(SILENT)
    with QUIET:
        if not any(rule[0] == "ignore" and rule[3] == PILLOW for rule in warnings.filters[:1]):
            warnings.filterwarnings("ignore", module=PILLOW.pattern)
    return Image
