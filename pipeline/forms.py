"""The columns of a record: their names, the form of a row, and their plain JSON form.

Knows columns one by one; what they mean together is `records`'.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from pipeline import geometry
from pipeline.errors import BadRecord

FLOATS = {"boxes_xyxy": (4,), "scores": (), "quality": (3,), "presence": ()}
"""Columns of float32 and the shape of one row; coordinates have 3 digits after the point, the others 4."""
WHOLE = {"track_ids": np.int64, "visible": np.bool_}
TEXTS = ("names", "score_kind", "prompts", "source")
TUPLES = ("names", "score_kind", "prompts", "points", "masks", "source", "extra")
COLUMNS = (*FLOATS, *WHOLE, *TUPLES)


def check_plain(extra: tuple[Mapping[str, Any], ...]) -> None:
    """Raise `BadRecord` where the store could not keep it: JSON has no NaN, orjson no number of more than 64 bits."""
    rows = [dict(row) for row in extra]
    try:
        json.dumps(rows, allow_nan=False)
        orjson.dumps(rows)
    except (TypeError, ValueError) as error:
        raise BadRecord(f"extra: want plain JSON values: {error}") from error


def check_texts(name: str, column: tuple[str, ...]) -> None:
    """Raise `BadRecord` where a row is no text, or no Unicode (half of a character)."""
    try:
        "".join(column).encode()
    except (TypeError, ValueError) as error:
        raise BadRecord(f"{name}: want Unicode text in every row: {error}") from error


def decimal(name: str, column: Any) -> NDArray[np.float64]:
    """The numbers of a column to the digits that a record keeps."""
    digits = geometry.DIGITS if name in ("boxes_xyxy", "points") else 4
    return np.asarray(np.round(np.asarray(column, np.float64), digits) + 0)  # + 0: no negative zero


def rounded(name: str, column: Any, row_shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Read-only float32, rounded so that its decimal form is short and comes back to the same bits."""
    numbers = decimal(name, column)
    if not numbers.size:
        numbers = numbers.reshape(0, *row_shape)
    if numbers.ndim != 1 + len(row_shape) or numbers.shape[1:] != row_shape:
        raise BadRecord(f"{name}: want {row_shape} numbers a row, got an array of shape {numbers.shape}")
    kept = numbers.astype(np.float32)
    kept.setflags(write=False)
    return kept


def take(column: Any, rows: NDArray[np.int64]) -> Any:
    """The rows given of a column, array or tuple."""
    return tuple(column[row] for row in rows) if isinstance(column, tuple) else column[rows]


def join(columns: Sequence[Any]) -> Any:
    """Columns of one name, one below the other."""
    return sum(columns, ()) if isinstance(columns[0], tuple) else np.concatenate(columns)


def to_json(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Columns to plain values: NaN is null, a mask is its text, an array is a list."""
    form: dict[str, Any] = {}
    for name, column in columns.items():
        if name in FLOATS:
            form[name] = decimal(name, column).tolist()
            if name == "quality":
                form[name] = [[None if math.isnan(value) else value for value in row] for row in form[name]]
        elif name in WHOLE:
            form[name] = np.asarray(column).tolist()
        elif name == "masks":
            form[name] = [None if mask is None else mask.decode("ascii") for mask in column]
        elif name == "points":
            form[name] = [None if row is None else decimal(name, row).tolist() for row in column]
        else:
            form[name] = [dict(row) if name == "extra" else row for row in column]
    return form


def from_json(form: Mapping[str, Any]) -> dict[str, Any]:
    """Plain values to columns; a column that this version does not know is refused."""
    unknown = sorted(set(form) - set(COLUMNS))
    if unknown:
        raise BadRecord(f"unknown column {unknown[0]!r}")
    columns: dict[str, Any] = {}
    for name, values in form.items():
        if name == "quality":
            columns[name] = np.array(values, np.float64).reshape(-1, 3)
        elif name == "masks":
            columns[name] = tuple(None if text is None else text.encode("ascii") for text in values)
        elif name == "points":
            columns[name] = tuple(None if p is None else np.asarray(p, np.float32) for p in values)
        else:
            columns[name] = values
    return columns
