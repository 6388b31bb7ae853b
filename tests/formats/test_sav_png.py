"""SA-V's pictures of single objects: ours come back as meant, anybody's without a crash."""

import io
import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drawing import instances
from hypothesis import given, settings
from hypothesis import strategies as st
from test_coco import NAMES, ONTOLOGY, SHAPES, every_shape, picture
from test_sav import FILM, LEFT, RING, SIZE_HW, film, frame

from pipeline import masks
from pipeline.errors import BadDataset, BadRecord
from pipeline.formats import fidelity, sav_png

MASKS = "Annotations_6fps"


def png(values, mode="P"):
    """A PNG of these numbers."""
    from PIL import Image

    image = Image.fromarray(np.asarray(values, np.uint8))
    if mode == "P":
        image.putpalette(sav_png.palette())
    file = io.BytesIO()
    image.convert(mode).save(file, "PNG")
    return file.getvalue()


def files(place, **content):
    """Write files below the masks' folder: `v__001__00000` is `v/001/00000.png`."""
    for name, one in content.items():
        path = place / MASKS / f"{name.replace('__', '/')}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(one)


def read(place):
    reading = sav_png.read(place)
    return list(reading.clips), list(map(str, reading.problems))


def test_stills_and_films_come_back_as_meant(sources, place):
    clips = [picture(sources, name, every_shape()) for name in sorted(NAMES)]
    clips += [film(sources, *FILM), picture(sources, "zero.png", instances([], size_hw=SIZE_HW))]
    assert sav_png.write(iter(clips), ONTOLOGY, place) == {}
    again, problems = read(place)
    assert problems == []
    by_name = {clip.name: clip for clip in again}
    for meant in clips:
        got = by_name[meant.name]
        assert got.frames == meant.frames
        if len(meant.frames) == 1:
            assert Path(got.path).read_bytes() == Path(meant.path).read_bytes()
    check = fidelity.compare(clips, sav_png.read(place))
    assert check.ok, str(check)
    assert (check.pictures, check.objects) == (8, 6 * 8 + 4)


def test_identities_and_sight_are_kept(sources, place):
    sav_png.write([film(sources, *FILM)], ONTOLOGY, place)
    ((again,), problems) = read(place)
    assert problems == []
    assert [found.track_ids.tolist() for found in again.found] == [[2, 7]] * 3
    assert [found.visible.tolist() for found in again.found] == [[False, True], [True, False], [True, True]]
    assert [found.names for found in again.found] == [("cat", "dog")] * 3


def test_the_files_of_a_film_and_a_picture(sources, place):
    clips = [film(sources, *FILM), picture(sources, "a.jpg", every_shape())]
    sav_png.write(clips, ONTOLOGY, place)
    below = sorted(path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file())
    assert below == sorted(
        [
            *(f"{MASKS}/día/f_b/{number}/{at}.png" for number in ("000", "001") for at in ("00000", "00004", "00008")),
            *(f"{MASKS}/a/{number:03d}/00000.png" for number in range(len(SHAPES))),
            *(f"JPEGImages_24fps/día/f_b/{at}.jpg" for at in ("00000", "00004", "00008")),
            *("JPEGImages_24fps/a/00000.jpg", "masklet.jsonl", "train.txt"),
        ]
    )
    assert (place / "train.txt").read_text("utf-8") == "día/f_b\na\n"


def test_a_mask_is_a_picture_of_colour_numbers(sources, place):
    from PIL import Image

    sav_png.write([film(sources, *FILM)], ONTOLOGY, place)
    drawings = {}
    for at in ("00000", "00004"):
        with Image.open(place / MASKS / "día" / "f_b" / "000" / f"{at}.png") as image:
            assert (image.mode, len(image.getpalette()), image.getpalette()[:6]) == ("P", 768, [0, 0, 0, 128, 0, 0])
            drawings[at] = np.asarray(image).tolist()
    assert drawings == {"00000": np.zeros(SIZE_HW).tolist(), "00004": RING.astype(int).tolist()}


