"""The configs for films, as they are, with small stand-ins for their models, on films of the toy world."""

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from driving import here

from pipeline import toyworld
from pipeline.formats import coco, sav
from pipeline.formats.yolo import read as read_yolo

FRAMES = 25
TRACKED = ["segment.model=tiny-sam2", "track.model=tiny-sam2"]
TILED = ["detect.detector={backend: grounding, model: tiny-owlv2}", "detect.side_px=208"]
EVERYTHING = ["detect.model=tiny-sam2", "track.model=tiny-sam2", "detect.points_per_side=12"]
FLORENCE = ["--ontology", "toyworld", "detect.model=tiny-florence2", "detect.score=label"]


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    """A film of two things, a square and a triangle, and its truth."""
    place = tmp_path_factory.mktemp("toys")
    toyworld.write_films(place, 4242, 1, FRAMES)
    return place


@pytest.fixture(scope="module")
def match(tmp_path_factory):
    place = tmp_path_factory.mktemp("match")
    toyworld.write_films(place, 4242, 1, 9, match=True)
    return place


def ran(config, place, *words):
    """What a run over films says; the run is in `run`."""
    said = here("run", config, f"{place / 'films'}/", "--out", "run", "--json", *words)
    assert said.returncode == 0, said.stderr
    return json.loads(said.stdout)


def scores(place, *words):
    said = here("evaluate", "run", "--truth", place / "truth", "--json", *words)
    assert said.returncode == 0, said.stderr
    return json.loads(said.stdout)["over_all"]


def shown(reading):
    """The objects of a dataset in sight: how many, and of which classes."""
    names = [name for clip in reading.clips for found in clip.found for name in found.in_sight().names]
    return len(names), set(names)


def test_words_to_tracks(toys):
    summary = ran("video_florence2_sam2", toys, *FLORENCE, *TRACKED)
    assert summary["stages"]["detect"]["asked"] == 4  # frames 0, 8, 16, 24
    assert scores(toys)["j_and_f"] > 0.95
    assert shown(sav.read(Path("run/dataset/sav"))) == (2 * FRAMES, {"square", "triangle"})
    assert shown(coco.read(Path("run/dataset/coco"))) == (2 * 4, {"square", "triangle"})  # every eighth frame


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_masklets_without_words(toys):
    summary = ran("video_everything", toys, *EVERYTHING)
    assert summary["stages"]["detect"]["asked"] == 2  # frames 0, 16
    assert summary["drops"].get("identify", {}) == {}
    assert scores(toys, "--any-class")["j_and_f"] > 0.95
    assert scores(toys, "--any-class")["false"] == 0
    assert shown(sav.read(Path("run/dataset/sav"))) == (2 * FRAMES, {"object"})
    assert shown(coco.read(Path("run/dataset/coco"))) == (2 * 2, {"object"})
    (film,) = sav.read(Path("run/dataset/sav")).clips
    assert {tuple(found.track_ids.tolist()) for found in film.found} == {(1, 2)}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_match(match):
    """That tiles, tracks and YOLO go together; the tiny SAM 2 takes players who look alike for one."""
    summary = ran("futsal", match, "--ontology", "toyfutsal", *TILED, *TRACKED, "export.formats=[sav, yolo_box]")
    assert summary["stages"]["detect"]["asked"] == 3  # frames 0, 4, 8
    assert scores(match)["objects"] == 12
    film, yolo = sav.read(Path("run/dataset/sav")), read_yolo(Path("run/dataset/yolo_box"))
    assert "referee" in shown(film)[1]
    assert "referee" in shown(yolo)[1]
    assert [path.name for path in Path("run/dataset/yolo_box").rglob("*.jpg")] == ["00000.jpg"]  # one of twelve


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(
    find_spec("ultralytics") is None or find_spec("lap") is None,
    reason="needs ultralytics and lap: pip install 'masklet[yolo]'",
)
def test_the_yolo_way(toys):
    """A YOLO that has learnt nothing: its boxes are in tracks, or are said to be in none."""
    import random_yolo

    words = [f"detect.model={random_yolo.saved()}", "detect.allow_pickle=true", "detect.names=[person, dog, cat]"]
    few = ["detect.max_objects=8", "detect.side_px=64", "segment={backend: fake}"]
    summary = ran("video_yolo_bytetrack", toys, "--ontology", "person, dog, cat", *words, *few)
    assert summary["stages"]["detect"]["asked"] == FRAMES
    (film,) = sav.read(Path("run/dataset/sav")).clips
    lengths = np.bincount([number for found in film.found for number in found.in_sight().track_ids])
    assert lengths.max() > 5
    assert summary["drops"].get("track", {}).keys() <= {"no_track"}
