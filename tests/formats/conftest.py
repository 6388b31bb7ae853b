"""Where the tests of formats take pictures from, and where they write."""

import pytest


@pytest.fixture
def sources(tmp_path):
    (tmp_path / "sources").mkdir()
    return tmp_path / "sources"


@pytest.fixture
def place(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"
