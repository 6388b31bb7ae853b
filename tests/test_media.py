"""Files to pictures and back: what is read, what is refused and why, and what is exported."""

import io
import os
import socket
import struct
import threading
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from pipeline import media
from pipeline.errors import BadMedia, out_of_memory
from pipeline.reasons import PICTURES
from pipeline.records import Clip, Frame, clip_id

NOISE = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8)


def saved(form, pixels=NOISE, **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form, **options)
    return file.getvalue()


def chunk(name, data=b""):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_claiming(h, w, *extra):
    """A PNG's header: all that a probe may look at."""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, 8, 2, 0, 0, 0)) + b"".join(extra)


def upright_exif(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def verdict(content, max_pixels=media.MAX_PIXELS):
    """'used HxW rewrite', or the reason why not, of decoding and probing together."""
    try:
        probe = media.probe(content, max_pixels)
        rgb = media.decode(content, max_pixels)
    except BadMedia as error:
        return error.reason if error.reason in PICTURES else f"a reason without words: {error}"
    assert rgb.shape == (*probe.size_hw, 3)
    return " ".join(["used", "x".join(map(str, probe.size_hw)), *([probe.rewrite] if probe.rewrite else [])])


def file_verdict(path):
    try:
        content = media.read_bytes(str(path))
    except BadMedia as error:
        return error.reason
    return verdict(content)


def a_clip(path, content, rewrite=None):
    path.write_bytes(content)
    return Clip(clip_id(content), path.name, str(path), (Frame(0, 0.0, (40, 60)),), rewrite)


ODD_FILES = {
    "exif_misc/30-type_error.jpg": "used 2403x3872",
    "exif_misc/corrupted.jpg": "used 2736x3648",  # its EXIF is corrupted
    "exif_misc/image01137.jpg": "used 64x88",
    "exif_orientation/landscape_1.jpg": "used 450x600",
    "exif_orientation/landscape_3.jpg": "used 450x600 orientation",
    "exif_orientation/landscape_5.jpg": "used 450x600 orientation",  # stored 600x450
    "exif_orientation/landscape_7.jpg": "used 450x600 orientation",
    "exif_orientation/portrait_1.jpg": "used 600x450",
    "exif_orientation/portrait_3.jpg": "used 600x450 orientation",
    "exif_orientation/portrait_5.jpg": "used 600x450 orientation",
    "exif_orientation/portrait_7.jpg": "used 600x450 orientation",
    "heic/IMG_5195.HEIC": "not_a_picture",
    "pillow/16bit.cropped.tif": "used 64x64 16 bit",
    "pillow/apng__mode_palette_alpha.png": "used 64x128 animation",
    "pillow/avif__hopper.avif": "used 128x128 AVIF",
    "pillow/avif__rot1mir0.avif": "used 427x640 orientation",  # stored 640x427, turned and mirrored by its boxes
    "pillow/bmp__b__reallybig.bmp": "too_large",
    "pillow/broken.png": "cut_or_damaged",
    "pillow/broken_exif_dpi.jpg": "used 100x100",
    "pillow/crash-0da013a13571cc8eb457a39fee8db18f8a3c7127.tif": "used 84x218",  # a fax with a few bad words
    "pillow/decompression_bomb.gif": "too_large",
    "pillow/decompression_bomb_extents.gif": "used 100x100 animation",  # the first frame is small
    "pillow/flower.jpg": "used 360x480",
    "pillow/frozenpond.mpo": "used 480x640",
    "pillow/hopper.Lab.tif": "used 128x128 Lab",
    "pillow/hopper.tar": "not_a_picture",
    "pillow/hopper.webp": "used 128x128",
    "pillow/hopper_1bit.pbm": "used 128x128",
    "pillow/hopper_gray.jpg": "used 128x128",
    "pillow/hopper_orientation_6.jpg": "used 128x128 orientation",
    "pillow/hopper_orientation_8.jpg": "used 128x128 orientation",
    "pillow/imagedraw_polygon_1px_high.png": "used 3x3",
    "pillow/iss634.apng": "used 245x245 animation",
    "pillow/jpeg_ff00_header.jpg": "used 225x300",
    "pillow/libtiff_segfault.tif": "cut_or_damaged",
    "pillow/negative_size.ppm": "not_a_picture",  # 'P632 358...': no PPM begins so
    "pillow/oom-225817ca0f8c663be7ab4b9e717b02c661e66834.tif": "cut_or_damaged",
    "pillow/padded_idat.png": "used 10x256",
    "pillow/pil_sample_rgb.jpg": "used 100x100",
    "pillow/seek_too_large.tif": "cut_or_damaged",
    "pillow/tRNS_null_1x1.png": "used 1x1 alpha",
    "pillow/tiff_16bit_RGB.tiff": "used 40x100 16 bit",
    "pillow/transparent.png": "used 150x200 alpha",
    "pillow/truncated_app14.jpg": "used 100x100",  # a marker is cut, the pixels are whole
    "pillow/truncated_exif_dpi.jpg": "used 640x480",
    "pillow/truncated_jpeg.jpg": "cut_or_damaged",
    "pillow/unknown_compression_method.png": "cut_or_damaged",  # of its colour profile; OpenCV alone would read it
    "pillow/zero_width.gif": "cut_or_damaged",
    "synthetic/DOG.JPG": "used 1280x720",
    "synthetic/anim.gif": "used 180x320 animation",
    "synthetic/bitflips_2000.mp4": "film",
    "synthetic/empty.jpg": "empty_file",
    "synthetic/html_error_page.jpg": "not_a_picture",
    "synthetic/mpeg4.avi": "film",
    "synthetic/odd_dims_301x175_yuv444.mp4": "film",
    "synthetic/rotated_display_matrix_90.mp4": "film",
    "synthetic/truncated_30pct.mp4": "film",
    "synthetic/vfr.mp4": "film",
    "video/av1_video.mkv": "film",
    "video/h264_10bits.mp4": "film",
    "video/h265_video.mp4": "film",
    "video/nasa_13013.mp4.audio.mp3": "not_a_picture",
}


@pytest.fixture(scope="module")
def odd(shared_data):
    return shared_data / "bad_inputs"


def test_no_odd_file_is_forgotten(odd):
    here = {
        path.relative_to(odd).as_posix() for folder in odd.iterdir() if folder.is_dir() for path in folder.iterdir()
    }
    assert here == set(ODD_FILES)


@pytest.mark.parametrize(("name", "expected"), ODD_FILES.items(), ids=ODD_FILES)
def test_odd_files(odd, name, expected):
    assert file_verdict(odd / name) == expected


def thumbnail(path):
    rgb = media.decode(media.read_bytes(str(path)))
    return np.asarray(Image.fromarray(rgb).resize((30, 30)), np.float64)


@pytest.mark.parametrize("shape", ["landscape", "portrait"])
@pytest.mark.parametrize("orientation", [3, 5, 7])
def test_photos_are_upright(odd, shape, orientation):
    one, other = (thumbnail(odd / f"exif_orientation/{shape}_{n}.jpg") for n in (1, orientation))
    assert np.abs(one - other).mean() < 20  # of 255: the digit painted on the waterfall differs
    for turned in (one[::-1], one[:, ::-1], one[::-1, ::-1], one.swapaxes(0, 1)):
        assert np.abs(turned - other).mean() > 30


@pytest.mark.parametrize(
    "name", ["hopper.Lab.tif", "avif__hopper.avif", "hopper_orientation_6.jpg", "hopper_orientation_8.jpg"]
)
def test_one_portrait_in_many_forms(odd, name):
    one, other = (thumbnail(odd / "pillow" / n) for n in ("hopper.webp", name))
    assert np.abs(one - other).mean() < 8


@pytest.mark.parametrize("name", ["16bit.cropped.tif", "tiff_16bit_RGB.tiff"])
def test_16_bit_photos_are_neither_clipped_nor_black(odd, name):
    rgb = media.decode((odd / "pillow" / name).read_bytes())
    assert (rgb.min(), rgb.max()) == (0, 255)
    assert (rgb == 255).mean() < 0.05
    assert (rgb > 20).mean() > 0.2


CUT = {
    "JPEG": saved("JPEG"),
    "progressive JPEG": saved("JPEG", progressive=True),
    "PNG": saved("PNG"),
    "16 bit PNG": cv2.imencode(".png", NOISE.astype(np.uint16) * 200)[1].tobytes(),
    "16 bit TIFF": cv2.imencode(".tif", NOISE.astype(np.uint16) * 200)[1].tobytes(),
    "WebP": saved("WEBP"),
    "BMP": saved("BMP"),
    "TIFF": saved("TIFF"),
    "packed TIFF": saved("TIFF", compression="tiff_lzw"),
    "GIF": saved("GIF"),
    "AVIF": saved("AVIF"),
    "PPM": saved("PPM"),
}


@pytest.mark.parametrize("share", [0.3, 0.9, 0.995])
@pytest.mark.parametrize("content", CUT.values(), ids=CUT)
def test_a_cut_picture_is_no_picture(content, share):
    assert verdict(content).startswith("used 40x60")
    assert verdict(content[: int(len(content) * share)]) == "cut_or_damaged"


def test_a_jpeg_without_its_end_mark_is_cut():
    assert verdict(CUT["JPEG"][:-2]) == "cut_or_damaged"
    assert verdict(CUT["JPEG"] + b"trailing bytes") == "used 40x60"


FILMS = {
    "mp4": b"\0\0\0\x20ftypisom",
    "mov": b"\0\0\0\x14ftypqt  ",
    "old mov": b"\0\0\x03\xe8moov",
    "3gp": b"\0\0\0\x18ftyp3gp4",
    "mkv": b"\x1a\x45\xdf\xa3",
    "avi": b"RIFF\0\0\0\0AVI LIST",
    "mpeg": b"\0\0\x01\xba",
    "ts": (b"G" + bytes(187)) * 4,
    "m2ts": (bytes(4) + b"G" + bytes(187)) * 4,
    "flv": b"FLV\x01",
    "wmv": b"\x30\x26\xb2\x75\x8e\x66",
}


@pytest.mark.parametrize("head", FILMS.values(), ids=FILMS)
def test_a_film_is_told_by_its_first_bytes(tmp_path, head):
    with pytest.raises(BadMedia, match="film: "):
        media.probe(head + bytes(2000))
    film = tmp_path / "film.jpg"
    film.write_bytes(head + bytes(2000))
    os.truncate(film, 2**40)  # read whole, it would not fit into memory
    with pytest.raises(BadMedia, match="film: "):
        media.read_bytes(str(film))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty_file"),
        (b"hello", "not_a_picture"),
        (b"\n<!doctype html>", "not_a_picture: HTML"),
        (b"%PDF-1.7", "not_a_picture: PDF"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1", "not_a_picture: HEIC is not read: save it as JPEG"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0heic", "not_a_picture: HEIC is not read: save it as JPEG"),
        (b"\0\0\0\x18ftypcrx \0\0\0\0", "not_a_picture: a camera's raw file"),
        (b"\0\0\0\x18ftypM4A \0\0\0\0", "not_a_picture: sound"),
        (b"ID3\x04\0\0\0", "not_a_picture: sound"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "not_a_picture"),  # Pillow would run it
        (saved("PCX"), "not_a_picture"),  # Pillow would read it
        (b"\x89PNG\r\n\x1a\n", "cut_or_damaged: the header is damaged"),
        (b"GIF89a", "cut_or_damaged: the header is damaged"),
        (png_claiming(0, 10), "cut_or_damaged"),
    ],
)
def test_what_is_no_picture_says_what_it_is(content, message):
    for read in (media.probe, media.decode):
        with pytest.raises(BadMedia, match=f"^{message}"):
            read(content)


