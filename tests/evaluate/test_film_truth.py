"""Runs over films against truth on the disk: which film is which, who has classes, what is not there."""

import csv
import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from PIL import Image
from small_films import SIZE_HW, SPOTS, film

from pipeline import masks
from pipeline.errors import BadDataset, BadRecord
from pipeline.evaluate import davis
from pipeline.evaluate.film_truth import Names, evaluate_film_run
from pipeline.evaluate.of_films import evaluate_films
from pipeline.formats import sav
from pipeline.ontology import Ontology

ONTOLOGY = Ontology.parse("dog, cat")


def truth_at(place, *films):
    """The truth of films, in SA-V's files."""
    place.mkdir()
    sav.write_annotations(films, ONTOLOGY, place)
    return place


def pictures_at(folder, *frames, numbers=None, size_hw=SIZE_HW):
    """A folder of DAVIS: for each frame who is where, number of object -> spot."""
    folder.mkdir(parents=True)
    for at, there in zip(numbers or range(len(frames)), frames, strict=True):
        values = np.zeros(size_hw, np.uint8)
        for number, spot in there.items():
            x0, y0, x1, y1 = SPOTS[spot]
            values[y0:y1, x0:x1] = number
        Image.fromarray(values).save(folder / f"{at:05}.png")


# Which film is which: a name of the truth, the run's names, the one that it is

NAMES = [
    ("a.mp4", ["a.mp4", "day/a.mp4", "a"], "a.mp4"),  # as it is, before all else
    ("a", ["a.mp4", "b.mp4"], "a.mp4"),  # SA-V's ids have no suffix
    ("a.mp4", ["a", "b"], "a"),  # frames of a film in a folder
    ("bear", ["480p/bear", "480p/dog"], "480p/bear"),
    ("480p/bear", ["bear", "dog"], "bear"),
    ("480p/bear", ["JPEGImages/480p/bear"], "JPEGImages/480p/bear"),
    ("480p/bear", ["1080p/bear"], None),  # another folder's
    ("bear", ["480p/bear", "1080p/bear"], None),  # which of the two?
    ("a", ["a.mp4", "a.mov"], None),
    ("a.mp4", ["a.mov"], None),
    ("take.1", ["take.2"], None),
    ("take.1", ["take.1", "take.2"], "take.1"),
    ("a", [], None),
    ("ear", ["bear"], None),
]


@pytest.mark.parametrize(("name", "run", "known"), NAMES)
def test_which_film_is_which(name, run, known):
    assert Names(run).of(name) == (known or name)


def test_films_of_a_run_are_judged_by_the_truth_of_a_dataset(tmp_path):
    meant = [
        film({1: " AA"}, name="b.mp4"),
        film({1: "AAA", 2: "B.B"}, {2: "cat"}, name="day/a.mp4"),
        film({1: "A"}, name="gone.mp4"),
    ]
    found = {
        "day/a.mp4": film({4: "AAA", 5: "B.C"}, {5: "cat"}, name="day/a.mp4"),
        "b.mp4": film({4: " AA"}, {4: "cat"}, name="b.mp4"),
        "c.mp4": film({4: "AA"}, name="c.mp4"),
    }
    scores = evaluate_film_run(found, truth_at(tmp_path / "truth", *meant))
    assert scores == replace(evaluate_films(meant, found, "all"), notes=scores.notes)
    assert (scores.rules, scores.pairing, scores.absent) == ("all", "class", ("gone.mp4",))
    said = {(one.film, one.number): one.figures["j"] for one in scores.objects}
    # a dog in three frames; a cat that is right where it is out of sight, too; a dog that is taken for a cat
    expected = {("day/a.mp4", 1): 1.0, ("day/a.mp4", 2): 2 / 3, ("b.mp4", 1): 1 / 3}
    assert said == pytest.approx(expected, abs=1e-6)
    assert scores.notes == ("the truth has no such film of the run: 'c.mp4'",)
    assert json.loads(json.dumps(asdict(scores)))["per_film"]["day/a.mp4"]["objects"] == 2


