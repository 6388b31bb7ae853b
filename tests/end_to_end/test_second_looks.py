"""What is learnt from labels, and what a second model says, through whole runs with backends that count."""

import json
from collections import Counter
from pathlib import Path

import filming
import numpy as np
import pytest
import yaml
from counting import LOG
from driving import annotations, handed, here, save_pictures

from pipeline import engine, yamls
from pipeline.config import from_document

N = 4
BASE = {
    "source": {"path": "pictures"},
    "ontology": {"dog": ["a dog"], "cat": ["a cat", "a kitten"], "bird": ["a bird"]},
    "detect": {"backend": "counting:Detector"},
    "select": {"threshold": 0.65},
    "segment": {"backend": "counting:Segmenter"},
    "run": {"keep_pages": False},
}
"""By the fake detector's scores, .6258 for a dog, .8986 and .6825 for a cat and .925 for a bird in every picture."""


def run(*changes, out="run"):
    """Run, and say what that took: its summary, and what its models were handed."""
    Path(LOG).unlink(missing_ok=True)
    data = {name: dict(section) for name, section in BASE.items()}
    for change in changes:
        for name, section in change.items():
            data[name] = data.get(name, {}) | section
    summary = engine.run(from_document(yamls.Document("test", data)), Path(out))
    return summary, handed()


def verified(lines):
    """The classes of the rows that the second model was asked about."""
    return Counter(name for line in lines if line["what"] == "verify" for name in line["asked"])


@pytest.fixture
def pictures():
    save_pictures(Path("pictures"), [f"p{number}.png" for number in range(N)])


TRUTH = "run/dataset/coco/annotations/instances_default.json"


@pytest.fixture
def truth(pictures):
    """The cats and birds that the fake detector finds, and a run that has the dogs, too, which are none."""
    run()
    Path(TRUTH).rename("truth.json")
    run({"select": {"threshold": 0.1}})
    assert len(annotations("run")["annotations"]) == 4 * N
    return "truth.json"


@pytest.mark.usefixtures("truth")
def test_calibration_from_the_command_line():
    said = here("calibrate", "run", "--truth", "truth.json", "--out", "c.yaml", "--least", 4)
    assert said.returncode == 0
    rows = [line.split() for line in said.stdout.splitlines()]
    assert rows[0][:4] == ["learnt", "from", str(N), "pictures,"]
    assert rows[2][:8] == ["dog", "0", "0.100", ">", "0.654*", "0.000", ">", "-"]
    assert rows[3][:5] == ["cat", "8", "0.100", ">", "0.682"]
    assert rows[4][:5] == ["bird", "4", "0.100", ">", "0.925"]
    assert "* too few objects, or none found: the threshold of all classes together (dog)" in said.stdout
    assert said.stdout.rstrip().endswith("use it: select.calibration=c.yaml")
    file = yaml.safe_load(Path("c.yaml").read_text())
    assert file["thresholds"] == {"bird": 0.925, "cat": 0.6825, "dog": 0.6542}
    assert file["maps"] == {"fake": [[0.6258, 0.0], [0.6825, 1.0], [0.925, 1.0]]}
    assert file["detector"]["backend"] == "counting:Detector"


@pytest.mark.usefixtures("truth")
def test_applying_it_runs_no_model():
    assert here("calibrate", "run", "--truth", "truth.json").returncode == 0
    summary, lines = run({"select": {"calibration": "run/calibration.yaml"}})
    assert lines == []
    assert summary.stages["select"]["computed"] == N
    said = annotations("run")
    assert len(said["annotations"]) == 3 * N
    assert {a["attributes"]["probability"] for a in said["annotations"]} == {1.0}
    assert {a["score"] for a in said["annotations"]} == {0.6825, 0.8986, 0.925}
    assert "run/calibration.yaml" not in Path("run/config.yaml").read_text()


@pytest.mark.usefixtures("truth")
def test_a_calibrated_run_can_be_calibrated_again():
    here("calibrate", "run", "--truth", "truth.json", "--out", "one.yaml")
    run({"select": {"calibration": "one.yaml"}})
    said = here("calibrate", "run", "--truth", "truth.json", "--out", "two.yaml", "--json")
    before = {row["name"]: row["before"]["threshold"] for row in json.loads(said.stdout)["rows"]}
    assert before == yaml.safe_load(Path("one.yaml").read_text())["thresholds"]
    assert Path("one.yaml").read_bytes() == Path("two.yaml").read_bytes()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: data.update(images=[], annotations=[]), "of 0 pictures that the run has too, with no objects"),
        (
            lambda data: data.update(annotations=[]),
            "of 4 pictures that the run has too, with no objects of its classes",
        ),
        (lambda data: [image.update(file_name="other/" + image["file_name"]) for image in data["images"]], "of 0 pict"),
        (lambda data: data.clear(), "truth.json: is no COCO file: it has no list 'images'"),
    ],
)
def test_a_truth_of_nothing_is_refused(change, said, truth):
    data = json.loads(Path(truth).read_text())
    change(data)
    Path(truth).write_text(json.dumps(data))
    told = here("calibrate", "run", "--truth", truth)
    assert told.returncode == 2
    assert said in told.stderr
    assert len(told.stderr.splitlines()) == 1
    assert not Path("run/calibration.yaml").exists()


