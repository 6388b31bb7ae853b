"""Near duplicates: which picture stays, what is told of the others, and what is remembered."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from drawing import instances, square
from filming import SIZE_HW, clip, film_file
from PIL import Image
from pydantic import ValidationError

from pipeline import choose, media, plan, sources
from pipeline.choose import Rules, hash_of, near_duplicates
from pipeline.config import Run
from pipeline.export import ALIKE, written
from pipeline.ontology import Category, Ontology
from pipeline.records import Clip
from pipeline.sources import Source
from pipeline.store import Store
from pipeline.toyworld import scenes


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()


def scene(number):
    return scenes.scene(3, number).rgb


def save(name, rgb, **how):
    Image.fromarray(np.ascontiguousarray(rgb)).save(Path("photos", name), **how)


def differ(a, b):
    return (hash_of(a) ^ hash_of(b)).bit_count()


def half(rgb):
    return cv2.resize(rgb, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


def jpeg(rgb):
    return media.decode(cv2.imencode(".jpg", rgb[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 40])[1].tobytes())


@pytest.mark.parametrize(
    ("change", "least", "most"),
    [
        (lambda rgb: rgb, 0, 0),
        (half, 0, 4),
        (jpeg, 0, 4),
        (lambda rgb: cv2.convertScaleAbs(rgb, alpha=0.9, beta=20), 0, 4),
        (lambda rgb: cv2.GaussianBlur(rgb, (0, 0), 2), 0, 4),
        (lambda rgb: rgb[:, ::-1], 10, 64),  # a flip is another picture
        (np.rot90, 10, 64),
        (lambda _: scene(9), 10, 64),
    ],
)
def test_what_looks_the_same(change, least, most):
    assert least <= differ(scene(1), change(scene(1))) <= most


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 3000), (3000, 1), (7, 5), (40, 4000)])
def test_any_size_has_a_hash(size_hw):
    assert 0 <= hash_of(np.full((*size_hw, 3), 90, np.uint8)) < 2**64


def test_in_the_order_of_ids_one_is_kept():
    clips = [Clip(id_, name, "", ()) for id_, name in (("2", "a"), ("1", "b"), ("3", "c"), ("0", "d"), ("4", "e"))]
    hashes = {"2": 0b111, "1": 0, "3": 0b1110000, "4": 0b1}  # d has none: its pixels cannot be had
    told = [(clip.name, kept.name, bits) for clip, kept, bits in near_duplicates(clips, hashes, 3)]
    assert told == [("a", "b", 3), ("c", "b", 3), ("e", "b", 1)]
    assert [*near_duplicates(clips[::-1], hashes, 3)] == [*near_duplicates(clips, hashes, 3)]


@pytest.mark.parametrize(("near", "said"), [(-1, "greater than or equal to 0"), (9, "less than or equal to 8")])
def test_a_distance_out_of_bounds_is_refused(near, said):
    with pytest.raises(ValidationError, match=said):
        Rules(near=near)


def surveyed(near, store=None):
    config = SimpleNamespace(source=Source(path="photos"), choose=Rules(near=near), track=None, run=Run())
    survey = plan.survey(config, store or Store(None))
    return [clip.name for clip in survey.clips], {a.name: (a.stage, a.reason, a.detail) for a in survey.aside}


def two_scenes():
    save("a.png", scene(1))
    save("a again.png", scene(1))
    save("a small.jpg", half(scene(1)), quality=80)
    save("b.png", scene(2))


def test_off_by_default():
    two_scenes()
    assert Rules().near is None
    assert surveyed(None) == (
        ["a again.png", "a small.jpg", "b.png"],
        {"a.png": ("choose", "duplicate", "of a again.png")},
    )


def test_of_pictures_that_look_the_same_one_stays():
    two_scenes()
    names, aside = surveyed(4)
    assert aside.pop("a.png")[1] == "duplicate"
    ((gone, (stage, reason, detail)),) = aside.items()
    assert sorted([*names, gone]) == ["a again.png", "a small.jpg", "b.png"]
    (kept,) = {"a again.png", "a small.jpg"} - {gone}
    bits = differ(*(media.decode(Path("photos", name).read_bytes()) for name in (gone, kept)))
    assert (stage, reason, detail) == ("choose", "near_duplicate", f"of {kept}, distance {bits}")


def test_which_stays_depends_on_no_name():
    two_scenes()
    before = [Path("photos", name).read_bytes() for name in surveyed(4)[0]]
    for path in sorted(Path("photos").iterdir()):
        path.rename(path.with_name(f"{'zyxw'[len(path.name) % 4]} {path.name}"))
    assert {Path("photos", name).read_bytes() for name in surveyed(4)[0]} == set(before)


@pytest.fixture
def hashed(monkeypatch):
    """The pictures that were hashed."""
    seen = []
    monkeypatch.setattr(choose, "hash_of", lambda rgb: seen.append(rgb.shape) or hash_of(rgb))
    return seen


def test_hashes_are_remembered_and_had_only_when_asked_for(hashed):
    two_scenes()
    with Store(None) as store:
        surveyed(None, store)
        assert hashed == []
        first = surveyed(4, store)
        assert len(hashed) == 4
        assert surveyed(4, store) == first
        surveyed(2, store)
        surveyed(None, store)
        assert len(hashed) == 4
        save("new.png", scene(5))
        surveyed(4, store)
        assert len(hashed) == 5


def test_a_damaged_picture_is_told_when_its_turn_comes(hashed):
    save("a.jpg", scene(1))
    Path("photos/a.jpg").write_bytes(Path("photos/a.jpg").read_bytes()[:3000])
    with Store(None) as store:
        assert surveyed(4, store) == (["a.jpg"], {}) == surveyed(4, store)
    assert hashed == []


def test_what_was_remembered_before_there_were_hashes_is_read():
    old = sources.Seen("c", (4, 6), None).to_json()[:6]
    assert sources.Seen.from_json(old) == sources.Seen("c", (4, 6), None)
    assert not sources.Seen.from_json(old).is_hashed


def still_film(path, turns=(0, 0, 0, 1, 1, 0)):
    """A film that shows two scenes, frame by frame."""
    small = [cv2.resize(scene(number), SIZE_HW[::-1], interpolation=cv2.INTER_AREA) for number in (1, 2)]
    return clip(film_file(path, [small[turn] for turn in turns]), "f.mkv", range(len(turns)))


@pytest.mark.parametrize(
    ("near", "names", "unsaid"),
    [
        (None, [f"f/{n:05d}.png" for n in range(6)], None),
        (2, ["f/00000.png", "f/00003.png"], 4),  # the last looks like the first
    ],
)
def test_frames_of_a_film_that_look_the_same_become_one_picture(near, names, unsaid, tmp_path):
    film = still_film(tmp_path / "f.mkv")
    ontology = Ontology([Category(name="cat"), Category(name="dog")])
    out = written(lambda: iter([film]), ontology, "coco", tmp_path / "coco", "made", near=near)
    images = tmp_path / "coco/images"
    assert sorted(path.relative_to(images).as_posix() for path in images.rglob("*.png")) == names
    assert (out.pictures, out.unsaid.get(ALIKE)) == (len(names), unsaid)
    assert out.fidelity["ok"]


def test_a_format_of_films_has_all_frames(tmp_path):
    film = still_film(tmp_path / "f.mkv")
    ontology = Ontology([Category(name="cat"), Category(name="dog")])
    out = written(lambda: iter([film]), ontology, "sav", tmp_path / "sav", "made", near=2)
    assert ALIKE not in out.unsaid


def test_a_picture_beside_films_is_not_compared_with_their_frames(tmp_path):
    film = still_film(tmp_path / "f.mkv", turns=(0, 0))
    Image.fromarray(cv2.resize(scene(1), SIZE_HW[::-1], interpolation=cv2.INTER_AREA)).save(tmp_path / "p.png")
    found = instances([(2, 2, 8, 8)], size_hw=SIZE_HW, masks=[square(2, 2, 8, 8, SIZE_HW)])
    content = (tmp_path / "p.png").read_bytes()
    picture = Clip(media.clip_id(content), "p.png", str(tmp_path / "p.png"), (replace(film.frames[0]),), None, (found,))
    ontology = Ontology([Category(name="cat"), Category(name="dog")])
    out = written(lambda: iter([film, picture]), ontology, "coco", tmp_path / "coco", "made", near=2)
    assert (out.pictures, out.unsaid[ALIKE]) == (2, 1)