@pytest.mark.parametrize(
    ("size_hw", "max_pixels", "fits"),
    [
        ((40, 60), 2400, True),
        ((40, 60), 2399, False),
        ((10_000, 10_000), media.MAX_PIXELS, True),  # Pillow warns here
        ((20_000, 20_000), media.MAX_PIXELS, False),  # and refuses here
        ((20_000, 20_000), 10**12, False),
        ((2**31 - 1, 2**31 - 1), media.MAX_PIXELS, False),
    ],
)
def test_size_is_limited_before_anything_is_decoded(size_hw, max_pixels, fits):
    content = png_claiming(*size_hw, chunk(b"IDAT"))
    if fits:
        assert media.probe(content, max_pixels).size_hw == size_hw
        return
    for read in (media.probe, media.decode):
        with pytest.raises(BadMedia, match="too_large: "):
            read(content, max_pixels)


def test_warnings_of_pillow_do_not_leak():
    content = png_claiming(1, 1, chunk(b"acTL", bytes(8)), chunk(b"IDAT", zlib.compress(bytes(4))), chunk(b"IEND"))
    for _ in range(2):
        warnings.simplefilter("error")
        assert verdict(content) == "used 1x1"
    warnings.resetwarnings()
    with pytest.warns(UserWarning, match="Invalid APNG"):  # so there was something to keep in
        Image.open(io.BytesIO(content))


