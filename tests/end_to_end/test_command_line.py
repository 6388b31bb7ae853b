"""The command as its users meet it: exit codes, what goes to stdout and to stderr, signals, hostile names, the demo."""

import errno
import json
import os
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest
from driving import MASKLET, annotations, counting_backends, dataset, here, masklet, save_pictures
from killing import has_committed

from pipeline import database, media
from pipeline.formats import coco
from pipeline.report.summary import show_ledger, show_status
from pipeline.store import Store

FAKES = ["photos_yolox", "--ontology", "dog, cat", "detect={backend: fake}", "segment={backend: fake}"]
RUN = ["run", *FAKES, "--source", "pictures", "--out", "run"]


@pytest.fixture
def pictures():
    save_pictures(Path("pictures"), ["a.png", "b.png", "c/d.png"])
    return Path("pictures")


@pytest.fixture
def finished(pictures):
    """A run that is done."""
    assert here(*RUN).returncode == 0
    return Path("run")


def contents(folder):
    """Every file and folder: its bytes, and when it was written."""
    return {
        path: (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in Path(folder).rglob("*")
    }


# Exit codes


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["run"], 2, "name a source, a config or both, as in: masklet run photos/ --ontology 'dog, cat'"),
        (["run", "one", "two"], 2, "masklet: one: no such folder or file, and no config"),
        (["run", "demo", "picturs/"], 2, "masklet: picturs/: no such folder or file, and no config"),
        (["run", "demo", "picturs/"], 2, "did you mean pictures?"),
        (["run", "photos_yolo", "pictures"], 2, "did you mean photos_yolox?"),
        (["run", "demo", "futsal"], 2, "name one config; there are 2: demo, futsal..."),
        (["run", "pictures", "empty"], 2, "name one source (a folder, a file, or a .txt with one path a line); there"),
        (["run", "pictures"], 2, "masklet: ontology: missing"),
        (["run", "pictures", "--ontology", "dog", "detect.model=nobody"], 11, "masklet: nobody: no such folder"),
        (["run", "no_such_config"], 2, "masklet: no_such_config: no such folder or file, and no"),
        (["walk"], 2, "No such command"),
        ([*RUN, "--sauce", "x"], 2, "No such option"),
        ([*RUN, "--limit", "0"], 2, "--limit"),
        ([*RUN, "select.treshold=1"], 2, "select.treshold: unknown key; did you mean threshold?"),
        ([*RUN, "select.threshold=high"], 2, "masklet: select.threshold=high: select.threshold: "),
        ([*RUN, "detect={backend: nobody}"], 2, "no detect 'nobody'"),
        ([*RUN, "detect={backend: 'nowhere:Nobody'}"], 2, "cannot be imported"),
        ([*RUN, "export.formats=[papyrus]"], 2, "no format 'papyrus'"),
        ([*RUN, "--ontology", "missing.yaml"], 2, "missing.yaml"),
        ([*RUN, "--ontology", "{dog: {treshold: 1}}"], 2, "dog.treshold: unknown key; did you mean threshold?"),
        ([*RUN, "--ontology", "half.yaml"], 2, "half.yaml:1: "),  # half of a character
        ([*RUN, "--source", "nowhere"], 2, "masklet: source.path: nowhere: no such file or folder"),
        ([*RUN, "--source", ""], 2, "masklet: source.path: missing"),
        ([*RUN, "--reuse", "pictures"], 2, "masklet: pictures: no run.db there"),
        ([*RUN, "--out", "pictures/a.png"], 2, "masklet: pictures/a.png: cannot be written"),  # a file
        ([*RUN, "--out", "pictures/a.png/run"], 2, "masklet: pictures/a.png/run: cannot be written"),  # below one
        ([*RUN, "--out", "/proc/run"], 2, "masklet: /proc/run: cannot be written"),  # where nobody may write
        (["status", "nowhere"], 2, "'nowhere' does not exist"),
        (["status", "pictures"], 2, "masklet: pictures: no run.db there"),
        (["export", "pictures", "--format", "coco"], 2, "masklet: pictures: no run.db there"),
        (["report", "pictures"], 2, "masklet: pictures: no run.db there; name the folder of a run"),
        ([*RUN, "--max-quarantined", "0"], 0, ""),
        ([*RUN, "--source", "empty"], 0, ""),
        ([*RUN, "--source", "empty", "--fail-on-empty"], 4, "masklet: no picture or film reached the dataset"),
        ([*RUN, "--source", "damaged", "--max-quarantined", "0"], 3, "1 files were set aside, 0 are allowed"),
        ([*RUN, "detect={backend: yolox, model: no.onnx}"], 11, "masklet: no.onnx: no such file"),
        ([*RUN, "detect={backend: yolox, model: damaged/cut.jpg}"], 11, "damaged, or not an ONNX file"),
    ],
)
@pytest.mark.usefixtures("pictures")
def test_exit_codes(words, code, said):
    if "ONNX" in said:
        pytest.importorskip("onnxruntime")
    Path("half.yaml").write_text(r'"\ud83d": []')
    Path("empty").mkdir()
    Path("damaged").mkdir()
    Path("damaged/cut.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    result = here(*words)
    assert result.returncode == code, result.stderr
    assert said in result.stderr
    assert "Traceback" not in result.stderr
    assert bool(result.stderr) == bool(code)
    assert bool(result.stdout) == (code in (0, 3, 4))  # a run that is finished has results to tell


@pytest.mark.parametrize(
    ("words", "out"),
    [
        (["pictures"], "outputs/pictures"),  # no config: the default one, and the run has the source's name
        (["pictures/a.png"], "outputs/a"),
        (["photos_yolox", "pictures"], "outputs/photos_yolox"),
        (["pictures/", "photos_yolox"], "outputs/photos_yolox"),  # in any order
        (["demo", "--source", "pictures"], "outputs/demo"),  # a folder is called like a config: the config is meant
        (["demo/"], "outputs/demo"),  # and now the folder
    ],
)
@pytest.mark.usefixtures("pictures")
def test_a_source_may_stand_where_the_config_does(words, out):
    save_pictures(Path("demo"), ["x.png"])
    said = here("run", *words, *FAKES[1:])
    assert said.returncode == 0, said.stderr
    assert Path(out, "dataset/coco/annotations/instances_default.json").is_file()


def test_every_problem_is_told_at_once():
    said = here(*RUN, "select.treshold=1", "sauce.path=x", "run.batch=0").stderr
    assert len(said.splitlines()) == 3
    assert all(line.startswith("masklet: ") for line in said.splitlines())


def test_a_real_process_ends_with_the_code():
    said = masklet(*RUN, "--source", "nowhere")
    assert (said.returncode, said.stdout) == (2, "")
    assert said.stderr == "masklet: source.path: nowhere: no such file or folder\n"


def test_a_dataset_that_reads_back_differently_is_refused(finished, monkeypatch):
    before = dataset("run")

    def one_lost(place):
        reading = coco.read(place)
        next(reading.clips)
        return reading

    with monkeypatch.context() as patch:
        patch.setattr(coco, "COCO", replace(coco.COCO, read=one_lost))
        said = here(*RUN, "select.threshold=0.7")
    assert said.returncode == 5
    assert "what was read back is not what was meant: 2 lost (first: a.png)" in said.stderr
    assert dataset("run") == before
    assert here(*RUN, "select.threshold=0.7").returncode == 0
    assert dataset("run") != before


def full(*_args, **_more):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.usefixtures("pictures")
def test_a_full_disk_while_pictures_are_copied(monkeypatch):
    here(*RUN, "--out", "whole")
    with monkeypatch.context() as patch:
        patch.setattr(media, "export_picture", full)
        said = here(*RUN)
    assert (said.returncode, said.stdout) == (12, "")
    assert said.stderr == "masklet: the disk is full; make room and run the same command again\n"
    assert list(Path("run/dataset").iterdir()) == []
    again = json.loads(here(*RUN, "--json").stdout)
    assert again["stages"]["detect"]["computed"] == 0
    assert dataset("run") == dataset("whole")


def test_a_full_disk_while_results_are_kept(pictures, monkeypatch):
    save_pictures(pictures, [f"more/{number}.png" for number in range(40)], first=10)
    here(*RUN, "--out", "whole")
    connect = database.connect

    def small(path):
        db = connect(path)
        pages = db.execute("PRAGMA page_count").fetchone()[0] + 12
        db.execute(f"PRAGMA max_page_count = {pages}")
        return db

    with monkeypatch.context() as patch:
        patch.setattr(database, "connect", small)
        said = here(*RUN, "run.batch=1")
    assert (said.returncode, said.stdout) == (12, "")
    assert said.stderr == "masklet: run/run.db: the disk is full; make room and run the same command again\n"
    again = json.loads(here(*RUN, "--json").stdout)
    assert 0 < again["stages"]["detect"]["computed"] < 43  # what was kept is not computed again
    assert dataset("run") == dataset("whole")


# Signals, and two at once

SLOWLY = 16
SLOW = [
    *("run", "photos_yolox", "--ontology", "dog, cat", "--source", "pictures", "run.batch=1"),
    *('detect={backend: "counting:Detector", sleep_s: 0.05}', 'segment={backend: "counting:Segmenter", sleep_s: 0.05}'),
]


@pytest.mark.parametrize(
    ("number", "workers"),
    [
        (signal.SIGINT, 1),  # Ctrl-C
        (signal.SIGTERM, 2),  # a service that is stopped: every process gets the signal
    ],
)
def test_a_signal_ends_a_run_and_the_same_command_goes_on(tmp_path, number, workers):
    save_pictures(tmp_path / "pictures", [f"{i}.png" for i in range(SLOWLY)])
    counting_backends(tmp_path)
    words = [*SLOW, "--out", "run", "--workers", workers]
    command = [MASKLET, *map(str, words)]
    process = subprocess.Popen(command, start_new_session=True, stdout=-1, stderr=-1, text=True)
    while process.poll() is None and not has_committed(tmp_path / "run", 1):
        time.sleep(0.01)
    locked = here(*words)
    os.killpg(process.pid, number)
    out, err = process.communicate(timeout=10)

    assert locked.returncode == 10
    assert locked.stderr == "masklet: run: another masklet is at work here; wait for it, or choose another --out\n"
    assert process.returncode == 128 + number
    assert out == ""
    assert "run the same command again to go on" in err
    assert "Traceback" not in err
    again = masklet(*words, "--json", timeout_s=60)
    assert again.returncode == 0, again.stderr
    said = json.loads(again.stdout)
    assert said["pictures"] == SLOWLY
    assert 0 < said["stages"]["detect"]["computed"] < SLOWLY
    masklet(*[word.replace("sleep_s: 0.05", "sleep_s: 0") for word in SLOW], "--out", "whole")
    assert dataset("run") == dataset("whole")


# What is said, and where


@pytest.mark.parametrize(
    "words",
    [
        RUN,
        [*RUN, "--dry-run"],
        ["plan", *RUN[1:]],
        ["check", *RUN[1:]],
        ["status", "run"],
        ["export", "run", "--format", "coco"],
        ["evaluate", "run", "--truth", "run/dataset/coco"],
        ["ls"],
    ],
)
@pytest.mark.usefixtures("finished")
def test_results_go_to_stdout_and_json_is_all_there_is(words):
    for_people, for_machines = here(*words), here(*words, "--json")
    assert (for_people.returncode, for_people.stderr) == (0, "")
    assert (for_machines.returncode, for_machines.stderr) == (0, "")
    assert for_people.stdout.strip()
    assert json.loads(for_machines.stdout)


@pytest.mark.usefixtures("finished")
def test_a_folder_beside_the_one_that_is_meant():
    assert here("status", ".").stderr == "masklet: .: no run.db there; name the folder of a run, such as run\n"
    assert here("validate", "run").stderr == "masklet: run: a run; name a dataset of it (run/dataset/coco)\n"


def test_the_help_has_each_command_in_a_whole_sentence():
    for words in ([], ["models"], ["corrections"]):
        assert "..." not in here(*words, "--help").stdout.partition("Commands:")[2].replace("Studio...", "")


@pytest.mark.usefixtures("pictures")
def test_warnings_go_to_stderr():
    said = here(*RUN, "--ontology", "dog, Dog", "--json")
    assert json.loads(said.stdout)["pictures"] == 3
    assert said.stderr.startswith("masklet: warning: ")


@pytest.mark.usefixtures("pictures")
@pytest.mark.parametrize("words", [[*RUN, "--dry-run"], ["plan", *RUN[1:]], ["check", *RUN[1:]]])
def test_looking_ahead_leaves_nothing_behind(words):
    assert here(*words).returncode == 0
    assert not Path("run").exists()


def test_a_plan_comes_true(pictures):
    planned = json.loads(here("plan", *RUN[1:], "--json").stdout)
    assert (planned["pictures"], planned["stale"]["detect"], planned["asked"]["detect"]) == (3, 3, 3)
    here(*RUN)
    assert json.loads(here("plan", *RUN[1:], "--json").stdout)["stale"] == {}
    save_pictures(pictures, ["new.png"], first=9)
    assert json.loads(here(*RUN, "--dry-run", "--json").stdout)["asked"]["detect"] == 1


def test_the_ledger_lists_all_that_went(pictures):
    (pictures / "notes.txt").write_text("hello")
    (pictures / "twin.png").write_bytes((pictures / "a.png").read_bytes())
    here(*RUN, "select.threshold=0.99")
    rows = [json.loads(line) for line in here("status", "run", "--ledger", "--json").stdout.splitlines()]
    assert [(row["picture"], row["reason"]) for row in rows] == [
        ("notes.txt", "not_a_picture"),
        ("twin.png", "duplicate"),
        *[(name, "below_threshold") for name in ("a.png", "b.png", "c/d.png") for _ in ("dog", "cat")],
    ]
    assert len(here("status", "run", "--ledger").stdout.splitlines()) == len(rows)


def test_a_run_is_read_from_any_working_folder(finished, tmp_path, monkeypatch):
    before = dataset("run")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert here("status", "../run").returncode == 0
    assert here("evaluate", "../run", "--truth", "../run/dataset/coco").returncode == 0
    said = here("export", "../run", "--format", "coco")
    assert said.returncode == 0, said.stderr
    assert dataset("../run") == before
    again = here("run", *FAKES, "--source", "../pictures", "--out", "../run", "--json")
    assert json.loads(again.stdout)["stages"]["detect"]["computed"] == 0
    assert list(Path().iterdir()) == []


def test_the_source_is_only_read(pictures):
    before = contents(pictures)
    for path in [pictures / "c", pictures]:
        path.chmod(0o555)
    try:
        assert here(*RUN).returncode == 0
    finally:
        for path in [pictures, pictures / "c"]:
            path.chmod(0o755)
    assert contents(pictures) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
@pytest.mark.usefixtures("pictures")
def test_a_folder_that_may_not_be_written():
    Path("closed").mkdir(mode=0o555)
    said = here(*RUN, "--out", "closed/run")
    assert (said.returncode, said.stderr.count("\n")) == (2, 1)
    assert "masklet: closed/run: cannot be written: Permission denied; choose another --out" in said.stderr


def test_the_run_may_lie_in_its_own_source(pictures):
    words = ["run", *FAKES, "--source", "pictures", "--out", "pictures/run", "--json"]
    assert json.loads(here(*words).stdout)["files"] == 3
    again = json.loads(here(*words).stdout)
    assert (again["files"], again["stages"]["detect"]["computed"]) == (3, 0)


# Hostile names

HOSTILE = [
    "new\nline",
    "😀 👩‍🚀",
    "l" * 200,
    "quo'te\"d",
    "<script>alert(1)",
    "-rf",
    " space ",
    "$(reboot); `x`",
    "%s %00 {0}",
    "\x1b[31mred",
    "null",
    "yes: no",
    "a=b",
    "e\u0301 and é",  # composed and not
]
NO_DATASET_NAME = ["back\\slash.png", "c:drive.png"]
"""They would lead out of a dataset on another system."""


def hostile_run(*words):
    save_pictures(Path("😀"), [f"{name}.png" for name in HOSTILE] + NO_DATASET_NAME)
    Path("hostile.yaml").write_text(json.dumps({name: [f"word for {name}"] for name in HOSTILE}), encoding="utf-8")
    return here(*RUN, "--source", "😀", "--ontology", "hostile.yaml", "--json", *words)


def test_hostile_names_reach_the_dataset():
    from pycocotools.coco import COCO

    said = hostile_run()
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout)["aside"] == {"bad_name": len(NO_DATASET_NAME)}
    loaded = COCO("run/dataset/coco/annotations/instances_default.json")
    assert [category["name"] for category in loaded.loadCats(loaded.getCatIds())] == HOSTILE
    assert {image["file_name"] for image in loaded.loadImgs(loaded.getImgIds())} == {f"{name}.png" for name in HOSTILE}
    for image in loaded.loadImgs(loaded.getImgIds()):
        content = Path("run/dataset/coco/images", image["file_name"]).read_bytes()
        assert content == Path("😀", image["file_name"]).read_bytes()
    used = {annotation["category_id"] for annotation in loaded.loadAnns(loaded.getAnnIds())}
    assert used == set(loaded.getCatIds())


