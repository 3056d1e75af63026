"""Evaluations of a window, and whether performance is worse than promised."""

from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pytest

from custody.core.errors import InvalidInput
from custody.core.evidence import Estimate, Outcome
from custody.core.measures.intervals import wilson
from custody.core.measures.value import CostMatrix
from custody.core.refs import ModelRef
from custody.monitoring.evaluation import Evaluation, Labelled, degraded, evaluate

END = datetime(2026, 11, 23, tzinfo=UTC)
MODEL = ModelRef("churn", 7)
MATRIX = CostMatrix(tp=0, fp=5, tn=0, fn=100, currency="EUR")


def evaluated(rows: Labelled, predictions: int, costs: CostMatrix | None = None) -> Evaluation:
    return evaluate(
        rows,
        id="e1",
        at=END,
        window=(END - timedelta(days=7), END),
        model=MODEL,
        threshold=0.5,
        predictions=predictions,
        costs=costs,
    )


def share(metric: str, k: int, n: int) -> Estimate:
    return Estimate(metric, k / n, *wilson(k, n), n)


def test_a_window_is_measured_on_its_labels_and_says_how_many_there_are() -> None:
    scores = np.array([0.9, 0.8, 0.3, 0.1])
    found = evaluated(Labelled(scores, scores >= 0.5, [1, 0, 0, 0], {"sex": ["a", "a", "b", None]}), predictions=16, costs=MATRIX)
    assert (found.predictions, found.labelled, found.coverage) == (16, 4, 0.25)
    assert (found.end - found.start, found.model, found.threshold) == (timedelta(days=7), MODEL, 0.5)
    accuracy = found.metric("accuracy")
    assert accuracy is not None
    assert (accuracy.value, accuracy.n) == (0.75, 4)
    assert found.cost == pytest.approx(5 / 4 * 16)
    assert [group.group for group in found.groups] == ["(missing)", "a", "b"]


def test_a_window_without_labels_measures_nothing_and_costs_nothing_known() -> None:
    nothing = np.empty(0, dtype=bool)
    found = evaluated(Labelled([], nothing, nothing, {}), predictions=100, costs=MATRIX)
    assert (found.metrics, found.cost, found.coverage, found.metric("accuracy")) == ((), None, 0.0, None)
    assert evaluated(Labelled([], nothing, nothing, {}), predictions=0).coverage == 0


def test_more_labels_than_predictions_are_refused() -> None:
    with pytest.raises(InvalidInput, match="2 predictions have a label"):
        evaluated(Labelled([0.1, 0.9], [0, 1], [0, 1], {}), predictions=1)


def test_an_evaluation_survives_being_written_as_json() -> None:
    found = evaluated(Labelled([0.1, 0.9], [0, 1], [0, 1], {"sex": ["a", "b"]}), predictions=5)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Evaluation) == found


def test_a_real_drop_is_told_with_all_its_numbers() -> None:
    found = degraded(
        "accuracy",
        share("accuracy", 955, 1270),
        share("accuracy", 859, 1211),
        tolerance=0.0,
        alpha=0.05,
        look=1,
        reference="development phase",
    )
    assert found.outcome is Outcome.FAIL
    assert found.sentence == (
        "accuracy 0.709 on 1,211 labels is below 0.752 on 1,270 (development phase) by 0.043 [0.008, 0.077];"
        " surely more than the tolerated 0"
    )
    assert found.facts["drop"] == pytest.approx(0.0426, abs=1e-4)
    assert found.facts["level"] == 0.025


def test_the_same_drop_within_the_tolerance_passes() -> None:
    found = degraded("accuracy", share("accuracy", 955, 1270), share("accuracy", 859, 1211), tolerance=0.02, alpha=0.05, look=1)
    assert found.outcome is Outcome.PASS
    assert found.sentence.endswith("not surely more than the tolerated 0.02")


def test_a_rise_passes_without_talk_of_a_drop() -> None:
    found = degraded("recall", share("recall", 60, 100), share("recall", 70, 100), tolerance=0.0, alpha=0.05, look=3)
    assert (found.outcome, found.sentence) == (Outcome.PASS, "recall 0.700 on 100 labels is not below 0.600 on 100 (registered)")


def test_later_looks_ask_for_more_evidence() -> None:
    outcomes = [
        degraded(
            "accuracy", share("accuracy", 955, 1270), share("accuracy", 859, 1211), tolerance=0.0, alpha=0.05, look=look
        ).outcome
        for look in (1, 2, 10)
    ]
    assert outcomes == [Outcome.FAIL, Outcome.FAIL, Outcome.PASS]


@pytest.mark.parametrize("metric", ["f1", "auc"])
def test_metrics_that_are_no_shares_are_judged_by_their_own_intervals(metric: str) -> None:
    registered, low = Estimate(metric, 0.8, 0.78, 0.82, 2000), Estimate(metric, 0.5, 0.45, 0.55, 500)
    assert degraded(metric, registered, low, tolerance=0.02, alpha=0.05, look=1).outcome is Outcome.FAIL
    assert degraded(metric, registered, registered, tolerance=0.02, alpha=0.05, look=1).outcome is Outcome.PASS


def test_too_few_labels_are_inconclusive_and_say_how_many_more() -> None:
    found = degraded("precision", share("precision", 80, 100), share("precision", 3, 22), tolerance=0.02, alpha=0.05, look=1)
    assert (found.outcome, found.sentence) == (Outcome.INCONCLUSIVE, "precision rests on 22 labels; about 8 more are needed")
    nothing = degraded("precision", share("precision", 80, 100), None, tolerance=0.02, alpha=0.05, look=1)
    assert (nothing.outcome, nothing.facts["more"]) == (Outcome.INCONCLUSIVE, 30)


def test_without_a_reference_nothing_is_decided() -> None:
    found = degraded("recall", None, share("recall", 80, 100), tolerance=0.02, alpha=0.05, look=1)
    assert (found.outcome, found.sentence) == (Outcome.INCONCLUSIVE, "there is no registered recall to compare with")


def test_there_is_no_look_0() -> None:
    with pytest.raises(InvalidInput, match="look 1"):
        degraded("recall", share("recall", 80, 100), share("recall", 80, 100), tolerance=0, alpha=0.05, look=0)


def test_at_the_edge_of_the_tolerance_a_year_of_windows_seldom_alarms() -> None:
    rng, alarms = np.random.default_rng(8), 0
    for _ in range(300):
        registered = share("accuracy", int(rng.binomial(1270, 0.75)), 1270)
        live = rng.binomial(400, 0.73, size=12).tolist()
        alarms += any(
            degraded("accuracy", registered, share("accuracy", k, 400), tolerance=0.02, alpha=0.05, look=i).outcome
            is Outcome.FAIL
            for i, k in enumerate(live, 1)
        )
    assert alarms / 300 <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 300)
