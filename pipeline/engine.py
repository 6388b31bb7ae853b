"""Run: look up what is known, work on the rest in batches, commit each, export. The one loop.

Nothing here knows a model or a format. A run is the same command until it is done: what is committed is never worked
on again, whatever stopped the run.
"""

import json
import platform
import signal
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from filelock import FileLock, Timeout

from pipeline import __version__
from pipeline.config import Config
from pipeline.errors import Interrupted, Locked, MaskletError
from pipeline.export import export, up_to_date
from pipeline.plan import Chain, Survey, chain, job, survey
from pipeline.records import Clip
from pipeline.runners.local import Here, Processes, settle
from pipeline.stages import Stage
from pipeline.store import Aside, Store
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


def run(config: Config, out: Path, reuse: Sequence[Path] = (), limit: int | None = None, watch: Watch | None = None) -> Summary:
    """Label the source and leave a dataset in `out`; raises what a user can put right, with everything computed kept."""
    watch = watch or Nobody()
    with _alone_in(out), _stoppable() as stopped:
        with Store(out / "run.db", [other / "run.db" for other in reuse]) as store:
            stages = config.stages()
            write_whole(out / "config.yaml", config.to_yaml(made_with(config)))
            found = survey(config.source, store, out, limit)
            summary = Summary(files=len(found.clips) + len(found.aside))
            failed = _work(config, found.clips, stages, store, summary, watch, stopped)
            done = _settle(found, failed, stages, store, summary)
            _export(config, out, done, store, summary, watch, stopped)
            write_whole(out / "summary.json", json.dumps(summary.to_json(), indent=1, ensure_ascii=False) + "\n")
            return summary


def _work(
    config: Config,
    clips: Sequence[Clip],
    stages: Sequence[Stage],
    store: Store,
    summary: Summary,
    watch: Watch,
    stopped: "_Stop",
) -> list[Failed]:
    """Bring every clip through the stages; raises `Interrupted` after committing what was in hand."""
    chains = [(clip, chain(clip, stages, store)) for clip in clips]
    stale = [(clip, done) for clip, done in chains if not done.failure and len(done.keys) < len(stages)]
    watch.begin("labelling", len(stale))
    _count(summary, stages, Answer())

    def batches(todo: Sequence[tuple[Clip, Chain]], size: int) -> Iterator[list[Job]]:
        for begin in range(0, len(todo), size):
            if stopped.signal:
                return
            yield [job(clip, done, stages, store) for clip, done in todo[begin : begin + size]]

    failed, died = _map(config, batches(stale, config.run.batch), stages, store, summary, watch)
    if died:  # one by one, in a process that has nothing else: whoever kills it is to blame
        again = [pair for pair in stale if pair[0].name in died]
        more, killers = _map(config, batches(again, 1), stages, store, summary, watch, alone=True)
        failed += more + [Failed(name, "", "worker_died", "") for name in killers]
    if stopped.signal:
        left = sum(1 for clip, _ in stale if len(chain(clip, stages, store).keys) < len(stages))
        raise Interrupted(f"stopped with {left} pictures to go; run the same command again to go on", stopped.signal)
    return failed


def _map(
    config: Config,
    batches: Iterable[list[Job]],
    stages: Sequence[Stage],
    store: Store,
    summary: Summary,
    watch: Watch,
    alone: bool = False,
) -> tuple[list[Failed], list[str]]:
    """Send batches to the runner and commit each answer; what failed, and what was lost with a process that died."""
    prepare = partial(settle, config.run.threads, config.run.keep_pages)
    runner: Here | Processes
    if config.run.workers > 1 or alone:
        runner = Processes(1 if alone else config.run.workers, prepare, ahead=1 if alone else 2)
    else:
        prepare()
        runner = Here(config.run.batches_in_flight)
    failed: list[Failed] = []
    died: list[str] = []
    for jobs, answer in runner.map(partial(Worker, stages), batches):
        if isinstance(answer, MaskletError):
            raise answer
        if isinstance(answer, Exception):
            died += [one.clip.name for one in jobs]
            continue
        commit(store, answer)
        _count(summary, stages, answer)
        failures = [outcome for outcome in answer.outcomes if isinstance(outcome, Failed)]
        failed += failures
        objects = sum(outcome.objects for outcome in answer.outcomes if isinstance(outcome, Done))
        watch.step(len(jobs), objects, len(failures))
    return failed, died


