"""What a command costs before it begins: it loads what it needs, and no more."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from driving import here, save_pictures

PIXELS = {"cv2", "PIL", "av"}
MODELS = {"torch", "transformers", "onnxruntime", "supervision", "datasets", "pycocotools", "scipy", "matplotlib"}
DATA = {"numpy", "pydantic", "yaml", "sqlite3", "filelock", "rich"}
FAKES = ["photos_yolox", "--source", "pictures", "--out", "run", "detect={backend: fake}", "segment={backend: fake}"]

LOADED = """
import json, sys
from pipeline.cli import main
try:
    main()
finally:
    with open("loaded.json", "w") as file:
        json.dump(sorted({name.partition(".")[0] for name in sys.modules}), file)
"""


def loaded_by(*words):
    """The top-level modules that a command has loaded when it ends."""
    command = [sys.executable, "-c", LOADED, *words]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "COLUMNS": "80"})
    return set(json.loads(Path("loaded.json").read_text()))


@pytest.mark.parametrize(
    ("words", "never"),
    [
        (["--help"], PIXELS | MODELS | DATA),
        (["--version"], PIXELS | MODELS | DATA),
        (["run", "--help"], PIXELS | MODELS | DATA),
        (["ls"], PIXELS | MODELS),
        (["check", *FAKES], PIXELS | MODELS),
        (["plan", *FAKES], MODELS | {"cv2"}),  # Pillow reads the headers of files that are new
        (["run", *FAKES], MODELS - {"pycocotools"}),  # which turns masks into codes
    ],
)
def test_a_command_loads_only_what_it_needs(words, never):
    save_pictures(Path("pictures"), ["a.png"])
    assert loaded_by(*words) & never == set()


@pytest.mark.parametrize("words", [["plan", *FAKES], ["run", *FAKES], ["status", "run", "--ledger"]])
def test_after_a_run_no_picture_is_opened_again(words):
    save_pictures(Path("pictures"), ["a.png", "b.png"])
    assert here("run", *FAKES).returncode == 0
    assert loaded_by(*words) & (PIXELS | MODELS) == set()
