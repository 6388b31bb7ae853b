"""Films in datasets that have films: frames, masks and numbers belong together, and come back."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torture
from drawing import instances
from filming import SIZE_HW, clip, drawn, film_file, frames_folder
from PIL import Image

from pipeline import films, masks, media
from pipeline.errors import BadMedia
from pipeline.formats import fidelity, format_of
from pipeline.ontology import Category, Ontology

ONTOLOGY = Ontology([Category(name="cat"), Category(name="dog")])
PICTURES = [drawn(number) for number in range(12)]
NUMBERS = (0, 1, 4, 5, 9)
NEAR = 0.75
"""How far a mask covers the square that a JPEG shows, whose colours are half as fine; off by a frame it is below .5."""

EVERY_FOURTH = (0, 4, 8)
FORMATS = [  # the format, what frames become, where they are (a film's own file where none are written), and which
    ("youtube_vis", "png", "images/day/a.b", NUMBERS, NUMBERS),
    ("youtube_vis", "jpg", "images/day/a.b", NUMBERS, NUMBERS),
    ("sav_png", "png", "JPEGImages_24fps/day/a_b", NUMBERS, NUMBERS),
    ("sav_png", "jpg", "JPEGImages_24fps/day/a_b", NUMBERS, NUMBERS),
    ("sav", None, "day/a_b.mkv", EVERY_FOURTH, EVERY_FOURTH),
    ("sav", "png", "day/a_b", NUMBERS, range(5)),  # other frames than every n-th: a film of these frames
    ("sav", "jpg", "day/a_b", NUMBERS, range(5)),
    ("sav_manual", None, "day/a_b.mkv", EVERY_FOURTH, EVERY_FOURTH),
    ("sav_manual", "png", "day/a_b", NUMBERS, range(5)),
]


def squares(rgb):
    """Where a frame shows the square: (H, W) bool."""
    return rgb[..., 0].astype(int) - rgb[..., 2] > 80


def overlap(mask, other):
    return (mask & other).sum() / (mask | other).sum()


def together(got):
    """How far each frame's mask of the square covers the square that the frame shows, at least."""
    shown = zip(got.found, films.frames_of(got), strict=True)
    return min(overlap(masks.decode(found.masks[row_of(found)], SIZE_HW), squares(rgb)) for found, rgb in shown)


def row_of(found):
    return found.track_ids.tolist().index(7)


def as_film(place, **how):
    """A clip that was read as one of a film that is what it is now."""
    (one,) = format_of(how["name"]).read(place).clips
    return replace(one, id=media.film_id(one.path))


@pytest.mark.parametrize(("name", "kind", "where", "numbers", "told"), FORMATS)
def test_the_mask_of_a_frame_covers_what_the_frame_shows(name, kind, where, numbers, told, sources, place):
    meant = clip(film_file(sources / "film", PICTURES), "day/a.b.mkv", numbers)
    format_ = format_of(name)
    assert format_.write_frames(kind)([meant], ONTOLOGY, place) == {}
    got = as_film(place, name=name)
    assert got.path == str(place / where)
    assert got.name == meant.name
    assert [(frame.index, frame.time_s) for frame in got.frames] == [
        (number, frame.time_s) for number, frame in zip(told, meant.frames, strict=True)
    ]
    assert fidelity.compare([meant], format_.read(place), format_.masks, format_.stems).ok
    seen = list(films.frames_of(got))
    if kind == "jpg":
        assert NEAR < together(got) < 1
    else:
        assert together(got) == 1
        assert all((rgb == PICTURES[number]).all() for rgb, number in zip(seen, numbers, strict=True))
    shifted = replace(got, found=(*got.found[1:], got.found[0]))
    assert together(shifted) < 0.5  # the test sees it where frames are off by one


@pytest.mark.parametrize(("name", "suffix"), [("youtube_vis", "png"), ("sav", "jpg"), ("sav_png", "jpg")])
def test_frames_are_of_the_kind_that_readers_of_the_format_expect(name, suffix, sources, place):
    meant = clip(frames_folder(sources / "film", PICTURES), "a", range(3))
    format_of(name).write_frames(None)([meant], ONTOLOGY, place)
    (got,) = format_of(name).read(place).clips
    assert sorted(path.name for path in Path(got.path).iterdir()) == [f"0000{number}.{suffix}" for number in range(3)]


NUMBERED = [  # the frames that a clip has, those of them in SA-V's JSON, which knows every n-th frame from 0 only
    ((0, 1, 2), (0, 1, 2)),
    ((0, 4, 8), (0, 4, 8)),
    ((1, 2, 3), (0, 1, 2)),
    ((0, 1, 3), (0, 1, 2)),
    ((4, 8), (0, 1)),
    ((5,), (0,)),
]


@pytest.mark.parametrize(("numbers", "told"), NUMBERED)
@pytest.mark.parametrize("name", ["sav", "sav_manual", "sav_png", "youtube_vis"])
def test_folders_of_frames(name, numbers, told, sources, place):
    """The number of a frame stays; in SA-V's JSON, row i is frame i of every, every second, ... frame."""
    meant = clip(frames_folder(sources / "shot.1", PICTURES), "day/shot.1", numbers)
    format_of(name).write_frames("png")([meant], ONTOLOGY, place)
    got = as_film(place, name=name)
    assert tuple(frame.index for frame in got.frames) == (told if name in ("sav", "sav_manual") else numbers)
    assert [frame.time_s for frame in got.frames] == [frame.time_s for frame in meant.frames]
    assert (got.is_film, got.name, together(got)) == (True, "day/shot.1", 1)
    folder = Path(got.path)
    assert folder.name in ("shot.1", "shot_1")
    assert sorted(path.name for path in folder.iterdir()) == [f"{frame.index:05d}.png" for frame in got.frames]
    own = [sources / "shot.1" / f"{number:05d}.png" for number in numbers]
    assert [path.read_bytes() for path in sorted(folder.iterdir())] == [path.read_bytes() for path in own]
    check = fidelity.compare([meant], format_of(name).read(place), stems=format_of(name).stems)
    assert check.ok, str(check)


