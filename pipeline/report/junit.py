"""What a gate says, as JUnit's XML: a test case a rule. Every CI reads it."""

import re
from xml.etree import ElementTree as ET

from pipeline.compare.gate import Judgement, Verdict
from pipeline.report.comparing import listed, title_of
from pipeline.report.summary import in_one_line

NO_XML = re.compile("[\ud800-\udfff\ufffe\uffff]")
"""What `in_one_line` leaves, and XML 1.0 cannot say."""


def junit(judged: Judgement) -> str:
    """The judgement as an XML document; no clock is in it."""
    counts = {"tests": str(len(judged.verdicts)), "failures": str(len(judged.failed)), "errors": "0"}
    root = ET.Element("testsuites", {"name": "masklet gate", **counts})
    suite = ET.SubElement(root, "testsuite", {"name": _text(judged.run), **counts, "skipped": "0"})
    for one in judged.verdicts:
        _add_case(suite, one)
    ET.SubElement(suite, "system-out").text = _text(title_of(judged))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=False) + "\n"


def _add_case(suite: ET.Element, one: Verdict) -> None:
    case = ET.SubElement(suite, "testcase", {"classname": "masklet.gate", "name": one.rule})
    if not one.ok:
        lines = [_text(words) for words in listed(one)]
        failure = ET.SubElement(case, "failure", {"message": lines[0], "type": "CheckFailed"})
        failure.text = "\n".join(lines)


def _text(words: str) -> str:
    return NO_XML.sub("?", in_one_line(words))
