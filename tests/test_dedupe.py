from dataclasses import replace

import pytest
from drawing import drawn, instances
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline import masks
from pipeline.dedupe import Rules, dedupe
from pipeline.reasons import OBJECTS
from pipeline.records import Drop

AS_DRAWN = {"speck_px": 0}


def frame(*rows, **columns):
    """Masks one pixel high: rows of (class, prompt, score, bar), as in ('dog', 'a dog', 0.9, '..####..')."""
    names, prompts, scores, bars = zip(*rows, strict=True)
    codes = tuple(masks.encode(drawn(bar)) for bar in bars)
    boxes = [masks.box(code, (1, len(bars[0]))) for code in codes]
    described = {"names": names, "prompts": prompts, "scores": scores, "masks": codes} | columns
    return instances(boxes, size_hw=(1, len(bars[0])), **described)


def dogs(*rows, **columns):
    """Rows of (score, bar), all found by one prompt."""
    return frame(*(("dog", "a dog", score, bar) for score, bar in rows), **columns)


def went(found, **rules):
    """What happened to the rows that went: row -> (reason, survivor)."""
    change = dedupe(found, Rules(**(AS_DRAWN | rules)))
    gone = {drop.row: (drop.reason, drop.survivor) for drop in change.drops}
    assert change.kept == tuple(row for row in range(len(found)) if row not in gone)
    assert all(reason in OBJECTS and survivor in change.kept for reason, survivor in gone.values())
    return gone


DOG, PUPPY, CAT = ("dog", "a dog"), ("dog", "a puppy"), ("cat", "a cat")
TWIN, OTHER_PROMPT, OTHER_CLASS = "same_class_twin", "same_class_other_prompt", "other_class_twin"


@pytest.mark.parametrize(
    ("first", "second", "bars", "reason"),
    [
        (DOG, DOG, ("########..", "########.."), TWIN),  # the same mask
        (DOG, DOG, ("#########.", ".#########"), TWIN),  # 8 of 10
        (DOG, DOG, ("##########", ".#######.."), None),  # 7 of 10: not above 0.7
        (DOG, DOG, ("########..", "..########"), None),  # 6 of 10
        (
            DOG,
            PUPPY,
            ("########..", "..########"),
            OTHER_PROMPT,
        ),  # 6 of 10, but nothing has compared them yet
        (DOG, PUPPY, (".########.", "...#####.."), OTHER_PROMPT),  # 5 of 8
        (DOG, PUPPY, ("##########", ".#####...."), None),  # 5 of 10: not above 0.5
        (DOG, CAT, ("##########", "##########"), OTHER_CLASS),  # the same mask
        (DOG, CAT, ("##########", "#########."), None),  # 9 of 10: not above 0.9
        (DOG, DOG, ("#####.....", ".....#####"), None),  # side by side
    ],
)
def test_twins(first, second, bars, reason):
    found = frame((*first, 0.9, bars[0]), (*second, 0.8, bars[1]))
    assert went(found, part_of=None) == ({1: (reason, 0)} if reason else {})


@pytest.mark.parametrize(
    ("rows", "gone"),
    [
        ([(0.8, "########.."), (0.9, ".########.")], {0: (TWIN, 1)}),  # the surest stays, wherever it stands
        ([(0.9, "########.."), (0.9, "#########.")], {0: (TWIN, 1)}),  # a tie: the larger stays
        ([(0.9, ".########."), (0.9, "########..")], {0: (TWIN, 1)}),  # as large: the box further left stays
        ([(0.9, "########.."), (0.9, "########..")], {1: (TWIN, 0)}),  # equal in everything
        (
            [(0.9, "########...."), (0.8, ".########..."), (0.7, "..########..")],
            {1: (TWIN, 0)},  # A~B~C: B goes to A; C is like B, which is gone, and not like A
        ),
        (
            [(0.7, "########...."), (0.9, ".########..."), (0.8, "..########..")],
            {0: (TWIN, 1), 2: (TWIN, 1)},  # the middle one is the surest: both go to it
        ),
        (
            [(0.9, "############.."), (0.8, "...###########"), (0.7, "..############")],
            {2: (TWIN, 1)},  # too much like both (10 of 14, 11 of 12): it goes to the one it is more like
        ),
    ],
)
def test_who_stays_of_twins(rows, gone):
    assert went(dogs(*rows), part_of=None) == gone


def test_names_decide_between_equal_masks():
    assert went(frame((*DOG, 0.9, "####"), (*CAT, 0.9, "####"))) == {0: (OTHER_CLASS, 1)}


def test_without_prompts_all_are_of_one_prompt():
    found = replace(frame((*DOG, 0.9, "########.."), (*PUPPY, 0.8, ".########.")), prompts=None)
    assert went(found) == {1: (TWIN, 0)}


