"""What differs between two runs."""

import json

import pytest
from two_runs import film, picture, run

from pipeline.compare import diff as differing
from pipeline.compare.diff import LISTED, all_differences, diff, object_differences
from pipeline.compare.objects import objects
from pipeline.errors import ConfigError

LEFT, RIGHT, WIDER = "1 1 11 11", "30 1 40 11", "1 1 12 11"  # WIDER overlaps LEFT by 100 / 110


def told(one):
    """A difference in a line that a reader checks."""
    uids = [uid.partition("/")[2] for uid in (one.uid_was, one.uid)]
    return f"{one.what}: {' -> '.join(uid or '-' for uid in uids)}"


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        ([f"dog {LEFT}"], [f"dog {LEFT}"], []),
        ([], [f"dog {LEFT}"], ["added object: - -> dog/0"]),
        ([f"dog {LEFT}"], [], ["removed object: dog/0 -> -"]),
        ([f"dog {LEFT}"], [f"dog {RIGHT}"], ["removed object: dog/0 -> -", "added object: - -> dog/0"]),
        ([f"dog {LEFT}"], [f"cat {LEFT}"], ["reclassified: dog/0 -> cat/0"]),
        ([f"dog {LEFT}"], ["dog 3 1 13 11"], ["moved: dog/0 -> dog/0"]),
        ([f"dog {LEFT}"], [f"dog {WIDER}"], ["reshaped: dog/0 -> dog/0"]),
        ([f"dog {LEFT} 0.8"], [f"dog {LEFT} 0.8001"], ["rescored: dog/0 -> dog/0"]),
        ([f"dog {LEFT} 0.8"], [f"dog {WIDER} 0.7"], ["reshaped: dog/0 -> dog/0"]),  # told once, the scores with it
        ([f"dog {LEFT} 0.8"], ["cat 2 1 12 11 0.7"], ["reclassified: dog/0 -> cat/0"]),
        ([f"dog {RIGHT}"], [f"dog {LEFT}", f"dog {RIGHT}"], ["added object: - -> dog/0"]),  # the other is dog/1 now
    ],
)
def test_what_became_of_objects(was, now, said):
    sides = (objects(picture("a", *words)) for words in (was, now))
    assert [told(one) for one in object_differences("a", *sides)] == said


def test_what_is_told_of_an_object():
    sides = (objects(picture("a", words)) for words in (f"dog {LEFT} 0.8", f"cat {WIDER} 0.7"))
    (one,) = object_differences("a", *sides)
    assert one.to_json() == {
        "what": "reclassified",
        "picture": "a",
        "uid_was": one.uid_was,
        "uid": one.uid,
        "class_was": "dog",
        "class": "cat",
        "iou": 0.9091,
        "score_was": 0.8,
        "score": 0.7,
    }


@pytest.mark.parametrize(("moved_iou", "what"), [(0.9, "reshaped"), (0.95, "moved"), (1.0, "moved")])
def test_what_moved_means_is_said(moved_iou, what):
    was, now = run(picture("a", f"dog {LEFT}"), folder="was"), run(picture("a", f"dog {WIDER}"), folder="now")
    assert [one.what for one in all_differences(was, now, moved_iou)] == [what]
    assert diff(was, now, moved_iou).objects == {what: 1}


def test_the_same_run_twice():
    one = run(picture("a", f"dog {LEFT}"), film("f", {1: f"dog {LEFT}"}, {}), aside={"duplicate": 1})
    out = diff(one, one)
    assert out.nothing
    assert (out.pictures["both"], out.films["both"], out.examples) == (1, 1, {})


def test_of_what_is_alike_nothing_is_opened(monkeypatch):
    same = picture("same", f"dog {LEFT}")
    was, now = run(same, picture("a", f"dog {LEFT}"), folder="was"), run(same, picture("a"), folder="now")
    opened = []
    monkeypatch.setattr(differing, "objects_of", lambda one, store: opened.append(one.whole.name) or [])
    diff(was, now)
    assert opened == ["a", "a"]


def test_pictures():
    was = run(
        picture("gone", f"dog {LEFT}", f"cat {RIGHT}"),
        picture("old", f"dog {LEFT}"),
        picture("same", f"dog {LEFT}"),
        picture("edited", f"dog {LEFT}"),
        folder="was",
    )
    now = run(
        picture("come", f"cat {LEFT}"),
        picture("renamed", f"dog {LEFT}", content="old"),
        picture("same", f"cat {LEFT}"),
        picture("edited", f"cat {LEFT}", content="other bytes"),
        folder="now",
    )
    out = diff(was, now)
    assert out.pictures == {"both": 1, "relabelled": 1, "renamed": 1, "changed": 1, "added": 1, "removed": 1}
    assert out.objects == {"reclassified": 1}  # of pictures that both have; the others' are told by class
    assert out.classes == {
        "cat": {"pictures gone": 1, "new pictures": 2, "from other": 1},
        "dog": {"pictures gone": 2, "to other": 1},
    }
    whole = {what: some[0].to_json() for what, some in out.examples.items() if what != "reclassified"}
    assert whole == {
        "added": {"what": "added", "picture": "come", "classes": {"cat": 1}},
        "removed": {"what": "removed", "picture": "gone", "classes_was": {"cat": 1, "dog": 1}},
        "changed": {"what": "changed", "picture": "edited", "classes_was": {"dog": 1}, "classes": {"cat": 1}},
        "renamed": {"what": "renamed", "picture": "renamed", "was": "old"},
    }


