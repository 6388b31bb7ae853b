"""What somebody else found, as a detector: a COCO dataset, or a prompts file. Pictures are known by name."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline import geometry
from pipeline.checkpoints import sha256_of_file
from pipeline.detectors import DetectorOptions, prompts_file
from pipeline.detectors.prompts_file import Given
from pipeline.errors import BadRecord, ConfigError
from pipeline.formats import coco
from pipeline.media import Picture
from pipeline.records import CONSTANT, Clip, Instances, empty, sha256_of
from pipeline.seams import Device


class Boxes(DetectorOptions):
    """Boxes, points and masks that are there already.

    `path` is a COCO file, the folder it is in, or a prompts file (`.jsonl`). A class of the file is a prompt.
    The file knows a picture by its name below the source, else by its base name, where the file has that only
    once. A COCO region marked `iscrowd` is no object. An object with nothing but points has the whole picture
    as its box, because nothing is known of its extent.

    Each edge of a box is moved by up to `jitter` of the box's side, at random but always alike for a `seed`.
    `keep_masks` brings masks along; otherwise a segmenter makes them anew.
    """

    looks: ClassVar[bool] = False

    path: str = Field(min_length=1)
    jitter: float = Field(default=0.0, ge=0, lt=0.5)
    seed: int = 0
    keep_masks: bool = False

    @property
    def by_name(self) -> bool:
        return True

    @property
    def independent_classes(self) -> bool:
        return True

    @property
    def constant_scores(self) -> bool:
        """Tell if no object of the file has a score."""
        rows = _dataset(self.path, _digest(self.path)).found.values()
        return all(given.score is None for some in rows for given in some)

    def vocabulary(self) -> tuple[str, ...]:
        """Name the classes of the file."""
        return _dataset(self.path, _digest(self.path)).classes

    def fingerprint(self, device: Device) -> dict[str, Any]:
        """Name the file by its hash; raises `ConfigError` where there is none."""
        return self.model_dump(mode="json", exclude={"path"}) | {"file": _digest(self.path)}

    def provenance(self) -> dict[str, Any]:
        """File and hash."""
        return {"file": Path(self.path).name, "sha256": _digest(self.path)}

    def open(self, device: Device) -> "_Boxes":
        """Read the file; raises `ConfigError` with every object that cannot be read, or `BadDataset`."""
        return _Boxes(self, _dataset(self.path, _digest(self.path)))


@dataclass(frozen=True, slots=True)
class _Dataset:
    classes: tuple[str, ...]
    found: Mapping[str, Sequence[Given]]
    full_names: Mapping[str, str]
    """Base name -> name, where only one picture has it."""


class _Boxes:
    def __init__(self, options: Boxes, dataset: _Dataset) -> None:
        self.options, self.dataset = options, dataset

    def detect(self, pictures: Sequence[Picture], prompts: Sequence[str]) -> list[Instances]:
        """Look up each picture by name; one that the file does not name has nothing."""
        return [self._of(picture, set(prompts)) for picture in pictures]

    def _of(self, picture: Picture, asked: set[str]) -> Instances:
        name = picture.clip.name
        if name not in self.dataset.found:
            name = self.dataset.full_names.get(PurePosixPath(name).name, "")
        asked_for = [(n, given) for n, given in enumerate(self.dataset.found.get(name, ())) if given.prompt in asked]
        placed = [(given, _placed(given, picture, self._moves(name, n))) for n, given in asked_for]
        found = _as_instances([row for _, row in placed if row], picture.size_hw, self.options.keep_masks)
        return replace(found, unplaced=tuple((given.prompt, _words(given)) for given, row in placed if not row))

    def _moves(self, name: str, number: int) -> NDArray[np.float64]:
        """How far the edges of a row are moved, in sides of the box: (4,)."""
        dice = np.frombuffer(bytes.fromhex(sha256_of([name, number, self.options.seed])), "<u8") / 2**64
        return self.options.jitter * (2 * dice - 1)


@dataclass(frozen=True, slots=True)
class _Row:
    given: Given
    box_xyxy: geometry.Boxes
    points: NDArray[np.float32] | None


def _placed(given: Given, picture: Picture, moves: NDArray[np.float64]) -> _Row | None:
    """Put an object into a picture; None where nothing of it is inside."""
    h, w = picture.size_hw
    if given.size_hw not in (None, (h, w)):
        raise BadRecord(
            f"{picture.clip.name}: the picture has {h} x {w} pixels (h x w), but its boxes are of one with"
            f" {given.size_hw[0]} x {given.size_hw[1]}; give the pictures that the boxes were made for"
        )
    points = np.array(given.points, np.float32).reshape(-1, 3)
    points = points[(points[:, 0] < w) & (points[:, 1] < h)]
    if given.box_xyxy is None and not (points[:, 2] > 0).any():
        return None
    edges = (0, 0, w, h) if given.box_xyxy is None else _moved(given.box_xyxy, moves)
    box = geometry.clip_boxes(geometry.as_boxes(edges), picture.size_hw)
    return _Row(given, box[0], points if len(points) else None) if geometry.proper(box)[0] else None


def _words(given: Given) -> str:
    """Say where an object that is not in the picture would be."""
    if given.box_xyxy is None:
        return "its points"
    return "box " + ", ".join(f"{edge:g}" for edge in given.box_xyxy)


def _moved(box_xyxy: Sequence[float], moves: NDArray[np.float64]) -> NDArray[np.float64]:
    """Move each edge by a share of the side along which it moves: (4,), (4,) -> (4,)."""
    x0, y0, x1, y1 = box_xyxy
    return np.array(box_xyxy) + moves * [x1 - x0, y1 - y0, x1 - x0, y1 - y0]


def _as_instances(rows: Sequence[_Row], size_hw: tuple[int, int], keep_masks: bool) -> Instances:
    if not rows:
        return empty(size_hw)
    given = [row.given for row in rows]
    return Instances(
        size_hw,
        np.stack([row.box_xyxy for row in rows]),
        names=("",) * len(rows),
        scores=np.array([1.0 if g.score is None else g.score for g in given]),
        score_kind=tuple(CONSTANT if g.score is None else "given" for g in given),
        prompts=tuple(g.prompt for g in given),
        points=tuple(row.points for row in rows),
        masks=tuple(g.mask for g in given) if keep_masks else None,
        source=("boxes",) * len(rows),
        extra=tuple({} if g.annotation is None else {"annotation": g.annotation} for g in given),
    )


def _digest(path: str) -> str:
    """Hash the file, or every file in the folder that may be the one; raises `ConfigError`."""
    place = Path(path)
    try:
        files = sorted(place.glob("*.json")) if place.is_dir() else [place]
        return sha256_of([sha256_of_file(file) for file in files])
    except OSError as error:
        raise ConfigError(
            f"{path}: {error.strerror}; give a COCO file, its folder, or a prompts file (.jsonl)"
        ) from error


@lru_cache(maxsize=2)
def _dataset(path: str, digest: str) -> _Dataset:
    """Read the file once for all who ask."""
    classes, found = (_from_prompts if path.endswith(".jsonl") else _from_coco)(Path(path))
    full_names: dict[str, str] = {}
    for name in found:
        base = PurePosixPath(name).name
        full_names[base] = "" if base in full_names else name
    return _Dataset(tuple(sorted(set(classes))), found, full_names)


def _from_prompts(path: Path) -> tuple[Sequence[str], Mapping[str, Sequence[Given]]]:
    found = prompts_file.read(path)
    return [given.prompt for rows in found.values() for given in rows], found


def _from_coco(path: Path) -> tuple[Sequence[str], Mapping[str, Sequence[Given]]]:
    reading = coco.read(path)
    found = {clip.name: list(_given(clip)) for clip in reading.clips}
    if reading.problems:
        raise ConfigError([str(problem) for problem in reading.problems])
    return list(reading.names.values()), found


def _given(clip: Clip) -> Iterator[Given]:
    """Objects of a COCO picture in the terms of a prompts file, less its crowds."""
    found = clip.found[0]
    masks, scores = found.masks or (None,) * len(found), found.scores
    for row, extra in enumerate(found.extra or ()):
        if not extra.get("iscrowd"):
            x0, y0, x1, y1 = found.boxes_xyxy[row].tolist()
            score = None if scores is None else float(scores[row])
            yield Given(
                found.names[row],
                (x0, y0, x1, y1),
                (),
                masks[row],
                found.size_hw,
                score,
                extra.get("annotation"),
            )
