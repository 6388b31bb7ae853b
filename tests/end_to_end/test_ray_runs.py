"""Runs on Ray clusters of two nodes leave the bytes that a local run leaves, whoever is killed meanwhile."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from counting import LOG
from driving import MASKLET, counting_backends, dataset, handed, masklet, save_pictures
from film_runs import ALL, SEGMENTS, everything, save_film
from film_runs import configured as of_films

from pipeline import engine, toyworld, yamls
from pipeline.config import from_document, load
from pipeline.store import Store

pytest.importorskip("ray", reason="needs ray: pip install 'masklet[ray]'")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

BACKENDS = ["photos_yolox", "--ontology", "dog, cat"]
BACKENDS += ["detect={backend: counting:Detector}", "segment={backend: counting:Segmenter}"]
NODE = {"num_cpus": 1, "object_store_memory": 100 * 2**20}
PICTURES = 24
COUNTED = {
    "source": {"path": "pictures"},
    "ontology": {"dog": ["a dog"], "cat": ["a cat"]},
    "detect": {"backend": "counting:Detector", "sleep_s": 0.05},
    "segment": {"backend": "counting:Segmenter", "inner": {"backend": "grabcut"}},
    "run": {"keep_pages": False, "batch": 2},
}


@pytest.fixture(scope="module")
def cluster():
    """Two nodes with a core each: an actor has to be on either."""
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    nodes.add_node(**NODE)
    yield nodes
    nodes.shutdown()


@pytest.fixture
def on_ray(cluster, tmp_path):
    """What makes a run one on the cluster; counting backends lie in the working folder."""
    counting_backends(tmp_path)
    return {"run": {"runner": "ray", "ray_address": cluster.address, "workers": 2}}


def configured(*changes):
    data = {name: dict(section) for name, section in COUNTED.items()}
    for change in changes:
        for name, section in change.items():
            data[name] = data.get(name, {}) | section
    return from_document(yamls.Document("test", data))


def run(*changes, out="run", watch=None):
    Path(LOG).unlink(missing_ok=True)
    return engine.run(configured(*changes), Path(out), watch=watch)


def workers():
    """The processes that models were opened in."""
    return {line["pid"] for line in handed() if line["what"] == "open detect"}


class Killer(engine.Nobody):
    """Does something after so many pictures: pictures -> what."""

    def __init__(self, deeds):
        self.deeds, self.done = dict(deeds), 0

    def step(self, pictures, objects=0, aside=0):
        self.done += pictures
        for when in [when for when in self.deeds if when <= self.done]:
            self.deeds.pop(when)()


def kill_a_worker():
    os.kill(handed()[-1]["pid"], signal.SIGKILL)


def noise(stderr):
    """What a command says beside how far it is."""
    return [line for line in stderr.splitlines() if not line.startswith("labelling:")]


def is_below(process, ancestor):
    """Whether a process has another one above it."""
    while process > 1 and process != ancestor:
        process = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    return process == ancestor


def test_grabcut_on_two_nodes_and_here(on_ray):
    save_pictures(Path("pictures"), [f"p{n:02}.png" for n in range(PICTURES)])
    run(out="here")
    summary = run(on_ray)
    assert (summary.pictures, len(workers())) == (PICTURES, 2)
    assert os.getpid() not in workers()
    assert dataset("run") == dataset("here")
    assert run(on_ray).stages["detect"]["computed"] == 0
    assert handed() == []


def test_the_tiny_models_on_two_nodes_and_here(on_ray):
    toyworld.write(Path("scenes"), seed=4, count=6)
    toyworld.write_films(Path("films"), seed=4, count=2, frames=17)
    Path("films").rename("scenes/images/films")
    said = ["source.path=scenes/images", "run.segment=8", "export.formats=[coco, sav]", "run.batch=1"]
    engine.run(load("demo", said), Path("here"))
    engine.run(load("demo", [*said, *(f"run.{key}={value}" for key, value in on_ray["run"].items())]), Path("run"))
    here = dataset("here", "")
    assert len(here) > 10
    assert dataset("run", "") == here


def test_a_worker_and_a_node_are_killed_midway(on_ray, cluster):
    save_pictures(Path("pictures"), [f"p{n:02}.png" for n in range(PICTURES)])
    run(out="here")
    node = cluster.list_all_nodes()[-1]
    (head,) = cluster.head_node.all_processes["raylet"]
    gone = []

    def kill_the_heads_worker():
        (worker,) = [pid for pid in workers() if is_below(pid, head.process.pid)]
        os.kill(worker, signal.SIGKILL)

    def kill_the_other_node():
        cluster.remove_node(node, allow_graceful=False)
        gone.append(node)

    try:
        summary = run(on_ray, watch=Killer({10: kill_the_heads_worker, 14: kill_the_other_node}))
    finally:
        cluster.add_node(**NODE)
    assert gone
    assert (summary.pictures, summary.aside) == (PICTURES, {})
    assert len(workers()) >= 3  # one that took the place of the first has done the rest
    assert dataset("run") == dataset("here")


def test_a_film_goes_on_from_its_last_state_where_its_worker_was_killed(on_ray):
    save_film(Path("films/a.mkv"))
    save_film(Path("films/b.mkv"), shade=20)
    engine.run(of_films(ALL), Path("whole"))
    Path(LOG).unlink()
    engine.run(of_films(ALL, on_ray), Path("run"), watch=Killer({14: kill_a_worker}))
    assert everything() == everything("whole")
    tracked = [(line["name"], line["frames"][0]) for line in handed() if line["what"] == "track"]
    assert len(tracked) <= 2 * SEGMENTS + 2  # at most the segments in hand, once more
    by_film = [{line["pid"] for line in handed() if line.get("name") == name} for name in ("a.mkv", "b.mkv")]
    assert max(map(len, by_film)) >= 2


def test_what_kills_its_workers_costs_itself_alone_and_makes_no_noise(on_ray):
    save_pictures(Path("pictures"), [f"p{n:02}.png" for n in range(6)])
    words = [*BACKENDS, "detect.dies_on=p03.png", "--runner", "ray", "--ray-address", on_ray["run"]["ray_address"]]
    said = masklet("run", "pictures", *words, "--workers", "2", "run.batch=2", "--out", "run", "--json")
    assert (said.returncode, noise(said.stderr)) == (0, [])
    summary = json.loads(said.stdout)
    assert (summary["pictures"], summary["aside"]) == (5, {"worker_died": 1})
    with Store(Path("run/run.db")) as store:
        assert [(a.name, a.reason) for a in store.aside()] == [("p03.png", "worker_died")]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_and_gone_on_with_in_a_cluster_of_its_own(number, code, tmp_path):
    counting_backends(tmp_path)
    save_pictures(Path("pictures"), [f"p{n:02}.png" for n in range(PICTURES)])
    said = ["run", "pictures", *BACKENDS, "detect.sleep_s=0.3", "--out"]
    words = [*said, "run", "--runner", "ray", "--workers", "2", "run.batch=2"]
    begun = subprocess.Popen([MASKLET, *words], stderr=subprocess.PIPE, text=True, start_new_session=True)
    while not any(line["what"] == "segment" for line in handed()):
        time.sleep(0.05)
        assert begun.poll() is None
    if number == signal.SIGINT:
        os.killpg(begun.pid, number)  # as a terminal does
    else:
        begun.terminate()
    _, said_last = begun.communicate(timeout=60)
    assert begun.returncode == code
    assert [line[:21] for line in noise(said_last)] == ["masklet: stopped with"]
    whole = masklet(*words)
    assert (whole.returncode, "ray" in f"{whole.stdout}{whole.stderr}".lower()) == (0, False)
    masklet(*said, "here")
    assert dataset("run") == dataset("here")


def test_an_address_where_nobody_is(tmp_path):
    save_pictures(Path("pictures"), ["a.png"])
    fakes = ["photos_yolox", "detect={backend: fake}", "segment={backend: fake}"]
    said = masklet("run", "pictures", *fakes, "--runner", "ray", "--ray-address", "127.0.0.1:1")
    assert said.returncode == 2
    assert said.stderr.startswith("masklet: run.ray_address: no Ray cluster at 127.0.0.1:1: ")
    assert said.stderr.count("\n") == 1
