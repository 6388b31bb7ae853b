"""The card of a Hugging Face dataset: README.md, with a YAML head that `datasets` and the Hub read."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from pipeline import __version__, yamls
from pipeline.errors import BadDataset, ConfigError, first_line
from pipeline.formats import foreign

FILE = "README.md"
SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))
"""How many pictures a dataset has fewer than, and the Hub's word for it."""
LARGEST = "n>10M"

BODY = """
# {pictures} pictures with {objects} masks

Pictures with objects: class, mask, box. Made by masklet {version}.

**The labels were made by models, not by people, and have not been checked by hand unless somebody says so here.**
`source` and `prompt` in an object's `attributes` say which model found it and what it was asked; `score` says how sure
that model was.

Masks are COCO's compressed run lengths (`pycocotools.mask.decode(segmentation)`) and belong to the picture held
upright, of `width` times `height` pixels. `bbox` is x, y, width, height of the mask; `area` its pixels. Pictures on
which nothing was found are there, too.

| class | objects |
|---|---|
{table}"""


MODELS = """
## Models

Which models made the labels, and the licence of each: look at them before you train on the labels or pass them on.

| stage | model | licence |
|---|---|---|
{table}"""


def write(
    place: Path, features: Any, pictures: int, by_class: Mapping[int, int], data_files: Mapping[str, str], typed: bool
) -> None:
    """Write the card of `datasets.Features`; `by_class` is class number -> objects, `data_files` is split -> files.

    `typed` says that the files themselves have the types of their columns; where not, `datasets` takes them from the
    card's `configs`. What the Hub shows is in `dataset_info`.
    """
    files = [{"split": split, "path": path} for split, path in data_files.items()]
    config = {"config_name": "default", "data_files": files}
    head = {
        "license": "unknown",
        "task_categories": ["image-segmentation", "object-detection"],
        "tags": ["auto-annotated", "masklet"],
        "size_categories": [next((word for limit, word in SIZES if pictures < limit), LARGEST)],
        "configs": [config if typed else config | {"features": _in_yaml(features)}],
        "dataset_info": {"features": _in_yaml(features)},
    }
    # ASCII, and no line is folded: nothing that a class is called can end the head
    said = yaml.safe_dump(head, sort_keys=False, allow_unicode=False, width=float("inf"))
    names = features["objects"]["category"].feature.names
    table = "".join(f"| {_in_table(name)} | {by_class.get(number, 0)} |\n" for number, name in enumerate(names))
    body = BODY.format(pictures=pictures, objects=sum(by_class.values()), version=__version__, table=table)
    (place / FILE).write_text(f"---\n{said}---\n{body}", encoding="utf-8", newline="\n")


def add_models(place: Path, models: Sequence[tuple[str, str, str]]) -> None:
    """Add to a card what made the labels, if anything is known of it: stage, model, licence."""
    if not models:
        return
    table = "".join("| " + " | ".join(_in_table(cell, also="-./@_:,") for cell in row) + " |\n" for row in models)
    with (place / FILE).open("a", encoding="utf-8", newline="\n") as card:
        card.write(MODELS.format(table=table))


def _in_yaml(features: Any) -> Any:
    """`datasets.Features` as a card has them."""
    from datasets import DatasetInfo
    from datasets.info import DatasetInfosDict
    from huggingface_hub import DatasetCardData

    data = DatasetCardData()
    DatasetInfosDict({"default": DatasetInfo(features=features)}).to_dataset_card_data(data)
    return data["dataset_info"]["features"]


def _in_table(name: str, also: str = "") -> str:
    """A text that Markdown and HTML show as it is; the signs of `also` do no harm there.

    >>> _in_table("a|b")
    'a&#124;b'
    """
    return "".join(sign if sign.isalnum() or sign in f" {also}" else f"&#{ord(sign)};" for sign in name)


def names(place: Path) -> dict[int, str] | None:
    """Number -> class, from the card in the folder `place` or the one above; None where none says. `BadDataset`."""
    card = next((card for card in (place / FILE, place.parent / FILE) if card.is_file()), None)
    if card is None:
        return None
    try:
        head = yamls.parse(_head(card), FILE).data
    except (ConfigError, OSError) as error:
        raise BadDataset(f"{card}: its YAML head cannot be read: {first_line(error)}; mend it") from error
    return labels(head.get("dataset_info")) if isinstance(head, dict) else None


def _head(card: Path) -> str:
    """The YAML between the two lines of dashes that a card begins with; '' where there is none."""
    with card.open(encoding="utf-8-sig", errors="replace") as file:
        text = file.read(yamls.MAX_BYTES)
    before, _, rest = text.partition("---\n")
    return rest.partition("\n---")[0] if not before.strip() else ""


def labels(value: Any, inside: bool = False) -> dict[int, str] | None:
    """The names of the first ClassLabel in the column `objects`: in the form of a YAML head, or of a Parquet file's."""
    if isinstance(value, list):
        return next((names for item in value if (names := labels(item, inside)) is not None), None)
    if not isinstance(value, dict):
        return None
    names = _numbered(value["names"]) if inside and "names" in value else None
    for key, item in value.items():
        if names is None:
            names = labels(item, inside or key == "objects" or value.get("name") == "objects")
    return names


def _numbered(given: Any) -> dict[int, str] | None:
    """Names as a list, or under their numbers as text; None where they are something else."""
    pairs = list(given.items() if isinstance(given, dict) else enumerate(given) if isinstance(given, list) else ())
    if not isinstance(given, dict | list) or not all(isinstance(name, str) and name.strip() for _, name in pairs):
        return None
    try:
        return {int(number): name for number, name in pairs if foreign.is_plain(name)}
    except ValueError:
        return None
