"""Nights on toy data: pictures, and what a detector finds in them, as a file that a night reads."""

import json
from pathlib import Path

from driving import save_pictures

PICTURES = [f"p{number:02}.png" for number in range(12)]
DOGS = [(1, 1, 9, 9), (12, 1, 20, 9)]
CATS = [(1, 12, 11, 22)]

CONFIG = """\
source: {path: photos}
ontology: {dog: [], cat: []}
detect: {backend: boxes, path: boxes.jsonl, jitter: 0.0}
segment: {backend: fake}
run: {keep_pages: false}
"""


def found(dogs=lambda name: DOGS, cats=lambda name: CATS, score=0.9):
    """Write what is found in every picture: two dogs and a cat, unless told otherwise."""
    rows = [(name, "dog", box) for name in PICTURES for box in dogs(name)]
    rows += [(name, "cat", box) for name in PICTURES for box in cats(name)]
    keys = "picture", "class", "box"
    lines = [json.dumps(dict(zip(keys, row, strict=True)) | {"score": score}) for row in rows]
    Path("boxes.jsonl").write_text("\n".join(lines) + "\n")


def no_dogs(name):
    """The dogs have collapsed: two pictures still have one."""
    return DOGS[:1] if name < "p02.png" else []


def set_up():
    """A working folder in which a night can be run."""
    save_pictures(Path("photos"), PICTURES)
    Path("toys.yaml").write_text(CONFIG)
    found()
