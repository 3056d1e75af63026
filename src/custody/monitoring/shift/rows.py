"""Columns read row by row: a number or a level for each row, as `core.measures.spec` counts them."""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from custody.core.measures.spec import Reading, Spec, Values, numbers_read

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Flags = NDArray[np.bool_]


def plain(values: Any) -> Values:
    """Return a column as an array or a list; an Arrow column as a list."""
    found: Values = values.to_pylist() if isinstance(values, (pa.Array, pa.ChunkedArray)) else values
    return found


def _listed(values: Values) -> list[Any]:
    return values.tolist() if isinstance(values, np.ndarray) else list(values)


def _absent(value: object) -> bool:
    return value is None or (isinstance(value, float) and value != value)  # noqa: PLR0124 - only NaN differs from itself


def numbers_by_row(spec: Spec, values: Values) -> Floats:
    """Read a numeric column, or a text's length or words: shape (n,), NaN where there is no number."""
    text = spec.reading is not Reading.VALUE
    if isinstance(values, np.ndarray) and values.dtype.kind == "M":
        present = ~np.isnat(values)
    elif isinstance(values, np.ndarray) and values.dtype.kind in "biuf" and not text:
        present = np.ones(len(values), dtype=np.bool_)
    else:
        present = np.array([not (_absent(value) if text else value is None) for value in _listed(values)], dtype=np.bool_)
    found = np.full(len(present), np.nan)
    found[present] = numbers_read(spec, values)[0]
    return found


def levels_by_row(values: Values) -> list[str | None]:
    """Read a category: each row's level, None without a value; booleans are true, false."""
    return [None if _absent(value) else _level(value) for value in _listed(values)]


def _level(value: object) -> str:
    return str(value).lower() if isinstance(value, (bool, np.bool_)) else str(value)
