"""What holds for the options of every backend of every seam."""

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from backends import BACKENDS, FILES, OTHER_VALUES
from pydantic import ValidationError

import pipeline
from pipeline.detectors import DETECTORS
from pipeline.seams import Device
from pipeline.segmenters import SEGMENTERS
from pipeline.trackers import TRACKERS
from pipeline.verifiers import VERIFIERS

HEAVY = {
    "PIL",
    "av",
    "cv2",
    "datasets",
    "onnxruntime",
    "pycocotools",
    "scipy",
    "supervision",
    "torch",
    "transformers",
    "ultralytics",
}
CPU = Device("cpu", 1)


@pytest.fixture(params=sorted(BACKENDS), ids=" ".join)
def backend(request):
    return request.param


@pytest.fixture
def options(backend):
    return BACKENDS[backend]()


def test_every_row_of_the_tables_is_covered():
    tables = {"detector": DETECTORS, "segmenter": SEGMENTERS, "tracker": TRACKERS, "verifier": VERIFIERS}
    rows = {(seam, name) for seam, table in tables.items() for name in table}
    assert {(seam, name.split()[0]) for seam, name in BACKENDS} == rows
    assert set(BACKENDS) == set(OTHER_VALUES)


def test_options_import_nothing_heavy():
    targets = sorted({*DETECTORS.values(), *SEGMENTERS.values(), *TRACKERS.values(), *VERIFIERS.values()})
    code = "import sys; from pipeline.seams import lookup\n" + "".join(
        f"lookup({target!r}, {{}}, ''); print({target!r}, *sorted(set(sys.modules) & {HEAVY!r}))\n"
        for target in targets
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(pipeline.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == targets


def test_an_unknown_option_is_refused(options):
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        type(options)(**options.model_dump(), tresholt=1)


def test_options_are_frozen(options):
    for name in type(options).model_fields:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(options, name, None)


def test_options_travel_to_a_worker(options):
    there = pickle.loads(pickle.dumps(options))
    assert there == options
    assert there.fingerprint(CPU) == options.fingerprint(CPU)


def test_the_fingerprint_is_plain_json(options):
    fingerprint = options.fingerprint(CPU)
    assert json.loads(json.dumps(fingerprint, allow_nan=False)) == fingerprint


def test_every_option_is_in_the_fingerprint(backend, options):
    others = OTHER_VALUES[backend]
    assert {*others, FILES.get(backend)} - {None} == set(type(options).model_fields)
    prints = [options.fingerprint(CPU)]
    prints += [options.model_copy(update={name: value}).fingerprint(CPU) for name, value in others.items()]
    assert len({json.dumps(each, sort_keys=True) for each in prints}) == len(prints)


@pytest.mark.parametrize("backend", sorted(FILES), ids=" ".join)
def test_a_file_is_its_content_not_its_path(options, backend, tmp_path):
    option = FILES[backend]
    original = Path(getattr(options, option))
    other = tmp_path / "elsewhere" / ("another_name" + original.suffix)
    other.parent.mkdir()
    (shutil.copyfile if original.is_file() else shutil.copytree)(original, other)
    moved = options.model_copy(update={option: str(other)})
    assert moved.fingerprint(CPU) == options.fingerprint(CPU)
    assert "another_name" not in json.dumps(moved.fingerprint(CPU))
    assert other.name in json.dumps(moved.provenance())
    changed = other if other.is_file() else next(other.glob("*.safetensors"))
    content = changed.read_bytes()
    changed.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert moved.fingerprint(CPU) != options.fingerprint(CPU)
