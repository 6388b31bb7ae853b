"""A batch through the stages: what one bad picture costs, and what lack of memory does."""

from dataclasses import replace
from typing import ClassVar

import asking
import numpy as np
import pytest
from drawing import clip
from pydantic import Field
from test_stages import CAT, CPU, DOG, four

from pipeline import pixels, work
from pipeline.crew import Crew
from pipeline.errors import BadMedia, BadRecord, ConfigError, DiskFull, MaskletError, ModelMissing
from pipeline.jobs import Answer, Done, Failed, Job
from pipeline.media import Picture
from pipeline.ontology import Ontology
from pipeline.plan import chain
from pipeline.records import clip_id, empty, from_blob
from pipeline.stages import Batch, Detect, Memory
from pipeline.store import Failure, Store

NAMES = ("a.jpg", "b.jpg", "c.jpg", "d.jpg")

TROUBLE = {
    "library": ValueError("shapes\n  differ"),
    "bug": KeyError("iou"),
    "record": BadRecord("boxes_xyxy: want finite x0 < x1"),
    "cut": BadMedia("cut_or_damaged", "half of it"),
    "changed": BadMedia("changed", "other bytes"),
    "memory": MemoryError(),
    "cuda": RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    "missing": ModelMissing("no such file: sam.pt"),
    "config": ConfigError("boxes.json: damaged"),
    "disk": DiskFull("no room"),
}


class Troubled(asking.Blind):
    """A detector that fails on some pictures, and on more pictures at once than memory is there for."""

    bad: dict[str, str] = Field(default_factory=dict)
    most: int = 99
    sizes: ClassVar[list[int]] = []

    def open(self, device):
        self.sizes.clear()
        return self

    def detect(self, pictures, prompts):
        self.sizes.append(len(pictures))
        if len(pictures) > self.most:
            raise TROUBLE["cuda"]
        for picture in pictures:
            if picture.clip.name in self.bad:
                raise TROUBLE[self.bad[picture.clip.name]]
        return asking.Blind().open(CPU).detect(pictures, prompts)


class TroubledSegmenter(asking.BlindSegmenter):
    """A segmenter that fails on pictures called b.jpg."""

    trouble: str = "library"

    def open(self, device):
        return self

    def segment(self, pictures, found):
        if "b.jpg" in [picture.clip.name for picture in pictures]:
            raise TROUBLE[self.trouble]
        return asking.Segmenter().open(CPU).segment(pictures, found)


@pytest.fixture(autouse=True)
def _nothing_asked_yet():
    asking.ASKED.clear()


def stages(detector=None, segmenter=None):
    return four((DOG, CAT), detector or asking.Blind(), segmenter or asking.BlindSegmenter())


def jobs(*names):
    return [Job(clip(name=name), 0) for name in names]


def worked(detector=None, segmenter=None, names=NAMES):
    """The answer to a batch, with what failed: name -> (stage, reason, detail)."""
    answer = Crew(stages(detector, segmenter))(jobs(*names))
    assert [outcome.name for outcome in answer.outcomes] == list(names)
    failed = [outcome for outcome in answer.outcomes if isinstance(outcome, Failed)]
    return answer, {one.name: (one.stage, one.reason, one.detail) for one in failed}


def test_a_batch_goes_through_all_stages_together():
    answer, failed = worked()
    assert failed == {}
    assert [[result.stage for result in outcome.results] for outcome in answer.outcomes] == [
        ["detect", "select", "segment", "dedupe"]
    ] * 4
    assert answer.pictures == {"detect": 4, "select": 4, "segment": 4, "dedupe": 4}
    assert answer.asked == {"detect": 4, "select": 0, "segment": 4, "dedupe": 0}
    assert answer.seconds.keys() == answer.pictures.keys()
    assert answer.notes == []


def test_results_can_be_replayed_and_are_under_their_keys():
    answer, _ = worked(names=("a.jpg",))
    (done,) = answer.outcomes
    it = clip(name="a.jpg")
    for stage, result in zip(stages(), done.results, strict=True):
        assert result.key == stage.key(it, it.digest())
        it = it.after(from_blob(result.blob))
        assert result.output == it.digest()
    assert done.objects == len(it.found[0])


