"""Arrow columns count exactly as the lists of their values do."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from custody.core.measures import arrow
from custody.core.measures.spec import Kind, Reading, Spec, crc, spec_of, spec_of_pieces
from custody.core.measures.summary import ColumnSummary, count, summarise

NUMBER = Spec("x", Kind.NUMBER, "x", center=2.0, scale=0.7)
CATEGORY = Spec("x", Kind.CATEGORY, "x", levels=("a", "b", "1", "true"), known=(crc("c"),))
LENGTH, WORDS = (Spec("x", Kind.NUMBER, "x", reading) for reading in (Reading.LENGTH, Reading.WORDS))
SPECS = (NUMBER, CATEGORY, LENGTH, WORDS)
TIMES = st.datetimes(datetime(1950, 1, 1), datetime(2100, 1, 1))  # naive on purpose: they are read as UTC
COLUMNS: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.float64(), st.floats(width=64)),
    (pa.float32(), st.floats(width=32)),
    (pa.float16(), st.floats(width=16)),
    (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    (pa.uint8(), st.integers(0, 255)),
    (pa.bool_(), st.booleans()),
    (pa.string(), st.sampled_from(["a", "b", "c", "", "two words", "ü"])),
    (pa.large_string(), st.text(max_size=3)),
    (pa.string_view(), st.sampled_from(["a", "b", "c"])),
    (pa.dictionary(pa.int8(), pa.string()), st.sampled_from(["a", "b", "c"])),
    (pa.dictionary(pa.int32(), pa.int64()), st.integers(0, 3)),
    (pa.timestamp("us"), TIMES),
    (pa.timestamp("s", tz="UTC"), TIMES.map(lambda at: at.replace(microsecond=0, tzinfo=UTC))),
    (pa.date32(), st.dates(date(1900, 1, 1), date(2100, 1, 1))),
    (pa.date64(), st.dates(date(1900, 1, 1), date(2100, 1, 1))),
    (pa.decimal128(9, 2), st.decimals(-1000, 1000, places=2)),
    (pa.list_(pa.int64()), st.lists(st.integers(0, 2), max_size=2)),
    (pa.null(), st.none()),
]


@st.composite
def chunked(draw: st.DrawFn) -> pa.ChunkedArray:
    kind, values = draw(st.sampled_from(COLUMNS))
    rows = draw(st.lists(st.none() | values, max_size=30))
    array = pa.array([None, *rows], kind).slice(1)  # an offset, as after a filter
    cuts = sorted(draw(st.lists(st.integers(0, len(rows)), max_size=3)))
    return pa.chunked_array([array.slice(a, b - a) for a, b in zip([0, *cuts], [*cuts, len(rows)], strict=True)], kind)


@given(chunked())
@example(pa.chunked_array([pa.array([[]], pa.list_(pa.int64())), pa.array([[0]], pa.list_(pa.int64()))]))
def test_an_arrow_column_counts_as_its_values_do(column: pa.ChunkedArray) -> None:
    for spec in SPECS:
        expected = summarise({"x": column.to_pylist()}, (spec,)).columns[0]
        assert summarise({"x": column}, (spec,)).columns[0] == expected
        assert count(spec, column.chunks) == expected
        assert count(spec, reversed(column.chunks)) == expected


@given(chunked())
def test_an_arrow_column_fixes_the_same_spec_as_its_values(column: pa.ChunkedArray) -> None:
    specs = spec_of("x", column)
    assert spec_of_pieces("x", column.chunks or [column]) == specs
    if not pa.types.is_dictionary(column.type) and column.null_count < len(column):
        assert specs == spec_of("x", column.to_pylist())


def test_a_dictionary_is_a_category_whatever_it_holds() -> None:
    (spec,) = spec_of("x", pa.array([1, 2, 2]).dictionary_encode())
    assert (spec.kind, spec.levels) == (Kind.CATEGORY, ("2", "1"))


def test_a_dictionary_may_hold_null_twice_the_same_and_values_of_no_row() -> None:
    column = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, None, 3], pa.int8()), pa.array(["a", None, "a", "b", "never"]))
    found = count(CATEGORY, [column])
    assert (found.keys.tolist(), found.counts.tolist(), found.null) == ([0, 1], [2, 1], 2)
    assert spec_of("x", column)[0].levels == ("a", "b")


def test_dictionaries_that_differ_are_not_mixed_up() -> None:
    first, second = (pa.array(values).dictionary_encode() for values in (["a", "b", "b"], ["b", "a", "b"]))
    found = count(CATEGORY, [first, first, second])
    assert found.counts.tolist() == [3, 6]


def test_an_extension_type_counts_as_what_it_stores() -> None:
    column = pa.array([True, False, True, None]).cast(pa.bool8())
    assert count(CATEGORY, [pa.array([1, 0, 1, None], pa.int8())]) == summarise({"x": column}, (CATEGORY,)).columns[0]


def test_nanoseconds_are_cut_to_microseconds() -> None:
    array = pa.array([1_500_000_000_000_000_999, None], pa.timestamp("ns"))
    assert count(NUMBER, [array]) == count(NUMBER, [[1_500_000_000.0, None]])


def test_every_kind_of_nan_is_counted_as_nan() -> None:
    signalling = np.array([0x7FF0000000000001, 0xFFF0000000000001, 0x7FF8000000000000], dtype=np.uint64).view(np.float64)
    found = count(NUMBER, [np.concatenate([signalling, [np.inf, -np.inf, 2.0]])])
    assert (found.nan, found.high, found.low, found.finite) == (3, 1, 1, 1)
    assert count(NUMBER, [np.repeat(signalling, 5000)]).nan == 15_000


@pytest.mark.parametrize("rows", [10, 8_191, 8_192, 40_000, 70_000])
def test_few_and_many_numbers_are_counted_alike(rows: int) -> None:
    values = np.random.default_rng(rows).standard_cauchy(rows) * 1e30
    values[::7] = np.nan
    expected = _slow(values)
    assert summarise({"x": values}, (NUMBER,)).columns[0] == expected
    assert count(NUMBER, [values[:5], values[5:]]) == expected
    assert count(NUMBER, [pa.array(values)]) == expected


def _slow(values: np.ndarray) -> ColumnSummary:
    """Count one value at a time."""
    parts = [summarise({"x": values[i : i + 1000]}, (NUMBER,)).columns[0] for i in range(0, len(values), 1000)]
    keys, places = np.unique(np.concatenate([part.keys for part in parts]), return_inverse=True)
    counts = np.bincount(places, weights=np.concatenate([part.counts for part in parts])).astype(np.int64)
    sums = np.array([(part.null, part.nan, part.high, part.low) for part in parts]).sum(axis=0).tolist()
    return ColumnSummary(NUMBER, keys, counts, *sums)


def test_what_is_a_number() -> None:
    numbers = [pa.int8(), pa.float16(), pa.decimal128(3), pa.date32(), pa.timestamp("ms")]
    others = [pa.bool_(), pa.string(), pa.time32("s"), pa.duration("s"), pa.binary(), pa.dictionary(pa.int8(), pa.float64())]
    assert all(arrow.is_number(pa.nulls(1, kind)) for kind in numbers)
    assert not any(arrow.is_number(pa.nulls(1, kind)) for kind in others)
    assert spec_of("price", [Decimal("1.5"), Decimal(2)])[0].kind is Kind.NUMBER


def test_a_grid_is_read_from_evenly_spread_values() -> None:
    values = np.sort(np.random.default_rng(3).normal(50, 4, 300_000))
    (spec,) = spec_of("x", values)
    assert spec.center == pytest.approx(50, abs=0.05)
    assert spec.scale == pytest.approx(4 * 1.349, rel=0.02)
    pieces = [values[:100], values[100:70_000], values[70_000:]]
    assert spec_of_pieces("x", pieces) == (spec,)


def test_a_column_of_very_many_levels_is_text() -> None:
    ids = [str(i % 100_001) for i in range(250_000)]
    assert [spec.column for spec in spec_of("id", pa.array(ids))] == ["id.length", "id.words"]
    assert [spec.column for spec in spec_of("id", pa.array([str(i % 1000) for i in range(3000)]))] == ["id"]
