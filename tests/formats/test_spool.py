"""Lines that wait: their numbers are ranks of the pictures' names, in whatever order those come."""

import json
from itertools import permutations
from pathlib import Path

import pytest

from pipeline.formats.spool import Spool

PICTURES = {"a": ['"is": "a1"}', '"is": "a2"}'], "b": [], "c": ['"is": "c1, or, so"}'], "d": ['"is": "d1"}']}


def spooled(tmp_path, names):
    with Spool(tmp_path) as spool:
        for name in names:
            first, picture = spool.next
            lines = (f',\n{{"id": {own}, "image_id": {picture}, {s}' for own, s in enumerate(PICTURES[name], first))
            spool.add([(name, (3, 4), len(PICTURES[name]), "")], "".join(lines))
        text = b"".join(spool.blocks("")).decode()
        return [(one.name, one.size_hw, one.lines) for _, one in spool.pictures("")], json.loads(f"[{text[1:]}]")


@pytest.mark.parametrize("names", list(permutations(PICTURES)))
def test_numbers_are_ranks(tmp_path, names):
    pictures, lines = spooled(tmp_path, names)
    assert pictures == [("a", (3, 4), 2), ("b", (3, 4), 0), ("c", (3, 4), 1), ("d", (3, 4), 1)]
    assert [(line["id"], line["image_id"], line["is"]) for line in lines] == [
        (1, 1, "a1"),
        (2, 1, "a2"),
        (3, 3, "c1, or, so"),
        (4, 4, "d1"),
    ]


def test_nothing_is_left_behind(tmp_path):
    spooled(tmp_path, "ab")
    assert list(Path(tmp_path).iterdir()) == []


def test_nothing_at_all(tmp_path):
    with Spool(tmp_path) as spool:
        assert (list(spool.blocks("")), list(spool.pictures(""))) == ([], [])
