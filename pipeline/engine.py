"""Run: look up what is known, work on the rest in batches, commit each, export. The one loop.

Nothing here knows a model or a format. A run is the same command until it is done: what is committed is never worked
on again, whatever stopped the run.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import chain as chained
from pathlib import Path
from typing import Protocol

from pipeline.config import Config
from pipeline.crew import Crew
from pipeline.errors import Interrupted
from pipeline.export import export, up_to_date
from pipeline.jobs import Answer, Done, Failed, Job
from pipeline.labelled import Chain, Labelled
from pipeline.outcome import Summary, known_rates, made_with, read_summary, settle, write_summary
from pipeline.pace import Pace, Rates
from pipeline.partition import Part
from pipeline.plan import Survey, chain, job, survey
from pipeline.process import Stop, alone_in, stoppable, write_whole
from pipeline.records import Clip
from pipeline.reels import Queue, identified, to_follow, way
from pipeline.runners import WorkerDied, runner_of
from pipeline.segments import Reel
from pipeline.stages import Identify, Stage
from pipeline.store import Store


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


def run(
    config: Config,
    out: Path,
    reuse: Sequence[Path] = (),
    limit: int | None = None,
    watch: Watch | None = None,
    part: Part | None = None,
) -> Summary:
    """Label the source and leave a dataset in `out`; raises what a user can put right, what was computed is kept.

    A part is labelled only: a run that reuses all parts has the dataset.
    """
    runner_of(config.run)  # raises where there is none
    others = [other / "run.db" for other in reuse]
    with alone_in(out), stoppable() as stopped, Store(out / "run.db", others) as store:
        this = _Run(config, out, store, config.stages(), config.film_stages(), watch or Nobody(), stopped)
        config.fetch()
        about = config.to_yaml(made_with(config))  # raises where weights are missing
        found = survey(config, store, out, limit, this.looked, part)
        write_whole(out / "config.yaml", about)
        failed = this.work(found)
        done = settle(found, failed, this.stages, this.film_stages, store, this.summary)
        this.summary.rates = known_rates(out, reuse) | this.rates
        this.summary.partition = str(part or "")
        if part is None:
            this.export(done)
        write_summary(out, this.summary.to_json())
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
    rates: Rates = field(default_factory=dict)
    pace: Pace = field(default_factory=lambda: Pace(1))

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
        self.pace = Pace(max(self.config.run.workers, self.config.run.batches_in_flight))
        if clips or reels:  # nothing is loaded for nothing
            failed, died = self.send(self.batches(clips, self.config.run.batch), self.queue(reels))
            if died and not self.stopped.signal:  # one by one, in a process with nothing else: its killer is to blame
                again = self.batches([pair for pair in clips if pair[0].name in died], 1)
                films = self.queue([reel for reel in reels if reel.whole.name in died])
                more, killers = self.send(again, films, alone=True)
                failed += more + [Failed(name, "", "worker_died", "") for name in killers]
            self.rates = self.pace.rates([*self.stages, *self.film_stages])
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
        for jobs, answer in runner_of(self.config.run, alone).map(crew, until_stopped()):
            failures: list[Failed] = []
            if isinstance(answer, WorkerDied):
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
        self.pace.answered(answer)
        failures = [outcome for outcome in answer.outcomes if isinstance(outcome, Failed)]
        objects = sum(outcome.objects for outcome in answer.outcomes if isinstance(outcome, Done))
        worked_on = sum(len(one.clip.frames) for one in jobs if one.until is None)
        self.watch.step(worked_on, objects, len(failures))
        return failures

    def identify(self, reels: Sequence[Reel]) -> None:
        """The last stage of the films that have come through the tracker: which objects they have."""
        for reel in reels:
            at = way(reel, self.film_stages, self.store)
            last = self.film_stages[-1]
            if not at.followed or at.whole or not isinstance(last, Identify) or self.stopped.signal:
                continue
            began = time.perf_counter()
            results, told = identified(at, last, self.store)
            with self.store.writing():
                self.store.add(results, told)
                self.store.forget_state(reel.whole.id)
            pictures, seconds = len(reel.whole.frames), time.perf_counter() - began
            self.count(Answer(seconds={last.name: seconds}, pictures={last.name: pictures}))
            self.rates[last.name] = {"per_s": float(f"{pictures / seconds:.4g}"), "model": ""}

    def count(self, answer: Answer) -> None:
        """Add to what each stage computed in this run, and how long it took."""
        for name in self.at_work:
            said = self.summary.stages.setdefault(name, {"computed": 0, "asked": 0, "seconds": 0.0})
            said["computed"] += answer.pictures.get(name, 0)
            said["asked"] += answer.asked.get(name, 0)
            said["seconds"] = round(said["seconds"] + answer.seconds.get(name, 0.0), 3)

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
