"""Films of dark squares through whole runs in this process, with backends that count: what tests of film runs share."""

from pathlib import Path

import filming
import numpy as np
from counting import LOG
from driving import dataset, handed

from pipeline import engine, plan, reels, yamls
from pipeline.config import from_document
from pipeline.labelled import Films
from pipeline.store import Store
from pipeline.toyworld.film_files import coded
from pipeline.toyworld.films import film as toy_film

SIZE_HW = (48, 96)
FRAMES, CUT, EVERY, SEGMENT = 40, 23, 2, 6
SEGMENTS = 4 + 3
"""Of 7, 6, 6 and 4 frames up to the cut, and of 7, 6 and 4 from there on."""
KEYS = 12 + 9
FORMATS = ("coco", "sav", "youtube_vis")


def drawn(number, shade=0, guest=0):
    """A frame of two dark squares, one of 900 pixels, which goes to the right, and one of 400.

    In the first `guest` frames there is a third, of 361 pixels. Behind the cut all else is lighter.
    """
    rgb = np.full((*SIZE_HW, 3), 120 + shade if number < CUT else 220, np.uint8)
    rgb[4:34, 2 + number : 32 + number] = 10
    rgb[26:46, 74:94] = 30
    if number < guest:
        rgb[5:24, 74:93] = 30
    return rgb


def save_film(path, frames=FRAMES, **how):
    path.parent.mkdir(parents=True, exist_ok=True)
    return filming.film_file(path, [drawn(number, **how) for number in range(frames)])


BASE = {
    "source": {"path": "films"},
    "ontology": {"large": ["dark"]},
    "detect": {"backend": "counting:Detector", "inner": {"backend": "blobs:Blobs"}},
    "select": {"threshold": 0.3},
    "segment": {"backend": "counting:Segmenter"},
    "track": {"backend": "counting:Tracker", "every": EVERY},
    "run": {"keep_pages": False, "segment": SEGMENT},
}


def configured(*changes):
    """The base configuration with some of its keys changed; an ontology is replaced as a whole."""
    data = {name: dict(section) for name, section in BASE.items()}
    for change in changes:
        for name, section in change.items():
            data[name] = dict(section) if name == "ontology" else data.get(name, {}) | section
    return from_document(yamls.Document("test", data))


def run(*changes, out="run", reuse=(), limit=None, watch=None):
    """Run, and say what that took: its summary, and what its models were handed."""
    Path(LOG).unlink(missing_ok=True)
    summary = engine.run(configured(*changes), Path(out), [Path(other) for other in reuse], limit, watch)
    return summary, handed()


def computed(summary):
    """Frames that went through detect, select, segment, dedupe, track and identify."""
    return tuple(int(said["computed"]) for said in summary.stages.values())


def of(lines, what):
    """What a model was handed: the numbers of the frames, a list a call."""
    return [line["frames"] for line in lines if line["what"] == what]


def followed(lines):
    """The numbers of all frames that the tracker was handed, in order."""
    return [number for numbers in of(lines, "track") for number in numbers]


def everything(run_folder="run"):
    """Every file of every dataset of a run: name -> bytes. What is told beside a dataset is not of it."""
    return {
        f"{name}/{file}": content
        for name in FORMATS
        if (Path(run_folder) / "dataset" / name).is_dir()
        for file, content in dataset(run_folder, name).items()
    }


def films(run_folder="run"):
    """The films of a run with all that was found in them, by name."""
    with Store(Path(run_folder) / "run.db") as store:
        return dict(Films(store))


def aside(run_folder="run"):
    with Store(Path(run_folder) / "run.db") as store:
        return [(a.name, a.stage, a.reason) for a in store.aside()]


ALL = {"export": {"formats": list(FORMATS)}}


def stops_at(frame, name="a.mkv"):
    """A tracker that fails on a film in the segment with this frame: so far a run comes."""
    return {"track": {"fails_on": name, "fails_from": frame}}


def outlook(*changes, out="run"):
    """What a plan says before a run."""
    config = configured(*changes)
    with Store(None, [Path(out) / "run.db"] if Path(out).is_dir() else []) as store:
        found = plan.survey(config, store)
        return reels.outlook(plan.outlook(found, config.stages(), store), found.reels, config.film_stages(), store)


def save_folder(place, numbers):
    filming.frames_folder(Path(place), [drawn(number) for number in numbers])


def save_toys(*stories, frames):
    """Films of the toy world, with coding losses."""
    Path("films").mkdir()
    for number, story in enumerate(stories):
        Path(f"films/{number}_{story}.mp4").write_bytes(coded(toy_film(6, number, story, frames).rgb))
