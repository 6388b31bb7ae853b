"""How far each picture has come, and what a change of mind costs: which stages run, and what models are asked."""

from collections import Counter
from dataclasses import replace

import asking
import numpy as np
import pytest
from drawing import clip
from test_stages import BIRD, CAT, DOG, PETS, four

from pipeline import dedupe, media, select
from pipeline.crew import Crew
from pipeline.engine import commit
from pipeline.labelled import replayed
from pipeline.ontology import Category
from pipeline.plan import Survey, Work, chain, job, outlook
from pipeline.records import Drop
from pipeline.seams import Device
from pipeline.stages import Dedupe, Detect, Segment, Select
from pipeline.store import Aside, Failure, Result, Store

A, B = clip(name="a.jpg"), clip(name="b.jpg")


@pytest.fixture(autouse=True)
def _nothing_asked_yet(monkeypatch):
    asking.ASKED.clear()
    black = property(lambda picture: np.zeros((*picture.size_hw, 3), np.uint8))
    monkeypatch.setattr(media.Picture, "rgb", black)  # the pictures of these tests are in no file


@pytest.fixture
def store():
    with Store(None) as store:
        yield store


def label(store, clips=(A,), **setup):
    """Bring clips through the stages, as the engine does: how many each stage computed."""
    stages = four(**setup)
    computed = Counter()
    for one in clips:
        done = chain(one, stages, store)
        if not done.failure and len(done.keys) < len(stages):
            answer = Crew(stages)([job(one, done, stages, store)])
            commit(store, answer)
            computed.update(answer.pictures)
    return dict(computed)


def records(store, clips=(A,), **setup):
    return [replayed(one, chain(one, four(**setup), store).keys, store).digest() for one in clips]


KITTY = CAT.model_copy(update={"name": "kitty", "prompts": ("cat",)})
EVERY = {"detect": 1, "select": 1, "segment": 1, "dedupe": 1}
AFTER_DETECT = {"select": 1, "segment": 1, "dedupe": 1}
AFTER_SELECT = {"segment": 1, "dedupe": 1}


def named(category, **fields):
    return category.model_copy(update=fields)


@pytest.mark.parametrize(
    ("setup", "computed", "asked"),
    [
        ({}, {}, []),  # the same command again
        ({"classes": (BIRD, CAT, DOG)}, {}, []),  # another order of classes
        ({"classes": (DOG, named(CAT, id=9, color="#112233"), BIRD)}, {}, []),  # a number, a colour
        ({"device": Device("cpu", 1)}, {}, []),
        ({"classes": (DOG, KITTY, BIRD)}, EVERY, []),  # a class renamed: naming and what follows, no model
        ({"classes": (named(DOG, prompts=("dog",)), named(CAT, prompts=("cat", "puppy")), BIRD)}, EVERY, []),
        ({"classes": (DOG, CAT)}, EVERY, []),  # a class less
        ({"classes": (*PETS, Category(name="fish"))}, EVERY, [("detect", ("fish",)), ("segment", 2)]),  # a class more
        ({"rules": select.Rules(threshold=0.75)}, AFTER_DETECT, []),  # a higher threshold
        ({"classes": (DOG, CAT, named(BIRD, threshold=0.41))}, AFTER_DETECT, []),  # a class's own
        ({"twins": dedupe.Rules(same_class_iou=0.69)}, {"dedupe": 1}, []),
        ({"segmenter": asking.Segmenter(weights="3333")}, AFTER_SELECT, [("segment", 8)]),
        ({"detector": asking.Independent(weights="3333")}, EVERY, [("detect", ("bird", "cat", "dog", "puppy"))]),
        ({"device": Device("cpu", 4)}, EVERY, "both"),  # threads
        ({"device": Device("cuda:0", 1)}, EVERY, "both"),
    ],
)
def test_what_a_change_of_mind_costs(store, setup, computed, asked):
    everything = [("detect", ("bird", "cat", "dog", "puppy")), ("segment", 8)]
    assert label(store) == EVERY
    assert [(what, how) for what, _, how in asking.asked()] == everything
    assert label(store, **setup) == computed
    assert [(what, how) for what, _, how in asking.asked()] == (everything if asked == "both" else asked)
    with Store(None) as another:
        label(another, **setup)
        assert records(store, **setup) == records(another, **setup)  # as if made in one go
    assert label(store, **setup) == {}


def test_back_to_an_old_setting_costs_nothing(store):
    label(store)
    label(store, rules=select.Rules(threshold=0.75))
    assert label(store) == {}


def test_a_lower_threshold_asks_only_for_boxes_never_seen(store):
    label(store, rules=select.Rules(threshold=0.75))
    (_, (_, _, few)) = asking.asked()
    label(store)
    (again,) = asking.asked()
    assert 0 < few < 8
    assert again == ("segment", "a.jpg", 8 - few)


@pytest.mark.parametrize(
    "other",
    [
        replace(A, name="z/renamed.jpg"),
        replace(A, path="/moved/a.jpg"),
        replace(A, rewrite="orientation"),  # how it is exported
    ],
)
def test_a_file_renamed_or_moved_is_the_same_picture(store, other):
    label(store)
    assert label(store, [other]) == {}
    assert records(store, [other]) == records(store)


def test_other_bytes_are_another_picture(store):
    label(store)
    assert label(store, [replace(A, id=B.id)]) == EVERY


