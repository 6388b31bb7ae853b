"""What rules find in runs, whom they blame, and the limit itself, which is no fault."""

import json
from dataclasses import replace
from pathlib import Path

import filming
import pytest
from two_runs import film, picture, run

from pipeline.compare.gate import judge
from pipeline.compare.rules import Rules
from pipeline.export import written
from pipeline.ontology import Ontology

LEFT, RIGHT, DOWN = "1 1 11 11", "30 1 40 11", "1 20 11 30"
ASKED = ("dog", "cat", "bird")


def crowd(name, dogs, cats, **how):
    """A picture with so many dogs and cats, side by side."""
    dogs = [f"dog {x} 1 {x + 4} 5" for x in range(1, 1 + 5 * dogs, 5)]
    return picture(name, *dogs, *(f"cat {x} 20 {x + 4} 24" for x in range(1, 1 + 5 * cats, 5)), **how)


def judged(now, was=None, summary=None, asked=ASKED, **rules):
    """What the only rule says: its verdict."""
    this = run(*now, folder="now", **(summary or {}))
    before = None if was is None else run(*was, folder="was")
    (verdict,) = judge(this, before, Rules(**rules), asked).verdicts
    return verdict


WAS = [crowd("a", 6, 2), crowd("b", 4, 8), crowd("c", 10, 0)]  # 20 dogs, 10 cats
DOGS_GONE = [crowd("a", 0, 2), crowd("b", 2, 8), crowd("c", 10, 0)]  # 12 dogs, 10 cats


@pytest.mark.parametrize(
    ("rules", "now", "found", "passes", "said"),
    [
        ({"count_drop": 40}, DOGS_GONE, 40, True, []),
        ({"count_drop": 39.9}, DOGS_GONE, 40, False, ["dog: 20 -> 12 objects (-40.0 %), most in a (6 -> 0)"]),
        ({"count_drop": 0}, WAS, 0, True, []),
        ({"count_drop": 10}, [], 100, False, ["cat: 10 -> 0 objects (-100.0 %), most in b (8 -> 0)",
                                              "dog: 20 -> 0 objects (-100.0 %), most in c (10 -> 0)"]),
        ({"count_drop": 10, "count_from": 21}, [], None, True, []),  # too few to have a drift
        ({"count_rise": 10}, DOGS_GONE, 0, True, []),
        ({"count_rise": 10}, [*WAS, crowd("d", 3, 0)], 15, False,
         ["dog: 20 -> 23 objects (+15.0 %), most in d (0 -> 3)"]),
        ({"vanished": 0}, DOGS_GONE, 0, True, []),
        ({"vanished": 1}, [crowd("a", 6, 0)], 1, True, []),
        ({"vanished": 0}, [crowd("a", 6, 0)], 1, False, ["no object any more of cat (10 objects, most in b (8 -> 0))"]),
        ({"appeared": 0}, [*WAS, picture("d", f"bird {LEFT}")], 1, False,
         ["new: bird (1 object, most in d (0 -> 1))"]),
        ({"appeared": 1}, [*WAS, picture("d", f"bird {LEFT}")], 1, True, []),
        ({"pictures_drop": 33}, WAS[:2], 33.3333, False, ["1 of 3 pictures are gone, the first is c"]),
        ({"pictures_drop": 33.4}, WAS[:2], 33.3333, True, []),
        ({"pictures_drop": 0}, [crowd("renamed", 6, 2, content="a"), *WAS[1:]], 0, True, []),
        ({"pictures_drop": 0}, [crowd("a", 6, 2, content="other"), *WAS[1:]], 33.3333, False,
         ["1 of 3 pictures are gone, the first is a"]),
        ({"empty_rise": 0.33}, [crowd("c", 0, 0), *WAS[:2]], 0.3333, False,
         ["0.0% -> 33.3% of pictures have no object, as c (10 -> 0)"]),
        ({"empty_rise": 0.34}, [crowd("c", 0, 0), *WAS[:2]], 0.3333, True, []),
        ({"changed_objects": 0.2666}, DOGS_GONE, 0.2667, False,
         ["26.7% of 30 objects in pictures of both runs: 8 removed; most in a (6 of 8)"]),
        ({"changed_objects": 0.2667}, DOGS_GONE, 0.2667, True, []),
        ({"changed_objects": 0}, [*WAS, crowd("d", 9, 0)], 0, True, []),  # new pictures change no object
    ],
)  # fmt: skip
def test_rules_against_a_baseline(rules, now, found, passes, said):
    verdict = judged(now, WAS, **rules)
    assert (verdict.found, verdict.ok, list(verdict.failing)) == (found, passes, said)


