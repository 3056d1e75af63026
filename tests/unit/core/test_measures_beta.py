"""The lower quantile of a beta distribution, against a statistics library."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import betainc, betaincinv

from custody.core.errors import InvalidInput
from custody.core.measures.beta import beta_low

TAILS = st.floats(1e-15, 0.25)
SIZES = st.integers(1, 50) | st.integers(1, 10**9)


@given(st.lists(st.tuples(SIZES, SIZES), min_size=1, max_size=5), TAILS)
def test_quantiles_agree_with_the_library(pairs: list[tuple[int, int]], tail: float) -> None:
    a, b = np.array(pairs, dtype=np.float64).T
    assert beta_low(a, b, tail) == pytest.approx(betaincinv(a, b, tail), rel=1e-8)


@given(st.integers(1, 10**6), st.integers(1, 10**6), TAILS)
def test_the_share_below_a_quantile_is_the_tail(a: int, b: int, tail: float) -> None:
    assert betainc(a, b, beta_low([a], [b], tail)[0]) == pytest.approx(tail, rel=1e-6)


def test_known_quantiles() -> None:
    assert beta_low([1, 1], [1, 10], 0.05) == pytest.approx([0.05, 1 - 0.95**0.1], rel=1e-12)
    assert beta_low([], [], 0.05).size == 0


@pytest.mark.parametrize(("a", "b", "tail"), [(0.5, 1, 0.1), (1, 0, 0.1), (1, 1, 0.0), (1, 1, 0.5), (float("nan"), 1, 0.1)])
def test_values_out_of_range_are_refused(a: float, b: float, tail: float) -> None:
    with pytest.raises(InvalidInput, match="beta quantile"):
        beta_low([a], [b], tail)
