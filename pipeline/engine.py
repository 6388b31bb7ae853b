"""Run: look up what is known, work on the rest in batches, commit each, export. The one loop.

Nothing here knows a model or a format. A run is the same command until it is done: what is committed is never worked
on again, whatever stopped the run.
"""

import json
import platform
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol

from pipeline import __version__
from pipeline.config import Config
from pipeline.errors import Interrupted
from pipeline.export import export, up_to_date
from pipeline.plan import Chain, Survey, chain, job, survey
from pipeline.process import Stop, alone_in, stoppable, write_whole
from pipeline.records import Clip
from pipeline.runners.local import Here, Processes, settle
from pipeline.stages import Stage
from pipeline.store import Aside, Found, Store
from pipeline.work import Answer, Done, Failed, Job, Worker

LIBRARIES = ("numpy", "opencv-python-headless", "pillow", "pycocotools", "onnxruntime", "torch", "transformers")


class Watch(Protocol):
    """Whoever follows a run: a progress bar, lines in a log, nobody."""

    def begin(self, what: str, total: int) -> None:
        """A part of the run begins, over so many pictures."""

    def step(self, pictures: int, objects: int = 0, aside: int = 0) -> None:
        """So many pictures are done."""


class Nobody:
    """Follows nothing."""

    def begin(self, what: str, total: int) -> None:
        """Nothing."""

    def step(self, pictures: int, objects: int = 0, aside: int = 0) -> None:
        """Nothing."""


