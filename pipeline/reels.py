"""How far films have come, and what is next to do on each: a segment after the other, from the state of the last.

Knows keys and the store, as `plan` does for pictures.
"""

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile

from pipeline.corrections import digest
from pipeline.jobs import Following, Job
from pipeline.labelled import Chain, Labelled, replayed
from pipeline.plan import Work
from pipeline.records import Clip, sha256_of, to_blob
from pipeline.segments import Reel, key_frames
from pipeline.stages import Identify, People, Stage
from pipeline.store import Failure, Remembered, Result, Store
from pipeline.work import memory_of

Counts = Counter[tuple[str, str]]


@dataclass(slots=True)
class Way:
    """How far a film has come: the results of its segments, up to the first one that is stale.

    `followed` says that all segments have come through the tracker, `whole` that the film has its objects.
    """

    reel: Reel
    chains: list[Chain] = field(default_factory=list)
    followed: bool = False
    whole: bool = False
    failure: Failure | None = None

    @property
    def labelled(self) -> Labelled:
        """The film with its results, if it is whole."""
        clips = [clip for _, clip in self.reel.segments()]
        return Labelled(self.reel.whole, tuple(zip(clips, self.chains, strict=True)))


def way(reel: Reel, stages: Sequence[Stage], store: Store, counts: Counts | None = None) -> Way:
    """Follow a film's results from segment to segment, opening none; adds what went to `counts` if it is whole."""
    out = Way(reel)
    went = Counts()
    scene_before, before = -1, ""
    for scene, clip in reel.segments():
        out.chains.append(own := _chain(clip, stages[:-1], store, before if scene == scene_before else "", went))
        store.borrow_memory(one.id for one in key_frames(clip, reel.whole.id))
        out.failure = own.failure
        if len(own.keys) < len(stages) - 1:
            return out
        scene_before, before = scene, own.keys[-1]
    out.followed = True
    for _, own, key in _identify_keys(out, stages[-1]):
        if not _added(own, stages[-1].name, key, store.result(key), went):
            return out
    out.whole = True
    if counts is not None:
        counts.update(went)
    return out


def _chain(clip: Clip, stages: Sequence[Stage], store: Store, before: str, went: Counts) -> Chain:
    out = Chain(digest=clip.digest())
    for stage in stages:
        key = stage.film_key(clip, out.digest, before)
        if not _added(out, stage.name, key, store.result(key), went):
            break
    return out


def _added(chain: Chain, stage: str, key: str, found: object, went: Counts) -> bool:
    """Whether there is a result that the chain now has, too."""
    if isinstance(found, Failure):
        chain.failure = found
    if found is None or isinstance(found, Failure):
        return False
    chain.keys.append(key)
    chain.digest = found.output  # type: ignore[attr-defined]
    went.update({(stage, reason): n for reason, n in found.counts.items()})  # type: ignore[attr-defined]
    return True


def _identify_keys(at: Way, stage: Stage) -> list[tuple[Clip, Chain, str]]:
    """The keys of a film's last stage: each has the results of all its segments in it."""
    lines = stage.lines(at.reel.whole) if isinstance(stage, Identify) else ()
    film = sha256_of([*(chain.keys[-1] for chain in at.chains), *([digest(lines)] if lines else [])])
    clips = (clip for _, clip in at.reel.segments())
    return [(clip, own, stage.key(clip, own.digest, film)) for clip, own in zip(clips, at.chains, strict=True)]


def next_job(at: Way, stages: Sequence[Stage], store: Store) -> Job:
    """The next segment to work on, with the state that it goes on from.

    Where stages without a model are stale, those alone come first: if they say what they said before, the tracker is
    not asked again.
    """
    done = at.chains[-1]
    first = len(done.keys)
    plain = list(takewhile(lambda stage: not stage.scope, stages[first:-1]))
    if plain:
        clip = list(at.reel.segments())[len(at.chains) - 1][1]
        replay = replayed(clip, done.keys, store)
        return Job(replay, first, following=Following(at.reel.whole.id), until=first + len(plain))
    number, following = _goes_on(at, store)
    clip = list(at.reel.segments())[number][1]
    return _job(clip, at.chains[number], stages[:-1], following, store)


def _goes_on(at: Way, store: Store) -> tuple[int, Following]:
    """Which segment is worked on next, and from what.

    The first one that is stale; where the state before it is not kept, the first one after a state that is, or the
    first of the scene.
    """
    scenes = [scene for scene, _ in at.reel.segments()]
    number = len(at.chains) - 1
    begin = scenes.index(scenes[number])
    film = at.reel.whole.id
    tracked = [chain.keys[-1] for chain in at.chains[begin:number]]
    kept = store.state(film, tracked)
    if kept is None:
        return begin, Following(film)
    return begin + tracked.index(kept[0]) + 1, Following(film, *kept)


