"""Confusion counts, metrics with intervals, AUC, groups."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from custody.core.errors import InvalidInput
from custody.core.evidence import Estimate
from custody.core.measures.performance import MISSING, Confusion, auc, bounds, confusion, estimates, group_counts, measure

COUNTS = st.builds(Confusion, *[st.integers(0, 500)] * 4)
ROWS = st.lists(st.tuples(st.booleans(), st.booleans()), max_size=60)


@given(ROWS)
def test_every_row_is_counted_in_its_own_cell(rows: list[tuple[bool, bool]]) -> None:
    decided, actual = [h for h, _ in rows], [y for _, y in rows]
    counts = confusion(np.array(decided, dtype=bool), np.array(actual, dtype=bool))
    cells = {(h, y): rows.count((h, y)) for h in (False, True) for y in (False, True)}
    assert counts == Confusion(tn=cells[False, False], fp=cells[True, False], fn=cells[False, True], tp=cells[True, True])


@given(COUNTS)
def test_every_estimate_is_finite_and_inside_its_interval(counts: Confusion) -> None:
    for one in estimates(counts):
        assert 0 <= one.low <= one.value <= one.high <= 1
        assert one.low < one.high
        assert one.n > 0


def test_estimates_have_the_textbook_values() -> None:
    found = {one.metric: (one.value, one.n) for one in estimates(Confusion(tn=50, fp=10, fn=20, tp=20))}
    assert found == {
        "accuracy": (0.7, 100),
        "precision": (20 / 30, 30),
        "recall": (0.5, 40),
        "specificity": (50 / 60, 60),
        "f1": (pytest.approx(4 / 7), 50),
        "selection_rate": (0.3, 100),
    }


def test_what_has_no_denominator_is_left_out() -> None:
    assert estimates(Confusion(0, 0, 0, 0)) == ()
    assert [one.metric for one in estimates(Confusion(tn=9, fp=0, fn=0, tp=0))] == ["accuracy", "specificity", "selection_rate"]
    assert measure([], np.empty(0, bool), np.empty(0, bool)) == ()


def test_the_f1_interval_covers_about_as_often_as_it_promises() -> None:
    rng = np.random.default_rng(11)
    cells = np.array([0.7, 0.06, 0.1, 0.14])  # tn, fp, fn, tp
    truth = 2 * cells[3] / (2 * cells[3] + cells[1] + cells[2])
    inside = []
    for row in rng.multinomial(300, cells, size=2000):
        f1 = next(one for one in estimates(Confusion(*row.tolist())) if one.metric == "f1")
        inside.append(f1.low <= truth <= f1.high)
    assert 0.935 < np.mean(inside) < 0.97


@given(COUNTS, st.sampled_from([0.9, 0.99]))
def test_restating_an_interval_equals_computing_it_at_that_confidence(counts: Confusion, confidence: float) -> None:
    for one, other in zip(estimates(counts), estimates(counts, confidence), strict=True):
        assert bounds(one, confidence) == pytest.approx((other.value, other.low, other.high))


def test_other_metrics_intervals_are_scaled() -> None:
    found = bounds(Estimate("auc", 0.8, 0.7, 0.85, 100), 0.99)
    assert found == pytest.approx((0.8, 0.8 - 0.1 * 2.5758 / 1.95996, 0.8 + 0.05 * 2.5758 / 1.95996), abs=1e-4)


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.25, 0.5, 0.5001, 1.0]), st.booleans()), min_size=1, max_size=40))
def test_auc_is_the_share_of_pairs_in_the_right_order(rows: list[tuple[float, bool]]) -> None:
    scores, actual = [s for s, _ in rows], [y for _, y in rows]
    pairs = [(a > b) + (a == b) / 2 for a, y in rows if y for b, z in rows if not z]
    found = auc(scores, actual)
    if not pairs:
        assert found is None
    else:
        assert found is not None
        assert found.value == pytest.approx(sum(pairs) / len(pairs))
        assert 0 <= found.low <= found.value <= found.high <= 1
        assert found.low < found.high


def test_the_auc_interval_covers_about_as_often_as_it_promises() -> None:
    rng, truth, inside = np.random.default_rng(5), 0.5 * (1 + math.erf(0.6)), []
    for _ in range(400):
        scores = np.concatenate([rng.normal(1.2, 1, 60), rng.normal(0, 1, 140)])  # AUC = Phi(1.2 / sqrt 2)
        found = auc(scores, np.arange(200) < 60)
        assert found is not None
        inside.append(found.low <= truth <= found.high)
    assert 0.92 < np.mean(inside) < 0.99


@given(arrays(np.float64, 30, elements=st.floats(0, 1)), st.randoms())
def test_auc_does_not_change_when_scores_are_stretched(scores: np.ndarray, random: object) -> None:
    actual = np.arange(30) % 3 == 0
    first, second = auc(np.round(scores, 3), actual), auc(np.exp(np.round(scores, 3)), actual)
    assert first == second


@pytest.mark.parametrize("scores", [[0.1, float("nan")], [0.1], [0.1, float("inf")]])
def test_scores_that_are_no_numbers_are_refused(scores: list[float]) -> None:
    with pytest.raises(InvalidInput, match="finite"):
        auc(scores, [True, False])


@pytest.mark.parametrize(("decided", "actual"), [([0, 2], [0, 1]), ([[True]], [[True]]), ([True], [True, False]), ([0.5], [1])])
def test_decisions_that_are_not_yes_or_no_are_refused(decided: list[float], actual: list[float]) -> None:
    with pytest.raises(InvalidInput):
        confusion(decided, actual)


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.sampled_from(["a", "b", "", None])), min_size=1, max_size=50))
def test_groups_add_up_to_the_whole_and_missing_is_a_group(rows: list[tuple[bool, bool, str | None]]) -> None:
    decided, actual, groups = [r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows]
    found = group_counts(decided, actual, {"sex": groups})
    assert [group.group for group in found] == sorted({g or MISSING for g in groups})
    assert sum(group.n for group in found) == len(rows)
    for group in found:
        own = [i for i, g in enumerate(groups) if (g or MISSING) == group.group]
        counts = confusion([decided[i] for i in own], [actual[i] for i in own])
        assert (group.tn, group.fp, group.fn, group.tp) == (counts.tn, counts.fp, counts.fn, counts.tp)


def test_a_group_column_of_another_length_is_refused() -> None:
    with pytest.raises(InvalidInput, match="2 values for 1 rows"):
        group_counts([True], [True], {"sex": ["a", "b"]})


def test_no_rows_have_no_groups() -> None:
    assert group_counts([], [], {"sex": []}) == ()
