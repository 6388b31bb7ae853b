"""Whether the files of a model are what they are said to be: hash, weights all there, a kind that masklet opens."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.checkpoints import cards, hub, names
from pipeline.checkpoints.hashes import sha256_of_file, sha256_of_folder
from pipeline.checkpoints.known import KNOWN
from pipeline.checkpoints.meta_files import RECORD, WEIGHTS
from pipeline.errors import ModelMissing, first_line

OPENED_BY = {
    "sam2": "segment: sam2; detect: everything",
    "sam2_video": "segment: sam2; track: sam2; detect: everything",
    "florence2": "detect: florence2",
    "grounding-dino": "detect: grounding",
    "mm-grounding-dino": "detect: grounding",
    "owlv2": "detect: grounding",
    "owlvit": "detect: grounding",
    "clip": "verify: clip; detect: yolo (words)",
    "siglip": "verify: clip",
}
"""`model_type` of config.json -> the backends that open it."""


@dataclass(frozen=True, slots=True)
class Verified:
    """A model that is what it is said to be; `compared` says with which hashes, as far as there are any."""

    name: str
    place: str
    kind: str
    opened_by: str
    tensors: int
    sha256: str
    compared: str
    licence: str


def verify(name: str, sha256: str | None = None) -> Verified:
    """Check a model's files, all of them read once; raises `ModelMissing` with what is wrong.

    `sha256` is what the whole should have, as a run's config.yaml says it.
    """
    found = names.found(name)
    compared = list(_compared(name, found))
    place = names.folder(name)
    kind = str(names.settings(place).get("model_type", "nothing"))
    if kind not in OPENED_BY:
        known = ", ".join(sorted(OPENED_BY))
        raise ModelMissing(f"{place}: config.json says that it is {kind}; masklet opens {known}")
    tensors, digest = whole(place, name), sha256_of_folder(place)
    if sha256 is not None:
        _same(name, "the whole", digest, sha256, "you said")
        compared.append("as you said")
    said = ", ".join(compared) or "nothing to compare with"
    return Verified(name, str(found), kind, OPENED_BY[kind], tensors, digest, said, cards.licence(name))


def whole(place: Path, name: str) -> int:
    """How many tensors a folder has, by the heads of its files; raises `ModelMissing` where a file was cut off."""
    return sum(_tensors(file, name) for file in _weights(place, name))


def _compared(name: str, place: Path) -> Iterator[str]:
    """Compare files with the hashes that are known of them: the table's, the Hub's, and the converter's."""
    known = KNOWN.get(name.partition("@")[0]) or (KNOWN.get(place.name) if place.is_file() else None)
    file = place if place.is_file() else place / WEIGHTS
    if known is not None and known.sha256 and "@" not in name and file.is_file():
        _same(name, file.name, sha256_of_file(file), known.sha256, "the table of known models says")
        yield "as the table says"
    if place.parent.name == "snapshots":
        blobs = {path.name: path.resolve().name for path in place.glob("*.safetensors")}
        for each, blob in sorted(blobs.items()):
            if len(blob) == 64:
                _same(name, each, sha256_of_file(place / each), blob, "the Hub said")
                yield f"{each} as the Hub said"
    if (place / RECORD).is_file():
        record = names.settings(place, RECORD)
        _same(name, WEIGHTS, sha256_of_file(place / WEIGHTS), str(record.get("sha256")), f"{RECORD} says")
        yield "as it was converted"


def _same(name: str, file: str, found: str, wanted: str, who: str) -> None:
    if found != wanted:
        raise ModelMissing(
            f"{name}: {file} has the sha256 {found}, {who} {wanted}; it is another model, or damaged; {hub.again(name)}"
        )


def _weights(place: Path, name: str) -> list[Path]:
    """The files of weights, with those that an index names; raises `ModelMissing` where one is not there."""
    index = place / f"{WEIGHTS}.index.json"
    named = names.settings(place, index.name).get("weight_map", {}) if index.is_file() else {}
    lacking = sorted({file for file in named.values() if not (place / file).is_file()})
    if lacking:
        raise ModelMissing(f"{place}: has no {lacking[0]}, which {index.name} names; {hub.again(name)}")
    return sorted(place.glob("*.safetensors"))


def _tensors(file: Path, name: str) -> int:
    """How many tensors a .safetensors file has, all of them there; raises `ModelMissing`."""
    from safetensors import safe_open

    try:
        with safe_open(file, "numpy") as opened:
            return len(opened.keys())
    except Exception as error:
        raise ModelMissing(f"{file}: cut off or damaged ({first_line(error)}); {hub.again(name)}") from error
