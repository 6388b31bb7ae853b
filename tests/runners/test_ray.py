"""How batches go to a Ray cluster and what becomes of those that are lost, told of a Ray that dies as the tests say.

tests/end_to_end/test_ray_runs.py has the real one.
"""

from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.config import Run
from pipeline.errors import ConfigError
from pipeline.runners import WorkerDied, ray, runner_of
from pipeline.runners.ray import STARTS, TRIES, OnRay
from pipeline.runners.ray_worker import Hands, differing, made_of, size_of


class Lost(Exception):
    """What Ray says when an actor is gone."""


class Wrong(Lost):
    """What Ray says when a call raised."""


class Pretended:
    """Enough of Ray: each call is answered when it is waited for, the oldest first.

    `deadly` is the batch that kills its actor, so many `deaths` long; actor number n does not start if it is in
    `stillborn`; `full` is a cluster without room.
    """

    def __init__(self, deadly="", deaths=0, stillborn=(), full=False, refuses=None):
        self.deadly, self.deaths, self.stillborn, self.full, self.refuses = deadly, deaths, stillborn, full, refuses
        self.exceptions = SimpleNamespace(RayError=Lost, RayTaskError=Wrong)
        self.actors, self.log, self.most, self.options = [], [], 0, []

    def remote(self, _):
        return SimpleNamespace(options=self._options)

    def _options(self, **options):
        self.options.append(options)
        return SimpleNamespace(remote=self._actor)

    def _actor(self):
        actor = SimpleNamespace(number=len(self.actors), dead=len(self.actors) in self.stillborn, calls=[])
        actor.begin = SimpleNamespace(remote=lambda *about: self._call(actor, "begin"))
        actor.work = SimpleNamespace(remote=lambda batch: self._call(actor, batch))
        self.actors.append(actor)
        return actor

    def _call(self, actor, what):
        call = (actor.number, len(self.log))
        self.log.append((actor.number, str(what)))
        actor.calls.append(call)
        return call

    def wait(self, calls, num_returns, timeout):
        for actor in self.actors:
            self.most = max(self.most, sum(call in calls and self.log[call[1]][1] != "begin" for call in actor.calls))
        return ([], calls) if self.full else ([min(calls, key=lambda call: call[1])], [])

    def get(self, call):
        actor, what = self.actors[call[0]], self.log[call[1]][1]
        if what == self.deadly and self.deaths and not actor.dead:
            self.deaths -= 1
            actor.dead = True
        if actor.dead:
            raise Lost("The actor is dead\n  because of this")
        return self.refuses if what == "begin" else f"answer of {what}"

    def kill(self, actor):
        actor.dead = True

    def cluster_resources(self):
        return {"CPU": 2.0, "memory": 1e9}


class Named(list):
    """A batch with a name, which may be that of a film."""

    def __init__(self, name):
        film = name[0] if name[0].isupper() else ""
        super().__init__([SimpleNamespace(clip=SimpleNamespace(path="."), following=SimpleNamespace(film=film))])
        self.name = name

    def __str__(self):
        return self.name


def on_ray(monkeypatch, pretended, alone=False, **settings):
    monkeypatch.setattr(ray, "find_spec", lambda _: True)
    monkeypatch.setattr(ray, "connected", lambda *_: _Context(pretended))
    runner = OnRay(Run(**{"device": "cpu", "workers": 2} | settings), alone)
    return lambda names: [(str(batch), answer) for batch, answer in runner.map(int, map(Named, names))]


class _Context:
    def __init__(self, what):
        self.what = what

    def __enter__(self):
        return self.what

    def __exit__(self, *_):
        pass


def answered(names):
    return [(name, f"answer of {name}") for name in names]


def test_every_batch_is_answered_and_few_are_in_hand(monkeypatch):
    pretended = Pretended()
    names = [f"p{n}" for n in range(9)]
    assert sorted(on_ray(monkeypatch, pretended)(names)) == answered(names)
    assert (len(pretended.actors), pretended.most) == (2, 2)
    assert [what for _, what in pretended.log].count("begin") == 2


@pytest.mark.parametrize(
    ("settings", "alone", "actors", "most", "asked"),
    [
        ({"threads": 3}, False, 2, 2, (3, 0, 1)),
        ({"device": "cuda", "workers": 3}, False, 3, 4, (1, 1, 3)),
        ({"device": "cuda"}, True, 1, 1, (1, 1, 1)),
    ],
)
def test_what_is_asked_of_ray(settings, alone, actors, most, asked, monkeypatch):
    monkeypatch.setenv("HF_HOME", "/models")
    pretended = Pretended()
    on_ray(monkeypatch, pretended, alone, **settings)([f"p{n}" for n in range(20)])
    assert (len(pretended.actors), pretended.most) == (actors, most)
    (one, *_) = pretended.options
    assert (one["num_cpus"], one["num_gpus"], one["max_concurrency"]) == asked
    assert one["runtime_env"]["env_vars"]["HF_HOME"] == "/models"


