"""People's corrections through whole runs: they stand, cost what they must, and are told."""

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest
from counting import LOG
from driving import annotations, counting_backends, dataset, handed, here, save_pictures
from film_runs import BASE, films, save_film

from pipeline import masks
from pipeline.records import clip_id

SIZE_HW = (24, 32)
LEFT, RIGHT, LOW, FREE = (1, 1, 9, 9), (14, 1, 22, 9), (1, 12, 11, 22), (18, 14, 28, 22)
FOUND = (("dog", LEFT), ("dog", RIGHT), ("cat", LOW))
OLD = [f"p{number:02}.png" for number in range(30)]
CONFIG = """\
source: {path: photos}
ontology: {dog: [], cat: []}
detect: {backend: boxes, path: boxes.jsonl, jitter: 0.0}
segment: {backend: "counting:Segmenter"}
corrections: corrections
run: {keep_pages: false}
"""


def found(names):
    """Write what a detector finds in pictures."""
    rows = [{"picture": name, "class": what, "box": box, "score": 0.9} for name in names for what, box in FOUND]
    Path("boxes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def id_of(name):
    return clip_id((Path("photos") / name).read_bytes())


def line(name, do, row=0, **said):
    """A line about the first dog of a picture, unless told otherwise."""
    what, box = FOUND[row]
    about = {} if do == "add" else {"class_was": what, "box_was": box}
    return json.dumps({"version": 1, "picture": id_of(name), "name": name, "do": do, **about, **said})


def decide(*lines, name="a"):
    Path("corrections").mkdir(exist_ok=True)
    Path(f"corrections/{name}.jsonl").write_text("".join(f"{one}\n" for one in lines))


def run(out="run", *words):
    """Run, and say what it told and what the segmenter was asked."""
    Path(LOG).unlink(missing_ok=True)
    said = here("run", "toys.yaml", "--out", out, "--json", *words)
    assert said.returncode == 0, said.stderr
    return json.loads(said.stdout), Counter(one["what"] for one in handed())


def computed(summary):
    return {name: int(did["computed"]) for name, did in summary["stages"].items()}


@pytest.fixture(autouse=True)
def toys():
    counting_backends(Path())
    save_pictures(Path("photos"), OLD)
    Path("toys.yaml").write_text(CONFIG)
    Path("corrections").mkdir()
    found(OLD)


def objects(out, name):
    """What a dataset says of a picture: class, box of the mask, who made it."""
    said = annotations(out)
    (number,) = (one["id"] for one in said["images"] if one["file_name"] == name)
    classes = {one["id"]: one["name"] for one in said["categories"]}
    rows = [one for one in said["annotations"] if one["image_id"] == number]
    return {
        (classes[one["category_id"]], box_of(one["bbox"]), one["attributes"].get("corrected", ""))
        for one in rows
        if masks.area(one["segmentation"]["counts"].encode())
    }


def box_of(xywh):
    x, y, w, h = map(int, xywh)
    return (x, y, x + w, y + h)


def mask_of(x0, y0, x1, y1):
    import numpy as np

    mask = np.zeros(SIZE_HW, np.bool_)
    mask[y0:y1, x0:x1] = True
    return masks.encode(mask).decode()


CAT, DOG = {"class": "cat"}, {"class": "dog"}
REST = {("dog", RIGHT, ""), ("cat", LOW, "")}
ALL = {("dog", LEFT, ""), *REST}
TWENTY = [  # what a person said of a picture, and what its dataset has
    *[({"do": "accept"}, {("dog", LEFT, "accept"), *REST})] * 3,
    *[({"do": "reject"}, REST)] * 3,
    *[({"do": "relabel", **CAT}, {("cat", LEFT, "relabel"), *REST})] * 3,
    *[({"do": "points", "points": [[11, 5, 1], [2, 5, -1]]}, {("dog", (2, 1, 11, 9), "points"), *REST})] * 3,
    *[({"do": "mask", "mask": mask_of(2, 2, 8, 8)}, {("dog", (2, 2, 8, 8), "mask"), *REST})] * 3,
    *[({"do": "box", "box": (2, 1, 11, 10)}, {("dog", (2, 1, 11, 10), "box"), *REST})] * 2,
    ({"do": "add", "mask": mask_of(*FREE), **CAT}, {*ALL, ("cat", FREE, "add+mask")}),
    ({"do": "add", "box": FREE, **DOG}, {*ALL, ("dog", FREE, "add+box")}),
    ({"do": "add", "points": [[24, 16, 1], [27, 19, 1]], **DOG}, {*ALL, ("dog", (23, 15, 27, 19), "add+points")}),
]


def test_twenty_corrections_of_every_kind_stand_after_a_refresh():
    run()
    decide(*(line(name, **said) for name, (said, _) in zip(OLD, TWENTY, strict=False)))
    for name in OLD[20:]:
        (Path("photos") / name).unlink()
    save_pictures(Path("photos"), [f"p{number:02}.png" for number in range(20, 40)], first=100)  # 10 others, 10 new
    found([f"p{number:02}.png" for number in range(40)])
    summary, _ = run()
    assert len(TWENTY) == 20
    for name, (said, wanted) in zip(OLD, TWENTY, strict=False):
        assert objects("run", name) == wanted, (name, said)
    assert all(objects("run", f"p{number:02}.png") == ALL for number in range(20, 40))
    kinds = {"accept": 3, "reject": 3, "relabel": 3, "add": 3, "mask": 3, "box": 2, "points": 3}
    by_class = {"dog": {"accepted": 3, "added": 2, "mended": 8, "rejected": 3, "relabelled": 3}, "cat": {"added": 1}}
    assert summary["corrections"] == {
        "lines": 20,
        "applied": kinds,
        "not_applied": 0,
        "overruled": 0,
        "by_class": dict(sorted(by_class.items())),
    }
    shown = here("status", "run").stdout
    assert "20 of 20 applied (3 accept, 3 reject, 3 relabel, 3 add, 3 mask, 2 box, 3 points)" in shown
    assert "dog: 3 accepted, 2 added, 8 mended, 3 rejected, 3 relabelled" in shown
    run("scratch")
    assert dataset("scratch") == dataset("run")


def test_only_what_was_decided_about_is_computed_again():
    first, asked = run()
    assert asked["segment"] == 30
    plain = dataset("run")
    decide(line(OLD[0], "points", points=[[11, 5, 1]]), line(OLD[1], "accept"))
    summary, asked = run()
    assert computed(summary) == {"detect": 0, "select": 0, "segment": 0, "correct": 2, "dedupe": 2}
    assert asked == {"open segment": 1, "mend": 1}
    decided = dataset("run")
    assert decided != plain
    # who and when, the order, files, and lines on other pictures mean nothing
    decide(line(OLD[1], "accept", by="anna", at="2026-11-26T10:00:00Z"))
    decide(line(OLD[0], "points", points=[[11, 5, 1]]), name="b")
    decide(json.dumps({"version": 1, "picture": "f" * 32, "do": "reject", "uid": "x"}), name="c")
    summary, asked = run()
    assert (sum(computed(summary).values()), asked) == (0, {})
    assert dataset("run") == decided
    # a decision without effect: the row is not there
    decide(line(OLD[2], "reject", box_was=FREE), name="c")
    summary, asked = run()
    assert (computed(summary)["correct"], asked) == (1, {})
    assert dataset("run") == decided
    # more about the same picture: the clicks are remembered
    decide(line(OLD[0], "relabel", **CAT), name="c")
    summary, asked = run()
    assert (computed(summary)["correct"], asked) == (1, {})
    # taken out again: the machine's answer, and no model
    shutil.rmtree("corrections")
    Path("corrections").mkdir()
    summary, asked = run()
    assert (sum(computed(summary).values()), asked) == (0, {})
    assert dataset("run") == plain
    assert first["corrections"] == summary["corrections"] == {}


def test_a_threshold_takes_nothing_away_that_a_person_decided():
    run()
    decide(line(OLD[0], "accept"), line(OLD[0], "relabel", row=1, **CAT), line(OLD[1], "add", box=FREE, **DOG))
    run()
    summary, _ = run("run", "select.threshold=0.95")
    assert objects("run", OLD[0]) == {("dog", LEFT, "accept"), ("cat", RIGHT, "relabel")}
    assert objects("run", OLD[1]) == {("dog", FREE, "add+box")}
    assert objects("run", OLD[2]) == set()
    assert summary["corrections"]["applied"] == {"accept": 1, "relabel": 1, "add": 1}


def test_a_machines_row_at_a_persons_place_names_who_stayed():
    decide(line(OLD[0], "add", mask=mask_of(*LOW), **CAT))
    run()
    assert objects("run", OLD[0]) == {("dog", LEFT, ""), ("dog", RIGHT, ""), ("cat", LOW, "add+mask")}
    said = here("status", "run", "--ledger").stdout
    assert "dedupe: cat 0.90 at 1,12,11,22: an object that a person decided about has nearly the same mask; " in said
    assert f"{id_of(OLD[0])}/cat/1 stayed" in said


def test_what_could_not_be_applied_is_told_with_its_file_and_line():
    gone = {"version": 1, "picture": "e" * 32, "name": "gone.png", "do": "accept", "uid": "x"}
    decide(
        line(OLD[0], "accept"),
        line(OLD[0], "accept", box_was=(30, 20, 32, 24), class_was="zebra"),
        line(OLD[1], "mask", mask="22"),
        line(OLD[2], "add", box=(20.1, 20.1, 20.3, 20.3), **CAT),
        json.dumps(gone),
        line(OLD[0], "accept"),
    )
    summary, _ = run()
    assert {key: summary["corrections"][key] for key in ("lines", "applied", "not_applied", "overruled")} == {
        "lines": 6,
        "applied": {"accept": 1},
        "not_applied": 4,
        "overruled": 1,
    }
    ledger = here("status", "run", "--ledger").stdout
    for said in (
        "p00.png: correct: a correction could not be applied (corrections/a.jsonl line 2: its row is not there any",
        "p01.png: correct: a correction could not be applied (corrections/a.jsonl line 3: mask: runs fill 4 pixels",
        "p02.png: correct: a correction could not be applied (corrections/a.jsonl line 4: the segmenter finds nothing",
        "gone.png: correct: a correction could not be applied (corrections/a.jsonl line 5: its picture is not in this",
    ):
        assert said in ledger
    decide(line(OLD[0], "accept"))
    assert "not_applied" not in json.dumps(run()[0]["notes"])
    assert "could not be applied" not in here("status", "run", "--ledger").stdout


@pytest.mark.parametrize("command", ["run", "plan", "check"])
def test_a_bad_line_ends_every_command_at_once(command):
    decide("{", line(OLD[0], "relabel", **CAT))
    said = here(command, "toys.yaml", "--out", "run")
    assert said.returncode == 2
    assert said.stderr.startswith("masklet: corrections/a.jsonl line 1: not JSON: ")
    decide(line(OLD[0], "relabel", **{"class": "horse"}))
    said = here(command, "toys.yaml", "--out", "run")
    assert (said.returncode, said.stderr) == (
        2,
        "masklet: corrections/a.jsonl line 1: class: 'horse' is not in the ontology\n",
    )
    decide(line(OLD[0], "points", points=[[1, 1, 1]]))
    said = here(command, "toys.yaml", "--out", "run", "segment.backend=grabcut")
    assert said.returncode == 2
    assert "line 1: points: the segmenter grabcut cannot be asked with clicks" in said.stderr


def test_a_plan_says_what_corrections_cost():
    run()
    decide(line(OLD[0], "points", points=[[11, 5, 1]]), line(OLD[1], "reject"))
    work = json.loads(here("plan", "toys.yaml", "--out", "run", "--json").stdout)
    assert (work["stale"]["correct"], work["asked"]["correct"], work["exact"]["correct"]) == (2, 1, True)
    assert not work["stale"].get("segment")


def test_a_dataset_edited_elsewhere_comes_back():
    run()
    edited = annotations("run")
    classes = {one["name"]: one["id"] for one in edited["categories"]}
    edited["annotations"][0]["category_id"] = classes["cat"]
    del edited["annotations"][1]
    Path("edited.json").write_text(json.dumps(edited))
    words = ("corrections", "import", "edited.json", "--run", "run", "--by", "anna")
    said = here(*words, "--out", "corrections/cvat.jsonl", "--json")
    assert json.loads(said.stdout) == {
        "place": "corrections/cvat.jsonl",
        "pictures": 30,
        "absent": 0,
        "corrections": {"reject": 1, "relabel": 1},
    }
    again = here(*words, "--out", "corrections/cvat.jsonl")
    assert (again.returncode, "is there already" in again.stderr) == (2, True)
    summary, _ = run()
    assert summary["corrections"]["applied"] == {"reject": 1, "relabel": 1}
    said = here("corrections", "import", "edited.json", "--run", "run", "--out", "twice.jsonl", "--json")
    assert json.loads(said.stdout)["corrections"] == {}


def film_line(film, do, **said):
    return json.dumps({"version": 1, "picture": film, "do": do, **said})


def test_the_objects_of_a_film():
    save_film(Path("films/a.mkv"))
    Path("films.json").write_text(json.dumps({**BASE, "corrections": ["corrections"], "export": {"formats": ["sav"]}}))
    Path("toys.yaml").write_text(Path("films.json").read_text())
    run()
    plain, (film,) = dataset("run", "sav"), films("run").values()
    track, other = 1, 2
    frame = next(found for found in film.found if len(found.in_sight()) == 2)
    rows = {int(number): row for row, number in enumerate(frame.track_ids)}
    at = film.frames[film.found.index(frame)].index
    box = [float(v) for v in frame.boxes_xyxy[rows[other]]]
    decide(
        film_line(film.id, "reject", track=track),
        film_line(film.id, "accept", track=track + 7, frame=at, box_was=box, class_was="large"),
        film_line(film.id, "accept", track=99),
    )
    summary, asked = run()
    assert asked == {}
    assert computed(summary)["identify"] == 40
    assert {key: summary["corrections"][key] for key in ("applied", "not_applied", "by_class")} == {
        "applied": {"accept": 1, "reject": 1},
        "not_applied": 1,
        "by_class": {"large": {"accepted": 1, "rejected": 1}},
    }
    (film,) = films("run").values()
    numbers = {int(number) for found in film.found for number in found.track_ids}
    assert track not in numbers
    assert other in numbers  # it keeps its number
    said = [row["corrected"] for found in film.found for row in found.extra if row]
    assert set(said) == {"accept"}
    assert here("status", "run", "--ledger").stdout.count("a person rejected it") == 1
    assert "no object of the film is there any more" in here("status", "run", "--ledger").stdout
    decide()
    assert run()[1] == {}
    assert dataset("run", "sav") == plain
    decide(film_line(film.id, "points", track=other, frame=at, box_was=box, points=[[1, 1, 1]]))
    refused = here("check", "toys.yaml")
    assert refused.returncode == 2
    assert "corrections/a.jsonl line 1: points: an object of a film can be accepted, rejected or rel" in refused.stderr
