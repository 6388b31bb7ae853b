"""What a stage's answer depends on, and what its model is asked."""

from dataclasses import replace

import asking
import numpy as np
import pytest
from drawing import clip, instances, square

from pipeline import dedupe, media, select, stages
from pipeline.errors import BackendError
from pipeline.media import Picture
from pipeline.ontology import Category, Ontology
from pipeline.records import Drop, empty
from pipeline.seams import Device
from pipeline.stages import Batch, Dedupe, Detect, Memory, Segment, Select

DOG = Category(name="dog", prompts=("dog", "puppy"))
CAT = Category(name="cat")
BIRD = Category(name="bird", prompts=("bird",), threshold=0.4)
PETS = (DOG, CAT, BIRD)
CPU = Device("cpu", 1)
ALL = {"detect", "select", "segment", "dedupe"}


@pytest.fixture(autouse=True)
def _nothing_asked_yet():
    asking.ASKED.clear()


def four(classes=PETS, detector=None, segmenter=None, rules=None, twins=None, device=CPU):
    """The stages of a run: how it is set up."""
    ontology = Ontology(classes)
    return [
        Detect(detector or asking.Independent(), ontology, device),
        Select(rules or select.Rules(), ontology),
        Segment(segmenter or asking.Segmenter(), device),
        Dedupe(twins or dedupe.Rules()),
    ]


def keys(**setup):
    return {stage.name: stage.key(clip(), "digest of a record") for stage in four(**setup)}


def differ(before, after):
    return {name for name in before if before[name] != after[name]}


class Twin(asking.Independent):
    """Another backend that has the settings of the first."""


NAMING = {"detect"}  # the stage that gives names also holds the detector's answer: no model runs, see test_plan.py


@pytest.mark.parametrize(
    ("setup", "stale"),
    [
        ({"classes": (BIRD, CAT, DOG)}, set()),  # the order of classes
        ({"classes": (DOG.model_copy(update={"prompts": ("puppy", "dog")}), CAT, BIRD)}, set()),  # and of prompts
        ({"classes": (DOG, CAT.model_copy(update={"id": 7}), BIRD)}, set()),  # a class numbered
        ({"classes": (DOG, CAT.model_copy(update={"color": "#112233"}), BIRD)}, set()),  # a colour
        ({"classes": (*PETS, Category(name="fish", retired=True))}, set()),  # a class that was retired long ago
        ({"classes": (DOG, CAT.model_copy(update={"name": "kitty"}), BIRD)}, NAMING),  # a class renamed
        ({"classes": (DOG, CAT, BIRD.model_copy(update={"name": "finch"}))}, {"detect", "select"}),  # and its limits
        ({"classes": (*PETS, Category(name="fish"))}, NAMING),  # a class more
        ({"classes": (DOG, CAT)}, {"detect", "select"}),  # a class less
        ({"classes": (DOG, Category(name="cat", prompts=("a cat",)), BIRD)}, NAMING),  # the text of a prompt
        ({"classes": (DOG, Category(name="cat", negatives=("toy",)), BIRD)}, {"detect", "select"}),  # a new question
        ({"classes": (DOG, Category(name="cat", negatives=("dog",)), BIRD)}, {"select"}),  # a question asked anyway
        ({"classes": (DOG, CAT, BIRD.model_copy(update={"threshold": 0.5}))}, {"select"}),  # a class's threshold
        ({"classes": (DOG, CAT.model_copy(update={"min_area_px": 9.0}), BIRD)}, {"select"}),  # a class's size
        ({"rules": select.Rules(threshold=0.2)}, {"select"}),  # everybody's threshold
        ({"twins": dedupe.Rules(same_class_iou=0.6)}, {"dedupe"}),
        ({"detector": asking.Independent(floor=0.2)}, {"detect"}),  # an option of the detector
        ({"detector": asking.Independent(weights="3333")}, {"detect"}),  # its weights
        ({"detector": Twin()}, {"detect"}),  # another backend with the same settings
        ({"segmenter": asking.Segmenter(weights="3333")}, {"segment"}),
        ({"device": Device("cuda:0", 1)}, {"detect", "segment"}),  # the kind of device
        ({"device": Device("cpu", 4)}, {"detect", "segment"}),  # threads, where the backend says so
    ],
)
def test_what_makes_an_answer_stale(setup, stale):
    assert differ(keys(), keys(**setup)) == stale


def test_which_of_two_like_devices_it_is_does_not_matter():
    assert keys(device=Device("cuda:0", 1)) == keys(device=Device("cuda:1", 1))


