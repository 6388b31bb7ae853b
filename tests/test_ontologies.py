"""The ontologies that ship, and how an ontology and a YAML file are read."""

import json
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline import shipped, yamls
from pipeline.detectors.coco_names import COCO_NAMES
from pipeline.errors import ConfigError, UnknownName
from pipeline.ontology import Category, Ontology

FOLDER = Path(__file__).parents[1] / "ontologies"
SHIPPED = sorted(FOLDER.glob("*.yaml"))
IN_QUOTES = "YAML reads this as a value, not as text; put it in quotes"


def read(text):
    return Ontology.from_document(yamls.parse(text, "o.yaml"))


def problems(text):
    with pytest.raises(ConfigError) as caught:
        read(text)
    return caught.value.problems


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_ontology_loads_and_says_how_to_use_it(path):
    ontology = Ontology.read(path)
    assert ontology.warnings() == []
    opening = path.read_text(encoding="utf-8").split("\n\n")[0]
    assert all(line.startswith("#") for line in opening.splitlines())
    assert re.search(rf"masklet (check .* --ontology {path.stem}|demo)$", opening, re.MULTILINE)
    assert Ontology.parse(path.stem).to_json() == ontology.to_json()


def test_what_ships_is_what_the_issue_names():
    assert [path.stem for path in SHIPPED] == ["coco80", "futsal", "toyfutsal", "toyworld", "warehouse"]


def test_coco80_has_cocos_classes_in_cocos_order():
    ontology = Ontology.parse("coco80")
    assert len(ontology.names) == 80
    assert ontology.names == COCO_NAMES
    assert ontology.prompts() == COCO_NAMES
    numbers = ontology.numbers()
    assert (numbers["person"], numbers["stop sign"], numbers["cell phone"], numbers["toothbrush"]) == (1, 12, 68, 80)


def test_coco80_has_the_names_of_a_coco_dataset(shared_data):
    dataset = json.loads((shared_data / "coco64/instances.json").read_text(encoding="utf-8"))
    assert Ontology.parse("coco80").names == tuple(category["name"] for category in dataset["categories"])


def test_warehouse_shows_every_field():
    categories = Ontology.parse("warehouse").categories
    shown = {field for category in categories for field in category.model_fields_set}
    assert shown == set(Category.model_fields)
    assert len(Ontology.parse("warehouse").active) == len(categories) - 1


@pytest.mark.parametrize(
    ("text", "prompts"),
    [
        ("dog:", {"dog": ("dog",)}),  # its name is its prompt
        ("dog: []", {"dog": ("dog",)}),
        ("dog: {}", {"dog": ("dog",)}),
        ("dog: [a dog]", {"dog": ("a dog",)}),  # the short form
        ("dog: {prompts: [a dog]}", {"dog": ("a dog",)}),  # the long form
        ("dog: [a dog, a dog, ' a dog ']", {"dog": ("a dog",)}),  # once is enough
        ("no:\nyes:\n1:\nnull:", {"no": ("no",), "yes": ("yes",), "1": ("1",), "null": ("null",)}),  # text, always
        ("1: ['yes', '1']", {"1": ("yes", "1")}),  # in quotes YAML leaves text alone
        ("собака: [щенок]\n犬:", {"собака": ("щенок",), "犬": ("犬",)}),
        ("'a, b: {c}': ['#1 %s']", {"a, b: {c}": ("#1 %s",)}),
    ],
)
def test_prompts_of_a_class(text, prompts):
    assert {c.name: c.prompts for c in read(text).categories} == prompts


def test_the_long_form():
    ontology = read(
        """
        dog:
          prompts: [a dog, a puppy]
          negatives: [a wolf]
          threshold: 0.25
          min_area_px: 40
          max_area_fraction: 0.5
          color: "#FF00aa"
          id: 3
        cat: {retired: yes}
        """
    )
    dog, cat = ontology.categories
    assert dog.model_dump() == {
        "name": "dog",
        "prompts": ("a dog", "a puppy"),
        "negatives": ("a wolf",),
        "threshold": 0.25,
        "min_area_px": 40.0,
        "max_area_fraction": 0.5,
        "color": "#FF00aa",
        "id": 3,
        "retired": False,
    }
    assert cat.retired
    assert ontology.names == ("dog",)
    assert ontology.prompts() == ("a dog", "a puppy", "a wolf")
    assert [ontology.class_of(p) for p in ("a puppy", "a wolf", "cat", "?")] == ["dog", "", "", ""]
    assert ontology.meaning() == {"a dog": "dog", "a puppy": "dog", "a wolf": ""}


