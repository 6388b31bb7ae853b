"""The verbs: each takes a batch of clips and answers with one `Change` a clip, in order.

A VERSION is raised when the answer of a stage may change.
"""

from pipeline.stages.correct import Correct
from pipeline.stages.correct_tracks import People
from pipeline.stages.detect import Detect
from pipeline.stages.plain import Dedupe, Select
from pipeline.stages.segment import Segment
from pipeline.stages.stage import Batch, Memory, Stage
from pipeline.stages.track import Identify, Track
from pipeline.stages.verify import Verify

__all__ = [
    "Batch",
    "Correct",
    "Dedupe",
    "Detect",
    "Identify",
    "Memory",
    "People",
    "Segment",
    "Select",
    "Stage",
    "Track",
    "Verify",
]
