"""One configuration: what is read, what is refused and in which words, and that it comes back the same."""

from pathlib import Path

import pytest

from pipeline import config as config_
from pipeline import yamls
from pipeline.config import Export, Run, from_document, load, overridden
from pipeline.detectors.fake import Fake
from pipeline.errors import ConfigError
from pipeline.seams import Device
from pipeline.shipped import shipped

LEAST = """\
ontology: {dog: [a dog, puppy], cat: }
detect: {backend: fake}
segment: {backend: fake}
"""


def written(text=LEAST):
    Path("run.yaml").write_text(text, encoding="utf-8")
    return "run.yaml"


def problems(text=LEAST, overrides=()):
    with pytest.raises(ConfigError) as raised:
        load(written(text), overrides)
    return raised.value.problems


def test_what_is_not_written_is_the_default():
    config = load(written())
    assert config.ontology.names == ("dog", "cat")
    assert config.detect == Fake()
    assert config.backends == {"detect": "fake", "segment": "fake"}
    assert (config.source.path, config.select.threshold, config.export.formats) == ("", 0.3, ("coco",))
    assert (config.run.batch, config.run.workers, config.run.threads, config.run.in_flight) == (8, 1, 1, None)


def test_the_stages_in_order():
    assert [stage.name for stage in load(written()).stages()] == ["detect", "select", "segment", "dedupe"]


@pytest.mark.parametrize("name", ["run.yaml", "./run.yaml", "run", Path("run.yaml")])
def test_a_configuration_is_found_by_name(name):
    written()
    assert load(name).ontology.names == ("dog", "cat")


def test_a_configuration_may_come_from_overrides_alone():
    config = load(None, ["ontology=dog, cat", "detect.backend=fake", "segment.backend=fake"])
    assert config.ontology.names == ("dog", "cat")


@pytest.mark.parametrize("name", shipped("configs"))
def test_what_masklet_carries_is_understood(name):
    text = (Path(__file__).parents[1] / "configs" / f"{name}.yaml").read_text("utf-8")
    data = yamls.parse(text, name).data
    assert data.keys() <= set(config_.SECTIONS)
    overrides = [] if "ontology" in data else ["ontology=dog, cat"]
    config = load(name, overrides)
    assert config.backends == {name: data[name]["backend"] for name in ("detect", "segment", "track") if name in data}


# Ontologies


@pytest.mark.parametrize(
    ("ontology", "names"),
    [
        ("{dog: [a dog], cat: }", ("dog", "cat")),  # written out
        ("dog, cat", ("dog", "cat")),  # words
        ("dog", ("dog",)),
        ("pets", ("bird",)),  # the name of a file in the working folder
        ("pets.yaml", ("bird",)),
        ("ontologies/pets.yaml", ("bird",)),
        (
            "toyworld",
            ("circle", "square", "triangle", "cross", "bar", "ring", "pair"),
        ),  # the name of one that masklet carries
    ],
)
def test_an_ontology(ontology, names):
    Path("ontologies").mkdir()
    Path("ontologies/pets.yaml").write_text("bird: [a bird]")
    text = LEAST.replace("{dog: [a dog, puppy], cat: }", ontology)
    assert load(written(text)).ontology.names == names


# Problems


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("select: {treshold: 0.2}", ["run.yaml:4: select.treshold: unknown key; did you mean threshold?"]),
        ("selekt: {threshold: 0.2}", ["run.yaml:4: selekt: unknown section; did you mean select?"]),
        ("select:\n  threshold: 2", ["run.yaml:5: select.threshold: input should be less than or equal to 1 (got 2)"]),
        ("select: 0.2", ["run.yaml:4: select: want keys and values below it, got 0.2"]),
        ("select: [0.2]", ["run.yaml:4: select: want keys and values below it, got [0.2]"]),
        ("export: {formats: [cocoa]}", ["no format 'cocoa'; did you mean coco? (have coco, coco_polygon, "]),
        ("export: {formats: coco}", ["run.yaml:4: export.formats: want a list, as in [coco]"]),
        ("run: {workers: 0}", ["run.yaml:4: run.workers:"]),
        ("run: {in_flight: 5}", ["run.yaml:4: run.in_flight:"]),
        ("run: {device: gpu}", ["run.yaml:4: run.device:"]),
        ("run: {threads: four}", ["run.yaml:4: run.threads:"]),
        ("dedupe: {speck: 1}", ["run.yaml:4: dedupe.speck: unknown key; did you mean speck_px?"]),
        ("source: {path: 3}", ["run.yaml:4: source.path: YAML reads this as a value, not as text; put it in quotes"]),
    ],
)
def test_one_problem(text, said):
    told = problems(LEAST + text)
    assert len(told) == len(said)
    assert all(part in line for part, line in zip(said, told, strict=True))


