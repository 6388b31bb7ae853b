import hashlib
import os
from pathlib import Path

import pytest

from pipeline import checkpoints, shipped
from pipeline.checkpoints import sha256_of_file, weights_file
from pipeline.errors import ModelMissing


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package that carries one file of weights, and a working folder beside it."""
    monkeypatch.setattr(shipped, "PACKAGE", tmp_path / "package")
    desk = tmp_path / "desk"
    for place in ("package/shipped/checkpoints", "desk/checkpoints", "desk/mine"):
        (tmp_path / place).mkdir(parents=True)
    monkeypatch.chdir(desk)
    (tmp_path / "package/shipped/checkpoints/tiny.onnx").write_bytes(b"shipped")
    return tmp_path


@pytest.mark.parametrize(
    ("files", "name", "found"),
    [
        ([], "tiny.onnx", "package/shipped/checkpoints/tiny.onnx"),  # what the package carries
        (["checkpoints/tiny.onnx"], "tiny.onnx", "desk/checkpoints/tiny.onnx"),  # one's own comes first
        (["tiny.onnx", "checkpoints/tiny.onnx"], "tiny.onnx", "desk/tiny.onnx"),  # as given comes before that
        (["mine/other.onnx"], "mine/other.onnx", "desk/mine/other.onnx"),  # a path from the working folder
    ],
)
def test_where_weights_are_found(package, files, name, found):
    for file in files:
        Path(file).write_bytes(b"mine")
    assert weights_file(name) == package / found


def test_an_absolute_path(package):
    path = package / "package/shipped/checkpoints/tiny.onnx"
    assert weights_file(str(path)) == path


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("huge.onnx", r"^huge\.onnx: no such file .* in .*desk, .*shipped, nor in checkpoints/ of these; put it into"),
        ("checkpoints", r"^checkpoints: no such file"),  # a folder
        ("/no/such/file.onnx", r"^/no/such/file\.onnx: no such file that can be read; give the path"),
        ("x" * 5000, "no such file"),  # longer than a name can be
    ],
)
@pytest.mark.usefixtures("package")
def test_missing_weights(name, match):
    with pytest.raises(ModelMissing, match=match) as caught:
        weights_file(name)
    assert "\n" not in str(caught.value)


def test_a_locked_file_is_missing(package, monkeypatch):
    monkeypatch.setattr(checkpoints.os, "access", lambda *_: False)
    with pytest.raises(ModelMissing, match="no such file that can be read"):
        weights_file(str(package / "package/shipped/checkpoints/tiny.onnx"))


def test_sha256_of_file(tmp_path):
    file = tmp_path / "a"
    file.write_bytes(b"abc")
    assert sha256_of_file(file) == sha256_of_file(str(file)) == hashlib.sha256(b"abc").hexdigest()


def test_a_file_is_read_once_until_it_changes(tmp_path, monkeypatch):
    file, reads = tmp_path / "a", []
    real = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda *given: reads.append(1) or real(*given))
    file.write_bytes(b"abc")
    first = sha256_of_file(file)
    assert (sha256_of_file(file), len(reads)) == (first, 1)
    before = file.stat()
    file.write_bytes(b"xyz")  # the same size
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert sha256_of_file(file) != first
    assert len(reads) == 2


def test_a_file_put_in_its_place_is_another(tmp_path):
    file, other = tmp_path / "a", tmp_path / "b"
    file.write_bytes(b"abc")
    other.write_bytes(b"xyz")
    first, now = sha256_of_file(file), file.stat()
    os.utime(other, ns=(now.st_atime_ns, now.st_mtime_ns))  # same size, same time, another inode
    other.replace(file)
    assert sha256_of_file(file) != first