def test_a_frame_shifted_by_one_is_seen(tmp_path):
    where = "AA>>AA"
    truth = truth_at(tmp_path / "truth", film({1: where}))
    right, late = (evaluate_film_run({"f.mp4": film({1: one})}, truth) for one in (where, where[:1] + where[:-1]))
    assert (right.over_all["j"], right.over_all["idf1"]) == (1, 1)
    assert late.over_all["j"] == pytest.approx((4 + 2 * 90 / 110) / 6, abs=1e-6)


# classes of the truth, whether they are compared, J of a dog taken for a cat
CLASSES = [("dog", "class", 0.0), ("", "any", 1.0)]


@pytest.mark.parametrize(("name", "pairing", "j"), CLASSES)
def test_where_the_truth_has_no_classes_none_are_compared(tmp_path, name, pairing, j):
    blank = film({1: "..."}, {1: name}, name="a.mp4")  # in sight in no frame
    truth = truth_at(tmp_path / "truth", blank, film({1: "AAA"}, {1: name}))
    found = {"a.mp4": blank, "f.mp4": film({1: "AAA"}, {1: "cat"})}
    scores = evaluate_film_run(found, truth)
    assert (scores.pairing, scores.per_film["f.mp4"]["j"]) == (pairing, j)
    assert len(scores.per_film) == 2  # what was looked at for its classes is judged, too


def test_without_our_sidecar_an_id_finds_its_film(tmp_path):
    truth = truth_at(tmp_path / "truth", film({1: "AAA"}, name="a.mp4"))
    (truth / "masklet.jsonl").unlink()
    clip = film({7: "AAA"}, name="a.mov")
    assert evaluate_film_run({"a": clip}, truth).per_film["a"]["j"] == 1
    with pytest.raises(
        BadDataset, match=r"none of its films is in the run: the truth has 'a\.mp4', the run has 'a\.mov'"
    ):
        evaluate_film_run({"a.mov": clip}, truth)


def test_where_nothing_of_the_truth_is_in_the_run_both_sides_are_named(tmp_path):
    truth = truth_at(tmp_path / "truth", *(film({1: "A"}, name=f"{one}.mp4") for one in "abcde"))
    said = "the truth has 'a.mp4', 'b.mp4', 'c.mp4' and 2 more, the run has 'x.mp4'; give the films the same names"
    with pytest.raises(BadDataset, match=said):
        evaluate_film_run({"x.mp4": film({1: "A"})}, truth)
    with pytest.raises(BadDataset, match="the run has none"):
        evaluate_film_run({}, truth)


def test_what_is_no_truth(tmp_path):
    with pytest.raises(BadDataset, match=r"nowhere: no such file or folder"):
        evaluate_film_run({}, tmp_path / "nowhere")
    with pytest.raises(BadDataset, match="no dataset of a format that masklet knows"):
        evaluate_film_run({}, tmp_path)


def test_truth_that_cannot_be_read_is_told(tmp_path):
    truth = truth_at(tmp_path / "truth", film({1: "AAA"}), film({1: "AAA"}, name="g.mp4"))
    (truth / "g_auto.json").write_text("{}")
    (note,) = evaluate_film_run({"f.mp4": film({1: "AAA"})}, truth).notes
    assert note.startswith("1 things in the truth cannot be read, the first: g_auto.json: has no frames")


# DAVIS


