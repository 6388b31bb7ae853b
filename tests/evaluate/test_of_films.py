from dataclasses import asdict, replace

import orjson
import pytest
from small_films import film

from pipeline.errors import BadRecord
from pipeline.evaluate.of_films import evaluate_films
from pipeline.report.films import show_film_scores


def two_films():
    """A dog and a cat that are found but for one frame of the cat, and a dog that becomes another."""
    meant = [
        film({1: "AAAAAA", 2: "BBBBBB"}, {2: "cat"}, name="a.mp4"),
        film({1: "AAAAAA"}, name="b.mp4"),
        film({1: "A"}, name="gone.mp4"),
    ]
    found = {
        "a.mp4": film({4: "AAAAAA", 5: "BB BBB"}, {5: "cat"}, name="a.mp4"),
        "b.mp4": film({1: "AAA", 2: "   AAA", 3: "CCCCCC"}, {3: "cat"}, name="b.mp4"),
        "other.mp4": film({1: "A"}),
    }
    return meant, found


def test_films_objects_classes_and_all():
    scores = evaluate_films(*two_films())
    # J of the four frames between the first and the last: 4 of 4; 3 of 4; 2 of 4, by track 1 or by track 2
    assert [(one.film, one.number, one.name, one.figures["j"]) for one in scores.objects] == [
        ("a.mp4", 1, "dog", 1.0),
        ("a.mp4", 2, "cat", 0.75),
        ("b.mp4", 1, "dog", 0.5),
    ]
    assert {name: one["j_and_f"] for name, one in scores.per_film.items()} == {"a.mp4": 0.875, "b.mp4": 0.5}
    assert {name: one["j"] for name, one in scores.per_class.items()} == {"cat": 0.75, "dog": 0.75}
    assert (scores.over_all["j"], scores.over_all["f"], scores.over_all["objects_judged"]) == (0.75, 0.75, 3)
    assert scores.absent == ("gone.mp4",)


def test_identities_of_films_classes_and_all():
    scores = evaluate_films(*two_films())
    said = {name: (one["switches"], one["fragments"], one["false"]) for name, one in scores.per_film.items()}
    assert said == {"a.mp4": (0, 1, 0), "b.mp4": (1, 0, 1)}
    said = {name: (one["objects"], one["tracks"], one["idf1"]) for name, one in scores.per_class.items()}
    assert said["dog"] == (2, 3, 9 / 12)  # 6 masks and 3 of 6 keep their track, in both directions
    assert said["cat"] == (1, 2, pytest.approx(2 * 5 / (6 + 11), abs=1e-6))
    assert scores.over_all["idf1"] == pytest.approx(2 * (6 + 5 + 3) / (18 + 23), abs=1e-6)


def test_the_rules_decide_which_frames():
    meant, found = [film({1: "AAAAAA"})], {"f.mp4": film({1: "CAAAA "})}
    said = {rules: evaluate_films(meant, found, rules).over_all["j"] for rules in ("davis2017", "sav", "all")}
    assert said == {"davis2017": 1.0, "sav": 1.0, "all": pytest.approx(4 / 6, abs=1e-6)}


def test_the_pairing_decides_who_answers():
    meant, found = [film({1: "AAA"})], {"f.mp4": film({1: "CCC", 2: "AAA", 9: "aaa"}, {2: "cat"})}
    said = {pairing: evaluate_films(meant, found, "all", pairing) for pairing in ("ids", "class", "any")}
    assert {pairing: one.objects[0].track for pairing, one in said.items()} == {"ids": 1, "class": 9, "any": 2}
    assert {pairing: "idf1" in one.per_class["dog"] for pairing, one in said.items()} == {
        "ids": False,
        "class": True,
        "any": False,
    }


# what was found; frames of the truth that the run has not looked at, J and IDF1
LOOKED_AT = [
    (film({1: "AAAA"}), 2, 1.0, 1.0),  # the last two do not decode
    (film({1: "AAA"}, every=2), 3, 1.0, 1.0),  # takes 0, 2 and 4
    (film({1: "ACA"}, every=2), 3, 2 / 3, 2 / 3),
    (film({1: "AAAA  "}), 0, 4 / 6, 8 / 10),  # looked, and found nothing
    (film({1: "......"}), 0, 0, 0),
]


