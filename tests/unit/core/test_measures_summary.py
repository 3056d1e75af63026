"""Mergeable summaries: exact counts, for any split and order."""

import json
import math
from datetime import UTC, date, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from custody.core.digest import Json
from custody.core.errors import InvalidInput
from custody.core.measures.packing import pack, unpack
from custody.core.measures.spec import Kind, Spec, Values, spec_of, specs_of
from custody.core.measures.summary import ColumnSummary, Summary, bucket_ends, empty, merge, summarise

NUMBERS = st.lists(st.none() | st.floats(width=64) | st.integers(-(10**6), 10**6), max_size=40)
WORDS = st.lists(st.none() | st.sampled_from(["a", "b", "c", "new", ""]), max_size=40)
SPECS = (
    Spec("x", Kind.NUMBER, "x", center=3.0, scale=0.7),
    Spec("w", Kind.CATEGORY, "w", levels=("a", "b")),
)
GOLDEN_V1 = (
    '{"version":1,"columns":[{"spec":{"column":"x","kind":"number","source":"x","reading":"value","grid":[0.0,1.0],"levels":[],"known":[],'
    '"once":0},"special":[1,0,0,0],"keys":"eJxjZKhjZGRAAAAHHQCC","counts":"eJxjYmRAAQAAPwAE"}]}'
)


def rows_of(draw_numbers: list[float | None], words: list[str | None]) -> Summary:
    n = min(len(draw_numbers), len(words))
    return summarise({"x": draw_numbers[:n], "w": words[:n]}, SPECS)


SUMMARIES = st.builds(rows_of, NUMBERS, WORDS)


@given(SUMMARIES, SUMMARIES)
def test_merging_is_commutative(a: Summary, b: Summary) -> None:
    assert merge(a, b) == merge(b, a)


@given(SUMMARIES, SUMMARIES, SUMMARIES)
def test_merging_is_associative(a: Summary, b: Summary, c: Summary) -> None:
    assert merge(merge(a, b), c) == merge(a, merge(b, c))


@given(SUMMARIES)
def test_the_empty_summary_changes_nothing(a: Summary) -> None:
    assert merge(a, empty(SPECS)) == a
    assert empty(SPECS).rows == 0


@given(NUMBERS, st.integers(0, 40))
def test_any_split_of_the_rows_gives_the_same_bits(values: list[float | None], cut: int) -> None:
    whole = summarise({"x": values}, SPECS[:1])
    parts = merge(summarise({"x": values[:cut]}, SPECS[:1]), summarise({"x": values[cut:]}, SPECS[:1]))
    assert json.dumps(parts.to_json()) == json.dumps(whole.to_json())


@given(SUMMARIES)
def test_counts_add_up_to_the_rows(a: Summary) -> None:
    assert a.columns[0].rows == a.columns[1].rows == a.rows


@given(NUMBERS)
def test_special_values_have_their_own_counters(values: list[float | None]) -> None:
    found = summarise({"x": values}, (Spec("x", Kind.NUMBER, "x"),)).columns[0]
    numbers = [value for value in values if value is not None]
    assert found.null == len(values) - len(numbers)
    assert found.nan == sum(math.isnan(value) for value in numbers)
    assert found.high == sum(value > 3.4028235677973366e38 for value in numbers)
    assert found.low == sum(value < -3.4028235677973366e38 for value in numbers)


@given(st.lists(st.floats(-1e30, 1e30), min_size=2, max_size=2), st.floats(-100, 100), st.floats(1e-3, 1e3))
def test_rank_order_is_value_order(pair: list[float], center: float, scale: float) -> None:
    spec = (Spec("x", Kind.NUMBER, "x", center=center, scale=scale),)
    low, high = (int(summarise({"x": [value]}, spec).columns[0].keys[0]) for value in sorted(pair))
    assert low <= high


@given(st.floats(-1e30, 1e30))
def test_a_value_lies_in_its_bucket_and_buckets_are_narrow(value: float) -> None:
    column = summarise({"x": [value]}, (Spec("x", Kind.NUMBER, "x"),)).columns[0]
    low, high = (float(end[0]) for end in bucket_ends(column.spec, column.keys))
    short = float(np.float32(value))
    assert low <= short <= high
    assert abs(short) < 1e-37 or (high - low) <= abs(short) / 256