@pytest.mark.parametrize(
    ("where", "name", "setup", "stale"),
    [
        (media, "VERSION", {}, {"detect", "segment"}),  # decoding: for those who look
        (media, "VERSION", {"detector": asking.Blind(), "segmenter": asking.BlindSegmenter()}, set()),  # nobody looks
        (Detect, "VERSION", {}, {"detect"}),
        (Select, "VERSION", {}, {"select"}),
        (Segment, "VERSION", {}, {"segment"}),
        (Dedupe, "VERSION", {}, {"dedupe"}),
        (stages.stage, "RECORD_VERSION", {}, ALL),  # a record of another form is recomputed, never misread
    ],
)
def test_a_version_makes_answers_stale(monkeypatch, where, name, setup, stale):
    before = keys(**setup)
    monkeypatch.setattr(where, name, getattr(where, name) + 1)
    assert differ(before, keys(**setup)) == stale


def test_a_key_is_of_the_stage_and_the_record():
    every = [stage.key(clip(), digest) for stage in four() for digest in ("one record", "another")]
    assert len(set(every)) == 8


@pytest.mark.parametrize(
    ("setup", "forgets"),
    [
        ({"classes": (BIRD,)}, set()),  # the ontology is in the question, not in the scope
        ({"rules": select.Rules(threshold=0.9)}, set()),
        ({"detector": asking.Independent(weights="3333")}, {"detect"}),
        ({"detector": Twin()}, {"detect"}),
        ({"segmenter": asking.Segmenter(weights="3333")}, {"segment"}),
        ({"device": Device("cpu", 2)}, {"detect", "segment"}),
    ],
)
def test_what_a_memory_is_worth(setup, forgets):
    before, after = ({stage.name: stage.scope for stage in four(**s)} for s in ({}, setup))
    assert differ(before, after) == forgets
    assert [name for name, scope in before.items() if scope] == ["detect", "segment"]


def test_what_a_detector_said_in_another_form_is_not_remembered(monkeypatch):
    before = four()[0].scope
    monkeypatch.setattr(stages.stage, "RECORD_VERSION", stages.stage.RECORD_VERSION + 1)
    assert four()[0].scope != before


def through(stage, clips, known=()):
    """Clips through a stage with a real model: clips after it, and all that its model has said by then."""
    memory = Memory(dict(known))
    model = stage.open()
    batch = Batch(clips, [Picture(c) for c in clips], memory, lambda: model, lambda verb, some, more: verb(some, more))
    changes = stage.changes(batch)
    return [c.after([change]) for c, change in zip(clips, changes, strict=True)], {**memory.known, **memory.new}


def detect(detector, classes, clips=None, known=()):
    return through(Detect(detector, Ontology(classes), CPU), clips or [clip()], known)


FISH = Category(name="fish")


@pytest.mark.parametrize(
    ("detector", "then", "prompts"),
    [
        (asking.Independent(), (DOG, CAT), None),  # nothing new
        (asking.Independent(), (CAT, DOG), None),  # another order
        (asking.Independent(), (CAT,), None),  # a class less
        (asking.Independent(), (DOG, CAT, FISH), ("fish",)),  # only what was never asked
        (asking.Independent(), (DOG, Category(name="cat", negatives=("toy",))), ("toy",)),  # a negative is a question
        (asking.Independent(), (Category(name="dog", prompts=("dog", "cat")),), None),  # prompts change hands
        (asking.ClosedSet(), (FISH, CAT), None),  # the whole vocabulary was asked once
        (asking.ClosedSet(), (BIRD,), None),
        (asking.Joint(), (CAT, DOG), None),  # the same set of prompts in another order
        (asking.Joint(), (DOG, CAT, FISH), ("cat", "dog", "fish", "puppy")),  # another set: all of it
        (asking.Joint(), (CAT,), ("cat",)),
    ],
)
def test_a_detector_is_asked_only_what_it_never_answered(detector, then, prompts):
    _, known = detect(detector, (DOG, CAT))
    first = ("dog", "cat", "bird") if isinstance(detector, asking.ClosedSet) else ("cat", "dog", "puppy")
    assert asking.asked() == [("detect", "a.jpg", first)]
    (again,), _ = detect(detector, then, known=known)
    assert asking.asked() == ([] if prompts is None else [("detect", "a.jpg", prompts)])
    (afresh,), _ = detect(detector, then)
    assert again.digest() == afresh.digest()


