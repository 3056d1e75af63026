"""Intervals of shares and of their differences."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from custody.core.errors import InvalidInput
from custody.core.measures.intervals import difference, newcombe, wilson

CONFIDENCE = st.floats(0.5, 0.9999)


@st.composite
def trials(draw: st.DrawFn) -> tuple[int, int]:
    n = draw(st.integers(1, 10_000))
    return draw(st.integers(0, n)), n


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((56, 70), (48, 80), (0.0524, 0.3339)),  # Newcombe 1998, table II, contrast (a), method 10
        ((9, 10), (3, 10), (0.1705, 0.8090)),  # (b)
        ((6, 7), (2, 7), (0.0582, 0.8062)),  # (c)
        ((5, 56), (0, 29), (-0.0381, 0.1926)),  # (d)
        ((0, 10), (0, 20), (-0.1611, 0.2775)),  # (e)
        ((10, 10), (0, 20), (0.6791, 1.0)),  # (g)
        ((10, 10), (0, 10), (0.6075, 1.0)),  # (h)
    ],
)
def test_newcombe_agrees_with_the_published_table(
    first: tuple[int, int], second: tuple[int, int], expected: tuple[float, float]
) -> None:
    _, low, high = newcombe(*first, *second)
    assert (low, high) == pytest.approx(expected, abs=6e-5)


@given(trials(), CONFIDENCE)
def test_a_wilson_interval_holds_its_share_and_stays_within_0_and_1(trial: tuple[int, int], confidence: float) -> None:
    k, n = trial
    low, high = wilson(k, n, confidence)
    assert 0 <= low <= k / n <= high <= 1
    assert low < high


@given(trials())
def test_more_confidence_never_narrows_an_interval(trial: tuple[int, int]) -> None:
    narrow, wide = wilson(*trial, 0.9), wilson(*trial, 0.99)
    assert wide[0] <= narrow[0]
    assert narrow[1] <= wide[1]


@given(trials(), trials())
def test_swapping_sides_mirrors_the_difference(first: tuple[int, int], second: tuple[int, int]) -> None:
    value, low, high = newcombe(*first, *second)
    assert newcombe(*second, *first) == pytest.approx((-value, -high, -low))
    assert low <= value <= high


def test_no_trials_say_nothing() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    with pytest.raises(InvalidInput, match="at least one row"):
        newcombe(0, 0, 1, 2)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0, float("nan")])
def test_a_confidence_outside_0_and_1_is_refused(confidence: float) -> None:
    with pytest.raises(InvalidInput, match="confidence"):
        wilson(1, 2, confidence)


@pytest.mark.parametrize(("k", "n"), [(3, 2), (-1, 2)])
def test_impossible_counts_are_refused(k: int, n: int) -> None:
    with pytest.raises(InvalidInput, match="cannot be"):
        wilson(k, n)


def test_the_newcombe_interval_covers_about_as_often_as_it_promises() -> None:
    covered = []
    for n, p1, p2 in product((40, 150), (0.1, 0.5, 0.8), (0.2, 0.5)):
        k = np.arange(n + 1)
        chance1, chance2 = _binomial(k, n, p1), _binomial(k, n, p2)
        inside = np.array(
            [[newcombe(a, n, b, n)[1] <= p1 - p2 <= newcombe(a, n, b, n)[2] for b in k[:: n // 20]] for a in k[:: n // 20]]
        )
        weights = np.outer(chance1[:: n // 20], chance2[:: n // 20])
        covered.append(float((inside * weights).sum() / weights.sum()))
    assert min(covered) > 0.92


def _binomial(k: np.ndarray, n: int, p: float) -> np.ndarray:
    logs = np.cumsum(np.log(np.maximum(np.arange(n + 1), 1)))
    weights: np.ndarray = np.exp(logs[n] - logs[k] - logs[n - k] + k * np.log(p) + (n - k) * np.log1p(-p))
    return weights


def test_two_exact_values_differ_exactly() -> None:
    assert difference((0.75, 0.75, 0.75), (0.5, 0.5, 0.5)) == (0.25, 0.25, 0.25)
