"""The lists of a JSON object one element after another, whatever the size of what is read at a time."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.formats import json_stream

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def read(text):
    return {key: list(elements) for key, elements in json_stream.lists(io.StringIO(text))}


@given(
    document=st.dictionaries(st.text(), st.lists(VALUES) | VALUES, max_size=4),
    indent=st.sampled_from([None, 1]),
    escaped=st.booleans(),
    chunk=st.integers(1, 9),
)
def test_what_json_reads(document, indent, escaped, chunk):
    before, json_stream.CHUNK = json_stream.CHUNK, chunk
    try:
        found = read(json.dumps(document, indent=indent, ensure_ascii=escaped))
    finally:
        json_stream.CHUNK = before
    assert found == {key: value for key, value in document.items() if isinstance(value, list)}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "want {, got the end of the file at character 0"),
        ("[1]", r"want {, got '\[' at character 0"),
        ('{"a": [1, 2', r"want , or ], got the end of the file at character 11"),
        ('{"a": [1 2]}', "want , or ], got '2' at character 9"),
        ('{"a": [1,]}', "Expecting value at character 9"),
        ('{"a": [1]', "want , or }, got the end of the file at character 9"),
        ('{"a" [1]}', r"want :, got '\[' at character 5"),
        ("{1: [1]}", "want a key, got 1 at character 2"),
        ('{"a": [1]} {', "extra data at character 11"),
        ('{"a": ["\x01"]}', "Invalid control character at at character 7"),
    ],
)
def test_what_is_wrong_and_where(text, said):
    with pytest.raises(ValueError, match=said):
        read(text)


def test_a_large_file_is_not_held(monkeypatch):
    monkeypatch.setattr(json_stream, "CHUNK", 64)
    file = io.StringIO(json.dumps({"a": list(range(5000))}))
    _, elements = next(json_stream.lists(file))
    assert next(elements) == 0
    assert file.tell() <= 2 * 64
