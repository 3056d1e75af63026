"""What decisions cost, and how a converted model differs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from custody.core.errors import InvalidInput
from custody.core.measures.parity import parity
from custody.core.measures.performance import Confusion
from custody.core.measures.value import CostMatrix, cost, expected_cost

MATRIX = CostMatrix(tp=-40, fp=5, tn=0, fn=120, currency="EUR")
PRICE = st.floats(-1000, 1000)
COUNTS = st.builds(Confusion, *[st.integers(0, 500)] * 4)


def test_each_decision_has_its_price() -> None:
    assert cost(Confusion(tn=90, fp=4, fn=1, tp=5), MATRIX) == -200 + 20 + 120


@given(
    COUNTS.filter(lambda counts: counts.n > 0),
    st.builds(CostMatrix, PRICE, PRICE, PRICE, PRICE, st.just("EUR")),
    st.integers(0, 10**6),
)
def test_the_expected_cost_scales_with_the_volume_and_lies_in_its_interval(
    counts: Confusion, matrix: CostMatrix, volume: int
) -> None:
    found = expected_cost(counts, matrix, volume)
    assert found.value == pytest.approx(cost(counts, matrix) / counts.n * volume, abs=1e-6)
    assert found.low <= found.value <= found.high
    assert found.n == counts.n


def test_no_error_among_few_labels_does_not_mean_no_cost() -> None:
    found = expected_cost(Confusion(tn=30, fp=0, fn=0, tp=0), CostMatrix(0, 5, 0, 120, "EUR"), 1000)
    assert found.value == 0
    assert found.high > 1000


def test_the_cost_interval_covers_about_as_often_as_it_promises() -> None:
    rng, cells = np.random.default_rng(3), np.array([0.7, 0.06, 0.04, 0.2])
    truth = cells @ np.array([0, 5, 120, -40])
    found = [expected_cost(Confusion(*row.tolist()), MATRIX, 1) for row in rng.multinomial(300, cells, size=1000)]
    assert 0.93 < np.mean([one.low <= truth <= one.high for one in found]) < 0.985


def test_without_labels_there_is_no_expected_cost() -> None:
    with pytest.raises(InvalidInput, match="labels"):
        expected_cost(Confusion(0, 0, 0, 0), MATRIX, 10)


def test_parity_counts_flips_and_the_nearest_score() -> None:
    found = parity([0.2, 0.49, 0.9], [0.2, 0.51, 0.8], threshold=0.5)
    assert (found.rows, found.flips, found.threshold) == (3, 1, 0.5)
    assert found.largest_difference == pytest.approx(0.1)
    assert found.mean_difference == pytest.approx(0.04)
    assert found.nearest == pytest.approx(0.01)


@given(st.lists(st.floats(0, 1), min_size=1), st.floats(0, 1))
def test_a_model_has_perfect_parity_with_itself(scores: list[float], threshold: float) -> None:
    found = parity(scores, scores, threshold)
    assert (found.largest_difference, found.mean_difference, found.flips) == (0, 0, 0)


def test_a_converted_score_that_is_no_number_is_the_largest_difference_and_decides_no() -> None:
    found = parity([0.2, 0.9], [float("nan"), float("nan")], threshold=0.5)
    assert (found.largest_difference, found.flips) == (1, 1)


@pytest.mark.parametrize(("original", "converted"), [([], []), ([0.1], [0.1, 0.2]), ([float("nan")], [0.1]), ([[0.1]], [[0.1]])])
def test_scores_that_cannot_be_compared_are_refused(original: list[float], converted: list[float]) -> None:
    with pytest.raises(InvalidInput, match="cannot be compared"):
        parity(original, converted, 0.5)
