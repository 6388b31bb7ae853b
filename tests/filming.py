"""Small films of a square that moves, in real files, without loss: whoever reads them sees the very pixels."""

from fractions import Fraction

import av
import numpy as np
from PIL import Image

from pipeline import masks, media
from pipeline.records import Clip, Frame, Instances

SIZE_HW = (24, 32)


def at(number, size_hw=SIZE_HW):
    """Where the square is in a frame: (H, W) bool. In no two of the first 15 frames it is in the same place."""
    mask = np.zeros(size_hw, np.bool_)
    mask[2 + number : 8 + number, 1 + 2 * (number % 12) : 7 + 2 * (number % 12)] = True
    return mask


def drawn(number, size_hw=SIZE_HW, shade=0):
    """A frame: the square is red, all else grey."""
    rgb = np.full((*size_hw, 3), 60 + shade, np.uint8)
    rgb[at(number, size_hw)] = (200, 30 + number, 40)
    return rgb


def film_file(path, pictures, rate=24):
    """A film of these pictures: FFV1 in Matroska, whatever its name."""
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream("ffv1", rate=rate)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "bgr0"
        stream.codec_context.time_base = Fraction(1, rate)
        for number, rgb in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def frames_folder(path, pictures, names=None):
    """A film that is a folder: a picture a frame, `00000.png` and on."""
    path.mkdir(parents=True)
    for number, rgb in enumerate(pictures):
        Image.fromarray(rgb).save(path / (names[number] if names else f"{number:05d}.png"), quality=90)
    return path


def found(numbers, track=7, unseen=()):
    """The square in some frames, and a second object, in sight in every other; none is where it is not seen."""
    out = []
    for number in numbers:
        codes = [masks.encode(at(number)), masks.encode(at(number)[:, ::-1])]
        seen = [number not in unseen, number % 2 == 0]
        boxes = [masks.box(code, SIZE_HW) if there else (0, 0, 0, 0) for code, there in zip(codes, seen, strict=True)]
        shown = [code if there else None for code, there in zip(codes, seen, strict=True)]
        out.append(
            Instances(SIZE_HW, boxes, ("dog", "cat"), [0.5, 0.75], masks=shown, track_ids=[track, 9], visible=seen)
        )
    return tuple(out)


def clip(path, name, numbers, **how):
    """The clip of a film with the frames of these numbers."""
    frames = tuple(Frame(number, round(number / 24, 6), SIZE_HW) for number in numbers)
    return Clip(media.film_id(str(path)), name, str(path), frames, "film", found(numbers, **how))
