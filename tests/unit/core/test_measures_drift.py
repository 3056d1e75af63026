"""Distances between two summaries, and what they read with no drift."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, ks_2samp, wasserstein_distance

from custody.core.errors import InvalidInput
from custody.core.measures.drift import chi_squared, distances, js, ks, psi, wasserstein
from custody.core.measures.spec import Kind, Spec, Values, spec_of
from custody.core.measures.summary import ColumnSummary, empty, merge, summarise

VALUES = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60)
LEVELS = st.lists(st.sampled_from("abcde"), min_size=1, max_size=60)
NUMBER, CATEGORY = Spec("x", Kind.NUMBER, "x"), Spec("x", Kind.CATEGORY, "x", levels=("a", "b", "c"))


def summary(values: Values, spec: Spec = NUMBER) -> ColumnSummary:
    return summarise({"x": values}, (spec,)).columns[0]


@given(VALUES)
def test_a_column_has_no_distance_from_itself(values: list[float]) -> None:
    column = summary(values)
    assert [one.value for one in distances(column, column)] == [0, 0, 0, 0]


@given(LEVELS)
def test_a_category_has_no_distance_from_itself(values: list[str]) -> None:
    column = summary(values, CATEGORY)
    assert [(one.name, one.value) for one in distances(column, column)] == [("psi", 0), ("js", 0), ("chi_squared", 0)]


@given(VALUES, VALUES)
def test_distances_are_never_negative_and_ks_and_js_are_bounded(a: list[float], b: list[float]) -> None:
    found = {one.name: one for one in distances(summary(a), summary(b))}
    assert all(one.value >= 0 and one.expected >= 0 and one.error >= 0 for one in found.values())
    assert found["ks"].value <= 1 + 1e-12
    assert found["js"].value <= np.sqrt(np.log(2))


@given(VALUES, VALUES)
def test_ks_and_wasserstein_are_symmetric(a: list[float], b: list[float]) -> None:
    first, second = summary(a), summary(b)
    assert ks(first, second).value == pytest.approx(ks(second, first).value)
    assert wasserstein(first, second).value == pytest.approx(wasserstein(second, first).value)


@given(VALUES, VALUES)
def test_binned_ks_only_under_states_and_its_error_says_by_how_much(a: list[float], b: list[float]) -> None:
    short = [[float(np.float32(value)) for value in values] for values in (a, b)]  # the grid's own precision
    every = np.concatenate(short)
    shares = [np.searchsorted(np.sort(values), every, side="right") / len(values) for values in short]
    exact, found = np.abs(shares[0] - shares[1]).max(), ks(summary(short[0]), summary(short[1]))
    assert found.value - 1e-9 <= exact <= found.value + found.error + 1e-9


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=60), st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=60))
def test_binned_ks_is_never_above_the_library_s_and_never_more_than_its_error_below(a: list[float], b: list[float]) -> None:
    short = [[float(np.float32(value)) for value in values] for values in (a, b)]
    exact, found = ks_2samp(*short, method="asymp").statistic, ks(summary(short[0]), summary(short[1]))
    assert found.value - 1e-9 <= exact <= found.value + found.error + 1e-9


@pytest.mark.parametrize("shift", [0.0, 0.05, 0.3])
def test_binned_ks_of_large_samples_is_nearly_exact(shift: float) -> None:
    rng = np.random.default_rng(8)
    reference, current = rng.normal(100, 15, 100_000), rng.normal(100 + 15 * shift, 15, 100_000)
    (spec,) = spec_of("x", reference)
    found, exact = ks(summary(reference, spec), summary(current, spec)), ks_2samp(reference, current, method="asymp").statistic
    assert exact - 5e-4 <= found.value <= exact + 1e-12
    assert exact <= found.value + found.error


@given(LEVELS, LEVELS)
def test_chi_squared_is_the_library_s_for_two_samples(a: list[str], b: list[str]) -> None:
    spec = Spec("x", Kind.CATEGORY, "x", levels=tuple("abcde"))
    seen = sorted({*a, *b})
    table = [[values.count(level) for level in seen] for values in (a, b)]
    expected = chi2_contingency(table, correction=False).statistic if len(seen) > 1 else 0.0
    found = chi_squared(summary(a, spec), summary(b, spec))
    assert found.value == pytest.approx(expected)
    assert found.expected == len(seen) - 1


@given(VALUES, VALUES)
def test_wasserstein_differs_from_the_exact_one_by_at_most_its_error(a: list[float], b: list[float]) -> None:
    found = wasserstein(summary(a), summary(b))
    assert abs(found.value - wasserstein_distance(a, b)) <= found.error + 1e-6 * (1 + found.value)


def test_distances_are_near_the_exact_ones_on_a_shifted_sample() -> None:
    rng = np.random.default_rng(2)
    reference, current = rng.normal(100, 15, 20_000), rng.normal(103, 15, 5_000)
    (spec,) = spec_of("x", reference)
    found = {one.name: one.value for one in distances(summary(reference, spec), summary(current, spec))}
    assert found["ks"] == pytest.approx(ks_2samp(reference, current).statistic, abs=1e-3)
    assert found["wasserstein"] == pytest.approx(wasserstein_distance(reference, current), rel=0.005)
    assert found["psi"] == pytest.approx(0.2**2, rel=0.5)  # mu^2 for a shift of mu standard deviations


def test_without_drift_each_distance_reads_about_what_it_says() -> None:
    rng, read = np.random.default_rng(7), []
    for _ in range(150):
        reference = rng.normal(size=4_000)
        (spec,) = spec_of("x", reference)
        found = distances(summary(reference, spec), summary(rng.normal(size=1_000), spec))
        read.append([(one.value, one.expected) for one in found])
    value, expected = np.mean(read, axis=0).T
    assert value == pytest.approx(expected, rel=0.1)


def test_without_drift_chi_squared_reads_about_its_number_of_levels_less_one() -> None:
    rng, read = np.random.default_rng(12), []
    spec = Spec("x", Kind.CATEGORY, "x", levels=tuple(f"l{i}" for i in range(30)))
    for _ in range(100):
        n, m = ([f"l{i}" for i in rng.integers(0, 30, rows)] for rows in (2_000, 300))
        read.append(chi_squared(summary(n, spec), summary(m, spec)))
    assert np.mean([one.value for one in read]) == pytest.approx(read[0].expected, rel=0.1)


def test_many_levels_alone_raise_js_and_the_expected_value_says_so() -> None:
    rng = np.random.default_rng(9)
    reference, current = ([f"l{i}" for i in rng.integers(0, 200, n)] for n in (10_000, 1_000))
    (spec,) = spec_of("x", reference)
    found = js(summary(reference, spec), summary(current, spec))
    assert found.value > 0.1
    assert found.expected == pytest.approx(found.value, rel=0.15)


def test_splitting_a_batch_changes_no_distance() -> None:
    rng = np.random.default_rng(4)
    reference, current = rng.normal(size=500), rng.normal(0.3, 1, size=300)
    whole = summarise({"x": current}, (NUMBER,))
    parts = merge(summarise({"x": current[:100]}, (NUMBER,)), summarise({"x": current[100:]}, (NUMBER,)))
    assert distances(summary(reference), whole.columns[0]) == distances(summary(reference), parts.columns[0])


def test_nothing_cannot_be_compared() -> None:
    nothing = empty((NUMBER,)).columns[0]
    assert distances(summary([1.0]), nothing) == ()
    for distance in (ks, wasserstein, psi, js, chi_squared):
        with pytest.raises(InvalidInput, match="cannot be compared"):
            distance(summary([1.0]), nothing)
    with pytest.raises(InvalidInput, match="same spec"):
        ks(summary([1.0]), summary([1.0], Spec("x", Kind.NUMBER, "x", center=1.0)))