def test_a_picture_that_is_renamed_is_compared():
    was, now = picture("old", f"dog {LEFT}"), picture("new", f"cat {LEFT}", content="old")
    out = diff(run(was, folder="was"), run(now, folder="now"))
    assert (out.pictures, out.objects) == ({"renamed": 1, "relabelled": 1}, {"reclassified": 1})


def test_a_film_is_compared_by_tracks():
    was = film("f", {1: f"dog {LEFT}", 2: f"cat {RIGHT}"}, {1: f"dog {LEFT}"})
    now = film("f", {5: f"dog {LEFT}"}, {5: "dog 4 1 14 11"}, {})
    out = diff(run(was, folder="was"), run(now, folder="now"))
    assert (out.films["both"], out.objects) == (1, {"moved": 1, "removed object": 1})
    assert [told(one) for one in out.examples["moved"]] == ["moved: dog/1 -> dog/5"]


def test_records_that_differ_in_what_is_no_object():
    was, now = (run(picture("a", f"dog {LEFT}", prompts=[word]), folder=word) for word in ("a", "b"))
    out = diff(was, now)
    assert [one.to_json() for one in out.examples["otherwise"]] == [{"what": "otherwise", "picture": "a"}]
    assert not out.nothing


def test_the_worst_are_kept_as_examples():
    was = [picture(f"{x:02}", "dog 1 1 21 11") for x in range(20)]
    now = [picture(f"{x:02}", f"dog {1 + x % 7} 1 {21 + x % 7} 11") for x in range(20)]
    out = diff(run(*was, folder="was"), run(*now, folder="now"))
    ious = [one.iou for one in out.examples["moved"]]
    assert (len(ious), ious, ious[0]) == (LISTED, sorted(ious), round(14 / 26, 4))
    assert out.objects["moved"] == 14  # by two or more pixels of twenty


def test_drops_files_and_totals_of_both():
    data = {"coco": {"by_class": {"dog": 3}}}, {"yolo_seg": {"by_class": {}}, "coco": {"by_class": {"cat": 1}}}
    was = run(folder="was", drops={"select": {"too_small": 2}}, aside={"empty_file": 1}, datasets=data[0])
    now = run(folder="now", drops={"select": {"too_small": 2}, "dedupe": {"x": 1}}, datasets=data[1])
    out = diff(was, now)
    assert out.drops == {"dedupe: x": (0, 1), "select: too_small": (2, 2)}
    assert out.aside == {"empty_file": (1, 0)}
    assert out.classes == {"cat": {"is": 1}, "dog": {"was": 3}}
    assert not out.nothing
    assert diff(was, was).nothing


SETTINGS = [
    ("a: 1", "a: 1", {}),
    ("a: 1", "a: 2", {"a": (1, 2)}),
    ("a: {b: 1, c: 2}", "a: {b: 1}", {"a.c": (2, None)}),
    ("a: {}", "a: {b: [1]}", {"a": ({}, None), "a.b": (None, [1])}),
    ("{a: {b: 1}, c: 1}", "{c: 1, a: {b: 1}}", {}),  # order is nothing
    ("o: {dog: {threshold: 0.2}}", "o: {dog: {threshold: 0.3}}", {"o.dog.threshold": (0.2, 0.3)}),
]


@pytest.mark.parametrize(("was", "now", "said"), SETTINGS)
def test_settings(was, now, said):
    out = diff(run(folder="was", config=was), run(folder="now", config=now))
    assert (out.settings, out.nothing) == (said, not said)


def test_a_config_that_cannot_be_read():
    with pytest.raises(ConfigError, match=r"now/config.yaml:1: not YAML"):
        diff(run(folder="was"), run(folder="now", config="a: ["))


def test_it_is_plain_values():
    was, now = run(picture("a", f"dog {LEFT}"), folder="was", config="a: 1"), run(folder="now")
    said = json.loads(json.dumps(diff(was, now).to_json()))
    assert said == {
        "version": 1,
        "nothing": False,
        "was": "was",
        "now": "now",
        "pictures": {"removed": 1},
        "films": {},
        "objects": {},
        "classes": {"dog": {"pictures gone": 1}},
        "drops": {},
        "aside": {},
        "settings": {"a": [1, None]},
        "examples": {"removed": [{"what": "removed", "picture": "a", "classes_was": {"dog": 1}}]},
    }
