"""The last stage: what makes a dataset out of date, and what happens when it is not what was meant."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from drawing import instances, square
from filming import frames_folder
from PIL import Image

from pipeline import export as export_
from pipeline import media
from pipeline.config import from_document
from pipeline.crew import Crew
from pipeline.engine import commit
from pipeline.errors import CheckFailed, Interrupted
from pipeline.export import export, made_from, up_to_date
from pipeline.formats import SEVERAL_SIZES, Reading, coco, publish
from pipeline.labelled import Labelled
from pipeline.ontology import Category, Ontology
from pipeline.plan import chain, job, survey
from pipeline.records import FILM, Clip, Frame, clip_id
from pipeline.sources import Source
from pipeline.store import Store
from pipeline.yamls import parse

TEXT = """\
source: {path: photos}
ontology: {dog: [a dog], cat: [a cat]}
detect: {backend: fake}
segment: {backend: fake}
"""

CONFIG = from_document(parse(TEXT, "run.yaml"))
NAMES = ("a.png", "b/c.png")


def label(config, store):
    """The pictures of a run, all stages behind them."""
    stages = config.stages()
    clips = survey(config, store).clips
    for clip in clips:
        done = chain(clip, stages, store)
        if len(done.keys) < len(stages):
            commit(store, Crew(stages)([job(clip, done, stages, store)]))
    return {clip.name: Labelled(clip, ((clip, chain(clip, stages, store)),)) for clip in clips}


@pytest.fixture
def run(tmp_path):
    """A run that is labelled and not yet exported: store, pictures done, and the place for a dataset."""
    for value, name in enumerate(NAMES):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((40, 60, 3), value, np.uint8)).save(path)
    with Store(None) as store:
        yield SimpleNamespace(store=store, done=label(CONFIG, store), place=tmp_path / "dataset/coco")


def written(run, config=CONFIG, **how):
    return export(config, "coco", run.place, run.done, run.store, **how)


def files(place):
    return {path.relative_to(place).as_posix(): path.read_bytes() for path in place.rglob("*") if path.is_file()}


def test_what_a_dataset_has(run):
    out = written(run)
    data = json.loads((run.place / "annotations/instances_default.json").read_text())
    assert files(run.place).keys() == {
        "annotations/instances_default.json",
        "manifest.json",
        "images/a.png",
        "images/b/c.png",
    }
    assert (out.pictures, out.objects, out.rewritten) == (2, len(data["annotations"]), 0)
    assert out.by_class == {"cat": 2, "dog": 2}
    assert out.fidelity["ok"]
    assert out.made_from == publish.made_from(run.place)
    assert publish.changed(run.place) == []


def test_a_dataset_that_was_just_written_is_up_to_date(run):
    assert not up_to_date(CONFIG, "coco", run.place, run.done)
    written(run)
    before = (run.place / "manifest.json").stat()
    assert up_to_date(CONFIG, "coco", run.place, run.done)
    assert (run.place / "manifest.json").stat() == before  # asking writes nothing


def with_ontology(*categories):
    return replace(CONFIG, ontology=Ontology(categories))


DOG, CAT = CONFIG.ontology.categories


@pytest.mark.parametrize(
    ("config", "current"),
    [
        (CONFIG, True),
        (with_ontology(DOG, CAT.model_copy(update={"color": "#112233"})), True),
        (with_ontology(DOG, CAT.model_copy(update={"threshold": 0.1})), True),  # the records are what they were
        (with_ontology(CAT, DOG), False),  # numbered by order
        (with_ontology(CAT.model_copy(update={"id": 2}), DOG), True),  # the order alone is nothing
        (with_ontology(DOG, CAT.model_copy(update={"id": 7})), False),
        (with_ontology(DOG, CAT, Category(name="bird")), False),  # a class more, though nobody found any
        (with_ontology(DOG, CAT, Category(name="bird", retired=True)), False),  # a number taken
        (replace(CONFIG, export=CONFIG.export.model_copy(update={"hard_link": True})), False),
        (replace(CONFIG, run=CONFIG.run.model_copy(update={"batch": 3, "workers": 2})), True),
        (replace(CONFIG, source=Source(path="elsewhere")), True),  # the files count, not where they were looked for
    ],
)
def test_which_settings_are_part_of_a_dataset(run, config, current):
    written(run)
    assert up_to_date(config, "coco", run.place, run.done) is current


@pytest.mark.parametrize(
    "change",
    [
        lambda clip, so_far: (replace(clip, name="z.png"), so_far),  # a picture renamed
        lambda clip, so_far: (replace(clip, id="f" * 32), so_far),  # other bytes
        lambda clip, so_far: (clip, replace(so_far, digest="another record")),
    ],
)
def test_which_pictures_are_part_of_a_dataset(run, change):
    written(run)
    ((clip, so_far),) = run.done["a.png"].parts
    clip, so_far = change(clip, so_far)
    done = {**run.done, "a.png": Labelled(clip, ((clip, so_far),))}
    assert not up_to_date(CONFIG, "coco", run.place, done)
    assert not up_to_date(CONFIG, "coco", run.place, {"a.png": run.done["a.png"]})


def test_another_version_of_the_format_is_another_dataset(run, monkeypatch):
    written(run)
    monkeypatch.setattr(coco, "COCO", replace(coco.COCO, version=coco.COCO.version + 1))
    assert not up_to_date(CONFIG, "coco", run.place, run.done)


def test_where_the_files_lie_is_not_part_of_a_dataset(run):
    moved = {
        name: replace(one, whole=replace(one.whole, path="/moved" + one.whole.path)) for name, one in run.done.items()
    }
    assert made_from(CONFIG, "coco", moved) == made_from(CONFIG, "coco", run.done)


def test_written_twice_it_is_the_same(run):
    written(run)
    before = files(run.place)
    written(run)
    assert files(run.place) == before


def reading_back(change):
    """The format, but what it reads of each picture is changed."""

    def read(place):
        reading = coco.read(place)
        return Reading(reading.names, (clip for c in reading.clips for clip in change(c)), reading.problems)

    return replace(coco.COCO, read=read)


def shifted(clip):
    """Every mask one pixel further right."""
    boxes = [[int(v) for v in box] for box in clip.found[0].boxes_xyxy]
    codes = [square(x0 + 1, y0, x1 + 1, y1, clip.found[0].size_hw) for x0, y0, x1, y1 in boxes]
    return [replace(clip, found=(replace(clip.found[0], masks=codes),))]


def renamed(clip):
    return [replace(clip, found=(replace(clip.found[0], names=["dog"] * len(clip.found[0])),))]


def one_row_less(clip):
    return [replace(clip, found=(clip.found[0].take(range(1, len(clip.found[0]))),))]


def one_row_more(clip):
    first = instances(clip.found[0].boxes_xyxy[:1], size_hw=clip.found[0].size_hw, masks=clip.found[0].masks[:1])
    rows = [*range(len(clip.found[0])), 0]
    return [replace(clip, found=(clip.found[0].take(rows),))] if len(first) else [clip]


def without_b(clip):
    return [clip] if "c.png" not in clip.name else []


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (shifted, "lowest IoU"),
        (renamed, "of another class"),
        (one_row_less, "lost"),
        (one_row_more, "extra"),
        (without_b, "lost"),
    ],
)
def test_what_is_not_what_was_meant_is_not_published(run, monkeypatch, spoil, said):
    written(run)
    before = files(run.place)
    monkeypatch.setattr(export_, "format_of", lambda _: reading_back(spoil))
    with pytest.raises(
        CheckFailed, match=f"export to coco: what was read back is not what was meant: .*{said}.* is as it was"
    ):
        written(run)
    assert files(run.place) == before
    told = json.loads((run.place.parent / "coco.export_fidelity.json").read_text())
    assert (told["ok"], sorted(path.name for path in run.place.parent.iterdir())) == (
        False,
        ["coco", "coco.export_fidelity.json"],
    )


def test_a_first_dataset_that_fails_the_check_is_not_there(run, monkeypatch):
    monkeypatch.setattr(export_, "format_of", lambda _: reading_back(shifted))
    with pytest.raises(CheckFailed):
        written(run)
    assert [path.name for path in run.place.parent.iterdir()] == ["coco.export_fidelity.json"]


def test_stopped_while_writing_the_old_dataset_stays(run):
    written(run)
    before = files(run.place)
    ticks = []

    def tick():
        ticks.append(1)
        if len(ticks) == 2:
            raise Interrupted("stopped", 15)

    with pytest.raises(Interrupted):
        written(run, tick=tick)
    assert files(run.place) == before


def test_an_empty_run_is_an_empty_dataset(run):
    out = export(CONFIG, "coco", run.place, {}, run.store)
    assert (out.pictures, out.objects, out.by_class, out.fidelity["ok"]) == (0, 0, {}, True)


@pytest.mark.parametrize(("name", "films"), [("sav", 1), ("sav_png", 1), ("youtube_vis", 1), ("coco", 2)])
def test_a_film_that_changes_its_size(name, films):
    """Where a film has one size it is left out, and that is said; it spoils no dataset."""
    clips = []
    for at, sizes_hw in enumerate([[(24, 32)] * 2, [(24, 32), (48, 32)]]):
        folder = frames_folder(Path(f"film{at}"), [np.full((*size_hw, 3), 9 * at, np.uint8) for size_hw in sizes_hw])
        frames = tuple(Frame(number, number / 24, size_hw) for number, size_hw in enumerate(sizes_hw))
        found = [
            instances([(1, 1, 9, 9)], size_hw=size_hw, masks=[square(1, 1, 9, 9, size_hw)]) for size_hw in sizes_hw
        ]
        found = tuple(replace(one, track_ids=np.array([1]), visible=np.array([True])) for one in found)
        clips.append(Clip(media.film_id(str(folder)), folder.name, str(folder), frames, FILM, found))
    out = export_.written(lambda: iter(clips), Ontology.parse("dog"), name, Path(name), "x")
    assert (out.objects, out.fidelity["ok"]) == (2 * films, True)
    assert out.unsaid == ({SEVERAL_SIZES: 1} if films == 1 else {})


def test_pictures_that_yolo_would_pass_over(tmp_path):
    """ultralytics knows no `.ppm`, and drops what is under 10 pixels; a picture of either kind spoils no dataset."""
    from pipeline.formats import yolo

    clips = []
    for name, size_hw in (("a.png", (20, 30)), ("b.ppm", (20, 30)), ("c.jfif", (20, 30)), ("d.png", (9, 30))):
        path = tmp_path / name
        Image.new("RGB", size_hw[::-1]).save(path, "PPM" if name == "b.ppm" else "PNG")
        found = instances([(1, 1, 9, 9)], size_hw=size_hw, masks=[square(1, 1, 9, 9, size_hw)])
        clips.append(Clip(clip_id(path.read_bytes()), name, str(path), (Frame(0, 0.0, size_hw),), None, (found,)))
    place = tmp_path / "yolo"
    out = export_.written(lambda: iter(clips), Ontology.parse("dog"), "yolo_seg", place, "x")
    assert [clip.name for clip in yolo.read(place).clips] == ["a.png", "b.ppm.png", "c.jfif.png"]
    assert (out.pictures, out.objects, out.rewritten, out.fidelity["ok"]) == (3, 3, 2, True)
    assert out.unsaid == {"scores": 3, "pictures left out: training would pass them over": 1}
