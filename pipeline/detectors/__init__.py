"""Words and pictures to boxes: the seam, and the table of backends."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Protocol

from pydantic import BeforeValidator, PlainSerializer

from pipeline.errors import MaskletError
from pipeline.media import Picture
from pipeline.records import Instances
from pipeline.seams import Device, Options, lookup

DETECTORS = {
    "boxes": "pipeline.detectors.boxes:Boxes",
    "everything": "pipeline.detectors.everything:Everything",
    "fake": "pipeline.detectors.fake:Fake",
    "florence2": "pipeline.detectors.florence2:Florence2",
    "grounding": "pipeline.detectors.grounding:Grounding",
    "tiled": "pipeline.detectors.tiled:Tiled",
    "yolo": "pipeline.detectors.yolo:Yolo",
    "yolox": "pipeline.detectors.yolox:Yolox",
}


class Detector(Protocol):
    """Finds what prompts describe."""

    def detect(self, pictures: Sequence[Picture], prompts: Sequence[str]) -> list[Instances]:
        """One answer a picture, in order; a row has box, score, its kind, its prompt, its source, and '' for a name.

        Everything above a low floor is answered: thresholds are a later stage's. A row's prompt is one of `prompts`;
        the stage turns it into the name of a class, so that renaming or renumbering classes asks no model. What has no
        area inside the picture is no row, and is said in `unplaced`.
        """
        ...


class DetectorOptions(Options):
    """A detector's options."""

    @property
    def independent_classes(self) -> bool:
        """Whether what is found of one prompt does not depend on which others are asked in the same call.

        Then it is remembered prompt by prompt.
        """
        return False

    @property
    def constant_scores(self) -> bool:
        """Whether every row has the same score, so that no threshold can tell right from wrong."""
        return False

    def refused(self, prompts: Sequence[str]) -> list[str]:
        """Why some prompts cannot be asked, a line each; nothing where all can."""
        return []

    def vocabulary(self) -> tuple[str, ...] | None:
        """The prompts that a closed-set model knows, all answered by one call; None where any words can be asked."""
        return None

    def open(self, device: Device) -> Detector:
        """Load what is heavy."""
        raise NotImplementedError


def _inner(given: Any) -> Any:
    """The options that `{backend: yolox, model: ...}` means, inside another detector's; raises `ValueError`."""
    if not isinstance(given, Mapping):
        return given
    values = dict(given)
    try:
        model = lookup(str(values.pop("backend", "")), DETECTORS, "detector")
    except MaskletError as error:
        raise ValueError(str(error)) from error
    return model(**values)


InnerDetector = Annotated[
    DetectorOptions,
    BeforeValidator(_inner),
    PlainSerializer(lambda options: {"backend": options.kind(), **options.model_dump(mode="json")}),
]
"""An option of a detector that is another detector: its section of a config, `backend` and all."""
