"""autodistill's Grounded SAM 2 on masklet's engine: code written for `autodistill_grounded_sam_2` runs unchanged.

    from pipeline.autodistill import GroundedSAM2

It is a `DetectionBaseModel` where autodistill can be imported (pip install 'masklet[autodistill]'), and works the same
where it cannot, with a {caption: class} mapping for an ontology.
"""

import re
import shutil
from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import yaml

from pipeline import api, media, pixels
from pipeline.config import Config
from pipeline.crew import Crew
from pipeline.detections import dataset_of, detections_of
from pipeline.errors import BackendError, ConfigError
from pipeline.formats.sides import SIDES
from pipeline.jobs import Failed, Job
from pipeline.ontology import Ontology
from pipeline.process import write_whole
from pipeline.reasons import in_words
from pipeline.records import Clip, Frame, clip_id, from_blob

if TYPE_CHECKING:
    from supervision import DetectionDataset, Detections

MODELS = {"Florence 2": "florence2_sam2", "Grounding DINO": "grounding_dino_sam2"}
"""What the plugin calls its detectors -> our configs."""
VALID = 0.2
"""The share of pictures that autodistill sets apart (its helpers.split_data)."""
FOLDERS = {"train": "train", "val": "valid"}
"""Our sides -> autodistill's folders."""
RUN = "masklet"
"""The run lives in a folder of this name in the output folder; it is safe to delete."""
NMS = {
    "class_specific": {"dedupe.same_class_iou": 0.5},
    "class_agnostic": {"dedupe.same_class_iou": 0.5, "dedupe.other_class_iou": 0.5},
}
"""autodistill's settings -> ours; 0.5 is supervision's default. Ours compare masks, and doubles go without it, too."""


def _base() -> Any:
    """The base class of autodistill, where it can be had: it does not declare all that it imports."""
    try:
        return import_module("autodistill.detection").DetectionBaseModel
    except ImportError:
        return object


