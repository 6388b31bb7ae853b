"""Where the examples lie that are no part of the repository."""

from pathlib import Path

SHARED_DATA = (Path(__file__).parents[1] / "../shared/data").resolve()
