"""A small run in which all stages have something to do: pictures and a film, a second look, tracks, two formats."""

from pathlib import Path

import filming
from driving import counting_backends, save_pictures

PICTURES = 5
FRAMES = 9
CONFIG = """\
source: {path: source}
ontology: {dog: [a dog], cat: [a cat, a kitten], bird: [a bird]}
choose: {near: 4}
detect: {backend: "counting:Detector"}
verify: {backend: "counting:Verifier"}
select: {threshold: 0.65}
segment: {backend: "counting:Segmenter"}
track: {backend: "counting:Tracker", every: 2}
export: {formats: [coco, yolo_seg]}
run: {keep_pages: false, batch: 2, segment: 4}
"""
RUN = ("run", "all.yaml", "--out", "run")


def set_up() -> None:
    """The source, the config and the counting backends, in the working folder."""
    save_pictures(Path("source"), [f"p{number}.png" for number in range(PICTURES)])
    filming.film_file(Path("source/film.mkv"), [filming.drawn(number) for number in range(FRAMES)])
    Path("all.yaml").write_text(CONFIG)
    counting_backends(Path())