def test_what_models_said_is_under_their_scopes():
    answer, _ = worked(names=("a.jpg",))
    detect, _, segment, _ = stages()
    said = {(memory.clip, memory.scope) for memory in answer.outcomes[0].remembered}
    assert said == {(clip().id, detect.scope), (clip().id, segment.scope)}


@pytest.mark.parametrize(
    ("trouble", "told"),
    [
        ("library", ("detect", "backend_failed", "detect (Troubled): ValueError: shapes differ")),  # in one line
        ("bug", ("detect", "backend_failed", "detect (Troubled): KeyError: 'iou'")),
        ("record", ("detect", "backend_failed", "boxes_xyxy: want finite x0 < x1")),  # an answer that breaks the rules
        ("cut", ("open", "cut_or_damaged", "half of it")),  # the file's fault, not the detector's
        ("changed", ("open", "changed", "other bytes")),
        ("memory", ("detect", "out_of_memory", "MemoryError:")),
        ("cuda", ("detect", "out_of_memory", "RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB")),
    ],
)
@pytest.mark.parametrize("names", [NAMES, ("b.jpg",)])  # among others, and alone
def test_one_bad_picture_costs_one_picture(names, trouble, told):
    answer, failed = worked(Troubled(bad={"b.jpg": trouble}), names=names)
    assert failed == {"b.jpg": told}
    others, _ = worked(Troubled(), names=[name for name in names if name != "b.jpg"])
    digests = [[r.output for r in o.results] for o in answer.outcomes if isinstance(o, Done)]
    assert digests == [[r.output for r in o.results] for o in others.outcomes]
    assert answer.pictures.get("dedupe", 0) == len(names) - 1  # what was tried in vain is not counted
    assert answer.pictures.get("detect", 0) == len(names) - 1


def test_two_bad_pictures_cost_two():
    _, failed = worked(Troubled(bad={"a.jpg": "library", "d.jpg": "cut"}))
    assert {name: reason for name, (_, reason, _) in failed.items()} == {
        "a.jpg": "backend_failed",
        "d.jpg": "cut_or_damaged",
    }


@pytest.mark.parametrize("trouble", ["missing", "config", "disk"])
def test_what_concerns_every_picture_is_raised(trouble):
    with pytest.raises(MaskletError) as raised:
        worked(Troubled(bad={"b.jpg": trouble}))
    assert type(raised.value) is type(TROUBLE[trouble])


class Absent(asking.Blind):
    """A detector whose weights are not there."""

    def open(self, device):
        raise ModelMissing("sam.pt: no such file")


def test_a_model_that_cannot_be_had_is_raised_when_it_is_first_needed():
    worker = Crew(stages(Absent()))
    with pytest.raises(ModelMissing, match=r"sam\.pt"):
        worker(jobs("a.jpg"))
    assert worker([]).outcomes == []


def test_a_picture_that_fails_late_keeps_what_was_found_before():
    answer, failed = worked(segmenter=TroubledSegmenter())
    assert failed == {"b.jpg": ("segment", "backend_failed", "segment (TroubledSegmenter): ValueError: shapes differ")}
    bad = answer.outcomes[1]
    assert [result.stage for result in bad.results] == ["detect", "select"]
    assert {memory.scope for memory in bad.remembered} == {stages()[0].scope}
    assert answer.pictures == {"detect": 4, "select": 4, "segment": 3, "dedupe": 3}


def committed(answer):
    store = Store(None)
    with store.writing():
        for outcome in answer.outcomes:
            store.add(outcome.results, outcome.remembered)
    return store


