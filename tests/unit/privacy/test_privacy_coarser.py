"""Generalisation and suppression: every group that is left holds k rows, and what does not fit is refused in words."""

from collections import Counter
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from custody.core.errors import InvalidInput
from custody.privacy.columns.anonymity import anonymity, crowded
from custody.privacy.columns.coarser import coarsened, coarser_of, is_coarser

SEEN = datetime(2024, 5, 17, 13, 20, tzinfo=UTC)


def made(values: pa.Array, how: str) -> list[Any]:
    found: list[Any] = coarsened(pa.chunked_array([values[:1], values[1:]]), "x", coarser_of(how)).to_pylist()
    return found


@pytest.mark.parametrize(
    ("values", "how", "expected"),
    [
        (pa.array([0, 9, 10, 39, -1, None]), "band:10", [0, 0, 10, 30, -10, None]),
        (pa.array([-128, 127], pa.int8()), "band:100", [-200, 100]),
        (pa.array([1.0, 2.6, -0.1, None]), "band:2.5", [0.0, 2.5, -2.5, None]),
        (pa.array([Decimal("12.50"), None]), "band:5", [10.0, None]),
        (pa.array(["12345", "12399", "7", "", None]), "prefix:3", ["123", "123", "7", "", None]),
        (pa.array(["éàü", "x"]).dictionary_encode(), "prefix:2", ["éà", "x"]),
        (pa.array([SEEN, None], pa.timestamp("us", "UTC")), "month", [datetime(2024, 5, 1, tzinfo=UTC), None]),
        (pa.array([datetime(1931, 2, 3, 4)]), "year", [datetime(1931, 1, 1)]),
        (pa.array([date(1931, 2, 28)]), "month", [date(1931, 2, 1)]),
    ],
)
def test_a_column_becomes_coarser(values: pa.Array, how: str, expected: list[Any]) -> None:
    assert made(values, how) == expected


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(-(10**15), 10**15) | st.none(), min_size=1, max_size=20), st.integers(1, 10**6))
def test_a_band_holds_what_is_in_it(values: list[int | None], width: int) -> None:
    for value, low in zip(values, made(pa.array(values, pa.int64()), f"band:{width}"), strict=True):
        assert (value is None) == (low is None)
        if value is not None:
            assert low % width == 0
            assert low <= value < low + width


def test_measured_numbers_have_one_zero_and_keep_what_is_no_number() -> None:
    low = np.array(made(pa.array([-0.0, 0.0, float("nan"), float("inf")]), "band:1"))
    assert not np.signbit(low[:2]).any()
    assert np.isnan(low[2])
    assert np.isinf(low[3])


@pytest.mark.parametrize("text", ["band", "band:", "band:0", "band:-5", "band:ten", "band:nan", "band:inf", "band:1e99", "month:2",
                                  "prefix", "prefix:0", "prefix:-1", "prefix:1.5", "bands:10", ""])  # fmt: skip
def test_a_wrong_word_or_size_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        coarser_of(text)
    assert raised.value.fix


@pytest.mark.parametrize("text", ["band:10", "band:2.5", "prefix:3", "month", "year"])
def test_a_way_is_written_as_it_is_read(text: str) -> None:
    assert str(coarser_of(text)) == text
    assert is_coarser(text)
    assert not is_coarser(f"x{text}")


@pytest.mark.parametrize(
    ("values", "how", "fix"),
    [
        (pa.array(["a"]), "band:10", "prefix:3"),
        (pa.array(["2024-05-01"]), "month", "prefix:4"),
        (pa.array([12345]), "prefix:3", "band:100"),
        (pa.array([SEEN]), "band:10", "month or year"),
        (pa.array([True]), "band:2", "remove"),
        (pa.array([7]), "band:2.5", "band:2"),
        (pa.array([-(2**63)]), "band:10", "another width"),
        (pa.array([2**64 - 1], pa.uint64()), "band:10", "another width"),
        (pa.array([1e300]), "band:1e-300", "another width"),
    ],
)
def test_a_way_that_does_not_fit_a_column_is_refused_and_the_fitting_one_told(values: pa.Array, how: str, fix: str) -> None:
    with pytest.raises(InvalidInput, match="'x'") as raised:
        made(values, how)
    assert fix in raised.value.fix


ROWS = st.lists(
    st.tuples(
        st.integers(-120, 120) | st.none(),
        st.text("012é", max_size=4) | st.none(),
        st.dates(date(1960, 1, 1), date(1962, 12, 31)) | st.none(),
        st.floats(-20, 20) | st.just(float("nan")) | st.none(),
    ),
    max_size=60,
)
WAYS = st.tuples(
    st.sampled_from(["band:1", "band:30", "band:500"]),
    st.sampled_from(["prefix:1", "prefix:2"]),
    st.sampled_from(["month", "year"]),
    st.sampled_from(["band:7", "band:0.5", "band:100"]),
)


@settings(max_examples=150, deadline=None)
@given(ROWS, WAYS, st.integers(1, 6))
def test_every_group_that_is_left_has_k_rows_and_every_other_row_was_in_a_smaller_one(
    rows: list[tuple[Any, ...]], ways: tuple[str, ...], k: int
) -> None:
    names, kinds = ("a", "b", "c", "d"), (pa.int64(), pa.string(), pa.date32(), pa.float64())
    table = pa.table({n: pa.array([row[at] for row in rows], kinds[at]) for at, n in enumerate(names)})
    for at, name in enumerate(names):
        table = table.set_column(at, name, coarsened(table.column(name), name, coarser_of(ways[at])))
    before = Counter(zip(*(map(repr, table.column(name).to_pylist()) for name in names), strict=True))
    left = table.filter(pa.array(crowded(table, names, k=k)))
    groups = Counter(zip(*(map(repr, left.column(name).to_pylist()) for name in names), strict=True))
    assert groups == {group: count for group, count in before.items() if count >= k}
    assert anonymity(left, names, k=k).reached