@pytest.mark.parametrize(
    ("detect", "said"),
    [
        (
            "{backend: yoloks}",
            "run.yaml:2: detect.backend: no detect 'yoloks'; did you mean yolo? (have boxes, everything, fake",
        ),
        ("{}", "run.yaml:2: detect.backend: missing (have boxes, everything, fake,"),
        ("{backend: }", "run.yaml:2: detect.backend: missing"),
        ("{backend: 3}", "run.yaml:2: detect.backend: missing"),
        ("fake", "run.yaml:2: detect: want keys and values below it, got 'fake'"),
        ("{backend: nowhere:Finder}", "run.yaml:2: detect.backend: detect 'nowhere:Finder' cannot be imported"),
        ("{backend: asking:Nobody}", "run.yaml:2: detect.backend: detect 'asking:Nobody' cannot be imported"),
        ("{backend: json:loads}", "json:loads is no detect backend: want a class derived from DetectorOptions"),
        ("{backend: asking:Segmenter}", "asking:Segmenter is no detect backend: want a class derived from Detector"),
        ("{backend: fake, objekts: 2}", "run.yaml:2: detect.objekts: unknown key; did you mean objects?"),
        ("{backend: fake, objects: two}", "run.yaml:2: detect.objects: "),
        ("{backend: yolox}", "run.yaml:2: detect.model: missing"),
    ],
)
def test_a_backend_that_cannot_be(detect, said):
    text = LEAST.replace("detect: {backend: fake}", f"detect: {detect}")
    assert said in problems(text)[0]


def test_a_backend_of_ones_own():
    config = load(written(LEAST.replace("detect: {backend: fake}", "detect: {backend: 'asking:Joint', floor: 0.2}")))
    assert (type(config.detect).__name__, config.detect.floor) == ("Joint", 0.2)
    assert config.backends["detect"] == "asking:Joint"


def test_every_problem_at_once():
    told = problems("""\
ontology:
  dog: [a dog]
  cat: [a dog]
  fish: {treshold: 2}
detect: {backend: fake, objekts: 2}
select:
  treshold: 0.2
  negative_iou: 0
segment: {backend: sam3}
run: {workers: none}
outputs: x
""")
    assert [line.split(" ")[0] for line in told] == [
        "run.yaml:11:",  # outputs
        "run.yaml:4:",  # fish.treshold
        "run.yaml:3:",  # cat has dog's prompt
        "run.yaml:5:",  # objekts
        "run.yaml:9:",  # sam3
        "run.yaml:8:",  # negative_iou
        "run.yaml:7:",  # treshold
        "run.yaml:10:",  # workers
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("detect: {backend: fake}\nsegment: {backend: fake}", "ontology: missing"),
        (LEAST.replace("{dog: [a dog, puppy], cat: }", "{}"), "run.yaml:1: an ontology has at least one class"),
        (LEAST.replace("{dog: [a dog, puppy], cat: }", "nowhere.yaml"), "nowhere.yaml: no such file"),
        ("- a list", "run.yaml: want sections (source, ontology"),
        ("a: [", "run.yaml:1: not YAML"),
        ("", "ontology: missing"),
    ],
)
def test_no_ontology_or_no_mapping(text, said):
    assert said in problems(text)[0]


def test_no_such_file():
    with pytest.raises(ConfigError, match=r"demmo: no such file, .*did you mean demo\?"):
        load("demmo")


# Overrides


@pytest.mark.parametrize(
    ("overrides", "section", "key", "value"),
    [
        (["select.threshold=0.5"], "select", "threshold", 0.5),  # a section made for it
        (["detect.objects=3"], "detect", "objects", 3),  # beside what stands in the file
        (["source.path=photos"], "source", "path", "photos"),
        (["source.path='007'"], "source", "path", "007"),  # quotes make it text
        (["source.path=a=b"], "source", "path", "a=b"),  # only the first sign counts
        (["source.path="], "source", "path", ""),
        (["run.keep_pages=false"], "run", "keep_pages", False),
        (["run.in_flight=null"], "run", "in_flight", None),
        (["export.formats=[coco]"], "export", "formats", ("coco",)),
        (["run={batch: 3}"], "run", "batch", 3),  # a whole section
        (["run.batch=3", "run.batch=4"], "run", "batch", 4),  # the last one wins
    ],
)
def test_an_override(overrides, section, key, value):
    got = getattr(getattr(load(written(), overrides), section), key)
    assert (got, type(got)) == (value, type(value))


def test_an_override_of_the_ontology_replaces_it_or_reaches_into_it():
    assert load(written(), ["ontology=bird, fish"]).ontology.names == ("bird", "fish")
    config = load(written(), ["ontology.cat.threshold=0.7"])
    assert [c.threshold for c in config.ontology.categories] == [None, 0.7]


