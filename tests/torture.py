"""A dataset that no format likes: holes, parts, specks, crowds, hostile names, twins."""

import io

import numpy as np

from pipeline import masks
from pipeline.ontology import Category, Ontology
from pipeline.records import Clip, Frame, Instances, clip_id

SIZE_HW = (96, 128)

CLASSES = (
    *("dog", "yes", "null", "1", "-", "a b", "a,b:c", "q\"u'o`te", "{x}", "%s", "line\nbreak", "tab\there"),
    *("<script>alert(1)</script>", "../x", "ünï", "犬🐕", "\u202egnp", "é", "e\u0301", "#", "~", "no: yes", "x" * 500),
)
FILES = (
    *(
        "a.png",
        "A.png",
        "ä.png",
        "a\u0308.png",
        "dir/a.png",
        "dir2/a.png",
        "a.b/c.tar.png",
        "images/labels/images/a.png",
    ),
    *(
        "sp ace.png",
        "line\nbreak.png",
        "q'\"`.png",
        "#%20?&=.png",
        "犬/🐕.png",
        "-rf.png",
        "$HOME.png",
        "x" * 200 + ".png",
    ),
)


def ontology():
    return Ontology(Category(name=name) for name in CLASSES)


def shapes():
    """Name -> mask."""
    h, w = SIZE_HW
    y, x = np.mgrid[:h, :w]
    away = np.hypot(y - h / 2 + 0.5, x - w / 2 + 0.5)
    return {
        "disc": away < 30,
        "small disc": away < 5,
        "ring": (away < 40) & (away >= 12),
        "thin ring": (away < 40) & (away >= 38.5),
        "rings in rings": (away < 44) & (away // 7 % 2 == 0),
        "sieve": (away < 44) & ((y % 8 > 1) | (x % 8 > 1)),
        "two parts": (abs(x - w / 2) > 20) & (abs(y - 40) < 15),
        "many parts": (y % 12 < 5) & (x % 12 < 5),
        "checkerboard": (y + x) % 2 == 0,
        "one pixel": (y == 17) & (x == 33),
        "first pixel": (y == 0) & (x == 0),
        "last pixel": (y == h - 1) & (x == w - 1),
        "two pixels": (y == 5) & (x // 2 == 3),
        "two corners": ((y == 5) & (x == 5)) | ((y == 6) & (x == 6)),
        "row": y == 40,
        "part of a row": (y == 40) & (x > 50) & (x < 60),
        "column": x == 7,
        "diagonal": y == x,
        "cross of lines": (y == 40) | (x == 7),
        "full frame": y >= 0,
        "frame": (y == 0) | (x == 0) | (y == h - 1) | (x == w - 1),
        "all but one pixel": ~((y == 40) & (x == 40)),
        "far parts": ((y < 3) & (x < 3)) | ((y > h - 4) & (x > w - 4)),
    }


def found(codes, names=None, size_hw=SIZE_HW):
    """Rows of masks, each in its own box."""
    boxes = [masks.box(code, size_hw) for code in codes]
    names = names or ["dog"] * len(codes)
    return Instances(size_hw, boxes, tuple(names), scores=[0.5] * len(codes), masks=codes)


def picture(folder, name, instances, shade=0):
    """A clip whose picture is on the disk; the same shade and size are the same bytes."""
    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", instances.size_hw[::-1], (shade % 256, shade // 256, 0)).save(file, "PNG")
    content = file.getvalue()
    path = folder / clip_id(content)
    path.write_bytes(content)
    return Clip(clip_id(content), name, str(path), (Frame(0, 0.0, instances.size_hw),), None, (instances,))


def crowd(count=300, seed=0):
    """So many discs on each other."""
    rng = np.random.default_rng(seed)
    h, w = SIZE_HW
    y, x = np.mgrid[:h, :w]
    places = rng.uniform((8, 8, 3), (h - 8, w - 8, 20), (count, 3))
    return [masks.encode(np.hypot(y - down, x - right) < radius) for down, right, radius in places]


def clips(folder):
    """Every shape; every class; nothing; a crowd, and the same object twice; every name; the same bytes twice."""
    every = [masks.encode(mask) for mask in shapes().values()]
    disc = every[0]
    out = [
        picture(folder, "0 shapes.png", found(every), 1),
        picture(folder, "0 classes.png", found([disc] * len(CLASSES), CLASSES), 2),
        picture(folder, "0 nothing.png", found([]), 3),
        picture(folder, "0 crowd.png", found([*crowd(), disc, disc]), 4),
        *(picture(folder, name, found([disc]), 5 + number) for number, name in enumerate(FILES)),
        picture(folder, "one/twin.png", found([disc]), 100),
        picture(folder, "two/twin.png", found(every[:3]), 100),
    ]
    return sorted(out, key=lambda clip: clip.name)


def many(folder, objects, per_picture=100):
    """So many squares, each in a place of its own."""
    h, w = SIZE_HW
    for number in range(objects // per_picture):
        codes = []
        for row in range(per_picture):
            mask = np.zeros(SIZE_HW, bool)
            top, left = (row * 7 + number) % (h - 9), (row * 13) % (w - 9)
            mask[top : top + 9, left : left + 8] = True
            codes.append(masks.encode(mask))
        rows = found(codes, [CLASSES[row % len(CLASSES)] for row in range(per_picture)])
        yield picture(folder, f"{number:06}.png", rows, number)
