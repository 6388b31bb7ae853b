"""What there is to do: look at the files, and ask the store how far each picture has come.

`survey` says which pictures there are and which files are none; `chain` says which results a picture has, and from
which stage on it is stale. Both are used before a run, after it, and by `masklet plan`, which stops there.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline import media, sources
from pipeline.errors import BadRecord
from pipeline.formats import naming
from pipeline.records import Clip, from_blob
from pipeline.sources import File, Seen, Source
from pipeline.stages import Stage
from pipeline.store import Aside, Failure, Store
from pipeline.work import Job, memory_of

COMMIT_EVERY = 512  # files looked at a commit


@dataclass(frozen=True, slots=True)
class Survey:
    """The pictures of a source in the order of their names, and the files that are none."""

    clips: list[Clip]
    aside: list[Aside]


def survey(source: Source, store: Store, out: Path | None = None, limit: int | None = None) -> Survey:
    """Look at every file, or remember what looking has shown; of files with the same bytes the first by name stays."""
    files = sources.files(source, apart_from=out)
    seen = _seen(files, source, store)
    clips: dict[str, Clip] = {}
    aside = []
    for file in files:
        what = seen[file.path]
        if what.reason:
            aside.append(Aside(file.name, "choose", what.reason, what.detail))
            continue
        clip = sources.clip(file, what)
        if unfit := _unfit_name(clip):
            aside.append(Aside(file.name, "choose", "bad_name", unfit))
        elif clip.id in clips:
            aside.append(Aside(file.name, "choose", "duplicate", f"of {clips[clip.id].name}"))
        elif limit is None or len(clips) < limit:
            clips[clip.id] = clip
    return Survey(list(clips.values()), aside)


def _unfit_name(clip: Clip) -> str:
    """Why no dataset can have a picture of this name; '' where it can."""
    try:
        naming.checked(media.export_name(clip))
    except BadRecord as error:
        return str(error)
    return ""


def _seen(files: Sequence[File], source: Source, store: Store) -> dict[str, Seen]:
    """What is known of each file by path; files that are new or were written since are looked at."""
    known = store.seen()
    stamps = {file.path: f"{file.stamp}:{source.max_pixels}:{media.VERSION}" for file in files}
    seen: dict[str, Seen] = {}
    for file in files:
        stamp, form = known.get(file.path, ("", []))
        if stamp == stamps[file.path]:
            seen[file.path] = Seen.from_json(form)
    unknown = [file for file in files if file.path not in seen]
    for begin in range(0, len(unknown), COMMIT_EVERY):
        some = unknown[begin : begin + COMMIT_EVERY]
        looked = {file.path: what for file, what in sources.look(some, source.max_pixels)}
        seen.update(looked)
        with store.writing():
            store.remember_files((path, stamps[path], what.to_json()) for path, what in looked.items() if what.lasting)
    return seen


@dataclass(slots=True)
class Chain:
    """How far a clip has come: the keys of its results in the order of stages, and the hash of its record after them.

    `failure` is the stage's word that the clip cannot go further. The clip is stale from stage `len(keys)` on.
    """

    keys: list[str] = field(default_factory=list)
    digest: str = ""
    failure: Failure | None = None


def chain(clip: Clip, stages: Sequence[Stage], store: Store, counts: Counter[tuple[str, str]] | None = None) -> Chain:
    """Follow a clip's results from key to key, opening none; adds what went, by stage and reason, to `counts`."""
    out = Chain(digest=clip.digest())
    for stage in stages:
        key = stage.key(clip, out.digest)
        found = store.result(key)
        if isinstance(found, Failure):
            out.failure = found
            return out
        if found is None:
            return out
        out.keys.append(key)
        out.digest = found.output
        if counts is not None:
            counts.update({(stage.name, reason): n for reason, n in found.counts.items()})
    return out


def replayed(clip: Clip, keys: Sequence[str], store: Store) -> Clip:
    """The clip with what the results under `keys` found."""
    for key in keys:
        clip = clip.after(from_blob(store.blob(key)))
    return clip


def job(clip: Clip, done: Chain, stages: Sequence[Stage], store: Store) -> Job:
    """The rest of the work on a clip, with what models said of it before."""
    scopes = [stage.scope for stage in stages[len(done.keys) :] if stage.scope]
    memory = store.memory(clip.id, scopes) if scopes else {}
    return Job(replayed(clip, done.keys, store), len(done.keys), memory)


@dataclass(slots=True)
class Work:
    """What a run would do: per stage the pictures that go through it, and those of them that its model is asked about.

    Exact for the first stale stage of a picture; for the stages behind it 'at most', since their answer may come out
    the same, or be remembered.
    """

    pictures: int = 0
    aside: Counter[str] = field(default_factory=Counter)
    stale: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)
    exact: dict[str, bool] = field(default_factory=dict)

    @property
    def nothing(self) -> bool:
        """Whether everything is done."""
        return not self.stale


def outlook(found: Survey, stages: Sequence[Stage], store: Store) -> Work:
    """What a run over these pictures would do."""
    work = Work(len(found.clips), Counter(a.reason for a in found.aside), exact={s.name: True for s in stages})
    for clip in found.clips:
        done = chain(clip, stages, store)
        if done.failure:
            work.aside[done.failure.reason] += 1
            continue
        first = len(done.keys)
        for number, stage in enumerate(stages[first:], first):
            work.stale[stage.name] += 1
            if number > first:
                work.exact[stage.name] = False
                work.asked[stage.name] += bool(stage.scope)
            elif stage.scope:
                at = job(clip, done, stages, store)
                work.asked[stage.name] += stage.will_ask(at.clip, memory_of(stage, [at]))
    return work
