"""Films of the toy world as files, with their truth beside them: what a run over films is measured against."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline import shipped
from pipeline.formats import sav
from pipeline.formats.sav_reading import AUTO
from pipeline.ontology import Ontology
from pipeline.records import FILM, Clip, Frame, clip_id
from pipeline.toyworld import futsal
from pipeline.toyworld.films import STORIES, Film, film
from pipeline.toyworld.scenes import ontology
from pipeline.toyworld.shapes import EVERY

FPS = 24
CODER = {"crf": "10", "preset": "veryfast", "x264-params": "threads=1:cpu-independent=1"}
"""Of libx264: the same bytes on every machine.

A browser takes a quarter of the colours (yuv420p), and no coding without loss: a decoded pixel is 3.2 grey levels from
the drawn one on average, of which 2.9 are the colours'; 0.5 % are more than 40 away, where one colour meets another.
"""
TO_YUV = np.array([[66, 129, 25], [-38, -74, 112], [112, -94, -18]])
"""256 times what red, green and blue add to brightness and to the two colours (ITU-R BT.601, range 16 to 235)."""
BT_601 = 6
"""The number of the matrix, primaries and curve of the colours, for players (ITU-T H.273)."""
LIMITED = 1
"""The number of the range from 16 to 235."""


def write_films(place: Path, seed: int, count: int, frames: int = 120, match: bool = False) -> None:
    """Write films to `place/films`, and the truth of every frame to `place/truth`, as SA-V without films.

    The stories come in turn, `00_wandering.mp4`, `01_twins.mp4`; or they are parts of a `match`. One film is in memory
    at a time. A file that is as it should be is left alone, and films of an earlier call that are not among these go.
    """
    stories = ["match" if match else STORIES[number % len(STORIES)] for number in range(count)]
    names = [f"{number:02}_{story}" for number, story in enumerate(stories)]
    for folder, suffix in ((place / "films", ".mp4"), (place / "truth", AUTO)):
        folder.mkdir(parents=True, exist_ok=True)
        for story in (*STORIES, "match"):
            for path in folder.glob(f"[0-9]*_{story}{suffix}"):
                if path.name.removesuffix(suffix) not in names:
                    path.unlink()
    classes = Ontology.read(shipped.find("futsal", "ontologies")) if match else ontology()
    films = (_drawn(seed, number, frames, match) for number in range(count))
    clips = map(_filed, films, [place / "films" / f"{name}.mp4" for name in names])
    sav.write_annotations(clips, classes, place / "truth")


def _drawn(seed: int, number: int, frames: int, match: bool) -> Film:
    if match:
        return futsal.match(seed, number, frames)
    return film(seed, number, STORIES[number % len(STORIES)], frames, kinds=EVERY)


def _filed(drawn: Film, path: Path) -> Clip:
    """Put a film into a file, if it is not there, and record its truth."""
    content = coded(drawn.rgb)
    if not path.is_file() or path.read_bytes() != content:
        path.write_bytes(content)
    frames = tuple(Frame(at, round(at / FPS, 6), found.size_hw) for at, found in enumerate(drawn.found))
    return Clip(clip_id(content), path.name, str(path), frames, FILM, drawn.found)


def coded(rgb: NDArray[np.uint8]) -> bytes:
    """An mp4 that plays in a browser, `FPS` frames a second: (T, H, W, 3) of even H and W -> its bytes."""
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="mp4", container_options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=FPS, options=CODER)
        stream.height, stream.width, stream.pix_fmt = rgb.shape[1], rgb.shape[2], "yuv420p"
        coder = stream.codec_context
        coder.thread_count = 1
        coder.colorspace = coder.color_primaries = coder.color_trc = BT_601
        coder.color_range = LIMITED
        for frame in rgb:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(planes(frame), format="yuv420p")))
        container.mux(stream.encode())
    return file.getvalue()


def planes(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Brightness, and two colours of every four pixels, below each other: (H, W, 3) -> (3/2 H, W). In whole numbers.

    >>> planes(np.full((2, 2, 3), 255, np.uint8)).tolist()
    [[235, 235], [235, 235], [128, 128]]
    """
    h, w = rgb.shape[:2]
    whole = rgb.astype(np.int64)
    fours = whole.reshape(h // 2, 2, w // 2, 2, 3).sum(axis=(1, 3))
    light = (whole @ TO_YUV[0] + 128 >> 8) + 16
    colors = [(fours @ row + 512 >> 10) + 128 for row in TO_YUV[1:]]
    return np.concatenate([plane.reshape(-1) for plane in (light, *colors)]).astype(np.uint8).reshape(-1, w)
