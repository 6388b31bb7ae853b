import hashlib
import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline import checkpoints, shipped
from pipeline.checkpoints import hashes, sha256_of_file, sha256_of_folder, weights_file
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
    monkeypatch.setattr(os, "access", lambda *_: False)
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


def test_a_large_file_is_read_once_for_all_processes(tmp_path, monkeypatch):
    file = tmp_path / "model.safetensors"
    file.write_bytes(bytes(2**20))
    long_ago = file.stat().st_mtime_ns - 10**10
    os.utime(file, ns=(long_ago, long_ago))
    first = sha256_of_file(file)
    hashes._hashed.cache_clear()  # another process
    monkeypatch.setattr(hashlib, "file_digest", None)
    assert sha256_of_file(file) == first


@pytest.mark.parametrize(
    ("age_s", "content", "noted"),
    [
        (10, bytes(2**20), 1),  # large and settled
        (0, bytes(2**20), 0),  # written a moment ago: it may change within the same tick
        (10, b"small", 0),  # quicker to read than to remember
    ],
)
def test_what_is_noted(tmp_path, monkeypatch, age_s, content, noted):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    file = tmp_path / "model.safetensors"
    file.write_bytes(content)
    then = file.stat().st_mtime_ns - age_s * 10**9
    os.utime(file, ns=(then, then))
    sha256_of_file(file)
    assert len(list((tmp_path / "cache").rglob("*"))) == 2 * noted + noted


@pytest.mark.parametrize("note", ["", "{}", "[1]", '["other", 1, 2, 3, "' + "0" * 64 + '"]', '["x", 1, 2, 3, 4]'])
def test_a_damaged_note_is_not_believed(tmp_path, note):
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"abc")
    place = hashes._notes() / hashlib.sha256(os.fsencode(file)).hexdigest()[:32]
    place.parent.mkdir(parents=True)
    place.write_text(note)
    assert sha256_of_file(file) == hashlib.sha256(b"abc").hexdigest()


def checkpoint(place, config="{}", weights="model.safetensors"):
    """A folder in the Hub's layout."""
    place.mkdir(parents=True)
    (place / "config.json").write_text(config)
    (place / weights).write_bytes(b"weights")
    return place


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """The Hub's cache with two commits of one model, of which `main` is the second."""
    from huggingface_hub import constants

    cache = tmp_path / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    model = cache / "models--org--net"
    for commit in ("a" * 40, "b" * 40):
        checkpoint(model / "snapshots" / commit, json.dumps({"commit": commit}))
    (model / "refs").mkdir()
    (model / "refs/main").write_text("b" * 40)
    return model


LARGE = "facebook/sam2.1-hiera-large"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("mine", "mine"),  # a folder of the working folder
        ("./mine", "mine"),
        ("tiny", "package/shipped/checkpoints/tiny"),  # one that the package carries
        ("org/net", "hub/models--org--net/snapshots/" + "b" * 40),  # a Hub id is its main branch
        ("org/net@main", "hub/models--org--net/snapshots/" + "b" * 40),
        ("org/net@" + "a" * 40, "hub/models--org--net/snapshots/" + "a" * 40),  # or a commit
    ],
)
@pytest.mark.usefixtures("hub")
def test_where_a_checkpoint_is_found(tmp_path, monkeypatch, name, found):
    monkeypatch.setattr(shipped, "PACKAGE", tmp_path / "package")
    checkpoint(tmp_path / "mine")
    checkpoint(tmp_path / "package/shipped/checkpoints/tiny")
    assert checkpoints.folder(name).resolve() == (tmp_path / found).resolve()
    checkpoints.fetch(name)  # is here: asks nobody


def test_a_folder_comes_before_the_hub(tmp_path, hub):
    mine = checkpoint(tmp_path / "checkpoints/org/net")
    assert checkpoints.folder("org/net") == mine
    assert checkpoints.commit("org/net") is None
    assert checkpoints.commit("org/net@" + "a" * 40) == "a" * 40


@pytest.mark.parametrize(
    ("name", "offline", "match"),
    [
        ("nobody", "", r"^nobody: no such folder in .*, nor in checkpoints/ of these; give a folder or a Hub id$"),
        ("org/other", "", r"^org/other: not on this machine; `masklet run` downloads it, or: hf download org/other$"),
        ("org/other@v2", "", r"or: hf download org/other --revision v2$"),
        ("org/net@v2", "", r"^org/net@v2: not on this machine"),  # another commit is there
        ("org/other", "1", r"^org/other: not on this machine, and HF_HUB_OFFLINE is set; with a network: hf download"),
        (LARGE, "1", rf"with a network: hf download {LARGE} --revision 665f8e2a[0-9a-f]{{32}}$"),  # known, so pinned
        (f"{LARGE}@main", "", rf"or: hf download {LARGE} --revision main$"),  # unless somebody says another
        ("sam2_hiera_tiny.pt", "", r"or: hf download facebook/sam2-hiera-tiny sam2_hiera_tiny\.pt$"),
        (
            "sam2_hiera_tiny.pt",
            "1",
            r"HF_HUB_OFFLINE is set; with a network: hf download facebook/sam2-hiera-tiny",
        ),
        ("mine.pt", "", r"^mine\.pt: no such file in .*, nor in checkpoints/ of these; give the path of a file$"),
        (
            "yolo11n.pt",
            "",
            r"^yolo11n\.pt: not on this machine; get it from https://github\.com/ultralytics/",
        ),
        ("bare", "", r"^bare: .*bare has no config\.json; a model is a folder as on the Hugging Face Hub$"),
        ("pickled", "", r"^pickled: .*pickled has no \*\.safetensors; pickled weights are not read$"),
        ("../x@", "", r"no such folder"),  # no Hub id
    ],
)
@pytest.mark.usefixtures("hub")
def test_missing_checkpoints(monkeypatch, name, offline, match):
    monkeypatch.setenv("HF_HUB_OFFLINE", offline)
    Path("bare").mkdir()
    checkpoint(Path("pickled"), weights="pytorch_model.bin")
    with pytest.raises(ModelMissing, match=match) as caught:
        checkpoints.folder(name)
    assert "\n" not in str(caught.value)


