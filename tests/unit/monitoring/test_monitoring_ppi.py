"""Metrics from few labels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from custody.core.errors import InvalidInput
from custody.core.evidence import Estimate
from custody.core.measures.performance import confusion
from custody.core.measures.performance import estimates as of_all_labels
from custody.core.measures.ratio import skewed_ratio
from custody.core.measures.regression import rooted
from custody.monitoring import ppi
from custody.monitoring.ppi import Labelled, estimates, missing_bounds, ratio_estimate
from custody.monitoring.ratios import METRICS, terms_of
from custody.monitoring.sampling import Sample, design_of, draw, shared_design, uniform_design

Floats = NDArray[np.float64]
RIGHTS = ("accuracy", "precision", "recall", "specificity", "f1")
SEED = st.integers(0, 2**32)


def window(rng: np.random.Generator, n: int = 500, sure: float = 1.0, mean: float = -1.6) -> tuple[Floats, Floats, Floats]:
    """Return scores, decisions and labels; sure = 2 makes scores twice as confident as they should be."""
    odds = rng.normal(mean, 1.6, n)
    actual = rng.random(n) < 1 / (1 + np.exp(-odds))
    scores = 1 / (1 + np.exp(-sure * odds))
    return scores, (scores >= 0.5).astype(float), actual.astype(float)


def labelled(
    rng: np.random.Generator, labels: int, n: int = 500, sure: float = 1.0, mean: float = -1.6
) -> tuple[Labelled, Floats]:
    q, h, y = window(rng, n, sure, mean)
    sample = draw(shared_design(q, h), labels, rng)
    return Labelled(q, h, sample, y[sample.rows]), y


def truth(metric: str, h: Floats, y: Floats) -> float:
    u, v = terms_of(metric, h).seen(y == 1)
    return float(u.sum() / v.sum())


def by_metric(found: tuple[Estimate, ...]) -> dict[str, Estimate]:
    return {one.metric: one for one in found}


@pytest.mark.parametrize("metric", RIGHTS)
def test_the_value_is_the_published_formula(metric: str) -> None:
    one, _ = labelled(np.random.default_rng(1), 200)
    q, h, y, rows = np.asarray(one.scores), np.asarray(one.decided), np.asarray(one.actual), one.sample.rows
    terms = terms_of(metric, h)
    all_fu, all_fv = q * terms.u1 + (1 - q) * terms.u0, q * terms.v1 + (1 - q) * terms.v0
    u, v = terms.at(rows).seen(y == 1)
    w, fu, fv = 1 / (len(q) * one.sample.chances), all_fu[rows], all_fv[rows]
    m0 = (w * u).sum() / (w * v).sum()
    a, b = w * (u - m0 * v), w * (fu - m0 * fv) - (all_fu.mean() - m0 * all_fv.mean())
    lam = np.clip(np.cov(a, b)[0, 1] / b.var(ddof=1), 0, 1)
    top, bottom = lam * all_fu.mean() + w * (u - lam * fu), lam * all_fv.mean() + w * (v - lam * fv)
    assert estimates([one], metrics=[metric])[0].value == pytest.approx(top.mean() / bottom.mean())


@pytest.mark.parametrize(("sure", "mean"), [(1.0, -1.6), (2.0, -1.6), (1.0, -4.0)])
def test_intervals_from_100_labels_cover_and_estimates_are_on_target(sure: float, mean: float) -> None:
    rng, runs = np.random.default_rng(2), 50
    hits = dict.fromkeys(RIGHTS, 0)
    errors: dict[str, list[float]] = {metric: [] for metric in RIGHTS}
    for _ in range(runs):
        one, y = labelled(rng, 100, n=5000, sure=sure, mean=mean)
        for metric, found in by_metric(estimates([one], metrics=RIGHTS)).items():
            right = truth(metric, np.asarray(one.decided), y)
            hits[metric] += found.low <= right <= found.high
            errors[metric].append(found.value - right)
    for metric in RIGHTS:
        assert hits[metric] / runs >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / runs)
        if mean > -2:  # a ratio of few events is biased a little; elsewhere only chance is left
            assert abs(np.mean(errors[metric])) <= 4 * np.std(errors[metric]) / np.sqrt(runs) + 0.01


def test_scores_that_say_the_opposite_cost_width_and_not_coverage() -> None:
    rng, hits, widths = np.random.default_rng(3), 0, []
    for _ in range(60):
        q, h, y = window(rng)
        wrong = 1 - q
        sample = draw(shared_design(wrong, h), 150, rng)
        found = estimates([Labelled(wrong, h, sample, y[sample.rows])], metrics=["recall"])[0]
        hits += found.low <= truth("recall", h, y) <= found.high
        widths.append(found.high - found.low)
    assert hits >= 52
    assert np.mean(widths) < 0.5


@given(SEED, st.integers(2, 60))
@settings(max_examples=25)
def test_whatever_comes_back_no_estimate_is_nan_or_leaves_0_to_1(seed: int, labels: int) -> None:
    rng = np.random.default_rng(seed)
    q = rng.choice([0.0, 1.0, 0.5, 1e-9, rng.random()], 40)
    h, y = rng.random(40) < rng.random(), rng.random(40) < rng.random()
    sample = draw(shared_design(q, h), labels, rng)
    for one in estimates([Labelled(q, h, sample, y[sample.rows].astype(float))]):
        assert 0 <= one.low <= one.value <= one.high <= 1
        one_answer = h.all() or not h.any()  # who always says yes has a recall of 1, surely, and who never does one of 0
        assert one.low < one.high or one_answer
        assert one.n >= 1


@given(SEED)
@settings(max_examples=20)
def test_the_order_of_draws_and_of_windows_does_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pair = [labelled(rng, 30, n=200)[0], labelled(rng, 20, n=300)[0]]
    mixed = []
    for one in pair[::-1]:
        order, sample = rng.permutation(len(one.sample.rows)), one.sample
        shuffled = Sample(sample.size, sample.rows[order], sample.chances[order], sample.reserve[order], sample.cells)
        mixed.append(Labelled(one.scores, one.decided, shuffled, np.asarray(one.actual)[order]))
    for first, second in zip(estimates(pair), estimates(mixed), strict=True):
        assert (second.value, second.low, second.high) == pytest.approx((first.value, first.low, first.high), abs=1e-5)


def test_all_labels_give_the_metric_itself_and_an_interval_like_wilsons() -> None:
    q, h, y = window(np.random.default_rng(4), 300)
    sample = draw(shared_design(q, h), 300, np.random.default_rng(5))
    known = by_metric(of_all_labels(confusion(h == 1, y == 1)))
    found = by_metric(estimates([Labelled(q, h, sample, y)], metrics=RIGHTS))
    for metric in RIGHTS:
        assert found[metric].value == pytest.approx(known[metric].value)
        assert found[metric].low == pytest.approx(known[metric].low, abs=0.03)
        assert found[metric].high == pytest.approx(known[metric].high, abs=0.03)


def test_windows_count_by_their_size_and_not_by_their_labels() -> None:
    q, h = np.full(1000, 0.5), np.ones(1000)
    every, few = uniform_design(q, h), uniform_design(q[:100], h[:100])
    large, small = (draw(design, n, np.random.default_rng(6)) for design, n in ((every, 20), (few, 80)))
    windows = [Labelled(q, h, large, np.ones(20)), Labelled(q[:100], h[:100], small, np.zeros(80))]
    assert estimates(windows, metrics=["accuracy"])[0].value == pytest.approx(1000 / 1100)


def test_one_label_a_window_is_enough_when_there_are_many_windows() -> None:
    rng, hits = np.random.default_rng(7), 0
    for _ in range(20):
        windows, right, n = [], 0.0, 0
        for size in rng.integers(50, 400, 40):
            q, h, y = window(rng, int(size))
            sample = draw(shared_design(q, h), 1, rng)
            windows.append(Labelled(q, h, sample, y[sample.rows]))
            right, n = right + (h == y).sum(), n + int(size)
        found = estimates(windows, metrics=["accuracy"])[0]
        assert found.n == 40
        hits += found.low <= right / n <= found.high
    assert hits >= 17


def test_a_slice_is_estimated_from_its_own_rows() -> None:
    rng, hits = np.random.default_rng(8), 0
    for _ in range(60):
        one, y = labelled(rng, 200)
        h, group = np.asarray(one.decided), rng.random(500) < 0.3
        found = estimates([one], metrics=["accuracy"], groups=[group])[0]
        assert found.n == group[one.sample.rows].sum()
        hits += found.low <= truth("accuracy", h[group], y[group]) <= found.high
    assert hits >= 53
    one, _ = labelled(rng, 200)
    nobody = np.zeros(500, dtype=bool)
    assert estimates([one], groups=[nobody]) == ()
    everyone = estimates([one], groups=[~nobody])
    assert everyone == estimates([one])


def test_what_nothing_is_known_about_is_left_out() -> None:
    q, none = np.full(100, 0.3), np.zeros(100)
    sample = draw(uniform_design(q, none), 10, np.random.default_rng(9))
    found = by_metric(estimates([Labelled(q, none, sample, np.zeros(10))]))
    assert set(found) == {"accuracy", "specificity", "prevalence"}
    assert found["prevalence"].low == 0 < found["prevalence"].high
    one = np.eye(100)[0]
    missed = Sample(100, np.arange(1, 11), np.full(10, 0.01), np.ones(10, dtype=bool))
    assert "precision" not in by_metric(estimates([Labelled(q, one, missed, np.zeros(10))]))


def test_labels_that_did_not_come_are_left_out() -> None:
    one, _ = labelled(np.random.default_rng(10), 60)
    actual = np.asarray(one.actual).copy()
    actual[::3] = np.nan
    part = Labelled(one.scores, one.decided, one.sample, actual)
    assert part.response == pytest.approx(40 / 60)
    kept = np.isfinite(actual)
    sample = Sample(500, one.sample.rows[kept], one.sample.chances[kept], one.sample.reserve[kept], one.sample.cells)
    assert estimates([part]) == estimates([Labelled(one.scores, one.decided, sample, actual[kept])])


@given(SEED, st.sampled_from(RIGHTS))
@settings(max_examples=20)
def test_no_filling_in_of_missing_labels_leaves_the_bounds(seed: int, metric: str) -> None:
    rng = np.random.default_rng(seed)
    q, h, y = window(rng, 300)
    sample = draw(uniform_design(q, h), 60, rng)
    actual = np.where(rng.random(60) < 0.3, np.nan, y[sample.rows])
    found = missing_bounds([Labelled(q, h, sample, actual)], metric)
    assert found.response == np.isfinite(actual).mean()
    filled = np.where(np.isfinite(actual), actual, rng.random(60) < rng.random())
    lam = ppi._tuned(ppi._drawn(Labelled(q, h, sample, actual), metric, None))
    inside = ppi._metric(metric, ppi._drawn(Labelled(q, h, sample, filled), metric, None), 0.95, lam)
    if inside and found.worst and found.best:
        assert found.worst.value - 1e-9 <= inside.value <= found.best.value + 1e-9


def test_nothing_missing_leaves_nothing_to_bound() -> None:
    one, _ = labelled(np.random.default_rng(11), 60)
    found = missing_bounds([one], "f1")
    assert found.response == 1
    assert found.worst == found.best == estimates([one], metrics=["f1"])[0]
    with pytest.raises(InvalidInput, match="no right and wrong"):
        missing_bounds([one], "prevalence")


def test_a_predicted_loss_narrows_a_regressions_loss() -> None:
    rng, ratios, hits = np.random.default_rng(12), [], 0
    for _ in range(60):
        spread = rng.uniform(0.2, 3, 2000)
        loss = np.abs(rng.normal(0, spread))
        guess = spread * np.sqrt(2 / np.pi)
        sample = draw(design_of(spread), 100, rng)
        rows, ones = sample.rows, np.ones(100)
        args = {"means": (float(guess.mean()), 1.0), "weights": sample.weights, "metric": "mae", "limits": (0.0, np.inf)}
        found = ratio_estimate(loss[rows], ones, guess[rows], ones, **args)  # type: ignore[arg-type]
        plain = skewed_ratio(loss[rng.integers(2000, size=100)], ones, limits=(0, np.inf))
        assert found is not None
        assert plain is not None
        hits += found.low <= loss.mean() <= found.high
        ratios.append((plain[2] - plain[1]) / (found.high - found.low))
    assert hits >= 53
    assert np.mean(ratios) > 1.15


def test_without_a_prediction_a_general_ratio_is_the_plain_one() -> None:
    u, zero = np.random.default_rng(13).exponential(size=50), np.zeros(50)
    found = ratio_estimate(u**2, zero + 1, zero, zero, weights=zero + 1, means=(0, 0), metric="mse", limits=(0, np.inf))
    plain = skewed_ratio(u**2, zero + 1, limits=(0, np.inf))
    assert found is not None
    assert (found.value, found.low, found.high) == plain
    assert rooted(found).value == pytest.approx(np.sqrt(found.value))


@pytest.mark.parametrize("n", [0, 1])
def test_a_general_ratio_of_too_few_labels_is_none(n: int) -> None:
    column = np.ones(n)
    assert ratio_estimate(column, column, column, column, weights=column, means=(1, 1), metric="mae") is None


def test_what_does_not_belong_together_is_refused() -> None:
    one, _ = labelled(np.random.default_rng(14), 20, n=100)
    q, h, y = one.scores, one.decided, np.asarray(one.actual)
    with pytest.raises(InvalidInput, match="do not belong together"):
        estimates([Labelled(q, h, one.sample, y[1:])])
    with pytest.raises(InvalidInput, match="do not belong together"):
        estimates([Labelled(np.asarray(q)[1:], np.asarray(h)[1:], one.sample, y)])
    with pytest.raises(InvalidInput, match="no label"):
        estimates([Labelled(q, h, one.sample, np.full(20, np.nan))])
    with pytest.raises(InvalidInput, match="neither 0 nor 1"):
        estimates([Labelled(q, h, one.sample, y + 1)])
    with pytest.raises(InvalidInput, match="2 group columns for 1"):
        estimates([one], groups=[h, h])
    with pytest.raises(InvalidInput, match="group column has 3"):
        estimates([one], groups=[[True] * 3])
    with pytest.raises(InvalidInput, match="equal length"):
        ratio_estimate([1.0], [1.0, 1.0], [1.0], [1.0], weights=[1.0], means=(1, 1), metric="mae")
    assert set(METRICS) > set(RIGHTS)