@dataclass(slots=True)
class Summary:
    """What a run did and what it left: the figures of summary.json."""

    files: int = 0
    pictures: int = 0
    aside: dict[str, int] = field(default_factory=dict)
    drops: dict[str, dict[str, int]] = field(default_factory=dict)
    stages: dict[str, dict[str, float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    datasets: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def quarantined(self) -> int:
        """Files that should have been pictures of the dataset and are not; duplicates are no fault."""
        return sum(n for reason, n in self.aside.items() if reason != "duplicate")

    def to_json(self) -> dict[str, Any]:
        """Plain values, versioned."""
        return {"version": 1, "masklet": __version__, **asdict(self)}


def run(
    config: Config, out: Path, reuse: Sequence[Path] = (), limit: int | None = None, watch: Watch | None = None
) -> Summary:
    """Label the source and leave a dataset in `out`; raises what a user can put right, what was computed is kept."""
    others = [other / "run.db" for other in reuse]
    with alone_in(out), stoppable() as stopped, Store(out / "run.db", others) as store:
        this = _Run(config, out, store, config.stages(), watch or Nobody(), stopped)
        config.fetch()
        about = config.to_yaml(made_with(config))  # raises where weights are missing
        found = survey(config.source, store, out, limit)
        write_whole(out / "config.yaml", about)
        done = this.settle(found, this.work(found.clips))
        this.export(done)
        _write_summary(out, this.summary.to_json())
        return this.summary


@dataclass(slots=True)
class _Run:
    """A run in progress."""

    config: Config
    out: Path
    store: Store
    stages: Sequence[Stage]
    watch: Watch
    stopped: Stop
    summary: Summary = field(default_factory=Summary)

    def work(self, clips: Sequence[Clip]) -> list[Failed]:
        """Bring every clip through the stages; raises `Interrupted` after committing what was in hand."""
        stale = [(clip, done) for clip in clips if self.is_stale(done := chain(clip, self.stages, self.store))]
        self.watch.begin("labelling", len(stale))
        self.count(Answer())
        if not stale:  # nothing is loaded for nothing
            return []
        failed, died = self.send(self.batches(stale, self.config.run.batch))
        if died:  # one by one, in a process that has nothing else: whoever kills it is to blame
            again = [pair for pair in stale if pair[0].name in died]
            more, killers = self.send(self.batches(again, 1), alone=True)
            failed += more + [Failed(name, "", "worker_died", "") for name in killers]
        if self.stopped.signal:
            left = sum(self.is_stale(chain(clip, self.stages, self.store)) for clip, _ in stale)
            again_ = "run the same command again to go on"
            raise Interrupted(f"stopped with {left} pictures to go; {again_}", self.stopped.signal)
        return failed

    def is_stale(self, done: Chain) -> bool:
        """Whether there is work to do on a clip that has come so far."""
        return not done.failure and len(done.keys) < len(self.stages)

    def batches(self, todo: Sequence[tuple[Clip, Chain]], size: int) -> Iterator[list[Job]]:
        """The work, `size` pictures at a time, until somebody asks to stop."""
        for begin in range(0, len(todo), size):
            if self.stopped.signal:
                return
            yield [job(clip, done, self.stages, self.store) for clip, done in todo[begin : begin + size]]

    def send(self, batches: Iterable[list[Job]], alone: bool = False) -> tuple[list[Failed], list[str]]:
        """Send batches to the runner and commit each answer: what failed, and what a process took with it in death."""
        failed: list[Failed] = []
        died: list[str] = []
        for jobs, answer in self.runner(alone).map(partial(Worker, self.stages), batches):
            if isinstance(answer, BrokenProcessPool):
                died += [one.clip.name for one in jobs]
                continue
            if isinstance(answer, Exception):
                raise answer
            commit(self.store, answer)
            self.count(answer)
            failures = [outcome for outcome in answer.outcomes if isinstance(outcome, Failed)]
            objects = sum(outcome.objects for outcome in answer.outcomes if isinstance(outcome, Done))
            self.watch.step(len(jobs), objects, len(failures))
            failed += failures
        return failed, died

    def runner(self, alone: bool) -> Here | Processes:
        """Where batches run; `alone` is one at a time in a process of its own."""
        settings = self.config.run
        prepare = partial(settle, settings.threads, settings.keep_pages)
        if alone:
            return Processes(1, prepare, ahead=1)
        if settings.workers > 1:
            return Processes(settings.workers, prepare)
        prepare()
        return Here(settings.batches_in_flight)

    def count(self, answer: Answer) -> None:
        """Add to what each stage computed in this run, and how long it took."""
        for stage in self.stages:
            said = self.summary.stages.setdefault(stage.name, {"computed": 0, "asked": 0, "seconds": 0.0})
            said["computed"] += answer.pictures.get(stage.name, 0)
            said["asked"] += answer.asked.get(stage.name, 0)
            said["seconds"] = round(said["seconds"] + answer.seconds.get(stage.name, 0.0), 3)

    def settle(self, found: Survey, failed: Sequence[Failed]) -> dict[str, tuple[Clip, Chain]]:
        """Write down the run as it stands: its pictures with their results, and what is set aside."""
        aside = [*found.aside, *(Aside(f.name, f.stage, f.reason, f.detail) for f in failed)]
        told = {a.name for a in aside}
        counts: Counter[tuple[str, str]] = Counter()
        done: dict[str, tuple[Clip, Chain]] = {}
        for clip in found.clips:
            so_far = chain(clip, self.stages, self.store, counts)
            if so_far.failure and clip.name not in told:
                aside.append(Aside(clip.name, "open", so_far.failure.reason, so_far.failure.detail))
            elif len(so_far.keys) == len(self.stages):
                done[clip.name] = (clip, so_far)
        with self.store.writing():
            self.store.set_pictures({name: (clip.to_text(), so_far.keys) for name, (clip, so_far) in done.items()})
            self.store.set_aside(aside)
        self.summary.files = len(found.clips) + len(found.aside)
        self.summary.pictures = len(done)
        self.summary.aside = dict(sorted(Counter(a.reason for a in aside).items()))
        for (stage, reason), n in sorted(counts.items()):
            self.summary.drops.setdefault(stage, {})[reason] = n
        self.summary.notes = [f"{stage}: {reason}: {detail}" for stage, reason, detail in self.store.notes()]
        return done

    def export(self, done: Mapping[str, tuple[Clip, Chain]]) -> None:
        """Write each format that is not up to date."""
        before = read_summary(self.out).get("datasets", {})
        for name in self.config.export.formats:
            place = self.out / "dataset" / name
            if name in before and up_to_date(self.config, name, place, done):
                self.summary.datasets[name] = before[name]
                continue
            self.watch.begin(f"writing {name}", 2 * len(done))  # once written, once read back
            self.summary.datasets[name] = asdict(export(self.config, name, place, done, self.store, self.tick))

    def tick(self) -> None:
        """A picture is written, or read back; raises `Interrupted` if somebody asked to stop."""
        if self.stopped.signal:
            raise Interrupted("stopped while writing; run the same command again to go on", self.stopped.signal)
        self.watch.step(1)


def commit(store: Store, answer: Answer) -> None:
    """Keep an answer: all of it, in one commit."""
    with store.writing():
        for outcome in answer.outcomes:
            store.add(outcome.results, outcome.remembered)
        store.note(answer.notes)


def export_again(config: Config, out: Path, name: str) -> dict[str, Any]:
    """Write a run's records as one format, whatever the run's own formats are; gives what the dataset has.

    Needs the source and the store, and no model.
    """
    with alone_in(out), Store(out / "run.db") as store:
        done = {}
        for picture, (text, keys) in store.pictures().items():
            last = store.result(keys[-1])
            assert isinstance(last, Found)  # a picture of the run has gone through every stage
            done[picture] = (Clip.from_text(text), Chain(keys, last.output))
        exported = asdict(export(config, name, out / "dataset" / name, done, store))
        summary = read_summary(out)
        summary.setdefault("datasets", {})[name] = exported
        _write_summary(out, summary)
        return exported


def read_summary(out: Path) -> dict[str, Any]:
    """A run's summary.json, or nothing where there is none that can be read."""
    try:
        return dict(json.loads((out / "summary.json").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def _write_summary(out: Path, summary: Mapping[str, Any]) -> None:
    write_whole(out / "summary.json", json.dumps(summary, indent=1, ensure_ascii=False) + "\n")


def made_with(config: Config) -> dict[str, Any]:
    """What made a run: versions, and for each backend what its options stand for."""
    libraries = {}
    for name in LIBRARIES:
        try:
            libraries[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "masklet": __version__,
        "python": platform.python_version(),
        "libraries": libraries,
        "device": asdict(config.run.on),
        "models": {"detect": config.detect.provenance(), "segment": config.segment.provenance()},
    }
