"""Lines of people's decisions: what is read, what is refused and how, which decide in the end."""

import json
import random
from pathlib import Path

import pytest
from drawing import SIZE_HW, square

from pipeline.corrections import Correction, Corrections, digest
from pipeline.errors import ConfigError

A, B = "a" * 32, "b" * 32
LEFT, RIGHT, MIDDLE = (1, 1, 9, 9), (20, 1, 28, 9), (5, 1, 24, 9)


def line(do, box_was=LEFT, picture=A, **said):
    """A line about the dog on the left, unless told otherwise."""
    about = {} if do == "add" else {"class_was": "dog", "box_was": box_was}
    return {"version": 1, "picture": picture, "do": do, **about, **said}


def written(*lines, name="corrections/a.jsonl"):
    """The folder, with a file of these lines."""
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in lines))
    return Corrections([str(path.parent)])


def said(corrections, picture=A):
    """What decides about a picture, in short."""
    lines = corrections.of(picture, SIZE_HW)
    return [" ".join(filter(None, [one.do, one.to, one.by, "" if one.box_was is None else "left"])) for one in lines]


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("{", "not JSON: "),
        ("[1]", "want a JSON object, got list"),
        (line("acept"), "do: want 'accept', 'reject', 'relabel', 'add', 'mask', 'box' or 'points' (got 'acept')"),
        (line("acept"), "; did you mean accept?"),
        (line("accept", version=2), "version: want 1 (got 2)"),
        ({"version": 1, "do": "accept", "uid": "x"}, "picture: missing"),
        (line("relabel"), "relabel needs `class`"),
        (line("relabel", clas="cat"), "clas: unknown key; did you mean class?"),
        (line("mask"), "mask needs `mask`"),
        (line("points"), "points needs `points`"),
        (line("points", points=[[1, 1, 2]]), "points.0.2: want 1 or -1 (got 2)"),
        (line("box", box=[3, 3, 3, 9]), "want boxes [x0, y0, x1, y1] with x0 < x1 and y0 < y1"),
        (line("mask", mask="\u00e4"), "mask: not COCO's compressed run-length code"),
        (line("add", **{"class": "dog"}), "add needs `mask`, `box` or `points`"),
        (line("accept", box_was=None), "accept needs `box_was` or `uid`: which row is meant"),
        (line("box", box=[float("nan"), 0, 1, 1]), "not JSON"),
    ],
)
def test_a_bad_line_is_named(bad, why):
    with pytest.raises(ConfigError) as refused:
        written(line("accept"), "", bad, line("reject")).lines  # noqa: B018 - looking reads
    (problem,) = refused.value.problems
    assert problem.startswith("corrections/a.jsonl line 3: ")
    assert why in problem
    assert refused.value.exit_code == 2


def test_every_bad_line_is_told_at_once():
    written("{", line("accept"), "}", name="corrections/b.jsonl")
    with pytest.raises(ConfigError) as refused:
        written("]").lines  # noqa: B018
    assert [problem.partition(":")[0] for problem in refused.value.problems] == [
        "corrections/a.jsonl line 1",
        "corrections/b.jsonl line 1",
        "corrections/b.jsonl line 3",
    ]


@pytest.mark.parametrize(
    ("one", "mends", "why"),
    [
        (line("relabel", **{"class": "catt"}), True, "class: 'catt' is not in the ontology; did you mean cat?"),
        (line("points", points=[[1, 1, 1]]), False, "points: the segmenter plain cannot be asked with clicks; give a"),
        (line("mask", mask="22", track=1), True, "mask: an object of a film can be accepted, rejected or relabelled"),
        (line("add", box=LEFT, frame=3, **{"class": "dog"}), True, "add: an object of a film can be accepted, reje"),
    ],
)
def test_a_line_that_means_nothing_in_a_run_is_named(one, mends, why):
    with pytest.raises(ConfigError, match=r"corrections/a\.jsonl line 1: ") as refused:
        written(one).check(("dog", "cat"), "plain", mends)
    assert why in str(refused.value)


def test_what_can_be_meant_is_let_pass():
    written(line("relabel", **{"class": "cat"}), line("reject", track=1), line("mask", mask="22")).check(
        ("cat",), "plain", mends=False
    )


def test_a_path_that_is_not_there():
    with pytest.raises(ConfigError, match="corrections: nowhere: no such file or folder"):
        Corrections(["nowhere"]).lines  # noqa: B018


