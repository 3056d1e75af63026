"""Metrics as ratios of row values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from custody.core.errors import InvalidInput
from custody.core.measures.performance import confusion, estimates
from custody.monitoring.ratios import METRICS, Terms, plug_in, scored, terms_of

ROWS = st.lists(st.tuples(st.booleans(), st.booleans(), st.floats(0, 1)), min_size=1, max_size=40)
METRIC = st.sampled_from(METRICS)


@given(ROWS)
def test_every_metric_is_the_ratio_of_its_terms(rows: list[tuple[bool, bool, float]]) -> None:
    decided, actual = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    known = {one.metric: one.value for one in estimates(confusion(decided, actual))} | {"prevalence": float(actual.mean())}
    for metric in METRICS:
        u, v = terms_of(metric, decided).seen(actual)
        assert (metric in known) == (v.sum() > 0)
        if v.sum():
            assert u.sum() / v.sum() == pytest.approx(known[metric])


@given(ROWS, METRIC, st.floats(0, 1))
def test_what_is_expected_is_the_mean_over_both_labels(rows: list[tuple[bool, bool, float]], metric: str, ratio: float) -> None:
    terms, scores = terms_of(metric, [row[0] for row in rows]), np.array([row[2] for row in rows])
    (u1, v1), (u0, v0) = (terms.seen(np.full(len(rows), label)) for label in (True, False))
    fu, fv = terms.expected(scores)
    assert fu == pytest.approx(scores * u1 + (1 - scores) * u0)
    assert fv == pytest.approx(scores * v1 + (1 - scores) * v0)
    assert terms.swing(ratio) == pytest.approx((u1 - ratio * v1) - (u0 - ratio * v0))
    assert (terms.matter | (terms.swing(ratio) == 0)).all()


def test_a_group_keeps_only_its_own_rows() -> None:
    terms = terms_of("f1", [True, False, True]).within(np.array([True, False, False]))
    assert terms.v1.tolist() == [2, 0, 0]
    assert terms.matter.tolist() == [True, False, False]
    assert terms.at(np.array([2, 0, 0])).u1.tolist() == [0, 2, 2]


def test_the_plug_in_needs_a_denominator() -> None:
    assert plug_in(terms_of("precision", [False, False]), np.array([0.5, 0.5])) is None
    assert plug_in(terms_of("precision", [True, False]), np.array([0.7, 0.5])) == pytest.approx(0.7)
    assert plug_in(Terms(*[np.zeros(1)] * 4), np.zeros(1)) is None


@pytest.mark.parametrize(
    ("scores", "decided"),
    [([], []), ([0.5], [True, False]), ([[0.5]], [[True]]), ([1.5], [True]), ([-0.1], [True]), ([float("nan")], [True])],
)
def test_what_is_no_window_is_refused(scores: list[float], decided: list[bool]) -> None:
    with pytest.raises(InvalidInput, match=r"equal length|number from 0 to 1"):
        scored(scores, decided)


def test_what_is_no_ratio_is_refused() -> None:
    with pytest.raises(InvalidInput, match="'auc' is not a ratio"):
        terms_of("auc", [True])