def test_offline_nothing_is_asked_of_the_hub(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(
        "huggingface_hub.snapshot_download", lambda *_, **how: 1 / 0 if "allow_patterns" in how else "/"
    )
    with pytest.raises(ModelMissing, match="HF_HUB_OFFLINE is set"):
        checkpoints.fetch("org/other")


def test_a_download_that_fails_is_one_line(monkeypatch):
    def fails(*_, local_files_only=False, **__):
        raise OSError("no route\nto host") if not local_files_only else FileNotFoundError

    monkeypatch.setattr("huggingface_hub.snapshot_download", fails)
    with pytest.raises(
        ModelMissing, match=r"^org/net: cannot be downloaded: no route; or put its files into"
    ) as caught:
        checkpoints.fetch("org/net")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            "GatedRepoError",
            r"^org/net: is gated: ask for access at https://huggingface\.co/org/net, then: hf auth",
        ),
        ("RepositoryNotFoundError", r"^org/net: no https://huggingface\.co/org/net, or it is private"),
        ("RevisionNotFoundError", r"^org/net: cannot be downloaded: 404; or put its files into checkpoints/org/net$"),
    ],
)
def test_why_the_hub_says_no(monkeypatch, error, said):
    from huggingface_hub import errors

    response = SimpleNamespace(headers={}, request=None)

    def refuses(*_, local_files_only=False, **__):
        raise getattr(errors, error)("404.\nmore", response=response) if not local_files_only else FileNotFoundError

    monkeypatch.setattr("huggingface_hub.snapshot_download", refuses)
    with pytest.raises(ModelMissing, match=said) as caught:
        checkpoints.fetch("org/net")
    assert "\n" not in str(caught.value)


def test_what_is_asked_of_the_hub(monkeypatch):
    asked = []
    monkeypatch.setattr(
        "huggingface_hub.snapshot_download",
        lambda repo, **how: asked.append((repo, how["revision"])) if "allow_patterns" in how else "/none",
    )
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *what, **how: asked.append((*what, how["revision"])))
    for name in (LARGE, f"{LARGE}@main", "sam2.1_hiera_large.pt", "sam2_hiera_tiny.pt", "org/net"):
        checkpoints.fetch(name)
    pinned = "665f8e2ad61cf5f53d65644ff27c8ee525124610"
    assert asked == [
        (LARGE, pinned),
        (LARGE, "main"),
        (LARGE, "sam2.1_hiera_large.pt", pinned),
        ("facebook/sam2-hiera-tiny", "sam2_hiera_tiny.pt", None),
        ("org/net", None),
    ]


def test_a_file_in_the_hubs_cache_is_found(hub):
    place = hub.with_name("models--facebook--sam2.1-hiera-large")
    snapshot = place / "snapshots" / "665f8e2ad61cf5f53d65644ff27c8ee525124610"
    snapshot.mkdir(parents=True)
    (snapshot / "sam2.1_hiera_large.pt").write_bytes(b"no zip")
    with pytest.raises(ModelMissing, match=r"snapshots/665f8e2.*/sam2\.1_hiera_large\.pt: is not what torch\.save"):
        checkpoints.folder("sam2.1_hiera_large.pt")
    assert checkpoints.commit("sam2.1_hiera_large.pt") == snapshot.name


def test_a_file_in_checkpoints_comes_before_the_hub(hub):
    checkpoint(Path("sam2.1_hiera_large.pt"))  # a folder of that name comes first of all
    assert checkpoints.folder("sam2.1_hiera_large.pt") == Path("sam2.1_hiera_large.pt")


def test_the_hash_of_a_folder(tmp_path):
    one, two = checkpoint(tmp_path / "one"), checkpoint(tmp_path / "two")
    first = sha256_of_folder(one)
    assert first == sha256_of_folder(two)
    (two / "README.md").write_text("words")  # is nothing that a model is made of
    assert first == sha256_of_folder(two)
    (two / "tokenizer.json").write_text("{}")
    assert first != sha256_of_folder(two)
    (one / "model.safetensors").rename(one / "renamed.safetensors")
    assert first != sha256_of_folder(one)


@pytest.mark.parametrize("text", ["", "{", "[]", "\xff"])
def test_a_damaged_config(tmp_path, text):
    place = checkpoint(tmp_path / "net", text)
    with pytest.raises(ModelMissing, match=r"config\.json: (cannot be read|want a JSON object)"):
        checkpoints.settings(place)


def test_what_is_no_hub_id_cannot_be_downloaded():
    with pytest.raises(ModelMissing, match=r"^nobody: no such folder in "):
        checkpoints.fetch("nobody")
