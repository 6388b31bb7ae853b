"""The table of known models, what is said of one on this machine, and its licence on the way into a dataset."""

import json
import os
import re
import shutil
import struct
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from PIL import Image
from random_models import cached

from pipeline import checkpoints, cli
from pipeline.checkpoints import cards, hub, known, verify
from pipeline.checkpoints.known import KNOWN, Known
from pipeline.detectors.grounding import MODELS
from pipeline.errors import ModelMissing
from pipeline.export import _models_in
from pipeline.sam2_image import MODEL_TYPES
from pipeline.verifiers.clip import CLASSES

HOME = Path(__file__).parents[2]
PAGE = (HOME / "docs/models.md").read_text("utf-8")
SHA = re.compile("[0-9a-f]{64}")
COMMIT = re.compile("[0-9a-f]{40}")


@pytest.mark.parametrize("row", KNOWN.values(), ids=KNOWN)
def test_a_row_is_sound_and_on_the_page(row):
    assert row.commit is None or COMMIT.fullmatch(row.commit)
    assert row.sha256 is None or SHA.fullmatch(row.sha256)
    assert row.file == known.WEIGHTS or row.file == row.name
    assert (hub.wanted(row.name) is not None) == row.on_hub
    said = [line for line in PAGE.splitlines() if f"`{row.name}`" in line]
    assert said, "docs/models.md does not name it"
    assert row.licence == "Apache-2.0" or all(row.licence in line for line in said)


def test_no_hash_is_there_twice():
    hashes = [row.sha256 for row in KNOWN.values() if row.sha256]
    assert len(hashes) == len(set(hashes))


def test_verify_knows_what_backends_open():
    assert {*MODELS, *MODEL_TYPES, *CLASSES, "florence2"} == set(verify.OPENED_BY)


def model(place, of="sam2"):
    return Path(shutil.copytree(cached(of), place))


def test_a_sound_folder(tmp_path):
    place = model(tmp_path / "mine")
    said = verify.verify(str(place))
    assert (said.kind, said.compared, said.licence) == ("sam2_video", "nothing to compare with", cards.UNKNOWN)
    assert said.sha256 == checkpoints.sha256_of_folder(place)
    assert verify.verify(str(place), said.sha256).compared == "as you said"


def cut(place):
    file = place / "model.safetensors"
    os.truncate(file, file.stat().st_size - 1000)


def without_header(place):
    (place / "model.safetensors").write_bytes(struct.pack("<Q", 10**9) + b"{}")


def of_another_kind(place):
    (place / "config.json").write_text('{"model_type": "bert"}')


def lacking_a_shard(place):
    index = {"weight_map": {"a": "model.safetensors", "b": "model-00002.safetensors"}}
    (place / "model.safetensors.index.json").write_text(json.dumps(index))


def no_config(place):
    (place / "config.json").write_text("{")


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (cut, r"model\.safetensors: cut off or damaged \(.*\); get it again from who made it$"),
        (without_header, r"model\.safetensors: cut off or damaged"),
        (of_another_kind, r"config\.json says that it is bert; masklet opens clip, florence2, grounding-dino,"),
        (lacking_a_shard, r"mine: has no model-00002\.safetensors, which model\.safetensors\.index\.json names"),
        (no_config, r"config\.json: cannot be read"),
    ],
)
def test_a_folder_with_a_fault(tmp_path, fault, said):
    fault(model(tmp_path / "mine"))
    result = CliRunner().invoke(cli.main, ["models", "verify", "mine"])
    assert (result.exit_code, result.stdout) == (11, "")
    assert re.search(said, result.stderr, re.MULTILINE), result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "command", [["check"], ["plan", "--out", "out"], ["run", "--out", "out"]], ids=lambda it: it[0]
)
@pytest.mark.parametrize("fault", [cut, without_header, of_another_kind, no_config])
def test_a_run_and_a_check_say_so_too(tmp_path, fault, command):
    fault(model(tmp_path / "mine"))
    Path("pictures").mkdir()
    shutil.copy(HOME / "docs/demo.jpg", "pictures/a.jpg")
    words = [command[0], "photos_yolox", "pictures", *command[1:], "detect={backend: fake}"]
    result = CliRunner().invoke(cli.main, [*words, "segment={backend: sam2, model: mine}"])
    assert (result.exit_code, result.stdout) == (11, ""), result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("sha256", "said"),
    [
        ("0" * 64, r"^masklet: mine: the whole has the sha256 [0-9a-f]{64}, you said 0{64}; it is another model, or"),
    ],
)
def test_a_hash_that_you_said(tmp_path, sha256, said):
    model(tmp_path / "mine")
    result = CliRunner().invoke(cli.main, ["models", "verify", "mine", "--sha256", sha256])
    assert result.exit_code == 11
    assert re.search(said, result.stderr)


