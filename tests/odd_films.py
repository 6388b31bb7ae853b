"""Films that nobody should have, and everybody has: cut, empty, of odd pixels, of two sizes, twice there."""

from fractions import Fraction

import av
import numpy as np
from filming import drawn, film_file, frames_folder

LARGE, LARGER = 2, 3
"""How much larger than `drawn` the pictures of films are whose coding wants even sides."""


def large(number, times=LARGE):
    """A frame of `drawn`, every pixel a square of some."""
    return np.kron(drawn(number), np.ones((times, times, 1), np.uint8))


def coded(path, pictures, codec="libx264", pixels="yuv420p", container=None, ticks=()):
    """A film of these pictures, 24 a second, or at these 24ths of a second."""
    with av.open(str(path), "w", format=container) as out:
        stream = out.add_stream(codec, rate=24)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = pixels
        stream.codec_context.time_base = Fraction(1, 24)
        for number, rgb in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
            frame.pts, frame.time_base = ticks[number] if ticks else number, Fraction(1, 24)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


def sound(path):
    """A second of silence, in a file that looks like a film."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("aac", rate=16_000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.float32), format="fltp", layout="mono")
        frame.rate, frame.pts = 16_000, 0
        out.mux(stream.encode(frame))
        out.mux(stream.encode())


def with_noise_for_packets(content):
    """An mp4 whose index is whole, and whose frames are noise."""
    begin, end = content.index(b"mdat") + 4, content.index(b"moov") - 4
    return content[:begin] + np.random.default_rng(0).bytes(end - begin) + content[end:]


def write(place):
    """Fill a folder with all of them."""
    place.mkdir()
    six = [large(number) for number in range(6)]
    film_file(place / "one_frame.mkv", [drawn(0)])
    film_file(place / "three_frames.mkv", [drawn(number) for number in range(3)])
    content = film_file(place / "six_frames.mkv", [drawn(number) for number in range(6)]).read_bytes()
    (place / "the_same_six.mkv").write_bytes(content)
    coded(place / "now_and_then.mkv", six, "ffv1", "bgr0", ticks=(0, 1, 2, 12, 13, 40))
    for kind in ("gray", "gray16le", "gbrp16le", "yuva420p", "bgra"):
        coded(place / f"{kind}.mkv", six[:2], "ffv1", kind)
    whole = coded(place / "whole.mp4", six).read_bytes()
    (place / "no_frame_decodes.mp4").write_bytes(with_noise_for_packets(whole))
    (place / "no_index.mp4").write_bytes(whole[: whole.index(b"moov") - 4])
    (place / "whole.mp4").unlink()
    matroska = film_file(place / "cut.mkv", [drawn(number) for number in range(9)]).read_bytes()
    (place / "cut.mkv").write_bytes(matroska[: len(matroska) * 3 // 5])
    parts = [
        coded(place / "part.ts", pictures, container="mpegts").read_bytes()
        for pictures in (six, [large(number, LARGER) for number in range(6)])
    ]
    (place / "part.ts").unlink()
    (place / "two_sizes.ts").write_bytes(b"".join(parts))
    sound(place / "sound.mp4")
    (place / "no_bytes.mp4").write_bytes(b"")
    (place / "windows.wmv").write_bytes(bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + bytes(500))
    one = frames_folder(place / "one_damaged", [drawn(number) for number in range(6)]) / "00003.png"
    one.write_bytes(one.read_bytes()[:60])
    for path in frames_folder(place / "all_damaged", [drawn(0), drawn(1)]).iterdir():
        path.write_bytes(b"no picture")
