"""The split: disjoint, whole, and the same for a row in every version that holds it."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from custody.data.split import Split, holdout_mask, part_of

rows = st.lists(
    st.tuples(
        st.none() | st.integers(-5, 5), st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=3), st.booleans()
    ),
    max_size=30,
)
shares = st.floats(0.01, 0.99)
Rows = list[tuple[int | None, str | None, bool]]


def table_of(values: Rows) -> pa.Table:
    columns = list(zip(*values, strict=True)) or [(), (), ()]
    types = [pa.int64(), pa.string(), pa.bool_()]
    return pa.table({name: pa.array(column, kind) for name, column, kind in zip("abc", columns, types, strict=True)})


@given(rows, shares)
def test_every_row_is_on_one_side_and_on_one_only(values: Rows, share: float) -> None:
    table = table_of(values)
    sides = [part_of(table, split, share).to_pylist() for split in (Split.TRAIN, Split.HOLDOUT)]
    assert len(sides[0]) + len(sides[1]) == table.num_rows
    assert not [row for row in sides[0] if row in sides[1]]
    assert part_of(table, Split.ALL, share).equals(table)


@given(rows, rows, shares)
def test_appended_rows_move_none_of_the_old_ones(old: Rows, new: Rows, share: float) -> None:
    before, after = holdout_mask(table_of(old), share), holdout_mask(table_of(old + new), share)
    assert after[: len(old)].tolist() == before.tolist()


@given(rows, shares, st.randoms(use_true_random=False))
def test_equal_rows_are_on_the_same_side_in_any_order(values: Rows, share: float, random: object) -> None:
    shuffled = values * 2
    random.shuffle(shuffled)  # type: ignore[attr-defined] # hypothesis gives a random.Random
    sides: dict[object, bool] = {}
    for row, side in zip(shuffled, holdout_mask(table_of(shuffled), share).tolist(), strict=True):
        assert sides.setdefault(row, side) == side


@given(rows, shares, shares)
def test_a_larger_share_takes_rows_in_and_lets_none_out(values: Rows, one: float, two: float) -> None:
    small, large = sorted((one, two))
    assert not (holdout_mask(table_of(values), small) & ~holdout_mask(table_of(values), large)).any()


def test_the_share_of_many_different_rows_is_the_share_asked_for() -> None:
    table = pa.table({"a": list(range(10_000))})
    assert abs(holdout_mask(table, 0.4).mean() - 0.4) < 0.02


def test_the_side_of_a_row_is_fixed_for_ever() -> None:
    table = pa.table({"a": [1, 2, 3, 4, 5, 6], "b": ["x", None, "ü", "", "x", "x"]})
    assert holdout_mask(table, 0.4).tolist() == [False, True, True, True, True, True]