@pytest.mark.parametrize(
    ("number", "colour"),
    [
        (0, (0, 0, 0)),
        (1, (128, 0, 0)),
        (8, (64, 0, 0)),
        (15, (192, 128, 128)),
        (20, (0, 64, 128)),
        (255, (224, 224, 192)),
    ],
)
def test_the_palette_is_that_of_voc(number, colour):
    assert len(sav_png.palette()) == 768
    assert tuple(sav_png.palette()[3 * number : 3 * number + 3]) == colour


def test_objects_lie_on_each_other(sources, place):
    codes = [masks.encode(RING)] * 300
    one = picture(sources, "a.png", instances([(0, 0, 5, 4)] * 300, size_hw=SIZE_HW, masks=codes))
    sav_png.write([one], ONTOLOGY, place)
    assert fidelity.compare([one], sav_png.read(place)).ok


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda rows: rows.take([1]), "2 lost"),
        (lambda rows: replace(rows, names=("dog", "cat")), "of another class"),
        (lambda rows: replace(rows, masks=[masks.encode(RING[::-1]), rows.masks[1]]), "lowest IoU 0."),
    ],
)
def test_a_fault_is_found(spoil, said, sources, place):
    meant = film(sources, FILM[2], FILM[2])
    sav_png.write([replace(meant, found=tuple(map(spoil, meant.found)))], ONTOLOGY, place)
    assert said in str(fidelity.compare([meant], sav_png.read(place)))


def test_what_cannot_be_written_is_named(sources, place):
    with pytest.raises(BadRecord, match=r"fox/0 \(.*mp4\): 'fox' is no class that is exported"):
        sav_png.write([film(sources, frame({(1, "fox"): LEFT}))], ONTOLOGY, place)


# Anybody's


def test_a_dataset_without_a_sidecar(place):
    files(place, v__000__00000=png(LEFT), v__000__00004=png(LEFT * 0), v__002__00000=png(RING), v__002__00004=png(RING))
    ((clip,), problems) = read(place)
    assert problems == []
    assert (clip.name, clip.path) == ("v", str(place / "JPEGImages_24fps" / "v"))
    assert [(frame.index, frame.time_s) for frame in clip.frames] == [(0, 0), (4, 4 / 24)]
    assert [found.track_ids.tolist() for found in clip.found] == [[1, 3]] * 2
    assert [found.visible.tolist() for found in clip.found] == [[True, True], [False, True]]
    assert clip.found[0].names == ("", "")
    assert clip.found[0].masks == (masks.encode(LEFT), masks.encode(RING))


KINDS = [
    (png(RING * 255, "L"), RING),
    (png(RING, "L"), RING),
    (png(RING * 255, "1"), RING),
    (png(RING * 7), RING),  # the number of an object in DAVIS
]


@pytest.mark.parametrize(("content", "mask"), KINDS)
def test_what_is_not_zero_is_the_object(content, mask, place):
    files(place, v__000__00000=content)
    ((clip,), problems) = read(place)
    assert problems == []
    assert clip.path == str(place / "JPEGImages_24fps" / "v" / "00000.jpg")
    assert clip.found[0].masks == (masks.encode(mask),)


GOOD = png(RING)
DAMAGE = [  # what another file is, the problem
    ({"v__001__00000": b""}, r"v: object 1, frame 0: empty_file"),
    ({"v__001__00000": b"junk"}, "v: object 1, frame 0: not_a_picture"),
    ({"v__001__00000": GOOD[:-30]}, "v: object 1, frame 0: (cut_or_damaged|is no PNG)"),
    ({"v__001__00000": png(np.ones((5, 4)))}, r"frame 0: has 5 x 4 \(h x w\) pixels, other pictures 4 x 5"),
    ({"v__001__00000": png(RING * 255, "RGB")}, r"frame 0: has colours \(RGB\); save it with one number a pixel"),
    ({"v__001__00000": png(RING + 2 * np.eye(4, 5))}, "frame 0: has more than one object; give every object a folder"),
    ({"v__001__00000": png(RING), "v__001__0": png(RING)}, "v: object 1, frame 0: is there twice; remove one"),
    ({"v__001__00000": png(RING), "v__001__x": png(RING)}, "v: 'x.png': is no <frame>.png; rename or remove it"),
    ({"v__001__00004": png(RING)}, "v: object 0: lacks 1 frames, the first 4; add them"),
    ({"v__dog__00000": png(RING)}, "Annotations_6fps: 'v/dog': is no folder <id>/<number> of an object; rename it"),
    ({"001__00000": png(RING)}, "Annotations_6fps: '001': is no folder"),
    ({"v__001__00000": b"\x89PNG\r\n\x1a\n" + b"\xff" * 50}, "object 1, frame 0: cut_or_damaged"),
]