def test_the_long_form_comes_back():
    ontology = read("no: [a, b]\ncat: {id: 7, retired: true}\nelk: {color: '#000000', threshold: 0}")
    again = Ontology.from_document(yamls.Document("config.yaml", ontology.to_json()))
    assert again.categories == ontology.categories


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("a:\nb:\nc:", {"a": 1, "b": 2, "c": 3}),
        ("a:\nb: {id: 1}\nc:", {"a": 2, "b": 1, "c": 3}),  # the others take the lowest that is free
        ("a: {id: 2}\nb:\nc: {id: 9}\nd:", {"a": 2, "b": 1, "c": 9, "d": 3}),
        ("a:\nb: {retired: true}\nc:", {"a": 1, "b": 2, "c": 3}),  # a retired class keeps its number
        ("a: {id: 300}", {"a": 300}),
    ],
)
def test_numbers(text, numbers):
    assert read(text).numbers() == numbers


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("dog:\nDog:", [("dog", "Dog")]),  # two that differ in case
        ("café:\ncafe\u0301:", [("café", "cafe\u0301")]),  # two that look the same to the last dot
        ("ﬁsh:\nfish:", [("ﬁsh", "fish")]),  # a ligature
        ("dog:\ndogs:", []),
        ("dog:\nDog: {retired: true}", []),  # a retired one is not exported
        ("'dog ': [a dog]\ndog: [the dog]", [("dog ", "dog")]),  # a space at the end
    ],
)
def test_classes_that_look_like_one_are_named(text, pairs):
    said = [f"ontology: {a!r} and {b!r} are two classes that look like one" for a, b in pairs]
    assert read(text).warnings() == said


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("dog", ("dog",)),
        ("dog, cat", ("dog", "cat")),
        (" dog ,cat,, dog ", ("dog", "cat")),
        ("a traffic light, yes", ("a traffic light", "yes")),
        (", ".join(f"a rather long name for class {i}" for i in range(40)), None),  # longer than a file name may be
    ],
)
def test_words_on_the_command_line(words, names):
    found = Ontology.parse(words).names
    assert found == (names or tuple(words.split(", ")))


def test_a_file_or_a_name_on_the_command_line(tmp_path):
    (tmp_path / "mine.yaml").write_text("\ufeffelk:\n", encoding="utf-8")  # Windows' Notepad puts the mark there
    assert Ontology.parse("mine.yaml").names == ("elk",)
    assert Ontology.parse("mine").names == ("elk",)
    assert Ontology.parse(str(tmp_path / "mine.yaml")).names == ("elk",)
    with pytest.raises(UnknownName, match=r"minne\.yaml: no such file"):
        Ontology.parse("minne.yaml")
    with pytest.raises(ConfigError, match="--ontology: an ontology has at least one class"):
        Ontology.parse(" , ")


class CaptionOntology:
    """As autodistill's: a list of (caption, class)."""

    def __init__(self, ontology):
        self.promptMap = list(ontology.items())


CAPTIONS = {"a dog": "dog", "a cat": "cat", "a puppy": "dog"}