@pytest.mark.usefixtures("pictures")
def test_constant_scores_are_said_to_be_constant():
    """A prompts file without scores: nothing in the dataset says 1, and calibration says why it cannot help."""
    line = '{"picture": "%s", "class": "a dog", "box": [1, 1, 9, 9]}\n'
    Path("boxes.jsonl").write_text("".join(line % f"p{number}.png" for number in range(N)))
    words = ["detect={backend: boxes, path: boxes.jsonl}", "segment={backend: fake}", "ontology={dog: [a dog]}"]
    done = here("run", "photos_yolox", "pictures/", "--out", "run", *words, "select.threshold=0.5")
    assert done.returncode == 0
    warning = "detect: boxes gives every object the same score: no threshold can tell right from wrong"
    assert done.stderr.count(warning) == 1
    (said, *_) = annotations("run")["annotations"]
    assert "score" not in said
    assert said["attributes"]["score_kind"] == "constant"
    learnt = here("calibrate", "run", "--truth", TRUTH)
    assert "every score is the same, 1: no threshold can tell right from wrong" in learnt.stdout


VERIFY = {"verify": {"backend": "counting:Verifier"}, "select": {"threshold": 0.65, "verified": 0.5}}
UNSURE = {"verify": {"backend": "counting:Verifier", "inner": {"backend": "fake", "share": 0.2}}}


@pytest.mark.usefixtures("pictures")
def test_a_second_model_is_asked_about_what_reaches_its_threshold():
    summary, lines = run(VERIFY)
    assert list(summary.stages) == ["detect", "verify", "select", "segment", "dedupe"]
    assert summary.stages["verify"]["asked"] == N
    assert verified(lines) == {"cat": 2 * N, "bird": N}
    assert {a["attributes"]["verified"] for a in annotations("run")["annotations"]} == {1.0}


@pytest.mark.parametrize(
    ("change", "asked", "objects"),
    [
        ({}, {}, 3),
        ({"select": {"threshold": 0.65, "verified": 0.9}}, {}, 3),  # another share
        ({"select": {"threshold": 0.9, "verified": 0.5}}, {}, 1),  # raised: fewer of the same boxes
        ({"select": {"threshold": 0.1, "verified": 0.5}}, {"dog": N}, 4),  # lowered: only what it never saw
        ({"ontology": {"bird": {"prompts": ["a bird"], "negatives": ["a plane"]}}}, {"bird": N}, 3),  # other words
        (UNSURE, {"cat": 2 * N, "bird": N}, 0),  # another model
    ],
)
@pytest.mark.usefixtures("pictures")
def test_a_second_model_is_asked_once(change, asked, objects):
    run(VERIFY)
    summary, lines = run(VERIFY, change)
    assert verified(lines) == asked
    assert len(annotations("run")["annotations"]) == objects * N
    assert not [line for line in lines if line["what"] == "detect" and line["asked"] != ["a plane"]]
    assert summary.drops.get("select", {}).get("not_verified", 0) == (0 if objects else 3 * N)


@pytest.mark.usefixtures("pictures")
def test_the_ledger_says_what_the_second_model_says():
    run(VERIFY, UNSURE)
    lines = here("status", "run", "--ledger").stdout.splitlines()
    why = "the second model is less sure of it than `select.verified` (it says a bird)"
    assert sum(why in line for line in lines) == 2 * N


@pytest.mark.usefixtures("pictures")
def test_a_plan_knows_it():
    Path("run.yaml").write_text(yaml.safe_dump(BASE | VERIFY))
    said = json.loads(here("plan", "run.yaml", "--out", "run", "--json").stdout)
    assert said["asked"] == {"detect": N, "verify": N, "segment": N, "select": 0, "dedupe": 0}
    run(VERIFY)
    assert "nothing to do" in here("plan", "run.yaml", "--out", "run").stdout


def test_key_frames_of_films_are_verified():
    Path("pictures").mkdir()
    grey = np.full((24, 32, 3), 90, np.uint8)
    filming.film_file(Path("pictures/f.mp4"), [grey + number for number in range(7)])
    track = {"track": {"backend": "counting:Tracker", "every": 3}, "export": {"formats": ["sav"]}}
    summary, lines = run(VERIFY, track)
    assert summary.films == 1
    assert [line["frames"] for line in lines if line["what"] == "verify"] == [[0], [3], [6]]
    _, lines = run(VERIFY, track)
    assert lines == []
    _, lines = run(VERIFY, track, UNSURE)
    assert verified(lines) == {"cat": 6, "bird": 3}
