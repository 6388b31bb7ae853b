"""A run in parts, put together again: the bytes of the run that was never divided, and no model is asked."""

import json
import shutil
from pathlib import Path

import pytest
from driving import counting_backends, handed, here, save_pictures
from film_runs import ALL, configured, everything, run, save_film

from pipeline import engine, films
from pipeline.errors import ConfigError
from pipeline.partition import Part
from pipeline.store import Store

PARTS = 3
NEAR = {"choose": {"near": 8}}
SOURCE = [ALL, NEAR]


@pytest.fixture
def mixed():
    """Twelve pictures and two films; a copy, and one picture in another format, which is near."""
    from PIL import Image

    save_pictures(Path("films"), [f"p{n:02}.png" for n in range(12)], size_hw=(48, 64))
    shutil.copy("films/p03.png", "films/copy.png")
    Image.open("films/p05.png").resize((128, 96)).save("films/near.png")
    Path("films/broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    save_film(Path("films/a.mkv"))
    save_film(Path("films/b.mkv"), shade=20)


def part(number, out=None):
    place = Path(out or f"part{number}")
    return engine.run(configured(*SOURCE), place, part=Part(number, PARTS)), place


def reasons(place):
    with Store(Path(place) / "run.db") as store:
        return {a.name: a.reason for a in store.aside()}


def kept(place):
    with Store(Path(place) / "run.db") as store:
        return set(store.pictures())


def test_parts_together_are_the_whole(mixed):
    whole, _ = run(*SOURCE, out="whole")
    assert whole.aside == {"cut_or_damaged": 1, "duplicate": 1, "near_duplicate": 1}
    summaries, places = zip(*(part(number) for number in range(1, PARTS + 1)), strict=True)
    assert sorted(name for place in places for name in kept(place)) == sorted(kept("whole"))  # each once
    assert [(Path(place) / "dataset").exists() for place in places] == [False] * PARTS
    assert {s.quarantined for s in summaries} == {whole.quarantined}
    assert [s.partition for s in summaries] == ["1/3", "2/3", "3/3"]
    for place in places:
        told = reasons(place)
        assert {name for name, reason in told.items() if reason == "other_part"} == kept("whole") - kept(place)
        assert {name: told[name] for name in reasons("whole")} == reasons("whole")
    merged, lines = run(*SOURCE, out="merged", reuse=places)
    assert (lines, {said["computed"] for said in merged.stages.values()}) == ([], {0})
    assert everything("merged") == everything("whole")
    assert reasons("merged") == reasons("whole")


def test_a_film_of_another_part_is_not_decoded(mixed, monkeypatch):
    decoded = []
    probe = films.probe
    monkeypatch.setattr(films, "probe", lambda path, most, tick: decoded.append(Path(path).name) or probe(path, most))
    for number in range(1, PARTS + 1):
        part(number)
    assert sorted(decoded) == ["a.mkv", "b.mkv"]


def test_a_part_can_be_exported(mixed):
    _, place = part(1)
    said = here("export", place, "--format", "coco")
    assert said.returncode == 0
    images = json.loads((place / "dataset/coco/annotations/instances_default.json").read_text())["images"]
    assert {Path(image["file_name"]).name for image in images} >= {n for n in kept(place) if n.endswith(".png")}


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "1/0", "a/b", "1/3/3", "-1/3"])
def test_what_is_no_part(text):
    with pytest.raises(ConfigError, match=r"--partition: want a part and how many there are, as 2/8, got"):
        Part.parse(text)


def test_every_id_is_in_one_part():
    ids = [f"{number * 7919:032x}" for number in range(500)]
    assert {sum(Part(number, 7).has(id_) for number in range(1, 8)) for id_ in ids} == {1}


def test_from_the_command_line(tmp_path):
    counting_backends(tmp_path)
    save_pictures(Path("photos"), [f"p{n:02}.png" for n in range(9)])
    words = ["photos", "photos_yolox", "detect={backend: counting:Detector}", "segment={backend: fake}"]
    words += ["--ontology", "dog, cat"]
    for number in (1, 2):
        said = here("run", *words, "--partition", f"{number}/2")
        assert f"part       {number}/2; nothing is exported" in said.stdout
        assert Path(f"outputs/photos_yolox-part-{number}-of-2/run.db").is_file()
    planned = json.loads(here("plan", *words, "--partition", "1/2", "--json").stdout)
    assert (planned["stale"], planned["pictures"] + planned["aside"]["other_part"]) == ({}, 9)
    reused = [word for number in (1, 2) for word in ("--reuse", f"outputs/photos_yolox-part-{number}-of-2")]
    assert json.loads(here("plan", *words, *reused, "--json").stdout)["stale"] == {}
    asked = len(handed())
    assert here("run", *words, *reused, "--fail-on-empty").returncode == 0
    assert len(handed()) == asked
    said = here("run", *words, "--partition", "3/2")
    assert (said.returncode, said.stderr) == (
        2,
        "masklet: --partition: want a part and how many there are, as 2/8, got '3/2'\n",
    )