@pytest.mark.parametrize(("content", "said"), DAMAGE)
def test_what_cannot_be_trusted_is_told_and_left_out(content, said, place):
    files(place, v__000__00000=GOOD, **content)
    ((clip,), problems) = read(place)
    assert any(re.search(said, problem) for problem in problems), problems
    assert clip.found[0].masks[0] == masks.encode(RING)
    assert all(len(problem) < 250 for problem in problems)


def test_a_bomb_is_not_opened(place):
    from PIL import Image

    file = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(file, "PNG")
    files(place, v__000__00000=file.getvalue())
    clips, problems = read(place)
    assert clips == []
    assert re.search("object 0, frame 0: too_large", problems[0])
    assert problems[1:] == [f"{MASKS}/v: has no picture that can be read"]


def test_a_folder_without_masks_says_so(place):
    with pytest.raises(BadDataset, match=r"out: no folder Annotations_6fps; give a folder that has one"):
        sav_png.read(place)


def test_a_lost_object_and_a_lost_frame_are_told(sources, place):
    sav_png.write([film(sources, *FILM)], ONTOLOGY, place)
    folder = place / MASKS / "día" / "f_b"
    (folder / "001" / "00008.png").unlink()
    ((clip,), problems) = read(place)
    assert problems == [f"{MASKS}/día/f_b: object 1: lacks 1 frames, the first 8; add them"]
    assert [len(found) for found in clip.found] == [2, 2, 1]
    for path in (folder / "001").iterdir():
        path.unlink()
    ((clip,), problems) = read(place)
    assert problems == [f"{MASKS}/día/f_b: the sidecar knows 2 objects in 3 frames, other than the folders"]
    assert [found.names for found in clip.found] == [("",)] * 3
    assert clip.name == "día/f.b.mp4"


def test_the_same_clips_give_the_same_bytes(sources, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        sav_png.write([film(sources, *FILM)], ONTOLOGY, tmp_path / name)
    one, two = (
        {p.relative_to(tmp_path / n): p.read_bytes() for p in (tmp_path / n).rglob("*") if p.is_file()}
        for n in ("one", "two")
    )
    assert one == two


@settings(max_examples=200)
@given(
    st.binary(max_size=60)
    | st.builds(
        lambda cut, content, of: of[:cut] + content + of[cut + len(content) :],
        st.integers(0, len(GOOD)),
        st.binary(min_size=1, max_size=4),
        st.sampled_from([one for one, _ in KINDS]),
    )
)
def test_any_bytes_are_a_mask_or_a_problem(tmp_path_factory, content):
    place = tmp_path_factory.getbasetemp() / "hypothesis_sav_png"
    files(place, v__000__00000=GOOD, v__001__00000=content)
    ((clip,), problems) = read(place)
    clip.digest()
    assert len(clip.found[0]) + len(problems) == 2
    masks.iou([m for m in clip.found[0].masks if m], [masks.encode(RING)], SIZE_HW)


@settings(max_examples=50)
@given(st.lists(st.text("v019x/.", max_size=6), max_size=4))
def test_any_tree_is_read(tmp_path_factory, names):
    place = tmp_path_factory.mktemp("tree")
    (place / MASKS).mkdir()
    for name in names:
        path = place / MASKS / f"{name.replace('..', '_').lstrip('/')}.png"
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(GOOD)
    read(place)
