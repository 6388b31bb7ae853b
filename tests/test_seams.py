"""Backends by name, and what options are."""

import pytest
from pydantic import ValidationError

from pipeline.errors import UnknownName
from pipeline.seams import Device, Options, lookup

TABLE = {"options": "pipeline.seams:Options", "gone": "pipeline.no_such_file:Gone", "nameless": "pipeline.seams:Gone"}


class Blur(Options):
    radius_px: int = 2


@pytest.mark.parametrize(
    "name",
    [
        "options",  # a row of the table
        "pipeline.seams:Options",  # anybody's class
    ],
)
def test_a_name_or_a_class_is_found(name):
    assert lookup(name, TABLE, "detector") is Options


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("optoins", r"no detector 'optoins'; did you mean options\? \(have gone, nameless, options, or give"),
        ("zzz", r"no detector 'zzz' \(have gone, nameless, options"),  # nothing like it: no guess
        ("gone", r"detector 'gone' cannot be imported: No module named 'pipeline\.no_such_file'"),
        ("nameless", "detector 'nameless' cannot be imported: .*has no attribute 'Gone'"),
        ("no_such_package:Class", "cannot be imported: No module named 'no_such_package'"),
        (":Class", "cannot be imported: Empty module name"),
        ("..up:Class", "cannot be imported: .*relative import"),
        ("pipeline.seams:", "cannot be imported"),
    ],
)
def test_what_cannot_be_found_is_said(name, said):
    with pytest.raises(UnknownName, match=said):
        lookup(name, TABLE, "detector")


def test_options_are_frozen_and_know_their_fields():
    with pytest.raises(ValidationError, match="frozen"):
        Blur().radius_px = 3
    with pytest.raises(ValidationError, match="Extra inputs"):
        Blur(radius=3)


def test_a_fingerprint_is_the_settings_and_provenance_is_nothing_until_a_model_has_weights():
    assert Blur(radius_px=3).fingerprint(Device()) == {"radius_px": 3}
    assert Blur().provenance() == {}