def test_hostile_names_write_nothing_on_the_terminal():
    dropped = json.loads(hostile_run("select.threshold=1").stdout)["drops"]["select"]["below_threshold"]
    assert dropped == len(HOSTILE) ** 2
    with Store(Path("run/run.db")) as kept:
        lines = list(show_ledger(kept, as_json=False))  # click strips colours where there is no terminal
        table = show_status(Path("run"), kept, {}, as_json=False)
    assert len(lines) == dropped + len(NO_DATASET_NAME)
    assert [line for line in [*lines, *table.splitlines()] if not line.replace("\u200d", "").isprintable()] == []


def test_a_config_that_begins_with_a_dash(pictures):
    Path("-c.yaml").write_text("ontology: [dog]\n")
    said = here(*RUN[:1], "--", "-c.yaml")
    assert said.returncode == 2
    assert "-c.yaml:1: " in said.stderr


# The demo


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    desk = tmp_path_factory.mktemp("demo")
    said = masklet("demo", "--pictures", "6", "--films", "1", "--json", cwd=desk)
    assert said.returncode == 0, said.stderr
    return desk / "outputs/demo", json.loads(said.stdout)


def test_the_demo_ends_with_a_dataset_and_its_scores(demo):
    out, said = demo
    assert said["summary"]["pictures"] == 6
    assert said["scores"]["kinds"]["mask"]["ap50"] > 0.8
    assert said["scores"]["kinds"]["mask"]["ap"] > said["grabcut"]["kinds"]["mask"]["ap"] + 0.05
    assert said["scores"] == json.loads(here("evaluate", out, "--truth", out / "scenes/truth.json", "--json").stdout)
    baseline = here("evaluate", out / "grabcut", "--truth", out / "scenes/truth.json", "--json")
    assert said["grabcut"] == json.loads(baseline.stdout)


