"""Words and pictures to boxes: the seam, and the table of backends."""

from collections.abc import Sequence
from typing import ClassVar, Protocol

from pipeline.media import Picture
from pipeline.records import Instances
from pipeline.seams import Device, Options

DETECTORS = {
    "boxes": "pipeline.detectors.boxes:Boxes",
    "fake": "pipeline.detectors.fake:Fake",
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
    """A detector's options.

    `independent_classes`: what is found of one prompt does not depend on which others are asked in the same call, so it
    is remembered prompt by prompt.
    """

    independent_classes: ClassVar[bool] = False

    def vocabulary(self) -> tuple[str, ...] | None:
        """The prompts that a closed-set model knows, all answered by one call; None where any words can be asked."""
        return None

    def open(self, device: Device) -> Detector:
        """Load what is heavy."""
        raise NotImplementedError
