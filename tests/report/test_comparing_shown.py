"""What compares two runs, for people, for a CI's page, and for a CI's reader of tests."""

from collections import Counter
from xml.etree import ElementTree as ET

import pytest

from pipeline.compare.diff import Diff, Difference
from pipeline.compare.gate import Judgement, Verdict
from pipeline.report.comparing import (
    FAILING,
    escaped,
    line_of,
    markdown_diff,
    markdown_gate,
    show_diff,
    show_difference,
    show_gate,
)
from pipeline.report.junit import junit


def words(text):
    return [" ".join(line.split()) for line in text.splitlines()]


def differing():
    """Some of everything."""
    out = Diff("was", "now", Counter(both=9, relabelled=2, added=1), Counter(both=1))
    out.add(Difference("added", "new.jpg", classes={"cat": 2}))
    out.add(Difference("moved", "a.jpg", "", "c1/dog/0", "c1/dog/1", "dog", "dog", 0.62, 0.9, 0.8))
    out.classes["dog"].update({"was": 3, "is": 3})
    out.drops = {"select: too_small": (1, 2)}
    out.settings = {"select.threshold": (0.3, 0.4), "ontology.cat": (None, {"prompts": ["x" * 99]})}
    return out


SHOWN = """\
was -> now

in the runs
                                          pictures  films
in both, name and content                        9      1
of them and of the renamed: other labels         2      0
added                                            1      0

objects, in what both have
moved  1

objects by class ('was' and 'is': in the datasets)
     was  new pictures  is  moved
cat    0             2   0      0
dog    3             0   3      1

dropped
                   was  is
select: too_small    1   2

settings
select.threshold  0.3  0.4
ontology.cat      -    {"prompts": ["xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...

added
new.jpg: 2 cat

moved
a.jpg: dog/0, IoU 0.62, score 0.90 -> 0.80"""


def test_a_diff_as_tables():
    assert show_diff(differing()) == SHOWN


def test_a_diff_as_markdown():
    text = markdown_diff(differing())
    assert text.startswith(
        "### masklet diff: was → now\n\n**in the runs**\n\n|  | pictures | films |\n| --- | ---: | ---: |\n"
    )
    assert "| of them and of the renamed: other labels | 2 | 0 |\n" in text
    assert "\n**added**\n\n- new.jpg: 2 cat\n" in text
    assert text.endswith("\n- a.jpg: dog/0, IoU 0.62, score 0.90 -\\> 0.80\n")


def test_nothing_differs():
    same = Diff("was", "now", Counter(both=9), drops={"select: too_small": (2, 2)})
    assert show_diff(same) == "was -> now\nnothing differs"
    assert markdown_diff(same) == "### masklet diff: was → now\n\nnothing differs\n"


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (Difference("removed", "a"), "a"),
        (Difference("removed", "a", classes_was={"cat": 1, "dog": 2}), "a: 1 cat, 2 dog"),
        (Difference("renamed", "b", "a"), "a -> b"),
        (Difference("changed", "a", classes={"dog": 1}), "a: no object -> 1 dog"),
        (Difference("added object", "a", uid="c/dog/0", class_="dog", score=0.5), "a: dog/0, score 0.50"),
        (Difference("added object", "a", uid="c/and/or/0", class_="and/or"), "a: and/or/0"),
        (Difference("reclassified", "a", "", "c/dog/0", "c/cat/1", "dog", "cat", 1.0), "a: dog/0 became cat"),
        (Difference("rescored", "a", "", "c/d/0", "c/d/0", "d", "d", 1.0, 0.5, 0.9), "a: d/0, score 0.50 -> 0.90"),
        (Difference("otherwise", "a"), "a: the records differ in words, boxes or order, the objects do not"),
    ],
)  # fmt: skip
def test_a_difference_in_a_line(one, said):
    assert line_of(one) == said


def test_a_name_begins_no_line():
    assert show_difference(Difference("removed", "a\nb")) == "removed: a\\nb"


LONG = tuple(f"class{number}: gone" for number in range(FAILING + 2))
JUDGED = Judgement(
    "runs/now",
    "runs/was",
    (
        Verdict("empty_rate", 0.25, 0.125, True),
        Verdict("score_drift", 0.1, None, True),
        Verdict("min_count", {"dog": 3, "a|b": 1}, 0, False, ("a|b: 0 objects <b>", "dog: 1 object")),
        Verdict("max_count", {"dog": 3}, 1234567, False, LONG),
    ),
)


def test_a_judgement_as_a_table():
    assert words(show_gate(JUDGED))[:8] == [
        "gate: runs/now against runs/was: 2 of 4 rules failed",
        "rule limit found",
        "ok empty_rate 0.25 0.125",
        "ok score_drift 0.1 nothing to judge",
        "FAILED min_count dog 3, a|b 1 0",
        "FAILED max_count dog 3 1234567",
        "",
        "min_count: a|b: 0 objects <b>",
    ]
    assert words(show_gate(JUDGED))[-1] == "max_count: and 2 more; --json lists all"


def test_a_judgement_as_markdown():
    lines = markdown_gate(JUDGED).splitlines()
    assert lines[0] == "### ❌ masklet gate: runs/now against runs/was: 2 of 4 rules failed"
    assert r"- **min_count**: a\|b: 0 objects \<b\>" in lines
    assert r"| min\_count | dog 3, a\|b 1 | 0 | FAILED |" in lines
    fine = Judgement("now", None, JUDGED.verdicts[:1])
    assert markdown_gate(fine).splitlines()[0] == "### ✅ masklet gate: now: 1 rule passed"


def test_a_judgement_as_junit():
    """As a reader of JUnit finds it: suites, a suite, cases, failures with a message and all of it as text."""
    root = ET.fromstring(junit(JUDGED))
    (suite,) = root
    assert (root.tag, suite.tag, suite.get("name")) == ("testsuites", "testsuite", "runs/now")
    assert [suite.get(name) for name in ("tests", "failures", "errors", "skipped")] == ["4", "2", "0", "0"]
    cases = [(case.get("classname"), case.get("name"), len(case)) for case in suite.findall("testcase")]
    assert cases == [
        ("masklet.gate", "empty_rate", 0),
        ("masklet.gate", "score_drift", 0),
        ("masklet.gate", "min_count", 1),
        ("masklet.gate", "max_count", 1),
    ]
    failure = suite.find("testcase[@name='min_count']/failure")
    assert (failure.get("message"), failure.text) == ("a|b: 0 objects <b>", "a|b: 0 objects <b>\ndog: 1 object")


@pytest.mark.parametrize("name", ['"<&>"', "a\x00b\x1b[0m", "狗 🐕", "\udcff.jpg", "￾￿", "a\nb", "]]>"])
def test_any_name_fits_into_xml_and_markdown(name):
    judged = Judgement(name, None, (Verdict("vanished", 0, 1, False, (name,)),))
    root = ET.fromstring(junit(judged).encode())
    assert root.find(".//failure").get("message")
    assert len(markdown_gate(judged).splitlines()) == 7


@pytest.mark.parametrize(("text", "said"), [("a_b", r"a\_b"), ("<i>", r"\<i\>"), ("a|b", r"a\|b"), ("`x`", r"\`x\`")])
def test_markdown_shows_a_text_as_it_is(text, said):
    assert escaped(text) == said
