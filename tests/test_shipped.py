"""Files by name: the working folder first, then what the package carries."""

from pathlib import Path

import pytest

from pipeline import shipped
from pipeline.errors import UnknownName


@pytest.fixture
def carried(monkeypatch, tmp_path_factory):
    """A package that carries two configurations and a checkpoint, as a wheel does."""
    package = tmp_path_factory.mktemp("site") / "pipeline"
    for name in ("configs/demo.yaml", "configs/serious.yml", "checkpoints/tiny.onnx"):
        write(package / "shipped" / name)
    monkeypatch.setattr(shipped, "PACKAGE", package)
    return package / "shipped"


def write(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x: 1\n")
    return path.resolve()


@pytest.mark.parametrize("name", ["demo", "demo.yaml", "configs/demo.yaml", "configs/demo"])
def test_every_name_of_a_carried_file_finds_it(carried, name):
    assert shipped.find(name, "configs") == carried / "configs/demo.yaml"


@pytest.mark.usefixtures("carried")
@pytest.mark.parametrize("name", ["demo", "demo.yaml", "demo.yml", "configs/demo.yaml"])
def test_the_working_folder_comes_first(name):
    mine = write(Path.cwd() / name)
    assert shipped.find("demo", "configs") == mine


def test_a_source_checkout_carries_its_own_folders(carried):
    checkout = carried.parents[1]
    (checkout / "pyproject.toml").touch()
    mine = write(checkout / "configs/mine.yaml")
    assert shipped.find("mine", "configs") == mine
    assert shipped.shipped("configs") == ["demo", "mine", "serious"]


@pytest.mark.usefixtures("carried")
def test_an_absolute_path_is_itself(tmp_path):
    path = write(tmp_path / "elsewhere/run.yaml")
    assert shipped.find(str(path), "configs") == path


def test_other_kinds_have_other_suffixes(carried):
    assert shipped.find("tiny", "checkpoints", (".onnx",)) == carried / "checkpoints/tiny.onnx"


@pytest.mark.usefixtures("carried")
@pytest.mark.parametrize(
    ("name", "folder", "suffixes", "said"),
    [
        (
            "dmeo",
            "configs",
            (".yaml", ".yml"),
            r"^dmeo: no such file.* in configs/ \(demo, serious\); did you mean demo\?$",
        ),
        (
            "configs/dmeo.yaml",
            "configs",
            (".yaml",),
            r"\(demo\); did you mean demo\?$",
        ),  # the folder and suffix said, too
        ("zzz", "configs", (".yaml", ".yml"), r"\(demo, serious\)$"),  # nothing like it: no guess
        ("tniy", "checkpoints", (".onnx",), r"\(tiny\); did you mean tiny\?$"),
        ("dog", "ontologies", (".yaml", ".yml"), r"in ontologies/ \(nothing\)$"),
        ("/", "configs", (".yaml",), "^/: no such file"),  # a folder
        ("dog, " * 80, "ontologies", (".yaml",), "no such file"),  # longer than a file's name can be
        ("a\0b", "configs", (".yaml",), "no such file"),  # what no file can be called
    ],
)
def test_an_unknown_name_lists_what_there_is_and_suggests(name, folder, suffixes, said):
    with pytest.raises(UnknownName, match=said):
        shipped.find(name, folder, suffixes)
