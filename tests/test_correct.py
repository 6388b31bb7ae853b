"""The stage that does what people decided: rows, keys, and what the segmenter is asked."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from asking import ASKED, asked
from drawing import SIZE_HW, clip, instances, square

from pipeline import masks
from pipeline.corrections import Corrections
from pipeline.dedupe import Rules, dedupe
from pipeline.media import Picture
from pipeline.models import Models
from pipeline.records import Instances, empty
from pipeline.seams import Device
from pipeline.segmenters.fake import Fake
from pipeline.stages import Batch, Correct, Memory, Segment

CPU = Device("cpu", 1)
LEFT, NEAR, RIGHT, LOW = (1, 1, 11, 11), (2, 1, 12, 11), (18, 1, 28, 11), (1, 13, 9, 19)
CAT = {"class": "cat"}


class Counting(Fake):
    """The fake, written down."""

    def open(self, device):
        return self

    def segment(self, pictures, found):
        ASKED.extend(("segment", len(rows)) for rows in found)
        return Fake().open(CPU).segment(pictures, found)

    def mend(self, pictures, found):
        ASKED.extend(("mend", len(rows)) for rows in found)
        return Fake().open(CPU).mend(pictures, found)


def found(*objects):
    """What was segmented: ('dog', LEFT)."""
    return instances(
        [box for _, box in objects],
        names=[name for name, _ in objects],
        score_kind=("probability",) * len(objects),
        prompts=[f"a {name}" for name, _ in objects],
        masks=[square(*box) for _, box in objects],
        quality=np.full((len(objects), 3), 0.8),
        source=("fake",) * len(objects),
        extra=({"verified": 0.7},) * len(objects),
    )


PETS = found(("dog", LEFT), ("cat", RIGHT))


def stage(*lines, classes=("dog", "cat")):
    """The stage with these lines about a.jpg; a line is about the dog on the left, unless told otherwise."""
    Path("corrections").mkdir(exist_ok=True)
    plain = [
        {
            "version": 1,
            "picture": clip().id,
            **({} if one["do"] == "add" else {"class_was": "dog", "box_was": LEFT}),
            **one,
        }
        for one in lines
    ]
    Path("corrections/a.jsonl").write_text("".join(json.dumps(one) + "\n" for one in plain))
    return Correct(Counting(), CPU, Corrections(["corrections"]), classes)


def through(correct, before, memory=None):
    """The change that the stage makes of a picture."""
    ASKED.clear()
    one = clip(before)
    verb = Counting().open(CPU)
    batch = Batch([one], [Picture.of(np.zeros((*SIZE_HW, 3), np.uint8))], memory or Memory(), lambda: verb, ask)
    return correct.changes(batch)[0]


def ask(verb, pictures, column):
    return verb(pictures, column)


def after(before, *lines):
    """The rows as a reader sees them, and what went."""
    change = through(stage(*lines), before)
    rows = change.applied_to(before)
    said = [
        (name, tuple(masks.box(code, SIZE_HW)), source, extra.get("corrected", ""))
        for name, code, source, extra in zip(
            rows.names, rows.masks or (), rows.source or (), rows.extra or (), strict=True
        )
    ]
    return said, [(drop.row, drop.reason, drop.survivor) for drop in change.drops]


THE_CAT = ("cat", RIGHT, "fake", "")


@pytest.mark.parametrize(
    ("line", "row", "models"),
    [
        ({"do": "accept"}, ("dog", LEFT, "fake", "accept"), []),
        ({"do": "relabel", **CAT}, ("cat", LEFT, "human", "relabel"), []),
        ({"do": "mask", "mask": square(*LOW).decode()}, ("dog", LOW, "human", "mask"), []),
        ({"do": "box", "box": LOW}, ("dog", LOW, "human", "box"), [("segment", 1)]),
        ({"do": "points", "points": [[15, 5, 1]]}, ("dog", (1, 1, 15, 11), "human", "points"), [("mend", 1)]),
    ],
)
def test_what_becomes_of_a_row(line, row, models):
    assert after(PETS, line) == ([row, THE_CAT], [])
    assert asked() == models


@pytest.mark.parametrize(
    ("line", "row", "models"),
    [
        ({"do": "add", "mask": square(*LOW).decode(), **CAT}, ("cat", LOW, "human", "add+mask"), []),
        ({"do": "add", "box": LOW, **CAT}, ("cat", LOW, "human", "add+box"), [("segment", 1)]),
        ({"do": "add", "points": [[5, 15, 1]], **CAT}, ("cat", (4, 14, 6, 16), "human", "add+points"), [("mend", 1)]),
        ({"do": "accept", "box_was": LOW}, ("dog", LOW, "human", "accept"), [("segment", 1)]),  # it is made anew
        (
            {"do": "points", "box_was": LOW, "points": [[5, 12, 1]]},
            ("dog", (1, 12, 9, 19), "human", "points"),
            [("mend", 1)],
        ),
    ],
)
@pytest.mark.parametrize("before", [PETS, empty(SIZE_HW)])
def test_what_is_added(line, row, models, before):
    machines = [("dog", LEFT, "fake", ""), THE_CAT] if len(before) else []
    assert after(before, line) == ([*machines, row], [])
    assert asked() == models


def test_what_is_rejected_goes_and_its_twin_too():
    twins = found(("dog", LEFT), ("cat", RIGHT), ("dog", NEAR))
    assert after(twins, {"do": "reject"}) == ([THE_CAT], [(0, "rejected", None), (2, "rejected_too", None)])
    rows, drops = after(twins, {"do": "relabel", **CAT})
    assert rows == [("cat", LEFT, "human", "relabel"), THE_CAT]
    assert drops == [(2, "decided_already", 0)]


def test_a_score_is_of_the_class_that_the_detector_meant():
    rows = through(stage({"do": "relabel", **CAT}), PETS).applied_to(PETS)
    assert rows.scores.tolist() == pytest.approx([1.0, 0.9])
    assert rows.score_kind == ("constant", "probability")
    assert rows.extra == ({"corrected": "relabel"}, {"verified": 0.7})
    mended = through(stage({"do": "box", "box": LOW}), PETS).applied_to(PETS)
    assert mended.scores.tolist() == pytest.approx([0.9, 0.9])
    assert mended.extra[0] == {"verified": 0.7, "corrected": "box"}


def test_an_empty_answer_changes_no_row_and_makes_none():
    line = {"do": "points", "points": [[1, 1, -1], [11, 5, -1], [1, 5, -1], [2, 11, -1]]}
    nothing = {"do": "add", "points": [[5, 15, 1], [5, 15, -1]], **CAT}

    class Empty(Counting):
        def mend(self, pictures, found):
            return [Instances(rows.size_hw, rows.boxes_xyxy, rows.names, masks=(None,) * len(rows)) for rows in found]

    correct = stage(line, nothing)
    one = clip(PETS)
    batch = Batch([one], [Picture.of(np.zeros((*SIZE_HW, 3), np.uint8))], Memory(), Empty, ask)
    (change,) = correct.changes(batch)
    rows = change.applied_to(PETS)
    assert rows.masks == PETS.masks
    assert [(drop.row, drop.reason, drop.detail) for drop in change.drops] == [(None, "empty_mask", "cat at 4,14,6,16")]


def test_dedupe_changes_nothing_that_a_person_decided():
    crowd = found(("dog", LEFT), ("cat", RIGHT), ("cat", LEFT), ("dog", RIGHT))
    lines = [{"do": "accept"}, {"do": "relabel", "class": "cat"}, {"do": "add", "box": NEAR, **CAT}]
    corrected = through(stage(*lines), crowd).applied_to(crowd)
    change = dedupe(corrected, Rules(other_class_iou=0.5))
    kept = change.applied_to(corrected)
    people = [row for row in kept.extra if "corrected" in row]
    assert len(people) == 2  # the dog that is a cat now, and the cat that was added beside it
    assert [(drop.reason, drop.survivor) for drop in change.drops if drop.reason == "persons_twin"] == [
        ("persons_twin", 0)
    ]


def test_a_mask_is_tidied_unless_a_person_drew_it():
    mask = masks.decode(square(*LEFT), SIZE_HW)
    mask[15, 15] = True  # a speck
    speckled = found(("dog", LEFT))
    speckled = Instances(SIZE_HW, **{**speckled.columns(), "masks": (masks.encode(mask),)})
    for line, area in (({"do": "accept"}, 100), ({"do": "mask", "mask": masks.encode(mask).decode()}, 101)):
        corrected = through(stage(line), speckled).applied_to(speckled)
        rules = Rules(speck_fraction=0.1)
        assert masks.area(dedupe(corrected, rules).applied_to(corrected).masks[0]) == area


# Keys and memory


def key(*lines, before=PETS, **options):
    return stage(*lines, **options).key(clip(before), "digest")


def test_a_key_has_the_decisions_about_the_one_picture():
    other = {"do": "reject", "picture": "b" * 32}
    assert key() == key(other)
    assert key({"do": "accept"}) == key({"do": "accept", "by": "anna", "at": "today"}, other)
    assert key({"do": "accept"}) == key({"do": "reject"}, {"do": "accept"})
    assert len({key(), key({"do": "accept"}), key({"do": "reject"}), key({"do": "add", "box": LOW, **CAT})}) == 4
    assert key({"do": "accept"}) != key({"do": "accept"}, classes=("cat",))  # a dog cannot be made anew


def test_clicks_again_cost_nothing():
    line = {"do": "points", "points": [[15, 5, 1]]}
    memory = Memory()
    first = through(stage(line), PETS, memory)
    assert asked() == [("mend", 1)]
    again = through(stage({"do": "relabel", **CAT}, line), PETS, Memory(memory.new))
    assert asked() == []
    assert again.applied_to(PETS).masks == first.applied_to(PETS).masks
    assert stage(line).will_ask(clip(PETS), Memory())
    assert not stage(line).will_ask(clip(PETS), Memory(memory.new))
    assert not stage().will_ask(clip(PETS), Memory())


def test_no_decision_no_change():
    change = through(stage({"do": "reject", "box_was": LOW}), PETS)
    assert change.applied_to(PETS) is PETS


def test_what_was_accepted_stays_beside_a_surer_row():
    both = replace(found(("dog", LEFT), ("cat", LEFT)), scores=[0.3, 0.9])
    assert [drop.row for drop in dedupe(both, Rules()).drops] == [0]
    accepted = through(stage({"do": "accept"}), both).applied_to(both)
    assert [(drop.row, drop.reason, drop.survivor) for drop in dedupe(accepted, Rules()).drops] == [
        (1, "persons_twin", 0)
    ]


def test_one_model_serves_segment_and_correct():
    opened = []

    class Heavy(Counting):
        def open(self, device):
            opened.append(device)
            return self

    models, corrections = Models(), Corrections([])
    segment, correct = Segment(Heavy(), CPU), Correct(Heavy(), CPU, corrections, ())
    assert models.of(segment) is models.of(correct) is models.of(correct)
    assert len(opened) == 1