def test_many_and_few_rows_are_counted_alike() -> None:
    values = np.random.default_rng(1).normal(size=20_000)
    whole = summarise({"x": values}, SPECS[:1])
    parts = [summarise({"x": part}, SPECS[:1]) for part in np.split(values, 20)]
    assert whole == _all(parts)
    exact = np.quantile(values, [0.1, 0.5, 0.9])
    assert [whole.columns[0].quantile(q) for q in (0.1, 0.5, 0.9)] == pytest.approx(list(exact), abs=0.02)


def _all(parts: list[Summary]) -> Summary:
    found = parts[0]
    for part in parts[1:]:
        found = merge(found, part)
    return found


@given(SUMMARIES)
def test_writing_and_reading_is_the_identity(a: Summary) -> None:
    assert Summary.from_json(json.loads(json.dumps(a.to_json()))) == a


def test_a_summary_written_by_version_1_stays_readable() -> None:
    expected = summarise({"x": [1.0, 1.0, 2.0, None]}, (Spec("x", Kind.NUMBER, "x"),))
    assert Summary.from_json(json.loads(GOLDEN_V1)) == expected


BROKEN: list[Json] = [
    None,
    [],
    {},
    {"version": 2, "columns": []},
    {"version": 1},
    {"version": 1, "columns": [{}]},
    {"version": 1, "columns": [{"spec": 3}]},
]


@pytest.mark.parametrize("body", BROKEN)
def test_anything_else_is_no_summary(body: Json) -> None:
    with pytest.raises(InvalidInput):
        Summary.from_json(body)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("keys", "!"),
        ("keys", pack(np.array([5, -1]))),
        ("keys", pack(np.array([5]))),
        ("keys", pack(np.array([-5, 2]))),
        ("keys", pack(np.array([5, 200_000]))),
        ("counts", pack(np.array([0, 1]))),
        ("special", [1, 2, 3]),
        ("special", [1, 2, 3, -4]),
        ("special", None),
    ],
)
def test_an_edited_summary_is_refused(field: str, value: Json) -> None:
    column = json.loads(json.dumps(summarise({"x": [1.0, 2.0]}, SPECS[:1]).columns[0].to_json()))
    assert ColumnSummary.from_json(SPECS[0], column).rows == 2
    with pytest.raises(InvalidInput):
        ColumnSummary.from_json(SPECS[0], {**column, field: value})


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=50))
def test_packed_numbers_come_back(numbers: list[int]) -> None:
    array = np.array(numbers, dtype=np.int64)
    assert unpack(pack(array), 50).tolist() == numbers


def test_a_small_text_that_unpacks_to_too_much_is_refused() -> None:
    with pytest.raises(InvalidInput, match="not readable"):
        unpack(pack(np.zeros(100_000, dtype=np.int64)), 1000)


def test_summaries_on_different_grids_do_not_merge() -> None:
    other = (Spec("x", Kind.NUMBER, "x", center=1.0),)
    with pytest.raises(InvalidInput, match="different specs"):
        merge(empty(SPECS[:1]), empty(other))


def test_a_missing_column_and_a_short_column_are_refused() -> None:
    with pytest.raises(InvalidInput, match="lacks the columns w"):
        summarise({"x": [1.0]}, SPECS)
    with pytest.raises(InvalidInput, match="different lengths"):
        summarise({"x": [1.0], "w": ["a", "b"]}, SPECS)
    with pytest.raises(InvalidInput, match="at least one column"):
        specs_of({})


def test_levels_are_counted_as_kept_other_and_unseen() -> None:
    values = [f"l{i}" for i in range(300) for _ in range(301 - i)]
    (spec,) = spec_of("city", values)
    assert (len(spec.levels), len(spec.known), spec.once) == (256, 44, 0)
    found = summarise({"city": ["l0", "l255", "l256", "l299", "nowhere", None]}, (spec,)).columns[0]
    assert found.keys.tolist() == [0, 255, 256, 257]
    assert found.counts.tolist() == [1, 1, 2, 1]
    assert found.null == 1


