"""What to look for: classes, and the words that describe them.

In YAML a class is its prompts, `dog: [a dog, a puppy]`, or nothing (`dog:`, its name is the prompt), or a mapping of
the fields of `Category`. On the command line, 'dog, cat'. In Python also autodistill's `CaptionOntology`, or the
{caption: class} dict that it takes.
"""

import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from pipeline import yamls
from pipeline.errors import ConfigError
from pipeline.shipped import candidates, find

COLOR = r"^#[0-9a-fA-F]{6}$"


class Category(BaseModel):
    """One class.

    `prompts` find it, any of them; a `negatives` prompt that fits the same place better rules an object out. `threshold`
    is the lowest score kept, `min_area_px` and `max_area_fraction` bound its box. `id` is its number in datasets (else
    the lowest free one, in order); a `retired` class keeps its number and is neither asked for nor exported.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    prompts: tuple[str, ...] = ()
    negatives: tuple[str, ...] = ()
    threshold: float | None = Field(default=None, ge=0, le=1)
    min_area_px: float | None = Field(default=None, ge=0)
    max_area_fraction: float | None = Field(default=None, gt=0, le=1)
    color: str | None = Field(default=None, pattern=COLOR)
    id: int | None = Field(default=None, ge=1)
    retired: bool = False

    @field_validator("prompts", "negatives")
    @classmethod
    def _has_words(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        if any(not text.strip() for text in texts):
            raise ValueError("a prompt is empty")
        return tuple(dict.fromkeys(text.strip() for text in texts))


class Ontology:
    """The classes, in the order in which datasets number them."""

    def __init__(self, categories: Iterable[Category]) -> None:
        self.categories = tuple(
            category if category.prompts else category.model_copy(update={"prompts": (category.name.strip(),)})
            for category in categories
        )
        problems = list(_contradictions(self.categories))
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
            prompts.setdefault(str(name), []).append(str(caption))
        return cls(Category(name=name, prompts=tuple(captions)) for name, captions in prompts.items())

    @classmethod
    def parse(cls, given: str) -> "Ontology":
        """From the command line: a YAML file, the name of one that masklet carries, or words: 'dog, cat'.

        >>> Ontology.parse("dog, cat").names
        ('dog', 'cat')
        """
        suffixes = (".yaml", ".yml")
        if given.endswith(suffixes) or any(p.is_file() for p in candidates(given, "ontologies", suffixes)):
            return cls.read(find(given, "ontologies"))
        words = [word.strip() for word in given.split(",") if word.strip()]
        return cls.from_document(yamls.Document("--ontology", dict.fromkeys(words)))

    @classmethod
    def read(cls, path: Path) -> "Ontology":
        """From a YAML file; raises `ConfigError` with every problem and its line."""
        return cls.from_document(yamls.read(path))

    @classmethod
    def from_document(cls, document: yamls.Document, place: yamls.Place = ()) -> "Ontology":
        """From the mapping at `place` of a YAML document."""
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
            here = (*place, name)
            try:
                categories.append(Category(name=name, **_long_form(value)))
            except ValidationError as error:
                problems += yamls.explain(error, document, here, Category.model_fields)
            except ValueError as error:
                problems.append(f"{document.at(here)}: {name}: {error}")
        if problems:
            raise ConfigError(problems)
        try:
            return cls(categories)
        except ConfigError as error:
            raise ConfigError([f"{document.at(place)}: {problem}" for problem in error.problems]) from error


def _long_form(value: Any) -> dict[str, Any]:
    """A class's YAML value as the fields of `Category`."""
    if value is None:
        return {}
    if isinstance(value, list):
        return {"prompts": value}
    if isinstance(value, Mapping):
        if "name" in value:
            raise ValueError("a class's name is its key; 'name' is no field")
        return dict(value)
    raise ValueError(f"want a list of prompts, as in [{value!s}], or a mapping of fields, got {value!r}")


def _contradictions(categories: Iterable[Category]) -> Iterable[str]:
    """What no dataset could mean: one prompt for two classes, one number for two classes, a prompt against itself."""
    owner: dict[str, str] = {}
    number: dict[int, str] = {}
    for c in categories:
        if c.id is not None and number.setdefault(c.id, c.name) != c.name:
            yield f"{c.name}: id {c.id} is also that of {number[c.id]!r}"
        if c.retired:
            continue
        for prompt in c.prompts:
            if owner.setdefault(prompt, c.name) != c.name:
                yield f"{c.name}: prompt {prompt!r} is also one of {owner[prompt]!r}; what it finds would have two classes"
        for prompt in set(c.negatives) & set(c.prompts):
            yield f"{c.name}: {prompt!r} is both a prompt and a negative"
