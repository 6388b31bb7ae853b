"""What there is to do: look at the files, and ask the store how far each picture has come.

`survey` says which pictures there are and which files are none; `chain` says which results a picture has, and from
which stage on it is stale. Both are used before a run, after it, and by `masklet plan`, which stops there.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline import media, sources
from pipeline.config import Config
from pipeline.errors import BadRecord
from pipeline.formats import naming
from pipeline.jobs import Job
from pipeline.labelled import Chain, replayed
from pipeline.records import Clip
from pipeline.segments import Reel, reel
from pipeline.sources import File, Seen
from pipeline.stages import Stage
from pipeline.store import Aside, Failure, Store
from pipeline.work import memory_of

COMMIT_EVERY = 512  # files looked at a commit


@dataclass(frozen=True, slots=True)
class Survey:
    """The pictures and films of a source in the order of their names, and the files that are none.

    `damaged` is said of films that are labelled as far as they can be decoded: name -> what is missing.
    """

    clips: list[Clip]
    aside: list[Aside]
    reels: list[Reel] = field(default_factory=list)
    damaged: dict[str, str] = field(default_factory=dict)


def survey(config: Config, store: Store, out: Path | None = None, limit: int | None = None) -> Survey:
    """Look at every file, or remember what looking has shown; of files with the same bytes the first by name stays."""
    files = sources.files(config.source, apart_from=out)
    seen = _seen(files, config, store)
    clips: dict[str, Clip] = {}
    reels: list[Reel] = []
    aside = []
    damaged: dict[str, str] = {}
    for file in files:
        what = seen[file.path]
        if what.reason or (what.film is not None and config.track is None):
            aside.append(Aside(file.name, "choose", what.reason or "film", what.detail))
            continue
        clip = sources.clip(file, what)
        if what.film is not None:
            clip = sources.film_clip(file, what.film, what.content, config.source)
        if unfit := _unfit_name(clip):
            aside.append(Aside(file.name, "choose", "bad_name", unfit))
        elif clip.id in clips:
            aside.append(Aside(file.name, "choose", "duplicate", f"of {clips[clip.id].name}"))
        elif limit is None or len(clips) < limit:
            clips[clip.id] = clip
            if what.film is not None and config.track is not None:
                reels.append(reel(clip, what.film.cuts, config.track.every, config.run.segment))
                damaged |= {clip.name: what.film.damaged} if what.film.damaged else {}
    films = {one.whole.id for one in reels}
    return Survey([clip for clip in clips.values() if clip.id not in films], aside, reels, damaged)


def _unfit_name(clip: Clip) -> str:
    """Why no dataset can have a picture of this name; '' where it can."""
    try:
        naming.checked(media.export_name(clip))
    except BadRecord as error:
        return str(error)
    return ""


def _seen(files: Sequence[File], config: Config, store: Store) -> dict[str, Seen]:
    """What is known of each file by path; files that are new or were written since are looked at."""
    source, films_too = config.source, config.track is not None
    known = store.seen()
    asked = f"{source.max_pixels}:{source.frame_folders_fps}:{media.VERSION}"
    stamps = {file.path: f"{file.stamp}:{asked}" for file in files}
    seen: dict[str, Seen] = {}
    for file in files:
        stamp, form = known.get(file.path, ("", []))
        if stamp == stamps[file.path]:
            seen[file.path] = Seen.from_json(form)
    unknown = [file for file in files if file.path not in seen]
    for begin in range(0, len(unknown), COMMIT_EVERY):
        some = unknown[begin : begin + COMMIT_EVERY]
        looked = {file.path: what for file, what in sources.look(some, source, films_too)}
        seen.update(looked)
        with store.writing():
            store.remember_files((path, stamps[path], what.to_json()) for path, what in looked.items() if what.lasting)
    return seen


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


def job(clip: Clip, done: Chain, stages: Sequence[Stage], store: Store) -> Job:
    """The rest of the work on a clip, with what models said of it before."""
    scopes = [stage.scope for stage in stages[len(done.keys) :] if stage.scope]
    said = store.memory(clip.id, scopes) if scopes else {}
    memory = {(clip.id, *which): blob for which, blob in said.items()}
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
