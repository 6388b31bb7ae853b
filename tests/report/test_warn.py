"""What is allowed in a configuration and probably not meant."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.config import load
from pipeline.detectors.fake import Fake
from pipeline.report.warn import warnings


def configured(ontology="dog, cat", detector="fake"):
    return load(None, [f"ontology={ontology}", f"detect.backend={detector}", "segment.backend=fake"])


SCORES = "the same score: no threshold can tell right from wrong"
LEARNT = "the calibration was learnt from another detector"


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["verify.backend=fake"], ["nothing goes for what it says; say select.verified=0.5"]),
        (["verify.backend=fake", "select.verified=0.5"], []),
        (["verify.backend=fake", "select.verified=0.5", "ontology=dog"], ["nothing that 'dog' could be told from"]),
        (["verify.backend=fake", "select.verified=0.5", "ontology={dog: {negatives: [toy]}}"], []),
        (["verify={backend: clip, model: x}", "select.verified=0.5", "ontology=dog"], []),  # has words of its own
        (["select.threshold=0.5"], []),
        (["detect.backend=warn_backends:Constant"], []),  # no threshold was chosen
        (["detect.backend=warn_backends:Constant", "select.threshold=0.5"], [SCORES]),
        (["detect.backend=warn_backends:Constant", "ontology={dog: {threshold: 0.5}}"], [SCORES]),
        (["select.calibration={detector: {backend: fake, objects: 1}}"], []),
        (["select.calibration={detector: {backend: fake, objects: 2}}"], [LEARNT]),
        (["select.calibration={thresholds: {dog: 0.2}}"], []),  # written by hand
    ],
)
def test_scores_and_second_opinions(overrides, said, monkeypatch):
    monkeypatch.setitem(sys.modules, "warn_backends", SimpleNamespace(Constant=Constant))
    config = load(None, ["ontology=dog, cat", "detect.backend=fake", "segment.backend=fake", *overrides])
    told = warnings(config)
    assert len(told) == len(said)
    assert all(part in line for part, line in zip(said, told, strict=True))


class Constant(Fake):
    @property
    def constant_scores(self):
        return True


def before(ontology, out="run"):
    Path(out).mkdir(exist_ok=True)
    (Path(out) / "config.yaml").write_text(configured(ontology).to_yaml({"masklet": "0.1"}), encoding="utf-8")
    return Path(out)


@pytest.mark.parametrize(
    ("ontology", "detector", "said"),
    [
        ("dog, cat", "fake", []),
        ("dog, Dog", "fake", ["ontology: 'dog' and 'Dog' are two classes that look like one"]),
        ("dog, wolf", "fake", []),  # any words can be asked
        ("dog, cat", "asking:ClosedSet", []),
        ("dog, wolf", "asking:ClosedSet", ["detect: asking:ClosedSet does not know 'wolf', and finds nothing for it"]),
        ("birds", "asking:ClosedSet", ["'birds', and finds nothing for it; did you mean bird?"]),
        ("{dog: {negatives: [toy]}}", "asking:ClosedSet", ["'toy', and finds nothing for it"]),  # a negative as well
        ("{dog: , wolf: {retired: true}}", "asking:ClosedSet", []),  # nobody asks for it
        ("wolf, lynx", "asking:ClosedSet", ["'wolf'", "'lynx'"]),
    ],
)
def test_a_configuration(ontology, detector, said):
    told = warnings(configured(ontology, detector))
    assert len(told) == len(said)
    assert all(part in line for part, line in zip(said, told, strict=True))
    assert not any("\n" in line for line in told)


@pytest.mark.parametrize(
    ("then", "now", "moved"),
    [
        ("dog, cat", "dog, cat", None),
        ("dog, cat", "dog, cat, bird", None),  # a class added at the end
        ("dog, cat", "dog", None),  # a class less at the end
        ("dog, cat", "bird, dog, cat", "1 was 'dog', is 'bird', 2 was 'cat', is 'dog'"),  # inserted first
        ("dog, cat", "cat, dog", "1 was 'dog', is 'cat', 2 was 'cat', is 'dog'"),
        ("dog, cat", "cat", "1 was 'dog', is 'cat'"),
        ("dog, cat", "{bird: , dog: {id: 1}, cat: {id: 2}}", None),  # numbered
        ("dog, cat", "{dog: {retired: true}, cat: }", None),  # a retired class keeps its number
        ("dog, cat", "bird, fish", "1 was 'dog', is 'bird', 2 was 'cat', is 'fish'"),  # nothing in common
    ],
)
def test_numbers_that_shift_against_the_run_that_is_there(then, now, moved):
    out = before(then)
    expected = [] if moved is None else [f"ontology: class numbers shift against run: {moved}; a model trained on"]
    told = warnings(configured(now), out)
    assert len(told) == len(expected)
    assert all(line.startswith(start) for line, start in zip(told, expected, strict=True))
    assert all("`id`" in line for line in told)  # and how to mend it


@pytest.mark.parametrize(
    ("then", "now", "said"),
    [
        (["source.path=a"], ["source.path=a"], ""),
        (["source.path=a/"], ["source.path=./a"], ""),  # the same place
        (["source.path=a"], ["source.path=b"], "source: run is a run of a, and becomes one of b; with another --out"),
        ([], ["corrections=people"], ""),
        (["corrections=people"], ["corrections=people"], ""),
        (["corrections=people"], [], "corrections: what people decided about run is no part of this run; say corr"),
    ],
)
def test_what_is_lost_of_the_run_that_is_there(then, now, said):
    for place in ("a", "b", "people", "run"):
        Path(place).mkdir()
    usual = ["ontology=dog", "detect.backend=fake", "segment.backend=fake", "source.path=a"]
    text = load(None, [*usual, *then]).to_yaml({"masklet": "0.1"})
    Path("run/config.yaml").write_text(text, encoding="utf-8")
    told = warnings(load(None, [*usual, *now]), Path("run"))
    assert [line.startswith(said) for line in told] == [True] * bool(said)


@pytest.mark.parametrize("content", [None, "", "a: [", "ontology: 3", "detect: {backend: gone:Finder}"])
def test_no_run_there_or_none_that_can_be_read(content):
    Path("run").mkdir()
    if content is not None:
        Path("run/config.yaml").write_text(content)
    assert warnings(configured("cat, dog"), Path("run")) == []
    assert warnings(configured("cat, dog"), Path("nowhere")) == []