def test_the_demo_has_films(demo):
    out, said = demo
    assert (said["films"]["films"], said["films"]["frames"]) == (1, 32)
    assert said["film_scores"]["over_all"]["j_and_f"] > 0.9
    assert said["film_scores"]["over_all"]["switches"] == 0
    scores = here("evaluate", out / "films", "--truth", out / "scenes/truth", "--json")
    assert said["film_scores"] == json.loads(scores.stdout)
    assert (out / "films/overlays/00_wandering.mp4").is_file()


def test_overlays_of_pictures(demo, tmp_path):
    out, _ = demo
    said = here("overlay", out, "--out", tmp_path / "seen", "--limit", "2")
    assert said.stdout.splitlines() == [str(tmp_path / f"seen/scene_000{n}.png.jpg") for n in (0, 1)]
    assert all(Path(line).read_bytes().startswith(b"\xff\xd8") for line in said.stdout.splitlines())


@pytest.mark.slow
def test_from_words_to_masks_on_200_pictures(tmp_path):
    """Of a seed that nothing was learnt from."""
    said = masklet("demo", "--pictures", "200", "--films", "0", "--seed", "10000000", "--json", cwd=tmp_path)
    assert json.loads(said.stdout)["scores"]["kinds"]["mask"]["ap50"] >= 0.85