def test_an_override_changes_nothing_in_the_file():
    text = written()
    before = Path(text).read_text()
    load(text, ["select.threshold=0.5"])
    assert Path(text).read_text() == before
    assert load(text).select.threshold == 0.3


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("select.treshold=0.5", "select.treshold=0.5: select.treshold: unknown key; did you mean threshold?"),
        ("select.threshold=high", "select.threshold=high: select.threshold: input should be a valid number"),
        ("selekt.threshold=0.5", "selekt: unknown section; did you mean select?"),
        ("select.threshold=[", "select.threshold=[:1: not YAML"),
        ("detect.backend=yoloks", "detect.backend=yoloks: detect.backend: no detect 'yoloks'"),
        ("detect=yolox", "detect=yolox: detect: want keys and values below it, got 'yolox'"),
        ("detect.backend.model=x", "detect.backend.model=x: backend is 'fake', which has nothing below it"),
    ],
)
def test_an_override_that_cannot_be(override, said):
    assert said in problems(overrides=[override])[0]


def test_an_override_does_not_silently_replace_a_named_ontology():
    text = LEAST.replace("{dog: [a dog, puppy], cat: }", "toyworld")
    assert "ontology is 'toyworld', which has nothing below it" in problems(text, ["ontology.ring.threshold=0.5"])[0]


def test_an_override_is_told_by_its_own_words():
    document = overridden(yamls.parse(LEAST, "run.yaml"), ["select.threshold=2"])
    with pytest.raises(ConfigError, match=r"^select\.threshold=2: select\.threshold: "):
        from_document(document)


# There and back

ODD = """\
source: {path: 'photos/día 1: #2', max_pixels: 1000}
ontology:
  "no": ["yes", "a dog, not a puppy"]
  1: {prompts: ["007"], id: 7, color: "#112233", threshold: 0.25, negatives: [toy]}
  狗 🐕: {min_area_px: 3.5, max_area_fraction: 0.5}
  gone: {retired: true}
detect: {backend: 'asking:Joint', floor: 0.2}
select: {threshold: 0.1}
segment: {backend: grabcut, iterations: 2}
dedupe: {same_class_iou: 0.6}
export: {formats: [coco], hard_link: true}
run: {batch: 3, workers: 2, device: cpu, threads: 2, in_flight: 2, keep_pages: false}
"""


def keys(config):
    from drawing import clip

    return [stage.key(clip(), "digest") for stage in config.stages()]


@pytest.mark.parametrize("text", [LEAST, ODD])
def test_what_a_run_writes_down_is_read_again_as_the_same(text):
    config = load(written(text))
    again = from_document(yamls.parse(config.to_yaml({"masklet": "0.1", "models": {"detect": {}}}), "config.yaml"))
    assert keys(again) == keys(config)
    for part in ("source", "detect", "select", "segment", "dedupe", "export", "run", "backends"):
        assert getattr(again, part) == getattr(config, part)
    assert again.ontology.categories == config.ontology.categories
    assert again.ontology.numbers() == config.ontology.numbers()
    assert again.to_yaml({}) == config.to_yaml({})


def test_sections_stand_in_the_order_of_the_work():
    data = yamls.parse(load(written()).to_yaml({"masklet": "0.1"}), "config.yaml").data
    assert list(data) == [
        *(name for name in config_.SECTIONS if name not in ("track", "verify", "corrections")),
        "made_with",
    ]
    assert next(iter(data["detect"])) == "backend"


def test_who_made_a_run_does_not_matter():
    plain, made = (
        load(written(LEAST + more)) for more in ("", "made_with: {masklet: '9.9', device: {name: cuda:7}}\n")
    )
    assert keys(plain) == keys(made)


# Devices


@pytest.mark.parametrize(
    ("device", "there", "name", "in_flight"),
    [
        ("cpu", True, "cpu", 1),
        ("cuda", True, "cuda:0", 3),
        ("cuda:1", True, "cuda:1", 3),
        ("auto", True, "cuda:0", 3),
        ("auto", False, "cpu", 1),
    ],
)
def test_where_it_runs(monkeypatch, device, there, name, in_flight):
    monkeypatch.setattr(config_.Path, "exists", lambda path: there and str(path) == "/dev/nvidiactl")
    run = Run(device=device, threads=2)
    assert run.on == Device(name, 2)
    assert run.batches_in_flight == in_flight
    assert Run(device=device, in_flight=2).batches_in_flight == 2


def test_formats_are_known():
    with pytest.raises(ValueError, match="no format 'yolo'"):
        Export(formats=("coco", "yolo"))


def test_another_backend_begins_with_none_of_the_files_options():
    document = yamls.parse("detect: {backend: boxes, path: truth.json, jitter: 0.1}", "a.yaml")
    words = ["detect.objects=3", "detect.backend=fake"]  # in whatever order they are typed
    assert overridden(document, words).data == {"detect": {"backend": "fake", "objects": 3}}
    same = yamls.parse("detect: {backend: boxes, path: truth.json}", "a.yaml")
    assert overridden(same, ["detect.backend=boxes"]).data == {"detect": {"backend": "boxes", "path": "truth.json"}}