@pytest.mark.parametrize(("found", "absent", "j", "idf1"), LOOKED_AT)
def test_frames_that_the_run_has_not_looked_at_are_counted_and_no_misses(found, absent, j, idf1):
    scores = evaluate_films([film({1: "AAAAAA"})], {"f.mp4": found}, "all")
    assert (scores.frames, scores.frames_absent) == (6, absent)
    assert (scores.over_all["j"], scores.over_all["idf1"]) == pytest.approx((j, idf1), abs=1e-6)


NOTHING = [  # truth, found; J and IDF1
    ([], {}, None, None),
    ([film({1: "AAA"})], {}, None, None),
    ([film({})], {"f.mp4": film({})}, None, None),
    ([film({})], {"f.mp4": film({1: "AAA"})}, None, None),
    ([film({1: "..."})], {"f.mp4": film({1: "AAA"})}, 1.0, 0),
    ([film({1: "AA"})], {"f.mp4": film({1: "AA"})}, None, 1.0),  # no frame between the first and the last
    ([film({1: "AAA"})], {"f.mp4": film({1: "   "})}, 0.0, 0),
    ([film({1: "AAA"})], {"f.mp4": film({})}, None, None),  # a run that has looked at no frame
]


@pytest.mark.parametrize(("meant", "found", "j", "idf1"), NOTHING)
def test_nothing_there_is_no_crash(meant, found, j, idf1):
    scores = evaluate_films(meant, found)
    assert (scores.over_all["j"], scores.over_all["idf1"]) == (j, idf1)
    assert show_film_scores(scores)


def test_scores_are_plain():
    scores = asdict(evaluate_films(*two_films()))
    assert orjson.loads(orjson.dumps(scores))["over_all"]["j"] == 0.75


def test_a_film_is_judged_once():
    clip = film({1: "AAA"})
    with pytest.raises(BadRecord, match=r"f\.mp4: the truth has this film twice"):
        evaluate_films([clip, clip], {"f.mp4": clip})


SAID = """\
2 films against truth, tracks by class, J and F as DAVIS 2017: without the first and the last frame of a film
         J&F      J      F   IDF1   HOTA  objects  switches  fragments  lost  false
all    0.806  0.806  0.806  0.737  0.762        3         1          1     0      1
a.mp4  0.875  0.875  0.875  0.957  0.920        2         0          1     0      0
b.mp4  0.667  0.667  0.667  0.400  0.510        1         1          0     0      1

beside iou
            J&F  J&F iou   IDF1  IDF1 iou  switches  switches iou
all       0.806    0.500  0.737     0.727         1             0
a.mp4     0.875    0.500  0.957     0.667         0             0
b.mp4     0.667        -  0.400         -         1             -
gone.mp4      -        -      -     1.000         -             0

by class
       J&F      J      F   IDF1   HOTA  objects  switches  fragments  lost  false
cat  0.750  0.750  0.750  0.625  0.615        1         0          1     0      1
dog  0.833  0.833  0.833  0.818  0.884        2         1          0     0      0

the worst objects
             track      J      F
b.mp4 1 dog      1  0.667  0.667
a.mp4 2 cat      5  0.750  0.750
a.mp4 1 dog      4  1.000  1.000

1 of 12 frames of the truth are not in the run, and were not judged

1 films of the truth are not in the run, and were not judged

the cat is out of its bag
"""


def test_for_people():
    meant, found = two_films()
    found["b.mp4"] = film({1: "AAA", 2: "   AA", 3: "CCCCC"}, {3: "cat"}, name="b.mp4")
    other = {"a.mp4": film({4: "AAA"}, every=2, name="a.mp4"), "gone.mp4": film({1: "A"}, name="gone.mp4")}
    scores = replace(evaluate_films(meant, found), notes=("the cat is out of its bag",))
    assert show_film_scores(scores, {"iou": evaluate_films(meant, other)}) + "\n" == SAID


def test_without_classes_there_is_no_table_of_classes():
    scores = evaluate_films([film({1: "AA"}, {1: ""})], {"f.mp4": film({1: "AA"})}, "all", "any")
    said = show_film_scores(scores)
    assert said.startswith("1 films against truth, tracks whatever their class, J and F in every frame")
    assert "by class" not in said
