"""Betting on labels as they arrive."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from custody.core.errors import InvalidInput
from custody.core.evidence import Estimate
from custody.core.measures.performance import Confusion, confusion, estimates
from custody.monitoring.betting import RATIOS, Betting, ratio_terms

LABELS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60)
# shares of (decided, actual) = (no, no), (yes, no), (no, yes), (yes, yes)
CELLS = np.array([0.55, 0.10, 0.12, 0.23])
TRUTH = {one.metric: one.value for one in estimates(Confusion(tn=55, fp=10, fn=12, tp=23))}


def drawn(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    cell = rng.choice(4, n, p=CELLS)
    return cell % 2 == 1, cell >= 2


@given(LABELS)
def test_the_metric_is_the_ratio_of_its_terms(rows: list[tuple[bool, bool]]) -> None:
    decided, actual = np.array(rows).T
    values = {one.metric: one.value for one in estimates(confusion(decided, actual))}
    for metric in RATIOS:
        u, v = ratio_terms(metric, decided, actual)
        assert (metric in values) == (v.sum() > 0)
        if v.sum():
            assert u.sum() / v.sum() == pytest.approx(values[metric])


@given(LABELS, st.integers(0, 60), st.sampled_from(RATIOS))
def test_labels_may_arrive_one_by_one_or_all_at_once(rows: list[tuple[bool, bool]], cut: int, metric: str) -> None:
    decided, actual = np.array(rows).T
    whole = Betting(metric, 0.7, 0.05).update(decided, actual)
    parts = Betting(metric, 0.7, 0.05).update(decided[:cut], actual[:cut]).update(decided[cut:], actual[cut:])
    assert parts.labels == whole.labels == len(rows)
    assert parts.logs == pytest.approx(whole.logs)
    assert parts.peak == pytest.approx(whole.peak)


@pytest.mark.parametrize("metric", RATIOS)
def test_each_bet_has_mean_one_at_the_limit(metric: str) -> None:
    decided, actual = np.array([False, True, False, True]), np.array([False, False, True, True])
    wealth = [Betting(metric, TRUTH[metric], 0.05).update(decided[i : i + 1], actual[i : i + 1]).logs for i in range(4)]
    assert CELLS @ np.exp(np.array(wealth)) == pytest.approx(1)


@pytest.mark.parametrize("metric", RATIOS)
def test_at_the_limit_looking_after_every_label_seldom_alarms(metric: str) -> None:
    rng = np.random.default_rng(17)
    alarms = [Betting(metric, TRUTH[metric], 0.05).update(*drawn(rng, 500)).alarm for _ in range(200)]
    assert np.mean(alarms) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 200)


@pytest.mark.parametrize("metric", RATIOS)
def test_a_metric_far_below_the_limit_is_found(metric: str) -> None:
    rng = np.random.default_rng(18)
    alarms = [Betting(metric, min(TRUTH[metric] + 0.12, 0.99), 0.05).update(*drawn(rng, 2000)).alarm for _ in range(20)]
    assert np.mean(alarms) >= 0.9


def test_an_alarm_stays_after_good_labels() -> None:
    wrong, right = np.ones(60, dtype=bool), np.zeros(60, dtype=bool)
    fallen = Betting("accuracy", 0.7, 0.05).update(wrong, right)
    assert fallen.alarm
    assert fallen.e > 20
    mended = fallen
    for _ in range(20):
        mended = mended.update(right, right)
    assert mended.log_e < fallen.log_e
    assert mended.alarm


def test_nothing_is_known_before_the_first_label() -> None:
    start = Betting("f1", 0.5, 0.05)
    assert start.e == pytest.approx(1)
    assert not start.alarm
    assert start.update([], []) is start


def test_the_limit_lies_below_the_registered_value_by_its_error_and_the_tolerance() -> None:
    bet = Betting.against(Estimate("accuracy", 0.8, 0.77, 0.83, 1000), tolerance=0.02, alpha=0.05)
    assert 0.74 < bet.limit < 0.76
    assert bet.alpha == pytest.approx(0.04)
    assert Betting.against(Estimate("accuracy", 0.01, 0, 0.1, 50), tolerance=0.02, alpha=0.05).limit == 0


def test_only_ratios_of_row_values_can_be_bet_on() -> None:
    with pytest.raises(InvalidInput, match="'auc'"):
        Betting.against(Estimate("auc", 0.8, 0.7, 0.9, 100), tolerance=0.02, alpha=0.05)
    with pytest.raises(InvalidInput, match="equal length"):
        ratio_terms("recall", [True], [True, False])


def test_a_bet_survives_being_written_as_json() -> None:
    bet = Betting("recall", 0.6, 0.05).update([True, False], [True, True])
    assert msgspec.json.decode(msgspec.json.encode(bet), type=Betting) == bet