PART, AROUND = "part_of_another", "around_others"


@pytest.mark.parametrize(
    ("rows", "gone"),
    [
        ([(0.9, "##########"), (0.5, "..####....")], {1: (PART, 0)}),  # a part that is less sure
        ([(0.5, "##########"), (0.9, "..###.....")], {1: (PART, 0)}),  # a head, surer than its person
        ([(0.5, "##########"), (0.9, "..#####...")], {0: (AROUND, 1)}),  # a loose outline of a surer dog
        ([(0.9, "##########"), (0.5, "..#####...")], {1: (PART, 0)}),  # the same, the larger is surer
        (
            [(0.5, "##########"), (0.9, "###......."), (0.8, "....######")],
            {0: (AROUND, 2)},  # a group of two surer dogs; the larger of them is named
        ),
        (
            [(0.8, "##########"), (0.9, "####......"), (0.5, "....####..")],
            {1: (PART, 0), 2: (PART, 0)},  # the surer one fills too little of it, the other has no say
        ),
        (
            [(0.5, "##########"), (0.9, "######...."), (0.3, "........##")],
            {0: (AROUND, 1)},  # with the group gone, what was less sure than it stays
        ),
        ([(0.9, "#############.."), (0.5, "....##########.")], {1: (PART, 0)}),  # 9 of 10 inside
        ([(0.9, "############..."), (0.5, "....##########.")], {}),  # 8 of 10 inside
        (
            [(0.9, "####################"), (0.5, "..########.........."), (0.4, "...##...............")],
            {1: (PART, 0), 2: (PART, 0)},  # A in B in C: all name who stays in the end
        ),
        (
            [(0.5, "##########"), (0.9, "####......"), (0.8, "#.........")],
            {1: (PART, 0), 2: (PART, 0)},  # 4 of 10 fill too little; the part of a part does not count twice
        ),
    ],
)
def test_parts(rows, gone):
    assert went(dogs(*rows), same_class_iou=None) == gone


def test_a_part_of_another_class_is_no_part():
    assert went(frame((*DOG, 0.9, "##########"), (*CAT, 0.5, "..####...."))) == {}


def test_a_part_found_by_another_prompt_is_a_part():
    assert went(frame((*DOG, 0.9, "##########"), (*PUPPY, 0.5, "..####...."))) == {1: (PART, 0)}


def test_a_twin_of_a_part_names_the_whole():
    found = dogs((0.5, "####################"), (0.9, "..#####............."), (0.8, "...####............."))
    assert went(found) == {1: (PART, 0), 2: (TWIN, 0)}


ALIKE = frame((*DOG, 0.9, "########.."), (*DOG, 0.8, ".########."))
TWO_PROMPTS = frame((*DOG, 0.9, "########.."), (*PUPPY, 0.8, ".########."))
TWO_CLASSES = frame((*DOG, 0.9, "########.."), (*CAT, 0.8, "########.."))
NESTED = dogs((0.9, "##########"), (0.5, "..####...."))
GROUP = dogs((0.5, "##########"), (0.9, "######...."))


@pytest.mark.parametrize("off", [None, 1.0])
@pytest.mark.parametrize(
    ("rule", "found", "otherwise"),
    [
        ("same_class_iou", ALIKE, {}),
        ("other_prompt_iou", TWO_PROMPTS, {}),
        ("other_class_iou", TWO_CLASSES, {}),
        ("part_of", NESTED, {}),
        ("filled", GROUP, {1: (PART, 0)}),  # without it the larger always stays
    ],
)
def test_a_rule_is_switched_off(rule, found, otherwise, off):
    assert went(found) != otherwise
    assert went(found, **{rule: off}) == otherwise


@pytest.mark.parametrize(
    ("rows", "sources", "gone"),
    [
        (
            [(0.9, "########"), (0.1, "########")],
            ("yolox", "human"),
            {0: ("persons_twin", 1)},
        ),  # a person's word is surer
        ([(0.9, "########"), (0.1, "########")], ("human", "human"), {}),  # of two people's words none goes
        (
            [(0.9, "########"), (0.1, "..##....")],
            ("yolox", "human"),
            {0: (AROUND, 1)},
        ),  # even if it fills little
        (
            [(0.9, "..##...."), (0.1, "########")],
            ("yolox", "human"),
            {0: (PART, 1)},
        ),  # a part of a person's row
        ([(0.9, "########"), (0.1, "..##....")], ("human", "human"), {}),  # both are meant
    ],
)
def test_a_persons_row_never_goes(rows, sources, gone):
    assert went(dogs(*rows, source=sources)) == gone


