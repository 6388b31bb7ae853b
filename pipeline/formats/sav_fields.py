"""What an SA-V file says of its masklets besides their masks: all of it follows from areas.

The rules are those of the release files (sav_dataset/example of facebookresearch/sam2), not of their README, which
differs from them.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

SMALL_PX, MEDIUM_PX = 32**2, 96**2
"""Below are small and medium objects, as COCO has it."""
FPS = 24.0
"""Of all films of the release."""
ANNOTATED_EVERY = 4  # frames: at 6 frames a second


def derived(areas_px: NDArray[np.int64], size_hw: tuple[int, int]) -> dict[str, list[Any]]:
    """Each field's list, a value a masklet: areas (frames, masklets) -> lists under the file's keys.

    >>> derived(np.array([[0], [9], [0], [5]]), (10, 10))["masklet_visibility_changes"]
    [2]
    """
    seen = areas_px > 0
    mean_px = areas_px.sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
    first = seen.argmax(axis=0)
    changes = (seen[1:] != seen[:-1]).sum(axis=0) - (first > 0)  # the first appearance is none
    return {
        "masklet_id": list(range(areas_px.shape[1])),
        "masklet_size_rel": (mean_px / (size_hw[0] * size_hw[1])).tolist(),
        "masklet_size_abs": mean_px.tolist(),
        "masklet_size_bucket": [bucket(px) for px in mean_px],
        "masklet_visibility_changes": changes.tolist(),
        "masklet_first_appeared_frame": first.tolist(),
        "masklet_frame_count": [len(areas_px)] * areas_px.shape[1],
    }


def bucket(mean_px: float) -> str:
    """SA-V's word for a size.

    >>> bucket(1023.9), bucket(1024), bucket(9216)
    ('small', 'medium', 'large')
    """
    return "small" if mean_px < SMALL_PX else "medium" if mean_px < MEDIUM_PX else "large"
