"""The rules that a gate judges by: from a YAML file, from the command line, or those of every night."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline import yamls
from pipeline.compare.diff import MOVED_IOU
from pipeline.errors import ConfigError, nearest

Share = Annotated[float, Field(ge=0, le=1)]
Percent = Annotated[float, Field(ge=0, le=100)]
Count = Annotated[int, Field(ge=0)]

NIGHTLY: Mapping[str, Any] = {
    "pictures_drop": 20,
    "count_drop": 30,
    "vanished": 0,
    "empty_rise": 0.1,
    "score_drift": 0.1,
    "quality_drift": 0.1,
    "changed_objects": 0.3,
}
"""What is judged where a baseline is given and no rule: what new pictures or another threshold do not break."""

AGAINST_BASELINE = (*NIGHTLY, "count_rise", "appeared")
AGAINST_TRUTH = ("ap50", "j_and_f")
BY_CLASS = ("min_count", "max_count")
SETTINGS = ("truth", "count_from", "moved_iou")
"""No rules, but how rules are judged."""


class Rules(BaseModel):
    """The limits. What is None, or of no class, is not judged."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_pictures: Count | None = Field(None, description="pictures and films that the run has at least")
    pictures_drop: Percent | None = Field(None, description="percent of the baseline's pictures that may be gone")
    quarantined: Count | None = Field(None, description="files that may be set aside; duplicates do not count")
    empty_rate: Share | None = Field(None, description="share of pictures and films that may have no object")
    empty_rise: Share | None = Field(None, description="by how much that share may be greater than the baseline's")
    min_count: dict[str, Count] = Field({}, description="by class: objects that there are at least")
    max_count: dict[str, Count] = Field({}, description="by class: objects that there may be")
    count_drop: Percent | None = Field(None, description="percent of the baseline's objects that a class may lose")
    count_rise: float | None = Field(None, ge=0, description="percent by which a class may grow over the baseline")
    vanished: Count | None = Field(None, description="classes looked for that may have lost every object")
    appeared: Count | None = Field(None, description="classes that may have objects, and had none in the baseline")
    score_drift: Share | None = Field(None, description="by how much the mean score of a class may differ")
    quality_drift: Share | None = Field(None, description="by how much the mean of what a segmenter says may differ")
    changed_objects: Share | None = Field(
        None, description="share of objects that may be added, removed, of another class or moved, in pictures of both"
    )
    fidelity_min: Share | None = Field(None, description="lowest IoU of an object read back from a dataset")
    fidelity_mean: Share | None = Field(None, description="lowest mean IoU of a dataset's objects read back")
    ap50: Share | None = Field(None, description="lowest AP50 of the masks against `truth`, a COCO file")
    j_and_f: Share | None = Field(None, description="lowest J&F of films against `truth`, a dataset of films")
    truth: str | None = Field(None, description="a COCO file, a dataset with films, or a DAVIS folder")
    count_from: int = Field(10, ge=1, description="a class with fewer objects in the baseline has no drift")
    moved_iou: Share = Field(MOVED_IOU, description="an object has moved if its masks overlap less")

    def asked(self) -> list[str]:
        """The rules that are to be judged, in the order above."""
        return [
            name for name in type(self).model_fields if name not in SETTINGS and getattr(self, name) not in (None, {})
        ]


def read(words: Sequence[str], classes: Collection[str], baseline: bool) -> Rules:
    """Rules from `KEY=VALUE` and at most one YAML file; raises `ConfigError` with every problem.

    `classes` are those that the run knows. Without any rule, those of `NIGHTLY`, if there is a baseline.
    """
    document = _document(words)
    given = [key for key in document.data if key not in SETTINGS]
    if not given and not baseline:
        known = ", ".join(name for name in Rules.model_fields if name not in SETTINGS)
        raise ConfigError(
            f"no rule, and no --baseline to compare with; give one of them ({known}), as in empty_rate=0.2"
        )
    problems = _unmet(document, classes, baseline)
    try:
        rules = Rules(**(document.data if given else {**NIGHTLY, **document.data}))
    except ValidationError as error:
        problems = yamls.explain(error, document, (), Rules.model_fields) + problems
    if problems:
        raise ConfigError(problems)
    return rules


def _document(words: Sequence[str]) -> yamls.Document:
    """The file with the values of the command line over it; `min_count.dog=10` is a value inside."""
    files = [word for word in words if "=" not in word]
    if len(files) > 1:
        raise ConfigError(f"{', '.join(files)}: want one file of rules; put them into one, or write KEY=VALUE")
    if files and not Path(files[0]).is_file():
        raise ConfigError(f"{files[0]}: no such file; write KEY=VALUE, or name a YAML file of rules")
    document = yamls.read(Path(files[0])) if files else yamls.Document("command line", {})
    if not isinstance(document.data, dict):
        raise ConfigError(f"{document.where}: want rules, as in `count_drop: 30`, got {document.data!r}")
    lines: dict[yamls.Place, int | str] = dict(document.lines)
    for word in [word for word in words if "=" in word]:
        dotted, _, text = word.partition("=")
        key, _, class_ = dotted.partition(".")
        value = yamls.parse(text, word).data if text else ""
        if not class_:
            document.data[key] = value
        elif isinstance(document.data.setdefault(key, {}), dict):
            document.data[key][class_] = value
        else:
            raise ConfigError(f"{word}: {key} is {document.data[key]!r}, which has nothing below it")
        lines[(key, class_) if class_ else (key,)] = word
    return yamls.Document(document.where, document.data, lines)


def _unmet(document: yamls.Document, classes: Collection[str], baseline: bool) -> list[str]:
    """What rules need and do not have: a baseline, a truth, a class that the run knows."""
    needs = [(key, "--baseline RUN") for key in AGAINST_BASELINE if not baseline]
    needs += [(key, "truth=PATH") for key in AGAINST_TRUTH if document.data.get("truth") is None]
    said = [f"{document.at((key,))}: {key}: needs {what}" for key, what in needs if document.data.get(key) is not None]
    for key in BY_CLASS:
        counts = document.data.get(key)
        unknown = [name for name in counts if name not in classes] if isinstance(counts, dict) else []
        said += [
            f"{document.at((key, name))}: {key}.{name}: the run has no such class{nearest(name, classes)}"
            for name in unknown
        ]
    return said
