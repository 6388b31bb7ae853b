"""Run: look up what is known, work on the rest in batches, commit each, export. The one loop.

Nothing here knows a model or a format. A run is the same command until it is done: what is committed is never worked
on again, whatever stopped the run.
"""

import json
import platform
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from itertools import chain as chained
from pathlib import Path
from typing import Any, Protocol

from pipeline import __version__
from pipeline.config import Config
from pipeline.crew import Crew
from pipeline.errors import Interrupted
from pipeline.export import export, up_to_date
from pipeline.jobs import Answer, Done, Failed, Job
from pipeline.labelled import Chain, Labelled, labelled
from pipeline.plan import Survey, chain, job, survey
from pipeline.process import Stop, alone_in, stoppable, write_whole
from pipeline.reasons import in_words
from pipeline.records import Clip
from pipeline.reels import Queue, Way, identified, to_follow, way
from pipeline.runners.local import Here, Processes, settle
from pipeline.segments import Reel
from pipeline.stages import Identify, Stage
from pipeline.store import Aside, Store

LIBRARIES = (
    "numpy",
    "opencv-python-headless",
    "pillow",
    "pycocotools",
    "ImageHash",
    "onnxruntime",
    "torch",
    "transformers",
)


class Watch(Protocol):
    """Whoever follows a run: a progress bar, lines in a log, nobody."""

    def begin(self, what: str, total: int) -> None:
        """A part of the run begins, over so many pictures and frames."""

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
    films: int = 0
    frames: int = 0
    aside: dict[str, int] = field(default_factory=dict)
    drops: dict[str, dict[str, int]] = field(default_factory=dict)
    stages: dict[str, dict[str, float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    datasets: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def quarantined(self) -> int:
        """Files that should have been pictures of the dataset and are not; duplicates are no fault."""
        return sum(n for reason, n in self.aside.items() if reason not in ("duplicate", "near_duplicate"))

    def to_json(self) -> dict[str, Any]:
        """Plain values, versioned."""
        return {"version": 1, "masklet": __version__, **asdict(self)}


def run(
    config: Config, out: Path, reuse: Sequence[Path] = (), limit: int | None = None, watch: Watch | None = None
) -> Summary:
    """Label the source and leave a dataset in `out`; raises what a user can put right, what was computed is kept."""
    others = [other / "run.db" for other in reuse]
    with alone_in(out), stoppable() as stopped, Store(out / "run.db", others) as store:
        this = _Run(config, out, store, config.stages(), config.film_stages(), watch or Nobody(), stopped)
        config.fetch()
        about = config.to_yaml(made_with(config))  # raises where weights are missing
        found = survey(config, store, out, limit, this.looked)
        write_whole(out / "config.yaml", about)
        done = this.settle(found, this.work(found))
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
    film_stages: Sequence[Stage]
    watch: Watch
    stopped: Stop
    summary: Summary = field(default_factory=Summary)
    at_work: list[str] = field(default_factory=list)

    def work(self, found: Survey) -> list[Failed]:
        """Bring every clip through the stages; raises `Interrupted` after committing what was in hand."""
        clips = [(clip, done) for clip in found.clips if self.is_stale(done := chain(clip, self.stages, self.store))]
        ways = [way(reel, self.film_stages, self.store) for reel in found.reels]
        reels = [at.reel for at in ways if not at.whole and not at.failure]
        passes = [self.stages if found.clips or not found.reels else [], self.film_stages if found.reels else []]
        self.at_work = list(dict.fromkeys(stage.name for stages in passes for stage in stages))
        frames = sum(len(clip.frames) for at in ways for clip in to_follow(at, self.store))
        self.watch.begin("labelling", len(clips) + frames)
        self.count(Answer())
        failed: list[Failed] = []
        if clips or reels:  # nothing is loaded for nothing
            failed, died = self.send(self.batches(clips, self.config.run.batch), self.queue(reels))
            if died and not self.stopped.signal:  # one by one, in a process with nothing else: its killer is to blame
                again = self.batches([pair for pair in clips if pair[0].name in died], 1)
                films = self.queue([reel for reel in reels if reel.whole.name in died])
                more, killers = self.send(again, films, alone=True)
                failed += more + [Failed(name, "", "worker_died", "") for name in killers]
            self.identify(reels)
        if self.stopped.signal:
            left = sum(self.is_stale(chain(clip, self.stages, self.store)) for clip, _ in clips)
            left += sum(not way(reel, self.film_stages, self.store).whole for reel in reels)
            what = "pictures" if not reels else "pictures and films"
            again_ = "run the same command again to go on"
            raise Interrupted(f"stopped with {left} {what} to go; {again_}", self.stopped.signal)
        return failed

    def is_stale(self, done: Chain) -> bool:
        """Whether there is work to do on a clip that has come so far."""
        return not done.failure and len(done.keys) < len(self.stages)

    def batches(self, todo: Sequence[tuple[Clip, Chain]], size: int) -> Iterator[list[Job]]:
        """The work on pictures, `size` at a time."""
        for begin in range(0, len(todo), size):
            yield [job(clip, done, self.stages, self.store) for clip, done in todo[begin : begin + size]]

    def queue(self, reels: Sequence[Reel]) -> Queue:
        """The work on films: as many at once as there are hands."""
        settings = self.config.run
        at_once = settings.workers if settings.workers > 1 else settings.batches_in_flight
        return Queue(reels, self.film_stages, self.store, at_once)

    def send(self, batches: Iterator[list[Job]], films: Queue, alone: bool = False) -> tuple[list[Failed], list[str]]:
        """Send batches to the runner and commit each answer: what failed, and what a process took with it in death."""
        failed: list[Failed] = []
        died: list[str] = []

        def until_stopped() -> Iterator[list[Job] | None]:
            for jobs in chained(batches, ([one] if one else None for one in films.jobs())):
                if self.stopped.signal:
                    return
                yield jobs

        crew = partial(Crew, self.stages, self.film_stages)
        for jobs, answer in self.runner(alone).map(crew, until_stopped()):
            failures: list[Failed] = []
            if isinstance(answer, BrokenProcessPool):
                died += [one.clip.name for one in jobs]
            elif isinstance(answer, Exception):
                raise answer
            else:
                failures = self.keep(jobs, answer)
            if jobs[0].following:
                films.answered(jobs[0].clip.name, well=isinstance(answer, Answer) and not failures)
            failed += failures
        return failed, died

    def keep(self, jobs: Sequence[Job], answer: Answer) -> list[Failed]:
        """Commit an answer; what failed of it."""
        commit(self.store, answer)
        self.count(answer)
        failures = [outcome for outcome in answer.outcomes if isinstance(outcome, Failed)]
        objects = sum(outcome.objects for outcome in answer.outcomes if isinstance(outcome, Done))
        self.watch.step(sum(len(one.clip.frames) for one in jobs), objects, len(failures))
        return failures

    def identify(self, reels: Sequence[Reel]) -> None:
        """The last stage of the films that have come through the tracker: which objects they have."""
        for reel in reels:
            at = way(reel, self.film_stages, self.store)
            last = self.film_stages[-1]
            if not at.followed or at.whole or not isinstance(last, Identify) or self.stopped.signal:
                continue
            began = time.perf_counter()
            results = identified(at, last, self.store)
            with self.store.writing():
                self.store.add(results)
                self.store.forget_state(reel.whole.id)
            seconds = {last.name: time.perf_counter() - began}
            self.count(Answer(seconds=seconds, pictures={last.name: len(reel.whole.frames)}))

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
        for name in self.at_work:
            said = self.summary.stages.setdefault(name, {"computed": 0, "asked": 0, "seconds": 0.0})
            said["computed"] += answer.pictures.get(name, 0)
            said["asked"] += answer.asked.get(name, 0)
            said["seconds"] = round(said["seconds"] + answer.seconds.get(name, 0.0), 3)

    def settle(self, found: Survey, failed: Sequence[Failed]) -> dict[str, Labelled]:
        """Write down the run as it stands: its pictures and films with their results, and what is set aside."""
        aside = [*found.aside, *(Aside(f.name, f.stage, f.reason, f.detail) for f in failed)]
        told = {a.name for a in aside}
        counts: Counter[tuple[str, str]] = Counter()
        done: dict[str, Labelled] = {}
        for clip in found.clips:
            so_far = chain(clip, self.stages, self.store, counts)
            if so_far.failure and clip.name not in told:
                aside.append(Aside(clip.name, "open", so_far.failure.reason, so_far.failure.detail))
            elif len(so_far.keys) == len(self.stages):
                done[clip.name] = Labelled(clip, ((clip, so_far),))
        for at in (way(reel, self.film_stages, self.store, counts) for reel in found.reels):
            self.add(at, done, aside, told)
        done = dict(sorted(done.items()))
        with self.store.writing():
            self.store.set_pictures({name: one.to_row() for name, one in done.items()})
            self.store.set_aside(aside)
            self.store.forget_notes("frames_missing")  # films may have been mended, or gone
            self.store.note(("choose", "frames_missing", f"{name}: {said}") for name, said in found.damaged.items())
        self.summarise(found, done, aside, counts)
        return done

    def add(self, at: Way, done: dict[str, Labelled], aside: list[Aside], told: set[str]) -> None:
        """A film, as it stands."""
        name = at.reel.whole.name
        if at.whole:
            done[name] = at.labelled
        elif at.failure and name not in told:
            aside.append(Aside(name, "open", at.failure.reason, at.failure.detail))

    def summarise(
        self, found: Survey, done: Mapping[str, Labelled], aside: Sequence[Aside], counts: Counter[tuple[str, str]]
    ) -> None:
        """The figures of the run as it stands."""
        films = {reel.whole.name for reel in found.reels} & done.keys()
        self.summary.files = len(found.clips) + len(found.reels) + len(found.aside)
        self.summary.pictures = len(done) - len(films)
        self.summary.films = len(films)
        self.summary.frames = sum(len(done[name].whole.frames) for name in films)
        self.summary.aside = dict(sorted(Counter(a.reason for a in aside).items()))
        for (stage, reason), n in sorted(counts.items()):
            self.summary.drops.setdefault(stage, {})[reason] = n
        self.summary.notes = [f"{stage}: {in_words(reason, detail)}" for stage, reason, detail in self.store.notes()]

    def export(self, done: Mapping[str, Labelled]) -> None:
        """Write each format that is not up to date."""
        before = read_summary(self.out).get("datasets", {})
        for name in self.config.export.formats:
            place = self.out / "dataset" / name
            if name in before and up_to_date(self.config, name, place, done):
                self.summary.datasets[name] = before[name]
                continue
            self.watch.begin(f"writing {name}", 2 * len(done))  # once written, once read back
            self.summary.datasets[name] = asdict(export(self.config, name, place, done, self.store, self.tick))

    def looked(self) -> None:
        """A file was looked at; raises `Interrupted` if somebody asked to stop."""
        if self.stopped.signal:
            again = "run the same command again to go on"
            raise Interrupted(f"stopped while looking at the source; {again}", self.stopped.signal)

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
            if isinstance(outcome, Done) and outcome.left:
                store.keep_state(outcome.left.film, outcome.left.key, outcome.left.state)
        store.note(answer.notes)


def export_again(config: Config, out: Path, name: str) -> dict[str, Any]:
    """Write a run's records as one format, whatever the run's own formats are; gives what the dataset has.

    Needs the source and the store, and no model.
    """
    with alone_in(out), Store(out / "run.db") as store:
        done = {one.whole.name: one for one in labelled(store)}
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
        "models": {name: options.provenance() for name, options in config.models().items()},
    }
