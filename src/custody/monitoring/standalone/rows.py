"""Rows to summarise, column by column in pieces, from whatever holds them in memory."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.types as kinds

from custody.core.errors import InvalidInput
from custody.core.measures import arrow
from custody.core.measures.spec import Values

PIECE = 65_536  # rows read at once
SAMPLE, PLACES = 1_048_576, 16  # rows that a number's grid is read from, and from how many places of the data


class Rows(Protocol):
    """Rows with named columns; `names` can be summarised, `ignored` are nested, binary or a frame's own index."""

    @property
    def names(self) -> tuple[str, ...]:
        """Return the columns that can be summarised, in order."""
        ...

    @property
    def ignored(self) -> tuple[str, ...]:
        """Return the columns that cannot."""
        ...

    def column(self, name: str) -> Iterable[Values]:
        """Return a column's values in pieces, which may be walked through again."""
        ...

    def sample(self, name: str) -> Iterable[Values]:
        """Return at most about a million of a column's rows, spread over the data; always the same ones."""
        ...


def spread(count: int) -> list[int]:
    """Choose at most 16 of `count` places, evenly, the first and the last among them.

    >>> spread(3), spread(61)
    ([0, 1, 2], [0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60])
    """
    return sorted({round(place) for place in np.linspace(0, count - 1, min(count, PLACES))})


def readable(schema: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Split a schema's columns into those that can be summarised and the others; a name that stands twice is InvalidInput."""
    if twice := sorted({name for name in schema.names if schema.names.count(name) > 1}):
        raise InvalidInput(f"The rows have several columns named {', '.join(twice)}.", fix="Rename them.", facts={"twice": twice})
    good = {field.name: _is_readable(field.type) and not field.name.startswith("__index_level_") for field in schema}
    return tuple(name for name in good if good[name]), tuple(name for name in good if not good[name])


def _is_readable(kind: Any) -> bool:
    stored = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
    value = stored.value_type if kinds.is_dictionary(stored) else stored
    binary = (
        kinds.is_binary(value) or kinds.is_large_binary(value) or kinds.is_fixed_size_binary(value) or kinds.is_binary_view(value)
    )
    return not kinds.is_nested(value) and not binary


@dataclass(frozen=True, slots=True, eq=False)
class TableRows:
    """An Arrow table in memory."""

    table: Any
    names: tuple[str, ...]
    ignored: tuple[str, ...]

    def column(self, name: str) -> Iterable[Values]:
        """Return the column's chunks, those of a number cut into pieces that a processor's cache holds."""
        column = self.table.column(name)
        chunks = arrow.chunks_of(column)
        return [piece for chunk in chunks for piece in _pieces(chunk)] if arrow.is_number(column) else chunks

    def sample(self, name: str) -> Iterable[Values]:
        """Return pieces at places evenly spread over the rows."""
        pieces: list[Any] = list(self.column(name))
        return [pieces[place] for place in spread(len(pieces))]


def _pieces(chunk: Any) -> Iterator[Any]:
    return (chunk.slice(start, PIECE) for start in range(0, len(chunk), PIECE))


@dataclass(frozen=True, slots=True, eq=False)
class MappingRows:
    """Arrays, lists or series by column name."""

    columns: Mapping[str, Values]
    ignored: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names, in order."""
        return tuple(self.columns)

    def column(self, name: str) -> Iterable[Values]:
        """Return the column in one piece."""
        return (self.columns[name],)

    sample = column


def rows_of(data: Any) -> Rows:
    """Take a frame (pandas, polars, anything that hands out Arrow), an Arrow table or batch, or arrays by name.

    Missing values of a pandas frame are null; NaN of the others stays NaN, which is counted apart.
    Raises: InvalidInput for anything else, and for a frame that Arrow cannot hold.
    """
    if isinstance(data, Mapping):
        return MappingRows({str(name): _values(values) for name, values in data.items()})
    try:
        table = _table(data)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        table = None  # not `from error`: its text may quote values
    if table is None:
        raise InvalidInput(
            f"Rows cannot be read from {type(data).__name__}.",
            why="It is no data frame, or a column mixes values of several types.",
            fix="Give a pandas or polars frame, an Arrow table, arrays by column name, or the path of a Parquet file.",
        )
    return TableRows(table, *readable(table.schema))


def _table(data: Any) -> Any:
    if hasattr(data, "__arrow_c_stream__"):
        return pa.RecordBatchReader.from_stream(data).read_all()
    return pa.Table.from_batches([pa.record_batch(data)]) if hasattr(data, "__arrow_c_array__") else None


def _values(values: Any) -> Values:
    if arrow.is_arrow(values) or isinstance(values, (np.ndarray, list, tuple)):
        given: Values = values
        return given
    found: Values = pa.chunked_array(values) if hasattr(values, "__arrow_c_stream__") else list(values)
    return found


def chosen(rows: Rows, columns: Sequence[str] | None) -> tuple[str, ...]:
    """Return the columns to summarise: all that can be, or the asked ones; asking for one that is not there is InvalidInput."""
    if columns is None:
        return rows.names
    if missing := [name for name in columns if name not in rows.names]:
        raise InvalidInput(
            f"The rows have no columns {', '.join(missing)} that can be summarised.",
            why="They are not there, or hold nested or binary values.",
            facts={"missing": missing},
        )
    return tuple(columns)