def test_a_hash_of_the_table(monkeypatch):
    place = model(Path("checkpoints/facebook/sam2.1-hiera-tiny"))
    result = CliRunner().invoke(cli.main, ["models", "verify", "facebook/sam2.1-hiera-tiny"])
    assert result.exit_code == 11
    assert re.search(
        r"^masklet: facebook/sam2\.1-hiera-tiny: model\.safetensors has the sha256 [0-9a-f]{64}, the table of known"
        r" models says 48c1[0-9a-f]{60}; it is another model, or damaged; get it again: hf download"
        r" facebook/sam2\.1-hiera-tiny --revision de431c40[0-9a-f]{32} --force-download\n$",
        result.stderr,
    )
    true = checkpoints.sha256_of_file(place / "model.safetensors")
    row = replace(KNOWN["facebook/sam2.1-hiera-tiny"], sha256=true)
    monkeypatch.setitem(KNOWN, row.name, row)
    assert verify.verify(row.name).compared == "as the table says"


@pytest.fixture
def hub_cache(tmp_path, monkeypatch):
    """The Hub's cache as its library lays it out: a snapshot of links to blobs, those named by their hash."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    place = tmp_path / "hub/models--org--net"
    snapshot = model(place / "snapshots" / ("c" * 40))
    weights = snapshot / "model.safetensors"
    blob = place / "blobs" / checkpoints.sha256_of_file(weights)
    blob.parent.mkdir()
    weights.rename(blob)
    weights.symlink_to(blob)
    (place / "refs").mkdir()
    (place / "refs/main").write_text("c" * 40)
    return snapshot


def test_a_hash_that_the_hub_said(hub_cache):
    assert verify.verify("org/net").compared == "model.safetensors as the Hub said"
    blob = (hub_cache / "model.safetensors").resolve()
    content = bytearray(blob.read_bytes())
    content[-1] ^= 1
    blob.write_bytes(content)
    with pytest.raises(ModelMissing, match=r"^org/net: model\.safetensors has .*, the Hub said .*get it again:"):
        verify.verify("org/net")


def test_a_record_of_the_converter(tmp_path):
    place = model(tmp_path / "mine")
    sha256 = checkpoints.sha256_of_file(place / "model.safetensors")
    source = KNOWN["sam2_hiera_tiny.pt"].sha256
    (place / "converted.json").write_text(json.dumps({"source_sha256": source, "sha256": sha256}))
    said = verify.verify("mine")
    assert (said.compared, said.licence) == ("as it was converted", "Apache-2.0")
    (place / "converted.json").write_text(json.dumps({"source_sha256": source, "sha256": "0" * 64}))
    with pytest.raises(ModelMissing, match=r"converted\.json says 0{64}"):
        verify.verify("mine")


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlicense: mit\n---\nwords", "mit"),
        ("---\nlicense: other\nlicense_name: sam\n---\n", "other"),
        ("---\nlicense: [a, b]\n---\n", cards.UNKNOWN),
        ("---\n: {\n---\n", cards.UNKNOWN),
        ("words", cards.UNKNOWN),
        (None, cards.UNKNOWN),
    ],
)
def test_the_licence_of_a_card(tmp_path, card, licence):
    place = model(tmp_path / "mine")
    if card is not None:
        (place / "README.md").write_text(card)
    assert checkpoints.licence("mine") == licence


@pytest.mark.parametrize(
    ("name", "pinned", "licence"),
    [
        ("anything.pt", True, "Apache-2.0"),  # the hash says what it is
        ("sam2_hiera_tiny.pt", False, cards.UNKNOWN),  # somebody's own, under a known name
        ("yolo11n.pt", False, "AGPL-3.0"),  # of which no hash is known
    ],
)
def test_the_licence_of_a_file(monkeypatch, tmp_path, name, pinned, licence):
    file = tmp_path / name
    file.write_bytes(b"weights")
    if pinned:
        row = Known("x.pt", "org/x", "", "Apache-2.0", "", "", None, "x.pt", checkpoints.sha256_of_file(file))
        monkeypatch.setitem(KNOWN, "x.pt", row)
    assert checkpoints.licence_of(file) == licence


def test_the_list(hub_cache):
    model(Path("checkpoints/mine"))
    Path("checkpoints/damaged").mkdir()
    Path("checkpoints/damaged/config.json").write_text("{")
    Path("checkpoints/sam2_hiera_tiny.pt").write_bytes(b"")
    result = CliRunner().invoke(cli.main, ["models", "ls", "--json"])
    rows = {row["name"]: row for row in json.loads(result.stdout)}
    assert list(rows)[: len(KNOWN)] == list(KNOWN)
    assert rows["mine"]["used_by"] == "segment: sam2; track: sam2; detect: everything"
    assert rows["damaged"]["used_by"].startswith("nothing")
    assert rows["sam2_hiera_tiny.pt"]["here"].endswith("checkpoints/sam2_hiera_tiny.pt")
    assert rows["yolo11n.pt"] | {"here": ""} == rows["yolo11n.pt"]
    assert rows["yolo11n.pt"]["licence"] == "AGPL-3.0"
    table = CliRunner().invoke(cli.main, ["models", "ls"]).stdout
    assert re.search(r"^facebook/sam2\.1-hiera-large +segment: sam2.* +Apache-2\.0 +224 M", table, re.MULTILINE)


def test_fetch_checks_what_it_got(monkeypatch, hub_cache):
    result = CliRunner().invoke(cli.main, ["models", "fetch", "org/net"])
    assert (result.exit_code, result.stdout) == (0, f"{hub_cache}\n")
    result = CliRunner().invoke(cli.main, ["models", "fetch", "org/other"], env={"HF_HUB_OFFLINE": "1"})
    assert (result.exit_code, result.stdout) == (11, "")
    assert result.stderr == (
        "masklet: org/other: not on this machine, and HF_HUB_OFFLINE is set; with a network: hf download org/other\n"
    )


def test_licences_travel():
    place = model(Path("checkpoints/mine"))
    (place / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    Path("pictures").mkdir()
    Image.new("RGB", (64, 48), "red").save("pictures/a.png")
    words = ["run", "photos_yolox", "pictures", "--out", "out", "detect={backend: fake}", "export.formats=[parquet]"]
    segment = "segment={backend: sam2, model: mine}"
    result = CliRunner().invoke(cli.main, [*words, segment])
    assert result.exit_code == 0, result.stderr
    made_with = yaml.safe_load(Path("out/config.yaml").read_text())["made_with"]
    assert made_with["models"]["segment"]["licence"] == "apache-2.0"
    card = Path("out/dataset/parquet/README.md")
    assert "\n| stage | model | licence |\n|---|---|---|\n| segment | mine | apache-2.0 |\n" in card.read_text()
    (place / "README.md").write_text("---\nlicense: mit\n---\n")
    CliRunner().invoke(cli.main, [*words, segment])
    assert "| segment | mine | mit |" in card.read_text()  # what the card says is part of what the dataset is made from


@pytest.mark.parametrize(
    ("about", "rows"),
    [
        ({}, []),
        ({"model": "org/net", "commit": "abc", "licence": "MIT"}, [("detect", "org/net at abc", "MIT")]),
        ({"model": "/home/me/net", "commit": None, "licence": "MIT"}, [("detect", "net", "MIT")]),  # no path of mine
        ({"file": "boxes.json", "sha256": "0"}, [("detect", "boxes.json", "unknown")]),
        (
            {"library": "ultralytics (AGPL-3.0)", "licence": "AGPL-3.0"},
            [("detect", "ultralytics (AGPL-3.0)", "AGPL-3.0")],
        ),
        (
            {"model": "a", "licence": "MIT", "named_by": {"model": "b", "licence": "Apache-2.0"}},
            [("detect", "a", "MIT"), ("detect, named by", "b", "Apache-2.0")],
        ),
    ],
)
def test_what_a_card_says_of_a_model(about, rows):
    assert list(_models_in("detect", about)) == rows