def to_follow(at: Way, store: Store) -> list[Clip]:
    """The segments that the tracker still has to follow, those included for which its state is not kept."""
    clips = [clip for _, clip in at.reel.segments()]
    return [] if at.followed or at.failure else clips[_goes_on(at, store)[0] :]


def _job(clip: Clip, done: Chain, stages: Sequence[Stage], following: Following, store: Store) -> Job:
    first = min(len(done.keys), len(stages) - 1)
    memory: dict[tuple[str, str, str], bytes] = {}
    scopes = [stage.scope for stage in stages[first:-1] if stage.scope]
    for one in key_frames(clip, following.film) if scopes else ():
        memory |= {(one.id, *which): blob for which, blob in store.memory(one.id, scopes).items()}
    return Job(replayed(clip, done.keys[:first], store), first, memory, following)


def identified(at: Way, stage: Identify, store: Store) -> tuple[list[Result], list[Remembered]]:
    """The last stage, over all segments of a film that were followed: a result each, and what became of corrections.

    The hash in a result is that of the whole film, so that it does not tell where segments end.
    """
    roster = stage.roster()
    segments = [(scene, clip, own) for (scene, clip), own in zip(at.reel.segments(), at.chains, strict=True)]
    for scene, clip, own in segments:
        roster.add(scene, replayed(clip, own.keys, store))
    roster.settle()
    people = People(stage.lines(at.reel.whole))
    for scene, clip, own in segments if people.lines else ():
        before = replayed(clip, own.keys, store)
        people.look(before.after(roster.changes(scene, before)))
    people.settle()
    out, digests = [], []
    for (scene, clip, own), (_, _, key) in zip(segments, _identify_keys(at, stage), strict=True):
        before = replayed(clip, own.keys, store)
        changes = people.changes(before, roster.changes(scene, before))
        digests += [found.digest() for found in before.after(changes).found]
        drops = tuple(drop for change in changes for drop in change.drops)
        out.append(Result(key, clip.id, stage.name, "", drops, to_blob(changes)))
    whole = sha256_of([at.reel.whole.id, *digests])
    told = [Remembered(out[-1].clip, stage.name, out[-1].key, people.fate.told())] if people.lines else []
    return [replace(result, output=whole) for result in out], told


def outlook(work: Work, reels: Sequence[Reel], stages: Sequence[Stage], store: Store) -> Work:
    """Add what a run would do with films: in frames, of which the detector looks at key frames.

    As with pictures, exact for the first stale stage of a segment.
    """
    for reel in reels:
        at = way(reel, stages, store)
        work.films += 1
        work.frames += len(reel.whole.frames)
        work.aside.update([at.failure.reason] if at.failure else [])
        if at.failure or at.whole:
            continue
        for clip in to_follow(at, store):
            _foreseen(work, clip, reel.whole.id, stages[:-1], store)
        work.add(stages[-1], len(reel.whole.frames), 0, exact=at.followed)
    return work


def _foreseen(work: Work, clip: Clip, film: str, stages: Sequence[Stage], store: Store) -> None:
    """Add what comes of a segment that the tracker has to follow, whatever else is known of it."""
    done = _chain(clip, stages[:-1], store, "", Counts())
    first = len(done.keys)
    keys = len(list(key_frames(clip, film)))
    for number, stage in enumerate(stages[first:-1], first):
        asked = keys if stage.scope else 0
        if number == first and stage.scope:
            job = _job(clip, done, stages, Following(film), store)
            memory = memory_of(stage, [job])
            asked = sum(stage.will_ask(one, memory) for one in key_frames(job.clip, film))
        work.add(stage, len(clip.frames), asked, exact=number == first)
    work.add(stages[-1], len(clip.frames), len(clip.frames), exact=first == len(stages) - 1)


class Queue:
    """Films on their way, so many at once, of each one segment at a time: the next one needs what it leaves."""

    def __init__(self, reels: Sequence[Reel], stages: Sequence[Stage], store: Store, at_once: int) -> None:
        self.stages, self.store, self.at_once = stages, store, at_once
        self._waiting = deque(reels)
        self._ready: deque[Reel] = deque()
        self._busy: dict[str, Reel] = {}

    def jobs(self) -> Iterator[Job | None]:
        """What can be worked on, as it comes; `None` says that an answer has to come before there is more."""
        while self._waiting or self._ready or self._busy:
            if not self._ready and self._waiting and len(self._busy) < self.at_once:
                self._ready.append(self._waiting.popleft())
            if not self._ready:
                yield None
                continue
            reel = self._ready.popleft()
            at = way(reel, self.stages, self.store)
            if at.followed or at.failure:
                continue
            self._busy[reel.whole.name] = reel
            yield next_job(at, self.stages, self.store)

    def answered(self, name: str, well: bool) -> None:
        """What was found in a film's segment is committed, or the film cannot go on."""
        reel = self._busy.pop(name)
        if well:
            self._ready.append(reel)