def test_clips_that_want_the_same_questions_are_asked_together():
    old, new = clip(name="old.jpg"), clip(name="new.jpg")
    _, known = detect(asking.Independent(), (DOG,), [old])
    asking.asked()
    detect(asking.Independent(), (DOG, CAT), [old, new, clip(name="newer.jpg")], known)
    assert asking.asked() == [
        ("detect", "old.jpg", ("cat",)),
        ("detect", "new.jpg", ("cat", "dog", "puppy")),
        ("detect", "newer.jpg", ("cat", "dog", "puppy")),
    ]


@pytest.mark.parametrize("detector", [asking.Independent(), asking.ClosedSet(), asking.Joint()])
def test_rows_have_the_names_of_classes_and_an_order_that_is_not_the_ontologys(detector):
    one, other = (detect(detector, classes)[0][0] for classes in (PETS, tuple(reversed(PETS))))
    assert one.digest() == other.digest()
    owner = {"dog": "dog", "puppy": "dog", "cat": "cat", "bird": "bird"}
    assert one.found[0].names == tuple(owner[prompt] for prompt in one.found[0].prompts)
    assert set(one.found[0].names) == {"dog", "cat", "bird"}


def test_a_negative_has_no_name_and_what_nobody_asks_for_is_left_out():
    classes = (Category(name="dog", negatives=("cat",)),)
    (after,), _ = detect(asking.ClosedSet(), classes)
    rows = sorted(zip(after.found[0].prompts, after.found[0].names, strict=True))
    assert rows == [("cat", ""), ("cat", ""), ("dog", "dog"), ("dog", "dog")]


def test_a_class_renamed_keeps_its_rows():
    kitty = CAT.model_copy(update={"name": "kitty", "prompts": ("cat",)})
    (before,), known = detect(asking.Independent(), (CAT,))
    (after,), _ = detect(asking.Independent(), (kitty,), known=known)
    assert before.found[0].names == ("cat", "cat")
    assert after.found[0].names == ("kitty", "kitty")
    assert (after.found[0].boxes_xyxy == before.found[0].boxes_xyxy).all()


@pytest.mark.parametrize(
    ("stage", "found", "known", "asks"),
    [
        (Detect(asking.Independent(), Ontology([DOG]), CPU), (), {"dog"}, True),  # 'puppy' was never asked
        (Detect(asking.Independent(), Ontology([DOG]), CPU), (), {"dog", "puppy"}, False),
        (Detect(asking.ClosedSet(), Ontology([DOG]), CPU), (), {"vocabulary"}, False),
        (Segment(asking.Segmenter(), CPU), (instances([(1, 1, 5, 5)]),), set(), True),
        (Segment(asking.Segmenter(), CPU), (instances([]),), set(), False),  # no rows
        (Segment(asking.Segmenter(), CPU), (instances(masks=[square(1, 1, 5, 5)]),), set(), False),  # has its mask
        (Select(select.Rules(), Ontology([DOG])), (instances(),), set(), False),  # no model
    ],
)
def test_whether_a_model_will_be_asked(stage, found, known, asks):
    it = clip(*found)
    assert stage.will_ask(it, Memory({(it.id, part): b"" for part in known})) is asks


BOXES = [(1, 1, 5, 5), (2, 2, 9, 9), (10, 3, 20, 12)]


def segment(found, known=()):
    (after,), memory = through(Segment(asking.Segmenter(), CPU), [clip(found)], known)
    return after.found[0], memory


@pytest.mark.parametrize(
    ("then", "rows"),
    [
        (instances(BOXES), None),  # nothing new
        (instances(BOXES[::-1]), None),  # another order of rows
        (instances(BOXES, names=("cat",) * 3), None),  # other names: they are given after the model has spoken
        (instances(BOXES, scores=[0.1, 0.2, 0.3]), None),  # other scores
        (instances(BOXES[1:]), None),  # a row less
        (instances([*BOXES, (0, 0, 3, 3)]), 1),  # a row never seen
        (instances([(1, 1, 5, 5.5), *BOXES[1:]]), 1),  # a box moved
        (instances(BOXES, points=[None, [(3, 3, 1)], None]), 1),  # a point added
        (instances(BOXES, masks=[square(0, 0, 2, 2), None, None]), None),  # a mask that is there stays
    ],
)
def test_a_segmenter_is_asked_only_for_rows_it_never_saw(then, rows):
    _, known = segment(instances(BOXES))
    assert asking.asked() == [("segment", "a.jpg", 3)]
    again, _ = segment(then, known)
    assert asking.asked() == ([] if rows is None else [("segment", "a.jpg", rows)])
    afresh, _ = segment(then)
    assert again.digest() == afresh.digest()