def test_a_folder_of_davis_2016_has_one_object_without_a_class(tmp_path):
    pictures_at(tmp_path / "Annotations/480p/bear", {255: "A"}, {}, {255: "B"})
    pictures_at(tmp_path / "Annotations/480p/dog", {255: "C"})
    for place, name in (("", "480p/bear"), ("Annotations", "480p/bear"), ("Annotations/480p", "bear")):
        (bear, _) = davis.read(tmp_path / place).clips
        assert (bear.name, [frame.index for frame in bear.frames]) == (name, [0, 1, 2])
        assert [(one.names, one.track_ids.tolist(), one.visible.tolist()) for one in bear.found] == [
            (("",), [1], [True]),
            (("",), [1], [False]),
            (("",), [1], [True]),
        ]
        assert [masks.box(one.masks[0], SIZE_HW) for one in bear.found if one.masks[0]] == [SPOTS["A"], SPOTS["B"]]
        found = {"480p/bear": film({3: "A B", 4: "AA."}, {3: "dog"})}
        scores = evaluate_film_run(found, tmp_path / place)
        (one,) = scores.objects
        assert (scores.pairing, one.film, one.track, one.figures["j"]) == ("any", "480p/bear", 3, 1)


def test_a_folder_of_davis_2017_has_numbered_objects_and_void(tmp_path):
    pictures_at(tmp_path / "Annotations/a", {1: "A", 7: "B"}, {7: "B", 255: "C"}, numbers=(0, 5))
    (clip,) = davis.read(tmp_path).clips
    assert [frame.index for frame in clip.frames] == [0, 5]
    assert [(one.track_ids.tolist(), one.visible.tolist()) for one in clip.found] == [
        ([1, 7], [True, True]),
        ([1, 7], [False, True]),
    ]


def test_a_film_of_one_folder_or_of_nothing(tmp_path):
    pictures_at(tmp_path / "Annotations/480p/bear", {}, {})
    (clip,) = davis.read(tmp_path / "Annotations/480p/bear").clips
    assert (clip.name, len(clip.frames), [len(one) for one in clip.found]) == ("bear", 2, [0, 0])
    assert not davis.is_davis(tmp_path / "Annotations/480p/cat")


def test_pictures_of_davis_that_cannot_be_used_are_told(tmp_path):
    folder = tmp_path / "Annotations/a"
    pictures_at(folder, {1: "A"}, {1: "A"}, {1: "A"})
    Image.new("L", (8, 8)).save(folder / "00001.png")
    (folder / "00002.png").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("no frame")
    reading = davis.read(tmp_path)
    (clip,) = reading.clips
    assert [frame.index for frame in clip.frames] == [0]
    assert [str(one) for one in reading.problems] == [
        "a/00001.png: has (8, 8) (h, w) pixels, other pictures (20, 60)",
        "a/00002.png: not_a_picture",
    ]


def test_one_film_of_the_run_answers_to_one_of_the_truth(tmp_path):
    for size in ("480p", "1080p"):
        pictures_at(tmp_path / f"Annotations/{size}/bear", {255: "A"})
    with pytest.raises(BadRecord, match="bear: the truth has this film twice"):
        evaluate_film_run({"bear": film({1: "A"})}, tmp_path)


def test_osvos_scores_what_davis_says_by_name(shared_data):
    """The union of OSVOS's objects is what `reference_j_and_f.csv` judges."""
    place = shared_data / "davis2017_osvos_predictions"
    with (place / "reference_j_and_f.csv").open(encoding="utf-8") as lines:
        expected = {row["sequence"]: [float(row["J_mean"]), float(row["F_mean"])] for row in csv.DictReader(lines)}
    found = {}
    for name in expected:
        (clip,) = davis.read(place / name).clips
        found[f"480p/{name}"] = replace(clip, found=tuple(map(_united, clip.found)))
    scores = evaluate_film_run(found, shared_data / "davis2016", "davis2017")
    for name, figures in expected.items():
        one = scores.per_film[f"480p/{name}"]
        assert [one["j"], one["f"]] == pytest.approx(figures, abs=6e-5), name  # they say four digits


def _united(found):
    if not len(found.in_sight()):
        return found.take([])
    whole = sum(masks.decode(code, found.size_hw) for code in found.masks if code) > 0
    one = found.take(np.flatnonzero(found.visible)[:1])
    code = masks.encode(whole)
    return replace(one, masks=[code], boxes_xyxy=[masks.box(code, found.size_hw)], track_ids=[1])
