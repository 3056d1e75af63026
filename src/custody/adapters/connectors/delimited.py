"""CSV: a header, then rows of as many fields; quoted fields may hold commas and line breaks."""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

from custody.adapters.connectors.faults import Faults, check_names, empty
from custody.adapters.connectors.text_types import typed

_FIELDS_PER_BATCH = 200_000


def read_csv(stream: BinaryIO, name: str, expected: Sequence[str] | None, tick: Callable[[int], None]) -> pa.Table:
    """Read UTF-8 text with commas; empty fields are null, empty lines are skipped, types are judged over whole columns.

    tick: called with the number of rows read so far, after each batch.
    Raises: InvalidInput with all malformed rows: too few or many fields, open quotes, NUL, bytes that are not UTF-8.
    """
    faults = Faults(name)
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
    rows = _rows(text, faults)
    _, header = next(rows, (0, []))
    faults.report()
    if not header:
        raise empty(name)
    check_names(header, expected, name)
    columns: list[list[pa.Array]] = [[] for _ in header]
    count = 0
    for lines, fields in _batches(rows, len(header), faults):
        for position, chunks in enumerate(columns):
            chunks.append(_array(fields[position :: len(header)], lines, position + 1, faults))
        count += len(lines)
        tick(count)
    faults.report()
    arrays = [typed(pa.chunked_array(chunks, pa.string())) for chunks in columns]
    return pa.table(arrays, names=header)


def _rows(text: io.TextIOWrapper, faults: Faults) -> Iterator[tuple[int, list[str]]]:
    """Yield each row that is not empty, with the physical line it starts on."""
    reader = csv.reader(text, strict=True)
    line = 1
    while True:
        try:
            for row in reader:
                if row:
                    yield line, row
                line = reader.line_num + 1
        except csv.Error:
            what = f"a quote that is not closed, text after a closing quote, or over {csv.field_size_limit():,} characters"
            faults.add(line, "some column", what)
            line = reader.line_num + 1
        else:
            return


def _batches(rows: Iterator[tuple[int, list[str]]], width: int, faults: Faults) -> Iterator[tuple[list[int], list[str]]]:
    """Yield lines and their fields, one row's after another's: one flat list is several times faster than rows of lists."""
    lines: list[int] = []
    fields: list[str] = []
    for line, row in rows:
        if len(row) != width:
            what = f"{len(row)} field{'s' if len(row) > 1 else ''} where the header has {width}"
            faults.add(line, f"column {min(len(row), width) + 1}", what)
            continue
        lines.append(line)
        fields += row
        if len(fields) >= _FIELDS_PER_BATCH:
            yield lines, fields
            lines, fields = [], []
    if lines:
        yield lines, fields


def _array(values: list[str], lines: list[int], position: int, faults: Faults) -> pa.Array:
    try:
        array = pa.array(values, pa.string())
    except UnicodeEncodeError:
        for line, value in zip(lines, values, strict=True):
            if any("\udc80" <= letter <= "\udcff" for letter in value):
                faults.add(line, f"column {position}", "bytes that are not UTF-8")
        return pa.nulls(len(values), pa.string())
    for row in nul_rows(array):
        faults.add(lines[row], f"column {position}", "a NUL character")
    return pc.if_else(pc.equal(array, ""), None, array)


def nul_rows(array: pa.Array) -> list[int]:
    """Return which values of a text array hold a NUL character."""
    letters = array.buffers()[2]
    if letters is None or b"\0" not in letters.to_pybytes():
        return []
    rows: list[int] = pc.indices_nonzero(pc.match_substring(array, "\0")).to_pylist()
    return rows
