"""Two nights: what differs, and whether that may be, as from the command line."""

import json
import shutil
from pathlib import Path
from xml.etree import ElementTree as ET

import nights
import pytest
from driving import here, save_pictures


def night(out, *words):
    assert here("run", "toys.yaml", "--out", out, *words).returncode == 0


@pytest.fixture
def yesterday():
    nights.set_up()
    night("yesterday")


def lines(text):
    return [" ".join(line.split()) for line in text.splitlines()]


@pytest.mark.usefixtures("yesterday")
def test_a_class_that_collapsed_fails_and_its_twin_passes():
    nights.found(dogs=nights.no_dogs)
    night("collapsed", "--reuse", "yesterday")
    said = here("gate", "collapsed", "--baseline", "yesterday")
    assert said.returncode == 5
    assert lines(said.stderr) == [
        "masklet: gate: collapsed against yesterday: 2 of 7 rules failed",
        "masklet: count_drop: dog: 24 -> 2 objects (-91.7 %), most in p02.png (2 -> 0)",
        "masklet: changed_objects: 61.1% of 36 objects in pictures of both runs: 22 removed; most in p02.png (2 of 3)",
    ]
    nights.found(score=0.88)  # the same, and a little noise
    night("twin", "detect.jitter=0.04", "--reuse", "yesterday")
    differ = json.loads(here("diff", "yesterday", "twin", "--json").stdout)
    assert differ["pictures"] == {"both": 12, "relabelled": 12}
    said = here("gate", "twin", "--baseline", "yesterday")
    assert (said.returncode, said.stderr) == (0, "")
    assert lines(said.stdout)[0] == "gate: twin against yesterday: 7 rules passed"


@pytest.mark.usefixtures("yesterday")
def test_the_same_night_twice():
    night("today", "--reuse", "yesterday")
    assert here("diff", "yesterday", "today").stdout == "yesterday -> today\nnothing differs\n"
    assert here("diff", "yesterday", "today", "--markdown").stdout.splitlines()[-1] == "nothing differs"
    assert here("diff", "yesterday", "today", "--rows").stdout == ""
    said = json.loads(here("gate", "today", "--baseline", "yesterday", "--json").stdout)
    assert (said["ok"], {one["found"] for one in said["verdicts"]}) == (True, {0})


@pytest.mark.usefixtures("yesterday")
def test_what_differs_in_one_night():
    """One picture comes, one goes, one is renamed; a dog is gone, a cat has become a dog, a threshold is another."""
    nights.PICTURES.append("new.png")
    try:
        nights.found(
            dogs=lambda name: nights.DOGS[: 1 if name == "p02.png" else 2] + (nights.CATS if name == "p03.png" else []),
            cats=lambda name: [] if name == "p03.png" else nights.CATS,
        )
    finally:
        nights.PICTURES.pop()
    Path("boxes.jsonl").write_text(Path("boxes.jsonl").read_text().replace("p01.png", "renamed.png"))
    save_pictures(Path("photos"), ["new.png"], first=99)
    Path("photos/p00.png").unlink()
    shutil.move("photos/p01.png", "photos/renamed.png")
    night("today", "select.threshold=0.4")
    assert sorted(here("diff", "yesterday", "today", "--rows").stdout.splitlines()) == [
        "added: new.png: 1 cat, 2 dog",
        "reclassified: p03.png: cat/0 became dog, score 0.90",
        "removed object: p02.png: dog/1, score 0.90",
        "removed: p00.png: 1 cat, 2 dog",
        "renamed: p01.png -> renamed.png",
    ]
    said = json.loads(here("diff", "yesterday", "today", "--json").stdout)
    assert said["pictures"] == {"both": 10, "relabelled": 2, "renamed": 1, "added": 1, "removed": 1}
    assert said["classes"] == {
        "cat": {"was": 12, "is": 11, "pictures gone": 1, "new pictures": 1, "to other": 1},
        "dog": {"was": 24, "is": 24, "pictures gone": 2, "new pictures": 2, "from other": 1, "removed": 1},
    }
    assert {key for key in said["settings"] if not key.startswith("made_with")} == {"select.threshold"}
    for name, of_class in said["classes"].items():  # what becomes of a class adds up
        lost = sum(of_class.get(key, 0) for key in ("removed", "to other", "pictures gone"))
        won = sum(of_class.get(key, 0) for key in ("added", "from other", "new pictures"))
        assert of_class["was"] - lost + won == of_class["is"], name


@pytest.mark.usefixtures("yesterday")
def test_what_a_gate_leaves_for_a_ci():
    nights.found(dogs=nights.no_dogs)
    night("today")
    words = ("--baseline", "yesterday", "count_drop=30", "vanished=0", "--junit", "gate.xml", "--markdown", "gate.md")
    assert here("gate", "today", *words).returncode == 5
    suite = ET.parse("gate.xml").getroot()[0]
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    cases = {case.get("name"): case.find("failure") for case in suite.iter("testcase")}
    assert cases["vanished"] is None
    assert cases["count_drop"].get("message") == "dog: 24 -> 2 objects (-91.7 %), most in p02.png (2 -> 0)"
    assert Path("gate.md").read_text().splitlines() == [
        "### ❌ masklet gate: today against yesterday: 1 of 2 rules failed",
        "",
        r"- **count_drop**: dog: 24 -\> 2 objects (-91.7 %), most in p02.png (2 -\> 0)",
        "",
        "| rule | limit | found |  |",
        "| --- | --- | --- | --- |",
        r"| count\_drop | 30 | 91.6667 | FAILED |",
        "| vanished | 0 | 0 | passed |",
    ]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("gate", "yesterday"), 2, "no rule, and no --baseline to compare with; give one of them"),
        (("gate", "yesterday", "min_count.dgo=1"), 2, "the run has no such class; did you mean dog?"),
        (("gate", "yesterday", "empty_rate=0.5", "--baseline", "photos"), 2, "photos: no run.db there"),
        (("gate", "photos", "empty_rate=0.5"), 2, "photos: no run.db there; name the folder of a run"),
        (("diff", "yesterday", "photos"), 2, "photos: no run.db there; name the folder of a run"),
        (("diff", "yesterday", "nowhere"), 2, "'nowhere' does not exist"),
        (("gate", "yesterday", "ap50=0.5", "truth=nowhere.json"), 2, "nowhere.json"),
        (("gate", "yesterday", "empty_rate=0.5", "--junit", "no/such/folder.xml"), 2, "no/such/folder.xml"),
    ],
)
@pytest.mark.usefixtures("yesterday")
def test_what_cannot_be_compared(words, code, said):
    came = here(*words)
    assert (came.returncode, said in came.stderr) == (code, True), came.stderr


@pytest.mark.usefixtures("yesterday")
def test_a_truth_is_a_rule():
    truth = "yesterday/dataset/coco/annotations/instances_default.json"
    assert here("gate", "yesterday", "ap50=1", f"truth={truth}").returncode == 0
    nights.found(dogs=lambda name: [])
    night("today")
    said = here("gate", "today", "ap50=0.9", f"truth={truth}")
    assert said.returncode == 5
    assert "ap50: AP50 0.500 over 12 pictures or films, lowest 0.000 of dog" in said.stderr