def test_lack_of_memory_is_no_fault_of_the_picture(monkeypatch):
    def no_memory(*_):
        raise MemoryError

    monkeypatch.setattr(media.pixels, "decoded", no_memory)
    with pytest.raises(MemoryError):
        media.decode(CUT["PNG"])
    with pytest.raises(cv2.error) as caught:
        cv2.repeat(np.zeros((30_000, 30_000), np.uint8), 30_000, 30_000)
    assert out_of_memory(caught.value)


def test_pixels_that_belie_the_header_are_refused(monkeypatch):
    monkeypatch.setattr(media.pixels, "decoded", lambda *_: NOISE[:10])
    with pytest.raises(BadMedia, match=r"cut_or_damaged: the header says \(40, 60\), the pixels are \(10, 60\)"):
        media.decode(CUT["PNG"])


def test_a_regular_file_is_read(tmp_path):
    file, link = tmp_path / "a.jpg", tmp_path / "link.jpg"
    file.write_bytes(CUT["JPEG"])
    link.symlink_to(file)
    assert media.read_bytes(str(file)) == media.read_bytes(str(link)) == CUT["JPEG"]


def pipe(path):
    os.mkfifo(path)


def a_socket(path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


def circle(path):
    path.symlink_to(path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (pipe, "not_a_file"),  # opening it the plain way would wait for a writer
        (a_socket, "not_a_file"),
        (lambda path: path.mkdir(), "not_a_file"),
        (lambda path: path.symlink_to("nowhere"), "not_a_file: No such file or directory"),
        (circle, "not_a_file"),
        (lambda path: path.symlink_to("/dev/zero"), "not_a_file"),
        (lambda path: None, "not_a_file: No such file or directory"),
        (lambda path: path.touch(), "empty_file"),
    ],
    ids=["pipe", "socket", "folder", "dangling link", "circle", "device", "nothing", "empty"],
)
@pytest.mark.timeout(10)
def test_what_is_no_file_is_not_waited_for(tmp_path, monkeypatch, make, message):
    monkeypatch.chdir(tmp_path)  # the name of a socket has to be short
    make(Path("x.jpg"))
    with pytest.raises(BadMedia, match=f"^{message}"):
        media.read_bytes("x.jpg")