@pytest.mark.parametrize(
    ("where", "computed", "models"),
    [
        (Detect, EVERY, {"detect"}),
        (Select, AFTER_DETECT, set()),
        (Segment, AFTER_SELECT, {"segment"}),
        (Dedupe, {"dedupe": 1}, set()),
        (media, EVERY, {"detect", "segment"}),
    ],
)
def test_a_version_raised_runs_that_stage_and_what_follows(store, monkeypatch, where, computed, models):
    label(store)
    asking.asked()
    monkeypatch.setattr(where, "VERSION", where.VERSION + 1)
    assert label(store) == computed
    assert {what for what, _, _ in asking.asked()} == models


def test_pictures_added_are_the_only_ones_worked_on(store):
    label(store, [A])
    asking.asked()
    assert label(store, [A, B]) == EVERY
    assert {picture for _, picture, _ in asking.asked()} == {"b.jpg"}


# Chains


def test_a_chain_opens_no_record(store, monkeypatch):
    label(store)
    monkeypatch.setattr(store, "blob", None)
    done = chain(A, four(), store)
    assert len(done.keys) == 4
    assert done.digest == chain(A, four(), store).digest


def with_results(store, *results):
    with store.writing():
        store.add(results)


def test_a_chain_ends_where_nothing_is_known(store):
    detect, select_, *_ = stages = four()
    with_results(store, Result(detect.key(A, A.digest()), A.id, "detect", "after detect", (), b""))
    done = chain(A, stages, store)
    assert (done.keys, done.digest, done.failure) == ([detect.key(A, A.digest())], "after detect", None)
    with_results(store, Result(select_.key(A, "after detect"), A.id, "select", "after select", (), b""))
    assert chain(A, stages, store).digest == "after select"


def test_a_chain_counts_what_went(store):
    detect, select_, *_ = stages = four()
    drops = (Drop(None, "outside"), Drop(None, "outside"))
    with_results(
        store,
        Result(detect.key(A, A.digest()), A.id, "detect", "d", drops, b""),
        Result(select_.key(A, "d"), A.id, "select", "s", (Drop(0, "too_small"),), b""),
    )
    counts = Counter()
    chain(A, stages, store, counts)
    chain(B, stages, store, counts)
    assert counts == {("detect", "outside"): 2, ("select", "too_small"): 1}


def test_a_chain_ends_with_a_failure(store):
    stages = four()
    failure = Failure(stages[0].key(A, A.digest()), A.id, "detect", "cut_or_damaged", "half of it")
    with_results(store, failure)
    assert chain(A, stages, store).failure == failure
    assert label(store) == {}


def test_a_job_brings_the_record_and_the_memory_of_the_stages_to_come(store):
    stages = four()
    label(store)
    done = chain(A, stages, store)
    done.keys = done.keys[:2]
    rest = job(A, done, stages, store)
    assert rest.first == 2
    assert len(rest.clip.found[0]) == 8
    assert rest.clip.found[0].masks is None
    assert {scope for _, scope, _ in rest.memory} == {stages[2].scope}


# Outlook


def seen(*clips, aside=()):
    return Survey(list(clips), list(aside))


def test_the_outlook_before_the_first_run(store):
    work = outlook(seen(A, B, aside=[Aside("c.txt", "choose", "not_a_picture")]), four(), store)
    assert (work.pictures, dict(work.aside), work.nothing) == (2, {"not_a_picture": 1}, False)
    assert work.stale == {"detect": 2, "select": 2, "segment": 2, "dedupe": 2}
    assert work.asked == {"detect": 2, "select": 0, "segment": 2, "dedupe": 0}
    assert work.exact == {"detect": True, "select": False, "segment": False, "dedupe": False}
    assert asking.asked() == []  # it asks nobody


@pytest.mark.parametrize(
    ("setup", "stale", "asked"),
    [
        ({}, {}, {}),
        ({"classes": (DOG, KITTY, BIRD)}, EVERY, {"detect": 0, "segment": 1}),  # 'at most' for what follows
        ({"classes": (*PETS, Category(name="fish"))}, EVERY, {"detect": 1, "segment": 1}),
        ({"segmenter": asking.Segmenter(weights="3333")}, AFTER_SELECT, {"segment": 1}),
        ({"twins": dedupe.Rules(same_class_iou=0.69)}, {"dedupe": 1}, {}),
    ],
)
def test_the_outlook_after_a_change_of_mind(store, setup, stale, asked):
    label(store)
    work = outlook(seen(A), four(**setup), store)
    assert work.stale == stale
    assert {name: n for name, n in work.asked.items() if name in ("detect", "segment")} == asked
    assert work.nothing is not bool(stale)
    computed = label(store, **setup)
    assert all(computed.get(name, 0) <= n for name, n in stale.items())
    assert all(computed[name] == n for name, n in stale.items() if work.exact[name])


def test_the_outlook_counts_known_failures_as_set_aside(store):
    stages = four()
    with_results(store, Failure(stages[0].key(A, A.digest()), A.id, "detect", "cut_or_damaged"))
    work = outlook(seen(A), stages, store)
    assert (dict(work.aside), work.nothing) == ({"cut_or_damaged": 1}, True)


def test_no_work_is_nothing():
    assert Work().nothing
