"""A run's figures for people and for machines."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from drawing import clip, instances

from pipeline.errors import NothingToDo, TooManyQuarantined
from pipeline.labelled import Chain, Labelled
from pipeline.outcome import Summary
from pipeline.plan import Work
from pipeline.records import Change, Drop, Frame, to_blob
from pipeline.report.summary import judge, show, show_ledger, show_scores, show_status, show_work, table
from pipeline.store import Aside, Result, Store

OUT = Path("outputs/run")


def words(text):
    """Lines of text with single spaces."""
    return [" ".join(line.split()) for line in text.splitlines()]


# Tables


def test_a_table():
    assert table("pets", [("dog", "3"), ("cat", "12")], ("", "objects")).splitlines() == [
        "pets",
        "     objects",
        "dog        3",
        "cat       12",
    ]


@pytest.mark.parametrize("text", ["[red]x[/red]", "[/x]", ":dog:", "a" * 200, "狗 🐕"])
def test_texts_are_shown_as_they_are(text):
    assert table(text, [("a", "b")]).splitlines()[0] == text  # the title is one line, however long
    assert text[:50] in table("t", [(text, "b")])
    assert text[:50] in table("t", [("a", "b")], (text, "n"))


def test_a_long_name_is_folded_and_never_cut():
    name = "x" * 200
    assert table("t", [(name, "why")]).count("x") == 200


def test_a_name_begins_no_line_and_moves_no_cursor():
    assert words(table("a\nb", [("c\x1b[2J", "d\re")])) == ["a\\nb", "c\\x1b[2J d\\re"]


def test_an_empty_table_is_its_title():
    assert table("nothing", []) == "nothing"


# What a run did

STAGES = {
    "detect": {"computed": 10, "asked": 4, "seconds": 2.0},
    "select": {"computed": 10, "asked": 0, "seconds": 0.0},  # too fast to be timed
    "segment": {"computed": 0, "asked": 0, "seconds": 0.0},
}
FIDELITY = {"objects": 15, "min_iou": 1.0, "median_iou": 1.0, "mean_iou": 1.0, "worst": [], "poor": []}
COCO = {
    "place": "outputs/run/dataset/coco",
    "objects": 15,
    "by_class": {"cat": 3, "dog": 12},
    "fidelity": FIDELITY,
    "unsaid": {},
}

SUMMARY = Summary(
    files=13,
    pictures=10,
    aside={"duplicate": 1, "empty_file": 2},
    drops={"select": {"too_small": 7}, "dedupe": {"same_class_twin": 1}},
    stages=STAGES,
    notes=["detect: smaller_batch: 8 -> 4 pictures a call"],
    datasets={"coco": COCO},
)


def test_a_run():
    assert words(show(SUMMARY, OUT)) == [
        "outputs/run",
        "pictures 10 of 13 files",
        "coco 15 objects in outputs/run/dataset/coco",
        "12 dog, 3 cat",
        "read back 15 objects, IoU 1 for every one",
        "detect 10 pictures computed, 5.0/s, model asked about 4",
        "select 10 pictures computed, model asked about 0",
        "segment 0 pictures computed, model asked about 0",
        "set aside 1: the same bytes as another file, which is kept",
        "set aside 2: the file has no bytes",
        "dropped 7 at select: the box has fewer pixels than the class's `min_area_px`",
        "dropped 1 at dedupe: another object of its class, found by the same prompt, has nearly the same mask",
        "note detect: smaller_batch: 8 -> 4 pictures a call",
    ]


def test_what_a_format_cannot_keep():
    worst = [["c1/dog/0", "a.jpg", 0.75, 90], ["c1/cat/0", "a.jpg", 0.95, 90]]
    told = FIDELITY | {"min_iou": 0.75, "median_iou": 0.999, "mean_iou": 0.98, "worst": worst, "poor": worst[:1]}
    dataset = COCO | {"fidelity": told, "unsaid": {"holes filled": 2}}
    assert words(show(Summary(datasets={"coco": dataset}), OUT))[4:] == [
        "read back 15 objects, IoU 0.750 at least, 0.999 in the middle, 0.980 on average",
        "1 below 0.9",
        "worst 0.750 c1/dog/0 in a.jpg",
        "worst 0.950 c1/cat/0 in a.jpg",
        "not said 2 holes filled",
    ]


def test_a_run_over_nothing():
    assert words(show(Summary(), OUT)) == ["outputs/run", "pictures 0 of 0 files; there is nothing in the source"]


@pytest.mark.parametrize(
    ("asked", "row"),
    [
        (("dog", "cat"), []),
        (("dog", "cta", "cat"), ["not found 1 of 3 classes: cta"]),
        (("dog", *"abcdef"), ["not found 6 of 7 classes: a, b, c, d, e..."]),
    ],
)
def test_classes_that_are_nowhere(asked, row):
    summary = Summary(files=1, datasets={"coco": COCO, "sav": COCO})
    assert [line for line in words(show(summary, OUT, asked)) if line.startswith("not found")] == row
    assert "not found" not in show(Summary(files=1), OUT, asked)  # nothing was exported


def test_many_classes_are_not_all_listed():
    by_class = {f"c{i:02}": 20 - i for i in range(15)}
    text = show(Summary(datasets={"coco": COCO | {"by_class": by_class}}), OUT)
    assert "20 c00, 19 c01" in " ".join(words(text))
    assert "9 c11, and 3 more classes" in " ".join(words(text))
    assert "c12" not in text


def test_the_figures_are_versioned_and_plain():
    form = json.loads(json.dumps(SUMMARY.to_json()))
    assert form["version"] == 1
    assert (form["files"], form["aside"], form["datasets"]) == (13, {"duplicate": 1, "empty_file": 2}, {"coco": COCO})


QUARANTINED = 2  # the two empty files; a duplicate is no fault


@pytest.mark.parametrize(
    ("summary", "most", "fail_on_empty", "error"),
    [
        (SUMMARY, None, True, None),  # no limit
        (SUMMARY, QUARANTINED, True, None),  # as many as are allowed
        (SUMMARY, QUARANTINED - 1, False, TooManyQuarantined),
        (SUMMARY, 0, False, TooManyQuarantined),
        (Summary(files=3), None, False, None),  # empty, and nobody minds
        (Summary(files=3, films=1, frames=9), None, True, None),  # a film is not nothing
        (Summary(files=3), None, True, NothingToDo),
        (Summary(files=3, aside={"empty_file": 3}), 0, True, NothingToDo),  # nothing at all is the worse news
    ],
)
def test_what_the_user_asked_to_be_told(summary, most, fail_on_empty, error):
    if error is None:
        judge(summary, OUT, most, fail_on_empty)
    else:
        with pytest.raises(error, match=r"files"):
            judge(summary, OUT, most, fail_on_empty)


def test_who_is_told_that_too_many_are_set_aside_is_told_where_to_look():
    with pytest.raises(
        TooManyQuarantined, match=r"2 files were set aside, 1 are allowed; see `masklet status outputs/run"
    ):
        judge(SUMMARY, OUT, 1, False)


# What a run would do

WORK = Work(
    pictures=3,
    aside=Counter(film=2),
    stale=Counter(detect=3, segment=3),
    asked=Counter(detect=2, segment=3),
    exact={"detect": True, "segment": False},
)


def test_a_plan():
    assert words(show_work(WORK, as_json=False)) == [
        "3 pictures, 2 files set aside",
        "stage pictures to compute to ask the model about",
        "detect 3 2",
        "segment at most 3 at most 3",
    ]


def test_a_plan_with_nothing_to_do():
    work = Work(pictures=3, exact={"detect": True})
    assert words(show_work(work, as_json=False))[0] == "3 pictures, 0 files set aside; nothing to do"


def test_a_plan_for_machines():
    assert json.loads(show_work(WORK, as_json=True)) == {
        "seconds": None,
        "pictures": 3,
        "films": 0,
        "frames": 0,
        "aside": {"film": 2},
        "stale": {"detect": 3, "segment": 3},
        "asked": {"detect": 2, "segment": 3},
        "exact": {"detect": True, "segment": False},
    }


# What a run has


@pytest.fixture
def store():
    found = instances([(1, 1, 9, 9), (1, 1, 5, 5), (1, 1, 9, 8)], names=("dog", "", "cat"), scores=[0.9, 0.456, 0.95])
    drops = (Drop(0, "negative", 2, "cat"), Drop(1, "only_negative"), Drop(None, "outside", None, "cat: box 90, 90"))
    it = clip(found, name="a.jpg")
    with Store(None) as store:
        with store.writing():
            store.add([Result("k1", it.id, "detect", "o1", (), to_blob([Change.of(found)]))])
            store.add([Result("k2", it.id, "select", "o2", drops, to_blob([Change({}, (2,), drops)]))])
            store.set_pictures({"a.jpg": Labelled(it, ((it, Chain(["k1", "k2"])),)).to_row()})
            store.set_aside([Aside("b.jpg", "", "worker_died"), Aside("c\n.jpg", "choose", "duplicate", "of a.jpg")])
        yield store


def test_a_status(store):
    assert words(show_status(OUT, store, {"datasets": {"coco": COCO}}, as_json=False)) == [
        "outputs/run",
        "pictures 1",
        "films 0",
        "results in the store 1 detect, 1 select",
        "dataset coco: 15 objects",
        "b.jpg the process that worked on it died; it is tried again in the next run",
        "c\\n.jpg the same bytes as another file, which is kept (of a.jpg)",
    ]


def test_a_status_for_machines(store):
    assert json.loads(show_status(OUT, store, {"datasets": {"coco": COCO}}, as_json=True)) == {
        "pictures": 1,
        "films": 0,
        "results": {"detect": 1, "select": 1},
        "aside": {"duplicate": 1, "worker_died": 1},
        "datasets": {"coco": 15},
        "notes": [],
    }


def test_a_status_before_the_first_summary(store):
    assert json.loads(show_status(OUT, store, {}, as_json=True))["datasets"] == {}


def test_a_ledger_has_a_line_for_each(store):
    uid = clip(name="a.jpg").id
    assert list(show_ledger(store, as_json=False)) == [
        "b.jpg: the process that worked on it died; it is tried again in the next run",
        "c\\n.jpg: choose: the same bytes as another file, which is kept (of a.jpg)",
        f"a.jpg: select: dog 0.90 at 1,1,9,9: a negative prompt fits the same place better (cat); {uid}/cat/0 stayed",
        "a.jpg: select: 0.46 at 1,1,5,5: found by a prompt that only serves as a negative",
        (
            "a.jpg: select: what the detector answered has no area inside the picture, or is no whole box"
            " (cat: box 90, 90)"
        ),
    ]


def film_in(store):
    """Put a film of two frames into the run; a third one cannot be decoded, and in the last an object went."""
    found = instances([(1, 1, 9, 9)], scores=[0.9])
    frames = (Frame(0, 0.0, found.size_hw), Frame(2, 1.0, found.size_hw))
    film = replace(clip(name="f.mp4", rewrite="film"), frames=frames)
    drops = (Drop(0, "no_track", at=1),)
    with store.writing():
        store.add([Result("f1", film.id, "detect", "o1", (), to_blob([Change.of(found), Change.of(found)]))])
        store.add([Result("f2", film.id, "track", "o2", drops, to_blob([Change({}, (0,)), Change({}, (), drops)]))])
        store.set_pictures(store.pictures() | {"f.mp4": Labelled(film, ((film, Chain(["f1", "f2"])),)).to_row()})
        store.note([("choose", "frames_missing", f"{name}: 2 frames can be decoded") for name in ("f.mp4", "gone.mp4")])


def test_a_ledger_of_films(store):
    film_in(store)
    missing, gone = list(show_ledger(store, as_json=False))[5:]
    assert missing == "f.mp4: choose: a film is labelled as far as it can be decoded (2 frames can be decoded)"
    assert gone.startswith("f.mp4, frame 2: track: dog 0.90 at 1,1,9,9: no object of the film goes on with it")
    rows = [json.loads(line) for line in show_ledger(store, as_json=True)][5:]
    assert [(row["picture"], row["reason"], row["frame"]) for row in rows] == [
        ("f.mp4", "frames_missing", None),
        ("f.mp4", "no_track", 2),
    ]


def test_a_status_has_the_notes(store):
    assert words(show_status(OUT, store, {"notes": ["choose: hm"]}, as_json=False))[-1] == "note choose: hm"


def test_a_ledger_for_machines(store):
    lines = [json.loads(line) for line in show_ledger(store, as_json=True)]
    assert [(line["picture"], line["reason"]) for line in lines[:3]] == [
        ("b.jpg", "worker_died"),
        ("c\n.jpg", "duplicate"),
        ("a.jpg", "negative"),
    ]
    assert lines[2]["box_xyxy"] == [1.0, 1.0, 9.0, 9.0]
    assert lines[3]["score"] == 0.456


SCORES = {
    "pictures": 12,
    "pictures_absent": 0,
    "lost_to_empty_mask": 1,
    "kinds": {
        "box": {"ap": 0.5, "ap50": 0.75, "ar100": 0.6, "per_class": {"dog": {"ap50": 0.75, "objects": 4}}},
        "mask": {"ap": 0.25, "ap50": 0.5, "ar100": None, "per_class": {"dog": {"ap50": None, "objects": 4}}},
    },
}


@pytest.mark.parametrize(
    ("absent", "last"),
    [
        (0, "1 objects were lost to an empty mask"),
        (3, "3 pictures of the truth are not in the run, and were not judged"),
    ],
)
def test_scores(absent, last):
    assert [line for line in words(show_scores(SCORES | {"pictures_absent": absent})) if line] == [
        "against the truth of 12 pictures",
        "AP AP50 AR100",
        "box 0.500 0.750 0.600",
        "mask 0.250 0.500 -",
        "AP50 by class",
        "objects box mask",
        "dog 4 0.750 -",
        "1 objects were lost to an empty mask",
        *([last] if absent else []),
    ]