def test_what_an_actor_takes_with_it_is_handed_to_another(monkeypatch):
    pretended = Pretended(deadly="p3", deaths=1)
    names = [f"p{n}" for n in range(6)]
    assert sorted(on_ray(monkeypatch, pretended)(names)) == answered(names)
    assert len(pretended.actors) == 3
    assert [what for _, what in pretended.log].count("p3") == 2


def test_what_kills_every_actor_is_told(monkeypatch):
    pretended = Pretended(deadly="p3", deaths=99)
    names = [f"p{n}" for n in range(12)]
    answers = dict(on_ray(monkeypatch, pretended)(names))
    assert isinstance(answers["p3"], WorkerDied)
    assert sum(isinstance(answer, WorkerDied) for answer in answers.values()) <= 2  # one more was behind it, twice
    assert answers.keys() == set(names)
    assert [what for _, what in pretended.log].count("p3") == TRIES


def test_a_film_stays_with_its_actor_and_goes_on_elsewhere_when_that_is_lost(monkeypatch):
    pretended = Pretended()
    on_ray(monkeypatch, pretended)(["A1", "B1", "A2", "B2", "A3", "B3", "A4", "B4"])
    after_both = [(number, what[0]) for number, what in pretended.log if what[-1] in "34"]
    assert len(set(after_both)) == 2
    lost = Pretended(deadly="A3", deaths=1)
    names = ["A1", "A2", "A3", "A4"]
    assert sorted(on_ray(monkeypatch, lost)(names)) == answered(names)


@pytest.mark.parametrize(
    ("pretended", "said"),
    [
        (Pretended(full=True), "no room for a worker: want 1 CPU, it has {'CPU': 2.0}"),
        (Pretended(stillborn=range(99)), "no worker can start on Ray: because of this"),
        (Pretended(refuses=ConfigError("Ray node b: torch is 2")), "Ray node b: torch is 2"),
    ],
)
def test_a_cluster_that_cannot_work_is_told(pretended, said, monkeypatch):
    with pytest.raises(ConfigError, match=None) as error:
        on_ray(monkeypatch, pretended)(["p0"])
    assert said in str(error.value)


def test_one_that_does_not_start_is_replaced(monkeypatch):
    pretended = Pretended(stillborn=range(STARTS - 1))
    assert on_ray(monkeypatch, pretended)(["p0"]) == answered(["p0"])


def test_nothing_to_do_needs_no_cluster(monkeypatch):
    pretended = Pretended()
    assert on_ray(monkeypatch, pretended)([]) == []
    assert pretended.actors == []


@pytest.mark.parametrize(
    ("settings", "there", "said"),
    [
        ({}, None, "run.runner: ray is not installed; pip install 'masklet[ray]'"),
        ({"device": "cuda:1"}, True, "run.device: cuda:1: Ray hands out GPUs; say run.device=cuda"),
    ],
)
def test_what_cannot_be_is_told_at_once(settings, there, said, monkeypatch):
    monkeypatch.setattr(ray, "find_spec", lambda _: there)
    with pytest.raises(ConfigError) as error:
        runner_of(Run(runner="ray", **settings))
    assert str(error.value) == said


# On a node


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"wanted": {"torch": "0.1"}}, "torch is "),
        ({"home": "nowhere"}, "nowhere is not there as it is here; every node needs the same files and paths"),
        ({"size": 7}, "a.png is not there as it is here"),
        ({"file": "gone.png"}, "gone.png is not there as it is here"),
    ],
)
def test_a_node_that_is_not_like_ours_says_so(change, said, tmp_path):
    (tmp_path / "a.png").write_bytes(b"12345")
    home = tmp_path / change.get("home", "")
    witness = str(tmp_path / change.get("file", "a.png")), change.get("size", 5)
    before = Path.cwd()
    problem = Hands.begin(SimpleNamespace(), home, witness, made_of() | change.get("wanted", {}), b"")
    assert isinstance(problem, ConfigError)
    assert said in str(problem)
    assert Path.cwd() == before


def test_versions_that_differ():
    assert differing({"a": "1"}, {"a": "1", "b": "2"}) == "b is not installed, and 2 where the run is"


def test_the_size_of_what_is_there(tmp_path):
    (tmp_path / "a").write_bytes(b"123")
    assert [size_of(str(tmp_path / name)) for name in ("a", "", "b")] == [3, 0, -1]
