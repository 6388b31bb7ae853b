"""What a small labelled set taught of a detector's scores: a threshold a class, and what a score is worth.

The file that `masklet calibrate` writes and `select.calibration` reads. Knows nothing of how it was found out.
"""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import yaml
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from pipeline import yamls
from pipeline.errors import ConfigError

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Knots = tuple[tuple[Share, Share], ...]


class Calibration(BaseModel):
    """Thresholds by class, and by kind of score the knots (score, probability) of a map that never falls.

    `detector` is the section of the config that the scores came from: of another detector they mean nothing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    thresholds: dict[str, Share] = {}
    maps: dict[str, Knots] = {}
    detector: dict[str, Any] = {}

    @field_validator("maps")
    @classmethod
    def _rise(cls, maps: dict[str, Knots]) -> dict[str, Knots]:
        for kind, knots in maps.items():
            if not knots or any(x0 >= x1 or y0 > y1 for (x0, y0), (x1, y1) in pairwise(knots)):
                raise ValueError(f"want knots [score, probability] for {kind!r} that rise")
        return maps

    def probability(self, kind: str, scores: ArrayLike) -> NDArray[np.float64] | None:
        """What scores of a kind are worth, straight between knots and level outside: (N,) -> (N,).

        None for an unknown kind.

        >>> Calibration(maps={"x": ((0.2, 0.0), (0.6, 1.0))}).probability("x", [0.1, 0.3, 0.9]).tolist()
        [0.0, 0.25, 1.0]
        """
        if kind not in self.maps:
            return None
        at, worth = zip(*self.maps[kind], strict=True)
        probability: NDArray[np.float64] = np.interp(np.asarray(scores, np.float64).round(4), at, worth)
        return probability.round(4)

    def to_yaml(self) -> str:
        """The file: plain YAML."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=True, allow_unicode=True, width=120)


def _content(given: Any) -> Any:
    """What stands in the file that is named; a run's own config.yaml has it in itself. Raises `ValueError`."""
    if not isinstance(given, str):
        return given
    if not Path(given).is_file():
        raise ValueError("no such file; `masklet calibrate RUN --truth PATH` writes one")
    try:
        read = yamls.read(Path(given)).data
    except ConfigError as error:
        raise ValueError(str(error)) from error
    if not isinstance(read, Mapping):
        raise ValueError("is no calibration; `masklet calibrate RUN --truth PATH` writes one")
    return read


FromFile = Annotated[Calibration | None, BeforeValidator(_content)]
"""An option that is given as the path of such a file."""
