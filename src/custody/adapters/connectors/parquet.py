"""Parquet: the form in which rows are stored, with the same bytes for the same rows."""

import io
from collections.abc import Callable, Sequence
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from custody.adapters.connectors.faults import check_names
from custody.adapters.connectors.text_types import TIMESTAMP, within_years
from custody.core.errors import InvalidInput
from custody.core.schema import Column, ColumnType

_ROWS_PER_BATCH = 65_536
_ROWS_PER_GROUP = 131_072
_TYPES = {
    pa.int64(): ColumnType.INTEGER,
    pa.float64(): ColumnType.FLOAT,
    pa.bool_(): ColumnType.BOOLEAN,
    pa.string(): ColumnType.STRING,
    TIMESTAMP: ColumnType.TIMESTAMP,
}


def read_parquet(source: BinaryIO, name: str, expected: Sequence[str] | None, tick: Callable[[int, float], None]) -> pa.Table:
    """Read a Parquet file in batches; numbers, text and times come out in the five types of `columns_of`.

    tick: called with the number of rows read so far and their share, after each batch.
    Raises: InvalidInput if the file is damaged or cut off, or a column is nested or of another kind.
    """
    try:
        with pq.ParquetFile(_seekable(source), page_checksum_verification=True) as file:
            schema, total = file.schema_arrow.remove_metadata(), file.metadata.num_rows
            check_names(schema.names, expected, name)
            columns_of(schema.empty_table())
            pieces, count = [], 0
            for batch in file.iter_batches(_ROWS_PER_BATCH):
                piece = pa.Table.from_batches([batch.replace_schema_metadata(None)])
                piece.validate(full=True)
                pieces.append(plain(piece))
                count += batch.num_rows
                tick(count, count / max(total, 1))
    except (pa.ArrowException, OSError, ValueError, OverflowError):
        raise InvalidInput(  # not `from error`: its text may quote values
            f"{name} is not a readable Parquet file.",
            why="It is damaged, cut off, or something else than Parquet.",
            fix="Write or copy it again, and compare its size and checksum with the original's.",
        ) from None
    if count != total:
        raise InvalidInput(f"{name} holds {count} rows, but says that it holds {total}.", why="It is damaged.")
    return pa.concat_tables([plain(schema.empty_table()), *pieces])


def to_parquet(table: pa.Table) -> bytes:
    """Write rows as Parquet: the same rows give the same bytes, however the table was made.

    The bytes also depend on the version of the pyarrow library, which Parquet's footer names.
    Raises: InvalidInput if a column is nested or of another kind than `columns_of` knows.
    """
    body = io.BytesIO()
    rows = plain(table).combine_chunks()
    options = {"compression": "zstd", "compression_level": 3, "version": "2.6", "data_page_version": "1.0"}
    pq.write_table(rows, body, row_group_size=_ROWS_PER_GROUP, store_schema=False, write_page_checksum=True, **options)
    return body.getvalue()


def from_parquet(body: bytes) -> pa.Table:
    """Read back what `to_parquet` wrote; anything that is not readable Parquet is InvalidInput."""
    return read_parquet(io.BytesIO(body), "This object", None, lambda _rows, _share: None)


def columns_of(table: pa.Table) -> tuple[Column, ...]:
    """Return names and types; a nested, decimal, binary or time-of-day column is InvalidInput."""
    return tuple(Column(field.name, _TYPES[_plain_type(field)]) for field in table.schema)


def plain(table: pa.Table) -> pa.Table:
    """Return a table in the five types int64, double, bool, string and timestamp[us, UTC], without metadata.

    Times without a zone are UTC; nanoseconds are cut to microseconds.
    Raises: InvalidInput if a type is none of these, or a value does not fit the wider one.
    """
    arrays = [_plain_column(column, field) for column, field in zip(table.columns, table.schema, strict=True)]
    return pa.table(arrays, names=table.column_names)


def _plain_column(column: pa.ChunkedArray, field: pa.Field) -> pa.ChunkedArray:
    wanted = _plain_type(field)
    try:
        cast = column.cast(wanted, safe=field.type != pa.timestamp("ns", getattr(field.type, "tz", None)))
    except pa.ArrowInvalid:
        raise _unfit(field, "A value is too large.") from None  # the library's sentence quotes the value
    if wanted == TIMESTAMP and not within_years(cast):
        raise _unfit(field, "A time lies outside the years 1 to 9999.")
    return cast


def _plain_type(field: pa.Field) -> pa.DataType:
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    if pa.types.is_integer(kind):
        return pa.int64()
    if pa.types.is_floating(kind):
        return pa.float64()
    if pa.types.is_boolean(kind):
        return pa.bool_()
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return TIMESTAMP
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind) or pa.types.is_null(kind):
        return pa.string()
    raise _unfit(field, f"Its type is {kind}.")


def _unfit(field: pa.Field, why: str) -> InvalidInput:
    return InvalidInput(
        f"The column '{field.name}' cannot be used.",
        why=f"{why} A column holds whole numbers of 64 bits, floats, true or false, text, or times.",
        fix="Convert the column to one of these, or split it into several columns.",
        facts={"column": field.name},
    )


def _seekable(source: BinaryIO) -> pa.NativeFile:
    return pa.PythonFile(source, mode="r") if source.seekable() else pa.BufferReader(source.read())
