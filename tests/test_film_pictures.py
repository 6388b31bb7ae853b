"""Frames of films as pictures: which file is which frame, whose bytes are kept, and that pixels are those decoded."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from filming import clip, drawn, film_file, frames_folder
from PIL import Image

from pipeline import films, media, pixels
from pipeline.errors import BadMedia

PICTURES = [drawn(number) for number in range(8)]

NUMBERS = [  # the files of a folder, the frames that they are
    (["00000.png", "00001.png"], {0: "00000.png", 1: "00001.png"}),
    (["00001.jpg", "00002.jpg"], {1: "00001.jpg", 2: "00002.jpg"}),  # a camera's
    (["00000.jpg", "00004.jpg", "00008.jpg"], {0: "00000.jpg", 4: "00004.jpg", 8: "00008.jpg"}),  # SA-V's
    (["1.png", "2.png", "10.png"], {1: "1.png", 2: "2.png", 10: "10.png"}),  # by name, 10 comes second
    (["00003.jpg", "00007.png"], {3: "00003.jpg", 7: "00007.png"}),
    (["00000.png", "00001.png", "notes.txt"], {0: "00000.png", 1: "00001.png", 2: "notes.txt"}),
    (["b.png", "00005.png", "a.png"], {5: "00005.png", 6: "a.png", 7: "b.png"}),
    (["img_0002.png", "img_0001.png"], {0: "img_0001.png", 1: "img_0002.png"}),
    (["1.png", "01.png", "a.png"], {0: "01.png", 1: "1.png", 2: "a.png"}),  # two have one number
    (["1.jpg", "1.txt"], {0: "1.jpg", 1: "1.txt"}),
    (["1700000000.png", "1700000001.png"], {0: "1700000000.png", 1: "1700000001.png"}),  # times
    (["٣.png", "1.png"], {1: "1.png", 2: "٣.png"}),
    ([".00000.png", "00001.png"], {1: "00001.png"}),
    ([], {}),
]


@pytest.mark.parametrize(("names", "wanted"), NUMBERS)
def test_which_file_is_which_frame(names, wanted, tmp_path):
    for name in names:
        (tmp_path / name).touch()
    numbered = films.numbered(tmp_path)
    assert {number: path.name for number, path in numbered.items()} == wanted
    assert list(numbered) == sorted(numbered)


def test_a_cameras_frames_keep_their_numbers_and_begin_at_no_seconds(tmp_path):
    place = frames_folder(tmp_path / "film", PICTURES[:3], ["00001.png", "00002.png", "00005.png"])
    film = films.folder(str(place), fps=10)
    assert [(frame.index, frame.time_s) for frame in film.frames] == [(1, 0.0), (2, 0.1), (5, 0.4)]
    with films.Reader(str(place)) as reader:
        assert (reader.frame(5) == PICTURES[2]).all()
        with pytest.raises(BadMedia, match="has no frame 0 any more"):
            reader.frame(0)


@pytest.mark.parametrize("numbers", [range(8), [0, 3, 7], [5]])
def test_pngs_are_the_very_pixels_that_are_decoded(numbers, tmp_path):
    one = clip(film_file(tmp_path / "a.mkv", PICTURES), "a.mkv", numbers)
    files = films.put_pictures(one, tmp_path / "out", "png")
    assert files == [f"{number:05d}.png" for number in numbers]
    shown = [np.asarray(Image.open(tmp_path / "out" / file)) for file in files]
    assert [(rgb == PICTURES[number]).all() for rgb, number in zip(shown, numbers, strict=True)] == [True] * len(files)
    assert not any((rgb == PICTURES[(number + 1) % 8]).all() for rgb, number in zip(shown, numbers, strict=True))


def test_a_film_that_has_lost_pixels_is_written_as_it_decodes(tmp_path):
    from test_films import shade, write

    path = write(tmp_path / "a.mp4", [shade(20 + 9 * number) for number in range(8)])
    one = replace(clip(path, "a.mp4", range(8)), found=())
    files = films.put_pictures(one, tmp_path / "out", "png")
    decoded = list(films.frames_of(one))
    assert [(np.asarray(Image.open(tmp_path / "out" / f)) == rgb).all() for f, rgb in zip(files, decoded, strict=True)]
    assert len({rgb.tobytes() for rgb in decoded}) == 8


def test_jpegs_are_near_and_their_bytes_the_same_each_time(tmp_path):
    one = clip(film_file(tmp_path / "a.mkv", PICTURES), "a.mkv", [2, 6])
    for folder in ("out", "again"):
        assert films.put_pictures(one, tmp_path / folder, "jpg") == ["00002.jpg", "00006.jpg"]
    for number in (2, 6):
        content = (tmp_path / "out" / f"{number:05d}.jpg").read_bytes()
        assert content == (tmp_path / "again" / f"{number:05d}.jpg").read_bytes() == pixels.to_jpeg(PICTURES[number])
        far = np.abs(media.decode(content).astype(int) - PICTURES[number])
        assert far.mean() < 3
        assert np.abs(media.decode(content)[..., ::-1].astype(int) - PICTURES[number]).mean() > 2 * far.mean()


def saved(form, **how):
    """The bytes of a picture file."""
    file = io.BytesIO()
    how.pop("image", Image.fromarray(PICTURES[0])).save(file, form, **how)
    return file.getvalue()


def turned():
    exif = Image.Exif()
    exif[pixels.ORIENTATION] = 3
    return saved("JPEG", exif=exif)


FILES = [  # a frame's picture, what is wanted, what it becomes, and whether its bytes are kept
    (saved("PNG"), "png", "png", True),
    (saved("JPEG"), "jpg", "jpg", True),
    (saved("JPEG"), "png", "jpg", True),  # a PNG of it would be larger, and no better
    (saved("PNG"), "jpg", "jpg", False),
    (saved("BMP"), "png", "png", False),
    (saved("WEBP"), "jpg", "jpg", False),
    (turned(), "jpg", "jpg", False),
    (turned(), "png", "png", False),
    (saved("PNG", image=Image.fromarray(PICTURES[0]).convert("RGBA")), "png", "png", False),
]


@pytest.mark.parametrize(("content", "kind", "suffix", "kept"), FILES)
def test_pictures_of_a_folder_keep_their_bytes_if_plain_readers_see_them(content, kind, suffix, kept, tmp_path):
    (tmp_path / "film").mkdir()
    (tmp_path / "film" / "00003.whatever").write_bytes(content)
    one = clip(tmp_path / "film", "film", [3])
    (file,) = films.put_pictures(one, tmp_path / "out", kind, hard_link=True)
    written = tmp_path / "out" / file
    assert file == f"00003.{suffix}"
    assert (written.read_bytes() == content) is kept
    assert written.samefile(tmp_path / "film" / "00003.whatever") is kept
    if suffix == "png":
        assert (np.asarray(Image.open(written)) == media.decode(content)).all()


def other(path):
    film_file(path, PICTURES[::-1])


CHANGES = [(other, "other bytes"), (Path.unlink, "No such file"), (lambda path: path.write_bytes(b""), "other bytes")]


@pytest.mark.parametrize(("change", "said"), CHANGES)
def test_another_film_than_the_clips_is_refused(change, said, tmp_path):
    path = film_file(tmp_path / "a.mkv", PICTURES)
    one = clip(path, "a.mkv", [1, 2])
    change(path)
    with pytest.raises(BadMedia, match=f"changed: .*{said}"):
        films.put_pictures(one, tmp_path / "out", "png")
    assert not (tmp_path / "out").exists()


def test_a_frame_that_the_film_does_not_have_is_named(tmp_path):
    one = clip(film_file(tmp_path / "a.mkv", PICTURES[:4]), "a.mkv", [3, 4])
    with pytest.raises(BadMedia, match=r"changed: .*a.mkv has no frame 4 any more"):
        films.put_pictures(one, tmp_path / "out", "png")
