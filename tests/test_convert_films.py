"""Datasets of films into other formats: frames and masks go along, and what is not there is told."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torture
from filming import SIZE_HW, at, clip, drawn, film_file, frames_folder

from pipeline import films, masks, media
from pipeline.convert import convert
from pipeline.errors import BadDataset
from pipeline.formats import format_of
from pipeline.ontology import Category, Ontology
from pipeline.validate import validate

ONTOLOGY = Ontology([Category(name="cat"), Category(name="dog")])
PICTURES = [drawn(number) for number in range(12)]
NUMBERS = (0, 4, 8)


def dataset(folder, name, kind="file", numbers=NUMBERS, pictures=PICTURES):
    """A dataset of one film, which came as a file or as a folder."""
    (folder / name).mkdir()
    if kind == "file":
        one = clip(film_file(folder / "film", pictures), "day/a.mkv", numbers)
    else:
        one = clip(frames_folder(folder / "film", pictures), "day/a", numbers)
    format_of(name).write_frames("png")([one], ONTOLOGY, folder / name)
    return folder / name


def fitting(place, name):
    """The numbers of frames whose masks are those of the square that the frame shows, by what the names say."""
    out = []
    for one in format_of(name).read(place).clips:
        shown = films.frames_of(one) if one.is_film else [media.decode(media.read_bytes(one.path))]
        for frame, found, rgb in zip(one.frames, one.found, shown, strict=True):
            number = frame.index if one.is_film else int(Path(one.name).stem)
            row = found.names.index("dog")
            if (masks.decode(found.masks[row], SIZE_HW) == at(number)).all() and (rgb == PICTURES[number]).all():
                out.append(number)
    return out


WAYS = [  # format after format, and how the film came
    (("sav", "coco"), "file"),
    (("sav", "coco"), "folder"),
    (("sav", "youtube_vis", "sav_png", "coco"), "file"),
    (("youtube_vis", "sav", "coco"), "file"),
    (("youtube_vis", "sav", "coco"), "folder"),
    (("youtube_vis", "sav_manual", "youtube_vis", "imagefolder"), "file"),
    (("sav_png", "youtube_vis", "coco"), "folder"),
    (("sav_png", "coco"), "file"),
    (("sav", "coco", "parquet", "parquet", "coco"), "file"),
]


@pytest.mark.parametrize(("names", "kind"), WAYS)
def test_frames_go_along_from_format_to_format(names, kind, tmp_path):
    place = dataset(tmp_path, names[0], kind)
    for step, name in enumerate(names[1:]):
        out = tmp_path / f"{step}.{name}"
        done = convert(place, out, name, frames="png")
        assert (done.problems, done.exported.fidelity["ok"]) == ([], True)
        place = out
    assert fitting(place, names[-1]) == list(NUMBERS)
    if names[-1] == "coco":
        below = sorted(path.relative_to(place / "images").as_posix() for path in place.rglob("*.png"))
        assert below == [f"day/a/0000{number}.png" for number in NUMBERS]


def test_each_nth_frame(tmp_path):
    done = convert(dataset(tmp_path, "sav"), tmp_path / "out", "coco", every=2)
    assert (done.exported.pictures, done.exported.objects) == (2, 4)
    assert fitting(tmp_path / "out", "coco") == [0, 8]


def gone(place):
    next(place.rglob("*.mkv")).unlink()


def cut(place):
    film_file(next(place.rglob("*.mkv")), PICTURES[:6])


def empty(place):
    next(place.rglob("*.mkv")).write_bytes(b"")


def turned(place):
    film_file(next(place.rglob("*.mkv")), [rgb.transpose(1, 0, 2) for rgb in PICTURES])


def beyond(place):
    film_file(next(place.rglob("*.mkv")), PICTURES[:1])


TOLD = [  # what happened to the film, what is said, and the frames that are taken over
    (gone, "day/a.mkv: the film is not there; put it back, or take it out of the dataset", None),
    (cut, "day/a.mkv: 1 of 3 frames cannot be had, the first 8; put the whole film there", [0, 4]),
    (beyond, "day/a.mkv: 2 of 3 frames cannot be had, the first 4; put the whole film there", [0]),
    (empty, "day/a.mkv: not a picture in a format that", None),
    (turned, "day/a.mkv: the dataset says 24 x 32 (h x w) pixels, the film is upright 32 x 24; correct the size", None),
]


@pytest.mark.parametrize("to", ["coco", "youtube_vis", "sav"])
@pytest.mark.parametrize(("change", "said", "left"), TOLD)
def test_what_is_wrong_with_a_film_is_told_in_a_line(change, said, left, to, tmp_path):
    place = dataset(tmp_path, "sav")
    change(place)
    if left is None:
        with pytest.raises(BadDataset) as caught:
            convert(place, tmp_path / "out", to)
        assert f"nothing can be taken over: {said}" in str(caught.value)
        assert "\n" not in str(caught.value)
    else:
        done = convert(place, tmp_path / "out", to)
        assert list(map(str, done.problems)) == [said]
        assert fitting(tmp_path / "out", to) == left
    assert str(validate(place).problems[0]).startswith(said)


def test_a_picture_that_is_missing_from_a_folder_of_frames_shifts_nothing(tmp_path):
    place = dataset(tmp_path, "youtube_vis", numbers=(0, 1, 2, 3, 4))
    (place / "images/day/a/00002.png").unlink()
    done = convert(place, tmp_path / "out", "coco")
    assert list(map(str, done.problems)) == [
        "day/a.mkv: 1 of 5 frames cannot be had, the first 2; put the whole film there"
    ]
    assert fitting(tmp_path / "out", "coco") == [0, 1, 3, 4]


FOREIGN = [  # the files of a folder, those of them that a YouTube-VIS file lists, and the frames that they show
    (["00000.png", "00005.png", "00010.png"], ["00000.png", "00005.png", "00010.png"], [0, 1, 2]),  # its own way
    (["00000.png", "00005.png", "00010.png"], ["00005.png", "00010.png"], [1, 2]),
    (["img_1.png", "img_2.png", "img_3.png"], ["img_1.png", "img_2.png", "img_3.png"], [0, 1, 2]),
    (["img_1.png", "img_2.png", "img_3.png"], ["img_2.png", "img_3.png"], [1, 2]),
    (["b.png", "a.png", "c.png"], ["b.png", "a.png"], [0, 1]),
]


@pytest.mark.parametrize(("files", "listed", "shown"), FOREIGN)
def test_anybodys_frames_are_found_by_their_names(files, listed, shown, tmp_path):
    frames_folder(tmp_path / "JPEGImages/v", PICTURES[:3], files)
    codes = [{"size": list(SIZE_HW), "counts": masks.encode(at(number)).decode()} for number in shown]
    video = {"id": 1, "height": 24, "width": 32, "file_names": [f"v/{name}" for name in listed]}
    track = {"id": 1, "video_id": 1, "category_id": 1, "segmentations": codes}
    data = {"videos": [video], "annotations": [track], "categories": [{"id": 1, "name": "dog"}]}
    (tmp_path / "train.json").write_text(json.dumps(data))
    (one,) = format_of("youtube_vis").read(tmp_path / "train.json").clips
    seen = list(films.frames_of(replace(one)))
    assert [(rgb == PICTURES[number]).all() for rgb, number in zip(seen, shown, strict=True)] == [True] * len(shown)
    assert convert(tmp_path / "train.json", tmp_path / "out", "coco").problems == []


def test_a_frame_that_is_missing_is_no_other(tmp_path):
    """Where names are no numbers, those behind a file that is not there do not take its place."""
    place = dataset(tmp_path, "youtube_vis", numbers=(0, 1, 2))
    file = place / "annotations.json"
    text = file.read_text()
    for number, name in enumerate("abc"):
        (place / f"images/day/a/0000{number}.png").rename(place / f"images/day/a/{name}.png")
        text = text.replace(f"0000{number}.png", f"{name}.png")
    file.write_text(text)
    (place / "images/day/a/b.png").unlink()
    done = convert(place, tmp_path / "out", "coco")
    assert str(done.problems[0]).startswith("day/a.mkv: 1 of 3 frames cannot be had")
    shown = [media.decode(path.read_bytes()) for path in sorted((tmp_path / "out/images/day/a").iterdir())]
    assert [(rgb == PICTURES[number]).all() for rgb, number in zip(shown, (0, 2), strict=True)] == [True, True]
    masks_ = [one.found[0].masks[0] for one in format_of("coco").read(tmp_path / "out").clips]
    assert masks_ == [masks.encode(at(0)), masks.encode(at(2))]


def test_pictures_that_are_read_late_are_there_still(tmp_path):
    """Parquet reads pictures when the last clip has come: those that were unpacked from Parquet, too."""
    (tmp_path / "pictures").mkdir()
    (tmp_path / "parquet").mkdir()
    format_of("parquet").write(torture.clips(tmp_path / "pictures"), torture.ontology(), tmp_path / "parquet")
    done = convert(tmp_path / "parquet", tmp_path / "out", "parquet")
    assert (done.problems, done.exported.fidelity["ok"]) == ([], True)
    assert [path.name for path in tmp_path.iterdir() if ".pictures." in path.name] == []