@pytest.mark.parametrize("name", ["caf\udce9.jpg", "a\0b.jpg"])
def test_a_name_that_is_no_text_is_named_in_ascii(tmp_path, name):
    with pytest.raises(BadMedia, match="bad_name: ") as caught:
        media.read_bytes(f"{tmp_path}/{name}")
    assert str(caught.value).isascii()


@pytest.mark.parametrize("call", ["open", "pread"])
def test_a_file_that_cannot_be_opened_or_read(tmp_path, monkeypatch, call):
    (tmp_path / "a.jpg").write_bytes(CUT["JPEG"])

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, call, refuse)
    with pytest.raises(BadMedia, match="unreadable: Permission denied"):
        media.read_bytes(str(tmp_path / "a.jpg"))


def test_a_file_larger_than_any_picture_is_not_read(tmp_path):
    (tmp_path / "a.jpg").write_bytes(CUT["JPEG"])
    os.truncate(tmp_path / "a.jpg", 2**40)
    with pytest.raises(BadMedia, match="too_large: 1099511627776 bytes"):
        media.read_bytes(str(tmp_path / "a.jpg"))


def test_a_picture_is_decoded_when_looked_at_and_once(tmp_path):
    clip = a_clip(tmp_path / "a.png", CUT["PNG"])
    picture = media.Picture(clip)
    assert picture.size_hw == (40, 60)
    assert picture.rgb.tolist() == NOISE.tolist()
    (tmp_path / "a.png").unlink()
    assert picture.rgb is picture.rgb