class GroundedSAM2(_base()):  # type: ignore[misc]
    """Words to boxes to masks: Florence-2 or Grounding DINO, then SAM 2.

    `config` and `options` choose other models, as in `pipeline.annotate`. The text threshold is taken and not needed:
    each phrase is asked on its own.
    """

    def __init__(
        self,
        ontology: Any,
        model: str = "Florence 2",
        grounding_dino_box_threshold: float = 0.35,
        grounding_dino_text_threshold: float = 0.25,
        *,
        config: str | Path | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        if config is None and model not in MODELS:
            raise ConfigError(f"model: {model!r}: want one of {', '.join(MODELS)}, or name a config")
        self.ontology = ontology
        self.named = config or MODELS[model]
        asked = {"select.threshold": grounding_dino_box_threshold} if model == "Grounding DINO" else {}
        self.options = {**asked, **(options or {})}
        self._open: tuple[Mapping[str, Any], Crew] | None = None

    def predict(self, input: Any) -> "Detections":  # noqa: A002 - autodistill's word for it
        """What is found in a picture: a path, an array as OpenCV has it (blue first), or a Pillow image.

        `class_id` is the place in `ontology.classes()`. Raises `BadMedia` for what is no picture.
        """
        if isinstance(input, str | Path):
            return self._detections(str(input))
        with TemporaryDirectory() as folder:
            path = Path(folder) / "picture.png"
            _save(input, path)
            return self._detections(str(path))

    def label(
        self,
        input_folder: str,
        extension: str = ".jpg",
        output_folder: str | None = None,
        human_in_the_loop: bool = False,
        roboflow_project: str | None = None,
        roboflow_tags: Any = ("autodistill",),
        sahi: bool = False,
        record_confidence: bool = False,
        nms_settings: str = "no_nms",
    ) -> "DetectionDataset":
        """Label the pictures of a folder into a YOLO dataset: train/, valid/, data.yaml. Called again, it goes on.

        A damaged picture costs itself only; `masklet status OUTPUT/masklet --ledger` names it. Pictures keep their
        bytes. Raises `MaskletError`.
        """
        if human_in_the_loop:
            raise ConfigError("human_in_the_loop: uploads to Roboflow; label without it, and upload the folder")
        out = Path(output_folder or f"{input_folder.rstrip('/')}_labeled")
        if not (out / RUN).is_dir() and any((out / folder).exists() for folder in FOLDERS.values()):
            raise ConfigError(f"{out}: has a train or valid folder that masklet did not make; choose another")
        options = {
            **NMS.get(getattr(nms_settings, "value", nms_settings), {}),
            **self._settings(sahi),
            "source.only": rf"^[^/]*{re.escape(extension)}$",
            "split.val": VALID,
            "export.formats": ["yolo_seg"],
        }
        run = api.annotate(input_folder, Ontology.of(self.ontology), self.named, out / RUN, options=options)
        _laid_out(run, out)
        if record_confidence:
            _write_confidence(run, out)
        root = Path(input_folder)
        return dataset_of((replace(clip, path=str(root / clip.name)) for clip in run), run.classes)

    def _settings(self, sahi: bool = False) -> dict[str, Any]:
        """Options of a run; with `sahi` the detector looks at overlapping tiles, too."""
        if not sahi:
            return dict(self.options)
        inner = self._configured().section("detect")
        rest = {key: value for key, value in self.options.items() if key.partition(".")[0] != "detect"}
        return {**rest, "detect": {"backend": "tiled", "detector": inner}}

    def _configured(self) -> Config:
        return api.configured("", Ontology.of(self.ontology), self.named, self.options)

    def _detections(self, path: str) -> "Detections":
        content = media.read_bytes(path)
        frame = Frame(0, 0.0, media.probe(content).size_hw)
        clip = self._labelled(Clip(clip_id(content), Path(path).name, path, (frame,)))
        classes = self.ontology.classes() if hasattr(self.ontology, "classes") else Ontology.of(self.ontology).names
        return detections_of(clip.found[0], classes)

    def _labelled(self, clip: Clip) -> Clip:
        """A picture through all stages, its models kept open; raises `BackendError`."""
        wanted = Ontology.of(self.ontology).to_json()
        if self._open is None or self._open[0] != wanted:
            config = self._configured()
            config.fetch()
            self._open = wanted, Crew(config.stages())
        (outcome,) = self._open[1]([Job(clip, 0)]).outcomes
        if isinstance(outcome, Failed):
            raise BackendError(f"{clip.name}: {outcome.stage}: {in_words(outcome.reason, outcome.detail)}")
        for result in outcome.results:
            clip = clip.after(from_blob(result.blob))
        return clip


def _save(picture: Any, path: Path) -> None:
    """An array (blue first) or a Pillow image as PNG, which loses nothing; raises `ConfigError` for anything else."""
    cv2 = pixels.opencv()
    try:
        if hasattr(picture, "save"):
            picture.convert("RGB").save(path)
        elif not getattr(picture, "shape", None) or not cv2.imwrite(str(path), picture):
            raise ConfigError(f"predict: want a path, an array or a Pillow image, got {type(picture).__name__}")
    except cv2.error as error:
        raise ConfigError(f"predict: an array of the shape {picture.shape} is no picture") from error


def _laid_out(run: "api.Run", out: Path) -> None:
    """The run's YOLO dataset in autodistill's folders: copies, so that the run stays whole."""
    dataset = run.place / "dataset/yolo_seg"
    with TemporaryDirectory(dir=run.place) as new:
        for side in SIDES:
            for kind in ("images", "labels"):
                folder = Path(new, FOLDERS.get(side, side), kind)
                folder.mkdir(parents=True)
                for file in sorted((dataset / kind / side).glob("*")):
                    shutil.copyfile(file, folder / file.name)
        for folder in map(Path, FOLDERS.values()):
            shutil.rmtree(out / folder, ignore_errors=True)
            (Path(new) / folder).rename(out / folder)
    there = {side: folder for side, folder in FOLDERS.items() if any((out / folder / "images").iterdir())}
    some = next(iter(there.values()), "train")
    folders = {side: f"{there.get(side, some)}/images" for side in FOLDERS}  # ultralytics wants both
    said = {**folders, "nc": len(run.classes), "names": run.classes}
    write_whole(out / "data.yaml", yaml.safe_dump(said, sort_keys=False, allow_unicode=True))


def _write_confidence(run: "api.Run", out: Path) -> None:
    """A file beside each label with the score of each of its rows, as autodistill writes it."""
    for clip in run:
        for folder in FOLDERS.values():
            label = out / folder / "labels" / f"{Path(clip.name).stem}.txt"
            if label.is_file() and clip.found[0].scores is not None:
                lines = "\n".join(map(str, clip.found[0].scores.tolist()))
                write_whole(label.with_name(f"confidence-{label.name}"), lines)
