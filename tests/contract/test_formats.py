"""Every format: what is written is read back, of a dataset that no format likes."""

import filming
import numpy as np
import pytest
import torture

from pipeline import export, masks
from pipeline.formats import FORMATS, Masks, fidelity, format_of
from pipeline.formats.sniff import format_at
from pipeline.ontology import Category, Ontology


@pytest.fixture(scope="module")
def meant(tmp_path_factory):
    return torture.clips(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module", params=sorted(FORMATS))
def written(request, meant, tmp_path_factory):
    """A format, where it wrote the dataset, what it could not say, and how that reads."""
    format_, place = format_of(request.param), tmp_path_factory.mktemp(request.param)
    unsaid = format_.write(iter(meant), torture.ontology(), place)
    check = fidelity.compare(meant, format_.read(place), format_.masks, format_.stems)
    return request.param, format_, place, unsaid, check


def test_nothing_is_lost(written, meant):
    _, _, _, _, check = written
    assert (check.lost, check.extra, check.wrong_class, check.problems) == ((), (), (), ())
    assert (check.pictures, check.objects) == (len(meant), sum(len(clip.found[0]) for clip in meant))


def test_classes_are_numbered_as_in_the_ontology(written):
    _, format_, place, _, _ = written
    names = format_.read(place).names
    assert [names[number] for number in sorted(names)] == list(torture.CLASSES)


def test_masks_are_as_promised(written, meant):
    name, format_, _, unsaid, check = written
    if format_.masks == Masks.EXACT:
        assert (check.min_iou, check.worst) == (1.0, ())
    elif format_.masks == Masks.BOXES:
        assert check.min_iou > 0.98
    elif name == "coco_polygon":
        poor = {one.uid.rsplit("/", 1)[1] for one in check.poor}
        holed = [number for number, mask in enumerate(torture.shapes().values()) if has_holes(mask)]
        assert poor <= set(map(str, holed))
        assert unsaid == {"holes filled": 99}
    else:
        assert check.median_iou >= 0.98


def has_holes(mask):
    from pipeline.outlines import outlines

    return bool(outlines(masks.encode(mask), mask.shape)[1])


def test_written_twice_it_is_the_same(written, meant, tmp_path):
    _, format_, place, _, _ = written
    format_.write(iter(meant), torture.ontology(), tmp_path)
    assert contents(tmp_path) == contents(place)


def contents(place):
    return {path.relative_to(place): path.read_bytes() for path in place.rglob("*") if path.is_file()}


def test_its_files_tell_what_it_is(written):
    name, _, place, _, _ = written
    told = format_at(place)
    assert format_of(told).read == format_of(name).read


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda found: found.take(range(1, len(found))), "lost"),
        (lambda found: found.take([0, *range(len(found))]), "extra"),
        (lambda found: fidelity_of(found, names=["犬🐕"] * len(found)), "of another class"),
        (lambda found: fidelity_of(found, masks=[moved(code) for code in found.masks]), "lowest IoU"),
    ],
)
def test_a_fault_is_found(written, meant, tmp_path, spoil, said):
    """What is written is not what was meant."""
    from dataclasses import replace

    _, format_, _, _, _ = written
    clean = next(clip for clip in meant if clip.name == "two/twin.png")
    wrong = replace(clean, found=(spoil(clean.found[0]),))
    format_.write(iter([wrong]), torture.ontology(), tmp_path)
    check = fidelity.compare([clean], format_.read(tmp_path), format_.masks, format_.stems)
    assert not check.ok
    assert said in str(check)


def fidelity_of(found, **columns):
    from dataclasses import replace

    if "masks" in columns:
        columns["boxes_xyxy"] = [masks.box(code, found.size_hw) for code in columns["masks"]]
    return replace(found, **columns)


def moved(code):
    return masks.encode(np.roll(masks.decode(code, torture.SIZE_HW), 9, axis=1))


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_a_film_comes_back_whatever_the_format_makes_of_it(name, tmp_path):
    film = filming.clip(filming.film_file(tmp_path / "film", list(map(filming.drawn, range(6)))), "a.mkv", [0, 2, 5])
    ontology = Ontology([Category(name="cat"), Category(name="dog")])
    out = export.written(lambda: iter([film]), ontology, name, tmp_path / "out", "made")
    assert (out.fidelity["ok"], out.fidelity["objects"], out.objects) == (True, 5, 5)
    assert out.pictures == (1 if format_of(name).films else 3)


A_MINUTE = {"coco_polygon", "label_studio", "sav_png"}
"""Formats that take so long to write 70 000 objects, and to read them."""


def mark(name):
    return pytest.mark.hours if name in A_MINUTE else pytest.mark.slow


@pytest.mark.parametrize("name", [pytest.param(n, marks=mark(n)) for n in sorted(FORMATS)])
def test_seventy_thousand_objects(name, tmp_path):
    format_ = format_of(name)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    place = tmp_path / "dataset"
    place.mkdir()
    meant = list(torture.many(pictures, 70_000))
    format_.write(iter(meant), torture.ontology(), place)
    check = fidelity.compare(meant, format_.read(place), format_.masks, format_.stems)
    assert check.objects == 70_000
    assert check.ok, str(check)