@pytest.mark.parametrize(
    ("rules", "found", "passes", "said"),
    [
        ({"min_pictures": 3}, 3, True, []),
        ({"min_pictures": 4}, 3, False, ["3 pictures, of 5 files in the source"]),
        ({"empty_rate": 0.33}, 0.3333, False, ["1 of 3 pictures have no object, as b (no object)"]),
        ({"empty_rate": 0.34}, 0.3333, True, []),
        ({"min_count": {"dog": 8, "cat": 1}}, 1, True, []),
        ({"min_count": {"dog": 9, "cat": 2}}, 1, False,
         ["cat: 1 object, 2 are wanted", "dog: 8 objects, 9 are wanted"]),
        ({"min_count": {"bird": 1}}, 0, False, ["bird: 0 objects, 1 are wanted"]),
        ({"max_count": {"dog": 8}}, 8, True, []),
        ({"max_count": {"dog": 7}}, 8, False, ["dog: 8 objects, 7 are allowed, most in a (0 -> 6)"]),
        ({"quarantined": 3}, 3, True, []),
        ({"quarantined": 2}, 3, False,
         ["3 files were set aside (2 empty_file, 1 too_large); see `masklet status now --ledger`"]),
        ({"fidelity_min": 0.95}, 0.95, True, []),
        ({"fidelity_min": 0.96}, 0.95, False,
         ["yolo: IoU 0.9500 of what was read back with what was meant; worst is c1/dog/0 in a.jpg (0.950)"]),
        ({"fidelity_mean": 0.999}, 0.99, False,
         ["yolo: IoU 0.9900 of what was read back with what was meant; worst is c1/dog/0 in a.jpg (0.950)"]),
    ],
)  # fmt: skip
def test_rules_of_a_run_alone(rules, found, passes, said):
    good = {"min_iou": 1.0, "mean_iou": 1.0, "worst": []}
    poor = {"min_iou": 0.95, "mean_iou": 0.99, "worst": [["c1/dog/0", "a.jpg", 0.95, 80]]}
    summary = {
        "files": 5,
        "aside": {"duplicate": 7, "empty_file": 2, "too_large": 1},
        "datasets": {"coco": {"fidelity": good}, "yolo": {"fidelity": poor}},
    }
    verdict = judged([crowd("a", 6, 0), crowd("b", 0, 0), crowd("c", 2, 1)], None, summary, **rules)
    assert (verdict.found, verdict.ok, list(verdict.failing)) == (found, passes, said)


def said_of(name, count, score, quality):
    """A picture whose dogs all have one score and one quality."""
    rows = [f"dog {x} 1 {x + 4} 5 {score}" for x in range(1, 1 + 5 * count, 5)]
    return picture(name, *rows, quality=[quality] * count)


NAN = float("nan")


