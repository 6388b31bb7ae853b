"""The stage that asks a second model: whom it asks, about what, and what becomes of the answer."""

import numpy as np
import pytest
from drawing import clip, instances

from pipeline.calibration import Calibration
from pipeline.config import load
from pipeline.errors import BackendError, ConfigError
from pipeline.media import Picture
from pipeline.ontology import Category, Ontology
from pipeline.records import Drop
from pipeline.seams import Device
from pipeline.select import Rules, select
from pipeline.stages import Batch, Memory, Verify
from pipeline.stages.verify import words_of
from pipeline.verifiers import Verdict, VerifierOptions, Words

CPU = Device("cpu", 1)
DOG = Category(name="dog", prompts=("puppy", "dog"), negatives=("toy", "cat"))
CAT = Category(name="cat", prompts=("cat",), threshold=0.2)
BOXES = [(1, 1, 5, 5), (6, 6, 9, 9), (10, 3, 20, 12)]
ASKED = []


class Sure(VerifierOptions):
    """Writes down what it is asked; rows are of their class with `share`, and look like `likeliest`."""

    share: float = 0.25
    likeliest: str = "fox"
    short: int = 0

    def open(self, device):
        return self

    def verify(self, pictures, found, words):
        ASKED.extend(
            (picture.clip.name, name, words[name])
            for picture, rows in zip(pictures, found, strict=True)
            for name in rows.names
        )
        return [[Verdict(self.share, self.likeliest)] * (len(rows) - self.short) for rows in found]


@pytest.fixture(autouse=True)
def _nothing_asked_yet():
    ASKED.clear()


def stage(options=None, classes=(DOG, CAT), **rules):
    return Verify(options or Sure(), Rules(**rules), Ontology(classes), CPU)


def through(it, *found, known=()):
    """Pictures through the stage: rows after it, and all that its model has said by then."""
    clips = [clip(rows, name=f"{number}.jpg") for number, rows in enumerate(found)]
    memory = Memory(dict(known))
    batch = Batch(clips, [Picture(c) for c in clips], memory, it.open, lambda verb, some, more: verb(some, more))
    changes = it.changes(batch)
    after = [c.after([change]).found[0] for c, change in zip(clips, changes, strict=True)]
    return after, {**memory.known, **memory.new}


@pytest.mark.parametrize(
    ("category", "classes", "words"),
    [
        (CAT, (CAT,), Words(("cat",), ())),
        (CAT, (CAT, DOG), Words(("cat",), (("dog", "puppy"),))),
        (DOG, (DOG,), Words(("dog", "puppy"), (("cat",), ("toy",)))),
        (DOG, (CAT, DOG), Words(("dog", "puppy"), (("cat",), ("toy",)))),  # a negative that is a class counts once
        (
            DOG,
            (DOG, Category(name="old", prompts=("wolf",), retired=True)),
            Words(("dog", "puppy"), (("cat",), ("toy",))),
        ),
    ],
)
def test_the_words_of_a_class(category, classes, words):
    assert words_of(category.asked(), Ontology(classes)) == words


@pytest.mark.parametrize(
    ("names", "scores", "rules", "rows"),
    [
        (("dog", "cat", "dog"), (0.9, 0.9, 0.9), {}, (0, 1, 2)),
        (("dog", "cat", "dog"), (0.29, 0.29, 0.3), {}, (1, 2)),  # the class's own threshold, and the one for all
        (("dog", "", "dog"), (0.9, 0.9, 0.9), {}, (0, 2)),  # found by a negative: of no class
        (("dog", "cat", "dog"), (0.5, 0.9, 0.6), {"calibration": Calibration(thresholds={"dog": 0.6})}, (1, 2)),
        (("dog", "cat", "dog"), None, {"threshold": 1}, (0, 1, 2)),  # without scores all are asked about
    ],
)
def test_who_is_asked_about(names, scores, rules, rows):
    (after,), _ = through(stage(**rules), instances(BOXES, names=names, scores=scores))
    assert [name for _, name, _ in ASKED] == [names[row] for row in rows]
    assert [row for row, extra in enumerate(after.extra) if extra] == list(rows)


def test_the_answer_stands_beside_the_score():
    found = instances(BOXES, names=("dog", "cat", "dog"), scores=[0.5, 0.1, 0.7], extra=({"a": 1}, {"b": 2}, {}))
    (after,), _ = through(stage(Sure(share=0.123456)), found)
    said = {"verified": 0.1235, "looks_like": "fox"}
    assert after.extra == ({"a": 1, **said}, {"b": 2}, said)
    assert (after.scores == found.scores).all()
    assert after.names == found.names


def test_what_looks_like_one_of_its_own_words_needs_no_more():
    (after,), _ = through(stage(Sure(likeliest="puppy")), instances(BOXES[:1]))
    assert after.extra == ({"verified": 0.25},)


