"""The examples that refresh a dataset every night run: as a workflow, and as a cron job."""

import os
import subprocess
from pathlib import Path

import nights
import pytest
from driving import MASKLET, annotations

from pipeline import yamls

pytestmark = pytest.mark.slow

HOME = Path(__file__).parents[2]
WORKFLOW = yamls.read(HOME / "examples/github-actions/refresh.yml").data
CRON = HOME / "examples/cron/refresh.sh"
OURS = {"CONFIG": "toys.yaml", "SOURCE": "photos", "ONTOLOGY": "dog, cat"}


def environment(**values):
    """The command and a `pip` that installs nothing go first in the path."""
    tools = Path("tools")
    tools.mkdir(exist_ok=True)
    pip = tools / "pip"
    pip.write_text('#!/bin/sh\necho "$@" >> pip.log\n')
    pip.chmod(0o755)
    path = os.pathsep.join([str(tools.resolve()), str(Path(MASKLET).parent), os.environ["PATH"]])
    return {**os.environ, "PATH": path, **values}


def steps():
    return WORKFLOW["jobs"]["refresh"]["steps"]


def workflow(**values):
    """Every `run:` step in turn, as GitHub runs them, until one fails: its name, and each step's page."""
    pages = {}
    for step in [step for step in steps() if "run" in step]:
        page = Path("summary.md")
        page.write_text("")
        env = environment(**WORKFLOW["env"] | OURS | values, GITHUB_STEP_SUMMARY=str(page))
        shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
        done = subprocess.run(shell, env=env, capture_output=True, text=True)
        pages[step["name"]] = page.read_text()
        if done.returncode:
            return step["name"], done, pages
    return None, None, pages


def cron(**values):
    return subprocess.run(["bash", "-eu", CRON], env=environment(**OURS, **values), capture_output=True, text=True)


@pytest.fixture(autouse=True)
def pictures():
    nights.set_up()


def test_the_workflow():
    failed, done, pages = workflow()
    assert failed is None, done.stderr
    assert set(pages.values()) == {""}  # nothing to compare with
    assert Path("pip.log").read_text() == "install masklet\n"
    nights.found(score=0.88)
    failed, done, pages = workflow()
    assert failed is None, done.stderr
    assert pages["Compare"].startswith("### masklet diff: runs/good → runs/new\n")
    assert pages["Gate"].startswith("### ✅ masklet gate: runs/new against runs/good: 7 rules passed\n")
    assert len(annotations("runs/good")["annotations"]) == 36
    nights.found(dogs=nights.no_dogs)
    failed, done, pages = workflow()
    assert (failed, done.returncode) == ("Gate", 5)
    assert "dog: 24 -> 2 objects" in done.stderr
    assert pages["Gate"].startswith("### ❌ masklet gate")
    assert len(annotations("runs/good")["annotations"]) == 36  # the last good run is as it was
    reports = next(step for step in steps() if step.get("name") == "Upload the report")
    assert [name for name in reports["with"]["path"].split() if not Path(name).is_file()] == []
    failed, done, pages = workflow(RULES="vanished=1 count_drop=95")  # the rules are the user's
    assert failed is None, done.stderr
    assert len(annotations("runs/good")["annotations"]) == 14


def test_the_workflow_keeps_what_it_takes_out():
    """The folder that is restored, saved and compared with is one; what no step can know is left to GitHub."""
    by_name = {step.get("name", step.get("uses")): step for step in steps()}
    saved, restored = by_name["Put the run away as the last good one"], by_name["Take out the last good run"]
    assert saved["with"]["path"] == restored["with"]["path"] == "runs/good"
    assert saved["with"]["key"].startswith(restored["with"]["restore-keys"])
    assert [step["name"] for step in steps() if "${{" in step.get("run", "")] == []
    assert set(WORKFLOW) == {"name", "on", "concurrency", "env", "defaults", "jobs"}


def test_cron():
    def night(name, **values):
        done = cron(NAME=name, RUNS="runs", KEEP="2", **values)
        return done.returncode, str(Path("runs/good").readlink()), sorted(path.name for path in Path("runs").iterdir())

    assert night("1") == (0, "1", ["1", "good"])
    nights.found(score=0.88)
    assert night("2") == (0, "2", ["1", "2", "good"])
    nights.found(dogs=nights.no_dogs)
    assert night("3") == (5, "2", ["1", "2", "good", "new"])  # the gate; what was good is good
    assert {"diff.md", "gate.md", "gate.xml"} <= {path.name for path in Path("runs/new").iterdir()}
    nights.found(score=0.87)
    assert night("4") == (0, "4", ["2", "4", "good"])  # the oldest goes, and the night that failed is mended
    assert night("5", RULES="vanished=0 count_drop=1") == (0, "5", ["4", "5", "good"])
    assert len(annotations("runs/good")["annotations"]) == 36


def test_cron_says_what_it_needs():
    done = subprocess.run(["bash", "-eu", CRON], env=environment(), capture_output=True, text=True)
    assert (done.returncode, "CONFIG: a file, or a name that masklet ls shows" in done.stderr) == (1, True)