def test_a_picture_in_memory():
    picture = media.Picture.of(NOISE, "noise")
    assert (picture.rgb is NOISE, picture.size_hw, picture.clip.name) == (True, (40, 60), "noise")


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_bytes(CUT["JPEG"]),
        lambda path: path.write_bytes(b""),
        lambda path: path.unlink(),
        lambda path: (path.unlink(), path.mkdir()),
    ],
    ids=["other bytes", "emptied", "gone", "a folder now"],
)
@pytest.mark.parametrize("rewrite", [None, "alpha"])
@pytest.mark.parametrize("hard_link", [False, True])
def test_a_file_that_changed_is_neither_looked_at_nor_exported(tmp_path, change, rewrite, hard_link):
    clip = a_clip(tmp_path / "a.png", CUT["PNG"], rewrite)
    change(tmp_path / "a.png")
    to = tmp_path / "out/a.png"
    with pytest.raises(BadMedia, match="changed: "):
        _ = media.Picture(clip).rgb
    with pytest.raises(BadMedia, match="changed: "):
        media.export_picture(clip, to, hard_link)
    assert not to.exists()


def test_pictures_are_decoded_side_by_side(tmp_path, monkeypatch):
    both = threading.Barrier(2, timeout=5)

    def decode(content):
        both.wait()  # breaks unless two threads are here at once
        return content

    monkeypatch.setattr(media, "decode", decode)
    clips = [a_clip(tmp_path / name, CUT[name], rewrite="any") for name in ("JPEG", "PNG")]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda clip: media.Picture(clip).rgb, clips)) == [CUT["JPEG"], CUT["PNG"]]


@pytest.mark.parametrize("name", ["JPEG", "PNG"])
def test_a_plain_picture_is_decoded_as_any_other(tmp_path, name):
    content = saved(name)
    h, w = media.probe(content).size_hw
    clip = Clip(clip_id(content), name, str(tmp_path / name), (Frame(0, 0.0, (h, w)),))
    Path(clip.path).write_bytes(content)
    assert (media.Picture(clip).rgb == media.decode(content)).all()


def test_a_plain_jpeg_of_another_size_than_it_said_is_refused(tmp_path):
    clip = a_clip(tmp_path / "a.jpg", saved("JPEG"))  # a clip of 40 x 60
    with pytest.raises(BadMedia, match=r"the header says \(41, 60\), the pixels are \(40, 60\)"):
        media.Picture(replace(clip, frames=(Frame(0, 0.0, (41, 60)),))).rgb  # noqa: B018