def test_the_demo_against_itself_is_perfect(demo, tmp_path):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    out, said = demo
    truth = COCO(str(out / "dataset/coco/annotations/instances_default.json"))
    found = truth.loadRes([{"score": 1.0, **a} for a in truth.loadAnns(truth.getAnnIds())])
    for kind in ("segm", "bbox"):
        scores = COCOeval(truth, found, kind)
        scores.params.maxDets = [1, 10, 1000]
        scores.evaluate()
        scores.accumulate()
        scores.summarize()
        assert scores.eval["precision"][..., 0, 2][scores.eval["precision"][..., 0, 2] >= 0].min() == pytest.approx(1)
    counted = sum(len(e["gtIds"]) for e in scores.evalImgs if e and e["aRng"] == [0, 1e10])
    assert counted == said["summary"]["datasets"]["coco"]["objects"] == len(truth.getAnnIds()) > 12
    again = json.loads(here("evaluate", out, "--truth", out / "dataset/coco", "--json").stdout)
    assert again["kinds"]["mask"]["ap"] == again["kinds"]["mask_box"]["ap"] == 1.0


def test_supervision_reads_the_masks_of_the_demo(demo):
    import numpy as np
    import supervision

    from pipeline import masks

    out, _ = demo
    place = out / "dataset/coco"
    read = supervision.DetectionDataset.from_coco(
        str(place / "images"), str(place / "annotations/instances_default.json"), force_masks=True
    )
    said = annotations(out)
    assert read.classes == [category["name"] for category in said["categories"]]
    name_of = {image["id"]: str(place / "images" / image["file_name"]) for image in said["images"]}
    rows = dict.fromkeys(name_of.values(), 0)
    for annotation in said["annotations"]:
        path = name_of[annotation["image_id"]]
        theirs = read.annotations[path].mask[rows[path]]
        assert np.array_equal(theirs, masks.decode(annotation["segmentation"]["counts"].encode(), theirs.shape))
        rows[path] += 1
    assert {path: len(found) for path, found in read.annotations.items()} == rows
