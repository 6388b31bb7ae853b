"""One configuration: YAML, overrides from the command line, defaults; every problem of it at once.

Each section is a pydantic model that lives beside what it configures; a backend's options stand next to its name. What
is not written is the default, and defaults stand nowhere else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from pipeline import choose, dedupe, select, split, yamls
from pipeline.corrections import Corrections
from pipeline.detectors import DETECTORS, DetectorOptions
from pipeline.errors import ConfigError, MaskletError, UnknownName, nearest
from pipeline.formats import FORMATS
from pipeline.ontology import Ontology
from pipeline.seams import Device, Options, lookup
from pipeline.segmenters import SEGMENTERS, SegmenterOptions
from pipeline.shipped import find
from pipeline.sources import Source
from pipeline.stages import Correct, Dedupe, Detect, Identify, Segment, Select, Stage, Track, Verify
from pipeline.trackers import TRACKERS, TrackerOptions
from pipeline.verifiers import VERIFIERS, VerifierOptions

SECTIONS = (
    "source",
    "ontology",
    "choose",
    "detect",
    "verify",
    "select",
    "segment",
    "corrections",
    "dedupe",
    "track",
    "split",
    "export",
    "run",
)
WRITTEN_BY_US = ("made_with",)

DEFAULT = "florence2_sam2"
"""What a run is, where no config is named."""

Model = TypeVar("Model", bound=BaseModel)


class Export(BaseModel):
    """What is written at the end."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    formats: tuple[str, ...] = ("coco",)
    hard_link: bool = Field(False, description="exported pictures share their bytes with the source")
    frames: Literal["png", "jpg"] | None = Field(
        None,
        description="what frames of films become; by default png, and jpg where nothing else is read",
    )
    every: int = Field(1, ge=1, description="in formats of pictures, one of so many frames of a film becomes one")

    @field_validator("formats")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if ":" not in name and name not in FORMATS:
                raise ValueError(f"no format {name!r}{nearest(name, FORMATS)} (have {', '.join(sorted(FORMATS))})")
        return names


