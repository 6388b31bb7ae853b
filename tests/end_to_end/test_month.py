"""A month of refreshes: each night has the bytes of a run from nothing, and costs only what its change touches."""

import json
import shutil
from pathlib import Path

import pytest
from counting import LOG
from driving import counting_backends, dataset, handed, here
from month import NIGHTS, Asked, Month


def run(out):
    """A run with what its models were handed."""
    Path(LOG).unlink(missing_ok=True)
    said = here("run", "month.yaml", "--out", out, "--json")
    assert said.returncode == 0, said.stderr
    return json.loads(said.stdout)["stages"], handed()


def asked(lines):
    """What the models were handed, as the table has it."""
    of = {what: [line for line in lines if line["what"] == what] for what in ("detect", "segment", "verify", "track")}
    words = {tuple(line["asked"]) for line in of["detect"]}
    assert len(words) <= 1
    return Asked(
        len(of["detect"]),
        tuple(*words),
        len(of["segment"]),
        sum(len(line["asked"]) for line in of["segment"]),
        sum(len(line["asked"]) for line in of["verify"]),
        sum(len(line["frames"]) for line in of["track"]),
    )


def foretold():
    """What a plan says; no model is handed anything for it."""
    Path(LOG).unlink(missing_ok=True)
    said = here("plan", "month.yaml", "--out", "run", "--json")
    assert said.returncode == 0, said.stderr
    assert handed() == []
    return json.loads(said.stdout)


def untrue(plan, stages):
    """What came otherwise than the plan said: more than 'at most', other than exactly, or a first stage not exact."""
    first = next((name for name in plan["exact"] if plan["stale"].get(name)), None)
    told = [f"{first} is the first stage, and not exact"] if first and not plan["exact"][first] else []
    for name, exact in plan["exact"].items():
        for what, came in (("stale", stages[name]["computed"]), ("asked", stages[name]["asked"])):
            said = plan[what].get(name, 0)
            if came > said or (exact and came != said):
                told.append(f"{name}, {what}: {'' if exact else 'at most '}{said} planned, {came} came")
    return told


def told_of(night, month, before):
    """Live through a night: what is wrong with it, and what it leaves but for manifests, which say why."""
    night.change(month)
    plan = foretold()
    stages, lines = run("run")
    told = untrue(plan, stages)
    told += [] if asked(lines) == night.asked else [f"{night.asked} expected, {asked(lines)} came"]
    shutil.rmtree("scratch", ignore_errors=True)
    run("scratch")
    left = dataset("run", "")
    told += [] if left == dataset("scratch", "") else ["other bytes than from scratch"]
    labels = {name: content for name, content in left.items() if not name.endswith("manifest.json")}
    same = labels == before
    told += [] if same == night.same else [f"the labels are {'' if same else 'not '}those of the night before"]
    return told, labels


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_thirty_nights():
    assert len(NIGHTS) == 30
    counting_backends(Path())
    month, wrong, labels = Month(), [], {}
    month.say("run")
    for number, night in enumerate(NIGHTS, 1):
        told, labels = told_of(night, month, labels)
        wrong += [f"night {number}, {night.words}: {one}" for one in told]
    assert not wrong, "\n".join(wrong)