@pytest.mark.parametrize(
    ("trouble", "remembered"),
    [
        ("cut", True),  # the same bytes are cut tomorrow
        ("changed", False),  # the file may be fine in the next run
        ("library", False),  # so may the library
        ("memory", False),
    ],
)
def test_only_what_would_fail_again_is_remembered(trouble, remembered):
    for setup, stage, before in (
        ({"detector": Troubled(bad={"b.jpg": trouble})}, "detect", 0),
        ({"segmenter": TroubledSegmenter(trouble=trouble)}, "segment", 2),
    ):
        answer, _ = worked(**setup)
        so_far = chain(clip(name="b.jpg"), stages(**setup), committed(answer))
        assert len(so_far.keys) == before
        if remembered:
            assert so_far.failure == Failure(
                so_far.failure.key, clip(name="b.jpg").id, stage, "cut_or_damaged", "half of it"
            )
        else:
            assert so_far.failure is None


def test_another_segmenter_gets_its_chance_at_a_picture_that_one_could_not_open():
    answer, _ = worked(segmenter=TroubledSegmenter(trouble="cut"))
    assert chain(clip(name="b.jpg"), stages(), committed(answer)).failure is None


# Memory


@pytest.mark.parametrize(
    ("pictures", "most", "sizes", "notes"),
    [
        (4, 4, [4], []),  # enough
        (4, 2, [4, 2, 2], ["4 -> 2"]),
        (5, 2, [5, 2, 2, 1], ["5 -> 2"]),
        (4, 1, [4, 2, 1, 1, 1, 1], ["4 -> 2", "2 -> 1"]),
        (7, 3, [7, 3, 3, 1], ["7 -> 3"]),
    ],
)
def test_when_memory_runs_out_the_model_gets_half(pictures, most, sizes, notes):
    detector = Troubled(most=most)
    answer, failed = worked(detector, names=[f"{i}.jpg" for i in range(pictures)])
    assert failed == {}
    assert Troubled.sizes == sizes
    assert answer.notes == [("detect", "smaller_batch", f"{note} pictures a call") for note in notes]
    plenty, _ = worked(Troubled(), names=[f"{i}.jpg" for i in range(pictures)])
    assert [o.results[-1].output for o in answer.outcomes] == [o.results[-1].output for o in plenty.outcomes]


def test_it_stays_halved():
    worker = Crew(stages(Troubled(most=2)))
    worker(jobs(*NAMES))
    Troubled.sizes.clear()
    again = worker(jobs("e.jpg", "f.jpg", "g.jpg"))
    assert Troubled.sizes == [2, 1]
    assert again.notes == []


def test_a_note_outlives_a_batch_that_fails():
    answer, failed = worked(Troubled(most=2, bad={"c.jpg": "library"}))
    assert list(failed) == ["c.jpg"]
    assert answer.notes == [("detect", "smaller_batch", "4 -> 2 pictures a call")]


# Which stages a clip goes through


def test_each_clip_enters_at_its_own_stage():
    answer, _ = worked(names=("a.jpg",))
    it = clip(name="a.jpg")
    for result in answer.outcomes[0].results[:2]:
        it = it.after(from_blob(result.blob))
    asking.asked()
    mixed = Crew(stages())([Job(it, 2), *jobs("b.jpg")])
    assert [[result.stage for result in outcome.results] for outcome in mixed.outcomes] == [
        ["segment", "dedupe"],
        ["detect", "select", "segment", "dedupe"],
    ]
    assert [(what, name) for what, name, _ in asking.asked()] == [
        ("detect", "b.jpg"),
        ("segment", "a.jpg"),
        ("segment", "b.jpg"),
    ]
    assert mixed.outcomes[0].results[-1] == answer.outcomes[0].results[-1]


def test_a_model_is_opened_once_and_only_when_asked(monkeypatch):
    opened = []
    monkeypatch.setattr(Detect, "open", lambda self: opened.append("detect") or self.options.open(self.device))
    worker = Crew(stages())
    assert opened == []
    first = worker(jobs("a.jpg"))
    worker(jobs("b.jpg"))
    assert opened == ["detect"]
    memory = {(one.clip, one.scope, one.part): one.blob for one in first.outcomes[0].remembered}
    again = Crew(stages())([Job(clip(name="a.jpg"), 0, memory)])
    assert opened == ["detect"]
    assert again.outcomes[0].results == first.outcomes[0].results


