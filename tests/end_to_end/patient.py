"""A detector that waits until it is told to go on, so that a run lasts as long as a test wants.

A config names it `patient:Patient`; this file then lies in the working folder. `here-PID` says that a process waits, a
file `go` ends all waiting.
"""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from pipeline.detectors import DetectorOptions
from pipeline.detectors.fake import Fake
from pipeline.media import Picture
from pipeline.records import Instances
from pipeline.seams import Device

LONGEST_S = 60


class Patient(DetectorOptions):
    """As `fake` is, when it goes on."""

    looks: ClassVar[bool] = False

    def open(self, device: Device) -> "_Patient":
        return _Patient(device)


class _Patient:
    def __init__(self, device: Device) -> None:
        self.inner = Fake().open(device)

    def detect(self, pictures: Sequence[Picture], prompts: Sequence[str]) -> list[Instances]:
        Path(f"here-{os.getpid()}").touch()
        deadline = time.monotonic() + LONGEST_S
        while not Path("go").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.inner.detect(pictures, prompts)