class Run(BaseModel):
    """How the work is done; nothing here changes what comes out, but `device` and `threads` in the last bits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    batch: int = Field(8, ge=1, description="pictures a batch, and a commit")
    segment: int = Field(240, ge=1, description="frames of a film a commit: a kill costs so many")
    runner: Literal["local", "ray"] = Field("local", description="where batches run: on this machine, or on Ray")
    ray_address: str = Field(
        "",
        pattern=r"^(auto|[^/\s]+:[0-9]+)?$",
        description="of a Ray cluster, as host:port or auto; else one starts on this machine",
    )
    workers: int = Field(1, ge=1, description="processes, on Ray actors; each opens its own models")
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    threads: int = Field(1, ge=1, description="threads a model may use")
    in_flight: int | None = Field(
        None,
        ge=1,
        le=4,
        description="batches in a model's hands at once; a kill can cost so many. Default: 1 on CPU, where more would"
        " only share the cores, 3 on CUDA, where one computes while others are prepared and encoded",
    )
    keep_pages: bool = Field(True, description="tell the C allocator to keep freed memory: large arrays come and go")

    @property
    def on(self) -> Device:
        """The device, with `auto` decided, without importing torch."""
        name = self.device
        if name == "auto":
            name = "cuda:0" if Path("/dev/nvidiactl").exists() else "cpu"
        return Device("cuda:0" if name == "cuda" else name, self.threads)

    @property
    def any_gpu(self) -> bool:
        """Whether models run on CUDA, and which GPU is not said: each process has one of its own."""
        return self.device in ("auto", "cuda") and self.on.kind == "cuda"

    @property
    def batches_in_flight(self) -> int:
        """`in_flight`, with its default decided."""
        return self.in_flight or (3 if self.on.name.startswith("cuda") else 1)


@dataclass(frozen=True, slots=True)
class Config:
    """A whole run, checked."""

    source: Source
    ontology: Ontology
    choose: choose.Rules
    detect: DetectorOptions
    verify: VerifierOptions | None
    select: select.Rules
    segment: SegmenterOptions
    corrections: Corrections | None
    dedupe: dedupe.Rules
    track: TrackerOptions | None
    split: split.Rules
    export: Export
    run: Run
    backends: Mapping[str, str]

    def stages(self) -> list[Stage]:
        """The stages of the pass over pictures, in order; raises `ConfigError` where corrections cannot be read."""
        people: list[Stage] = []
        if self.corrections is not None:
            self._check(self.corrections)
            people = [Correct(self.segment, self.run.on, self.corrections, self.ontology.names)]
        return [*self._boxes(), Segment(self.segment, self.run.on), *people, Dedupe(self.dedupe)]

    def film_stages(self) -> list[Stage]:
        """The stages of the pass over films, in order; none where films are not tracked."""
        if self.track is None:
            return []
        if self.corrections is not None:
            self._check(self.corrections)
        masks = [] if self.track.makes_masks else [Segment(self.segment, self.run.on), Dedupe(self.dedupe)]
        return [*self._boxes(), *masks, Track(self.track, self.run.on), Identify(self.track, self.corrections)]

    def _check(self, corrections: Corrections) -> None:
        """Raise `ConfigError` with every line of the corrections that cannot be meant."""
        corrections.check(self.ontology.names, self.backends["segment"], self.segment.mends)

    def _boxes(self) -> list[Stage]:
        """The stages up to the boxes that are wanted."""
        on = self.run.on
        second: list[Stage] = []
        if self.verify is not None:
            second = [Verify(self.verify, self.select, self.ontology, on)]
        return [Detect(self.detect, self.ontology, on), *second, Select(self.select, self.ontology)]

    def models(self) -> dict[str, Options]:
        """What has a model, by section."""
        named = {"detect": self.detect, "verify": self.verify, "segment": self.segment, "track": self.track}
        return {name: options for name, options in named.items() if options is not None}

    def fetch(self) -> None:
        """Get the models that are not on this machine yet; raises `ModelMissing`."""
        for options in self.models().values():
            options.fetch()

    def section(self, name: str) -> dict[str, Any]:
        """A section as it would be written out, every option of it."""
        backend = {"backend": self.backends[name]} if name in self.backends else {}
        return {**backend, **getattr(self, name).model_dump(mode="json")}

    def to_yaml(self, made_with: Mapping[str, Any]) -> str:
        """The whole configuration as run, which `load` reads again."""
        ours = ("ontology", "corrections")
        there = [name for name in SECTIONS if name not in ours and getattr(self, name) is not None]
        sections: dict[str, Any] = {name: self.section(name) for name in there}
        sections["ontology"] = self.ontology.to_json()
        if self.corrections is not None:
            sections["corrections"] = list(self.corrections.paths)
        ordered = {name: sections[name] for name in SECTIONS if name in sections} | {"made_with": dict(made_with)}
        return yaml.safe_dump(ordered, sort_keys=False, allow_unicode=True, width=120)


def load(name: str | Path | None, overrides: Sequence[str] = ()) -> Config:
    """A configuration by file or name, with `detect.model=x` overrides; raises `ConfigError` with every problem."""
    document = yamls.Document("command line", {}) if name is None else yamls.read(find(str(name), "configs"), str(name))
    return from_document(overridden(document, overrides))


def overridden(document: yamls.Document, overrides: Sequence[str]) -> yamls.Document:
    """The document with `a.b=value` applied, values read as YAML; another backend drops the options of the file's."""
    if not isinstance(document.data, dict):
        raise ConfigError(
            f"{document.where}: want sections ({', '.join(SECTIONS)}), got {type(document.data).__name__}"
        )
    lines: dict[yamls.Place, int | str] = dict(document.lines)
    for text in sorted(overrides, key=lambda text: not text.partition("=")[0].endswith(".backend")):
        dotted, _, value = text.partition("=")
        place = tuple(dotted.split("."))
        inside = document.data
        for part in place[:-1]:
            inside = _below(inside, part, text)
        given = yamls.parse(value, text).data if value else ""
        if place[-1] == "backend" and inside.get("backend") != given:
            inside.clear()
        inside[place[-1]] = given
        lines[place] = text
    return yamls.Document(document.where, document.data, lines)


def _below(mapping: dict[str, Any], key: str, text: str) -> dict[str, Any]:
    """The mapping under a key, made where nothing stands; raises `ConfigError` where something else does."""
    below = mapping.get(key)
    if below is None:
        below = mapping[key] = {}
    if not isinstance(below, dict):
        raise ConfigError(f"{text}: {key} is {below!r}, which has nothing below it; replace it as a whole")
    return below


