"""The architecture: who may import whom, what loads when, and what nobody writes."""

import ast
from pathlib import Path

import pytest

HOME = Path(__file__).parents[1]
PACKAGE = HOME / "pipeline"
FLOORS = [
    "errors reasons versions shipped geometry hamming masks outlines cleaning",  # the foundation
    "yamls ontology forms records seams",  # the data model
    "pixels media films checkpoints pretrained sam2_encoder sam2_image",  # pixels, models
    "formats detectors segmenters verifiers trackers",  # the seams
    "corrections decisions",  # people's word
    "dedupe calibration select segments choose split partition sources database store",  # decisions and memory
    "stages config",  # the verbs
    "labelled jobs models work film_work crew plan reels heeded pace",  # a picture, or a film, on its way
    "ledger stills export convert validate runners process outcome engine",  # a run
    "evaluate compare toyworld overlay detections report progress quiet",  # what is made of it
    "api autodistill ultralytics cli",  # what people use
]
ROOMS = " ".join(FLOORS).split()
"""Each may import from itself and from those before it: docs/architecture.md says why."""

HEAVY = {
    *("torch", "transformers", "onnxruntime", "supervision", "datasets"),
    *(
        "cv2",
        "PIL",
        "pyarrow",
        "av",
        "pycocotools",
        "scipy",
        "matplotlib",
        "pandas",
        "ultralytics",
        "ray",
        "jinja2",
        "huggingface_hub",
        "tokenizers",
    ),
}
"""Imported inside functions, where they are used: `masklet --help` and a plan load none of them."""

JUNK_DRAWERS = {"utils", "util", "common", "helpers", "core", "misc"}


def room_of(module):
    """'pipeline.formats.coco' -> 'formats'; the package itself is no room."""
    return [*module.split("."), ""][1]


def imported(tree):
    """Every module and name that a tree imports anywhere in it, with its line, as dotted text."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = "." * node.level + (node.module or "")
            yield from ((f"{source}.{alias.name}", node.lineno) for alias in node.names)


def wrong_way(tree, room):
    """Imports of the house that do not point upwards."""
    for name, line in imported(tree):
        if name.startswith("."):
            yield f"line {line}: imports {name}; write 'from pipeline...'"
        elif name.split(".")[0] == "pipeline" and room_of(name) in ROOMS:
            if room == "" or ROOMS.index(room_of(name)) > ROOMS.index(room):
                yield f"line {line}: {room or 'the package'} imports {room_of(name)}, which stands below it"
        elif name.split(".")[0] == "pipeline" and room_of(name) != "__version__":
            yield f"line {line}: imports {name}, which is no room in the list of tests/test_layers.py"


def at_top(body):
    """The statements that run when a module is imported: not those in functions or under TYPE_CHECKING."""
    for node in body:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            yield from at_top(node.orelse)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
            for block in ("body", "orelse", "finalbody", "handlers"):
                yield from at_top(getattr(node, block, []))


def loads_heavy(tree):
    """Heavy libraries that importing the module would load."""
    for statement in at_top(tree.body):
        if isinstance(statement, ast.Import | ast.ImportFrom):
            for name, line in imported(statement):
                library = name.split(".")[0]
                if library in HEAVY:
                    yield f"line {line}: imports {library} at the top; import it in the function that uses it"


def runs_remote_code(tree):
    """Mentions of the switch that lets a downloaded model run its own code."""
    for node in ast.walk(tree):
        if getattr(node, "arg", None) == "trust_remote_code" or getattr(node, "value", None) == "trust_remote_code":
            yield f"line {node.lineno}: trust_remote_code; models run no code of their own here"


def prints(tree, room):
    """Bare calls of print outside the command line: stdout is for results."""
    for node in ast.walk(tree):
        bare = isinstance(node, ast.Call) and "file" not in {keyword.arg for keyword in node.keywords}
        if bare and getattr(node.func, "id", "") == "print" and room != "cli":
            yield f"line {node.lineno}: prints; only the command line writes to stdout"


def complaints(code, room):
    """Everything that is wrong with a module."""
    tree = ast.parse(code)
    return [*wrong_way(tree, room), *loads_heavy(tree), *runs_remote_code(tree), *prints(tree, room)]


@pytest.mark.parametrize("folder", ["benchmarks", "examples", "tests", "training"])
def test_nothing_beside_the_package_runs_a_models_own_code(folder):
    files = [path for path in (HOME / folder).rglob("*.py") if path != Path(__file__)]
    assert files
    assert [said for file in files for said in runs_remote_code(ast.parse(file.read_text("utf-8")))] == []


def modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        yield pytest.param(path, "" if parts == ("__init__",) else parts[0], id="/".join(parts))


@pytest.mark.parametrize(("path", "room"), list(modules()))
def test_a_module_keeps_to_its_place(path, room):
    assert room in {"", *ROOMS}, f"{room}: give it a place in the list of rooms in tests/test_layers.py"
    assert complaints(path.read_text("utf-8"), room) == []


def test_no_junk_drawer():
    drawers = [path for path in PACKAGE.rglob("*") if path.stem in JUNK_DRAWERS]
    assert drawers == []


BAD = [  # each line is one module, the room it pretends to be in, and what is said of it
    ("from pipeline.records import Clip", "masks", "masks imports records, which stands below it"),
    ("from pipeline import records", "masks", "masks imports records, which stands below it"),
    ("import pipeline.cli", "engine", "engine imports cli"),
    ("def f():\n    from pipeline.engine import run", "stages", "stages imports engine"),  # inside a function, too
    ("from pipeline.formats.coco import read", "records", "records imports formats"),  # a folder is one room
    ("from pipeline.engine import run", "", "the package imports engine"),  # or every import would load all
    ("from . import masks", "records", "write 'from pipeline...'"),
    ("from pipeline.utils import flatten", "engine", "pipeline.utils.flatten, which is no room"),
    ("import torch", "stages", "imports torch at the top"),
    ("import torch.nn.functional as F", "stages", "imports torch at the top"),
    ("try:\n    import cv2\nexcept ImportError:\n    cv2 = None", "masks", "imports cv2 at the top"),
    ("class A:\n    from PIL import Image", "media", "imports PIL at the top"),
    ("if TYPE_CHECKING:\n    pass\nelse:\n    import av", "media", "imports av at the top"),
    ("load('m', trust_remote_code=True)", "detectors", "trust_remote_code"),
    ("load('m', **{'trust_remote_code': True})", "detectors", "trust_remote_code"),
    ("print(1)", "engine", "prints"),
]


@pytest.mark.parametrize(("code", "room", "said"), BAD)
def test_the_check_can_fail(code, room, said):
    assert [line for line in complaints(code, room) if said in line]


GOOD = [
    ("from pipeline.masks import area", "records"),  # upwards
    ("from pipeline.formats import fidelity", "formats"),  # its own room
    ("from pipeline import __version__", "masks"),
    ("def f():\n    import torch", "segmenters"),  # where it is used
    ("if TYPE_CHECKING:\n    import torch", "segmenters"),
    ("if typing.TYPE_CHECKING:\n    import torch", "segmenters"),
    ("print(1)", "cli"),
    ("print(1, file=sys.stderr)", "progress"),
]


@pytest.mark.parametrize(("code", "room"), GOOD)
def test_the_check_lets_pass_what_is_right(code, room):
    assert complaints(code, room) == []
