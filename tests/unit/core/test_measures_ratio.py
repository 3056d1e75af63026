"""Intervals of a ratio of two means."""

from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student

from custody.core.errors import InvalidInput
from custody.core.measures.intervals import wilson
from custody.core.measures.ratio import Outcomes, skewed_ratio, t_quantile, tilted_ratio

COLUMN = st.lists(st.floats(0.01, 100), min_size=2, max_size=30)


def share_of(k: int, n: int, score: float = 0.5, weight: float = 1.0) -> Outcomes:
    """Return n rows of equal weight, k of them yes, whose ratio is the share of yes."""
    zero, one = np.zeros(1), np.full(1, weight)
    seen = np.where(np.arange(n) < k, weight, 0.0), np.full(n, weight)
    return Outcomes(seen, (zero, one), (one, one), np.ones(1), np.full(1, score), n)


@pytest.mark.parametrize(("k", "n"), [(0, 50), (1, 100), (5, 100), (20, 40), (97, 100), (300, 300)])
def test_with_equal_weights_the_tilted_interval_is_close_to_wilsons(k: int, n: int) -> None:
    found = tilted_ratio(share_of(k, n, score=k / n))
    assert found is not None
    value, low, high = found
    assert value == pytest.approx(k / n)
    assert (low, high) == pytest.approx(wilson(k, n), abs=1.4 / n + 0.004)


@pytest.mark.parametrize("score", [0.0, 1e-9, 0.3, 1.0])
def test_labels_that_all_agree_still_leave_doubt_however_sure_the_scores_are(score: float) -> None:
    found = tilted_ratio(share_of(100, 100, score))
    assert found is not None
    assert found[0] == found[2] == 1
    assert 0.96 < found[1] < 0.985  # no error among 100: at most about 3 in 100


@given(st.integers(0, 20), st.floats(0, 1), st.floats(0.01, 100), st.sampled_from([0.8, 0.95, 0.99]))
def test_a_tilted_interval_holds_its_value_and_widens_with_confidence(k: int, score: float, weight: float, level: float) -> None:
    rows = share_of(k, 20, score, weight)
    narrow, wide = tilted_ratio(rows, confidence=level), tilted_ratio(rows, confidence=0.995)
    assert narrow is not None
    assert wide is not None
    assert 0 <= wide[1] <= narrow[1] <= narrow[0] <= narrow[2] <= wide[2] <= 1
    assert narrow[1] < narrow[2]
    assert narrow == pytest.approx(tilted_ratio(share_of(k, 20, score, 1.0), confidence=level), abs=1e-5)


def test_nothing_is_said_without_a_label_that_matters() -> None:
    cell = np.zeros(1), np.ones(1)
    rest = {"no": cell, "yes": cell[::-1], "chances": np.ones(1), "scores": np.zeros(1)}
    assert tilted_ratio(Outcomes((np.zeros(3), np.zeros(3)), matter=3, **rest)) is None  # type: ignore[arg-type]
    assert tilted_ratio(Outcomes((np.zeros(3), np.ones(3)), matter=0, **rest)) is None  # type: ignore[arg-type]


def test_what_was_never_drawn_stays_possible() -> None:
    ones, zeros = np.ones(200), np.zeros(200)
    others = np.array([0.99, 0.01])  # the second cell's rows could add to the numerator, but none was drawn
    no, yes = (np.zeros(2), np.ones(2)), (np.array([0.0, 1.0]), np.ones(2))
    found = tilted_ratio(Outcomes((zeros, ones), no, yes, others, np.full(2, 0.5), 200))
    assert found is not None
    assert found[0] == 0
    assert 0.01 < found[2] < 0.03


def test_the_t_quantile_is_the_tables() -> None:
    assert t_quantile(0.95, 10) == pytest.approx(2.262, abs=5e-4)
    assert t_quantile(0.95, 101) == pytest.approx(1.984, abs=5e-4)
    assert t_quantile(0.95, 0) == t_quantile(0.95, 2)
    with pytest.raises(InvalidInput, match="confidence"):
        t_quantile(1.0, 10)


def test_without_skewness_it_is_students_interval() -> None:
    u = np.array([-3.0, -1.0, 0.0, 1.0, 3.0]) + 7
    found = skewed_ratio(u, np.ones(5))
    low, high = student.interval(0.95, 4, loc=7, scale=u.std(ddof=1) / np.sqrt(5))
    assert found == pytest.approx((7, low, high))


@given(COLUMN, st.floats(1e-6, 1e6), st.floats(1e-6, 1e6))
def test_units_do_not_matter(column: list[float], unit_u: float, unit_v: float) -> None:
    u, v = np.array(column), np.array(column[::-1]) + 1
    first, second = skewed_ratio(u, v, limits=(0, inf)), skewed_ratio(u * unit_u, v * unit_v, limits=(0, inf))
    assert (first is None) == (second is None)
    if first and second:
        assert first[0] == pytest.approx(u.mean() / v.mean())
        assert first[1] <= first[0] <= first[2]
        assert second == pytest.approx(tuple(x * unit_u / unit_v for x in first), rel=1e-5, abs=1e-12)


def test_skewed_losses_are_covered_where_a_t_interval_misses() -> None:
    rng = np.random.default_rng(11)
    hits = {"hall": 0, "t": 0}
    for _ in range(400):
        losses = rng.normal(size=60) ** 2
        found = skewed_ratio(losses, np.ones(60), limits=(0, inf))
        assert found is not None
        margin = t_quantile(0.95, 60) * losses.std(ddof=1) / np.sqrt(60)
        hits["hall"] += found[1] <= 1 <= found[2]
        hits["t"] += abs(losses.mean() - 1) <= margin
    assert hits["hall"] / 400 == pytest.approx(0.95, abs=0.03)
    assert hits["t"] < hits["hall"]


def test_an_interval_ends_where_the_ratio_can_lie_at_all() -> None:
    found = skewed_ratio([0.0, 0.0, 0.0, 5.0], np.ones(4), limits=(0, 2))
    assert found is not None
    assert (found[1], found[2]) == (0, 2)


def test_a_ratio_that_nothing_can_be_said_about_is_none() -> None:
    assert skewed_ratio([1.0], [1.0]) is None
    assert skewed_ratio([1.0, 2.0], [0.0, 0.0]) is None
    assert skewed_ratio([1.0, 2.0, 1.0], [5.0, -4.9, 0.1]) is None  # a denominator that may be 0 leaves no bound
    assert skewed_ratio([2.0, 4.0], [1.0, 2.0]) == (2, 2, 2)


@pytest.mark.parametrize(("u", "v"), [([1.0], [1.0, 2.0]), ([[1.0]], [[1.0]]), ([float("nan"), 1], [1, 1]), ([1, 1], [inf, 1])])
def test_columns_that_do_not_fit_are_refused(u: list[float], v: list[float]) -> None:
    with pytest.raises(InvalidInput, match="finite numbers"):
        skewed_ratio(u, v)