@pytest.mark.parametrize(
    ("rules", "now", "found", "passes", "said"),
    [
        ({"score_drift": 0.1}, (10, 0.8, (0.9, 0.9, 0.9)), 0.1, True, []),
        ({"score_drift": 0.1}, (10, 0.79, (0.9, 0.9, 0.9)), 0.11, False, ["dog: mean score 0.900 -> 0.790 (-0.110)"]),
        ({"score_drift": 0.05}, (10, 0.96, (0.9, 0.9, 0.9)), 0.06, False, ["dog: mean score 0.900 -> 0.960 (+0.060)"]),
        ({"score_drift": 0.1}, (9, 0.1, (0.9, 0.9, 0.9)), None, True, []),  # too few
        ({"quality_drift": 0.1}, (10, 0.1, (0.9, 0.8, 0.9)), 0.1, True, []),
        ({"quality_drift": 0.1}, (10, 0.9, (0.9, 0.7, 0.4)), 0.5, False,
         ["dog: mean quality (agreement) 0.900 -> 0.400 (-0.500)",
          "dog: mean quality (stability) 0.900 -> 0.700 (-0.200)"]),
        ({"quality_drift": 0.1}, (10, 0.9, (NAN, NAN, NAN)), None, True, []),  # another segmenter, which says nothing
    ],
)  # fmt: skip
def test_drifts(rules, now, found, passes, said):
    was = [said_of("a", 10, 0.9, (0.9, 0.9, 0.9))]
    verdict = judged([said_of("a", *now)], was, **rules)
    assert (verdict.found, verdict.ok, list(verdict.failing)) == (found, passes, said)


def test_a_class_that_is_not_looked_for_any_more_is_no_fault():
    now = [crowd("a", 0, 2), crowd("b", 0, 8), crowd("c", 0, 0)]
    for rule in ({"count_drop": 0}, {"vanished": 0}):
        assert not judged(now, WAS, **rule).ok
        assert judged(now, WAS, asked=("cat", "bird"), **rule).ok


def test_an_object_of_a_film_counts_once():
    frames = [{1: f"dog {LEFT}", 2: f"dog {RIGHT}"}, {1: f"dog {LEFT}"}, {1: f"dog {LEFT}"}]
    assert judged([film("f", *frames)], min_count={"dog": 2}).found == 2
    assert judged([film("f", {}, {})], empty_rate=0.5).found == 1
    change = judged(
        [film("f", frames[0], {1: f"dog {DOWN}"}, {1: f"dog {DOWN}"})], [film("f", *frames)], changed_objects=0
    )
    assert change.failing == ("66.7% of 3 objects in pictures of both runs: 1 added, 1 removed; most in f (2 of 3)",)


@pytest.mark.parametrize(
    ("unseen", "found", "failing"),
    [((), 1.0, ()), ((1, 2, 3), 0.75, ("J&F 0.750 over 1 pictures or films, lowest 0.750 of f.mkv",))],
)
def test_films_against_a_truth(unseen, found, failing):
    """Two objects: of one, three frames of six are missed."""
    path = filming.film_file(Path("f.mkv"), [filming.drawn(number) for number in range(6)])
    truth = filming.clip(path, "f.mkv", range(6))
    written(lambda: iter([truth]), Ontology.parse("dog, cat"), "youtube_vis", Path("truth"), "x")
    clip = replace(truth, found=filming.found(range(6), unseen=unseen))
    verdict = judged([clip], j_and_f=0.9, truth="truth")
    assert (verdict.found, verdict.failing) == (found, failing)


def test_of_a_run_without_pictures():
    for rules in ({"empty_rate": 0}, {"changed_objects": 0}, {"pictures_drop": 0}, {"empty_rise": 0}):
        assert judged([], [], **rules).ok


def test_the_worst_is_the_first_and_all_is_plain():
    now, was = run(*DOGS_GONE, folder="now"), run(*WAS, folder="was")
    said = judge(now, was, Rules(count_drop=10, vanished=0), ASKED)
    assert (said.ok, [one.rule for one in said.failed]) == (False, ["count_drop"])
    assert json.loads(json.dumps(said.to_json())) == {
        "version": 1,
        "ok": False,
        "run": "now",
        "baseline": "was",
        "verdicts": [
            {
                "rule": "count_drop",
                "limit": 10.0,
                "found": 40.0,
                "ok": False,
                "failing": ["dog: 20 -> 12 objects (-40.0 %), most in a (6 -> 0)"],
            },
            {"rule": "vanished", "limit": 0, "found": 0, "ok": True, "failing": []},
        ],
    }
