"""The ledger: everything that went, where it was, and what stayed in its place."""

import pytest
from drawing import clip, instances, square

from pipeline import dedupe
from pipeline.labelled import Chain, Labelled
from pipeline.ledger import Entry, entries
from pipeline.ontology import Category, Ontology
from pipeline.records import Change, Drop, to_blob
from pipeline.select import Rules, select
from pipeline.store import Aside, Result, Store

DOG = Category(name="dog", negatives=("cat",))
CAT = Category(name="cat", threshold=0.5)


def kept(store, it, *steps):
    """Results of stages for a clip, one after the other; each step is (stage, what it makes of the rows)."""
    keys = []
    with store.writing():
        for stage, step in steps:
            change = step(it.found[0]) if it.found else step(None)
            it = it.after([change])
            keys.append(f"{it.name} {stage}")
            store.add([Result(keys[-1], it.id, stage, it.digest(), change.drops, to_blob([change]))])
    return Labelled(it, ((it, Chain(keys)),)).to_row()


def detect(found, *drops):
    return "detect", lambda _: Change.of(found, drops)


def selected(found):
    return select(found, Rules(), Ontology([DOG, CAT]))


def masked(found):
    boxes = [[round(v) for v in box] for box in found.boxes_xyxy.tolist()]
    return Change({"masks": [square(*box) for box in boxes]}, tuple(range(len(found))))


def deduped(found):
    return dedupe.dedupe(found, dedupe.Rules(speck_px=0))


FOUND = instances(
    [(1, 1, 9, 9), (1, 1, 9, 9), (10, 1, 20, 9), (10, 1, 20, 9), (0, 0, 3.25, 3)],
    names=("dog", "cat", "dog", "dog", "cat"),
    prompts=("dog", "cat", "dog", "dog", "cat"),
    scores=[0.4, 0.9, 0.8, 0.7, 0.45],
)


@pytest.fixture
def store():
    with Store(None) as store:
        whole = ("select", selected), ("segment", masked), ("dedupe", deduped)
        rows = {
            "b.jpg": kept(
                store, clip(name="b.jpg"), detect(FOUND, Drop(None, "outside", detail="dog: box 90")), *whole
            ),
            "a.jpg": kept(store, clip(name="a.jpg"), detect(FOUND.take([2])), *whole),
        }
        with store.writing():
            store.set_pictures(rows)
            store.set_aside([Aside("z.gif", "choose", "duplicate", "of a.jpg"), Aside("c.txt", "choose", "empty_file")])
        yield store


def test_every_row_in_the_order_of_pictures_and_stages(store):
    b = clip(name="b.jpg").id
    assert list(entries(store)) == [
        Entry("c.txt", "choose", "empty_file"),
        Entry("z.gif", "choose", "duplicate", "of a.jpg"),
        Entry("b.jpg", "detect", "outside", "dog: box 90"),  # it never had a row
        Entry("b.jpg", "select", "negative", "cat", "dog", 0.4, (1.0, 1.0, 9.0, 9.0), f"{b}/cat/0"),
        Entry("b.jpg", "select", "below_threshold", "", "cat", 0.45, (0.0, 0.0, 3.25, 3.0)),
        Entry("b.jpg", "dedupe", "same_class_twin", "", "dog", 0.7, (10.0, 1.0, 20.0, 9.0), f"{b}/dog/0"),
    ]


def test_what_stayed_is_named_as_it_was_before_the_stage(store):
    """The dog that stays is the first one left when dedupe looks, though not the first that was found."""
    (twin,) = [entry for entry in entries(store) if entry.stage == "dedupe"]
    assert twin.survivor.endswith("/dog/0")
    assert FOUND.names.index("dog") == 0  # that one went at select


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (Entry("a.jpg", "choose", "empty_file"), "the file has no bytes"),
        (
            Entry("a.jpg", "choose", "duplicate", "of b.jpg"),
            "the same bytes as another file, which is kept (of b.jpg)",
        ),
    ],
)
def test_why(entry, why):
    assert entry.why == why


def test_nothing_went():
    with Store(None) as store:
        with store.writing():
            store.set_pictures({"a.jpg": kept_nothing(store)})
        assert list(entries(store)) == []


def kept_nothing(store):
    it = clip().after([Change.of(instances([]))])
    store.add([Result("k", it.id, "detect", it.digest(), (), to_blob([Change.of(instances([]))]))])
    return Labelled(it, ((it, Chain(["k"])),)).to_row()


def test_rows_without_scores():
    with Store(None) as store:
        found = instances([(1, 1, 5, 5)], scores=None)
        gone = ("select", lambda _: Change({}, (), (Drop(0, "too_small"),)))
        row = kept(store, clip(), detect(found), gone)
        with store.writing():
            store.set_pictures({"a.jpg": row})
        assert [(entry.name, entry.score) for entry in entries(store)] == [("dog", None)]