# Reading ahead

SEES, BLIND = asking.Independent(), asking.Blind()
MASKS, BLIND_MASKS = asking.Segmenter(), asking.BlindSegmenter()


def known(*prompts, scope):
    return {(clip(name="a.jpg").id, scope, prompt): b"" for prompt in prompts}


@pytest.mark.parametrize(
    ("detector", "segmenter", "first", "remembered", "decoded"),
    [
        (SEES, MASKS, 0, (), True),
        (SEES, MASKS, 0, ("dog", "puppy", "cat"), False),  # the model was asked before
        (SEES, MASKS, 0, ("dog",), True),
        (BLIND, MASKS, 0, (), True),  # the segmenter is going to look
        (BLIND, BLIND_MASKS, 0, (), False),  # nobody looks
        (SEES, MASKS, 1, (), False),  # select has no model: perhaps nothing is left to segment
        (SEES, BLIND_MASKS, 2, (), False),  # whoever looks has looked
        (SEES, MASKS, 3, (), False),
    ],
)
def test_pictures_are_decoded_ahead_where_a_model_will_look(
    monkeypatch, detector, segmenter, first, remembered, decoded
):
    looked = []
    monkeypatch.setattr(work, "_decoded", lambda picture: looked.append(picture.clip.name))
    own = stages(detector, segmenter)
    memory = known(*remembered, scope=own[0].scope)
    it = clip(name="a.jpg")
    if first:
        it = it.after(Detect(BLIND, Ontology([DOG, CAT]), CPU).changes(_batch(it)))
    pictures = Crew(own).read([Job(it, first, memory)])
    assert [picture.clip.name for picture in pictures] == ["a.jpg"]
    assert looked == (["a.jpg"] if decoded else [])


def _batch(it):
    return Batch([it], [Picture(it)], Memory(), lambda: BLIND.open(CPU), lambda verb, *rows: verb(*rows))


def test_a_picture_that_cannot_be_read_ahead_is_told_by_the_stage_that_looks():
    class Looks(asking.Independent):
        def open(self, device):
            return self

        def detect(self, pictures, prompts):
            return [picture.rgb for picture in pictures]

    worker = Crew(stages(Looks()))
    batch = jobs("gone.jpg")
    answer = worker(batch, worker.read(batch))
    assert (answer.outcomes[0].stage, answer.outcomes[0].reason) == ("open", "changed")


def test_answers_add_up():
    answer = Answer()
    for name in ("a.jpg", "b.jpg"):
        one = Answer([Done(name)], notes=[("detect", "smaller_batch", name)])
        one.spent("detect", 0.5, 1, 1)
        one.spent("detect", 0.25, 2, 0)
        answer.add(one)
    assert [outcome.name for outcome in answer.outcomes] == ["a.jpg", "b.jpg"]
    assert (answer.seconds, answer.pictures, answer.asked) == ({"detect": 1.5}, {"detect": 6}, {"detect": 2})
    assert len(answer.notes) == 2


class NothingFound(asking.Blind):
    """A detector that looks at no pixels and finds nothing."""

    def open(self, device):
        return self

    def detect(self, pictures, prompts):
        return [empty(picture.size_hw) for picture in pictures]


def test_a_damaged_picture_in_which_nothing_is_found_is_refused(tmp_path):
    whole, cut = tmp_path / "whole.png", tmp_path / "cut.png"
    whole.write_bytes(pixels.to_png(np.full((12, 16, 3), 7, np.uint8)))
    cut.write_bytes(whole.read_bytes()[:-30])
    clips = [replace(clip(), id=clip_id(file.read_bytes()), name=file.name, path=str(file)) for file in (whole, cut)]
    answer = Crew(stages(NothingFound(), asking.Segmenter()))([Job(one, 0) for one in clips])
    assert [(type(outcome), outcome.name) for outcome in answer.outcomes] == [(Done, "whole.png"), (Failed, "cut.png")]
    assert answer.outcomes[1].reason == "cut_or_damaged"