@pytest.mark.parametrize("name", ["sav", "sav_png", "youtube_vis"])
def test_a_film_of_a_single_frame_is_a_film(name, sources, place):
    meant = clip(film_file(sources / "film", PICTURES[:1]), "a.mkv", [0])
    format_of(name).write([meant], ONTOLOGY, place)
    got = as_film(place, name=name)
    assert (got.is_film, got.name, len(got.frames)) == (True, "a.mkv", 1)
    assert overlap(squares(next(films.frames_of(got))), squares(PICTURES[0])) > NEAR
    assert fidelity.compare([meant], format_of(name).read(place), stems=format_of(name).stems).ok


@pytest.mark.parametrize("name", ["sav", "sav_png", "youtube_vis"])
def test_films_and_pictures_whose_files_would_meet(name, sources, place):
    """A film, its own frames beside it as pictures and as a film, a film of the same name in another container."""
    rows = instances([(0, 0, 5, 4)], size_hw=SIZE_HW, masks=[masks.encode(squares(PICTURES[0]))])
    meant = [
        clip(film_file(sources / "1", PICTURES), "a.mkv", NUMBERS),
        clip(film_file(sources / "2", PICTURES), "a.mp4", NUMBERS),
        *(torture.picture(sources, f"a/0000{number}.png", rows, number) for number in range(3)),
        clip(frames_folder(sources / "3", PICTURES), "a", NUMBERS),
        torture.picture(sources, "b/00001.png", rows, 3),
        clip(film_file(sources / "4", PICTURES), "b.mkv", NUMBERS),
        torture.picture(sources, "a.png", rows, 4),
    ]
    format_of(name).write_frames("png")(meant, ONTOLOGY, place)
    check = fidelity.compare(meant, format_of(name).read(place), stems=format_of(name).stems)
    assert check.ok, str(check)
    paths = [one.path for one in format_of(name).read(place).clips]
    assert len(set(paths)) == len(meant)
    for one in format_of(name).read(place).clips:
        if one.is_film:
            assert together(one) == 1


@pytest.mark.parametrize("name", ["sav_png", "youtube_vis"])
def test_a_film_that_changed_is_told(name, sources, place):
    meant = clip(film_file(sources / "film", PICTURES), "a.mkv", NUMBERS)
    film_file(sources / "film", PICTURES[:8])
    with pytest.raises(BadMedia, match=r"changed: a.mkv: the file changed .*other bytes than when the run began"):
        format_of(name).write([meant], ONTOLOGY, place)


@pytest.mark.parametrize("name", ["sav_png", "youtube_vis"])
def test_a_frame_that_a_film_does_not_have_is_told(name, sources, place):
    short = clip(film_file(sources / "film", PICTURES[:8]), "a.mkv", NUMBERS)
    with pytest.raises(BadMedia, match=r"changed: a.mkv: .* has no frame 9 any more"):
        format_of(name).write([short], ONTOLOGY, place)


def test_sam2_training_finds_frames_and_masks(sources, place):
    """As its PNGRawDataset does: `*.jpg` below a video's name, and by the number in each name one mask an object."""
    meant = clip(film_file(sources / "film", PICTURES), "a.mkv", NUMBERS)
    format_of("sav_png").write([meant], ONTOLOGY, place)
    (video,) = (place / "train.txt").read_text().splitlines()
    frames = sorted((place / "JPEGImages_24fps" / video).glob("*.jpg"))
    assert [int(path.name.split(".")[0]) for path in frames] == list(NUMBERS)
    for path in frames:
        objects = sorted((place / "Annotations_6fps" / video).iterdir())
        shown = [np.asarray(Image.open(folder / f"{path.stem}.png")) > 0 for folder in objects]
        assert overlap(shown[0], squares(media.decode(path.read_bytes()))) > NEAR


def test_sam2_training_finds_the_rows_of_a_folders_frames(sources, place):
    """As its JSONRawDataset does: the frames `%05d.jpg` of a folder, of which row i is frame i * ann_every."""
    names = [f"{number:05d}.png" for number in range(1, 13)]
    meant = clip(frames_folder(sources / "shot", PICTURES, names), "shot", [2, 4, 8, 10])
    meant = replace(meant, found=clip(sources / "shot", "shot", [1, 3, 7, 9]).found)  # a camera counts from 1
    format_of("sav_manual").write([meant], ONTOLOGY, place)
    rows = json.loads((place / "shot_manual.json").read_text())["masklet"]
    numbers = sorted(int(path.stem) for path in (place / "shot").iterdir())
    assert numbers == list(range(len(rows)))
    for number in numbers:
        mask = masks.decode(rows[number][0]["counts"].encode(), SIZE_HW)
        assert overlap(mask, squares(media.decode((place / "shot" / f"{number:05d}.jpg").read_bytes()))) > NEAR
