"""Which pictures of two runs belong together: by content, then by name."""

import pytest
from two_runs import film, picture, stored

from pipeline.compare.pairs import opened, pairs
from pipeline.errors import ConfigError
from pipeline.store import Store


def of(contents):
    return stored(*(picture(name, content=content) for name, content in contents.items()))


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        ({}, {}, []),
        ({"a": "1"}, {"a": "1"}, ["both a a"]),
        ({"a": "1"}, {}, ["removed a -"]),
        ({}, {"a": "1"}, ["added - a"]),
        ({"a": "1"}, {"b": "1"}, ["renamed a b"]),
        ({"b": "1"}, {"a": "1"}, ["renamed b a"]),
        ({"a": "1"}, {"a": "2"}, ["changed a a"]),
        ({"a": "1", "b": "2"}, {"a": "2", "b": "1"}, ["renamed b a", "renamed a b"]),  # swapped: content is what counts
        ({"a": "1", "b": "2"}, {"a": "2"}, ["renamed b a", "removed a -"]),
        ({"a": "1"}, {"a": "2", "b": "1"}, ["renamed a b", "added - a"]),
        ({"a": "1", "c": "3"}, {"b": "2", "c": "3"}, ["both c c", "added - b", "removed a -"]),
        ({"b/a": "1", "b.a": "2"}, {"b/a": "1", "b.a": "2"}, ["both b.a b.a", "both b/a b/a"]),
        ({"é": "1", "z": "2", "🐕": "3"}, {"z": "2", "é": "1", "🐕": "3"}, ["both z z", "both é é", "both 🐕 🐕"]),
    ],
)
def test_which_belong_together(was, now, said):
    found = pairs(of(was), of(now))
    names = [(pair.what, *(one.whole.name if one else "-" for one in (pair.was, pair.now))) for pair in found]
    assert [" ".join(words) for words in names] == said


def test_what_is_alike():
    dog, cat = picture("a", "dog 1 1 9 9"), picture("a", "cat 1 1 9 9")
    assert [pair.alike for pair in pairs(stored(dog), stored(dog))] == [True]
    assert [pair.alike for pair in pairs(stored(dog), stored(cat))] == [False]
    other = picture("a", "dog 1 1 9 9", content="other")
    assert [(pair.alike, pair.comparable) for pair in pairs(stored(dog), stored(other))] == [(False, False)]


def test_films_are_films():
    store = stored(film("f", {1: "dog 1 1 9 9"}, {}), picture("p"))
    assert [(pair.name, pair.is_film) for pair in pairs(store, store)] == [("f", True), ("p", False)]


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(ConfigError, match=r"no run.db there; name the folder of a run"), opened(tmp_path):
        pass
    Store(tmp_path / "run.db").close()
    unfinished = pytest.raises(ConfigError, match=r"no summary.json there; the run is not finished, run it again")
    with unfinished, opened(tmp_path):
        pass


def test_a_run_that_is_looked_at_is_not_touched(tmp_path):
    """Even one that this masklet cannot read: a store that is opened for work would be moved aside."""
    (tmp_path / "run.db").write_bytes(b"damaged")
    (tmp_path / "summary.json").write_text('{"version": 1}')
    with pytest.raises(ConfigError, match=r"its run.db cannot be read"), opened(tmp_path):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.db", "summary.json"]