@pytest.mark.parametrize("given", [CAPTIONS, CaptionOntology(CAPTIONS), Ontology.of(CAPTIONS)])
def test_from_python(given):
    ontology = Ontology.of(given)
    assert {c.name: c.prompts for c in ontology.active} == {"dog": ("a dog", "a puppy"), "cat": ("a cat",)}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "at least one class"),
        (["dog"], "ontology: cannot be made from list"),
        ({"dog": ["a dog"]}, "want {caption: class}, both text, got 'dog': "),  # the other way round
        ({1: "dog"}, "want {caption: class}, both text, got 1: 'dog'"),
        ({" ": "dog"}, "ontology: dog.prompts: a prompt is empty"),
        ({"a dog": ""}, "a class needs a name"),
    ],
)
def test_from_python_refused(given, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        Ontology.of(given)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- dog\n- cat", "1: an ontology has at least one class, as in 'dog: [a dog, a puppy]'"),
        ("~", "1: an ontology has at least one class, as in 'dog: [a dog, a puppy]'"),
        ("dog: a dog", "1: dog: want a list of prompts, as in [a dog], or a mapping of fields (got 'a dog')"),
        ("dog: 3", "1: dog: want a list of prompts, as in [3], or a mapping of fields (got 3)"),
        ("dog: {prompts: a dog}", "1: dog.prompts: want a list, as in [a dog] (got 'a dog')"),
        ("dog: [a dog, yes]", f"1: dog.prompts.1: {IN_QUOTES} (got True)"),
        ("dog: {prompts: [a dog, on]}", f"1: dog.prompts.1: {IN_QUOTES} (got True)"),
        ("dog:\n- a\n- 1.5", f"3: dog.prompts.1: {IN_QUOTES} (got 1.5)"),
        ("dog:\n- a\n-\n", "3: dog.prompts.1: nothing stands here (got None)"),
        ("dog: [a, [b]]", "1: dog.prompts.1: input should be a valid string (got ['b'])"),
        ("dog: ['']", "1: dog.prompts: a prompt is empty (got [''])"),
        ("dog: {negatives: [' ']}", "1: dog.negatives: a prompt is empty (got [' '])"),
        ("' ':", "1: ' '.name: a class needs a name (got ' ')"),
        ("'':", "1: ''.name: a class needs a name (got '')"),
        ("dog:\n  treshold: 0.2", "2: dog.treshold: unknown key; did you mean threshold?"),
        ("dog:\n  xyz: 0.2", "2: dog.xyz: unknown key"),
        ("dog:\n  name: cat", "2: dog.name: a class's name is its key; 'name' is no field"),
        ("dog: {threshold: 1.5}", "1: dog.threshold: input should be less than or equal to 1 (got 1.5)"),
        ("dog: {threshold: -1}", "1: dog.threshold: input should be greater than or equal to 0 (got -1)"),
        ("dog: {threshold: .nan}", "1: dog.threshold: input should be less than or equal to 1 (got nan)"),
        ("dog: {threshold: yes}", "1: dog.threshold: want a number (got True)"),
        ("dog: {min_area_px: .inf}", "1: dog.min_area_px: input should be a finite number (got inf)"),
        ("dog: {max_area_fraction: 0}", "1: dog.max_area_fraction: input should be greater than 0 (got 0)"),
        ("dog: {id: 0}", "1: dog.id: input should be greater than or equal to 1 (got 0)"),
        ("dog: {color: red}", "1: dog.color: want a colour as '#rrggbb', in quotes (got 'red')"),
        ("dog: {color: '#12345'}", "1: dog.color: want a colour as '#rrggbb', in quotes (got '#12345')"),
        ("dog: {color: '#1234567'}", "1: dog.color: want a colour as '#rrggbb', in quotes (got '#1234567')"),
        (
            "dog:\n  color: #ff0000",
            "2: dog.color: nothing stands here: an unquoted # begins a comment; write it as '#rrggbb', in quotes",
        ),
        ("dog: [a pet]\n\ncat: [a pet]", "3: cat: prompt 'a pet' is also one of 'dog'; which class would it find?"),
        ("dog: [cat]\ncat:", "2: cat: prompt 'cat' is also one of 'dog'; which class would it find?"),
        ("dog: {id: 4}\ncat: {id: 4}", "2: cat: id 4 is also that of 'dog'"),
        ("dog: {negatives: [dog]}", "1: dog: 'dog' is both a prompt and a negative"),
        ("dog: [a]\ncat:\ndog: [b]", "3: 'dog' stands here twice"),
    ],
)
def test_one_problem(text, said):
    assert problems(text) == [f"o.yaml:{said}"]


def test_a_retired_class_may_share_its_prompt():
    assert read("dog: [a pet]\ncat: {prompts: [a pet], retired: true}").names == ("dog",)


def test_every_problem_is_named():
    assert problems(
        """\
dog:
  threshold: 2
  colour: '#ff0000'
cat: a cat
elk: {id: 1}
fox: {id: 1}
owl: [elk, no]
"""
    ) == [
        "o.yaml:2: dog.threshold: input should be less than or equal to 1 (got 2)",
        "o.yaml:3: dog.colour: unknown key; did you mean color?",
        "o.yaml:4: cat: want a list of prompts, as in [a cat], or a mapping of fields (got 'a cat')",
        "o.yaml:7: owl.prompts.1: YAML reads this as a value, not as text; put it in quotes (got False)",
        "o.yaml:6: fox: id 1 is also that of 'elk'",
    ]