def test_masks_belong_to_their_boxes_in_any_order():
    _, known = segment(instances(BOXES[:1]))
    after, _ = segment(instances(BOXES[::-1]), known)
    assert after.masks == tuple(square(*box) for box in BOXES[::-1])
    assert after.quality[:, 2].tolist() == [1, 1, 1]  # each mask fills its box
    assert np.isnan(after.quality[:, :2]).all()  # the segmenter said nothing of its own


class Half(asking.Segmenter):
    """Masks of the left half of each box, none for boxes narrower than 4 pixels; sure by 0.9, stability unknown."""

    def open(self, device):
        return self

    def segment(self, pictures, found):
        return [
            replace(f, masks=[_half(box) for box in f.boxes_xyxy], quality=[(0.9, np.nan, 0)] * len(f)) for f in found
        ]


def _half(box):
    x0, y0, x1, y1 = (int(edge) for edge in box)
    return square(x0, y0, (x0 + x1) // 2 if x1 - x0 >= 4 else x0, y1)


def test_an_empty_mask_costs_its_row_and_says_so():
    stage = Segment(Half(), CPU)
    it = clip(instances([(0, 0, 8, 4), (0, 0, 3, 3)], names=("dog", "cat")))
    model = Half()
    batch = Batch([it], [Picture(it)], Memory(), lambda: model, lambda verb, some, more: verb(some, more))
    (change,) = stage.changes(batch)
    assert [(drop.row, drop.reason) for drop in change.drops] == [(1, "empty_mask")]
    after = it.after([change]).found[0]
    assert after.names == ("dog",)
    assert after.masks == (square(0, 0, 4, 4),)
    assert np.nan_to_num(after.quality, nan=-1).round(4).tolist() == [[np.float32(0.9), -1, 0.5]]


def test_a_row_out_of_sight_gets_no_mask():
    found = instances([(1, 1, 5, 5), (0, 0, 0, 0)], visible=[True, False])
    after, _ = segment(found)
    assert asking.asked() == [("segment", "a.jpg", 1)]
    assert after.masks == (square(1, 1, 5, 5), None)


def test_select_and_dedupe_ask_nobody():
    found = instances([(1, 1, 5, 5), (1, 1, 5, 5)], scores=[0.9, 0.1], masks=[square(1, 1, 5, 5)] * 2)
    (selected,), _ = through(Select(select.Rules(threshold=0.05), Ontology([DOG])), [clip(found)])
    (deduped,), _ = through(Dedupe(dedupe.Rules(speck_px=0)), [selected])
    assert (len(selected.found[0]), len(deduped.found[0])) == (2, 1)
    assert asking.asked() == []


class ByName(asking.Blind):
    """A detector that knows a picture by its name, and has one object outside of it."""

    @property
    def by_name(self) -> bool:
        return True

    def open(self, device):
        return self

    def detect(self, pictures, prompts):
        asking.ASKED.extend(("detect", picture.clip.name, tuple(prompts)) for picture in pictures)
        unplaced = [(prompt, "box 90, 90, 99, 99") for prompt in prompts if prompt == "puppy"]
        return [replace(empty(picture.size_hw), unplaced=tuple(unplaced)) for picture in pictures]


def test_a_picture_known_by_name_is_another_question_under_another_name():
    detector, renamed = ByName(), replace(clip(), name="b.jpg")
    stage = Detect(detector, Ontology([CAT]), CPU)
    assert stage.key(clip(), "digest") != stage.key(renamed, "digest")
    _, known = detect(detector, (CAT,))
    detect(detector, (CAT,), [clip()], known)
    assert asking.asked() == [("detect", "a.jpg", ("cat",))]
    detect(detector, (CAT,), [renamed], known)
    assert asking.asked() == [("detect", "b.jpg", ("cat",))]


@pytest.mark.parametrize("first", [(DOG, CAT), (CAT,)])  # all asked in one go, or 'cat' remembered
def test_what_has_no_area_in_the_picture_is_told_by_class(first):
    _, known = detect(ByName(), first)
    memory = Memory(known)
    stage = Detect(ByName(), Ontology([DOG, CAT]), CPU)
    (change,) = stage.changes(Batch([clip()], [Picture(clip())], memory, ByName, lambda verb, *rows: verb(*rows)))
    assert change.drops == (Drop(None, "outside", None, "dog: box 90, 90, 99, 99"),)


class Broken(asking.Independent):
    """A detector whose library fails."""

    def open(self, device):
        return self

    def detect(self, pictures, prompts):
        raise ValueError("shapes differ")


def test_a_library_that_fails_is_named():
    with pytest.raises(BackendError, match=r"detect \(Broken\): ValueError: shapes differ"):
        detect(Broken(), (DOG,))