def from_document(document: yamls.Document) -> Config:
    """A configuration from YAML values; raises `ConfigError` with every problem: where, key, what, the nearest key."""
    unknown = [key for key in document.data if key not in (*SECTIONS, *WRITTEN_BY_US)]
    problems = [f"{document.at((key,))}: {key}: unknown section{nearest(key, SECTIONS)}" for key in unknown]
    ontology = _ontology(document, problems)
    detect, detector = _backend(document, "detect", DETECTORS, DetectorOptions, problems)
    segment, segmenter = _backend(document, "segment", SEGMENTERS, SegmenterOptions, problems)
    track, tracker = None, ""
    if document.data.get("track") is not None:
        track, tracker = _backend(document, "track", TRACKERS, TrackerOptions, problems)
    verify, verifier = None, ""
    if document.data.get("verify") is not None:
        verify, verifier = _backend(document, "verify", VERIFIERS, VerifierOptions, problems)
    parts: dict[str, Any] = {
        "source": _section(Source, document, "source", problems),
        "ontology": ontology,
        "choose": _section(choose.Rules, document, "choose", problems),
        "detect": detect,
        "verify": verify,
        "select": _section(select.Rules, document, "select", problems),
        "segment": segment,
        "corrections": _corrections(document, problems),
        "dedupe": _section(dedupe.Rules, document, "dedupe", problems),
        "track": track,
        "split": _section(split.Rules, document, "split", problems),
        "export": _section(Export, document, "export", problems),
        "run": _section(Run, document, "run", problems),
    }
    if isinstance(detect, DetectorOptions) and ontology is not None:
        problems += [f"{document.at(('detect',))}: detect: {line}" for line in detect.refused(ontology.prompts())]
    if isinstance(parts["select"], select.Rules) and parts["select"].verified and document.data.get("verify") is None:
        where = document.at(("select", "verified"))
        problems.append(f"{where}: select.verified: nothing verifies; say verify.backend=clip and verify.model too")
    if problems:
        raise ConfigError(problems)
    names = {"detect": detector, "verify": verifier, "segment": segmenter, "track": tracker}
    backends = {section: name for section, name in names.items() if name}
    return Config(**parts, backends=backends)


def _ontology(document: yamls.Document, problems: list[str]) -> Ontology | None:
    given = document.data.get("ontology")
    try:
        if given is None:
            raise ConfigError("ontology: missing; name a file, or classes as in --ontology 'dog, cat'")
        if isinstance(given, str):
            return Ontology.parse(given)
        return Ontology.from_document(document, ("ontology",))
    except ConfigError as error:
        problems += error.problems
        return None


def _corrections(document: yamls.Document, problems: list[str]) -> Corrections | None:
    given = document.data.get("corrections")
    paths = [given] if isinstance(given, str) else given
    if given is None:
        return None
    if not (isinstance(paths, list) and paths and all(isinstance(path, str) and path for path in paths)):
        where = document.at(("corrections",))
        problems.append(f"{where}: corrections: want a folder or a file, or a list of them (got {given!r})")
        return None
    return Corrections(paths)


def _values(document: yamls.Document, section: str, problems: list[str]) -> dict[str, Any]:
    given = document.data.get(section)
    if given is None or isinstance(given, dict):
        return dict(given or {})
    problems.append(f"{document.at((section,))}: {section}: want keys and values below it, got {given!r}")
    return {}


def _section(model: type[Model], document: yamls.Document, section: str, problems: list[str]) -> Model | None:
    return _checked(model, _values(document, section, problems), document, section, problems)


def _checked(
    model: type[Model], values: Mapping[str, Any], document: yamls.Document, section: str, problems: list[str]
) -> Model | None:
    try:
        return model(**values)
    except ValidationError as error:
        problems += yamls.explain(error, document, (section,), ("backend", *model.model_fields))
        return None


def _backend(
    document: yamls.Document, section: str, table: Mapping[str, str], kind: type[Options], problems: list[str]
) -> tuple[Options | None, str]:
    """A backend's options: the row of the table that `backend` names, made from the other keys of the section."""
    values = _values(document, section, problems)
    name = values.pop("backend", None)
    where = document.at((section, "backend"))
    if not isinstance(name, str):
        problems.append(f"{where}: {section}.backend: missing (have {', '.join(sorted(table))}, or give module:Class)")
        return None, ""
    try:
        model = lookup(name, table, section)
        if not (isinstance(model, type) and issubclass(model, kind)):
            raise UnknownName(f"{name} is no {section} backend: want a class derived from {kind.__name__}")
        return _checked(model, values, document, section, problems), name
    except MaskletError as error:
        problems.append(f"{where}: {section}.backend: {error}")
        return None, name