def test_problems_are_named_inside_a_configuration_too():
    document = yamls.parse("source: x\nontology:\n  dog: [a]\n  cat:\n  - a\n", "run.yaml")
    with pytest.raises(ConfigError, match=r"^run\.yaml:4: cat: prompt 'a' is also one of 'dog'"):
        Ontology.from_document(document, ("ontology",))


def test_classes_made_in_python_may_not_contradict_each_other():
    with pytest.raises(ConfigError, match="dog: two classes have this name"):
        Ontology([Category(name="dog"), Category(name="dog", prompts=("a puppy",))])
    with pytest.raises(ConfigError, match="cat: id 1 is also that of 'dog'"):
        Ontology([Category(name="dog", id=1), Category(name="cat", id=1)])
    with pytest.raises(ValidationError, match="frozen"):
        Category(name="dog").name = "cat"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dog: &a [x]\ncat: *a", "a.yaml:1: an alias (*name) points here; write the value out"),
        ("a: &a [*a]", "a.yaml:1: an alias (*name) points here; write the value out"),
        ("a: 1\nb:\n  c: 1\n  c: 2", "a.yaml:4: 'c' stands here twice"),
        ("yes: 1\n'yes': 2", "a.yaml:2: 'yes' stands here twice"),
        ("? [a]\n: b", "a.yaml:1: a key must be plain text"),
        ("a:\n  !mine [b]", "a.yaml:2: a tag (!mine) stands here; write plain values"),
        ("a: !!set {b}", "a.yaml:1: a tag (tag:yaml.org,2002:set) stands here; write plain values"),
        ("a: !mine b", "a.yaml:1: not YAML: could not determine a constructor for the tag '!mine'"),
        ("a: !!python/name:os.system", "a.yaml:1: not YAML: could not determine a constructor for the tag"),
        ("a:\n" + "".join("  " * i + "- \n" for i in range(1, 23)), "a.yaml:22: nested deeper than 20 levels"),
        ("[" * 1500, "a.yaml: nested deeper than 20 levels"),
        ("a: [1,", "a.yaml:1: not YAML: expected the node content, but found '<stream end>'"),
        ("a: 1\n\tb: 2", "a.yaml:2: not YAML: found character '\\t' that cannot start any token"),
        ("a: 1\n---\nb: 2", "a.yaml:2: not YAML: but found another document"),
        ("a: 1\nb: \x07", "a.yaml:2: not YAML: a control character, #x0007"),
        ("a: 2024-02-31", "a.yaml:1: 2024-02-31 is no value: day is out of range for month; put text in quotes"),
    ],
)
def test_yaml_refused(text, message):
    with pytest.raises(ConfigError, match="^" + re.escape(message)):
        yamls.parse(text, "a.yaml")


def test_keys_stay_text_and_values_are_values():
    document = yamls.parse("no: no\n1: 1\n1.0: ~\n2024-01-01: x\n? ~\n: y", "a.yaml")
    assert document.data == {"no": False, "1": 1, "1.0": None, "2024-01-01": "x", "~": "y"}


def test_every_value_knows_its_line():
    document = yamls.parse("# a comment\na:\n  b: 1\n  c:\n    - d\n    - {e: 2}\n", "a.yaml")
    places = [(), ("a",), ("a", "b"), ("a", "c", 1), ("a", "c", 1, "e"), ("a", "c", 7), ("z",)]
    assert [document.at(place) for place in places] == [f"a.yaml:{line}" for line in (2, 2, 3, 6, 6, 4, 2)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: " + b"x" * yamls.MAX_BYTES, "1000003 bytes; a YAML file here has at most 1000000"),
        (b"a: \xff", "cannot be read: 'utf-8' codec"),
        (None, "cannot be read: .*No such file"),
    ],
)
def test_a_file_that_cannot_be_read(tmp_path, content, message):
    path = tmp_path / "a.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        yamls.read(path)
    with pytest.raises(ConfigError, match=r"^short\.yaml: "):
        yamls.read(path, "short.yaml")


def test_a_file_is_called_what_the_user_called_it(tmp_path):
    (tmp_path / "a.yaml").write_text("a: 1\na: 2", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"^mine:2: 'a' stands here twice"):
        yamls.read(tmp_path / "a.yaml", "mine")


def test_the_nearest_ontology_is_named():
    with pytest.raises(UnknownName, match="did you mean futsal"):
        shipped.find("futsall", "ontologies")
