"""The profile of a dataset version, read by people."""

from hypothesis import given
from hypothesis import strategies as st

from custody.lifecycle.profile import _in_short, summary_of


def test_a_number_shows_its_quantiles_and_its_missing_values() -> None:
    summary = summary_of({"age": [18, 21, None, 30, 64]})
    (age,) = (_in_short(column) for column in summary.columns)
    assert (age.rows, age.missing) == (5, 1)
    assert age.quantiles == (18.0, 18.0, 21.0, 30.0, 64.0)


def test_a_category_shows_its_most_frequent_levels_first() -> None:
    (plan,) = (_in_short(column) for column in summary_of({"plan": ["gold"] * 3 + ["free"] + [None]}).columns)
    assert plan.missing == 1
    assert plan.top == (("gold", 0.6), ("free", 0.2))


def test_a_constant_column_is_profiled_too() -> None:
    (one,) = (_in_short(column) for column in summary_of({"n": [0.0] * 4}).columns)
    assert set(one.quantiles) == {0.0}


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50))
def test_quantiles_rise_and_stay_near_the_values(values: list[float]) -> None:
    (column,) = summary_of({"x": values}).columns
    found = _in_short(column).quantiles
    room = max(abs(v - column.spec.center) for v in values) / 64 + column.spec.scale / 64
    assert list(found) == sorted(found)
    assert min(values) - room <= found[0]
    assert found[-1] <= max(values) + room