def test_rows_without_a_mask_are_left_alone():
    seen = dogs((0.9, "########"), (0.8, "########"), (0.7, "########"))
    assert went(replace(seen, masks=(None, *seen.masks[1:]))) == {2: (TWIN, 1)}
    assert went(replace(seen, masks=None)) == {}
    assert went(seen.take([])) == {}


def test_without_scores_the_largest_is_the_surest():
    assert went(replace(ALIKE, scores=None, masks=ALIKE.masks[::-1])) == {1: (TWIN, 0)}


def test_empty_masks_are_nobodys_twin():
    found = replace(ALIKE, masks=(masks.encode(drawn("." * 10)),) * 2)
    assert went(found) == {}


RING = (
    "#######",
    "#.....#",
    "#.....#",
    "#######",
)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (RING, RING),  # a ring stays a ring: its hole is not small
        (
            ("#######.", "#######.", "#######.", "........", "#......."),
            ("#######.", "#######.", "#######.", "........", "........"),  # a speck goes
        ),
        (
            ("########", "###.####", "########", "########"),
            ("########", "########", "########", "########"),  # a pinhole is filled
        ),
        (
            ("########", "##...###", "########", "########"),
            ("########", "##...###", "########", "########"),  # a hole of 3 stays
        ),
        (
            ("########", "########", "........", ".....###"),
            ("########", "########", "........", ".....###"),  # a second part of 3 stays
        ),
        (
            ("#...", "....", "...#"),
            ("#...", "....", "...#"),
        ),  # two specks and nothing else: a share of 1/2 each
    ],
)
def test_specks_and_pinholes(before, after):
    code = masks.encode(drawn(*before))
    found = instances([masks.box(code, drawn(*before).shape)], size_hw=drawn(*before).shape, masks=(code,))
    rules = Rules(speck_px=3, speck_fraction=0.2)
    change = dedupe(found, rules)
    assert (masks.decode(change.applied_to(found).masks[0], found.size_hw) == drawn(*after)).all()
    assert ("masks" in change.columns) == (before != after)
    assert dedupe(found, Rules(speck_px=0, speck_fraction=0.2)).columns == {}
    assert dedupe(found, Rules(speck_px=3, speck_fraction=0)).columns == {}
    assert dedupe(replace(found, source=("human",)), rules).columns == {}


def test_a_mask_is_cleaned_before_it_is_compared():
    body, specked = (
        ("########", "########", "........", "........"),
        ("########", "########", "........", "#.#.#.#."),
    )
    codes = tuple(masks.encode(drawn(*mask)) for mask in (body, specked))
    found = instances(
        [(0, 0, 8, 2), (0, 0, 8, 4)], size_hw=(4, 8), names=("dog", "cat"), scores=[0.9, 0.8], masks=codes
    )
    assert dedupe(found, Rules(speck_px=2, speck_fraction=0.2)).drops == (Drop(1, OTHER_CLASS, 0),)
    assert dedupe(found, Rules(**AS_DRAWN)).drops == ()


@pytest.mark.parametrize("wrong", [{"part_of": 0}, {"same_class_iou": 1.1}, {"speck_px": -1}, {"same_clas_iou": 0.5}])
def test_rules_that_mean_nothing_are_refused(wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        Rules(**wrong)


def test_every_rule_says_why():
    assert all(len(field.description or "") > 40 for field in Rules.model_fields.values())


bars = st.tuples(st.integers(0, 15), st.integers(1, 16)).map(
    lambda span: "".join("#" if span[0] <= x < span[0] + span[1] else "." for x in range(16))
)
rows = st.tuples(
    st.sampled_from([DOG, PUPPY, CAT]),
    st.sampled_from([0.2, 0.5, 0.9]),
    bars,
    st.sampled_from(["yolox", "human"]),
)
frames = st.lists(rows, min_size=1, max_size=9).map(
    lambda given: frame(*((*kind, score, bar) for kind, score, bar, _ in given), source=tuple(row[3] for row in given))
)


def described(found, row):
    """All that tells a row from others."""
    columns = (found.names, found.prompts, found.scores.tolist(), found.masks, found.source)
    return tuple(column[row] for column in columns)


def outcome(found, order):
    shuffled = found.take(order)
    change = dedupe(shuffled, Rules(**AS_DRAWN))
    return sorted((described(shuffled, d.row), d.reason, described(shuffled, d.survivor)) for d in change.drops)


@given(frames, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(found, random):
    order = random.sample(range(len(found)), len(found))
    assert outcome(found, order) == outcome(found, range(len(found)))


@given(frames)
def test_once_is_enough(found):
    left = dedupe(found, Rules(**AS_DRAWN)).applied_to(found)
    assert went(left) == {}