def test_a_plain_jpeg_that_is_cut_is_refused(tmp_path):
    clip = a_clip(tmp_path / "a.jpg", saved("JPEG")[:-200])
    with pytest.raises(BadMedia, match="cut_or_damaged: the pixels end early"):
        media.Picture(clip).rgb  # noqa: B018


def test_many_threads_see_the_same_pixels():
    contents = [content for content in CUT.values() for _ in range(8)]
    alone = {content: media.decode(content).tobytes() for content in CUT.values()}
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda content: media.decode(content).tobytes(), contents))
    assert together == [alone[content] for content in contents]


@pytest.mark.parametrize("hard_link", [False, True])
def test_bytes_are_kept(tmp_path, hard_link):
    clip = a_clip(tmp_path / "a.jpg", CUT["JPEG"])
    to = tmp_path / "deep/er/a.jpg"
    assert media.export_name(clip) == "a.jpg"
    media.export_picture(clip, to, hard_link)
    assert to.read_bytes() == CUT["JPEG"]
    assert to.samefile(tmp_path / "a.jpg") == hard_link


def test_a_hard_link_of_a_link_is_of_the_file(tmp_path):
    a_clip(tmp_path / "a.jpg", CUT["JPEG"])
    (tmp_path / "link.jpg").symlink_to("a.jpg")
    clip = Clip(clip_id(CUT["JPEG"]), "link.jpg", str(tmp_path / "link.jpg"), (Frame(0, 0.0, (40, 60)),))
    media.export_picture(clip, tmp_path / "out.jpg", hard_link=True)
    assert not (tmp_path / "out.jpg").is_symlink()
    assert (tmp_path / "out.jpg").samefile(tmp_path / "a.jpg")


def test_where_no_link_can_be_the_bytes_are_copied(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    media.export_picture(a_clip(tmp_path / "a.jpg", CUT["JPEG"]), tmp_path / "out.jpg", hard_link=True)
    assert (tmp_path / "out.jpg").read_bytes() == CUT["JPEG"]
    assert not (tmp_path / "out.jpg").samefile(tmp_path / "a.jpg")


@pytest.mark.parametrize("arrives", [CUT["JPEG"], b"other bytes"])
def test_a_reflink_is_checked(tmp_path, monkeypatch, arrives):
    """No file system here may have reflinks: the call is played by one that copies, or copies something else."""
    clip = a_clip(tmp_path / "a.jpg", CUT["JPEG"])
    monkeypatch.setattr(media.fcntl, "ioctl", lambda new, _code, _old: new.write(arrives))
    if arrives == CUT["JPEG"]:
        media.export_picture(clip, tmp_path / "out.jpg")
        assert (tmp_path / "out.jpg").read_bytes() == arrives
        return
    with pytest.raises(BadMedia, match="changed: "):
        media.export_picture(clip, tmp_path / "out.jpg")
    assert not (tmp_path / "out.jpg").exists()


def test_what_a_plain_reader_shows_differently_is_written_anew(tmp_path):
    clip = a_clip(tmp_path / "a.tif", saved("TIFF", exif=upright_exif(6)), "orientation")
    assert media.export_name(clip) == "a.tif.png"
    for name in ("one.png", "two.png"):
        media.export_picture(clip, tmp_path / "out" / name, hard_link=True)
    written = (tmp_path / "out/one.png").read_bytes()
    assert written == (tmp_path / "out/two.png").read_bytes()
    assert verdict(written) == "used 60x40"
    assert media.decode(written).tolist() == np.rot90(NOISE, -1).tolist()


@pytest.mark.parametrize("rewrite", [None, "alpha"])
@pytest.mark.parametrize("hard_link", [False, True])
def test_no_file_is_overwritten(tmp_path, rewrite, hard_link):
    clip = a_clip(tmp_path / "a.png", CUT["PNG"], rewrite)
    (tmp_path / "there.png").write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        media.export_picture(clip, tmp_path / "there.png", hard_link)
    assert (tmp_path / "there.png").read_bytes() == b"mine"
