"""Scrubbing of tables: each distinct value of a text column once, column names too, and what could not be read is told."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from custody.core.errors import InvalidInput
from custody.privacy.detect import PatternDetector
from custody.privacy.policy import ScrubPolicy
from custody.privacy.ports import Detector
from custody.privacy.pseudonym import PseudonymKey, tokens
from custody.privacy.scrub import Scrubbed, scrub_all

BATCH = 2048  # distinct values that detectors see at once


@dataclass(frozen=True, slots=True)
class ScrubbedTable:
    """A table after scrubbing and what was met on the way.

    counts: column, then type, then rows in which it was removed. names: types found in column names, which are left as they are.
    scanned: text columns that were read. unread: columns whose type nobody can read as text. values and value_bytes: of the
    distinct values that were read; text_bytes: UTF-8 bytes of all cells of text and unread columns, scanned_bytes: of those read.
    """

    table: pa.Table
    counts: Mapping[str, Mapping[str, int]]
    names: Mapping[str, Sequence[str]]
    scanned: tuple[str, ...]
    unread: tuple[str, ...]
    values: int
    text_bytes: int
    scanned_bytes: int
    spans: Mapping[str, int] = field(default_factory=dict)


def scrub_table(
    table: pa.Table,
    policy: ScrubPolicy,
    *,
    columns: Sequence[str] | None = None,
    detectors: Sequence[Detector] = (),
    patterns: Detector | None = None,
    key: PseudonymKey | None = None,
) -> ScrubbedTable:
    """Scrub the text columns of a table, or only those named; a column's name is the hint for its values.

    Numbers, booleans and times are left to the column classifier. Schema metadata is dropped, since nobody reads it.
    Raises: InvalidInput for a column that is not there, and see `scrub_all`.
    """
    wanted = table.column_names if columns is None else columns
    if missing := [name for name in wanted if name not in table.column_names]:
        raise InvalidInput(
            f"There is no column {', '.join(map(repr, missing))}.", why=f"There are {', '.join(table.column_names)}."
        )
    options: dict[str, Any] = {"detectors": detectors, "patterns": patterns or PatternDetector(policy.tier), "key": key}
    counts: dict[str, Mapping[str, int]] = {}
    scanned, unread, spans = [], [], Counter[str]()
    values = text_bytes = scanned_bytes = 0
    for name in wanted:
        column = table.column(name)
        if not _is_text(column.type):
            if not is_plain(column.type):
                unread.append(name)
                text_bytes += column.nbytes
            continue
        done = _column(column, name, policy, options)
        table = table.set_column(table.column_names.index(name), name, done.column)
        counts[name], size = done.rows, bytes_of(column)
        spans.update(done.spans)
        scanned.append(name)
        values, text_bytes, scanned_bytes = values + done.values, text_bytes + size, scanned_bytes + size
    found = dict(zip(wanted, scrub_all([name.replace("_", " ") for name in wanted], policy, **options), strict=True))
    names = {name: sorted(one.counts) for name, one in found.items() if one.spans}
    cleaned = table.replace_schema_metadata(None)
    return ScrubbedTable(cleaned, counts, names, tuple(scanned), tuple(unread), values, text_bytes, scanned_bytes, dict(spans))


@dataclass(frozen=True, slots=True)
class _Column:
    column: pa.ChunkedArray
    rows: Mapping[str, int]
    spans: Mapping[str, int]
    values: int


def _column(column: pa.ChunkedArray, name: str, policy: ScrubPolicy, options: Mapping[str, Any]) -> _Column:
    """Scrub each distinct value once and put the results where the values were."""
    values = coded(column)
    distinct = values.dictionary.to_pylist()
    done: list[Scrubbed] = []
    for start in range(0, len(distinct), BATCH):
        done += scrub_all(distinct[start : start + BATCH], policy, hint=name, **options)
    codes = values.indices
    occurs = Counter({entry["values"]: entry["counts"] for entry in pc.value_counts(codes.drop_null()).to_pylist()})
    rows, spans = Counter[str](), Counter[str]()
    for code, one in enumerate(done):
        for kind, count in one.counts.items():
            rows[kind] += occurs[code]
            spans[kind] += count * occurs[code]
    if not rows:
        return _Column(column, rows, spans, len(distinct))
    texts = pa.array([one.text for one in done], pa.string())
    return _Column(pa.chunked_array([texts.take(codes)]), rows, spans, len(distinct))


def coded(column: pa.ChunkedArray) -> pa.DictionaryArray:
    """Return one dictionary array of a text column, whatever its chunks."""
    plain = column.cast(pa.large_string())
    return plain.combine_chunks().dictionary_encode() if plain.num_chunks != 1 else plain.chunk(0).dictionary_encode()


def pseudonymised(column: pa.ChunkedArray, key: PseudonymKey, kind: str = "") -> pa.ChunkedArray:
    """Replace each value of a column by its token, nulls stay; equal values give equal tokens in every table of this key.

    kind: a type of the pack, see `canonical_value`. Use it on columns of identifiers that joins need.
    """
    values, token = coded(column.cast(pa.large_string())), tokens(key)
    made = pa.array([token(value, kind) for value in values.dictionary.to_pylist()], pa.string())
    return pa.chunked_array([made.take(values.indices)])


def is_scrubbable(kind: pa.DataType) -> bool:
    """Tell whether a column of this type is read as text."""
    return _is_text(kind)


def _is_text(kind: pa.DataType) -> bool:
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(plain) or pa.types.is_large_string(plain) or pa.types.is_string_view(plain))


def is_plain(kind: pa.DataType) -> bool:
    """Tell whether a type holds no text at all: numbers, booleans, times, nothing."""
    t = pa.types
    plain: Iterable[Any] = (t.is_boolean, t.is_integer, t.is_floating, t.is_decimal, t.is_temporal, t.is_null)
    return any(test(kind) for test in plain)


def bytes_of(column: pa.ChunkedArray) -> int:
    """Return the UTF-8 bytes of all cells of a text column."""
    return int(pc.sum(pc.binary_length(column.cast(pa.large_string()))).as_py() or 0)
