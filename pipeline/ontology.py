"""What to look for: classes, and the words that describe them.

In YAML a class is its prompts, `dog: [a dog, a puppy]`, or nothing (`dog:`, its name is the prompt), or a mapping of
the fields of `Category`. On the command line, 'dog, cat'. In Python also autodistill's `CaptionOntology`, or the
{caption: class} dict that it takes.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from pipeline import yamls
from pipeline.errors import ConfigError
from pipeline.shipped import candidates, find

COLOR = re.compile(r"#[0-9a-fA-F]{6}")


class Category(BaseModel):
    """One class.

    `prompts` find it, any of them; a `negatives` prompt that fits the same place better rules an object out.
    `threshold` is the lowest score kept, `min_area_px` and `max_area_fraction` bound its box. `id` is its number in
    datasets (else the lowest free one, in order); a `retired` class keeps its number and is neither asked for nor
    exported.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    prompts: tuple[str, ...] = ()
    negatives: tuple[str, ...] = ()
    threshold: float | None = Field(default=None, ge=0, le=1)
    min_area_px: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    max_area_fraction: float | None = Field(default=None, gt=0, le=1)
    color: str | None = None
    id: int | None = Field(default=None, ge=1)
    retired: bool = False

    @field_validator("name")
    @classmethod
    def _is_a_name(cls, name: str) -> str:
        if not name.strip():
            raise ValueError("a class needs a name")
        return name

    @field_validator("prompts", "negatives")
    @classmethod
    def _has_words(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        if any(not text.strip() for text in texts):
            raise ValueError("a prompt is empty")
        return tuple(dict.fromkeys(text.strip() for text in texts))

    @field_validator("name", "prompts", "negatives")
    @classmethod
    def _is_unicode(cls, said: str | tuple[str, ...]) -> str | tuple[str, ...]:
        "".join(said).encode()  # half of a character is a ValueError here, and would be one wherever it is written
        return said

    @field_validator("threshold", "min_area_px", "max_area_fraction", "id", mode="before")
    @classmethod
    def _is_a_number(cls, number: Any) -> Any:
        if isinstance(number, bool):  # pydantic takes true for 1, and YAML takes yes for true
            raise ValueError("want a number")
        return number

    @field_validator("color")
    @classmethod
    def _is_a_color(cls, color: str | None) -> str | None:
        if color is not None and not COLOR.fullmatch(color):
            raise ValueError("want a colour as '#rrggbb', in quotes")
        return color

    def asked(self) -> "Category":
        """The class with its name as the prompt, where none is given."""
        return self if self.prompts else self.model_copy(update={"prompts": (self.name.strip(),)})


class Ontology:
    """The classes, in the order in which datasets number them."""

    def __init__(self, categories: Iterable[Category]) -> None:
        self.categories = tuple(category.asked() for category in categories)
        problems = [f"{name}: {what}" for name, what in _contradictions(self.categories)]
        if problems:
            raise ConfigError(problems)
        self._class_of = {prompt: c.name for c in self.active for prompt in c.prompts}

    @property
    def active(self) -> tuple[Category, ...]:
        """The classes that are looked for."""
        return tuple(c for c in self.categories if not c.retired)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the classes that are looked for."""
        return tuple(c.name for c in self.active)

    def prompts(self) -> tuple[str, ...]:
        """Everything a detector is asked: the prompts of all classes, then negatives that are nobody's prompt."""
        return tuple(dict.fromkeys([*self._class_of, *(n for c in self.active for n in c.negatives)]))

    def class_of(self, prompt: str) -> str:
        """The class that a prompt stands for; '' for one that only serves as a negative."""
        return self._class_of.get(prompt, "")

    def meaning(self) -> dict[str, str]:
        """Prompt -> class: all that naming depends on, whatever the order of the classes."""
        return {prompt: self.class_of(prompt) for prompt in sorted(self.prompts())}

    def numbers(self) -> dict[str, int]:
        """Class name -> number in datasets, retired ones too: the given `id`, else the lowest free number, in order.

        >>> Ontology.of({"a dog": "dog", "a cat": "cat"}).numbers()
        {'dog': 1, 'cat': 2}
        """
        taken = {c.id for c in self.categories if c.id is not None}
        free = (number for number in range(1, len(self.categories) + len(taken) + 1) if number not in taken)
        return {c.name: c.id if c.id is not None else next(free) for c in self.categories}

    def warnings(self) -> list[str]:
        """What is allowed and probably not meant: names that differ only in case or in Unicode form."""
        seen: dict[str, str] = {}
        out = []
        for name in self.names:
            folded = unicodedata.normalize("NFKC", name).casefold().strip()
            if folded in seen:
                out.append(f"ontology: {seen[folded]!r} and {name!r} are two classes that look like one")
            seen.setdefault(folded, name)
        return out

    def to_json(self) -> dict[str, Any]:
        """The long form: what a run's config.yaml keeps."""
        return {c.name: c.model_dump(mode="json", exclude={"name"}, exclude_defaults=True) for c in self.categories}

    @classmethod
    def of(cls, given: Any) -> "Ontology":
        """An ontology from Python: one already, a {caption: class} dict, or autodistill's `CaptionOntology`."""
        if isinstance(given, Ontology):
            return given
        pairs = given.items() if isinstance(given, Mapping) else getattr(given, "promptMap", None)
        if pairs is None:
            raise ConfigError(f"ontology: cannot be made from {type(given).__name__}")
        prompts: dict[str, list[str]] = {}
        for caption, name in pairs:
            if not isinstance(caption, str) or not isinstance(name, str):
                raise ConfigError(f"ontology: want {{caption: class}}, both text, got {caption!r}: {name!r}")
            prompts.setdefault(name, []).append(caption)
        return cls.from_document(yamls.Document("ontology", prompts))

    @classmethod
    def parse(cls, given: str) -> "Ontology":
        """From the command line: a YAML file, the name of one that masklet carries, or words: 'dog, cat'.

        >>> Ontology.parse("dog, cat").names
        ('dog', 'cat')
        """
        suffixes = (".yaml", ".yml")
        if given.endswith(suffixes) or any(candidates(given, "ontologies", suffixes)):
            return cls.read(find(given, "ontologies"))
        words = [word.strip() for word in given.split(",") if word.strip()]
        return cls.from_document(yamls.Document("--ontology", dict.fromkeys(words)))

    @classmethod
    def read(cls, path: Path) -> "Ontology":
        """From a YAML file; raises `ConfigError` with every problem and its line."""
        return cls.from_document(yamls.read(path))

    @classmethod
    def from_document(cls, document: yamls.Document, place: yamls.Place = ()) -> "Ontology":
        """From the mapping at `place` of a YAML document; raises `ConfigError` with every problem."""
        data = document.data
        for key in place:
            data = data[key]
        if not isinstance(data, Mapping) or not data:
            raise ConfigError(
                f"{document.at(place)}: an ontology has at least one class, as in 'dog: [a dog, a puppy]'"
            )
        categories: list[Category] = []
        problems: list[str] = []
        for name, value in data.items():
            try:
                categories.append(_category(name, value, document, (*place, name)))
            except ConfigError as error:
                problems += error.problems
        for name, what in _contradictions([category.asked() for category in categories]):
            problems.append(f"{document.at((*place, name))}: {name}: {what}")
        if problems:
            raise ConfigError(problems)
        return cls(categories)


def _category(name: str, value: Any, document: yamls.Document, here: yamls.Place) -> Category:
    """A class from its key and its YAML value; raises `ConfigError` with every problem."""
    if isinstance(value, list):
        value, document = {"prompts": value}, _as_long_form(document, here)
    elif value is not None and not isinstance(value, Mapping):
        want = f"want a list of prompts, as in [{value}], or a mapping of fields"
        raise ConfigError(f"{document.at(here)}: {name}: {want} (got {value!r})")
    fields = dict(value or {})
    problems = [f"{document.at((*here, key))}: {name}.{key}: {what}" for key, what in _slips(fields)]
    try:
        category = Category(**(fields | {"name": name}))
    except ValidationError as error:
        problems += yamls.explain(error, document, here, set(Category.model_fields) - {"name"})
    if problems:
        raise ConfigError(problems)
    return category


def _as_long_form(document: yamls.Document, here: yamls.Place) -> yamls.Document:
    """The document, where the prompts of a short form stand where those of the long one would."""
    prompts: dict[yamls.Place, int | str] = {
        (*here, "prompts", place[-1]): line for place, line in document.lines.items() if place[:-1] == here
    }
    return replace(document, lines={**document.lines, **prompts})


def _slips(fields: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What is easily written by accident: key, what is wrong."""
    if "name" in fields:
        yield "name", "a class's name is its key; 'name' is no field"
    if "color" in fields and fields["color"] is None:
        yield "color", "nothing stands here: an unquoted # begins a comment; write it as '#rrggbb', in quotes"


def _contradictions(categories: Iterable[Category]) -> Iterator[tuple[str, str]]:
    """What no dataset could mean: one name, number or prompt for two classes: class, what is wrong."""
    names: set[str] = set()
    owner: dict[str, str] = {}
    number: dict[int, str] = {}
    for c in categories:
        if c.name in names:
            yield c.name, "two classes have this name"
        names.add(c.name)
        if c.id is not None and number.setdefault(c.id, c.name) != c.name:
            yield c.name, f"id {c.id} is also that of {number[c.id]!r}"
        if c.retired:
            continue
        for prompt in c.prompts:
            if owner.setdefault(prompt, c.name) != c.name:
                yield c.name, f"prompt {prompt!r} is also one of {owner[prompt]!r}; which class would it find?"
        for prompt in sorted(set(c.negatives) & set(c.prompts)):
            yield c.name, f"{prompt!r} is both a prompt and a negative"
