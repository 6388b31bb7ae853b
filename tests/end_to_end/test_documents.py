"""Every command and every piece of Python in README.md and docs/ runs as it is written, or says here why not.

Models that the documents name stand here as links to the tiny ones; pictures and films are drawn.
"""

import re
import shlex
import shutil
from pathlib import Path

import pytest
from driving import here

from pipeline import toyworld

pytestmark = pytest.mark.slow

HOME = Path(__file__).parents[2]
DOCUMENTS = [HOME / "README.md", *sorted((HOME / "docs").glob("*.md"))]

NOT_RUN = {
    "python3 -m venv": "installs from an index",
    "./check": "runs these tests",
    "masklet demo": "half a minute: the first command of CI, and tests/test_docs.py with fewer pictures",
    "masklet models fetch": "downloads",
    "masklet models convert": "needs a file of Meta's: tests/checkpoints/test_meta_sam2.py",
    "masklet run demo detect.backend=blobs:Blobs": "needs the page's file: tests/test_docs.py",
    "masklet run photos_yolox": "needs an ONNX file of YOLOX: tests/end_to_end/test_models.py",
    "masklet run photos/ --ontology 'dog, cat' --runner ray": "needs Ray: tests/end_to_end/test_ray_runs.py",
    "masklet run /shared/photos": "needs a cluster",
    "datum convert": "needs datumaro: tests/formats/test_third_parties.py and test_round_trips.py",
}
"""How a command begins, and why it is not run here."""

STANDS_FOR = {
    "RUN --baseline RUN": "outputs/photos --baseline outputs/photos",
    "diff A B": "diff outputs/photos runs/yesterday",
    "run ...": "run photos/ --ontology 'dog, cat'",
    "plan ...": "plan photos/ --ontology 'dog, cat'",
    "check ...": "check photos/ --ontology 'dog, cat'",
    "run CONFIG SOURCE select.calibration": "run florence2_sam2 photos/ --ontology toyworld select.calibration",
    "min_count.dog": "min_count.ring",
    "report outputs/demo": "report outputs/photos",
    "outputs/demo/scenes/images": "photos/",
    "import edited.json --run RUN": "import outputs/photos/dataset/coco --run outputs/photos",
    "calibrate RUN --corrections": "calibrate outputs/corrected --corrections",
    "DATASET OUT": "outputs/photos/dataset/coco OUT",
    "DATASET": "outputs/photos/dataset/coco",
    "RUN": "outputs/photos",
    "verify NAME": "verify tiny-sam2",
    "outputs/films --truth truth/": "outputs/films --truth toys/truth/",
    "outputs/photos --truth truth.json": "outputs/photos --truth toys/truth.json",
    "--truth labels.json": "--truth toys/truth.json",
}
"""What a reader puts in the place of words in capitals, of dots, and of files of his own."""

ENDS_IN = {
    "masklet gate runs/today --baseline runs/yesterday gate.yaml": 5,  # a hundred are not there
    "masklet validate": 5,  # four scenes do not show every class
}
"""How a command begins that does not end in 0."""

MODELS = {
    "florence-community/Florence-2-large": "tiny-florence2",
    "IDEA-Research/grounding-dino-tiny": "tiny-owlv2",
    "facebook/sam2.1-hiera-large": "tiny-sam2",
    "facebook/sam2.1-hiera-small": "tiny-sam2",
    "facebook/sam2.1-hiera-tiny": "tiny-sam2",
}


def blocks(document):
    """(language, text) of each block of a document."""
    return re.findall(r"^```(\w*)\n(.*?)^```", document.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def commands():
    """Each command once, where it first stands: in a block, or at the beginning of a table's row."""
    found = {}
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        lines = [
            line
            for language, block in blocks(document)
            if not language
            for line in block.replace("\\\n", " ").splitlines()
            if re.match(r"(masklet |python3 |datum |\./\w)", line)
        ]
        for line in [*lines, *re.findall(r"^\| `(masklet [^`]*)`", text, re.MULTILINE)]:
            found.setdefault(re.split(r"\s{3,}|\s+# ", line)[0], document.name)
    return found


COMMANDS = commands()


def begins(line, table):
    return next((value for start, value in table.items() if line.startswith(start)), None)


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A folder like a reader's, who has labelled photos and films already."""
    place = tmp_path_factory.mktemp("desk")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        toyworld.write(Path("toys"), seed=3, count=4)
        toyworld.write_films(Path("toys"), 1, 1, frames=16)
        Path("photos").symlink_to("toys/images")
        Path("films").symlink_to("toys/films")
        for name, tiny in MODELS.items():
            link = Path("checkpoints", name)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(HOME / "checkpoints" / tiny)
        for out in ("outputs/photos", "outputs/run", "runs/yesterday"):
            ran("masklet run grounding_dino_sam2 photos/ --ontology toyworld --out", out)
        ran("masklet run demo films/ --out outputs/films export.formats='[sav]' --source")
        Path("gate.yaml").write_text("count_from: 3\n")
        said = here("convert", "outputs/photos/dataset/coco", "coco64", "--to", "coco")
        assert said.returncode == 0, said.stderr
        ran("masklet calibrate outputs/run --truth toys/truth.json")
        (pets,) = (text for language, text in blocks(HOME / "docs/adding-a-class.md") if language == "yaml")
        Path("pets.yaml").write_text(pets)
        every = "--run outputs/run --accept --out corrections/every.jsonl"
        ran(f"masklet corrections import outputs/run/dataset/coco {every}")
        corrected = "--ontology toyworld --out outputs/corrected corrections=corrections"
        ran(f"masklet run grounding_dino_sam2 photos/ {corrected} --reuse outputs/run")
    return place


def ran(line, *more, code=0):
    words = [word for word in shlex.split(line)[1:] if word != "--source"]
    said = here(*words, *more)
    assert said.returncode == code, f"{line}\n{said.stdout}\n{said.stderr}"
    return said


@pytest.fixture
def at_the_desk(desk, tmp_path):
    shutil.copytree(desk, tmp_path, dirs_exist_ok=True, symlinks=True)


@pytest.mark.parametrize("line", [line for line in COMMANDS if not begins(line, NOT_RUN)])
def test_a_command_runs(line, at_the_desk):
    words = line
    for said, meant in STANDS_FOR.items():
        if re.search(rf"{re.escape(said)}(?![\w-])", words):
            words = words.replace(said, meant)
            break
    if line.startswith(("masklet gate runs/today", "masklet diff runs/yesterday")):
        ran("masklet run grounding_dino_sam2 photos/ --ontology toyworld --out runs/today --reuse runs/yesterday")
    if "label_studio corrected" in line:
        ran("masklet export outputs/photos --format label_studio")
    ran(words, code=begins(line, ENDS_IN) or 0)


def test_the_tables_are_of_commands_that_are_there():
    for table in (NOT_RUN, ENDS_IN):
        assert [start for start in table if not any(line.startswith(start) for line in COMMANDS)] == []
    assert len(COMMANDS) > 25


PYTHON = [code for language, code in blocks(HOME / "docs/python.md") if language == "python"]


@pytest.mark.parametrize("code", PYTHON, ids=range(len(PYTHON)))
def test_the_python_of_its_page_runs(code, at_the_desk):
    exec(code, {})
