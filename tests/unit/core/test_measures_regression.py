"""How far numbers lie from the truth."""

from math import inf, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from custody.core.errors import InvalidInput
from custody.core.evidence import Estimate
from custody.core.measures.intervals import wilson
from custody.core.measures.ratio import t_quantile
from custody.core.measures.regression import (
    bias,
    interval_coverage,
    mae,
    mse,
    pinball,
    pinball_losses,
    regression,
    rmse,
    rooted,
)

NUMBER = st.floats(-1e6, 1e6)
ROWS = st.lists(st.tuples(NUMBER, NUMBER), min_size=2, max_size=30)


@given(ROWS)
def test_every_measure_lies_in_its_interval_and_is_what_it_is_called(rows: list[tuple[float, float]]) -> None:
    actual, predicted = np.array(rows).T
    gaps = predicted - actual
    values = {"mae": np.abs(gaps).mean(), "rmse": sqrt((gaps**2).mean()), "bias": gaps.mean()}
    for one in regression(actual, predicted):
        assert one.value == pytest.approx(values[one.metric], rel=1e-9, abs=1e-9)
        assert one.low <= one.value <= one.high
        assert one.n == len(rows)
        assert one.metric == "bias" or one.low >= 0


@given(ROWS, st.floats(0.05, 0.95))
def test_the_pinball_loss_of_the_median_is_half_the_absolute_error(rows: list[tuple[float, float]], quantile: float) -> None:
    actual, predicted = np.array(rows).T
    assert pinball_losses(actual, predicted, 0.5) == pytest.approx(np.abs(actual - predicted) / 2)
    there, back = pinball_losses(actual, predicted, quantile), pinball_losses(predicted, actual, 1 - quantile)
    assert there == pytest.approx(back)
    assert (there >= 0).all()


@given(ROWS, st.floats(0.1, 10))
def test_measures_scale_with_the_unit(rows: list[tuple[float, float]], unit: float) -> None:
    actual, predicted = np.array(rows).T
    for one, scaled in zip(regression(actual, predicted), regression(unit * actual, unit * predicted), strict=True):
        assert (scaled.value, scaled.low, scaled.high) == pytest.approx(
            (unit * one.value, unit * one.low, unit * one.high), rel=1e-4, abs=1e-6 * abs(one.value) + 1e-9
        )


def test_the_true_quantile_has_the_lowest_pinball_loss() -> None:
    actual = np.random.default_rng(1).normal(size=4000)
    found = {at: pinball(actual, np.full(4000, at), 0.9) for at in (0.9, 1.2816, 1.7)}
    values = [one.value for one in found.values() if one]
    assert values[1] == min(values)


@pytest.mark.parametrize(("measure", "truth"), [(mae, sqrt(2 / np.pi)), (rmse, 1.0), (bias, 0.0)])
def test_intervals_cover_about_as_often_as_they_promise(measure: object, truth: float) -> None:
    assert callable(measure)
    rng = np.random.default_rng(2)
    found = [measure(np.zeros(80), rng.normal(size=80)) for _ in range(300)]
    assert np.mean([one.low <= truth <= one.high for one in found]) == pytest.approx(0.95, abs=0.035)


def test_the_bias_has_students_interval_and_a_sign() -> None:
    found = bias([0.0, 0.0, 0.0], [1.0, 2.0, 3.0])
    margin = t_quantile(0.95, 3) / sqrt(3)
    assert found == Estimate("bias", 2.0, 2 - margin, 2 + margin, 3, 0.95)


def test_coverage_is_a_share_with_wilsons_interval() -> None:
    found = interval_coverage([1.0, 2.0, 3.0, 9.0], [0.0, 2.0, -inf, 0.0], [2.0, 2.0, inf, 5.0])
    assert found == Estimate("interval_coverage", 0.75, *wilson(3, 4), 4, 0.95)
    assert interval_coverage([], [], []) is None


def test_too_few_rows_are_left_out_and_never_nan() -> None:
    assert regression([], []) == ()
    assert regression([1.0], [2.0]) == ()
    assert mae([1.0], [2.0]) is mse([1.0], [2.0]) is pinball([1.0], [2.0], 0.5) is None
    exact = rmse([1.0, 2.0], [1.0, 2.0])
    assert exact is not None
    assert (exact.value, exact.low, exact.high) == (0, 0, 0)


def test_a_root_of_a_negative_square_is_refused() -> None:
    with pytest.raises(InvalidInput, match="below 0"):
        rooted(Estimate("mse", 1.0, -0.1, 2.0, 10))
    assert rooted(Estimate("mse", 4.0, 1.0, 9.0, 10)) == Estimate("rmse", 2.0, 1.0, 3.0, 10)


@pytest.mark.parametrize(
    ("actual", "predicted"), [([1.0], [1.0, 2.0]), ([[1.0]], [[1.0]]), ([float("nan"), 1], [1, 1]), ([1, 1], [inf, 1])]
)
def test_columns_that_do_not_fit_are_refused(actual: list[float], predicted: list[float]) -> None:
    with pytest.raises(InvalidInput, match="finite numbers"):
        mae(actual, predicted)


def test_values_that_cannot_be_judged_are_refused() -> None:
    with pytest.raises(InvalidInput, match="too large"):
        rmse([1e200, 0.0], [0.0, 0.0])
    with pytest.raises(InvalidInput, match="quantile 90"):
        pinball([1.0], [1.0], 90)
    with pytest.raises(InvalidInput, match="low <= high"):
        interval_coverage([1.0], [2.0], [0.0])
    with pytest.raises(InvalidInput, match="confidence"):
        mae([1.0, 2.0], [1.0, 4.0], confidence=95)
