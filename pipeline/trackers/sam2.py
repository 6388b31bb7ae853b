"""SAM 2 as a tracker: it makes the masks of what is detected on key frames, and follows them.

Ravi et al., "SAM 2: Segment Anything in Images and Videos", 2024. `sam2_memory` is the model, `sam2_scene` what is
asked of it, `lifecycle` the decisions.
"""

from collections.abc import Collection
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from pipeline.pretrained import Pretrained
from pipeline.seams import Device
from pipeline.trackers.lifecycle import Rules

if TYPE_CHECKING:
    from pipeline.trackers.sam2_scene import Sam2Tracker


class Sam2(Pretrained, Rules):
    """SAM 2 or 2.1 of any size."""

    makes_masks: ClassVar[bool] = True
    opens: ClassVar[Collection[str]] = ("sam2_video",)

    refreshes: int = Field(
        3,
        ge=0,
        description="times that a detection is remembered beside an object's first; each is a map more, 0.5 MB and a"
        " seventh of the time",
    )
    compiled: bool = Field(False, description="by torch.compile: minutes at first, and other last bits")

    def open(self, device: Device) -> "Sam2Tracker":
        """Load the model; raises `ModelMissing`."""
        from pipeline.trackers.sam2_memory import open_follower
        from pipeline.trackers.sam2_scene import Sam2Tracker

        dtype = self.number_format(device)
        return Sam2Tracker(open_follower(self.folder(), dtype, device, self.refreshes, self.compiled), self)