def test_levels_seen_once_are_counted_in_the_spec() -> None:
    (spec,) = spec_of("city", ["a", "a", "b", "c"])
    assert spec.once == 2


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2.5, None], Kind.NUMBER),
        (np.array([1, 2]), Kind.NUMBER),
        ([np.float32(1), np.int64(2)], Kind.NUMBER),
        (np.array(["2026-01-01", "NaT"], dtype="datetime64[s]"), Kind.NUMBER),
        ([datetime(2026, 1, 1, tzinfo=UTC), None], Kind.NUMBER),
        ([True, False, None], Kind.CATEGORY),
        (np.array([True]), Kind.CATEGORY),
        (["a", None], Kind.CATEGORY),
        ([1, "a"], Kind.CATEGORY),
        ([None], Kind.CATEGORY),
        ([], Kind.CATEGORY),
    ],
)
def test_numbers_and_times_are_numeric_and_the_rest_are_categories(values: Values, kind: Kind) -> None:
    specs = spec_of("x", values)
    assert [spec.kind for spec in specs] == [kind]
    assert summarise({"x": values}, specs).rows == len(values)


def test_times_are_read_alike_from_every_form() -> None:
    day = datetime(2026, 3, 1, tzinfo=UTC)
    spec = (Spec("at", Kind.NUMBER, "at", center=day.timestamp(), scale=3600.0),)
    forms: list[Values] = [
        [day],
        [day.replace(tzinfo=None)],
        [date(2026, 3, 1)],
        np.array(["2026-03-01"], dtype="datetime64[D]"),
        [day.timestamp()],
    ]
    found = [summarise({"at": form}, spec) for form in forms]
    assert all(one == found[0] for one in found)


def test_what_a_numeric_column_cannot_read_counts_as_nan() -> None:
    found = summarise({"x": ["1.5", "abc", None, 10**400, 2]}, SPECS[:1]).columns[0]
    assert (found.finite, found.nan, found.null) == (2, 2, 1)


def test_booleans_that_a_model_takes_as_whole_numbers_are_no_new_values() -> None:
    (spec,) = specs_of({"vip": [True, False, True, None]})
    sent = summarise({"vip": [1, 0, 1, None]}, (spec,))
    assert sent == summarise({"vip": [True, False, True, None]}, (spec,))
    assert summarise({"vip": [1, 2]}, (spec,)) != summarise({"vip": [True, True]}, (spec,))
    (texts,) = specs_of({"vip": ["yes", "no"]})
    assert summarise({"vip": ["1"]}, (texts,)) != summarise({"vip": ["yes"]}, (texts,))


def test_booleans_and_text_agree_on_their_levels() -> None:
    (spec,) = spec_of("flag", [True, False, True])
    assert spec.levels == ("true", "false")
    assert summarise({"flag": np.array([True])}, (spec,)) == summarise({"flag": ["true"]}, (spec,))


def test_free_text_is_described_by_length_and_words_and_never_kept() -> None:
    texts = [f"please call me back about order {i}" for i in range(300)]
    specs = specs_of({"message": [*texts, None]})
    assert [spec.column for spec in specs] == ["message.length", "message.words"]
    found = summarise({"message": ["two words", None]}, specs)
    assert [column.null for column in found.columns] == [1, 1]
    assert found.column("message.words").quantile(0.5) == pytest.approx(2, rel=0.01)
    assert "order" not in json.dumps(found.to_json())


def test_a_constant_and_an_empty_column_have_a_usable_grid() -> None:
    (constant,), (nothing,) = spec_of("x", [5.0] * 10), spec_of("x", np.array([np.nan]))
    assert (constant.center, constant.scale) == (5.0, 1.0)
    assert (nothing.center, nothing.scale) == (0.0, 1.0)
    assert summarise({"x": [None]}, (nothing,)).columns[0].quantile(0.5) is None


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=30))
def test_every_grid_is_finite(values: list[float]) -> None:
    for spec in spec_of("x", np.array(values, dtype=np.float64)):
        assert math.isfinite(spec.center)
        assert 0 < spec.scale < math.inf


def test_an_unknown_column_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no column 'y'"):
        empty(SPECS).column("y")