def commit(store: Store, answer: Answer) -> None:
    """Keep an answer: all of it, in one commit."""
    with store.writing():
        for outcome in answer.outcomes:
            if isinstance(outcome, Done):
                store.add(outcome.results, outcome.remembered)
            elif outcome.keep is not None:
                store.add([outcome.keep])
        store.note(answer.notes)


def _count(summary: Summary, stages: Sequence[Stage], answer: Answer) -> None:
    """Add to what each stage computed in this run, and how long it took."""
    for stage in stages:
        said = summary.stages.setdefault(stage.name, {"computed": 0, "asked": 0, "seconds": 0.0})
        said["computed"] += answer.pictures.get(stage.name, 0)
        said["asked"] += answer.asked.get(stage.name, 0)
        said["seconds"] = round(said["seconds"] + answer.seconds.get(stage.name, 0.0), 3)


def _settle(
    found: Survey, failed: Sequence[Failed], stages: Sequence[Stage], store: Store, summary: Summary
) -> dict[str, tuple[Clip, Chain]]:
    """Write down the run as it stands: its pictures with their results, and what is set aside."""
    aside = [*found.aside, *(Aside(f.name, f.stage, f.reason, f.detail) for f in failed)]
    told = {a.name for a in aside}
    counts: Counter[tuple[str, str]] = Counter()
    done: dict[str, tuple[Clip, Chain]] = {}
    for clip in found.clips:
        so_far = chain(clip, stages, store, counts)
        if so_far.failure and clip.name not in told:
            aside.append(Aside(clip.name, "open", so_far.failure.reason, so_far.failure.detail))
        elif len(so_far.keys) == len(stages):
            done[clip.name] = (clip, so_far)
    with store.writing():
        store.set_pictures({name: (clip.to_text(), so_far.keys) for name, (clip, so_far) in done.items()})
        store.set_aside(aside)
    summary.pictures = len(done)
    summary.aside = dict(sorted(Counter(a.reason for a in aside).items()))
    for (stage, reason), n in sorted(counts.items()):
        summary.drops.setdefault(stage, {})[reason] = n
    summary.notes = [f"{stage}: {reason}: {detail}" for stage, reason, detail in store.notes()]
    return done


def _export(
    config: Config,
    out: Path,
    done: Mapping[str, tuple[Clip, Chain]],
    store: Store,
    summary: Summary,
    watch: Watch,
    stopped: "_Stop",
) -> None:
    """Write each format that is not up to date."""
    before = read_summary(out).get("datasets", {})
    for name in config.export.formats:
        place = out / "dataset" / name
        if name in before and up_to_date(config, name, place, done):
            summary.datasets[name] = before[name]
            continue
        watch.begin(f"writing {name}", len(done))

        def tick() -> None:
            if stopped.signal:
                raise Interrupted("stopped while writing; run the same command again to go on", stopped.signal)
            watch.step(1)

        summary.datasets[name] = asdict(export(config, name, place, done, store, tick))


def export_again(config: Config, out: Path, name: str) -> dict[str, Any]:
    """Write a run's records as one format, whatever the run's own formats are; gives what the dataset has."""
    with _alone_in(out), Store(out / "run.db") as store:
        stages = config.stages()
        clips = [Clip.from_text(text) for text, _ in store.pictures().values()]
        done = {clip.name: (clip, chain(clip, stages, store)) for clip in clips}
        exported = asdict(export(config, name, out / "dataset" / name, done, store))
        summary = read_summary(out)
        summary.setdefault("datasets", {})[name] = exported
        write_whole(out / "summary.json", json.dumps(summary, indent=1, ensure_ascii=False) + "\n")
        return exported


def read_summary(out: Path) -> dict[str, Any]:
    """A run's summary.json, or nothing where there is none that can be read."""
    try:
        return dict(json.loads((out / "summary.json").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


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


def write_whole(path: Path, text: str) -> None:
    """Put a small file in place in one step."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


@contextmanager
def _alone_in(out: Path) -> Iterator[None]:
    """Hold the folder against other live processes; a dead one's lock is nobody's."""
    out.mkdir(parents=True, exist_ok=True)
    lock = FileLock(out / "run.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise Locked(f"{out}: another masklet is at work here; wait for it, or choose another --out") from error
    try:
        yield
    finally:
        lock.release()


@dataclass(slots=True)
class _Stop:
    """The signal that asked the run to end, or 0."""

    signal: int = 0


@contextmanager
def _stoppable() -> Iterator[_Stop]:
    """SIGINT and SIGTERM end the run after the work in hand; a second one ends the process."""
    stop = _Stop()

    def ask(number: int, _: FrameType | None) -> None:
        if stop.signal:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        stop.signal = number

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


