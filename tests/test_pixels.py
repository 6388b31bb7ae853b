"""Every kind of pixels becomes plain RGB: small pictures whose answer a reader can work out."""

import io
import struct

import cv2
import numpy as np
import pytest
from PIL import Image

from pipeline import media, pixels
from pipeline.errors import BadMedia

RED, BLUE, WHITE, BLACK = (255, 0, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)


def grey(*values):
    return [(value,) * 3 for value in values]


def picture(mode, *values):
    """A Pillow picture of one row."""
    image = Image.new(mode, (len(values), 1))
    image.putdata(values)
    return image


def saved(image, form, **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def by_opencv(suffix, *values):
    """A row of 16-bit pixels, which Pillow cannot write: RGB and RGBA are turned to OpenCV's order."""
    row = np.array([values], np.uint16)
    return cv2.imencode(suffix, row if row.ndim == 2 else row[..., [2, 1, 0, 3][: row.shape[2]]])[1].tobytes()


def palette(*colours):
    image = picture("P", *range(len(colours)))
    image.putpalette(np.array(colours, np.uint8).tobytes())
    return image


def frames(form):
    red, blue = Image.new("RGB", (8, 8), RED), Image.new("RGB", (8, 8), BLUE)
    return saved(red, form, save_all=True, append_images=[blue], **({"lossless": True} if form == "WEBP" else {}))


DEEP = (2000, 1000, 1000), (1000, 1500, 2000)

LOSSLESS = {
    # what a plain reader shows as we do
    "RGB": (saved(picture("RGB", RED, BLUE), "PNG"), None, [RED, BLUE]),
    "grey": (saved(picture("L", 10, 200), "PNG"), None, grey(10, 200)),
    "1 bit": (saved(picture("1", 0, 255), "PNG"), None, [BLACK, WHITE]),
    "palette": (saved(palette(RED, BLUE), "PNG"), None, [RED, BLUE]),
    "one pixel": (saved(picture("RGB", RED), "PNG"), None, [RED]),
    "BMP": (saved(picture("RGB", RED, BLUE), "BMP"), None, [RED, BLUE]),
    "WebP": (saved(picture("RGB", RED, BLUE), "WEBP", lossless=True), None, [RED, BLUE]),
    "TIFF, packed": (saved(picture("RGB", RED, BLUE), "TIFF", compression="tiff_lzw"), None, [RED, BLUE]),
    "PPM": (saved(picture("RGB", RED, BLUE), "PPM"), None, [RED, BLUE]),
    "PPM as text": (b"P3 2 1 100  100 0 0  0 0 100", None, [RED, BLUE]),  # white is 100
    # transparent is white
    "RGBA": (saved(picture("RGBA", (*RED, 255), (*BLUE, 0)), "PNG"), "alpha", [RED, WHITE]),
    "a shadow": (saved(picture("RGBA", (0, 0, 0, 51)), "PNG"), "alpha", grey(204)),  # a fifth of black
    "grey, alpha": (saved(picture("LA", (10, 255), (10, 0)), "PNG"), "alpha", [*grey(10), WHITE]),
    "palette, tRNS": (saved(palette(RED, BLUE), "PNG", transparency=b"\0\xff"), "alpha", [WHITE, BLUE]),
    "grey, tRNS": (saved(picture("L", 10, 200), "PNG", transparency=10), "alpha", [WHITE, *grey(200)]),
    "RGB, tRNS": (saved(picture("RGB", RED, BLUE), "PNG", transparency=RED), "alpha", [WHITE, BLUE]),
    "1 bit, tRNS": (saved(picture("1", 0, 255), "PNG", transparency=0), "alpha", [WHITE, WHITE]),
    # the lowest value is 0, the highest 255
    "16 bit": (by_opencv(".png", 1000, 1500, 2000), "16 bit", grey(0, 128, 255)),
    "16 bit, full": (by_opencv(".png", 0, 257, 65535), "16 bit", grey(0, 1, 255)),
    "16 bit, flat": (by_opencv(".png", 300, 300), "16 bit", grey(128, 128)),
    "16 bit TIFF": (by_opencv(".tif", 1000, 1500, 2000), "16 bit", grey(0, 128, 255)),
    "16 bit, big-endian": (saved(picture("I;16B", 1000, 2000), "TIFF"), "16 bit", grey(0, 255)),
    "32 bit": (saved(picture("I", -100_000, 0, 100_000), "TIFF"), "16 bit", grey(0, 128, 255)),
    "16 bit PGM": (b"P5 2 1 4095\n\x03\xe8\x07\xd0", "16 bit", grey(0, 255)),  # 1000, 2000
    "16 bit RGB": (by_opencv(".png", *DEEP), "16 bit", [RED, (0, 128, 255)]),
    "16 bit RGB TIFF": (by_opencv(".tif", *DEEP), "16 bit", [RED, (0, 128, 255)]),
    "16 bit PPM": (b"P6 1 1 4095\n\x07\xd0\x03\xe8\x03\xe8", "16 bit", [RED]),  # 2000, 1000, 1000
    "16 bit RGBA": (by_opencv(".png", (2000, 1000, 1000, 65535), (1000,) * 3 + (0,)), "16 bit", [RED, WHITE]),
    # other colours
    "CMYK": (saved(picture("CMYK", (0, 255, 255, 0), (0, 0, 0, 255)), "TIFF"), "CMYK", [RED, BLACK]),
    # the first of several
    "animated GIF": (frames("GIF"), "animation", [RED] * 8),
    "animated WebP": (frames("WEBP"), "animation", [RED] * 8),
    "animated PNG": (frames("PNG"), "animation", [RED] * 8),
    "TIFF of two pages": (frames("TIFF"), "pages", [RED] * 8),
    # what some readers do not know
    "GIF": (saved(palette(RED, BLUE), "GIF"), "GIF", [RED, BLUE]),
}  # fmt: skip


@pytest.mark.parametrize(("content", "rewrite", "first_row"), LOSSLESS.values(), ids=LOSSLESS)
def test_every_kind_of_pixels_becomes_plain_rgb(content, rewrite, first_row):
    rgb = media.decode(content)
    assert rgb[0].tolist() == [list(colour) for colour in first_row]
    assert (rgb.dtype, rgb.flags.c_contiguous, rgb.flags.writeable) == (np.uint8, True, True)
    assert media.probe(content) == media.Probe(rgb.shape[:2], rewrite)


def plain(mode, colour):
    return Image.new(mode, (16, 8), colour)


LOSSY = {
    "JPEG": (saved(plain("RGB", RED), "JPEG"), None, RED),
    "grey JPEG": (saved(plain("L", 90), "JPEG"), None, (90, 90, 90)),
    "CMYK JPEG": (saved(plain("CMYK", (0, 255, 255, 0)), "JPEG"), "CMYK", RED),
    "MPO": (saved(plain("RGB", RED), "MPO", save_all=True, append_images=[plain("RGB", BLUE)]), None, RED),
    "AVIF": (saved(plain("RGB", RED), "AVIF"), "AVIF", RED),
    "Lab": (saved(plain("LAB", (255, 128, 128)), "TIFF"), "Lab", WHITE),
}  # fmt: skip


@pytest.mark.parametrize(("content", "rewrite", "colour"), LOSSY.values(), ids=LOSSY)
def test_formats_that_change_colours_a_little(content, rewrite, colour):
    rgb = media.decode(content)
    assert media.probe(content) == media.Probe((8, 16), rewrite)
    assert rgb.shape == (8, 16, 3)
    assert np.abs(rgb.astype(int) - colour).max() <= 3


TURNED = {  # orientation -> what the stored picture 1 2 3 / 4 5 6 shows (EXIF 2.32, 4.6.4)
    1: [[1, 2, 3], [4, 5, 6]],
    2: [[3, 2, 1], [6, 5, 4]],  # mirrored
    3: [[6, 5, 4], [3, 2, 1]],  # upside down
    4: [[4, 5, 6], [1, 2, 3]],
    5: [[1, 4], [2, 5], [3, 6]],
    6: [[4, 1], [5, 2], [6, 3]],  # a quarter clockwise: most phones
    7: [[6, 3], [5, 2], [4, 1]],
    8: [[3, 6], [2, 5], [1, 4]],  # a quarter the other way
    0: [[1, 2, 3], [4, 5, 6]],  # no orientation
    9: [[1, 2, 3], [4, 5, 6]],
    700: [[1, 2, 3], [4, 5, 6]],
}


def blocks(orientation, form, mode="L", **options):
    """1 2 3 / 4 5 6 as squares of 16 pixels, 40 levels apart, with an orientation."""
    image = Image.fromarray(np.kron([[40, 80, 120], [160, 200, 240]], np.ones((16, 16))).astype(np.uint8))
    exif = Image.Exif()
    exif[pixels.ORIENTATION] = orientation
    return saved(image.convert(mode), form, exif=exif, **options)


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_pictures_are_turned_upright(form, orientation):
    options = {"JPEG": {"mode": "L"}, "WEBP": {"mode": "RGB", "lossless": True}}.get(form, {"mode": "RGB"})
    content = blocks(orientation, form, **options)
    rgb = media.decode(content)
    assert np.round(rgb[8::16, 8::16, 0] / 40).astype(int).tolist() == TURNED[orientation]
    assert media.probe(content).size_hw == rgb.shape[:2]
    assert media.probe(content).rewrite == ("orientation" if 2 <= orientation <= 8 else None)


@pytest.mark.parametrize(
    ("content", "rewrite"),
    [
        (blocks(6, "JPEG", "CMYK"), "orientation"),  # decoded by Pillow, not OpenCV
        (blocks(6, "PNG", "I;16"), "16 bit"),
        (blocks(6, "TIFF", "I;16"), "16 bit"),
        (blocks(6, "PNG", "RGBA"), "orientation"),
    ],
    ids=["CMYK JPEG", "16 bit PNG", "16 bit TIFF", "RGBA PNG"],
)
def test_every_way_of_decoding_turns(content, rewrite):
    rgb = media.decode(content)
    assert rgb.shape == (48, 32, 3)
    assert rgb[8::16, 8::16, 0].argsort(axis=None).tolist() == [1, 3, 5, 0, 2, 4]  # 4 1 / 5 2 / 6 3
    assert media.probe(content) == media.Probe((48, 32), rewrite)


def moved(png, name, before):
    """A PNG with its chunk `name` moved to just before chunk `before`."""
    start = png.index(name) - 4
    end = start + 12 + int.from_bytes(png[start : start + 4], "big")
    rest = png[:start] + png[end:]
    place = rest.index(before) - 4
    return rest[:place] + png[start:end] + rest[place:]


def test_orientation_behind_the_pixels_of_a_png():
    content = moved(blocks(6, "PNG", "RGB"), b"eXIf", before=b"IEND")
    assert media.probe(content) == media.Probe((48, 32), "orientation")
    assert media.decode(content).shape == (48, 32, 3)


def with_chunk(png, name, other):
    """A PNG with the chunk `name` of another, before its pixels."""
    start = other.index(name) - 4
    end = start + 12 + int.from_bytes(other[start : start + 4], "big")
    place = png.index(b"IDAT") - 4
    return png[:place] + other[start:end] + png[place:]


def deep_tiff(orientation, *colours):
    """A row of 16-bit colours with an orientation, which neither library writes."""
    tags = {256: len(colours), 257: 1, 258: None, 259: 1, 262: 2, 273: 0, 274: orientation, 277: 3, 278: 1}
    tags[279] = 6 * len(colours)
    behind = 8 + 2 + 12 * len(tags) + 4  # first the depths of the three samples, then the pixels
    tags[273] = behind + 6
    entries = [struct.pack("<HHII", tag, 3, 1, value) for tag, value in tags.items() if tag != 258]
    entries.insert(2, struct.pack("<HHII", 258, 3, 3, behind))
    pixels_of = np.array([(16, 16, 16), *colours], "<u2").tobytes()
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + b"".join(entries) + bytes(4) + pixels_of


@pytest.mark.parametrize(
    "content",
    [with_chunk(by_opencv(".png", *DEEP), b"eXIf", blocks(6, "PNG", "RGB")), deep_tiff(6, *DEEP)],
    ids=["PNG", "TIFF"],
)
def test_16_bit_colours_are_turned_too(content):
    assert media.probe(content) == media.Probe((2, 1), "16 bit")
    assert media.decode(content).tolist() == [[list(RED)], [[0, 128, 255]]]


def test_cmyk_is_what_pillow_makes_of_it():
    ramp = np.arange(40 * 60, dtype=np.uint32).reshape(40, 60)
    inks = [Image.fromarray((ramp * step % 251).astype(np.uint8)) for step in (1, 2, 3, 5)]
    content = saved(Image.merge("CMYK", inks), "JPEG")
    assert (media.decode(content) == np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))).all()


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_damaged_exif_costs_no_picture(form):
    content = saved(plain("RGB", RED), form, exif=b"Exif\0\0no TIFF at all")
    assert media.probe(content) == media.Probe((8, 16), None)
    assert media.decode(content).shape == (8, 16, 3)


@pytest.mark.parametrize("values", [(0.0, 1.0), (float("nan"), 1.0)])
def test_floating_point_pixels_are_refused(values):
    content = saved(picture("F", *values), "TIFF")
    for read in (media.probe, media.decode):
        with pytest.raises(BadMedia, match="unsupported_pixels: floating-point numbers"):
            read(content)


def test_the_same_pixels_are_the_same_png():
    rgb = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    assert pixels.to_png(rgb) == pixels.to_png(rgb.copy())
    assert media.decode(pixels.to_png(rgb)).tolist() == rgb.tolist()
    assert media.probe(pixels.to_png(rgb)).rewrite is None