def test_what_cannot_be_read_is_named():
    corrections = written(line("accept"))
    Path("corrections/b.jsonl").mkdir()
    with pytest.raises(ConfigError, match=r"^corrections: corrections/b.jsonl: cannot be read: Is a directory$"):
        corrections.lines  # noqa: B018


def test_what_a_browser_numbers_comes_later():
    names = ["a-1", "a-1 (1)", "a-1 (2)", "a-1 (10)", "a-2", "a-10", "a-10(1)", "b"]
    for name in reversed(names):
        corrections = written(line("accept"), name=f"corrections/{name}.jsonl")
    assert [one.where.removesuffix(".jsonl line 1") for one in corrections.lines] == [f"corrections/{n}" for n in names]


def test_files_come_by_name_and_lines_in_order():
    written(line("relabel", **{"class": "cat"}), name="corrections/b.jsonl")
    corrections = written(line("accept"), line("reject", picture=B), "")
    Path("corrections/notes.txt").write_text("no lines of mine")
    assert [one.where for one in corrections.lines] == [
        "corrections/a.jsonl line 1",
        "corrections/a.jsonl line 2",
        "corrections/b.jsonl line 1",
    ]
    assert said(corrections) == ["accept left", "relabel cat left"]
    assert said(corrections, B) == ["reject left"]
    assert said(corrections, "c" * 32) == []


CAT, BIRD = {"class": "cat"}, {"class": "bird"}


@pytest.mark.parametrize(
    ("lines", "decides"),
    [
        ([line("accept"), line("reject")], ["reject left"]),
        ([line("reject"), line("accept")], ["accept left"]),
        ([line("relabel", **CAT), line("relabel", **BIRD)], ["relabel bird left"]),
        ([line("relabel", **CAT), line("points", points=[[1, 1, 1]])], ["relabel cat left", "points left"]),
        ([line("points", points=[[1, 1, 1]]), line("mask", mask="22")], ["mask left"]),
        ([line("box", box=RIGHT), line("points", points=[[1, 1, 1]])], ["box left", "points left"]),
        ([line("add", box=LEFT, **CAT), line("add", box=LEFT, **CAT)], ["add cat"]),  # saved twice
        ([line("add", box=LEFT, **CAT), line("add", box=RIGHT, **CAT)], ["add cat", "add cat"]),
        ([line("accept"), line("accept", box_was=RIGHT)], ["accept left", "accept left"]),  # of two objects
    ],
)
def test_a_later_line_wins_over_an_earlier_one_on_the_same_object(lines, decides):
    assert said(written(*lines)) == decides


def test_the_order_of_lines_about_different_objects_does_not_matter():
    lines = [
        line("accept"),
        line("reject", box_was=RIGHT),
        line("add", box=MIDDLE, **CAT),
        line("add", box=LEFT, **CAT),
    ]
    lines += [line("add", mask=square(3, 3, 5, 5).decode(), **CAT), line("relabel", by="anna", at="today", **CAT)]
    wanted = digest(written(*lines).of(A, SIZE_HW))
    for seed in range(20):
        random.Random(seed).shuffle(lines)
        plain = [{key: value for key, value in one.items() if key not in ("by", "at")} for one in lines]
        order = [one for one in lines if one["do"] in ("accept", "relabel")]
        same = digest(written(*plain).of(A, SIZE_HW)) == wanted
        assert same == (order[0]["do"] == "accept")  # these two touch: they stand as they were said


def test_where_a_line_points_is_looked_up_once(monkeypatch):
    """Not for each pair of lines: a picture may have a thousand."""
    corrections = written(*(line("accept", (x, 1, x + 1, 9)) for x in range(20)))
    asked, extent = [], Correction.extent
    monkeypatch.setattr(Correction, "extent", lambda one, size_hw: asked.append(one) or extent(one, size_hw))
    assert len(corrections.of(A, SIZE_HW)) == len(asked) == 20


def test_what_a_line_says_counts_and_who_said_it_does_not():
    first = Correction(**line("accept", by="anna", at="2026-11-26", name="x.png", where="a"))
    assert digest([first]) == digest([Correction(**line("accept"))])
    assert digest([first]) != digest([Correction(**line("reject"))])


def test_a_line_comes_back():
    one = Correction(**line("add", points=[[1.5, 2, 1], [3, 4, -1]], where="a.jsonl line 1", **CAT))
    again = written(one.to_line()).lines[0]
    assert again.meant() == one.meant()
    assert json.loads(one.to_line()) == {
        "version": 1,
        "picture": A,
        "do": "add",
        "class": "cat",
        "points": [[1.5, 2.0, 1], [3.0, 4.0, -1]],
    }
