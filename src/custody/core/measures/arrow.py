"""Arrow arrays as numbers and levels: Python sees each distinct value once, not each row."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as kinds
from numpy.typing import NDArray

Indices = NDArray[np.int64]


def is_arrow(values: object) -> bool:
    """Tell whether a column is an Arrow array or a chunked one."""
    return isinstance(values, (pa.Array, pa.ChunkedArray))


def chunks_of(values: Any) -> list[Any]:
    """Return the arrays of an Arrow column, those of an extension type as what they store."""
    chunks = values.chunks if isinstance(values, pa.ChunkedArray) else [values]
    return [chunk.storage if isinstance(chunk, pa.ExtensionArray) else chunk for chunk in chunks]


def is_number(values: Any) -> bool:
    """Tell whether an Arrow column holds numbers: whole, floating, decimal, dates or points in time."""
    kind = values.type.storage_type if isinstance(values.type, pa.BaseExtensionType) else values.type
    return _is_plain(kind) or kinds.is_decimal(kind)


def _is_plain(kind: Any) -> bool:
    return any(known(kind) for known in (kinds.is_integer, kinds.is_floating, kinds.is_timestamp, kinds.is_date))


def flat(array: Any) -> NDArray[Any]:
    """Return an Arrow array of numbers without nulls as numpy sees it, without copying; dates and times as datetime64."""
    kind = array.type
    letter = "f" if kinds.is_floating(kind) else "u" if kinds.is_unsigned_integer(kind) else "i"
    body = array.buffers()[1]  # not `to_numpy`, which imports pandas
    found = np.frombuffer(body or b"", dtype=f"{letter}{kind.bit_width // 8}")[array.offset : array.offset + len(array)]
    if kinds.is_timestamp(kind):
        return found.view(f"datetime64[{kind.unit}]")
    return found.astype(np.int64).view(f"datetime64[{'D' if kind.bit_width == 32 else 'ms'}]") if kinds.is_date(kind) else found


def numbers(array: Any) -> tuple[NDArray[Any], int] | None:
    """Return the non-null values of an array of plain numbers, and its number of nulls; None for an array of other things."""
    return (flat(pc.drop_null(array)), array.null_count) if _is_plain(array.type) else None


def distinct(array: Any) -> tuple[Any, Indices]:
    """Return an array's dictionary, and the place in it of every row that has one, shape (rows without a null,).

    A value may stand in the dictionary twice, or for no row. Nested values and floats are not looked up: each row is its own.
    """
    kind = array.type
    if kinds.is_nested(kind) or kinds.is_floating(kind):
        kept = pc.drop_null(array)
        return kept, np.arange(len(kept))
    coded = array if kinds.is_dictionary(kind) else pc.dictionary_encode(array)
    return coded.dictionary, flat(pc.drop_null(coded.indices)).astype(np.int64)


def tally(arrays: Iterable[Any]) -> Iterator[tuple[list[Any], Indices, int]]:
    """Count rows by distinct value: its values, rows of each, and rows without any, once for each new dictionary."""
    dictionary, rows, null = None, np.zeros(0, dtype=np.int64), 0
    for array in arrays:
        own, places = distinct(array)
        if dictionary is None or not own.equals(dictionary):
            if dictionary is not None:
                yield dictionary.to_pylist(), rows, null
            dictionary, rows, null = own, np.zeros(len(own), dtype=np.int64), 0
        rows += np.bincount(places, minlength=len(own))
        null += len(array) - len(places)
    if dictionary is not None:
        yield dictionary.to_pylist(), rows, null
