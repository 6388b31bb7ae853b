"""What there is to do: look at the files, and ask the store how far each picture has come.

`survey` says which pictures there are and which files are none; `chain` says which results a picture has, and from
which stage on it is stale. Both are used before a run, after it, and by `masklet plan`, which stops there.
"""

from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from pipeline import choose, media, sources
from pipeline.config import Config
from pipeline.errors import BadRecord
from pipeline.formats import naming
from pipeline.jobs import Job
from pipeline.labelled import Chain, replayed
from pipeline.partition import Part
from pipeline.records import Clip
from pipeline.segments import Reel, reel
from pipeline.sources import File, Seen
from pipeline.stages import Stage
from pipeline.store import Aside, Failure, Store
from pipeline.work import memory_of

COMMIT_EVERY = 512  # pictures looked at a commit


@dataclass(frozen=True, slots=True)
class Survey:
    """The pictures and films of a source in the order of their names, and the files that are none.

    `damaged` is said of films that are labelled as far as they can be decoded: name -> what is missing.
    """

    clips: list[Clip]
    aside: list[Aside]
    reels: list[Reel] = field(default_factory=list)
    damaged: dict[str, str] = field(default_factory=dict)


def survey(
    config: Config,
    store: Store,
    out: Path | None = None,
    limit: int | None = None,
    tick: Callable[[], None] = lambda: None,
    part: Part | None = None,
) -> Survey:
    """Look at every file, or remember what looking has shown; of files with the same bytes the first by name stays.

    With a limit, no file is looked at behind the last one that is wanted. `tick` is called after every file, and with
    every frame of a film, and may raise. A part is taken of what is kept.
    """
    clips: dict[str, Clip] = {}
    hashes: dict[str, int] = {}
    reels: list[Reel] = []
    aside = []
    damaged: dict[str, str] = {}
    with closing(_seen(sources.files(config.source, apart_from=out), config, store, part, tick)) as looking:
        for file, what in looking:
            tick()
            if what.reason or (what.film is not None and config.track is None):
                aside.append(Aside(file.name, "choose", what.reason or "film", what.detail))
                continue
            clip = _clip(file, what, config)
            if unfit := _unfit_name(clip):
                aside.append(Aside(file.name, "choose", "bad_name", unfit))
            elif clip.id in clips:
                aside.append(Aside(file.name, "choose", "duplicate", f"of {clips[clip.id].name}"))
            else:
                clips[clip.id] = clip
                if shown := what.hashes.get(choose.HASH):
                    hashes[clip.id] = int(shown, 16)
                if what.film is not None and config.track is not None:
                    reels.append(reel(clip, what.film.cuts, config.track.every, config.run.segment))
                    damaged |= {clip.name: what.film.damaged} if what.film.damaged else {}
            if len(clips) == limit:
                break
    films = {one.whole.id for one in reels}
    pictures = [clip for clip in clips.values() if clip.id not in films]
    if config.choose.near is not None:
        near = _near_duplicates(pictures, hashes, config.choose.near)
        aside += near.values()
        pictures = [clip for clip in pictures if clip.name not in near]
    found = Survey(pictures, aside, reels, damaged)
    return found if part is None else _in_part(found, part)


def _in_part(found: Survey, part: Part) -> Survey:
    """What is in a part; the rest is set aside."""
    wholes = [*found.clips, *(reel.whole for reel in found.reels)]
    others = [Aside(one.name, "choose", "other_part", f"not in {part}") for one in wholes if not part.has(one.id)]
    gone = {aside.name for aside in others}
    return Survey(
        [clip for clip in found.clips if clip.name not in gone],
        [*found.aside, *others],
        [reel for reel in found.reels if reel.whole.name not in gone],
        {name: said for name, said in found.damaged.items() if name not in gone},
    )


def _near_duplicates(clips: Sequence[Clip], hashes: Mapping[str, int], distance: int) -> dict[str, Aside]:
    return {
        clip.name: Aside(clip.name, "choose", "near_duplicate", f"of {kept.name}, distance {bits}")
        for clip, kept, bits in choose.near_duplicates(clips, hashes, distance)
    }


def _clip(file: File, what: Seen, config: Config) -> Clip:
    if what.film is None:
        return sources.clip(file, what)
    return sources.film_clip(file, what.film, what.content, config.source)


def _unfit_name(clip: Clip) -> str:
    """Why no dataset can have a picture of this name; '' where it can."""
    try:
        naming.checked(media.export_name(clip))
    except BadRecord as error:
        return str(error)
    return ""


def _seen(
    files: Sequence[File], config: Config, store: Store, part: Part | None, tick: Callable[[], None]
) -> Generator[tuple[File, Seen], None, None]:
    """What is known of each file; those that are new or were written since are looked at when their turn comes."""
    source, films_too = config.source, config.track is not None
    known = store.seen()
    asked = f"{source.max_pixels}:{source.frame_folders_fps}:{media.VERSION}"
    stamps = {file.path: f"{file.stamp}:{asked}" for file in files}
    hashed = config.choose.near is not None
    unknown = [
        file
        for file in files
        if known.get(file.path, ("",))[0] != stamps[file.path]
        or (hashed and not Seen.from_json(known[file.path][1]).is_hashed)
    ]
    new_ones = {file.path for file in unknown}
    new: dict[str, Seen] = {}

    def remember() -> None:
        with store.writing():
            store.remember_files((path, stamps[path], what.to_json()) for path, what in new.items() if what.lasting)
        new.clear()

    with closing(sources.look(unknown, source, films_too, hashed, part, tick)) as looking:
        try:
            for file in files:
                if file.path not in new_ones:
                    yield file, Seen.from_json(known[file.path][1])
                    continue
                _, what = next(looking)
                new[file.path] = what
                if len(new) == COMMIT_EVERY or what.film is not None:  # a film is decoded: it costs minutes
                    remember()
                yield file, what
        finally:
            remember()


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

    Of films it is frames. Exact for the first stale stage of a picture; for the stages behind it 'at most', since their
    answer may come out the same, or be remembered.
    """

    pictures: int = 0
    films: int = 0
    frames: int = 0
    aside: Counter[str] = field(default_factory=Counter)
    stale: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)
    exact: dict[str, bool] = field(default_factory=dict)

    @property
    def nothing(self) -> bool:
        """Whether everything is done."""
        return not self.stale

    def add(self, stage: Stage, pictures: int, asked: int, exact: bool) -> None:
        """So many pictures, or frames, go through a stage."""
        self.stale[stage.name] += pictures
        self.asked[stage.name] += asked
        self.exact[stage.name] = exact and self.exact.get(stage.name, True)


def outlook(found: Survey, stages: Sequence[Stage], store: Store) -> Work:
    """What a run over these pictures would do."""
    aside = Counter(a.reason for a in found.aside)
    passed = stages if found.clips or not found.reels else []
    work = Work(len(found.clips), aside=aside, exact={stage.name: True for stage in passed})
    for clip in found.clips:
        done = chain(clip, stages, store)
        if done.failure:
            work.aside[done.failure.reason] += 1
            continue
        first = len(done.keys)
        for number, stage in enumerate(stages[first:], first):
            asked = bool(stage.scope)
            if number == first and stage.scope:
                at = job(clip, done, stages, store)
                asked = stage.will_ask(at.clip, memory_of(stage, [at]))
            work.add(stage, 1, asked, exact=number == first)
    return work