@pytest.mark.parametrize(
    ("then", "classes", "asks"),
    [
        (instances(BOXES), (DOG, CAT), 0),  # nothing new
        (instances(BOXES[::-1]), (CAT, DOG), 0),  # another order of rows, of classes
        (instances(BOXES, scores=[0.4, 0.5, 0.6]), (DOG, CAT), 0),  # other scores
        (instances(BOXES, names=("hound",) * 3), (DOG.model_copy(update={"name": "hound"}), CAT), 0),  # a class renamed
        (instances([*BOXES, (0, 0, 3, 3)]), (DOG, CAT), 1),  # a row never seen
        (instances(BOXES), (DOG, CAT, Category(name="bird")), 3),  # a class more to be told from
        (instances(BOXES), (DOG.model_copy(update={"negatives": ("cat",)}), CAT), 3),  # a negative less
        (instances(BOXES, names=("cat",) * 3), (DOG, CAT), 3),  # the same boxes, taken for something else
    ],
)
def test_it_is_asked_only_what_it_was_never_asked(then, classes, asks):
    _, known = through(stage(), instances(BOXES))
    assert len(ASKED) == 3
    ASKED.clear()
    it = stage(classes=classes)
    assert it.will_ask(clip(then, name="0.jpg"), Memory(known)) is bool(asks)
    (again,), _ = through(it, then, known=known)
    assert len(ASKED) == asks
    (afresh,), _ = through(it, then)
    assert again.digest() == afresh.digest()


def test_nothing_found_asks_nothing():
    it = stage()
    assert not it.will_ask(clip(instances([])), Memory())
    (after,), _ = through(it, instances([]))
    assert (len(after), ASKED) == (0, [])


def test_two_pictures_are_asked_about_together_and_answered_apart():
    (one, other), _ = through(stage(), instances(BOXES[:1]), instances(BOXES, names=("cat",) * 3))
    assert [name for name, _, _ in ASKED] == ["0.jpg", "1.jpg", "1.jpg", "1.jpg"]
    assert (len(one.extra), len(other.extra)) == (1, 3)


def test_a_verifier_that_leaves_rows_out_is_blamed():
    with pytest.raises(BackendError, match=r"verify \(Sure\): ValueError"):
        through(stage(Sure(short=1)), instances(BOXES))


@pytest.mark.parametrize(
    ("share", "looks_like", "verified", "drop"),
    [
        (0.4, None, 0.0, None),  # not asked for
        (0.4, None, 0.4, None),  # as sure as that
        (0.4, "fox", 0.5, Drop(0, "not_verified", None, "it says fox")),
        (0.4, None, 0.5, Drop(0, "not_verified")),
        (None, None, 1.0, None),  # nobody was asked
    ],
)
def test_select_uses_the_answer(share, looks_like, verified, drop):
    extra = {} if share is None else {"verified": share}
    extra |= {"looks_like": looks_like} if looks_like else {}
    change = select(instances(BOXES[:1], extra=(extra,)), Rules(verified=verified), Ontology([DOG]))
    assert change.drops == ((drop,) if drop else ())


def test_what_is_not_verified_rules_nothing_out():
    rows = {"names": ("dog", "cat"), "prompts": ("dog", "cat"), "scores": [0.6, 0.9]}
    said = {"extra": ({"verified": 0.9}, {"verified": 0.1})}
    found = instances([BOXES[0]] * 2, **rows, **said)
    gone = [[(d.row, d.reason) for d in select(found, Rules(verified=v), Ontology([DOG, CAT])).drops] for v in (0, 0.5)]
    assert gone == [[(0, "negative")], [(1, "not_verified")]]


LEAST = ["ontology=dog, cat", "detect.backend=fake", "segment.backend=fake"]


def test_it_is_a_stage_where_a_config_says_so():
    with_it = load(None, [*LEAST, "verify.backend=fake", "select.verified=0.5", "track.backend=iou"])
    assert [one.name for one in load(None, LEAST).stages()] == ["detect", "select", "segment", "dedupe"]
    assert [one.name for one in with_it.stages()] == ["detect", "verify", "select", "segment", "dedupe"]
    assert [one.name for one in with_it.film_stages()][:3] == ["detect", "verify", "select"]
    assert with_it.backends["verify"] == "fake"
    assert with_it.models()["verify"] == with_it.verify


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["select.verified=0.5"], "select.verified: nothing verifies; say verify.backend=clip and verify.model too"),
        (["verify.backend=klip"], "no verify 'klip'; did you mean clip? (have clip, fake, or give module:Class)"),
        (["verify.backend=clip"], "verify.model: missing"),
        (["verify.backend=fake", "select.verified=2"], "select.verified: input should be less than or equal to 1"),
    ],
)
def test_what_makes_no_sense_is_refused(overrides, said):
    with pytest.raises(ConfigError) as raised:
        load(None, [*LEAST, *overrides])
    assert said in str(raised.value)


def test_a_share_is_a_number_of_four_digits():
    (after,), _ = through(stage(Sure(share=float(np.float32(0.1)))), instances(BOXES[:1]))
    assert after.extra[0]["verified"] == 0.1
